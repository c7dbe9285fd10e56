//! What the host does when a phase starts, stops sending, times out or completes.
//!
//! The same [`PhaseHook`]s watch a load in its own process and, over the line, the load of a device. A host hook is
//! told in the background, so that a slow disk or program delays neither a request nor the capture, and what it fails
//! at is reported once and counted: the run goes on.
//!
//! | hook | does |
//! |---|---|
//! | [`FileLogHook`] | a line in a log file for each event, with rotation |
//! | [`JsonMetricsHook`] | a JSON file, replaced atomically, with the events and durations of the phases |
//! | [`CommandHook`] | runs a program for each event |
//! | [`Hooks`] | a list of hooks, told in order |
//! | [`Background`] | tells a hook on a thread of its own |
//! | [`PhaseWatch`] | makes events of the reports that come over a line |
//!
//! A hook of your own implements [`PhaseHook`]; `examples/slow_phase_alert.rs` has one. A hook that panics ends its
//! background thread: it is told no more, and the run goes on.
//!
//! ```
//! use phasemeter::hook::{FileLogConfig, FileLogHook, Hooks};
//!
//! # let directory = tempfile::tempdir()?;
//! let log = FileLogHook::new(FileLogConfig::new(directory.path().join("logs/phases.log")))?;
//! let failures = log.failures().clone();
//! let mut hooks = Hooks::new();
//! hooks.push(log);
//! # drop(hooks);
//! assert_eq!(failures.count(), 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod host_time;
mod event;
mod failures;
mod background;
mod watch;
mod file_log;
mod metrics;
mod json_metrics;
mod command;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use phasemeter_core::hook::{PhaseEvent, PhaseHook};
use phasemeter_core::phase::PhaseStats;
use phasemeter_core::time::Instant;

use crate::atomic::WriteError;
pub use background::Background;
pub use command::{CommandConfig, CommandHook};
pub use failures::HookFailures;
pub use file_log::{FileLogConfig, FileLogHook};
pub use host_time::host_time;
pub(crate) use host_time::told_at;
pub use json_metrics::{JsonMetricsConfig, JsonMetricsHook};
pub use watch::PhaseWatch;

/// What a host hook could not do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HookError {
    /// The configuration cannot be used.
    #[error("{0}")]
    Config(&'static str),
    /// The directory of a hook's file could not be made.
    #[error("cannot make the directory {}: {cause}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What went wrong.
        cause: io::Error,
    },
    /// A file could not be written.
    #[error("cannot write {0}")]
    Write(WriteError),
    /// A log file could not be rotated; the line was written all the same.
    #[error("cannot rotate {0}")]
    Rotate(WriteError),
    /// No thread for the background.
    #[error("cannot start a thread for the hooks: {0}")]
    Thread(io::Error),
    /// A program could not be run.
    #[error("cannot run {program}: {cause}")]
    Run {
        /// The program.
        program: String,
        /// What went wrong.
        cause: io::Error,
    },
    /// A program failed.
    #[error("{program} ended with {status} at {}", event::name(*event))]
    Exit {
        /// The program.
        program: String,
        /// Its exit code, or the signal that ended it.
        status: std::process::ExitStatus,
        /// The event it was run for.
        event: PhaseEvent,
    },
    /// A program took too long and was killed.
    #[error("{program} took longer than {} at {} and was killed", humantime::format_duration(*timeout), event::name(*event))]
    TimedOut {
        /// The program.
        program: String,
        /// How long it may take.
        timeout: Duration,
        /// The event it was run for.
        event: PhaseEvent,
    },
    /// The hook is slower than the events come, so it was not told of this one.
    #[error("the hook is still busy with earlier events and was not told of {}", event::name(*.0))]
    Busy(PhaseEvent),
    /// The hook panicked, so it is told no more.
    #[error("the hook panicked before {} and is told no more", event::name(*.0))]
    Panicked(PhaseEvent),
    /// The hook did not end in time at the end of the run.
    #[error("the hook was not done {} after the run, and was left behind", humantime::format_duration(*.0))]
    LeftBehind(Duration),
}

impl From<WriteError> for HookError {
    fn from(cause: WriteError) -> Self {
        Self::Write(cause)
    }
}

/// A list of hooks that is a hook: each is told of every event, in the order in which they were added.
#[derive(Default)]
pub struct Hooks(Vec<Box<dyn PhaseHook + Send>>);

impl Hooks {
    /// No hooks: nobody is told.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a hook; it is told after those added before.
    pub fn push(&mut self, hook: impl PhaseHook + Send + 'static) {
        self.0.push(Box::new(hook));
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl PhaseHook for Hooks {
    fn on_event(&mut self, event: PhaseEvent, phase: &PhaseStats, now: Instant) {
        for hook in &mut self.0 {
            hook.on_event(event, phase, now);
        }
    }
}

impl From<Vec<Box<dyn PhaseHook + Send>>> for Hooks {
    fn from(hooks: Vec<Box<dyn PhaseHook + Send>>) -> Self {
        Self(hooks)
    }
}

impl Extend<Box<dyn PhaseHook + Send>> for Hooks {
    fn extend<T: IntoIterator<Item = Box<dyn PhaseHook + Send>>>(&mut self, hooks: T) {
        self.0.extend(hooks);
    }
}

impl std::fmt::Debug for Hooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hooks").field("len", &self.0.len()).finish_non_exhaustive()
    }
}

/// Makes the directory of a hook's file.
fn create_parent(file: &Path) -> Result<(), HookError> {
    let Some(directory) = file.parent() else { return Ok(()) };
    fs::create_dir_all(directory).map_err(|cause| HookError::Directory { path: directory.to_owned(), cause })
}

#[cfg(test)]
mod printed;
#[cfg(test)]
mod tests {
    use super::*;
    use event::tests::{EVENTS, PHASE};
    use std::sync::mpsc::{Sender, channel};

    struct Named(&'static str, Sender<(&'static str, PhaseEvent)>);

    impl PhaseHook for Named {
        fn on_event(&mut self, event: PhaseEvent, _: &PhaseStats, _: Instant) {
            self.1.send((self.0, event)).unwrap();
        }
    }

    #[test]
    fn a_list_of_hooks_tells_each_in_order() {
        let (sender, told) = channel();
        let mut hooks = Hooks::new();
        assert!(hooks.is_empty());
        hooks.push(Named("first", sender.clone()));
        hooks.extend([Box::new(Named("second", sender)) as Box<dyn PhaseHook + Send>]);
        for event in EVENTS {
            hooks.on_event(event, &PHASE, Instant::BOOT);
        }
        drop(hooks);
        let expected: Vec<_> = EVENTS.into_iter().flat_map(|event| [("first", event), ("second", event)]).collect();
        assert_eq!(told.iter().collect::<Vec<_>>(), expected);
    }
}
