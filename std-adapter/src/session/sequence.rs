//! The numbers of a boot's frames: their order, and which are missing.

use phasemeter_core::time::Instant;

/// Of more gaps than these only the number of lost frames is kept.
const MAX_GAPS: usize = 1_000;
/// A frame that comes late is looked for in so many gaps, from the last on.
const LATE_GAPS: usize = 16;

/// A stretch of frames that did not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The number of the first frame that is missing.
    pub first_sequence: u32,
    /// How many are missing.
    pub frames: u32,
    /// Device time of the frame after the gap.
    pub at: Instant,
}

/// Where in the order of its boot a frame belongs. Unlike the number on the wire it does not wrap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) number: u64,
    /// The gap that it ends, if frames are missing before it.
    pub(super) gap: Option<Gap>,
}

/// A frame's number, and the device's time when it was made.
type Stamp = (u64, Instant);

/// The frames of one boot that have come.
#[derive(Debug)]
pub(super) struct Sequence {
    first: Stamp,
    last: Stamp,
    gaps: Vec<Gap>,
    lost: u64,
    /// A frame has come after a later one.
    disordered: bool,
}

impl Sequence {
    /// The sequence of a boot of which this frame came first.
    pub(super) fn new(sequence: u32, uptime: Instant) -> Self {
        // As far from both ends as numbers go.
        let stamp = ((1 << 62) + u64::from(sequence), uptime);
        Self { first: stamp, last: stamp, gaps: Vec::new(), lost: 0, disordered: false }
    }

    /// Takes the next frame that arrived; `None` if it cannot be one of this boot, as its number and its time
    /// contradict those of another.
    pub(super) fn take(&mut self, sequence: u32, uptime: Instant) -> Option<Place> {
        let number = self.number(sequence);
        let agrees = |(at, time): Stamp| number.cmp(&at) == uptime.cmp(&time) || (number != at && uptime == time);
        if !agrees(self.first) || !agrees(self.last) {
            return None;
        }
        Some(Place { number, gap: self.account(number, uptime) })
    }

    /// Takes a frame that arrived and is not understood.
    pub(super) fn take_unknown(&mut self, sequence: u32) -> Option<Gap> {
        self.account(self.number(sequence), self.last.1)
    }

    /// The stretches of frames that are missing, by number: the first thousand.
    pub(super) fn gaps(&self) -> &[Gap] {
        &self.gaps
    }

    /// How many frames are missing between the first and the last that came.
    pub(super) fn lost(&self) -> u64 {
        self.lost
    }

    /// Whether every frame of the boot came, each after the one before.
    pub(super) fn is_unbroken(&self) -> bool {
        self.lost == 0 && !self.disordered && self.first.0 == 1 << 62
    }

    /// The number nearest to the last one.
    fn number(&self, sequence: u32) -> u64 {
        let (last, _) = self.last;
        #[expect(clippy::cast_possible_truncation, reason = "the number on the wire is the lower half")]
        let ahead = sequence.wrapping_sub(last as u32).cast_signed();
        last.saturating_add_signed(ahead.into())
    }

    fn account(&mut self, number: u64, uptime: Instant) -> Option<Gap> {
        let (last, _) = self.last;
        let Some(missing) = number.checked_sub(last + 1) else {
            if number < last {
                self.disordered = true;
                self.close(number);
            }
            return None;
        };
        self.last = (number, uptime);
        // Less than half of what numbers there are.
        let frames = u32::try_from(missing).ok().filter(|frames| *frames > 0)?;
        self.lost = self.lost.saturating_add(missing);
        let gap = Gap { first_sequence: wire(last + 1), frames, at: uptime };
        if self.gaps.len() < MAX_GAPS {
            self.gaps.push(gap);
        }
        Some(gap)
    }

    /// A frame that comes late is not missing any more. One that comes twice is in no gap.
    fn close(&mut self, number: u64) {
        let sequence = wire(number);
        let is_in = |gap: &Gap| sequence.wrapping_sub(gap.first_sequence) < gap.frames;
        let late = self.gaps.len().saturating_sub(LATE_GAPS);
        let Some(at) = self.gaps.iter().skip(late).position(is_in).map(|place| late + place) else { return };
        let gap = self.gaps[at];
        let before = sequence.wrapping_sub(gap.first_sequence);
        let after = gap.frames - before - 1;
        let rest = Gap { first_sequence: sequence.wrapping_add(1), frames: after, ..gap };
        match (before, after) {
            (0, 0) => drop(self.gaps.remove(at)),
            (0, _) => self.gaps[at] = rest,
            (_, 0) => self.gaps[at].frames = before,
            _ if self.gaps.len() < MAX_GAPS => {
                self.gaps[at].frames = before;
                self.gaps.insert(at + 1, rest);
            }
            // There is no room for what it leaves: it goes on to count as missing.
            _ => return,
        }
        self.lost = self.lost.saturating_sub(1);
    }
}

/// The number on the wire.
#[expect(clippy::cast_possible_truncation, reason = "the number on the wire is the lower half")]
const fn wire(number: u64) -> u32 {
    number as u32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(sequence: u32) -> Instant {
        Instant::from_nanos(u64::from(sequence.wrapping_add(1_000)) * 10)
    }

    fn feed(numbers: &[u32]) -> Sequence {
        let mut sequence = Sequence::new(numbers[0], at(numbers[0]));
        for &number in &numbers[1..] {
            assert!(sequence.take(number, at(number)).is_some(), "{number}");
        }
        sequence
    }

    fn gaps(sequence: &Sequence) -> Vec<(u32, u32)> {
        sequence.gaps().iter().map(|gap| (gap.first_sequence, gap.frames)).collect()
    }

    #[test]
    fn late_frames_close_the_gap_that_they_fell_into_and_repeated_ones_none() {
        let sequence = feed(&[0, 1, 9, 4, 4, 1, 0]);
        assert_eq!((gaps(&sequence), sequence.lost()), (vec![(2, 2), (5, 4)], 6));
        let sequence = feed(&[0, 1, 9, 4, 2, 3, 8, 12]);
        assert_eq!((gaps(&sequence), sequence.lost()), (vec![(5, 3), (10, 2)], 5));
        let sequence = feed(&[5, 7, 6, 6]);
        assert_eq!((gaps(&sequence), sequence.lost(), sequence.is_unbroken()), (vec![], 0, false));
        assert!(feed(&[0, 1, 1, 2]).is_unbroken() && !feed(&[1, 2]).is_unbroken() && !feed(&[0, 2]).is_unbroken());
    }

    #[test]
    fn numbers_wrap() {
        let sequence = feed(&[u32::MAX - 2, u32::MAX, 1, u32::MAX - 1, 2]);
        assert_eq!((gaps(&sequence), sequence.lost()), (vec![(0, 1)], 1));
        let mut sequence = feed(&[u32::MAX, 0]);
        assert_eq!(sequence.take(1, at(1)).unwrap().number, (1 << 62) + (1 << 32) + 1);
    }

    #[test]
    fn of_many_gaps_the_number_of_lost_frames_is_kept() {
        let numbers: Vec<u32> = (0..3_000).map(|place| place * 3).collect();
        let mut sequence = feed(&numbers);
        assert_eq!((sequence.gaps().len(), sequence.lost()), (MAX_GAPS, 2 * 2_999));
        // Not known to be in a gap: it is counted neither twice nor as found.
        assert!(sequence.take(8_000, at(8_000)).is_some());
        assert_eq!(sequence.lost(), 2 * 2_999);
    }

    #[test]
    fn number_and_time_of_a_frame_agree_with_the_first_and_the_last() {
        let mut sequence = Sequence::new(10, at(10));
        assert!(sequence.take(20, at(20)).is_some());
        for (number, time) in [(21, at(19)), (20, at(21)), (10, at(9)), (9, at(11)), (19, at(21)), (11, at(9))] {
            assert_eq!(sequence.take(number, time), None, "{number}");
        }
        for (number, time) in [(21, at(20)), (10, at(10)), (9, at(10)), (15, at(15))] {
            assert!(sequence.take(number, time).is_some(), "{number}");
        }
    }

    proptest! {
        /// While the list is not full, gaps and lost frames are those that are missing.
        #[test]
        fn gaps_are_what_is_missing(late in proptest::collection::vec(0_u32..16, 1..200), start in any::<u32>()) {
            // Each frame comes up to 15 places late; some are lost.
            let mut order: Vec<_> = (0_u32..).zip(late).filter(|(_, late)| *late != 7).collect();
            order.sort_by_key(|(number, late)| number + late);
            prop_assume!(!order.is_empty());
            let numbers: Vec<_> = order.iter().map(|(number, _)| *number).collect();
            let time = |number: u32| Instant::from_nanos(number.into());
            let mut sequence = Sequence::new(start.wrapping_add(numbers[0]), time(numbers[0]));
            for &number in &numbers[1..] {
                prop_assert!(sequence.take(start.wrapping_add(number), time(number)).is_some());
            }
            let missing = |number: &u32| !numbers.contains(number);
            let last = numbers.iter().max().copied().unwrap_or(0);
            let expected: Vec<_> = (numbers[0]..last).filter(missing).map(|number| start.wrapping_add(number)).collect();
            let told: Vec<_> = sequence
                .gaps()
                .iter()
                .flat_map(|gap| (0..gap.frames).map(|offset| gap.first_sequence.wrapping_add(offset)))
                .collect();
            prop_assert_eq!(sequence.lost(), expected.len() as u64);
            prop_assert_eq!(told, expected);
        }
    }
}
