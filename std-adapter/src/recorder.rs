//! Many sources into one capture, until their runs are over.
//!
//! A device that measures itself may have no end; it is recorded until somebody ends that.
//!
//! Each source has a thread that reads; one loop writes the capture and applies what it wrote. Nothing looks at a byte
//! before it is in the capture. When the capture takes no more, or is no longer there, the recording ends, and the report is
//! of what it took.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use crate::atomic::WriteError;
use crate::capture::{CaptureError, CaptureReader, CaptureRecord, CaptureWriter, EndReason, LineEnd};
use crate::hook::{Background, HookError, Hooks, PhaseWatch};
use crate::remote::{RemoteControl, STOP_WITHIN};
use crate::replay::{CAPTURE_FILE, RecordedRun, write_artifacts};
use crate::report::Thresholds;
use crate::session::Note;
use crate::source::{Line, LineEvent, LineEventKind, spawn_reader};

/// How many reads may wait for the capture; a line's own buffers take the rest.
const QUEUED_READS: usize = 256;
/// How often progress is shown and the stop flag is looked at.
const TICK: Duration = Duration::from_millis(100);
/// How often the capture is looked for at its path.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// After the last device has finished: its repeats are taken as long as frames come this often,
const LINGER: Duration = Duration::from_millis(300);
/// and for so long at most.
const LINGER_AT_MOST: Duration = Duration::from_secs(2);

/// A source to record.
#[derive(Debug)]
pub struct RecordingSource {
    /// Names the source.
    pub identity: String,
    /// Where its bytes come from.
    pub line: Box<dyn Line>,
    /// Are told of the phases that its device reports, as they come, on a thread of their own.
    pub hooks: Hooks,
    /// Starts the device's run and acknowledges what has come; `None` if the device runs on its own.
    pub remote: Option<RemoteControl>,
}

/// Where and for how long to record.
#[derive(Clone, Debug)]
pub struct RecordingOptions {
    /// The run directory; it exists and has no capture yet.
    pub directory: PathBuf,
    /// Names the run.
    pub run_id: String,
    /// Recording ends after so long, whatever the devices do.
    pub max_duration: Option<Duration>,
    /// Once it is to stop, it goes on for so long at most, until every line has ended: whoever writes to a pipe has met the
    /// same Ctrl-C, and has its end to tell.
    pub stop_within: Duration,
    /// What the run is judged by.
    pub thresholds: Thresholds,
}

impl RecordingOptions {
    /// Records into this directory until the runs are over, or it is stopped.
    pub fn new(directory: impl Into<PathBuf>, run_id: impl Into<String>) -> Self {
        Self {
            directory: directory.into(),
            run_id: run_id.into(),
            max_duration: None,
            stop_within: Duration::ZERO,
            thresholds: Thresholds::default(),
        }
    }
}

/// Is told how a recording goes.
pub trait RecordingWatcher {
    /// Something worth telling came over the line of this number.
    fn note(&mut self, source: u16, note: &Note);
    /// So many devices, more than one, have said that they start their runs: the last of them so long after the first.
    fn started(&mut self, devices: usize, spread: Duration) {
        let _ = (devices, spread);
    }
    /// About a tenth of a second passed, or records were applied.
    fn tick(&mut self, run: &RecordedRun);
}

/// Why a recording failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The capture could not be begun.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// The hooks could not be set up.
    #[error(transparent)]
    Hook(#[from] HookError),
    /// The run could not be written to its end.
    #[error(transparent)]
    Unwritten(#[from] Box<Unwritten>),
}

/// A run that was recorded, and not all of whose files could be written.
#[derive(Debug)]
pub struct Unwritten {
    /// The run as far as the capture took it.
    pub run: RecordedRun,
    /// How many bytes of the capture are whole. A replay makes the report of them, if the capture is still there.
    pub kept_bytes: u64,
    /// Why the recording ended, if the capture was the cause.
    pub capture: Option<CaptureError>,
    /// The artifact that could not be written.
    pub artifact: Option<WriteError>,
}

impl fmt::Display for Unwritten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let capture = self.capture.as_ref().map(ToString::to_string);
        let artifact = self.artifact.as_ref().map(ToString::to_string);
        let causes: Vec<_> = capture.into_iter().chain(artifact).collect();
        f.write_str(&causes.join("; "))
    }
}

impl std::error::Error for Unwritten {}

/// Records the lines until every run is over, every line has ended, `stop` is set or the time has passed; then writes
/// the artifacts. A run of any outcome has its artifacts. Where there is a [`RemoteControl`], it starts the device's run
/// once the recording is on, and when `stop` is set, the device's run is stopped and what it measured still recorded.
///
/// # Errors
/// [`RecordError`] if a file could not be written: with [`RecordError::Unwritten`] the run as far as there is one. A line that
/// fails is no error: the run says how it ended.
pub fn record(
    sources: Vec<RecordingSource>,
    options: &RecordingOptions,
    stop: &AtomicBool,
    watcher: &mut impl RecordingWatcher,
) -> Result<RecordedRun, RecordError> {
    let path = options.directory.join(CAPTURE_FILE);
    let capture = CaptureWriter::create(&path, &options.run_id)?;
    let mut run = RecordedRun::new();
    run.judge_by(options.thresholds);
    // The start record was written by the writer: it is read back, so that a replay sees the same.
    for record in CaptureReader::open(&path)? {
        run.apply(&record?, |_, _| {});
    }
    let mut recording = Recording { capture, run, start: Instant::now(), phases: Vec::new(), remotes: Vec::new() };
    let (sender, events) = sync_channel(QUEUED_READS);
    let stop_readers = Arc::new(AtomicBool::new(false));
    let mut readers = Vec::new();
    let mut lines = Vec::new();
    for (number, RecordingSource { identity, line, hooks, remote }) in (0..=u16::MAX).zip(sources) {
        let at_ns = recording.nanos(Instant::now());
        let plan_hash = remote.as_ref().map(RemoteControl::plan_hash);
        recording
            .append(&CaptureRecord::Source { source: number, identity: identity.into(), plan_hash, at_ns }, watcher)?;
        if let Some(faults) = line.faults() {
            recording.append(&CaptureRecord::Faults { source: number, at_ns, faults: faults.into() }, watcher)?;
        }
        recording.phases.push(Phases::new(hooks)?);
        recording.remotes.push(remote);
        lines.push((number, line));
    }
    for (number, line) in lines {
        readers.push(spawn_reader(line, number, sender.clone(), Arc::clone(&stop_readers)));
    }
    drop(sender);
    // One right after the other, so that devices start together.
    recording.remotes.iter_mut().flatten().for_each(RemoteControl::start);
    let ended = recording.run(&events, options, stop, watcher);
    stop_readers.store(true, Ordering::Relaxed);
    let finished = ended.and_then(|reason| {
        // What was read already is not lost.
        events.try_iter().try_for_each(|event| recording.take(event, watcher))?;
        recording.finish(reason, watcher)
    });
    drop(events);
    for reader in readers {
        // A reader looks at the flag at least every tenth of a second; one that panicked has nothing more to give.
        let _ = reader.join();
    }
    let (run, phases) = recording.close(finished, &options.directory)?;
    // Hooks may take a while for what they have not done yet: the artifacts come first.
    drop(phases);
    Ok(run)
}

/// Tells the hooks of one source. Without hooks there is nothing to tell, nor a thread.
struct Phases {
    watch: PhaseWatch,
    hooks: Option<Background>,
}

impl Phases {
    fn new(hooks: Hooks) -> Result<Self, HookError> {
        let hooks = if hooks.is_empty() { None } else { Some(Background::spawn(hooks)?) };
        Ok(Self { watch: PhaseWatch::new(), hooks })
    }

    fn note(&mut self, note: &Note) {
        if let Some(hooks) = &mut self.hooks {
            self.watch.note(note, hooks);
        }
    }
}

struct Recording {
    capture: CaptureWriter,
    run: RecordedRun,
    start: Instant,
    /// By the number of the source.
    phases: Vec<Phases>,
    /// By the number of the line; `None` once there is nothing more to be told.
    remotes: Vec<Option<RemoteControl>>,
}

impl Recording {
    fn run(
        &mut self,
        events: &Receiver<LineEvent>,
        options: &RecordingOptions,
        stop: &AtomicBool,
        watcher: &mut impl RecordingWatcher,
    ) -> Result<EndReason, CaptureError> {
        let (mut frames, mut last_frame, mut over_since, mut stopped) = (0, Instant::now(), None, None);
        let (mut looked, mut has_started) = (Instant::now(), false);
        loop {
            if looked.elapsed() >= LOOK_EVERY {
                looked = Instant::now();
                self.capture.check_in_place()?;
            }
            self.poll_remotes(watcher)?;
            if !has_started {
                has_started = self.tell_started(watcher);
            }
            let is_over = self.run.is_over();
            if stop.load(Ordering::Relaxed) {
                let since: Instant = *stopped.get_or_insert_with(Instant::now);
                let is_remote = self.remotes.iter().any(Option::is_some);
                // The devices are told, and have a while to say what they measured up to now.
                self.remotes.iter_mut().flatten().for_each(RemoteControl::stop);
                let within = if is_remote { STOP_WITHIN.max(options.stop_within) } else { options.stop_within };
                if is_over {
                    return Ok(EndReason::Finished);
                } else if since.elapsed() >= within {
                    return Ok(EndReason::Interrupted);
                }
            }
            if options.max_duration.is_some_and(|max| self.start.elapsed() >= max) {
                return Ok(if is_over { EndReason::Finished } else { EndReason::TimedOut });
            }
            if is_over {
                let since: Instant = *over_since.get_or_insert_with(Instant::now);
                if last_frame.elapsed() >= LINGER || since.elapsed() >= LINGER_AT_MOST {
                    return Ok(EndReason::Finished);
                }
            } else {
                over_since = None;
            }
            match events.recv_timeout(TICK) {
                Ok(event) => {
                    self.take(event, watcher)?;
                    let received = self.run.sources().iter().map(|source| source.session.frames()).sum();
                    if received != frames {
                        (frames, last_frame) = (received, Instant::now());
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                // Every line has ended.
                Err(RecvTimeoutError::Disconnected) => return Ok(EndReason::Finished),
            }
            watcher.tick(&self.run);
        }
    }

    /// Once every device that is still there has answered its start, the watcher is told; until then false.
    fn tell_started(&self, watcher: &mut impl RecordingWatcher) -> bool {
        let started: Option<Vec<_>> = self.remotes.iter().flatten().map(RemoteControl::started).collect();
        let Some(started) = started else { return false };
        if let (Some(first), Some(last)) = (started.iter().min(), started.iter().max())
            && started.len() > 1
        {
            watcher.started(started.len(), last.duration_since(*first));
        }
        true
    }

    /// Has every remote control look at what has come. One that fails ends its line: nothing more can be expected of it.
    fn poll_remotes(&mut self, watcher: &mut impl RecordingWatcher) -> Result<(), CaptureError> {
        for source in 0..u16::try_from(self.remotes.len()).unwrap_or(u16::MAX) {
            let index = usize::from(source);
            let Some(state) = self.run.sources().get(index) else { continue };
            if state.ended.is_some() {
                self.remotes[index] = None;
            }
            let Some(remote) = &mut self.remotes[index] else { continue };
            let Err(error) = remote.poll(&state.session) else { continue };
            self.remotes[index] = None;
            let (at_ns, reason) = (self.nanos(Instant::now()), error.to_string().into());
            self.append(&CaptureRecord::SourceEnd { source, at_ns, kind: LineEnd::Error, reason }, watcher)?;
        }
        Ok(())
    }

    fn take(&mut self, event: LineEvent, watcher: &mut impl RecordingWatcher) -> Result<(), CaptureError> {
        let (source, at_ns) = (event.source, self.nanos(event.at));
        let end = |kind, reason| CaptureRecord::SourceEnd { source, at_ns, kind, reason };
        match event.kind {
            LineEventKind::Bytes(bytes) => {
                self.append(&CaptureRecord::Data { source, at_ns, bytes: bytes.into() }, watcher)
            }
            LineEventKind::Ended => {
                self.append(&end(LineEnd::Eof, Cow::Borrowed("the other side closed the line")), watcher)
            }
            LineEventKind::Failed(error) => self.append(&end(LineEnd::Error, error.to_string().into()), watcher),
        }
    }

    /// First to the capture, then to the run.
    fn append(&mut self, record: &CaptureRecord<'_>, watcher: &mut impl RecordingWatcher) -> Result<(), CaptureError> {
        self.capture.append(record)?;
        self.run.apply(record, |source, note| {
            if let Some(phases) = self.phases.get_mut(usize::from(source)) {
                phases.note(&note);
            }
            watcher.note(source, &note);
        });
        Ok(())
    }

    fn finish(&mut self, reason: EndReason, watcher: &mut impl RecordingWatcher) -> Result<(), CaptureError> {
        let at_ns = self.nanos(Instant::now());
        for source in 0..u16::try_from(self.run.sources().len()).unwrap_or(u16::MAX) {
            if self.run.sources().get(usize::from(source)).is_some_and(|state| state.ended.is_none()) {
                let reason = Cow::Borrowed("recording ended");
                self.append(&CaptureRecord::SourceEnd { source, at_ns, kind: LineEnd::Stopped, reason }, watcher)?;
            }
        }
        self.append(&CaptureRecord::End { at_ns, reason }, watcher)?;
        watcher.tick(&self.run);
        Ok(())
    }

    /// Closes the capture and writes the artifacts, whatever became of the capture.
    fn close(
        mut self,
        finished: Result<(), CaptureError>,
        directory: &Path,
    ) -> Result<(RecordedRun, Vec<Phases>), RecordError> {
        let kept_bytes = self.capture.bytes_written();
        if finished.is_err() {
            // Nobody records what the devices would measure.
            self.remotes.iter_mut().flatten().for_each(RemoteControl::stop);
        }
        let capture = finished.and_then(|()| self.capture.finish().map(drop)).err();
        let artifact = write_artifacts(directory, &self.run.summary()).err();
        if capture.is_none() && artifact.is_none() {
            return Ok((self.run, self.phases));
        }
        Err(Box::new(Unwritten { run: self.run, kept_bytes, capture, artifact }).into())
    }

    fn nanos(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.start).as_nanos()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests;
