//! What a host says to a device, as types. Field order is the wire's order.

use heapless::String;
use serde::Serialize;

use super::decode::{DecodeError, open};
use super::encode::{EncodeError, seal};
use super::frame::{COMMAND_VERSION, Refusal};
use crate::plan::{PhasePlan, RunPlan};
use crate::wire::{self, Reader};

/// The longest target, in bytes.
pub const MAX_TARGET: usize = 64;

/// The longest part of a job in one [`Command::Upload`], in bytes.
pub const MAX_PART: usize = 192;

/// One command, with what all commands have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct CommandEnvelope<'a> {
    /// [`COMMAND_VERSION`].
    pub version: u8,
    /// Names the command in its answer. A command that is sent again keeps its id.
    pub id: u32,
    /// The command.
    pub command: Command<'a>,
}

/// What a host asks of a device. Variants are only ever appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Command<'a> {
    /// Say who you are.
    Identify,
    /// A part of a job: [`Job`] in postcard's wire format.
    Upload {
        /// Names the plan's content.
        plan_hash: u64,
        /// How many bytes the job has.
        length: u16,
        /// Where in the job this part belongs; 0 begins anew.
        offset: u16,
        /// At most [`MAX_PART`] bytes.
        #[serde(serialize_with = "wire::as_bytes")]
        part: &'a [u8],
    },
    /// Run the plan of this hash.
    Start {
        /// Names the plan's content.
        plan_hash: u64,
    },
    /// Cancel the run.
    Stop,
    /// Everything about the end of a phase has come, or with `None`, of the run.
    Acknowledge {
        /// The phase's place in the plan.
        phase: Option<u16>,
    },
    /// Send all buckets of the current phase again.
    Resend,
}

impl<'a> Command<'a> {
    const KINDS: u32 = 6;

    /// The fields of a command of this kind.
    fn read(kind: u32, wire: &mut Reader<'a>) -> Option<Self> {
        Some(match kind {
            0 => Self::Identify,
            1 => Self::Upload { plan_hash: wire.u64()?, length: wire.u16()?, offset: wire.u16()?, part: wire.bytes()? },
            2 => Self::Start { plan_hash: wire.u64()? },
            3 => Self::Stop,
            4 => Self::Acknowledge { phase: if wire.flag()? { Some(wire.u16()?) } else { None } },
            5 => Self::Resend,
            _ => return None,
        })
    }
}

/// What a device is to do: a plan and the server to run it against.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Job<'a, const P: usize> {
    /// The server, in the device's own terms, such as `10.0.0.2:8080`; at most [`MAX_TARGET`] bytes.
    pub target: &'a str,
    /// The plan.
    pub plan: &'a RunPlan<P>,
}

impl<const P: usize> Job<'_, P> {
    /// Writes the job into `buffer`; gives what was written.
    ///
    /// # Errors
    /// [`EncodeError`] if it does not fit.
    pub fn write<'b>(&self, buffer: &'b mut [u8]) -> Result<&'b [u8], EncodeError> {
        let length = wire::write(self, buffer).map_err(|_| EncodeError)?;
        buffer.get(..length).ok_or(EncodeError)
    }
}

/// Reads a job phase by phase, so as to tell what does not fit.
pub(super) fn read_job<const P: usize>(job: &[u8]) -> Result<(String<MAX_TARGET>, RunPlan<P>), Refusal> {
    let mut wire = Reader::new(job);
    let target = wire.text().ok_or(Refusal::Malformed)?;
    let (Some(seed), Some(phases)) = (wire.u64(), wire.u32()) else { return Err(Refusal::Malformed) };
    let limit = |limit: usize| u16::try_from(limit).unwrap_or(u16::MAX);
    let target = String::try_from(target).map_err(|_| Refusal::TargetTooLong(limit(MAX_TARGET)))?;
    let mut plan = RunPlan::new(seed);
    for index in 0..phases {
        if plan.phases().len() == P {
            return Err(Refusal::TooManyPhases(limit(P)));
        }
        let bad = Refusal::BadPhase(u16::try_from(index).unwrap_or(u16::MAX));
        let phase = PhasePlan::read(&mut wire).ok_or(bad)?;
        plan.push(phase).map_err(|_| Refusal::CannotRun)?;
    }
    match plan.phases() {
        [] => Err(Refusal::CannotRun),
        _ if wire.is_empty() => Ok((target, plan)),
        _ => Err(Refusal::Malformed),
    }
}

/// Writes a command with both its delimiters into `buffer`, and tells its length. A buffer of
/// [`MAX_ENCODED`](super::MAX_ENCODED) bytes suffices for every command.
///
/// # Errors
/// [`EncodeError`] if the command does not fit.
pub fn encode_command(envelope: &CommandEnvelope<'_>, buffer: &mut [u8]) -> Result<usize, EncodeError> {
    seal(envelope, buffer)
}

/// Reads the command that a segment holds, in place: the segment's bytes are overwritten.
///
/// # Errors
/// [`DecodeError`] tells why the segment is not a command of this version; the sequence number in it is the command's
/// id. A frame, as devices send them, is of a version that no command has.
pub fn decode_command(segment: &mut [u8]) -> Result<CommandEnvelope<'_>, DecodeError> {
    let payload = open(segment)?;
    let mut wire = Reader::new(payload);
    // These three are the same in every version.
    let (Some(version), Some(id), Some(kind)) = (wire.byte(), wire.u32(), wire.u32()) else {
        return Err(DecodeError::Malformed);
    };
    if version != COMMAND_VERSION {
        return Err(DecodeError::NewerVersion { version, sequence: id });
    }
    if kind >= Command::KINDS {
        return Err(DecodeError::UnknownKind { kind, sequence: id });
    }
    match Command::read(kind, &mut wire) {
        Some(command) if wire.is_empty() => Ok(CommandEnvelope { version, id, command }),
        _ => Err(DecodeError::Malformed),
    }
}
