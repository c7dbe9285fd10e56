//! The frames as types. Field order is the wire's order.

use core::fmt;

use heapless::Vec;
use serde::{Deserialize, Serialize};

use crate::histogram::Totals;
use crate::histogram::counts::CountReader;
use crate::phase::PhaseStats;
use crate::time::Nanos;
use crate::wire;

/// The protocol version that this crate speaks.
pub const VERSION: u8 = 1;

/// What a command has in place of the protocol version: version 1, in the direction of the device.
pub const COMMAND_VERSION: u8 = 0x80 | VERSION;

/// The longest payload, in bytes. With it, COBS costs one byte.
pub const MAX_PAYLOAD: usize = 249;

/// The longest frame on the line, in bytes: payload, CRC, COBS overhead and both delimiters.
pub const MAX_ENCODED: usize = MAX_PAYLOAD + 4 + 1 + 2;

/// The longest device id, firmware name and firmware version, in bytes. Longer ones are cut.
pub const MAX_ID: usize = 32;

/// The most metrics that a frame can name.
pub const MAX_METRICS: usize = 8;

/// One frame with what all frames have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Envelope<'a> {
    /// The protocol version.
    pub version: u8,
    /// Counts the frames of a boot from 0.
    pub sequence: u32,
    /// When the frame was made, since boot.
    pub uptime: Nanos,
    /// The frame.
    #[serde(borrow)]
    pub frame: Frame<'a>,
}

/// What a device says. Variants are only ever appended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Frame<'a> {
    /// Who speaks, and how to read the rest.
    #[serde(borrow)]
    Hello(Hello<'a>),
    /// A phase's states, times and counts.
    Phase(PhaseReport),
    /// A part of a histogram.
    #[serde(borrow)]
    Buckets(Buckets<'a>),
    /// What a histogram keeps beside its buckets; ends a snapshot.
    Totals(MetricTotals),
    /// The run is over.
    Finished(Finished),
    /// What became of a command.
    Answer(Answer),
}

impl Frame<'_> {
    /// How many kinds of frame this version knows; a kind is below it.
    pub const KINDS: u32 = 6;
}

/// Who speaks, and how to read the rest: a host that attaches in mid-run needs nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Hello<'a> {
    /// Names the device; at most [`MAX_ID`] bytes.
    pub device_id: &'a str,
    /// Differs from boot to boot.
    pub boot_id: u64,
    /// The firmware's name; at most [`MAX_ID`] bytes.
    pub firmware: &'a str,
    /// The firmware's version; at most [`MAX_ID`] bytes.
    pub firmware_version: &'a str,
    /// The resolution of the device's clock, in ticks a second.
    pub clock_hz: u32,
    /// Names the plan's content.
    pub plan_hash: u64,
    /// How many phases the plan has.
    pub phases: u16,
    /// How many buckets a histogram has.
    pub capacity: u16,
    /// How wide a bucket's counter is.
    pub counter_bits: u8,
    /// The names of the metrics; a metric's id is its place.
    #[serde(borrow)]
    pub metrics: Vec<&'a str, MAX_METRICS>,
    /// Reports that were due and found no room in the transmit queue.
    pub skipped: u32,
}

/// A phase's states, times and counts, and how many samples its histograms hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct PhaseReport {
    /// The phase.
    pub stats: PhaseStats,
    /// The samples of each metric, by id.
    pub samples: Vec<u64, MAX_METRICS>,
    /// Reports that were due and found no room in the transmit queue.
    pub skipped: u32,
}

/// Absolute counts of some buckets of one histogram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Buckets<'a> {
    /// The phase's place in the plan.
    pub phase: u16,
    /// The metric's id.
    pub metric: u8,
    /// The histogram's scale.
    pub scale: i8,
    /// The runs of counts; read them with [`Buckets::for_each`].
    #[serde(serialize_with = "wire::as_bytes")]
    pub counts: &'a [u8],
}

/// Why the counts of a [`Buckets`] frame cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct BucketsError;

impl fmt::Display for BucketsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the counts of a buckets frame are cut off or out of range")
    }
}

impl core::error::Error for BucketsError {}

impl Buckets<'_> {
    /// Calls `set` with each bucket's index and absolute count.
    ///
    /// The work is bounded by the longest window a histogram can have, whatever the bytes say.
    ///
    /// # Errors
    /// [`BucketsError`] if the bytes end early or a run is longer than any histogram; the runs before have been given.
    pub fn for_each(&self, mut set: impl FnMut(i32, u64)) -> Result<(), BucketsError> {
        let mut rest = self.counts;
        let mut budget = MAX_WINDOW;
        while !rest.is_empty() {
            let (run, counts) = postcard::take_from_bytes(rest).map_err(|_| BucketsError)?;
            let (start, length): (i32, u32) = run;
            budget = budget.checked_sub(length).filter(|_| length > 0).ok_or(BucketsError)?;
            let mut reader = CountReader::new(counts);
            for (offset, _) in (0..).zip(0..length) {
                let count = reader.next_count().ok_or(BucketsError)?;
                set(start.checked_add(offset).ok_or(BucketsError)?, count);
            }
            rest = reader.finish().ok_or(BucketsError)?;
        }
        Ok(())
    }
}

/// At the highest scale a `u64` of nanoseconds spans 16,385 buckets.
const MAX_WINDOW: u32 = 1 << 15;

/// What a histogram keeps beside its buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct MetricTotals {
    /// The phase's place in the plan.
    pub phase: u16,
    /// The metric's id.
    pub metric: u8,
    /// Scale, counts and moments.
    pub totals: Totals,
}

/// The run is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Finished {
    /// How many phases were run.
    pub phases: u16,
    /// Whether the run was cancelled.
    pub cancelled: bool,
    /// Reports that were due and found no room in the transmit queue.
    pub skipped: u32,
}

/// What became of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[serde(from = "AnswerFields", into = "AnswerFields")]
pub struct Answer {
    /// The command's id.
    pub command: u32,
    /// Names the plan that the device has received whole; 0 while it has none.
    pub plan_hash: u64,
    /// Why the command was not obeyed; `None` if it was.
    pub refusal: Option<Refusal>,
}

/// Why a device does not obey a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Refusal {
    /// The command is of a kind that the device does not know.
    Unsupported,
    /// A run is under way.
    Busy,
    /// The job is longer than the device's buffer, which has so many bytes.
    JobTooLong(u16),
    /// The part of the job does not follow on what the device has; the upload goes on at this byte.
    OutOfOrder(u16),
    /// The job came whole, and is no target and plan.
    Malformed,
    /// The job came whole, and its plan has another hash than announced: device and host read it differently.
    HashMismatch,
    /// The plan has more phases than the device can hold, which is so many.
    TooManyPhases(u16),
    /// The phase at this place is none that the device can carry out: of a new kind, wider than it has connections, or with
    /// a path that is none or too long.
    BadPhase(u16),
    /// The target is longer than it may be, which is so many bytes.
    TargetTooLong(u16),
    /// The device cannot reach such a target.
    BadTarget,
    /// There is nothing to start: the device has no plan, or another one.
    NoPlan,
    /// The plan has no phases, or one that never ends.
    CannotRun,
    /// A reason of a newer version.
    Unknown(u8),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsupported => f.write_str("it does not know this command: update its firmware"),
            Self::Busy => f.write_str("a run is under way: stop it first"),
            Self::JobTooLong(limit) => write!(f, "target and plan may take {limit} bytes: shorten the plan"),
            Self::OutOfOrder(expected) => write!(f, "it expected the upload to go on at byte {expected}"),
            Self::Malformed => f.write_str("what it received is no job: are host and firmware of one version?"),
            Self::HashMismatch => f.write_str("it reads another plan: are host and firmware of one version?"),
            Self::TooManyPhases(limit) => write!(f, "a plan may have {limit} phases: leave some out"),
            Self::BadPhase(index) => write!(
                f,
                "it cannot carry out phase {index}: its kind is new to it, it has fewer connections, or the path is none or too long"
            ),
            Self::TargetTooLong(limit) => write!(f, "a target may have {limit} bytes"),
            Self::BadTarget => f.write_str("it cannot reach such a target: give an IPv4 address and a port"),
            Self::NoPlan => f.write_str("it has no plan, or another one: upload it first"),
            Self::CannotRun => f.write_str("the plan has no phases, or one that never ends"),
            Self::Unknown(code) => write!(f, "for a reason, {code}, that this program does not know: update it"),
        }
    }
}

impl core::error::Error for Refusal {}

/// An [`Answer`] as it goes over the line: plain numbers, which cost less code than an enum.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct AnswerFields {
    pub(super) command: u32,
    plan_hash: u64,
    reason: u8,
    detail: u16,
}

impl From<Answer> for AnswerFields {
    fn from(Answer { command, plan_hash, refusal }: Answer) -> Self {
        let (reason, detail) = match refusal {
            None => (0, 0),
            Some(Refusal::Unsupported) => (1, 0),
            Some(Refusal::Busy) => (2, 0),
            Some(Refusal::JobTooLong(limit)) => (3, limit),
            Some(Refusal::OutOfOrder(expected)) => (4, expected),
            Some(Refusal::Malformed) => (5, 0),
            Some(Refusal::HashMismatch) => (6, 0),
            Some(Refusal::TooManyPhases(limit)) => (7, limit),
            Some(Refusal::BadPhase(index)) => (8, index),
            Some(Refusal::TargetTooLong(limit)) => (9, limit),
            Some(Refusal::BadTarget) => (10, 0),
            Some(Refusal::NoPlan) => (11, 0),
            Some(Refusal::CannotRun) => (12, 0),
            Some(Refusal::Unknown(code)) => (code, 0),
        };
        Self { command, plan_hash, reason, detail }
    }
}

impl From<AnswerFields> for Answer {
    fn from(AnswerFields { command, plan_hash, reason, detail }: AnswerFields) -> Self {
        let refusal = match reason {
            0 => None,
            1 => Some(Refusal::Unsupported),
            2 => Some(Refusal::Busy),
            3 => Some(Refusal::JobTooLong(detail)),
            4 => Some(Refusal::OutOfOrder(detail)),
            5 => Some(Refusal::Malformed),
            6 => Some(Refusal::HashMismatch),
            7 => Some(Refusal::TooManyPhases(detail)),
            8 => Some(Refusal::BadPhase(detail)),
            9 => Some(Refusal::TargetTooLong(detail)),
            10 => Some(Refusal::BadTarget),
            11 => Some(Refusal::NoPlan),
            12 => Some(Refusal::CannotRun),
            code => Some(Refusal::Unknown(code)),
        };
        Self { command, plan_hash, refusal }
    }
}
