//! What a histogram was at some moments of its phase: the beginning can be compared with the end.

use phasemeter_core::autocorrelation::Lag1;
use phasemeter_core::histogram::Totals;

use super::limits::{HostHistogram, MAX_CHECKPOINTS};

/// The first is taken after so many samples.
const FIRST_AFTER: u64 = 64;

/// What there was of a metric up to some moment of its phase.
#[derive(Clone, Debug)]
pub struct Moment {
    /// The samples until then.
    pub histogram: Box<HostHistogram>,
    /// How much they resemble the ones before them.
    pub lag1: Lag1,
}

/// A whole snapshot that was kept.
#[derive(Debug)]
pub(super) struct Checkpoint {
    totals: Totals,
    lag1: Lag1,
    buckets: Vec<(i32, u64)>,
}

impl Checkpoint {
    /// Put together anew; `None` if its numbers are those of no histogram.
    pub(super) fn moment(&self) -> Option<Moment> {
        let histogram = HostHistogram::from_parts(&self.totals, self.buckets.iter().copied()).ok()?;
        Some(Moment { histogram: Box::new(histogram), lag1: self.lag1 })
    }
}

/// At most [`MAX_CHECKPOINTS`], about as far apart as each other. When there are more, every second one goes and those to come
/// are twice as far apart: there are few copies, however long a phase is.
#[derive(Debug)]
pub(super) struct Checkpoints {
    kept: Vec<Checkpoint>,
    /// Samples up to the next one.
    apart: u64,
}

impl Default for Checkpoints {
    fn default() -> Self {
        Self { kept: Vec::new(), apart: FIRST_AFTER }
    }
}

impl Checkpoints {
    /// The earliest first.
    pub(super) fn kept(&self) -> &[Checkpoint] {
        &self.kept
    }

    /// Whether one with so many samples is to be kept.
    pub(super) fn is_due(&self, count: u64) -> bool {
        let last = self.kept.last().map_or(0, |last| last.totals.count);
        count >= last.saturating_add(self.apart)
    }

    /// Keeps one, if there is room for its buckets.
    pub(super) fn keep(
        &mut self,
        totals: Totals,
        lag1: Lag1,
        buckets: impl Iterator<Item = (i32, u64)>,
        room: &mut usize,
    ) {
        let buckets: Vec<_> = buckets.collect();
        let Some(left) = room.checked_sub(buckets.len()) else { return };
        *room = left;
        self.kept.push(Checkpoint { totals, lag1, buckets });
        if self.kept.len() > MAX_CHECKPOINTS {
            let mut is_kept = true;
            self.kept.retain(|checkpoint| {
                is_kept = !is_kept;
                *room += if is_kept { 0 } else { checkpoint.buckets.len() };
                is_kept
            });
            // A phase that was long under way when it was first seen catches up.
            self.apart = self.apart.saturating_mul(2).max(totals.count / MAX_CHECKPOINTS as u64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(checkpoints: &Checkpoints) -> Vec<u64> {
        checkpoints.kept().iter().map(|checkpoint| checkpoint.totals.count).collect()
    }

    fn offer(checkpoints: &mut Checkpoints, count: u64, room: &mut usize) {
        if checkpoints.is_due(count) {
            let totals = Totals { count, ..Totals::default() };
            checkpoints.keep(totals, Lag1::NONE, (0..10).map(|index| (index, count)), room);
        }
    }

    #[test]
    fn they_stay_few_and_spread_over_the_phase() {
        let (mut checkpoints, mut room) = (Checkpoints::default(), 1_000);
        for count in (0..1_000_000).step_by(7) {
            offer(&mut checkpoints, count, &mut room);
            assert!(checkpoints.kept().len() <= MAX_CHECKPOINTS);
        }
        let counts = counts(&checkpoints);
        assert_eq!(room, 1_000 - 10 * counts.len(), "what goes makes room");
        assert!(counts.len() >= MAX_CHECKPOINTS / 2 && counts[0] <= 1_000_000 / 8, "{counts:?}");
        let gaps: Vec<_> = counts.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(gaps.iter().max().unwrap() <= &(gaps.iter().min().unwrap() * 5 / 4), "{gaps:?}");
    }

    #[test]
    fn a_phase_that_was_under_way_takes_few_copies() {
        let (mut checkpoints, mut room, mut copies) = (Checkpoints::default(), 1_000, 0);
        for count in (1_000_000..4_000_000).step_by(100) {
            copies += u32::from(checkpoints.is_due(count));
            offer(&mut checkpoints, count, &mut room);
        }
        assert!(copies < 60, "{copies}");
    }

    #[test]
    fn without_room_none_is_kept() {
        let (mut checkpoints, mut room) = (Checkpoints::default(), 15);
        (0..10).for_each(|step| offer(&mut checkpoints, 100 * step, &mut room));
        assert_eq!((counts(&checkpoints), room), (vec![100], 5));
    }
}
