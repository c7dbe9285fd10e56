//! One histogram put together from the frames that describe it.

use phasemeter_core::autocorrelation::Lag1;
use phasemeter_core::histogram::{MAX_SCALE, MIN_SCALE, Totals};
use phasemeter_core::telemetry::Buckets;

use super::checkpoints::{Checkpoint, Checkpoints, Moment};
use super::counts::{Counts, NotKept};
use super::limits::{HostHistogram, Room};
use crate::statistics;

/// The flag of [`Saturation`](phasemeter_core::histogram::Saturation) that says that a bucket's counter is full.
const FULL_BUCKETS: u8 = 1;

/// Why a frame about a histogram is not taken, or not wholly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It cannot be read, or is of buckets that there are not.
    Malformed,
    /// No values have these sums and these products of neighbours.
    Order,
    /// It says less than an earlier one.
    Falls,
    /// It is of more buckets than the host takes.
    NotKept(NotKept),
}

/// The counts that were received of one histogram, and its last whole snapshot.
///
/// Counts only grow, so each that was received is at most the true one by the time of a later totals frame; when their
/// sum is the true sum, each is the true one: the snapshot is whole. A frame's place in time is its number, not its
/// arrival: frames that come late or twice do no harm.
#[derive(Debug)]
pub struct Mirror {
    scale: i8,
    counts: Counts,
    /// The number of the newest frame that raised a count.
    newest: u64,
    /// The newest totals, with the number of their frame.
    told: Option<(u64, Told)>,
    /// The totals of the last whole snapshot.
    whole: Option<Told>,
    checkpoints: Checkpoints,
}

/// What a frame of totals tells.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Told {
    totals: Totals,
    lag1: Lag1,
}

impl Default for Mirror {
    fn default() -> Self {
        Self {
            scale: MAX_SCALE,
            counts: Counts::default(),
            newest: 0,
            told: None,
            whole: None,
            checkpoints: Checkpoints::default(),
        }
    }
}

impl Mirror {
    /// Takes the absolute counts of some buckets from the frame of this number. What is read before a fault is kept.
    pub(super) fn set(&mut self, number: u64, buckets: &Buckets<'_>, room: &mut Room) -> Result<(), Fault> {
        if !(MIN_SCALE..=MAX_SCALE).contains(&buckets.scale) {
            return Err(Fault::Malformed);
        }
        // From before a change of scale that is known already: the buckets were sent again since.
        if buckets.scale > self.scale {
            return Ok(());
        }
        self.lower_scale(buckets.scale);
        let (mut rose, mut fault) = (false, None);
        let Room { buckets: room, run, checkpoints, .. } = room;
        run.clear();
        let (mut start, mut next, counts) = (0, 0, &mut self.counts);
        let mut raise = |start, run: &[u64]| {
            if fault.is_none() {
                match counts.raise(start, run, room) {
                    Ok(risen) => rose |= risen,
                    Err(why) => fault = Some(Fault::NotKept(why)),
                }
            }
        };
        let read = buckets.for_each(|index, count| {
            if index != next {
                raise(start, run);
                run.clear();
                start = index;
            }
            run.push(count);
            next = index.wrapping_add(1);
        });
        raise(start, run);
        if rose {
            self.newest = self.newest.max(number);
            // A part that comes late may be the last that was missing.
            self.judge(false, checkpoints);
        }
        if read.is_err() { Err(Fault::Malformed) } else { fault.map_or(Ok(()), Err) }
    }

    /// Takes what the histogram keeps beside its buckets from the frame of this number, which makes a whole snapshot if
    /// nothing of it is missing. `unbroken` tells whether every frame of the boot has come, in order.
    ///
    /// The cost is that of the counts that rose since the last whole snapshot.
    pub(super) fn commit(
        &mut self,
        number: u64,
        totals: &Totals,
        lag1: &Lag1,
        unbroken: bool,
        room: &mut Room,
    ) -> Result<(), Fault> {
        if !(MIN_SCALE..=MAX_SCALE).contains(&totals.scale) {
            return Err(Fault::Malformed);
        }
        if !statistics::is_possible(totals, lag1) {
            return Err(Fault::Order);
        }
        let telling = Told { totals: *totals, lag1: *lag1 };
        match &self.told {
            Some((at, told)) if number <= *at => {
                // Late, or again.
                let agrees = if number == *at { telling == *told } else { telling.may_become(told) };
                return if agrees { Ok(()) } else { Err(Fault::Falls) };
            }
            Some((_, told)) if !told.may_become(&telling) => return Err(Fault::Falls),
            _ => {}
        }
        self.told = Some((number, telling));
        self.lower_scale(totals.scale);
        self.judge(unbroken, &mut room.checkpoints);
        Ok(())
    }

    /// The last whole snapshot, put together anew; `None` if there is none, or its numbers are those of no histogram.
    pub fn histogram(&self) -> Option<Box<HostHistogram>> {
        self.build().map(Box::new)
    }

    /// How much the values of the last whole snapshot resemble the ones before them; that of no values if there is none.
    pub fn lag1(&self) -> Lag1 {
        self.whole.as_ref().map_or(Lag1::NONE, |whole| whole.lag1)
    }

    /// The whole snapshots at some moments of the phase, the earliest first and the last one last, put together anew: at most
    /// 17, about as many samples apart as each other.
    pub fn moments(&self) -> Vec<Moment> {
        let Some(histogram) = self.histogram() else { return Vec::new() };
        let last = Moment { histogram, lag1: self.lag1() };
        let mut moments: Vec<_> = self.checkpoints.kept().iter().filter_map(Checkpoint::moment).collect();
        moments.retain(|moment| moment.histogram.count() < last.histogram.count());
        moments.push(last);
        moments
    }

    /// How many samples the last whole snapshot holds.
    pub fn observed(&self) -> u64 {
        self.whole.as_ref().map_or(0, |whole| whole.totals.count)
    }

    /// How many samples there are, as far as any frame told.
    pub fn expected(&self) -> u64 {
        self.told.as_ref().map_or(0, |(_, told)| told.totals.count)
    }

    /// Whether the newest totals that came are those of the last whole snapshot.
    pub(super) fn is_current(&self) -> bool {
        self.told.as_ref().is_some_and(|(_, told)| self.whole.as_ref() == Some(told))
    }

    /// Whether the last whole snapshot is one that a histogram can have.
    pub(super) fn is_sound(&self) -> bool {
        self.observed() == 0 || self.build().is_some()
    }

    /// Whether a metric of which this was told can have become that of the last whole snapshot.
    pub(super) fn may_have_been(&self, totals: &Totals, lag1: &Lag1) -> bool {
        let told = Told { totals: *totals, lag1: *lag1 };
        self.whole.as_ref().map_or(totals.count == 0, |whole| told.may_become(whole))
    }

    fn judge(&mut self, unbroken: bool, room: &mut usize) {
        let Some((at, told)) = &self.told else { return };
        let totals = &told.totals;
        // Counts that rose later may hold more than these totals, and those of a finer scale are older.
        if *at < self.newest || totals.scale != self.scale {
            return;
        }
        let is_whole = if totals.saturation.buckets() || totals.saturation.count() {
            // The sums need not agree any more: only the numbers of frames tell whether any is missing.
            unbroken
        } else {
            self.counts.sum() + u128::from(totals.zero) == u128::from(totals.count)
        };
        if is_whole {
            self.counts.commit();
            self.whole = Some(*told);
            if self.checkpoints.is_due(totals.count) && !totals.saturation.any() {
                self.checkpoints.keep(*totals, told.lag1, self.counts.whole(), room);
            }
        }
    }

    fn lower_scale(&mut self, scale: i8) {
        if scale < self.scale {
            self.counts.fold(u32::from(self.scale.abs_diff(scale)));
            self.scale = scale;
        }
    }

    fn build(&self) -> Option<HostHistogram> {
        let totals = self.whole.as_ref().map(|whole| &whole.totals).filter(|totals| totals.count > 0)?;
        // Collected first: handed over as an iterator, rustc 1.95 optimises this to reject histograms that are sound. The long
        // runs of `cargo xtask soak` see it.
        let buckets: Vec<_> = self.counts.whole().collect();
        // The scale may have been lowered since; without buckets there is none.
        let scale = if buckets.is_empty() { MAX_SCALE } else { self.scale };
        let mut saturation = totals.saturation;
        let held = buckets.iter().map(|(_, count)| u128::from(*count)).sum::<u128>() + u128::from(totals.zero);
        if held == u128::from(totals.count) {
            // What was full on the device when it lowered its scale has room here.
            saturation = (u8::from(saturation) & !FULL_BUCKETS).try_into().unwrap_or_default();
        }
        let histogram = HostHistogram::from_parts(&Totals { scale, saturation, ..*totals }, buckets).ok()?;
        sums_fit(&histogram).then_some(histogram)
    }
}

impl Told {
    /// Whether a metric of which this was told can be one of which that is told later.
    fn may_become(&self, later: &Self) -> bool {
        let (a, b) = (&self.totals, &later.totals);
        // A count that is full stays as it is.
        if a.count == b.count && !a.saturation.count() {
            return self == later;
        }
        a.count <= b.count
            && (a.count == 0 || a.min >= b.min)
            && a.zero <= b.zero
            && a.max <= b.max
            && a.sum <= b.sum
            && a.sum_of_squares <= b.sum_of_squares
            && (a.scale >= b.scale || a.count == a.zero)
            && (self.lag1.products <= later.lag1.products || b.saturation.sum_of_squares())
            && (self.lag1.first == later.lag1.first || a.count == 0)
    }
}

/// Whether values in these buckets can have these sums.
fn sums_fit(histogram: &HostHistogram) -> bool {
    let (min, max) = (histogram.min().unwrap_or(0), histogram.max().unwrap_or(0));
    let (mut least, mut most, mut least_squares, mut most_squares) = (0_u128, 0_u128, 0_u128, 0_u128);
    for bucket in histogram.buckets() {
        let count = u128::from(bucket.count);
        let (lower, upper) = (u128::from(bucket.lower.max(min)), u128::from(bucket.upper.min(max)));
        least = least.saturating_add(count * lower);
        most = most.saturating_add(count * upper);
        least_squares = least_squares.saturating_add((lower * lower).saturating_mul(count));
        most_squares = most_squares.saturating_add((upper * upper).saturating_mul(count));
    }
    let saturation = histogram.saturation();
    // Of a full counter, what is missing there is in the sums.
    let is_open = saturation.buckets() || saturation.count();
    let (sum, squares) = (histogram.sum(), histogram.sum_of_squares());
    least <= sum && (is_open || sum <= most) && least_squares <= squares && (is_open || squares <= most_squares)
}

#[cfg(test)]
mod tests;
