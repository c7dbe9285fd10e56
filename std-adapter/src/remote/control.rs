use std::time::{Duration, Instant};

use phasemeter_core::telemetry::Command;

use super::{ANSWER_WITHIN, ATTEMPTS, Commander, RemoteError};
use crate::session::{PhaseRecord, Session};

/// Of a line that loses much, everything is asked for again this often at most.
const RESEND_EVERY: Duration = Duration::from_secs(1);
/// A device says hello every second: one that is silent for so long is gone.
const SILENCE: Duration = Duration::from_secs(10);

/// Goes along with the recording of a device that takes commands.
#[derive(Debug)]
pub struct RemoteControl {
    commander: Commander,
    /// The command that waits for its answer, with the last time it was sent and how often it was.
    pending: Option<(u32, Command<'static>, Instant, u32)>,
    plan_hash: u64,
    acknowledged_phases: u16,
    acknowledged_end: bool,
    stopped: bool,
    lost_frames: u64,
    resent: Option<Instant>,
    frames: u64,
    last_sign: Instant,
}

impl RemoteControl {
    pub(super) fn new(commander: Commander, plan_hash: u64) -> Self {
        Self {
            commander,
            pending: None,
            plan_hash,
            acknowledged_phases: 0,
            acknowledged_end: false,
            stopped: false,
            lost_frames: 0,
            resent: None,
            frames: 0,
            last_sign: Instant::now(),
        }
    }

    /// Starts the run; call it once when the recording is on.
    ///
    /// # Errors
    /// The line's own.
    pub fn start(&mut self) -> Result<(), RemoteError> {
        self.send(Command::Start { plan_hash: self.plan_hash })
    }

    /// Asks the device to cancel its run; what it measured up to then still comes.
    ///
    /// # Errors
    /// The line's own.
    pub fn stop(&mut self) -> Result<(), RemoteError> {
        if std::mem::replace(&mut self.stopped, true) {
            return Ok(());
        }
        self.send(Command::Stop)
    }

    /// Looks at what has come: acknowledges the ends that are whole, asks again for what was lost, and sends again what
    /// was not answered. Call it after every piece of data and about ten times a second.
    ///
    /// # Errors
    /// [`RemoteError`] if the device refused or does not answer a command, is silent, or was reset and waits for a plan.
    pub fn poll(&mut self, session: &Session) -> Result<(), RemoteError> {
        let now = Instant::now();
        if session.frames() != self.frames {
            (self.frames, self.last_sign) = (session.frames(), now);
        } else if now.duration_since(self.last_sign) > SILENCE && !session.is_finished() {
            return Err(RemoteError::Gone(SILENCE.as_secs()));
        }
        if session.is_waiting_after_reset() {
            return Err(RemoteError::Reset);
        }
        self.await_answer(session, now)?;
        self.acknowledge(session)?;
        if session.lost_frames() > self.lost_frames && self.resent.is_none_or(|at| at + RESEND_EVERY < now) {
            (self.lost_frames, self.resent) = (session.lost_frames(), Some(now));
            self.tell(Command::Resend)?;
        }
        Ok(())
    }

    fn await_answer(&mut self, session: &Session, now: Instant) -> Result<(), RemoteError> {
        let Some((id, command, sent, attempts)) = self.pending else { return Ok(()) };
        if let Some(answer) = session.last_answer().filter(|answer| answer.command == id) {
            self.pending = None;
            return answer.refusal.map_or(Ok(()), |refusal| Err(refusal.into()));
        }
        if now < sent + ANSWER_WITHIN {
            return Ok(());
        }
        if attempts == ATTEMPTS {
            return Err(RemoteError::Silent);
        }
        self.commander.send(id, command)?;
        self.pending = Some((id, command, now, attempts + 1));
        Ok(())
    }

    /// The device repeats an end until it is told that it came whole.
    fn acknowledge(&mut self, session: &Session) -> Result<(), RemoteError> {
        let Some(boot) = session.boots().last() else { return Ok(()) };
        while boot.phases.get(&self.acknowledged_phases).is_some_and(PhaseRecord::is_whole) {
            self.tell(Command::Acknowledge { phase: Some(self.acknowledged_phases) })?;
            self.acknowledged_phases += 1;
        }
        if boot.finished.is_some() && !self.acknowledged_end {
            self.acknowledged_end = true;
            self.tell(Command::Acknowledge { phase: None })?;
        }
        Ok(())
    }

    fn send(&mut self, command: Command<'static>) -> Result<(), RemoteError> {
        let id = self.commander.next_id();
        self.commander.send(id, command)?;
        self.pending = Some((id, command, Instant::now(), 1));
        Ok(())
    }

    /// A command without an answer.
    fn tell(&mut self, command: Command<'_>) -> Result<(), RemoteError> {
        let id = self.commander.next_id();
        Ok(self.commander.send(id, command)?)
    }
}
