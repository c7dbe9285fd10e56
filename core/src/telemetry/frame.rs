//! The frames as types. Field order is the wire's order.

use core::fmt;

use heapless::Vec;
use serde::{Deserialize, Serialize};

use crate::histogram::Totals;
use crate::histogram::counts::CountReader;
use crate::metric::Metric;
use crate::name::MAX_NAME;
use crate::outcome::{Failure, Failures};
use crate::phase::PhaseStats;
use crate::plan::PhasePlan;
use crate::time::Instant;
use crate::wire;

/// The protocol version that this crate speaks.
pub const VERSION: u8 = 1;

/// The longest payload, in bytes. With it, COBS costs one byte.
pub const MAX_PAYLOAD: usize = 249;

/// The longest frame on the line, in bytes: payload, CRC, COBS overhead and both delimiters.
pub const MAX_ENCODED: usize = MAX_PAYLOAD + 4 + 1 + 2;

/// What every frame has takes at most so many bytes of the payload.
pub(super) const MAX_HEADER: usize = 1 + 5 + 5 + 10 + 1;

/// The most metrics that one [`MetricTable`] frame names: as many as fit, however long their names are.
pub const METRICS_PER_FRAME: usize = (MAX_PAYLOAD - MAX_HEADER - 2) / (1 + MAX_NAME + 1);

/// The most buckets that one [`Buckets`] frame counts, so that a short frame cannot ask for much work.
pub const BUCKETS_PER_FRAME: u32 = 256;

/// The longest text of a [`FailureDetail`], in bytes. Longer ones are cut between characters.
pub const MAX_DETAIL: usize = 160;

/// One frame with what all frames have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Envelope<'a> {
    /// The protocol version.
    pub version: u8,
    /// Names the boot that the frame belongs to, among those of the device. Each run has one of its own.
    pub boot: u32,
    /// Counts the frames of a boot from 0.
    pub sequence: u32,
    /// When the frame was made.
    pub uptime: Instant,
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
    /// Names and units of metrics.
    #[serde(borrow)]
    Metrics(MetricTable<'a>),
    /// A phase's states, times and counts.
    Phase(PhaseReport),
    /// The failed requests of a phase by cause.
    Failures(FailureReport),
    /// A part of a histogram.
    #[serde(borrow)]
    Buckets(Buckets<'a>),
    /// What a histogram keeps beside its buckets; ends a snapshot.
    Totals(MetricTotals),
    /// The run is over.
    Finished(Finished),
    /// What became of a command.
    Answer(Answer),
    /// The plan of the current phase.
    PhasePlanned(PhasePlanned),
    /// What a failure said of itself.
    #[serde(borrow)]
    FailureDetail(FailureDetail<'a>),
}

impl Frame<'_> {
    /// How many kinds of frame this version knows; a kind is below it.
    pub const KINDS: u32 = 10;
}

/// A frame as it is sent, kind by kind as [`Frame`] has them: what it tells of stays where it is.
///
/// Without [`FailureDetail`], which only some firmwares send: the others need not have the code for it.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Outgoing<'f> {
    Hello(&'f Hello<'f>),
    Metrics(&'f MetricTable<'f>),
    Phase { stats: &'f PhaseStats, samples: u64, skipped: u32 },
    Failures { phase: u16, failures: &'f Failures },
    Buckets(&'f Buckets<'f>),
    Totals(&'f MetricTotals),
    Finished(&'f Finished),
    Answer(&'f Answer),
    PhasePlanned { index: u16, phase: &'f PhasePlan },
}

impl Outgoing<'_> {
    /// The number on the wire, which is the variant's place in [`Frame`].
    pub(super) const fn kind(&self) -> u32 {
        match self {
            Self::Hello(_) => 0,
            Self::Metrics(_) => 1,
            Self::Phase { .. } => 2,
            Self::Failures { .. } => 3,
            Self::Buckets(_) => 4,
            Self::Totals(_) => 5,
            Self::Finished(_) => 6,
            Self::Answer(_) => 7,
            Self::PhasePlanned { .. } => 8,
        }
    }
}

/// What a device is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Mode {
    /// Nothing: it waits for a plan.
    #[default]
    Idle,
    /// It runs a plan, which ends.
    Load,
    /// It measures itself, phase by phase as its firmware says, without a plan and maybe without an end.
    Monitor,
}

/// Who speaks, and how to read the rest: a host that attaches in mid-run needs this, and the metric table behind it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Hello<'a> {
    /// Names the device; at most [`MAX_NAME`] bytes.
    pub device_id: &'a str,
    /// The firmware's name; at most [`MAX_NAME`] bytes.
    pub firmware: &'a str,
    /// The firmware's version; at most [`MAX_NAME`] bytes.
    pub firmware_version: &'a str,
    /// The resolution of the device's clock, in ticks a second.
    pub clock_hz: u32,
    /// What the device is doing.
    pub mode: Mode,
    /// Names the content of the plan that it runs; 0 if it runs none.
    pub plan_hash: u64,
    /// How many phases that plan has.
    pub phases: u16,
    /// How many buckets a histogram has.
    pub capacity: u16,
    /// How wide a bucket's counter is.
    pub counter_bits: u8,
    /// How many metrics the device has; [`MetricTable`] frames name them.
    pub metrics: u8,
    /// Values that came outside of any phase, and are in no histogram.
    pub outside: u64,
    /// Reports that were due and found no room in the transmit queue.
    pub skipped: u32,
}

/// Names and units of some metrics, in the order of their ids.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct MetricTable<'a> {
    /// The id of the first one.
    pub first: u8,
    /// The metrics from that one on.
    #[serde(borrow)]
    pub metrics: Vec<Metric<'a>, METRICS_PER_FRAME>,
}

/// A phase's states, times and counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct PhaseReport {
    /// The phase.
    pub stats: PhaseStats,
    /// How many values the histograms of all its metrics hold together.
    pub samples: u64,
    /// Reports that were due and found no room in the transmit queue.
    pub skipped: u32,
}

/// The failed requests of a phase by cause; sent beside the report of a phase that has any.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct FailureReport {
    /// The phase's place in the run.
    pub phase: u16,
    /// Its failures.
    pub failures: Failures,
}

/// Absolute counts of some buckets of one histogram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Buckets<'a> {
    /// The phase's place in the run.
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
    /// The work is bounded by [`BUCKETS_PER_FRAME`], whatever the bytes say.
    ///
    /// # Errors
    /// [`BucketsError`] if the bytes end early or there are more buckets than that; those before have been given.
    pub fn for_each(&self, mut set: impl FnMut(i32, u64)) -> Result<(), BucketsError> {
        let mut rest = self.counts;
        let mut budget = BUCKETS_PER_FRAME;
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

/// What a histogram keeps beside its buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct MetricTotals {
    /// The phase's place in the run.
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
pub struct Answer {
    /// The command's id.
    pub command: u32,
    /// Names the plan that the device has received whole; 0 while it has none.
    pub plan_hash: u64,
    /// Why the command was not obeyed; [`Reason::OBEYED`] if it was.
    pub reason: Reason,
    /// A number that belongs to the reason.
    pub detail: u16,
}

impl Answer {
    /// Why the command was not obeyed; `None` if it was.
    pub fn refusal(&self) -> Option<Refusal> {
        let Self { reason, detail, .. } = *self;
        (reason != Reason::OBEYED).then_some(Refusal { reason, detail })
    }
}

/// The plan of a phase, as the device runs it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct PhasePlanned {
    /// The phase's place in the run.
    pub index: u16,
    /// Its plan.
    pub phase: PhasePlan,
}

/// What the first failure of its kind in a phase said of itself: the body of an error, or the operating system's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct FailureDetail<'a> {
    /// The phase's place in the run.
    pub phase: u16,
    /// The kind of failure.
    pub failure: Failure,
    /// Its words; at most [`MAX_DETAIL`] bytes.
    pub detail: &'a str,
}

impl FailureDetail<'_> {
    pub(super) const KIND: u32 = 9;
}

/// Why a device does not obey a command. A number, so that hosts can read those of newer devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Reason(u8);

impl Reason {
    /// It does.
    pub const OBEYED: Self = Self(0);
    /// The command is of a kind that the device does not know.
    pub const UNSUPPORTED: Self = Self(1);
    /// A run is under way.
    pub const BUSY: Self = Self(2);
    /// The command's fields make no sense to the device.
    pub const MALFORMED: Self = Self(3);
    /// The phase does not follow on those that the device has; the upload goes on at this place.
    pub const OUT_OF_ORDER: Self = Self(4);
    /// The plan came whole, and has another hash than announced: device and host read it differently.
    pub const HASH_MISMATCH: Self = Self(5);
    /// The plan has more phases than the device can hold, which is so many.
    pub const TOO_MANY_PHASES: Self = Self(6);
    /// The phase at this place is none that the device can carry out.
    pub const BAD_PHASE: Self = Self(7);
    /// The target is longer than it may be, which is so many bytes.
    pub const TARGET_TOO_LONG: Self = Self(8);
    /// The device cannot reach such a target.
    pub const BAD_TARGET: Self = Self(9);
    /// There is nothing to start: the device has no plan, or another one.
    pub const NO_PLAN: Self = Self(10);
    /// The plan has no phases, or one that never ends.
    pub const CANNOT_RUN: Self = Self(11);
}

/// A device does not obey a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// A number that belongs to the reason; 0 if none does.
    pub detail: u16,
}

impl Refusal {
    /// A refusal to which this number belongs.
    pub const fn with(reason: Reason, detail: u16) -> Self {
        Self { reason, detail }
    }
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Self { reason, detail: 0 }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reason, detail } = self;
        match *reason {
            Reason::UNSUPPORTED => f.write_str("it does not know this command: update its firmware"),
            Reason::BUSY => f.write_str("a run is under way: stop it first"),
            Reason::MALFORMED => f.write_str(
                "what it received makes no sense to it: use a phasemeter and a firmware of one version, and shorter paths",
            ),
            Reason::OUT_OF_ORDER => write!(f, "it expected the upload to go on at phase {detail}"),
            Reason::HASH_MISMATCH => f.write_str("it reads another plan: use a phasemeter and a firmware of one version"),
            Reason::TOO_MANY_PHASES => write!(f, "a plan may have {detail} phases: leave some out"),
            Reason::BAD_PHASE => write!(
                f,
                "it cannot carry out phase {detail}: its kind is new to it, only a host can make such requests, it has \
                 fewer connections, or the path has spaces or does not begin with /"
            ),
            Reason::TARGET_TOO_LONG => write!(f, "a target may have {detail} bytes"),
            Reason::BAD_TARGET => f.write_str("it cannot reach such a target: give an IPv4 address and a port"),
            Reason::NO_PLAN => f.write_str("it has no plan, or another one: upload it first"),
            Reason::CANNOT_RUN => f.write_str("the plan has no phases, or one that never ends"),
            Reason(code) => write!(f, "for a reason, {code}, that this program does not know: update it"),
        }
    }
}

impl core::error::Error for Refusal {}
