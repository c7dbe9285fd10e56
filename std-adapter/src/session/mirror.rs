//! One histogram put together from the frames that describe it.

use std::collections::BTreeMap;

use phasemeter_core::histogram::{LatencyHistogram, Totals};
use phasemeter_core::telemetry::Buckets;

/// The host's histogram: takes any device's of up to 4,096 buckets at the device's own resolution.
pub type HostHistogram = LatencyHistogram<4096, u64>;

/// The highest scale; also the one that a mirror starts at.
const MAX_SCALE: i8 = 8;
const MIN_SCALE: i8 = -4;
/// No index of a `u64` of nanoseconds lies beyond, at any scale.
const MAX_INDEX: i32 = 1 << 14;

/// The counts that were received of one histogram, and its last whole snapshot.
///
/// Counts only grow, so each is at most the true one; when their sum is the true sum, each is the true one. That is
/// when a snapshot is taken over.
#[derive(Debug)]
pub struct Mirror {
    scale: i8,
    counts: BTreeMap<i32, u64>,
    whole: Option<Box<HostHistogram>>,
    /// The most samples that any frame told of.
    expected: u64,
}

impl Default for Mirror {
    fn default() -> Self {
        Self { scale: MAX_SCALE, counts: BTreeMap::new(), whole: None, expected: 0 }
    }
}

impl Mirror {
    /// Takes the absolute counts of some buckets. Tells whether they made sense; what did before the fault is kept.
    pub fn set(&mut self, buckets: &Buckets<'_>) -> bool {
        if !(MIN_SCALE..=MAX_SCALE).contains(&buckets.scale) {
            return false;
        }
        self.lower_scale(buckets.scale);
        // A frame from before a rescale that was seen already.
        let shift = u32::from(buckets.scale.abs_diff(self.scale));
        let mut plausible = shift == 0;
        let read = buckets.for_each(|index, count| {
            if !plausible || index.unsigned_abs() >= MAX_INDEX.unsigned_abs() {
                plausible = false;
            } else if count > 0 {
                self.counts.insert(index, count);
            }
        });
        plausible && read.is_ok()
    }

    /// Takes what the histogram keeps beside its buckets; tells whether that makes a whole snapshot.
    pub fn commit(&mut self, totals: &Totals) -> bool {
        self.expect(totals.count);
        if (MIN_SCALE..=MAX_SCALE).contains(&totals.scale) {
            self.lower_scale(totals.scale);
        }
        let counts = self.counts.iter().map(|(&index, &count)| (index, count));
        let Ok(whole) = HostHistogram::from_parts(totals, counts) else { return false };
        // A histogram takes 32 KB here; one without samples takes none.
        self.whole = (totals.count > 0).then(|| Box::new(whole));
        true
    }

    /// Some frame told of so many samples.
    pub fn expect(&mut self, samples: u64) {
        self.expected = self.expected.max(samples);
    }

    /// The last whole snapshot.
    pub fn histogram(&self) -> Option<&HostHistogram> {
        self.whole.as_deref()
    }

    /// How many samples the last whole snapshot holds.
    pub fn observed(&self) -> u64 {
        self.whole.as_ref().map_or(0, |histogram| histogram.count())
    }

    /// How many samples there are, as far as any frame told.
    pub fn expected(&self) -> u64 {
        self.expected
    }

    /// Nothing more will come: only the last whole snapshot is kept.
    pub(super) fn close(&mut self) {
        self.counts = BTreeMap::new();
    }

    fn lower_scale(&mut self, scale: i8) {
        if scale >= self.scale {
            return;
        }
        let shift = u32::from(self.scale.abs_diff(scale));
        let mut lowered = BTreeMap::new();
        for (index, count) in std::mem::take(&mut self.counts) {
            let sum: &mut u64 = lowered.entry(index >> shift).or_default();
            *sum = sum.saturating_add(count);
        }
        self.counts = lowered;
        self.scale = scale;
    }
}
