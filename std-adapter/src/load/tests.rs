use super::*;
use crate::hook::Hooks;
use crate::mock::{MockConfig, MockServer};
use phasemeter_core::hook::PhaseHook;
use phasemeter_core::metric::LoadMetric;
use phasemeter_core::phase::{PhaseState, PhaseStats};
use phasemeter_core::telemetry::{Frame, MAX_ENCODED, Received, Receiver as FrameReceiver};
use phasemeter_core::time::Instant;
use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

const PLAN: &str = "
phases:
  - {kind: warmup, workload: {get: {path: /}}, arrival: {closed_loop: {concurrency: 2}}, stop: {requests: 20}}
  - {kind: profiling, workload: {chat: {prompt_tokens: 8, output_tokens: 4}}, arrival: {constant: {rate: 200}}, stop: {requests: 20}}
";
/// A plan that only a stop can end.
const LONG: &str = "
phases:
  - {kind: profiling, workload: {get: {path: /}}, arrival: {constant: {rate: 100}}, stop: {duration: 10m}}
";

/// A line that keeps what it is sent.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl io::Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Kept {
    /// What `make` makes of each frame and its boot.
    fn frames<T>(&self, mut make: impl FnMut(u32, &Frame<'_>) -> Option<T>) -> Vec<T> {
        let mut receiver = FrameReceiver::<MAX_ENCODED>::new();
        let bytes = self.0.lock().unwrap();
        let (mut rest, mut list) = (&bytes[..], Vec::new());
        while let Some(received) = receiver.take(&mut rest) {
            if let Received::Frame(envelope) = received {
                list.extend(make(envelope.boot, &envelope.frame));
            }
        }
        list
    }

    fn ends(&self) -> Vec<(u16, bool)> {
        self.frames(|_, frame| match frame {
            Frame::Finished(finished) => Some((finished.phases, finished.cancelled)),
            _ => None,
        })
    }
}

fn server(error_rate: f64) -> MockServer {
    let faults = format!("status=500:{error_rate}").parse().unwrap();
    let config = MockConfig { faults, ..MockConfig::default() };
    MockServer::start(config, ([127, 0, 0, 1], 0).into(), None).unwrap()
}

fn options() -> LoadOptions {
    LoadOptions::new("test")
}

fn load(target: &str, output: impl io::Write + Send + 'static, hooks: Hooks) -> Result<LoadOutcome, LoadError> {
    let plan = crate::plan::parse("plan", PLAN).unwrap();
    let telemetry = TelemetryConfig {
        line_patience: phasemeter_core::time::Duration::from_millis(300),
        ..TelemetryConfig::default()
    };
    at(target).run(&plan, Box::new(output), &LoadOptions { telemetry, ..options() }, hooks)
}

fn at(target: &str) -> Load {
    Load::new(Target::parse(target).unwrap(), &ConnectOptions::default()).unwrap()
}

/// Sends each phase that is complete.
struct Completed(Sender<PhaseStats>);

impl PhaseHook for Completed {
    fn on_phase_complete(&mut self, phase: &PhaseStats, _: Instant) {
        self.0.send(*phase).unwrap();
    }
}

#[test]
fn a_run_is_delivered_whole_and_is_a_boot_of_its_own() {
    let server = server(0.0);
    let boots = [(); 2].map(|()| {
        let kept = Kept::default();
        let outcome = load(&server.url(), kept.clone(), Hooks::new()).unwrap();
        assert_eq!((outcome.cancelled, outcome.failures.total()), (false, 0));
        assert_eq!(kept.ends().last(), Some(&(2, false)));
        let mut completed = kept.frames(|_, frame| match frame {
            Frame::Phase(report) if report.stats.state == PhaseState::Complete => {
                Some((report.stats.index, report.stats.counts.successful()))
            }
            _ => None,
        });
        completed.dedup();
        assert_eq!(completed, [(0, 20), (1, 20)]);
        let tokens = kept.frames(|_, frame| match frame {
            Frame::Totals(totals) if usize::from(totals.metric) == LoadMetric::InterTokenLatency.place() => {
                Some((totals.phase, totals.totals.count))
            }
            _ => None,
        });
        assert_eq!(tokens.last(), Some(&(1, 20)), "of each chat");
        let mut boots = kept.frames(|boot, _| Some(boot));
        boots.dedup();
        boots
    });
    assert!(boots.iter().all(|boots| boots.len() == 1) && boots[0] != boots[1], "{boots:?}");
}

#[test]
fn failures_are_told_by_cause_over_all_phases() {
    // The port of a listener that is gone.
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let outcome = load(&format!("http://{gone}"), io::sink(), Hooks::new()).unwrap();
    assert_eq!(outcome.failures, Failures { not_connected: 40, ..Failures::NONE });

    let kept = Kept::default();
    let outcome = load(&server(1.0).url(), kept.clone(), Hooks::new()).unwrap();
    assert_eq!(outcome.failures.statuses.as_slice(), [(500, 40)]);
    let told = kept.frames(|_, frame| match frame {
        Frame::Failures(report) => Some((report.phase, report.failures.statuses.clone())),
        _ => None,
    });
    let last = told.last().unwrap();
    assert_eq!((last.0, last.1.as_slice()), (1, [(500, 20)].as_slice()), "as the device tells them");
}

#[test]
fn a_load_that_is_stopped_delivers_its_end() {
    let server = server(0.0);
    let load = at(&server.url());
    let stopper = load.stopper();
    let (hook, kept) = (Sent(stopper), Kept::default());
    let mut hooks = Hooks::new();
    hooks.push(hook);
    let plan = crate::plan::parse("plan", LONG).unwrap();
    let outcome = load.run(&plan, Box::new(kept.clone()), &options(), hooks).unwrap();
    assert!(outcome.cancelled);
    assert_eq!(kept.ends().last(), Some(&(1, true)));
}

/// Stops the load once a second of it has passed.
struct Sent(Stopper);

impl PhaseHook for Sent {
    fn on_progress(&mut self, _: &PhaseStats, _: Instant) {
        self.0.stop();
    }
}

/// A line that takes nothing until its sender is gone.
struct Stuck(Receiver<()>);

impl io::Write for Stuck {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.0.recv();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_run_goes_on_without_a_line_that_is_stuck_and_says_so_at_the_end() {
    let server = server(0.0);
    let (_held, stuck) = channel();
    let (sender, completed) = channel();
    let mut hooks = Hooks::new();
    hooks.push(Completed(sender));
    let error = load(&server.url(), Stuck(stuck), hooks).unwrap_err();
    assert!(matches!(error, LoadError::LineStuck(_)), "{error}");
    let completed: Vec<_> = completed.iter().map(|phase| phase.counts.successful()).collect();
    assert_eq!(completed, [20, 20]);
}

#[test]
fn a_line_that_fails_ends_the_run() {
    /// A line that is unplugged.
    struct Gone;

    impl io::Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let error = load(&server(0.0).url(), Gone, Hooks::new()).unwrap_err();
    assert!(matches!(error, LoadError::Line(_)), "{error}");
}
