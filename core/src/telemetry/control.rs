//! The device's side of the commands: bytes from the host to requests, and the answers to them.

use heapless::String;

use super::answer::{Answer, Reason, Refusal};
use super::command::{Command, CommandEnvelope, CommandError, MAX_TARGET, decode_command};
use super::deframe::{Deframer, Segment};
use super::frame::MAX_ENCODED;
use crate::plan::{PhaseKind, PhasePlan, RunPlan};

/// What the host wants, apart from what [`Control`] does itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    Identify,
    /// The driver decides on it: the command is answered by [`Control::decide`].
    Start,
    Stop,
    Acknowledge {
        boot: u32,
        phase: Option<u16>,
    },
    Resend,
}

/// Receives commands, puts an uploaded plan together, and remembers the answer that is due.
///
/// A command that comes twice, because its answer was lost, is obeyed once and answered twice. Whatever else comes over
/// the line is passed over; the host sends again what was not answered.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct Control {
    deframer: Deframer<MAX_ENCODED>,
    target: String<MAX_TARGET>,
    /// How many phases the plan will have, and its hash.
    announced: (u16, u64),
    /// All of them have come.
    is_whole: bool,
    last: Option<Answer>,
    is_due: bool,
    /// A start waits for the driver's decision.
    is_asked: bool,
}

impl Control {
    /// A control that has seen no command. All its bytes are zero, so that one in static memory takes no flash.
    pub(crate) const fn new() -> Self {
        Self {
            deframer: Deframer::new(),
            target: String::new(),
            announced: (0, 0),
            is_whole: false,
            last: None,
            is_due: false,
            is_asked: false,
        }
    }

    /// The server that came with the plan.
    pub(crate) fn target(&self) -> &str {
        &self.target
    }

    /// Whether a start waits for the driver's decision.
    pub(crate) const fn is_asked(&self) -> bool {
        self.is_asked
    }

    /// Whether a command came that is answered.
    pub(crate) const fn has_heard(&self) -> bool {
        self.last.is_some()
    }

    /// Takes bytes from the host up to the end of a command, and gives the request that it makes. The plan is `None`
    /// while a run is under way: then uploads and starts are refused.
    #[inline(never)]
    pub(crate) fn receive<const P: usize>(
        &mut self,
        bytes: &mut &[u8],
        plan: Option<&mut RunPlan<P>>,
    ) -> Option<Request> {
        let Segment::Whole(segment) = self.deframer.take(bytes)? else { return None };
        let (id, command) = match decode_command(segment) {
            Ok(CommandEnvelope { id, command, .. }) => (id, command),
            Err(CommandError::UnknownKind(id)) => {
                self.answer(id, Err(Reason::UNSUPPORTED.into()));
                return None;
            }
            Err(CommandError::Malformed(id)) => {
                self.answer(id, Err(Reason::MALFORMED.into()));
                return None;
            }
            Err(CommandError::NotACommand(_)) => return None,
        };
        match command {
            Command::Acknowledge { boot, phase } => return Some(Request::Acknowledge { boot, phase }),
            Command::Resend => return Some(Request::Resend),
            _ if self.last.is_some_and(|last| last.command == id) => {
                self.is_due = !self.is_asked;
                return None;
            }
            _ => {}
        }
        let (request, result) = match (command, plan) {
            (Command::Identify, _) => (Some(Request::Identify), Ok(())),
            (Command::Stop, _) => (Some(Request::Stop), Ok(())),
            (_, None) => (None, Err(Reason::BUSY.into())),
            (_, Some(_)) if self.is_asked => (None, Err(Reason::BUSY.into())),
            (Command::Prepare { plan_hash, seed, phases, target }, Some(plan)) => {
                plan.clear(seed);
                self.announced = (phases, plan_hash);
                self.is_whole = false;
                (None, prepare::<P>(&mut self.target, phases, target))
            }
            (Command::Phase { index, phase }, Some(plan)) => {
                let taken = take(plan, index, phase);
                let is_last = plan.phases().len() == usize::from(self.announced.0);
                self.is_whole = taken.is_ok() && is_last && plan.content_hash() == self.announced.1;
                let mismatch = taken.is_ok() && is_last && !self.is_whole;
                (None, if mismatch { Err(Reason::HASH_MISMATCH.into()) } else { taken })
            }
            (Command::Start { plan_hash }, Some(_)) if self.is_whole && plan_hash == self.announced.1 => {
                (Some(Request::Start), Ok(()))
            }
            (Command::Start { .. }, Some(_)) => (None, Err(Reason::NO_PLAN.into())),
            _ => (None, Err(Reason::UNSUPPORTED.into())),
        };
        self.answer(id, result);
        if request == Some(Request::Start) {
            (self.is_asked, self.is_due) = (true, false);
        }
        request
    }

    /// The plan that was uploaded is gone.
    pub(crate) fn forget(&mut self) {
        self.target.clear();
        self.is_whole = false;
    }

    /// Has the start answered, as the driver decided.
    pub(crate) fn decide(&mut self, decision: Result<(), Refusal>) {
        let Some(last) = self.last.filter(|_| core::mem::take(&mut self.is_asked)) else { return };
        self.answer(last.command, decision);
    }

    /// The answer that is due.
    pub(crate) fn due(&self) -> Option<Answer> {
        self.last.filter(|_| self.is_due)
    }

    /// The answer was sent.
    pub(crate) const fn answered(&mut self) {
        self.is_due = false;
    }

    fn answer(&mut self, command: u32, result: Result<(), Refusal>) {
        let plan_hash = if self.is_whole { self.announced.1 } else { 0 };
        let Refusal { reason, detail } = result.err().unwrap_or(Reason::OBEYED.into());
        self.last = Some(Answer { command, plan_hash, reason, detail });
        self.is_due = true;
    }
}

fn limit(limit: usize) -> u16 {
    u16::try_from(limit).unwrap_or(u16::MAX)
}

fn prepare<const P: usize>(known: &mut String<MAX_TARGET>, phases: u16, target: &str) -> Result<(), Refusal> {
    known.clear();
    if known.push_str(target).is_err() {
        return Err(Refusal::with(Reason::TARGET_TOO_LONG, limit(MAX_TARGET)));
    }
    match usize::from(phases) {
        0 => Err(Reason::CANNOT_RUN.into()),
        phases if phases > P => Err(Refusal::with(Reason::TOO_MANY_PHASES, limit(P))),
        _ => Ok(()),
    }
}

fn take<const P: usize>(plan: &mut RunPlan<P>, index: u16, phase: PhasePlan) -> Result<(), Refusal> {
    let expected = limit(plan.phases().len());
    if index != expected {
        return Err(Refusal::with(Reason::OUT_OF_ORDER, expected));
    }
    if phase.kind == PhaseKind::Monitor {
        return Err(Refusal::with(Reason::BAD_PHASE, index));
    }
    plan.push(phase).map_err(|_| Reason::CANNOT_RUN.into())
}
