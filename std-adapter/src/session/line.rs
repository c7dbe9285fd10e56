//! What a line carries beside frames that make sense, and what is told as it happens.

use phasemeter_core::phase::PhaseStats;
use phasemeter_core::telemetry::DecodeError;
use phasemeter_core::time::Instant;

use super::problem::Problem;
use super::sequence::Gap;

/// What came over the line that was not a usable frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LineErrors {
    /// Frames whose checksum did not match.
    pub crc_errors: u64,
    /// Segments that were no frames.
    pub noise: u64,
    /// Segments longer than any frame.
    pub overlong: u64,
    /// Whole frames whose content made no sense, or contradicted what was told before.
    pub malformed: u64,
    /// Frames of a newer protocol version.
    pub newer_version: u64,
    /// Frames of an unknown kind.
    pub unknown_kind: u64,
    /// Commands of this host that came back.
    pub echoes: u64,
    /// Lines and pieces of text between frames.
    pub text: u64,
}

impl LineErrors {
    /// The counter of what went wrong.
    pub(super) fn of(&mut self, error: DecodeError) -> &mut u64 {
        match error {
            DecodeError::Checksum => &mut self.crc_errors,
            DecodeError::NewerVersion { .. } => &mut self.newer_version,
            DecodeError::UnknownKind { .. } => &mut self.unknown_kind,
            DecodeError::Malformed => &mut self.malformed,
            DecodeError::Echo => &mut self.echoes,
            _ => &mut self.noise,
        }
    }
}

/// Something worth telling the user as it happens.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Note {
    /// Text that the device printed, as it is.
    Text(String),
    /// Frames are missing.
    Gap(Gap),
    /// A run begins: what was told before was of another one.
    Begin {
        /// The run before had not finished: the device was reset.
        after_reset: bool,
    },
    /// A phase of the current run was reported: its state and counts, and the device's time when it said so.
    Phase(PhaseStats, Instant),
    /// The first of its kind that is not believed, or not kept.
    Problem(Problem),
    /// The first segment of its kind that could not be used; the others are counted.
    Unusable(String),
}
