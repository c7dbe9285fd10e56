//! The `phasemeter` command as a process that is always reaped.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long anything that should take a moment may take on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(20);

/// The command lies in `target/PROFILE`, as do executables of this package, and in `deps` below it those of tests.
fn program() -> PathBuf {
    let own = std::env::current_exe().expect("a process has an executable");
    let name = format!("phasemeter{}", std::env::consts::EXE_SUFFIX);
    let mut places = own.ancestors().skip(1).take(2).map(|directory| directory.join(&name));
    let program = places.find(|place| place.is_file()).unwrap_or_else(|| name.into());
    assert!(
        program.exists(),
        "{} is missing: run `cargo build -p phasemeter` with the same profile",
        program.display()
    );
    program
}

/// The `phasemeter` command with these arguments, in this working directory. Its input is empty.
pub fn phasemeter<S: AsRef<std::ffi::OsStr>>(directory: &Path, arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(program());
    command.args(arguments).current_dir(directory).stdin(Stdio::null()).env("RUST_BACKTRACE", "1");
    command
}

/// Runs the command to its end, for [`LIMIT`] at most.
pub fn run<S: AsRef<std::ffi::OsStr>>(directory: &Path, arguments: impl IntoIterator<Item = S>) -> Exited {
    Running::start(&mut phasemeter(directory, arguments)).wait(LIMIT)
}

/// Asks again and again until there is an answer, for `limit` at most; `what` says what was waited for.
pub fn wait_for<T>(what: &str, limit: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited {limit:?} in vain: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// How a process ended, and what it said.
#[derive(Debug)]
pub struct Exited {
    /// The exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// A process that is killed and reaped when it is dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdout: Option<JoinHandle<String>>,
    stderr: Option<JoinHandle<()>>,
    said: Arc<Mutex<String>>,
}

impl Running {
    /// Starts the command; what it says is collected.
    pub fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the command starts");
        let mut output = child.stdout.take().expect("it is piped");
        let stdout = thread::spawn(move || {
            let mut text = String::new();
            output.read_to_string(&mut text).expect("the output is UTF-8");
            text
        });
        let said = Arc::new(Mutex::new(String::new()));
        let (errors, collected) = (BufReader::new(child.stderr.take().expect("it is piped")), Arc::clone(&said));
        let stderr = thread::spawn(move || {
            for line in errors.lines() {
                let line = line.expect("the messages are UTF-8") + "\n";
                collected.lock().unwrap_or_else(PoisonError::into_inner).push_str(&line);
            }
        });
        Self { child, stdout: Some(stdout), stderr: Some(stderr), said }
    }

    /// The process.
    pub fn child(&self) -> &Child {
        &self.child
    }

    /// The process's input, if it is piped and was not taken before.
    pub fn take_stdin(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    /// What it said on standard error so far.
    pub fn stderr(&self) -> String {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until it says `before` on standard error, and returns the rest of that line.
    pub fn wait_for_rest_of(&self, before: &str) -> String {
        wait_for(before, LIMIT, || {
            let said = self.stderr();
            let (_, rest) = said.split_once(before)?;
            rest.split_once('\n').map(|(rest, _)| rest.to_owned())
        })
    }

    /// Waits for its end, for `limit` at most.
    pub fn wait(mut self, limit: Duration) -> Exited {
        let what = format!("the end of the process, which said: {}", self.stderr());
        let status = wait_for(&what, limit, || self.child.try_wait().expect("a child can be waited for"));
        let stdout = self.stdout.take().and_then(|thread| thread.join().ok()).expect("the output was read");
        self.stderr.take().and_then(|thread| thread.join().ok()).expect("the messages were read");
        Exited { code: status.code(), stdout, stderr: self.stderr() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended, and been reaped, long ago.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
