//! The frames as types. Field order is the wire's order.

use core::fmt;

use heapless::Vec;
use serde::{Deserialize, Serialize};

use super::answer::Answer;
use crate::autocorrelation::Lag1;
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
    /// What is kept of a metric beside its buckets; ends a snapshot.
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

/// What is kept of a metric beside the buckets of its histogram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct MetricTotals {
    /// The phase's place in the run.
    pub phase: u16,
    /// The metric's id.
    pub metric: u8,
    /// Scale, counts and moments.
    pub totals: Totals,
    /// How much the values resemble the ones before them.
    pub lag1: Lag1,
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
