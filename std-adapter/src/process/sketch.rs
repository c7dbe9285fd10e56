//! Any finite `f64` in core's integer histograms, with bounds that hold for the value before it was made an integer.
//!
//! A value `v` is counted as the integer `n` nearest to `|v| * s`. The scale `s` is 10^6, so that milliseconds become
//! nanoseconds, times a power of two that depends on the magnitude:
//!
//! | magnitude | `s` | `n` from |
//! |---|---|---:|
//! | below 2^−6 | 10^6 · 2^49 | 15 625, down to a magnitude of 2^−55 |
//! | 2^−6 … 2^43 | 10^6 | 15 625 |
//! | 2^43 and more | 10^6 / 2^49 | 15 625, up to a magnitude of 2^93 |
//!
//! Each octave of `n` in each range has a histogram of its own once there is a value for it: 4 KiB, of so many buckets that it
//! never leaves the finest scale. Negative values have their own. A bucket that holds the integers from `L` to `U` then holds
//! values from `(L − 1/2) / s` to `(U + 1/2) / s`, and those two are at most 0.14 % from the point between them: 0.1354 % for
//! the bucket and 0.0032 % for the rounding. Beyond the table's ends the bounds still hold, but may be wider.
//!
//! The histogram of a device goes whole into one of 128 KiB, as its buckets may be wider than an octave; where it counts units,
//! not nanoseconds, `s` is 1.

use phasemeter_core::histogram::{Counter, HistogramView, LatencyHistogram};

use super::moments::to_f64;

/// One octave at scale 8: 256 indices, and one more where its ends lie within buckets.
type Octave = LatencyHistogram<512, u64>;

/// All of `u64` at scale 8: indices from −7654 to 8730 are 16 385, and of those the lowest ones hold no integer.
type Buckets = LatencyHistogram<16_384, u64>;

/// 2^−48: the part of a value that its bounds are widened by, for the roundings of `f64` in between: far more than these.
const ROUNDING: f64 = 1.0 / 281_474_976_710_656.0;

/// Some values, each known to lie between two numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Cell {
    pub(super) lower: f64,
    pub(super) upper: f64,
    pub(super) count: u64,
}

impl Cell {
    fn mirrored(self) -> Self {
        Self { lower: -self.upper, upper: -self.lower, count: self.count }
    }
}

/// Counts values by magnitude.
#[derive(Clone, Debug, Default)]
pub(super) struct Sketch {
    zeros: u64,
    positive: Side,
    negative: Side,
}

impl Sketch {
    /// Counts finite values.
    pub(super) fn record(&mut self, values: &[f64]) {
        for &value in values {
            if value > 0.0 {
                self.positive.record(value);
            } else if value < 0.0 {
                self.negative.record(-value);
            } else {
                self.zeros += 1;
            }
        }
    }

    /// Counts values that are in a histogram of millionths of the unit.
    pub(super) fn record_millionths<C: Counter>(&mut self, millionths: &HistogramView<C>) {
        self.positive.device(Range::Medium).merge(millionths);
    }

    /// Counts values that are in a histogram of the unit.
    pub(super) fn record_units<C: Counter>(&mut self, units: &HistogramView<C>) {
        self.positive.device(Range::Units).merge(units);
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.zeros = self.zeros.saturating_add(other.zeros);
        self.positive.merge(&other.positive);
        self.negative.merge(&other.negative);
    }

    /// How much memory the histograms take, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.positive.bytes() + self.negative.bytes()
    }

    /// Where all values lie, in no particular order.
    pub(super) fn cells(&self) -> Vec<Cell> {
        let mut cells = vec![Cell { lower: 0.0, upper: 0.0, count: self.zeros }];
        cells.extend(self.positive.cells());
        cells.extend(self.negative.cells().map(Cell::mirrored));
        cells.retain(|cell| cell.count > 0);
        cells
    }
}

/// In a function of its own, as it takes 128 KiB of stack.
#[cold]
#[inline(never)]
fn empty() -> Box<Buckets> {
    Box::new(Buckets::new())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Range {
    Small,
    Medium,
    Large,
    /// Of a histogram that counts units, and of no other value.
    Units,
}

impl Range {
    const ALL: [Self; 4] = [Self::Small, Self::Medium, Self::Large, Self::Units];
    /// How many octaves the integers of a range have.
    const OCTAVES: usize = 64;
    const MILLIONTHS: f64 = 1e6;
    /// 2^49
    const STEP: f64 = 562_949_953_421_312.0;
    /// 2^43
    const LARGE: f64 = 8_796_093_022_208.0;

    #[inline]
    fn of(magnitude: f64) -> Self {
        if magnitude < 1.0 / 64.0 {
            Self::Small
        } else if magnitude < Self::LARGE {
            Self::Medium
        } else {
            Self::Large
        }
    }

    fn scale(self) -> f64 {
        match self {
            Self::Small => Self::MILLIONTHS * Self::STEP,
            Self::Medium => Self::MILLIONTHS,
            Self::Large => Self::MILLIONTHS / Self::STEP,
            Self::Units => 1.0,
        }
    }
}

/// The values of one sign, by magnitude.
#[derive(Clone, Debug, Default)]
struct Side {
    /// Those of the first range, then those of the second; empty until there is a value.
    octaves: Vec<Option<Box<Octave>>>,
    /// Of devices, by range.
    devices: [Option<Box<Buckets>>; 4],
}

impl Side {
    fn device(&mut self, range: Range) -> &mut Buckets {
        self.devices[range as usize].get_or_insert_with(empty)
    }

    fn octave(&mut self, place: usize) -> &mut Octave {
        if self.octaves.is_empty() {
            self.octaves.resize(Range::ALL.len() * Range::OCTAVES, None);
        }
        self.octaves[place].get_or_insert_with(Box::default)
    }

    #[inline]
    fn record(&mut self, magnitude: f64) {
        let range = Range::of(magnitude);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is positive, and saturates")]
        let integer = (magnitude * range.scale() + 0.5) as u64;
        let octave = integer.checked_ilog2().unwrap_or(0) as usize;
        self.octave(range as usize * Range::OCTAVES + octave).record(integer);
    }

    fn merge(&mut self, other: &Self) {
        for (place, octave) in other.octaves.iter().enumerate() {
            if let Some(octave) = octave {
                self.octave(place).merge(octave);
            }
        }
        for (range, buckets) in Range::ALL.into_iter().zip(&other.devices) {
            if let Some(buckets) = buckets {
                self.device(range).merge(buckets);
            }
        }
    }

    fn bytes(&self) -> usize {
        self.octaves.len() * size_of::<Option<Box<Octave>>>()
            + self.octaves.iter().flatten().count() * size_of::<Octave>()
            + self.devices.iter().flatten().count() * size_of::<Buckets>()
    }

    fn cells(&self) -> impl Iterator<Item = Cell> {
        let range_of = |place: usize| Range::ALL[place / Range::OCTAVES];
        let octaves = self.octaves.iter().enumerate().filter_map(move |(place, octave)| {
            let view: &HistogramView<u64> = octave.as_deref()?;
            Some((range_of(place), view))
        });
        let devices = Range::ALL.into_iter().zip(&self.devices).filter_map(|(range, buckets)| {
            let view: &HistogramView<u64> = buckets.as_deref()?;
            Some((range, view))
        });
        octaves.chain(devices).flat_map(|(range, buckets)| {
            let cell = move |lower, upper, count| cell(range, lower, upper, count);
            let counted = buckets.buckets().fold(buckets.zero_count(), |sum, b| sum.saturating_add(b.count));
            // What full counters of a device missed lies anywhere between the extremes.
            let missing = buckets.count().saturating_sub(counted);
            let anywhere = cell(buckets.min().unwrap_or(0), buckets.max().unwrap_or(0), missing);
            let (least, most) = (buckets.min().unwrap_or(0), buckets.max().unwrap_or(u64::MAX));
            let within = buckets.buckets().map(move |b| cell(b.lower.max(least), b.upper.min(most), b.count));
            [cell(0, 0, buckets.zero_count()), anywhere].into_iter().chain(within)
        })
    }
}

/// The values that were rounded to integers from `lower` to `upper`.
fn cell(range: Range, lower: u64, upper: u64, count: u64) -> Cell {
    let scale = range.scale();
    let below = (to_f64(lower) - 0.5).max(0.0) / scale * (1.0 - ROUNDING);
    // The largest integer also counts what is beyond it.
    let above = if upper == u64::MAX { f64::MAX } else { (to_f64(upper) + 0.5) / scale * (1.0 + ROUNDING) };
    Cell { lower: below, upper: above, count }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cells_of(value: f64) -> Vec<Cell> {
        let mut sketch = Sketch::default();
        sketch.record(&[value]);
        sketch.cells()
    }

    proptest! {
        /// Every finite number, drawn by its bits.
        #[test]
        fn a_cell_contains_its_value(bits: u64) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite());
            let cells = cells_of(value);
            prop_assert_eq!(cells.len(), 1);
            let Cell { lower, upper, count } = cells[0];
            prop_assert!(count == 1 && lower <= value && value <= upper, "{} not in {:?}", value, cells[0]);
        }

        #[test]
        fn the_error_is_as_documented(exponent in -55i32..93, fraction in 1.0f64..2.0, other in 1.0f64..2.0) {
            // Two values, so that the extremes do not narrow both sides of both buckets.
            let (value, wide) = (fraction * 2f64.powi(exponent), other * 2f64.powi(exponent));
            let mut sketch = Sketch::default();
            sketch.record(&[value, wide]);
            for cell in sketch.cells() {
                let point = 2.0 * cell.lower * cell.upper / (cell.lower + cell.upper);
                prop_assert!((cell.upper - point) / cell.upper <= 0.0014, "{:?}", cell);
                prop_assert!((point - cell.lower) / cell.lower <= 0.0014, "{:?}", cell);
            }
        }
    }

    #[test]
    fn the_ends_of_the_ranges_are_contained() {
        for edge in [1.0 / 64.0, Range::LARGE, 2f64.powi(93), 2f64.powi(-55), f64::MIN_POSITIVE, f64::MAX] {
            for value in [edge.next_down(), edge, edge.next_up().min(f64::MAX)] {
                for value in [value, -value] {
                    let cell = cells_of(value)[0];
                    assert!(cell.lower <= value && value <= cell.upper, "{value} not in {cell:?}");
                }
            }
        }
        assert_eq!(cells_of(-0.0), [Cell { lower: 0.0, upper: 0.0, count: 1 }]);
    }

    /// Whatever the first and the last integer of an octave.
    #[test]
    fn the_finest_scale_is_never_left() {
        for octave in 0..64_u32 {
            let mut buckets = Octave::new();
            let first = 1_u64 << octave;
            for value in [first, first + (first - 1) / 2, first + (first - 1)] {
                buckets.record(value);
            }
            assert_eq!(buckets.scale(), 8, "{octave}");
        }
    }

    #[test]
    fn memory_is_for_the_magnitudes_that_there_are() {
        let mut sketch = Sketch::default();
        sketch.record(&(0..100_000).map(|value| 20.0 + f64::from(value) / 10_000.0).collect::<Vec<_>>());
        assert!(sketch.bytes() < 10_000, "{}", sketch.bytes());
        sketch.record(&(-300..300).map(|exponent| 10_f64.powi(exponent)).collect::<Vec<_>>());
        assert!(sketch.bytes() < 1_000_000, "{}", sketch.bytes());
    }
}
