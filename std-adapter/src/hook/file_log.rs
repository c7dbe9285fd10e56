//! A line in a log file for each event.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use phasemeter_core::hook::{PhaseEvent, PhaseHook};
use phasemeter_core::phase::PhaseStats;
use phasemeter_core::time::Instant;
use serde::Deserialize;

use super::event::{elapsed, name, phase_name, seconds, timestamp};
use super::{HookError, HookFailures, WriteError, create_parent};

/// More old files than anybody wants.
const MAX_KEEP: u32 = 1_000;

/// How a [`FileLogHook`] logs.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileLogConfig {
    /// The log file. Lines are appended to what it has.
    pub log_file: PathBuf,
    /// Whether a line has statistics; default: no.
    #[serde(default)]
    pub verbose: bool,
    /// Whether the log file's directory is made if it does not exist; default: yes.
    #[serde(default = "yes")]
    pub create_dirs: bool,
    /// The log file is rotated before it has more than so many bytes, at least 1; default: never.
    #[serde(default)]
    pub max_bytes: Option<u64>,
    /// How many rotated files are kept, `log.1` being the newest: 0 to 1,000; default: 5.
    #[serde(default = "keep")]
    pub keep: u32,
}

fn yes() -> bool {
    true
}

fn keep() -> u32 {
    5
}

impl FileLogConfig {
    /// Logs to this file, everything else by default.
    pub fn new(log_file: impl Into<PathBuf>) -> Self {
        Self { log_file: log_file.into(), verbose: false, create_dirs: yes(), max_bytes: None, keep: keep() }
    }
}

/// Appends a line to a log file for each event but progress:
///
/// ```text
/// [2026-01-15 10:30:45.001Z] PHASE_START: warmup
/// [2026-01-15 10:30:50.123Z] PHASE_SENDING_COMPLETE: warmup | Sent: 1000, Sessions: 1000, Duration: 5.20s
/// [2026-01-15 10:30:51.173Z] PHASE_TIMEOUT: warmup | In-Flight: 10, Duration: 6.25s
/// [2026-01-15 10:30:51.173Z] PHASE_COMPLETE: warmup | Completed: 990, Cancelled: 10, Errors: 7, Duration: 6.25s
/// ```
///
/// What follows the bar is there if the hook is verbose. The time is the host's, UTC, when the event reached it; durations
/// are in seconds, by the device's clock, from the start of the phase. Each line is one write at the end of the file,
/// so several processes can share a log; it is not synced.
#[derive(Debug)]
pub struct FileLogHook {
    config: FileLogConfig,
    /// The last write stopped within a line, as on a full disk.
    torn: bool,
    failures: HookFailures,
}

impl FileLogHook {
    /// A hook that logs as configured. The file is opened once now, so that an unusable path is told before the run.
    ///
    /// # Errors
    /// [`HookError`] if the configuration is out of range or the file cannot be opened.
    pub fn new(config: FileLogConfig) -> Result<Self, HookError> {
        if config.max_bytes == Some(0) {
            return Err(HookError::Config("max_bytes is 0: give at least 1, or leave it out to never rotate"));
        }
        if config.keep > MAX_KEEP {
            return Err(HookError::Config("keep is too large: give at most 1000 files"));
        }
        if config.create_dirs {
            create_parent(&config.log_file)?;
        }
        let hook = Self { config, torn: false, failures: HookFailures::new("file log") };
        hook.open().map_err(WriteError::at(&hook.config.log_file))?;
        Ok(hook)
    }

    /// Counts the lines that could not be written, and rotations that failed.
    pub fn failures(&self) -> &HookFailures {
        &self.failures
    }

    fn open(&self) -> io::Result<fs::File> {
        OpenOptions::new().append(true).create(true).open(&self.config.log_file)
    }

    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        let written = self.open()?.write(line)?;
        // A line that only ends one that was torn before has torn nothing new by writing nothing.
        self.torn = written < line.len() && (written > 0 || self.torn);
        if written < line.len() {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "there was no room for the whole line"));
        }
        Ok(())
    }

    /// Moves the log aside if `more` bytes would make it too large: `log` becomes `log.1`, `log.1` becomes `log.2`.
    fn rotate(&self, more: usize) -> Result<(), WriteError> {
        let log = &self.config.log_file;
        let Some(max_bytes) = self.config.max_bytes else { return Ok(()) };
        let length = fs::metadata(log).map_or(0, |metadata| metadata.len());
        if length == 0 || length.saturating_add(more as u64) <= max_bytes {
            return Ok(());
        }
        let Some(oldest) = self.config.keep.checked_sub(1) else {
            return fs::remove_file(log).map_err(WriteError::at(log));
        };
        for number in (1..=oldest).rev() {
            move_aside(&numbered(log, number), &numbered(log, number + 1))?;
        }
        move_aside(log, &numbered(log, 1))
    }
}

impl PhaseHook for FileLogHook {
    fn on_event(&mut self, event: PhaseEvent, phase: &PhaseStats, now: Instant) {
        let Some(mut line) = line(event, phase, now, self.config.verbose) else { return };
        if self.torn {
            line.insert(0, '\n');
        }
        let rotated = self.rotate(line.len());
        self.failures.check(rotated.map_err(HookError::Rotate));
        let appended = self.append(line.as_bytes());
        self.failures.check(appended.map_err(WriteError::at(&self.config.log_file)).map_err(HookError::Write));
    }
}

/// Renames a file that may not exist.
fn move_aside(from: &Path, to: &Path) -> Result<(), WriteError> {
    match fs::rename(from, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(WriteError::at(from)(error)),
        _ => Ok(()),
    }
}

fn numbered(log: &Path, number: u32) -> PathBuf {
    let mut name = log.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

/// The line of an event with its end.
fn line(event: PhaseEvent, phase: &PhaseStats, now: Instant, verbose: bool) -> Option<String> {
    let counts = &phase.counts;
    let statistics = match event {
        PhaseEvent::Start => String::new(),
        PhaseEvent::SendingComplete => format!("Sent: {}, Sessions: {}", counts.sent, counts.sessions()),
        PhaseEvent::Timeout => format!("In-Flight: {}", counts.in_flight()),
        PhaseEvent::Complete => {
            format!("Completed: {}, Cancelled: {}, Errors: {}", counts.completed, counts.cancelled, counts.errors)
        }
        PhaseEvent::Progress => return None,
    };
    let time = timestamp().replacen('T', " ", 1);
    let mut line = format!("[{time}] {}: {}", name(event).to_ascii_uppercase(), phase_name(phase));
    if verbose && !statistics.is_empty() {
        let duration = match event {
            PhaseEvent::SendingComplete => phase.sending_duration(),
            _ => elapsed(phase, now),
        };
        let _ = write!(line, " | {statistics}");
        if let Some(duration) = duration {
            let _ = write!(line, ", Duration: {:.2}s", seconds(duration));
        }
    }
    line.push('\n');
    Some(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hook::event::tests::{EVENTS, monitored, phase_at};

    fn tell(hook: &mut FileLogHook, event: PhaseEvent) {
        let (phase, now) = phase_at(event);
        hook.on_event(event, &phase, now);
    }

    /// The log without its timestamps, which are checked.
    fn read(path: &Path) -> Vec<String> {
        let text = fs::read_to_string(path).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'));
        let lines = text.lines().map(|line| {
            let (time, rest) = line.strip_prefix('[').unwrap().split_once("] ").unwrap();
            assert_eq!(time.len(), "2026-01-15 10:30:50.123Z".len());
            humantime::parse_rfc3339(&time.replace(' ', "T")).unwrap();
            rest.to_owned()
        });
        lines.collect()
    }

    #[test]
    fn a_verbose_log_has_a_line_with_statistics_for_each_event() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deep/er/phases.log");
        let mut hook = FileLogHook::new(FileLogConfig { verbose: true, ..FileLogConfig::new(&path) }).unwrap();
        for event in EVENTS {
            tell(&mut hook, event);
        }
        let expected = [
            "PHASE_START: warmup",
            "PHASE_SENDING_COMPLETE: warmup | Sent: 1000, Sessions: 1000, Duration: 5.20s",
            "PHASE_TIMEOUT: warmup | In-Flight: 10, Duration: 6.25s",
            "PHASE_COMPLETE: warmup | Completed: 990, Cancelled: 10, Errors: 7, Duration: 6.25s",
        ];
        assert_eq!(read(&path), expected);
        assert_eq!(hook.failures().count(), 0);
    }

    #[test]
    fn a_log_that_is_not_verbose_has_no_statistics_and_is_appended_to() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("phases.log");
        for _ in 0..2 {
            let mut hook = FileLogHook::new(FileLogConfig::new(&path)).unwrap();
            tell(&mut hook, PhaseEvent::Start);
            tell(&mut hook, PhaseEvent::Complete);
        }
        assert_eq!(read(&path), ["PHASE_START: warmup", "PHASE_COMPLETE: warmup"].repeat(2));
    }

    #[test]
    fn a_phase_that_a_firmware_names_has_one_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("phases.log");
        let mut hook = FileLogHook::new(FileLogConfig::new(&path)).unwrap();
        hook.on_event(PhaseEvent::Start, &monitored(), Instant::BOOT);
        assert_eq!(read(&path), ["PHASE_START: flash\u{fffd}write"]);
    }

    #[test]
    fn an_unusable_configuration_is_told_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let config = FileLogConfig::new(directory.path().join("missing/phases.log"));
        let error = FileLogHook::new(FileLogConfig { create_dirs: false, ..config.clone() }).unwrap_err();
        assert!(error.to_string().starts_with("cannot write "), "{error}");
        assert!(!directory.path().join("missing").exists());
        FileLogHook::new(FileLogConfig { max_bytes: Some(0), ..config.clone() }).unwrap_err();
        FileLogHook::new(FileLogConfig { keep: 1_001, ..config.clone() }).unwrap_err();
        FileLogHook::new(config).unwrap();
        assert!(directory.path().join("missing/phases.log").exists());
        let below_a_file = directory.path().join("missing/phases.log/log");
        let error = FileLogHook::new(FileLogConfig::new(below_a_file)).unwrap_err();
        assert!(error.to_string().starts_with("cannot make the directory "), "{error}");
    }

    #[test]
    fn the_log_is_rotated_and_the_oldest_are_dropped() {
        for keep in 0..4 {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("phases.log");
            let config = FileLogConfig { max_bytes: Some(100), keep, ..FileLogConfig::new(&path) };
            let mut hook = FileLogHook::new(config).unwrap();
            // A start takes 47 bytes, the end of sending 58.
            for _ in 0..5 {
                tell(&mut hook, PhaseEvent::Start);
                tell(&mut hook, PhaseEvent::Start);
                tell(&mut hook, PhaseEvent::SendingComplete);
            }
            assert_eq!(read(&path), ["PHASE_SENDING_COMPLETE: warmup"]);
            for number in 1..=keep {
                let expected: &[_] =
                    if number % 2 == 1 { &["PHASE_START: warmup"; 2] } else { &["PHASE_SENDING_COMPLETE: warmup"] };
                assert_eq!(read(&numbered(&path, number)), expected, "{number}");
            }
            assert_eq!(fs::read_dir(directory.path()).unwrap().count(), keep as usize + 1);
            assert_eq!(hook.failures().count(), 0);
        }
    }

    #[test]
    fn a_rotation_that_fails_loses_no_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("phases.log");
        fs::create_dir(numbered(&path, 1)).unwrap();
        let mut hook =
            FileLogHook::new(FileLogConfig { max_bytes: Some(1), keep: 1, ..FileLogConfig::new(&path) }).unwrap();
        hook.failures().report_to(|error| assert!(error.to_string().starts_with("cannot rotate "), "{error}"));
        (0..3).for_each(|_| tell(&mut hook, PhaseEvent::Start));
        assert_eq!((read(&path).len(), hook.failures().count()), (3, 2));
    }

    #[test]
    fn a_configuration_is_read_with_its_defaults() {
        let config: FileLogConfig = serde_json::from_str(r#"{"log_file": "a"}"#).unwrap();
        assert_eq!(config, FileLogConfig::new("a"));
        serde_json::from_str::<FileLogConfig>(r#"{"log_file": "a", "verbos": true}"#).unwrap_err();
        serde_json::from_str::<FileLogConfig>("{}").unwrap_err();
    }
}
