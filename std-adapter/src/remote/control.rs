use std::io;
use std::time::{Duration, Instant};

use phasemeter_core::telemetry::Command;

use super::{ANSWER_WITHIN, ATTEMPTS, Commander, RemoteError};
use crate::session::Session;

/// Of a line that loses much, everything is asked for again this often at most.
const RESEND_EVERY: Duration = Duration::from_secs(1);
/// A device says hello every second: one that is silent for so long, beyond what it may take to come back, is gone.
const SILENCE: Duration = Duration::from_secs(10);

/// A device that has not heard that an end came tells it again twice a second; so is it told, as long as nothing follows.
const ACKNOWLEDGE_EVERY: Duration = Duration::from_millis(500);

/// Goes along with the recording of a device that takes commands.
#[derive(Debug)]
pub struct RemoteControl {
    commander: Commander,
    pending: Option<Pending>,
    plan_hash: u64,
    /// The boot and the phase whose end was acknowledged last, or without a phase the run; and when.
    acknowledged: Option<((u32, Option<u16>), Instant)>,
    started: Option<Instant>,
    stopped: bool,
    lost_frames: u64,
    resent: Option<Instant>,
    frames: u64,
    last_sign: Instant,
    silence: Duration,
}

/// A command that waits for its answer.
#[derive(Debug)]
struct Pending {
    id: u32,
    command: Command<'static>,
    /// When it was sent last,
    sent: Instant,
    /// and how often it was.
    attempts: u32,
}

impl RemoteControl {
    pub(super) fn new(commander: Commander, plan_hash: u64) -> Self {
        Self {
            commander,
            pending: None,
            plan_hash,
            acknowledged: None,
            started: None,
            stopped: false,
            lost_frames: 0,
            resent: None,
            frames: 0,
            last_sign: Instant::now(),
            silence: SILENCE,
        }
    }

    /// Waits for so long for a line that is away: commands are sent again until they are answered.
    #[must_use]
    pub fn with_reconnect(self, limit: Duration) -> Self {
        Self { silence: SILENCE.saturating_add(limit), ..self }
    }

    /// Names the content of the plan that the device was sent.
    pub fn plan_hash(&self) -> u64 {
        self.plan_hash
    }

    /// When the device's answer to the start was seen.
    pub fn started(&self) -> Option<Instant> {
        self.started
    }

    /// Starts the run; call it once when the recording is on.
    pub fn start(&mut self) {
        self.send(Command::Start { plan_hash: self.plan_hash });
    }

    /// Asks the device to cancel its run; what it measured up to then still comes.
    pub fn stop(&mut self) {
        if !std::mem::replace(&mut self.stopped, true) {
            self.send(Command::Stop);
        }
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
        } else if now.duration_since(self.last_sign) > self.silence && !session.is_finished() {
            return Err(RemoteError::Gone(self.silence.as_secs()));
        }
        if session.is_waiting_after_reset() {
            return Err(RemoteError::Reset);
        }
        self.await_answer(session, now)?;
        self.acknowledge(session, now);
        let lost_frames = session.lost_frames();
        // A frame that comes late was not lost.
        self.lost_frames = self.lost_frames.min(lost_frames);
        if lost_frames > self.lost_frames && self.resent.is_none_or(|at| at + RESEND_EVERY < now) {
            (self.lost_frames, self.resent) = (lost_frames, Some(now));
            self.tell(&Command::Resend);
        }
        Ok(())
    }

    fn await_answer(&mut self, session: &Session, now: Instant) -> Result<(), RemoteError> {
        let Some(pending) = &mut self.pending else { return Ok(()) };
        if let Some(answer) = session.last_answer().filter(|answer| answer.command == pending.id) {
            if matches!(pending.command, Command::Start { .. }) {
                self.started = Some(now);
            }
            self.pending = None;
            return answer.refusal().map_or(Ok(()), |refusal| Err(refusal.into()));
        }
        if now < pending.sent + ANSWER_WITHIN {
            return Ok(());
        }
        if pending.attempts == ATTEMPTS {
            return Err(RemoteError::Silent);
        }
        pending.sent = now;
        pending.attempts += attempt(self.commander.send(pending.id, &pending.command));
        Ok(())
    }

    /// The device repeats an end until it is told that it came whole.
    fn acknowledge(&mut self, session: &Session, now: Instant) {
        let Some(boot) = session.current_boot() else { return };
        let phase = match session.current_phase() {
            _ if boot.finished().is_some() => None,
            Some(phase) if phase.is_whole() => Some(phase.index()),
            _ => return,
        };
        let end = (boot.id(), phase);
        if self.acknowledged.is_some_and(|(told, at)| told == end && now < at + ACKNOWLEDGE_EVERY) {
            return;
        }
        self.acknowledged = Some((end, now));
        self.tell(&Command::Acknowledge { boot: boot.id(), phase });
    }

    /// A line that is away does not take it. It is said again, and who reads the line notices if it is gone for good.
    fn tell(&mut self, command: &Command<'_>) {
        let _ = self.commander.tell(command);
    }

    fn send(&mut self, command: Command<'static>) {
        let id = self.commander.next_id();
        let attempts = attempt(self.commander.send(id, &command));
        self.pending = Some(Pending { id, command, sent: Instant::now(), attempts });
    }
}

/// How many attempts a write was: what a line that is away does not take was not asked.
fn attempt(written: io::Result<()>) -> u32 {
    let is_away = |error: io::Error| error.kind() == io::ErrorKind::NotConnected;
    u32::from(!written.is_err_and(is_away))
}
