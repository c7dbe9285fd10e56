//! What a host says to a device, as types. Field order is the wire's order.

use serde::{Deserialize, Serialize};

use super::decode::{DecodeError, open};
use super::encode::{EncodeError, seal};
use super::frame::VERSION;
use crate::plan::PhasePlan;
use crate::wire;

/// What a command has in place of the protocol version: version 1, in the direction of the device.
pub const COMMAND_VERSION: u8 = 0x80 | VERSION;

/// The longest target, in bytes.
pub const MAX_TARGET: usize = 64;

/// One command, with what all commands have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct CommandEnvelope<'a> {
    /// [`COMMAND_VERSION`].
    pub version: u8,
    /// Names the command in its answer. A command that is sent again keeps its id.
    pub id: u32,
    /// The command.
    #[serde(borrow)]
    pub command: Command<'a>,
}

/// What a host asks of a device. Variants are only ever appended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Command<'a> {
    /// Say who you are.
    Identify,
    /// Expect a plan, phase by phase.
    Prepare {
        /// Names the plan's content.
        plan_hash: u64,
        /// The plan's seed.
        seed: u64,
        /// How many phases it has.
        phases: u16,
        /// The server, in the device's own terms, such as `10.0.0.2:8080`; at most [`MAX_TARGET`] bytes.
        target: &'a str,
    },
    /// The next phase of the plan.
    Phase {
        /// Its place, from 0.
        index: u16,
        /// The phase.
        phase: PhasePlan,
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
        /// The boot that it came from.
        boot: u32,
        /// The phase's place in the plan.
        phase: Option<u16>,
    },
    /// Send all buckets of the current phase again.
    Resend,
}

impl Command<'_> {
    const KINDS: u32 = 7;
}

/// The part of a command that is the same in every version.
#[derive(Clone, Copy, Deserialize)]
struct Header {
    version: u8,
    id: u32,
    kind: u32,
}

/// Writes a command with both its delimiters into `buffer`, and tells its length. A buffer of
/// [`MAX_ENCODED`](super::MAX_ENCODED) bytes suffices for every command.
///
/// # Errors
/// [`EncodeError`] if the command does not fit.
pub fn encode_command(envelope: &CommandEnvelope<'_>, buffer: &mut [u8]) -> Result<usize, EncodeError> {
    seal(envelope, buffer)
}

/// Why a segment is not a command that a device of this version can obey.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum CommandError {
    /// The segment is no command: damaged, or a frame.
    NotACommand(DecodeError),
    /// The command with this id is of a kind that this version does not know.
    UnknownKind(u32),
    /// The fields of the command with this id make no sense.
    Malformed(u32),
}

impl core::fmt::Display for CommandError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::NotACommand(error) => write!(f, "no command: {error}"),
            Self::UnknownKind(id) => write!(f, "command {id} is of a kind that this version does not know"),
            Self::Malformed(id) => write!(f, "the fields of command {id} make no sense"),
        }
    }
}

impl core::error::Error for CommandError {}

/// Reads the command that a segment holds, in place: the segment's bytes are overwritten.
///
/// # Errors
/// [`CommandError`] tells why the segment is not a command of this version.
pub fn decode_command(segment: &mut [u8]) -> Result<CommandEnvelope<'_>, CommandError> {
    let payload = open(segment).map_err(CommandError::NotACommand)?;
    let (Header { version, id, kind }, _) =
        wire::read(payload).map_err(|_| CommandError::NotACommand(DecodeError::Malformed))?;
    if version != COMMAND_VERSION {
        return Err(CommandError::NotACommand(DecodeError::Malformed));
    }
    if kind >= Command::KINDS {
        return Err(CommandError::UnknownKind(id));
    }
    match wire::read(payload) {
        Ok((envelope, [])) => Ok(envelope),
        _ => Err(CommandError::Malformed(id)),
    }
}
