//! The frames as types. Field order is the wire's order.

use core::fmt;

use heapless::Vec;
use serde::{Deserialize, Serialize};

use crate::histogram::Totals;
use crate::histogram::counts::CountReader;
use crate::phase::PhaseStats;
use crate::time::Nanos;

/// The protocol version that this crate speaks.
pub const VERSION: u8 = 1;

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
}

impl Frame<'_> {
    /// How many kinds of frame this version knows; a kind is below it.
    pub const KINDS: u32 = 5;
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
