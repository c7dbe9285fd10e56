//! Processes that never outlive this one's interest in them.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};

/// How long a program may take to say that it is ready.
const PATIENCE: Duration = Duration::from_secs(20);

/// A process that is killed when it is dropped.
pub(super) struct Process {
    name: &'static str,
    pub(super) child: Child,
}

impl Process {
    pub(super) fn start(name: &'static str, command: &mut Command) -> Result<Self> {
        let child = command.spawn().with_context(|| format!("{name} could not be started"))?;
        Ok(Self { name, child })
    }

    /// Starts a process that a Ctrl-C on the terminal does not reach.
    pub(super) fn start_apart(name: &'static str, command: &mut Command) -> Result<Self> {
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(command, 0);
        Self::start(name, command)
    }

    /// Waits for its end while `go_on` agrees.
    pub(super) fn wait(&mut self, mut go_on: impl FnMut() -> Result<()>) -> Result<ExitStatus> {
        loop {
            if let Some(status) = self.child.try_wait().with_context(|| format!("cannot wait for {}", self.name))? {
                return Ok(status);
            }
            go_on()?;
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended, and been reaped, before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What follows `before` in a line that `stream` says; `each` gets every line, then and later.
pub(super) fn rest_of_line(
    stream: impl Read + Send + 'static,
    before: &'static str,
    each: impl Fn(&str) + Send + 'static,
) -> Result<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            each(&line);
            if let Some((_, rest)) = line.split_once(before) {
                // Nobody listens any more after the first.
                let _ = sender.send(rest.to_owned());
            }
        }
    });
    received(&receiver, before)
}

fn received(receiver: &Receiver<String>, what: &str) -> Result<String> {
    receiver.recv_timeout(PATIENCE).map_err(|_| anyhow!("nobody said `{}`", what.trim()))
}
