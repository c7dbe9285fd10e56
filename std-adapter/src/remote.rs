//! Commands to a device: who are you, take this plan, start, stop.
//!
//! [`Remote`] speaks with one device over an open line before its run is recorded: it asks who the device is and uploads
//! the plan phase by phase, a command at a time, each sent again until it is answered. [`Remote::into_recording`] then gives the
//! [`RemoteControl`] that goes along with the recording: it starts the run, acknowledges what has come whole, and stops
//! the run when told to.

mod control;
#[cfg(test)]
mod tests;

use std::io::{self, Write};
use std::time::{Duration, Instant};

use phasemeter_core::phase::PhaseState;
use phasemeter_core::plan::{PhaseKind, RunPlan, Workload};
use phasemeter_core::telemetry::{
    Answer, COMMAND_VERSION, Command, CommandEnvelope, Envelope, Frame, Hello, MAX_ENCODED, Mode, Received, Receiver,
    Refusal, encode_command,
};

use crate::source::{Line, LineRead};
use crate::text::printable;

pub use control::RemoteControl;

/// A command that was not answered is sent again after so long,
const ANSWER_WITHIN: Duration = Duration::from_millis(400);
/// and this often before the device is given up.
const ATTEMPTS: u32 = 12;
/// How long a device that was told to stop may take until it is idle.
pub(crate) const STOP_WITHIN: Duration = Duration::from_secs(10);

/// Why a device could not be told what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteError {
    /// The line failed.
    #[error(transparent)]
    Line(#[from] io::Error),
    /// The other side closed the line.
    #[error("the other side closed the line before the run was started")]
    Closed,
    /// No answer came.
    #[error(
        "no answer within {} s: is it running, at the right baud rate, and does its firmware take commands?",
        (ANSWER_WITHIN * ATTEMPTS).as_secs()
    )]
    Silent,
    /// The plan has a phase for a host's load generator.
    #[error(
        "phase {index} ({kind}) asks for what only the host's load generator can do (a method, headers, a body, TLS or \
         credentials): a device sends plain GETs and chats"
    )]
    HostOnly {
        /// The phase's place in the plan.
        index: u16,
        /// What the phase is for.
        kind: PhaseKind,
    },
    /// The device refused.
    #[error("the device refuses: {0}")]
    Refused(Refusal),
    /// The device has another plan than it was sent.
    #[error("the device echoes plan {got:016x}, and was sent {sent:016x}: are host and firmware of one version?")]
    OtherPlan {
        /// The hash of the plan that was sent.
        sent: u64,
        /// The hash that came back.
        got: u64,
    },
    /// The device has no ear for commands.
    #[error("it measures itself and runs no plans: `phasemeter record` records what it tells")]
    Monitor,
    /// Nothing came for a long time.
    #[error("nothing has come from the device for {0} s")]
    Gone(u64),
    /// The device has forgotten its plan.
    #[error("the device was reset in mid-run and waits for a plan")]
    Reset,
    /// `stop` was set.
    #[error("interrupted before the run was started")]
    Interrupted,
}

impl From<Refusal> for RemoteError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// A device that answers, before its run.
#[derive(Debug)]
pub struct Remote {
    line: Box<dyn Line>,
    commander: Commander,
    receiver: Receiver<1024>,
}

impl Remote {
    /// Waits until there is a way to the device, and asks who it is; gives its name and firmware as well. `text` is called
    /// with what the device prints meanwhile, and `stop` ends the wait.
    ///
    /// # Errors
    /// [`RemoteError`] if the line has one direction only, fails or ends, or the device does not answer.
    pub fn identify(
        mut line: Box<dyn Line>,
        stop: impl Fn() -> bool,
        mut text: impl FnMut(&str),
    ) -> Result<(Self, String), RemoteError> {
        let mut receiver = Receiver::new();
        let writer = loop {
            match line.writer() {
                Err(error) if error.kind() == io::ErrorKind::NotConnected => {
                    if stop() {
                        return Err(RemoteError::Interrupted);
                    }
                    // A listening line connects while it is read.
                    read(&mut *line, &mut receiver, &mut |_| {}, &mut text)?;
                }
                writer => break writer?,
            }
        };
        let mut remote = Self { line, commander: Commander::new(writer), receiver };
        let (mut name, mut mode) = (None, Mode::Idle);
        let deadline = Instant::now() + ANSWER_WITHIN * ATTEMPTS;
        let asked = remote.ask(&Command::Identify, &stop, &mut text, |hello| {
            (name, mode) = (Some(describe(hello)), hello.mode);
        });
        match asked {
            Err(RemoteError::Silent) if mode == Mode::Monitor => return Err(RemoteError::Monitor),
            asked => asked?,
        };
        // The hello may come after the answer.
        while name.is_none() {
            if stop() {
                return Err(RemoteError::Interrupted);
            }
            if Instant::now() > deadline {
                return Err(RemoteError::Silent);
            }
            let mut take = |envelope: &Envelope<'_>| {
                if let Frame::Hello(hello) = &envelope.frame {
                    name = Some(describe(hello));
                }
            };
            read(&mut *remote.line, &mut remote.receiver, &mut take, &mut text)?;
        }
        Ok((remote, name.unwrap_or_default()))
    }

    /// Uploads the plan and the server to run it against, and checks that the device has understood the same plan.
    ///
    /// # Errors
    /// [`RemoteError`]: above all [`RemoteError::Refused`] with the reason of the device. Of a plan that no device can carry
    /// out nothing is sent.
    pub fn upload<const P: usize>(
        &mut self,
        target: &str,
        plan: &RunPlan<P>,
        stop: impl Fn() -> bool,
        mut text: impl FnMut(&str),
    ) -> Result<(), RemoteError> {
        let is_for_host = |workload: &Workload| matches!(workload, Workload::Host { .. });
        if let Some((index, phase)) = (0..).zip(plan.phases()).find(|(_, phase)| is_for_host(&phase.workload)) {
            return Err(RemoteError::HostOnly { index, kind: phase.kind });
        }
        let plan_hash = plan.content_hash();
        // A plan has no more phases than a `u16` counts.
        let phases = u16::try_from(plan.phases().len()).unwrap_or(u16::MAX);
        let prepare = Command::Prepare { plan_hash, seed: plan.seed(), phases, target };
        let mut got = self.ask(&prepare, &stop, &mut text, |_| {})?.plan_hash;
        for (index, phase) in (0..).zip(plan.phases()) {
            let command = Command::Phase { index, phase: phase.clone() };
            got = self.ask(&command, &stop, &mut text, |_| {})?.plan_hash;
        }
        if got == plan_hash { Ok(()) } else { Err(RemoteError::OtherPlan { sent: plan_hash, got }) }
    }

    /// Cancels the run that is under way on the device, and waits until it is idle: 10 s at most.
    ///
    /// # Errors
    /// [`RemoteError`] if the device does not answer.
    pub fn stop_running(&mut self, stop: impl Fn() -> bool, mut text: impl FnMut(&str)) -> Result<(), RemoteError> {
        self.ask(&Command::Stop, &stop, &mut text, |_| {})?;
        let (mut is_idle, deadline) = (false, Instant::now() + STOP_WITHIN);
        while !is_idle && Instant::now() < deadline {
            if stop() {
                return Err(RemoteError::Interrupted);
            }
            // Nobody wants to have what was measured, and the device tells it until it is acknowledged.
            let mut ends = Vec::new();
            let mut take = |envelope: &Envelope<'_>| match &envelope.frame {
                Frame::Hello(hello) => is_idle = hello.mode == Mode::Idle,
                Frame::Phase(report) if report.stats.state == PhaseState::Complete => {
                    ends.push((envelope.boot, Some(report.stats.index)));
                }
                Frame::Finished(_) => ends.push((envelope.boot, None)),
                _ => {}
            };
            read(&mut *self.line, &mut self.receiver, &mut take, &mut text)?;
            for (boot, phase) in ends {
                self.commander.tell(&Command::Acknowledge { boot, phase })?;
            }
        }
        Ok(())
    }

    /// The line to record, and what goes along with the recording and starts the uploaded plan.
    pub fn into_recording(self, plan_hash: u64) -> (Box<dyn Line>, RemoteControl) {
        (self.line, RemoteControl::new(self.commander, plan_hash))
    }

    /// Sends a command until it is answered.
    fn ask(
        &mut self,
        command: &Command<'_>,
        stop: &impl Fn() -> bool,
        text: &mut impl FnMut(&str),
        mut hello: impl FnMut(&Hello<'_>),
    ) -> Result<Answer, RemoteError> {
        let id = self.commander.next_id();
        for _ in 0..ATTEMPTS {
            self.commander.send(id, command)?;
            let deadline = Instant::now() + ANSWER_WITHIN;
            while Instant::now() < deadline {
                if stop() {
                    return Err(RemoteError::Interrupted);
                }
                let mut answer = None;
                let mut take = |envelope: &Envelope<'_>| match &envelope.frame {
                    Frame::Answer(came) if came.command == id => answer = Some(*came),
                    Frame::Hello(came) => hello(came),
                    _ => {}
                };
                read(&mut *self.line, &mut self.receiver, &mut take, text)?;
                if let Some(answer) = answer {
                    return answer.refusal().map_or(Ok(answer), |refusal| Err(refusal.into()));
                }
            }
        }
        Err(RemoteError::Silent)
    }
}

fn describe(hello: &Hello<'_>) -> String {
    printable(&format!("{}, {} {}", hello.device_id, hello.firmware, hello.firmware_version))
}

/// Reads once, and hands out the frames and the text that came.
fn read(
    line: &mut dyn Line,
    receiver: &mut Receiver<1024>,
    take: &mut impl FnMut(&Envelope<'_>),
    text: &mut impl FnMut(&str),
) -> Result<(), RemoteError> {
    // No more than one answer's worth, so that what follows it is left for the recording.
    let mut buffer = [0; MAX_ENCODED];
    let length = match line.read(&mut buffer)? {
        LineRead::Bytes(length) => length,
        LineRead::Idle => return Ok(()),
        LineRead::Ended => return Err(RemoteError::Closed),
    };
    let mut bytes = &buffer[..length];
    while let Some(received) = receiver.take(&mut bytes) {
        match received {
            Received::Frame(envelope) => take(&envelope),
            Received::Text(printed) => text(&printable(&String::from_utf8_lossy(printed))),
            _ => {}
        }
    }
    Ok(())
}

/// Writes commands, numbered.
struct Commander {
    writer: Box<dyn Write + Send>,
    next_id: u32,
}

impl std::fmt::Debug for Commander {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Commander").field("next_id", &self.next_id).finish_non_exhaustive()
    }
}

impl Commander {
    fn new(writer: Box<dyn Write + Send>) -> Self {
        // Two hosts that talk to a device one after the other must not use the same ids.
        Self { writer, next_id: rand::random() }
    }

    fn next_id(&mut self) -> u32 {
        self.next_id = self.next_id.wrapping_add(1);
        self.next_id
    }

    /// Sends a command that has no answer.
    fn tell(&mut self, command: &Command<'_>) -> io::Result<()> {
        let id = self.next_id();
        self.send(id, command)
    }

    fn send(&mut self, id: u32, command: &Command<'_>) -> io::Result<()> {
        let mut buffer = [0; MAX_ENCODED];
        let envelope = CommandEnvelope { version: COMMAND_VERSION, id, command: command.clone() };
        let length = encode_command(&envelope, &mut buffer)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error.to_string()))?;
        self.writer.write_all(&buffer[..length])?;
        self.writer.flush()
    }
}
