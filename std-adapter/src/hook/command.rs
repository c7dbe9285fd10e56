//! A program that is run for each event.

use std::io::{self, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use phasemeter_core::hook::{PhaseEvent, PhaseHook};
use phasemeter_core::phase::PhaseStats;
use serde::{Deserialize, Deserializer, Serialize};

use super::event::{EventRecord, PhaseDurations, name, timestamp};
use super::{Background, HookError, HookFailures};

/// Events that may wait while a program runs.
const QUEUED: usize = 64;
/// How often a running program is looked at.
const POLL: Duration = Duration::from_millis(5);
/// A program takes no longer than so long to be killed.
const SLACK: Duration = Duration::from_secs(1);

/// What a [`CommandHook`] runs.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandConfig {
    /// The program and its arguments. No shell looks at them.
    pub command: Vec<String>,
    /// How long the program may take before it is killed, such as `500ms` or `1m`; default: 10 s.
    /// At the end of a run, a load and a recorder wait 15 s for their hooks, whatever is configured here.
    #[serde(default = "timeout", deserialize_with = "length")]
    pub timeout: Duration,
}

fn timeout() -> Duration {
    Duration::from_secs(10)
}

fn length<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    humantime::parse_duration(&text)
        .map_err(|error| serde::de::Error::custom(format!("`{text}` is no length of time ({error}): try `2s`")))
}

impl CommandConfig {
    /// Runs this program with these arguments, everything else by default.
    pub fn new<S: Into<String>>(command: impl IntoIterator<Item = S>) -> Self {
        Self { command: command.into_iter().map(Into::into).collect(), timeout: timeout() }
    }
}

/// Runs a program for each event but progress, one after the other, on a thread of its own: nobody waits for it.
///
/// The program finds the event's name (`phase_start`, `phase_sending_complete`, `phase_timeout` or `phase_complete`) in
/// the environment as `PHASEMETER_EVENT`, and on its standard input one line of JSON:
///
/// ```json
/// {"schema":"phasemeter.hook-event/1","event":"phase_complete","timestamp":"2026-01-15T10:30:51.173Z",
///  "phase":"warmup","sent":1000,"sent_sessions":1000,"completed":990,"cancelled":10,"errors":7,"in_flight":0,
///  "index":0,"timed_out":true,"phase_cancelled":false,
///  "phase_durations":{"sending_duration":5.2,"total_duration":6.25}}
/// ```
///
/// The timestamp is the host's, UTC, when the event reached it; durations are in seconds, by the device's clock.
/// What the program prints goes to standard error.
///
/// A program that cannot be run, fails or takes too long is a failure; one that takes too long is killed, on Unix with
/// all that it started. Up to 64 events wait; what finds no room is a failure, too. Dropping the hook runs the program
/// for what waits, but takes no longer than the time-out and a second.
#[derive(Debug)]
pub struct CommandHook {
    worker: Background,
    /// When the last program has to end; set at the end of the run.
    deadline: Arc<OnceLock<Instant>>,
    timeout: Duration,
}

impl CommandHook {
    /// A hook that runs what is configured. Whether there is such a program is seen at the first event.
    ///
    /// # Errors
    /// [`HookError::Config`] if there is no program or no time, [`HookError::Thread`] if the system has no thread left.
    pub fn new(config: CommandConfig) -> Result<Self, HookError> {
        let CommandConfig { command, timeout } = config;
        let mut words = command.into_iter();
        let Some(program) = words.next() else {
            return Err(HookError::Config("the command is empty: give a program and its arguments"));
        };
        if timeout.is_zero() {
            return Err(HookError::Config("the timeout is 0: give the program time, such as 10s"));
        }
        let failures = HookFailures::new("command");
        let deadline = Arc::new(OnceLock::new());
        let runner = CommandRunner {
            program,
            arguments: words.collect(),
            timeout,
            deadline: Arc::clone(&deadline),
            failures: failures.clone(),
        };
        let patience = timeout.saturating_add(SLACK);
        let worker = Background::with(runner, QUEUED, patience, failures)?;
        Ok(Self { worker, deadline, timeout })
    }

    /// Counts the events for which the program was not run, failed, or took too long.
    pub fn failures(&self) -> &HookFailures {
        self.worker.failures()
    }
}

impl PhaseHook for CommandHook {
    fn on_event(&mut self, event: PhaseEvent, phase: &PhaseStats, now: phasemeter_core::time::Instant) {
        if event != PhaseEvent::Progress {
            self.worker.on_event(event, phase, now);
        }
    }
}

impl Drop for CommandHook {
    fn drop(&mut self) {
        if let Some(deadline) = Instant::now().checked_add(self.timeout) {
            let _ = self.deadline.set(deadline);
        }
    }
}

/// The hook on the thread.
struct CommandRunner {
    program: String,
    arguments: Vec<String>,
    timeout: Duration,
    deadline: Arc<OnceLock<Instant>>,
    failures: HookFailures,
}

/// What a program reads.
#[derive(Serialize)]
struct Message {
    schema: &'static str,
    #[serde(flatten)]
    event: EventRecord,
    index: u16,
    timed_out: bool,
    phase_cancelled: bool,
    phase_durations: PhaseDurations,
}

impl PhaseHook for CommandRunner {
    fn on_event(&mut self, event: PhaseEvent, phase: &PhaseStats, now: phasemeter_core::time::Instant) {
        let message = Message {
            schema: "phasemeter.hook-event/1",
            event: EventRecord::new(event, phase, timestamp()),
            index: phase.index,
            timed_out: phase.timed_out,
            phase_cancelled: phase.cancelled,
            phase_durations: PhaseDurations::at(event, phase, now),
        };
        self.failures.check(match self.run(event, &message) {
            Ok(Some(status)) if status.success() => Ok(()),
            Ok(Some(status)) => Err(HookError::Exit { program: self.program.clone(), status, event }),
            Ok(None) => Err(HookError::TimedOut { program: self.program.clone(), timeout: self.timeout, event }),
            Err(cause) => Err(HookError::Run { program: self.program.clone(), cause }),
        });
    }
}

impl CommandRunner {
    /// Runs the program; `None` if it took too long.
    fn run(&self, event: PhaseEvent, message: &Message) -> io::Result<Option<ExitStatus>> {
        let mut line = serde_json::to_vec(message)?;
        line.push(b'\n');
        let started = Instant::now();
        let is_over = || {
            started.elapsed() >= self.timeout || self.deadline.get().is_some_and(|deadline| Instant::now() >= *deadline)
        };
        if is_over() {
            return Ok(None);
        }
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).env("PHASEMETER_EVENT", name(event));
        command.stdin(Stdio::piped()).stdout(io::stderr());
        group::separate(&mut command);
        let mut child = command.spawn()?;
        if let Some(mut input) = child.stdin.take() {
            // Less than any pipe takes at once, so this does not wait; a program need not read it.
            let _ = input.write_all(&line);
        }
        while !is_over() {
            if let Some(status) = child.try_wait()? {
                return Ok(Some(status));
            }
            std::thread::sleep(POLL);
        }
        kill(&mut child).map(|()| None)
    }
}

fn kill(child: &mut Child) -> io::Result<()> {
    group::kill(child);
    child.kill()?;
    child.wait().map(drop)
}

/// A program and what it starts are a process group, so that they can be killed together.
#[cfg(unix)]
mod group {
    use std::os::unix::process::CommandExt;
    use std::process::{Child, Command};

    use rustix::process::{Pid, Signal, kill_process_group};

    pub(super) fn separate(command: &mut Command) {
        command.process_group(0);
    }

    pub(super) fn kill(child: &Child) {
        // Fails if all of them have ended.
        let _ = kill_process_group(Pid::from_child(child), Signal::KILL);
    }
}

#[cfg(not(unix))]
mod group {
    use std::process::{Child, Command};

    pub(super) fn separate(_: &mut Command) {}

    pub(super) fn kill(_: &Child) {}
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::hook::event::tests::{EVENTS, phase_at};
    use serde_json::Value;
    use std::fs;
    use std::path::Path;
    use std::sync::mpsc::{Receiver, channel};

    /// A hook that runs a shell script in a directory.
    fn shell(directory: &Path, script: &str, timeout: Duration) -> (CommandHook, Receiver<String>) {
        let script = format!("cd \"$0\" || exit 9; {script}");
        let config = CommandConfig::new(["sh", "-c", &script, directory.to_str().unwrap()]);
        let hook = CommandHook::new(CommandConfig { timeout, ..config }).unwrap();
        let (sender, reported) = channel();
        hook.failures().report_to(move |error| sender.send(error.to_string()).unwrap());
        (hook, reported)
    }

    fn tell(hook: &mut CommandHook, event: PhaseEvent) {
        let (phase, now) = phase_at(event);
        hook.on_event(event, &phase, now);
    }

    #[test]
    fn a_program_is_run_for_each_event_in_order_and_told_of_it() {
        let directory = tempfile::tempdir().unwrap();
        let script = "echo \"$PHASEMETER_EVENT\" >> events && cat > \"$PHASEMETER_EVENT.json\"";
        let (mut hook, reported) = shell(directory.path(), script, Duration::from_secs(20));
        let failures = hook.failures().clone();
        for event in EVENTS {
            tell(&mut hook, event);
        }
        drop(hook);
        assert_eq!((failures.count(), reported.try_iter().next()), (0, None));
        let read = |name: &str| fs::read_to_string(directory.path().join(name)).unwrap();
        assert_eq!(read("events"), "phase_start\nphase_sending_complete\nphase_timeout\nphase_complete\n");
        let told: Value = serde_json::from_str(&read("phase_timeout.json")).unwrap();
        let expected = serde_json::json!({
            "schema": "phasemeter.hook-event/1", "event": "phase_timeout", "timestamp": told["timestamp"],
            "phase": "warmup", "sent": 1000, "sent_sessions": 1000, "completed": 990, "cancelled": 0, "errors": 7,
            "in_flight": 10, "index": 0, "timed_out": true, "phase_cancelled": false,
            "phase_durations": {"sending_duration": 5.2, "total_duration": 6.25},
        });
        assert_eq!(told, expected);
    }

    #[test]
    fn a_program_that_fails_is_reported_once_and_counted() {
        let directory = tempfile::tempdir().unwrap();
        let (mut hook, reported) = shell(directory.path(), "exit 3", Duration::from_secs(20));
        let failures = hook.failures().clone();
        for event in EVENTS {
            tell(&mut hook, event);
        }
        drop(hook);
        assert_eq!(failures.count(), 4);
        assert_eq!(reported.try_iter().collect::<Vec<_>>(), ["sh ended with exit status: 3 at phase_start"]);

        let mut hook = CommandHook::new(CommandConfig::new(["/missing/program"])).unwrap();
        let (sender, reported) = channel();
        hook.failures().report_to(move |error| sender.send(error.to_string()).unwrap());
        tell(&mut hook, PhaseEvent::Start);
        assert!(reported.recv().unwrap().starts_with("cannot run /missing/program: "));
    }

    #[test]
    fn a_program_that_takes_too_long_is_killed_with_all_it_started() {
        let directory = tempfile::tempdir().unwrap();
        let script = "(sleep 2; touch survived) & touch started; wait";
        let (mut hook, reported) = shell(directory.path(), script, Duration::from_millis(500));
        let start = Instant::now();
        tell(&mut hook, PhaseEvent::Start);
        assert!(start.elapsed() < Duration::from_millis(100), "nobody waits");
        assert_eq!(reported.recv().unwrap(), "sh took longer than 500ms at phase_start and was killed");
        assert!(directory.path().join("started").exists());
        drop(hook);
        std::thread::sleep(Duration::from_secs(2));
        assert!(!directory.path().join("survived").exists());
    }

    #[test]
    fn the_end_of_a_run_waits_no_longer_than_the_timeout() {
        let directory = tempfile::tempdir().unwrap();
        let (mut hook, _reported) = shell(directory.path(), "echo >> runs; sleep 60", Duration::from_millis(700));
        let failures = hook.failures().clone();
        // More than wait at once.
        (0..100).for_each(|_| tell(&mut hook, PhaseEvent::Start));
        let start = Instant::now();
        drop(hook);
        assert!(start.elapsed() < Duration::from_millis(700) + SLACK + SLACK, "{:?}", start.elapsed());
        assert_eq!(failures.count(), 100, "killed, not run in time, or without room");
        let runs = fs::read_to_string(directory.path().join("runs")).unwrap().lines().count();
        assert!((1..=2).contains(&runs), "{runs}");
    }

    #[test]
    fn a_configuration_is_read_with_its_defaults_and_checked() {
        let config: CommandConfig = serde_json::from_str(r#"{"command": ["a", "b"]}"#).unwrap();
        assert_eq!(config, CommandConfig { timeout: Duration::from_secs(10), ..CommandConfig::new(["a", "b"]) });
        let config: CommandConfig = serde_json::from_str(r#"{"command": [], "timeout": "1m 500ms"}"#).unwrap();
        assert_eq!(config.timeout, Duration::from_millis(60_500));
        assert!(CommandHook::new(config).unwrap_err().to_string().contains("the command is empty"));
        let endless = CommandConfig { timeout: Duration::ZERO, ..CommandConfig::new(["a"]) };
        assert!(CommandHook::new(endless).unwrap_err().to_string().contains("the timeout is 0"));
        for wrong in [r#"{"command": "a b"}"#, r#"{"command": ["a"], "timeout": "soon"}"#, "{}"] {
            serde_json::from_str::<CommandConfig>(wrong).unwrap_err();
        }
    }
}
