//! The live phase: its lifecycle, its counts, and of each metric a histogram and the resemblance of neighbouring values.

use crate::autocorrelation::Lag1;
use crate::histogram::{HistogramView, LatencyHistogram, Touched};
use crate::metric::MAX_METRICS;
use crate::phase::{Phase, PhaseStats};
use crate::plan::PhaseKind;

/// One histogram, what is kept of its values' order, and which 32nds of its storage changed since they were last reported.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
struct Tracked<const N: usize> {
    histogram: LatencyHistogram<N>,
    lag1: Lag1,
    changed: u32,
}

impl<const N: usize> Tracked<N> {
    const EMPTY: Self = Self { histogram: LatencyHistogram::new(), lag1: Lag1::NONE, changed: 0 };

    fn record(&mut self, value: u64) {
        self.lag1.record(value, self.histogram.is_empty());
        match self.histogram.record_slot(value) {
            Touched::Zero => {}
            Touched::Slot(slot) => self.changed |= 1_u32.rotate_left(changed_block(N, slot)),
            Touched::Rescaled => self.changed = u32::MAX,
        }
    }
}

/// Which of the 32 tracked parts of a histogram's storage of `capacity` slots holds `slot`.
#[expect(clippy::cast_possible_truncation, reason = "the block is below 32")]
pub(crate) const fn changed_block(capacity: usize, slot: usize) -> u32 {
    // Capacities are powers of two; below 32 slots each slot is a part of its own.
    (slot >> capacity.trailing_zeros().saturating_sub(5)) as u32 & 31
}

/// One metric of the live phase, as telemetry reads it.
pub(crate) struct MetricView<'a> {
    pub(crate) histogram: &'a HistogramView,
    pub(crate) lag1: &'a Lag1,
    /// Which 32nds of the storage are yet to be reported.
    pub(crate) changed: &'a mut u32,
}

/// The live phase: a histogram of `N` buckets for each of `M` metrics.
///
/// The size is dominated by the buckets: `4 · M · N` bytes, 10 KB for five metrics of 512.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Meter<const M: usize, const N: usize> {
    phase: Phase,
    metrics: [Tracked<N>; M],
}

impl<const M: usize, const N: usize> Meter<M, N> {
    /// A meter of an unnamed phase that has not started. All its bytes are zero, so that one in static memory takes no
    /// flash.
    pub const fn new() -> Self {
        const { assert!(M > 0 && M <= MAX_METRICS, "a device has from 1 to 32 metrics") };
        Self { phase: Phase::new(0, PhaseKind::Warmup, 0), metrics: [Tracked::EMPTY; M] }
    }

    /// Begins another phase: the histograms are empty again.
    pub(crate) fn begin(&mut self, phase: Phase) {
        self.phase = phase;
        self.metrics = const { [Tracked::EMPTY; M] };
    }

    /// The lifecycle and the counts.
    pub const fn phase(&self) -> &Phase {
        &self.phase
    }

    /// The lifecycle and the counts, to move the phase on.
    pub(crate) const fn phase_mut(&mut self) -> &mut Phase {
        &mut self.phase
    }

    /// All that is known of the phase apart from its failures and histograms.
    pub const fn stats(&self) -> &PhaseStats {
        self.phase.stats()
    }

    /// The histogram of the metric at this place of the table.
    pub fn histogram(&self, metric: usize) -> Option<&LatencyHistogram<N>> {
        self.metrics.get(metric).map(|tracked| &tracked.histogram)
    }

    /// How much the values of the metric at this place resemble the ones before them.
    pub fn lag1(&self, metric: usize) -> Option<&Lag1> {
        self.metrics.get(metric).map(|tracked| &tracked.lag1)
    }

    /// How many values the histograms hold together.
    pub(crate) fn samples(&self) -> u64 {
        self.metrics.iter().fold(0, |sum, metric| sum.saturating_add(metric.histogram.count()))
    }

    /// Records a value of the metric at this place; tells whether there is one.
    pub(crate) fn record(&mut self, metric: usize, value: u64) -> bool {
        self.metrics.get_mut(metric).map(|tracked| tracked.record(value)).is_some()
    }

    /// The id and the histogram of the metric at this place, with the marks of what is yet to be reported.
    pub(crate) fn metric_mut(&mut self, metric: usize) -> Option<(u8, MetricView<'_>)> {
        let Tracked { histogram, lag1, changed } = self.metrics.get_mut(metric)?;
        Some((u8::try_from(metric).ok()?, MetricView { histogram, lag1, changed }))
    }

    /// Has every bucket of every metric reported again.
    pub(crate) fn mark_all(&mut self) {
        for metric in &mut self.metrics {
            metric.changed = u32::MAX;
        }
    }
}

impl<const M: usize, const N: usize> Default for Meter<M, N> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_slot_has_a_block() {
        for capacity in [8_usize, 32, 64, 1024] {
            let blocks: u64 = (0..capacity).fold(0, |set, slot| set | 1 << changed_block(capacity, slot));
            assert_eq!(blocks.count_ones() as usize, capacity.min(32));
        }
    }

    proptest! {
        /// Recorded among those of another metric.
        #[test]
        fn what_is_kept_of_the_order_is_that_of_the_values(values in vec(any::<u64>(), 0..40), begin in any::<bool>()) {
            let mut meter = Meter::<2, 64>::new();
            for value in values.iter().cycle().take(if begin { 2 * values.len() } else { values.len() }) {
                if begin && meter.samples() == 2 * values.len() as u64 {
                    meter.begin(Phase::BLANK);
                }
                meter.record(1, *value);
                meter.record(0, !*value);
            }
            let products = values.windows(2).map(|pair| u128::from(pair[0]) * u128::from(pair[1]));
            let lag1 = meter.lag1(1).unwrap();
            prop_assert_eq!(lag1.products, products.fold(0, u128::wrapping_add));
            let ends = [values.first(), values.last()].map(|end| end.copied().unwrap_or(0));
            prop_assert_eq!([lag1.first, lag1.last], ends);
            prop_assert_eq!(lag1, &values.iter().copied().collect());
            // The sum of the squares is full before this one wraps.
            let exact = values.windows(2).try_fold(0_u128, |sum, pair| {
                sum.checked_add(u128::from(pair[0]) * u128::from(pair[1]))
            });
            prop_assert!(exact.is_some() || meter.histogram(1).unwrap().saturation().sum_of_squares());
        }
    }

    #[test]
    fn a_metric_that_there_is_not_takes_no_value() {
        let mut meter = Meter::<2, 64>::new();
        assert!(meter.record(1, 5) && !meter.record(2, 5));
        assert_eq!(meter.samples(), 1);
        assert!(meter.histogram(2).is_none());
    }
}
