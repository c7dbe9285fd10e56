//! The device's side of the commands: bytes from the host to requests, and the answers to them.

use heapless::{String, Vec};

use super::command::{Command, CommandEnvelope, MAX_TARGET, decode_command, read_job};
use super::decode::DecodeError;
use super::deframe::{Deframer, Segment};
use super::frame::{Answer, AnswerFields, MAX_ENCODED, Refusal};
use crate::plan::RunPlan;

/// What the host wants the device to do. `P` is the capacity of the device's plans.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Request<const P: usize> {
    /// Say hello. After a run, this begins a new boot: a host is about to ask for another run.
    Identify,
    /// Run the plan. If it cannot be done, [`Control::refuse`] says so to the host.
    Start {
        /// The server, in the device's own terms.
        target: String<MAX_TARGET>,
        /// The plan.
        plan: RunPlan<P>,
    },
    /// Cancel the run.
    Stop,
    /// The end of a phase has come whole, or with `None`, that of the run:
    /// [`Reporter::acknowledge`](super::Reporter::acknowledge).
    Acknowledge(Option<u16>),
    /// Send everything again: [`Reporter::resend`](super::Reporter::resend).
    Resend,
}

/// Receives commands, puts uploaded jobs together, and remembers the answer that is due. Jobs may take `S` bytes.
///
/// A command that comes twice, because its answer was lost, is obeyed once and answered twice. Whatever else comes over
/// the line is passed over; the host sends again what was not answered.
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Control<const S: usize> {
    deframer: Deframer<MAX_ENCODED>,
    /// As much of the job as has come.
    job: Vec<u8, S>,
    /// How many bytes it will have, and the hash of its plan.
    announced: (u16, u64),
    busy: bool,
    /// The last answer, in its plain form: there the lack of one is all zeros.
    last: Option<AnswerFields>,
    is_due: bool,
}

impl<const S: usize> Control<S> {
    /// A control that has seen no command. All its bytes are zero, so that one in static memory takes no flash.
    pub const fn new() -> Self {
        const { assert!(S <= u16::MAX as usize, "a job's length is a u16") };
        let deframer = Deframer::new();
        Self { deframer, job: Vec::new(), announced: (0, 0), busy: false, last: None, is_due: false }
    }

    /// Says whether a run is under way: then uploads and starts are refused.
    pub const fn set_busy(&mut self, busy: bool) {
        self.busy = busy;
    }

    /// Takes the next byte from the host, and gives the request that it completes.
    ///
    /// Requests are accepted unless [`Control::refuse`] is called before the answer is sent.
    #[inline(never)]
    pub fn push<const P: usize>(&mut self, byte: u8) -> Option<Request<P>> {
        let Some(Segment::Whole(segment)) = self.deframer.push(byte) else { return None };
        let (id, command) = match decode_command(segment) {
            Ok(CommandEnvelope { id, command, .. }) => (id, command),
            Err(DecodeError::UnknownKind { sequence, .. }) => {
                self.answer(sequence, Err(Refusal::Unsupported));
                return None;
            }
            Err(_) => return None,
        };
        match command {
            Command::Acknowledge { phase } => return Some(Request::Acknowledge(phase)),
            Command::Resend => return Some(Request::Resend),
            _ if self.last.is_some_and(|last| last.command == id) => {
                self.is_due = true;
                return None;
            }
            _ => {}
        }
        let (request, result) = match command {
            Command::Identify => (Some(Request::Identify), Ok(())),
            Command::Stop => (Some(Request::Stop), Ok(())),
            _ if self.busy => (None, Err(Refusal::Busy)),
            Command::Upload { plan_hash, length, offset, part } => {
                let announced = (length, plan_hash);
                (None, upload::<S, P>(&mut self.job, &mut self.announced, announced, offset, part))
            }
            Command::Start { plan_hash } => match read_job(&self.job) {
                Ok((target, plan)) if plan_hash == plan.content_hash() => {
                    (Some(Request::Start { target, plan }), Ok(()))
                }
                _ => (None, Err(Refusal::NoPlan)),
            },
            _ => (None, Err(Refusal::Unsupported)),
        };
        self.answer(id, result);
        request
    }

    /// Has the last request answered with a refusal.
    pub fn refuse(&mut self, refusal: Refusal) {
        if let Some(last) = &mut self.last {
            *last = Answer { refusal: Some(refusal), ..Answer::from(*last) }.into();
        }
    }

    /// The answer that is due, for [`Reporter::answer`](super::Reporter::answer).
    pub(super) fn due(&self) -> Option<Answer> {
        self.last.filter(|_| self.is_due).map(Answer::from)
    }

    /// The answer was sent.
    pub(super) const fn answered(&mut self) {
        self.is_due = false;
    }

    fn answer(&mut self, command: u32, result: Result<(), Refusal>) {
        let (length, plan_hash) = self.announced;
        let is_whole = length > 0 && usize::from(length) == self.job.len();
        let plan_hash = if is_whole { plan_hash } else { 0 };
        self.last = Some(Answer { command, plan_hash, refusal: result.err() }.into());
        self.is_due = true;
    }
}

/// Appends a part of a job, and checks the job once it is whole. A job that is refused is forgotten.
fn upload<const S: usize, const P: usize>(
    job: &mut Vec<u8, S>,
    announced: &mut (u16, u64),
    (length, plan_hash): (u16, u64),
    offset: u16,
    part: &[u8],
) -> Result<(), Refusal> {
    if offset == 0 {
        job.clear();
        *announced = (length, plan_hash);
    }
    if usize::from(length) > S {
        return Err(Refusal::JobTooLong(u16::try_from(S).unwrap_or(u16::MAX)));
    }
    if usize::from(offset) != job.len() || *announced != (length, plan_hash) {
        return Err(Refusal::OutOfOrder(u16::try_from(job.len()).unwrap_or(0)));
    }
    if part.len() > usize::from(length - offset.min(length)) || job.extend_from_slice(part).is_err() {
        job.clear();
        return Err(Refusal::Malformed);
    }
    if job.len() < usize::from(length) {
        return Ok(());
    }
    let checked = match read_job::<P>(job) {
        Ok((_, plan)) if plan.content_hash() != plan_hash => Err(Refusal::HashMismatch),
        Ok(_) => Ok(()),
        Err(refusal) => Err(refusal),
    };
    if checked.is_err() {
        job.clear();
    }
    checked
}
