//! A plan to every device, before any of them is started.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use phasemeter_core::plan::RunPlan;
use phasemeter_core::telemetry::{Reason, Refusal};

use super::progress::{Echo, Shown};
use crate::plan::MAX_PHASES;
use crate::remote::{Remote, RemoteControl, RemoteError};
use crate::source::{Line, ListenNews};

/// How often it is looked at who has come.
const TICK: Duration = Duration::from_millis(50);

/// What devices are to do.
pub(super) struct Prepare<'a> {
    pub(super) plan: &'a RunPlan<MAX_PHASES>,
    /// The server to run it against; empty for the device's own choice.
    pub(super) target: &'a str,
    /// Cancels the run that a device may be at.
    pub(super) stop_running: bool,
    /// How long a device may be away in mid-run.
    pub(super) reconnect: Duration,
}

/// A device that waits for its start: the name of its source, its line, and what starts it.
pub(super) type Prepared = (String, Box<dyn Line>, RemoteControl);

/// Uploads the plan to all devices at the same time. Nothing is started, so that one failure is no half of a run.
pub(super) fn prepare(
    lines: Vec<(String, Box<dyn Line>)>,
    wanted: &Prepare<'_>,
    stop: &AtomicBool,
    news: Option<&Receiver<ListenNews>>,
) -> anyhow::Result<Vec<Prepared>> {
    let is_one = lines.len() == 1;
    let (echo, has_failed) = (Mutex::new(Echo::new()), AtomicBool::new(false));
    let stops = || stop.load(Ordering::Relaxed) || has_failed.load(Ordering::Relaxed);
    let results = thread::scope(|scope| {
        let mut threads = Vec::new();
        for (identity, line) in lines {
            let (echo, has_failed, stops) = (&echo, &has_failed, &stops);
            let upload = move || {
                let name = if is_one { String::new() } else { format!("{identity}: ") };
                let text = |text: &str| {
                    for line in text.lines() {
                        let shown = echo.lock().unwrap_or_else(PoisonError::into_inner).take(line, Instant::now());
                        match shown {
                            Shown::Yes => super::say(format_args!("{name}| {line}")),
                            Shown::NoMore => super::say(format_args!("{name}further text is not shown")),
                            Shown::No => {}
                        }
                    }
                };
                let uploaded = upload(line, wanted, &name, stops, text);
                has_failed.fetch_or(uploaded.is_err(), Ordering::Relaxed);
                (identity, uploaded)
            };
            threads.push(thread::Builder::new().spawn_scoped(scope, upload).context("cannot start a thread")?);
        }
        while !threads.iter().all(thread::ScopedJoinHandle::is_finished) {
            thread::sleep(TICK);
            for news in news.into_iter().flat_map(Receiver::try_iter) {
                super::say(news);
            }
        }
        let joined = threads
            .into_iter()
            .map(|thread| thread.join().map_err(|_| anyhow::anyhow!("the upload to a device failed")));
        joined.collect::<anyhow::Result<Vec<_>>>()
    })?;
    let (mut prepared, mut failures) = (Vec::new(), Vec::new());
    for (identity, uploaded) in results {
        match uploaded {
            Ok((line, remote)) => prepared.push((identity, line, remote)),
            // Because of another one.
            Err(RemoteError::Interrupted) => {}
            Err(error) => failures.push(format!("{identity}: {error}{}", hint(&error))),
        }
    }
    if stop.load(Ordering::Relaxed) {
        bail!(RemoteError::Interrupted);
    }
    if failures.is_empty() {
        return Ok(prepared);
    }
    bail!("{}{}", failures.join("; "), if is_one { "" } else { "; no device was started" });
}

fn hint(error: &RemoteError) -> &'static str {
    match error {
        RemoteError::Refused(Refusal { reason: Reason::BUSY, .. }) => " (--stop-running does)",
        _ => "",
    }
}

fn upload(
    line: Box<dyn Line>,
    wanted: &Prepare<'_>,
    name: &str,
    stop: &impl Fn() -> bool,
    text: impl Fn(&str),
) -> Result<(Box<dyn Line>, RemoteControl), RemoteError> {
    let plan_hash = wanted.plan.content_hash();
    let (mut device, described) = Remote::identify(line, stop, &text)?;
    super::say(format_args!("{name}device {described}"));
    if wanted.stop_running {
        device.stop_running(stop, &text)?;
    }
    device.upload(wanted.target, wanted.plan, stop, &text)?;
    super::say(format_args!("{name}the device has plan {plan_hash:016x}"));
    let (line, remote) = device.into_recording(plan_hash);
    Ok((line, remote.with_reconnect(wanted.reconnect)))
}
