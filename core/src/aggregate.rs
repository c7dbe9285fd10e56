//! Many phases or devices made into one.
//!
//! Counts add and histograms merge, exactly and in any order. Rates depend on how the parts relate in time, which the
//! caller states: parts that ran side by side add their rates, parts that ran one after the other add their windows.
//! Percentiles are taken from the merged histogram; averaging those of the parts would be wrong.

use crate::histogram::{Counter, HistogramView, LatencyHistogram};
use crate::meter::{METRICS, Metric, PerMetric};
use crate::phase::{PhaseCounts, PhaseState, PhaseStats};
use crate::time::Nanos;

/// How the parts of an aggregate relate in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Timing {
    /// Side by side, as devices: rates add, the window is the longest of the parts'.
    Concurrent,
    /// One after the other, as phases: windows add, the rate is requests over window.
    Sequential,
}

/// The sum of many parts: `N` buckets of width `C` for each metric.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Aggregate<const N: usize, C: Counter = u64> {
    timing: Timing,
    parts: u32,
    complete: bool,
    counts: PhaseCounts,
    sending: Nanos,
    total: Nanos,
    /// Successful requests in 10⁹ seconds, summed over concurrent parts.
    rate: u128,
    histograms: PerMetric<LatencyHistogram<N, C>>,
}

impl<const N: usize, C: Counter> Aggregate<N, C> {
    /// The aggregate of no parts.
    pub fn new(timing: Timing) -> Self {
        Self {
            timing,
            parts: 0,
            complete: true,
            counts: PhaseCounts::default(),
            sending: Nanos::ZERO,
            total: Nanos::ZERO,
            rate: 0,
            histograms: PerMetric([const { LatencyHistogram::new() }; METRICS]),
        }
    }

    /// Adds a part; `histogram` yields the part's histogram of each metric.
    ///
    /// The cost is a merge per metric. Counts saturate.
    pub fn add<'a, C2: Counter>(
        &mut self,
        stats: &PhaseStats,
        histogram: impl Fn(Metric) -> Option<&'a HistogramView<C2>>,
    ) {
        let total = stats.total_duration().unwrap_or(Nanos::ZERO);
        self.add_window(
            &stats.counts,
            stats.sending_duration().unwrap_or(Nanos::ZERO),
            total,
            rate(stats.counts.successful(), total),
        );
        self.parts = self.parts.saturating_add(1);
        self.complete &= stats.state == PhaseState::Complete;
        for (metric, sum) in self.histograms.iter_mut() {
            if let Some(part) = histogram(metric) {
                sum.merge(part);
            }
        }
    }

    /// Adds the parts of another aggregate, which count as one in time: a device that ran several phases in turn, say.
    ///
    /// The cost is a merge per metric. Counts saturate.
    pub fn merge(&mut self, other: &Self) {
        self.add_window(&other.counts, other.sending, other.total, other.rate);
        self.parts = self.parts.saturating_add(other.parts);
        self.complete &= other.complete;
        for (metric, sum) in self.histograms.iter_mut() {
            sum.merge(&other.histograms[metric]);
        }
    }

    fn add_window(&mut self, part: &PhaseCounts, sending: Nanos, total: Nanos, part_rate: u128) {
        let sum = &mut self.counts;
        sum.sent = sum.sent.saturating_add(part.sent);
        sum.completed = sum.completed.saturating_add(part.completed);
        sum.errors = sum.errors.saturating_add(part.errors);
        sum.cancelled = sum.cancelled.saturating_add(part.cancelled);
        sum.unsent = sum.unsent.saturating_add(part.unsent);
        match self.timing {
            Timing::Concurrent => {
                self.sending = self.sending.max(sending);
                self.total = self.total.max(total);
                self.rate = self.rate.saturating_add(part_rate);
            }
            Timing::Sequential => {
                self.sending = self.sending.saturating_add(sending);
                self.total = self.total.saturating_add(total);
                self.rate = rate(self.counts.successful(), self.total);
            }
        }
    }

    /// How many parts were added.
    pub const fn parts(&self) -> u32 {
        self.parts
    }

    /// Whether every part was complete.
    pub const fn is_complete(&self) -> bool {
        self.complete
    }

    /// The sums of the parts' counts.
    pub const fn counts(&self) -> &PhaseCounts {
        &self.counts
    }

    /// How long requests were sent: the longest part's, or the sum, as [`Timing`] says.
    pub const fn sending_duration(&self) -> Nanos {
        self.sending
    }

    /// How long it took: the longest part's, or the sum, as [`Timing`] says.
    pub const fn total_duration(&self) -> Nanos {
        self.total
    }

    /// Successful requests in 10⁹ seconds; zero while no part is complete.
    pub const fn throughput_nanohertz(&self) -> u128 {
        self.rate
    }

    /// Successful requests in a million requests that ended; `None` if none has ended.
    ///
    /// Failed and cancelled requests are both failures.
    pub fn success_rate_ppm(&self) -> Option<u32> {
        let ended = u128::from(self.counts.completed) + u128::from(self.counts.cancelled);
        let ppm = (u128::from(self.counts.successful()) * 1_000_000).checked_div(ended)?;
        u32::try_from(ppm).ok()
    }

    /// The merged histogram of one metric.
    pub fn histogram(&self, metric: Metric) -> &LatencyHistogram<N, C> {
        &self.histograms[metric]
    }
}

/// Requests in 10⁹ seconds; zero over no time.
fn rate(requests: u64, window: Nanos) -> u128 {
    (u128::from(requests) * 1_000_000_000_000_000_000).checked_div(u128::from(window.get())).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::PhaseKind;

    fn part(seconds: u64, requests: u64) -> (PhaseStats, LatencyHistogram<64>) {
        let mut histogram = LatencyHistogram::new();
        histogram.record_n(1_000 * seconds, requests);
        let stats = PhaseStats {
            index: 0,
            kind: PhaseKind::Profiling,
            state: PhaseState::Complete,
            timed_out: false,
            cancelled: false,
            started_at: Some(Nanos::ZERO),
            sending_complete_at: Some(Nanos::from_secs(seconds)),
            completed_at: Some(Nanos::from_secs(seconds)),
            counts: PhaseCounts { sent: requests, completed: requests, errors: requests / 2, cancelled: 0, unsent: 0 },
        };
        (stats, histogram)
    }

    fn aggregate(timing: Timing) -> Aggregate<64> {
        let mut sum = Aggregate::new(timing);
        for (stats, histogram) in [part(10, 100), part(5, 100)] {
            sum.add(&stats, |metric| (metric == Metric::ServiceTime).then_some(&*histogram));
        }
        sum
    }

    #[test]
    fn concurrent_rates_add_and_sequential_windows_add() {
        let side_by_side = aggregate(Timing::Concurrent);
        assert_eq!(side_by_side.throughput_nanohertz(), 15_000_000_000);
        assert_eq!(side_by_side.total_duration(), Nanos::from_secs(10));
        let in_turn = aggregate(Timing::Sequential);
        assert_eq!(in_turn.throughput_nanohertz(), 100_000_000_000 / 15);
        assert_eq!(in_turn.total_duration(), Nanos::from_secs(15));
        assert_eq!(in_turn.success_rate_ppm(), Some(500_000));
        assert_eq!(in_turn.histogram(Metric::ServiceTime).count(), 200);
        assert!(in_turn.histogram(Metric::ResponseTime).is_empty());
    }
}
