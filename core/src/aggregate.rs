//! Many phases or devices made into one.
//!
//! Counts add, exactly and in any order. Rates depend on how the parts relate in time, which the caller states: parts
//! that ran side by side add their rates, parts that ran one after the other add their windows. The histograms of a
//! metric [merge](crate::histogram::HistogramView::merge), exactly and in any order as well; percentiles are taken from
//! the merged one; averaging those of the parts would be wrong.

use crate::phase::{PhaseCounts, PhaseState, PhaseStats};
use crate::time::Duration;

/// How the parts of an aggregate relate in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Timing {
    /// Side by side, as devices: rates add, the window is the longest of the parts'.
    Concurrent,
    /// One after the other, as phases: windows add, the rate is requests over window.
    Sequential,
}

/// The sum of many parts.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Aggregate {
    timing: Timing,
    parts: u32,
    complete: bool,
    counts: PhaseCounts,
    sending: Duration,
    total: Duration,
    /// Successful requests in 10⁹ seconds, summed over concurrent parts.
    rate: u128,
}

impl Aggregate {
    /// The aggregate of no parts.
    pub fn new(timing: Timing) -> Self {
        Self {
            timing,
            parts: 0,
            complete: true,
            counts: PhaseCounts::default(),
            sending: Duration::ZERO,
            total: Duration::ZERO,
            rate: 0,
        }
    }

    /// Adds a part. Counts saturate.
    pub fn add(&mut self, stats: &PhaseStats) {
        let total = stats.total_duration().unwrap_or(Duration::ZERO);
        self.add_window(
            &stats.counts,
            stats.sending_duration().unwrap_or(Duration::ZERO),
            total,
            rate(stats.counts.successful(), total),
        );
        self.parts = self.parts.saturating_add(1);
        self.complete &= stats.state == PhaseState::Complete;
    }

    /// Adds the parts of another aggregate, which count as one in time: a device that ran several phases in turn, say.
    /// Counts saturate.
    pub fn merge(&mut self, other: &Self) {
        self.add_window(&other.counts, other.sending, other.total, other.rate);
        self.parts = self.parts.saturating_add(other.parts);
        self.complete &= other.complete;
    }

    fn add_window(&mut self, part: &PhaseCounts, sending: Duration, total: Duration, part_rate: u128) {
        let sum = &mut self.counts;
        sum.sent = sum.sent.saturating_add(part.sent);
        sum.completed = sum.completed.saturating_add(part.completed);
        sum.errors = sum.errors.saturating_add(part.errors);
        sum.cancelled = sum.cancelled.saturating_add(part.cancelled);
        sum.unsent = sum.unsent.saturating_add(part.unsent);
        sum.unsent_at_least |= part.unsent_at_least;
        sum.held = sum.held.saturating_add(part.held);
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
    pub const fn sending_duration(&self) -> Duration {
        self.sending
    }

    /// How long it took: the longest part's, or the sum, as [`Timing`] says.
    pub const fn total_duration(&self) -> Duration {
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
}

/// Requests in 10⁹ seconds; zero over no time.
fn rate(requests: u64, window: Duration) -> u128 {
    (u128::from(requests) * 1_000_000_000_000_000_000).checked_div(u128::from(window.as_nanos())).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phase::Phase;
    use crate::plan::PhaseKind;
    use crate::time::Instant;

    fn part(seconds: u64, requests: u64) -> PhaseStats {
        let at = |seconds: u64| Some(Instant::from_nanos(seconds * 1_000_000_000));
        PhaseStats {
            state: PhaseState::Complete,
            started_at: at(0),
            sending_complete_at: at(seconds),
            completed_at: at(seconds),
            counts: PhaseCounts {
                sent: requests,
                completed: requests,
                errors: requests / 2,
                unsent: 1,
                unsent_at_least: seconds == 5,
                held: 1,
                ..PhaseCounts::default()
            },
            ..*Phase::new(0, PhaseKind::Profiling, 0).stats()
        }
    }

    fn aggregate(timing: Timing) -> Aggregate {
        let mut sum = Aggregate::new(timing);
        for stats in [part(10, 100), part(5, 100)] {
            sum.add(&stats);
        }
        sum
    }

    #[test]
    fn concurrent_rates_add_and_sequential_windows_add() {
        let side_by_side = aggregate(Timing::Concurrent);
        assert_eq!(side_by_side.throughput_nanohertz(), 15_000_000_000);
        assert_eq!(side_by_side.total_duration(), Duration::from_secs(10));
        let in_turn = aggregate(Timing::Sequential);
        assert_eq!(in_turn.throughput_nanohertz(), 100_000_000_000 / 15);
        assert_eq!(in_turn.total_duration(), Duration::from_secs(15));
        assert_eq!(in_turn.success_rate_ppm(), Some(500_000));
        assert_eq!((in_turn.counts().unsent, in_turn.counts().unsent_at_least), (2, true));
        assert_eq!(in_turn.counts().held, 2);
    }
}
