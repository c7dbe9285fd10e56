//! The bucket counts of one histogram, twice: as last heard, and as of the last whole snapshot.

use std::ops::RangeFrom;

use super::limits::MAX_BUCKETS;

/// The storage of a histogram with few buckets.
const FEWEST_SLOTS: usize = 32;

/// The indices of 1 and of `u64::MAX` at the highest scale.
const INDICES: (i32, i32) = (-7654, 8730);

/// Why a count is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotKept {
    /// No value belongs into such a bucket.
    NoBucket,
    /// The buckets span more than [`MAX_BUCKETS`].
    TooWide,
    /// All histograms together take as many buckets as the host has set aside.
    NoRoom,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    live: u64,
    whole: u64,
}

/// The counts of the buckets in the used window, at the highest scale until they are folded.
#[derive(Debug)]
pub(super) struct Counts {
    /// The first and the last bucket that there can be.
    indices: (i32, i32),
    /// Bucket `index` is at `index mod slots.len()`, which is a power of two, so a growing window moves nothing. Outside
    /// the window all are empty.
    slots: Vec<Slot>,
    /// The first bucket of the window, and how many there are up to the last.
    lo: i32,
    len: u32,
    /// The sum of the live counts.
    sum: u128,
    /// The buckets whose live count is above that of the last whole snapshot, each once.
    risen: Vec<i32>,
}

impl Default for Counts {
    fn default() -> Self {
        Self { indices: INDICES, slots: Vec::new(), lo: 0, len: 0, sum: 0, risen: Vec::new() }
    }
}

impl Counts {
    /// The sum of the live counts.
    pub(super) fn sum(&self) -> u128 {
        self.sum
    }

    /// Takes the counts of neighbouring buckets from `start` on, which only ever rise; tells whether any did. `room` is how
    /// many more buckets may be set aside.
    pub(super) fn raise(&mut self, start: i32, counts: &[u64], room: &mut usize) -> Result<bool, NotKept> {
        let used = |count: &u64| *count > 0;
        let (Some(first), Some(last)) = (counts.iter().position(used), counts.iter().rposition(used)) else {
            return Ok(false);
        };
        // A frame has few buckets.
        let index = |place: usize| i32::try_from(place).ok().and_then(|place| start.checked_add(place));
        let (Some(lo), Some(hi)) = (index(first), index(last)) else { return Err(NotKept::NoBucket) };
        self.cover(lo, hi, room)?;
        let counts = counts.get(first..=last).unwrap_or_default();
        // The buckets lie in one piece, or in two around the end of the storage.
        let at = self.slot(lo);
        let (before, after) = self.slots.split_at_mut_checked(at).unwrap_or_default();
        let (head, tail) = counts.split_at_checked(after.len()).unwrap_or((counts, &[]));
        let mut indices = lo..;
        let more =
            raise(after, head, &mut indices, &mut self.risen) + raise(before, tail, &mut indices, &mut self.risen);
        self.sum += more;
        Ok(more > 0)
    }

    /// The live counts are those of a whole snapshot. The cost is that of the counts that rose since the last one.
    pub(super) fn commit(&mut self) {
        for index in self.risen.drain(..) {
            let at = slot(&self.slots, index);
            if let Some(slot) = self.slots.get_mut(at) {
                slot.whole = slot.live;
            }
        }
    }

    /// Index and count of the used buckets in the last whole snapshot, by rising index.
    pub(super) fn whole(&self) -> impl Iterator<Item = (i32, u64)> {
        let indices = (self.lo..).take(self.len as usize);
        let counts = indices.map(|index| (index, self.slots.get(self.slot(index)).map_or(0, |slot| slot.whole)));
        counts.filter(|(_, count)| *count > 0)
    }

    /// Adds each `2^halvings` neighbouring buckets up: those of a scale that is so much lower.
    pub(super) fn fold(&mut self, halvings: u32) {
        self.indices = (self.indices.0 >> halvings, self.indices.1 >> halvings);
        let Some(last) = self.len.checked_sub(1) else { return };
        let folded = vec![Slot::default(); self.slots.len()];
        let old = std::mem::replace(&mut self.slots, folded);
        let (lo, hi) = (self.lo, self.lo.wrapping_add_unsigned(last));
        for index in lo..=hi {
            let at = self.slot(index >> halvings);
            if let (Some(to), Some(from)) = (self.slots.get_mut(at), old.get(slot(&old, index))) {
                to.live = to.live.saturating_add(from.live);
                to.whole = to.whole.saturating_add(from.whole);
            }
        }
        (self.lo, self.len) = (lo >> halvings, (hi >> halvings).abs_diff(lo >> halvings) + 1);
        self.sum = 0;
        self.risen.clear();
        for index in (self.lo..).take(self.len as usize) {
            let Slot { live, whole } = self.slots.get(self.slot(index)).copied().unwrap_or_default();
            self.sum += u128::from(live);
            if live > whole {
                self.risen.push(index);
            }
        }
    }

    /// Widens the window so that it has these buckets, in which there are values.
    fn cover(&mut self, first: i32, last: i32, room: &mut usize) -> Result<(), NotKept> {
        let (lo, hi) = match self.len.checked_sub(1) {
            Some(len) => (self.lo.min(first), self.lo.wrapping_add_unsigned(len).max(last)),
            None => (first, last),
        };
        if first < self.indices.0 || last > self.indices.1 {
            return Err(NotKept::NoBucket);
        }
        let len = hi.abs_diff(lo).saturating_add(1);
        if len > MAX_BUCKETS {
            return Err(NotKept::TooWide);
        }
        if len as usize > self.slots.len() {
            self.grow((len as usize).next_power_of_two().max(FEWEST_SLOTS), room)?;
        }
        (self.lo, self.len) = (lo, len);
        Ok(())
    }

    #[cold]
    fn grow(&mut self, slots: usize, room: &mut usize) -> Result<(), NotKept> {
        *room = room.checked_sub(slots - self.slots.len()).ok_or(NotKept::NoRoom)?;
        let old = std::mem::replace(&mut self.slots, vec![Slot::default(); slots]);
        for index in (self.lo..).take(self.len as usize) {
            let at = self.slot(index);
            if let (Some(to), Some(from)) = (self.slots.get_mut(at), old.get(slot(&old, index))) {
                *to = *from;
            }
        }
        Ok(())
    }

    #[inline]
    fn slot(&self, index: i32) -> usize {
        slot(&self.slots, index)
    }
}

/// Raises the counts of buckets that lie in one piece, and tells by how much in all.
fn raise(slots: &mut [Slot], counts: &[u64], indices: &mut RangeFrom<i32>, risen: &mut Vec<i32>) -> u128 {
    let mut sum = 0;
    for ((slot, &count), index) in slots.iter_mut().zip(counts).zip(indices) {
        if slot.live < count {
            if slot.live == slot.whole {
                risen.push(index);
            }
            sum += u128::from(count - slot.live);
            slot.live = count;
        }
    }
    sum
}

#[inline]
fn slot(slots: &[Slot], index: i32) -> usize {
    index.cast_unsigned() as usize & slots.len().wrapping_sub(1)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use phasemeter_core::histogram::LatencyHistogram;
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Action {
        Raise(i32, Vec<u64>),
        Commit,
        Fold,
    }

    fn action() -> impl Strategy<Value = Action> {
        prop_oneof![
            20 => (-700..700, proptest::collection::vec(0_u64..5, 1..9)).prop_map(|(start, counts)| Action::Raise(start, counts)),
            3 => Just(Action::Commit),
            1 => Just(Action::Fold),
        ]
    }

    fn fold(counts: BTreeMap<i32, u64>) -> BTreeMap<i32, u64> {
        let mut folded = BTreeMap::new();
        for (index, count) in counts {
            *folded.entry(index >> 1).or_default() += count;
        }
        folded
    }

    proptest! {
        /// The same as two maps, one of which is copied at each commit.
        #[test]
        fn the_last_whole_counts_are_kept_without_a_copy(actions in proptest::collection::vec(action(), 0..200)) {
            let (mut counts, mut room) = (Counts::default(), usize::MAX);
            let (mut live, mut whole) = (BTreeMap::<i32, u64>::new(), BTreeMap::new());
            let mut halvings = 0;
            for action in actions {
                match action {
                    Action::Raise(start, run) => {
                        let start = start >> halvings;
                        let before = live.clone();
                        for (index, &count) in (start..).zip(&run).filter(|(_, count)| **count > 0) {
                            let kept = live.entry(index).or_insert(count);
                            *kept = count.max(*kept);
                        }
                        prop_assert_eq!(counts.raise(start, &run, &mut room), Ok(live != before));
                    }
                    Action::Commit => {
                        counts.commit();
                        whole = live.clone();
                    }
                    // Further ones leave fewer buckets than a run here has.
                    Action::Fold if halvings == 6 => {}
                    Action::Fold => {
                        counts.fold(1);
                        halvings += 1;
                        (live, whole) = (fold(live), fold(whole));
                    }
                }
                prop_assert_eq!(counts.sum(), live.values().map(|count| u128::from(*count)).sum::<u128>());
                prop_assert!(counts.whole().eq(whole.iter().map(|(index, count)| (*index, *count))));
            }
        }
    }

    #[test]
    fn there_are_buckets_for_all_values_and_no_others() {
        let histogram = |value| {
            let mut histogram = LatencyHistogram::<4096>::new();
            histogram.record(value);
            histogram
        };
        let index = |value| histogram(value).window().map(|(index, _)| index);
        assert_eq!((index(1), index(u64::MAX)), (Some(INDICES.0), Some(INDICES.1)));
    }

    #[test]
    fn what_it_takes_is_bounded() {
        let (mut counts, mut room) = (Counts::default(), 6_000);
        assert_eq!(counts.raise(-4000, &[1], &mut room), Ok(true));
        assert_eq!(counts.raise(95, &[1], &mut room), Ok(true));
        assert_eq!(counts.raise(96, &[1], &mut room), Err(NotKept::TooWide));
        assert_eq!(counts.raise(96, &[0], &mut room), Ok(false));
        for index in [i32::MIN, INDICES.0 - 1, INDICES.1 + 1, i32::MAX] {
            assert_eq!(counts.raise(index, &[1], &mut room), Err(NotKept::NoBucket));
        }
        assert_eq!(room, 6_000 - 4_096);
        let mut other = Counts::default();
        assert_eq!(other.raise(0, &[u64::MAX], &mut room), Ok(true));
        assert_eq!(other.raise(1_900, &[1], &mut room), Err(NotKept::NoRoom));
        assert_eq!(other.raise(-1_000, &[u64::MAX], &mut room), Ok(true));
        assert_eq!(other.sum(), 2 * u128::from(u64::MAX));
        other.fold(12);
        assert_eq!(other.sum(), 2 * u128::from(u64::MAX), "-1 and 0");
        assert_eq!(other.raise(-1, &[3], &mut room), Ok(false));
    }
}
