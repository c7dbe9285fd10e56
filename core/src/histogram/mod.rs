//! The streaming latency histogram: fixed memory, integer arithmetic, proven error, exact merging.
//!
//! ```
//! use phasemeter_core::histogram::LatencyHistogram;
//! use phasemeter_core::summary::Percentile;
//!
//! let mut latency: LatencyHistogram<512> = LatencyHistogram::new();
//! for millis in 1..=100 {
//!     latency.record(millis * 1_000_000);
//! }
//! let p99 = latency.quantile(Percentile::P99).unwrap();
//! assert!(p99.lower <= 99_000_000 && 99_000_000 <= p99.upper);
//! assert_eq!(latency.mean(), Some(50_500_000));
//! ```
//!
//! # The grid
//!
//! Values are `u64` nanoseconds. Bucket `i` at scale `s` counts the values `v` with
//! `2^(i / 2^s) < v / 10^9 ≤ 2^((i + 1) / 2^s)`: the buckets of an OpenTelemetry exponential histogram (data model,
//! "Exponential Buckets") of a measurement *in seconds*, and of a Prometheus native histogram. Exporting re-bins nothing.
//! Zero has a counter of its own. The index is exact for every `u64`, boundaries included; no float takes part.
//!
//! A histogram starts at scale 8 and halves its resolution only when the indices it has seen span more than its
//! capacity `N`. So it is as fine as the data allow, and its scale depends on the values alone, never on their order:
//! **any partition of the values over histograms of one type, merged in any order, gives the same bytes**.
//!
//! | scale | relative error ≤ | octaves in N = 256 | 512 | 1024 | 2048 |
//! |------:|-----------------:|-------------------:|----:|-----:|-----:|
//! |     8 |          0.136 % |                  1 |   2 |    4 |    8 |
//! |     7 |          0.271 % |                  2 |   4 |    8 |   16 |
//! |     6 |          0.542 % |                  4 |   8 |   16 |   32 |
//! |     5 |           1.09 % |                  8 |  16 |   32 |   64 |
//! |     4 |           2.17 % |                 16 |  32 |   64 |   64 |
//!
//! # Choosing `N`
//!
//! Take the error that you need and the ratio of the slowest to the fastest response that you can imagine: an octave is
//! a factor of two. N = 1024 keeps 1.09 % over 32 octaves (1 µs to 71 min), N = 512 over 16 (1 ms to 65 s). One bucket
//! takes one [`Counter`]: with the default `u32`, N = 1024 takes 4 KiB. One stray value far off costs resolution for good,
//! as the price of counting it; it never costs a count.
//!
//! | N with `u32` counters | bytes | octaves at ≤ 1.09 % | at ≤ 0.55 % |
//! |----------------------:|------:|--------------------:|------------:|
//! |                    64 |   336 |                   2 |           1 |
//! |                   128 |   592 |                   4 |           2 |
//! |                   256 | 1,104 |                   8 |           4 |
//! |                   512 | 2,128 |                  16 |           8 |
//! |                  1024 | 4,176 |                  32 |          16 |
//! |                  2048 | 8,272 |                  64 |          32 |
//! |                  4096 | 16,464 |                 64 |          64 |
//!
//! # Why the bound holds
//!
//! The rank of a percentile names a bucket, and the true order statistic `t` lies in it: `L < t ≤ U` with `U = b · L` and
//! `b = 2^(2^−s)`. The answer `x = 2LU / (L + U)` is as far from `L` as from `U` in relative terms, so
//! `|x − t| / t ≤ (U − L) / (U + L) = (b − 1) / (b + 1)`, whatever was recorded. [`relative_error_ppm`] has the numbers.
//!
//! Sources: OpenTelemetry, "Metrics Data Model", *`ExponentialHistogram`* (the buckets and the lowering of their scale);
//! Masson, Rim, Lee, "`DDSketch`: A Fast and Fully-Mergeable Quantile Sketch with Relative-Error Guarantees", VLDB 2019 (the
//! bound, and its point estimate).
//!
//! # What is exact
//!
//! Count, zeros, minimum, maximum, sum and sum of squares are exact, and so are mean and standard deviation. Quantiles
//! come with bounds that contain the true order statistic. `count == zeros + Σ buckets`, unless something
//! is [saturated](Saturation): a bucket beyond its counter's largest number, the count beyond 2^64 − 1, the sum of
//! squares beyond 2^128 − 1. Saturated numbers stay at the largest of their type and are marked.
//!
//! # Costs
//!
//! Recording takes two table look-ups (2.5 KiB of constants), a few compares and the additions: nothing is divided, no
//! loop runs, and a value between the extremes so far calls nothing. A new extreme in a used bucket takes half as many
//! instructions again, a zero or the first value of an outer bucket a few times as many. Halving the resolution passes over the used buckets once, by however many steps, and turns the
//! storage around: the worst single record takes about 30 instructions per bucket of the capacity, and there are at most
//! twelve such in a histogram's life. Merging and quantiles pass over the buckets. `cargo xtask insns` and
//! `cargo xtask bench` print the numbers.
//!
//! Recording, merging, encoding and quantiles keep no second histogram on the stack; [`since`](Histogram::since),
//! [`decode`](Histogram::decode) and [`from_parts`](Histogram::from_parts) build the one that they return.
//!
//! # When to use something else
//!
//! When one range and resolution are known beforehand and only bucket counts are wanted, a log-linear histogram of plain
//! counters takes about half the instructions. For exact percentiles keep the samples.

mod table;
mod grid;
mod counter;
mod totals;
mod moments;
mod bucket;
mod quantile;
mod record;
mod merge;
mod parts;
mod since;
pub(crate) mod counts;
mod encode;

#[cfg(test)]
mod tests;

use core::fmt;
use core::ops::{Deref, DerefMut};

pub use bucket::Bucket;
pub use counter::Counter;
pub use encode::{DecodeError, EncodeError};
pub use grid::{MAX_SCALE, MIN_SCALE, bucket_bounds, relative_error_ppm};
pub use parts::PartsError;
pub(crate) use record::Touched;
pub use since::SinceError;
pub use totals::{Saturation, Totals, UnknownSaturation};

/// A streaming histogram of `u64` nanoseconds; `B` is the storage of its buckets.
///
/// It is named by its aliases: [`LatencyHistogram`] owns its buckets, and every method that does work is on the
/// [`HistogramView`] that it dereferences to, so that a program with several sizes has the code once.
#[derive(Clone)]
pub struct Histogram<B: ?Sized> {
    count: u64,
    zero: u64,
    /// Recording one of the `span` values from `least` on changes no extreme and makes none exact.
    ///
    /// Zero is none of them. Where zeros were recorded and the least other value is not known, `least` is the first of
    /// its bucket. Both are 0 when no bucket is used.
    least: u64,
    span: u64,
    /// The sum in two halves, as recording seldom touches the upper one.
    sum_low: u64,
    sum_high: u64,
    sum_of_squares: u128,
    /// The first used bucket, and the number of buckets up to the last used one; both 0 when none is.
    lo: i32,
    len: u32,
    /// How often the resolution was halved since scale 8; 0 when no bucket is used.
    shift: u8,
    min_inexact: bool,
    max_inexact: bool,
    saturation: Saturation,
    /// Bucket `index` is at `index mod N`, so a growing window moves nothing. Outside the window all are empty.
    slots: B,
}

/// A histogram of `N` buckets: a power of two from 8 to 16384, checked when compiled.
///
/// See the [module documentation](self) for what to choose.
pub type LatencyHistogram<const N: usize, C = u32> = Histogram<[C; N]>;

/// A histogram of any capacity, behind a reference.
pub type HistogramView<C = u32> = Histogram<[C]>;

impl<C: Counter, const N: usize> LatencyHistogram<N, C> {
    /// An empty histogram. All its bytes are zero, so that one in static memory takes no flash.
    pub const fn new() -> Self {
        const {
            assert!(
                N.is_power_of_two() && N >= 8 && N <= 16384,
                "the capacity of a histogram is a power of two from 8 to 16384",
            );
        }
        Self {
            count: 0,
            zero: 0,
            least: 0,
            span: 0,
            sum_low: 0,
            sum_high: 0,
            sum_of_squares: 0,
            lo: 0,
            len: 0,
            shift: 0,
            min_inexact: false,
            max_inexact: false,
            saturation: Saturation::NONE,
            slots: [C::ZERO; N],
        }
    }
}

impl<C: Counter, const N: usize> Default for LatencyHistogram<N, C> {
    fn default() -> Self {
        Self::new()
    }
}

impl<C: Counter, const N: usize> Deref for LatencyHistogram<N, C> {
    type Target = HistogramView<C>;

    #[inline]
    fn deref(&self) -> &HistogramView<C> {
        self
    }
}

impl<C: Counter, const N: usize> DerefMut for LatencyHistogram<N, C> {
    #[inline]
    fn deref_mut(&mut self) -> &mut HistogramView<C> {
        self
    }
}

impl<B: ?Sized> Histogram<B> {
    /// The scale of the buckets, from 8 (finest, also of an empty histogram) to −4.
    pub const fn scale(&self) -> i8 {
        MAX_SCALE.wrapping_sub_unsigned(self.shift)
    }

    /// How many values were recorded, zeros included.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// How many of them were zero.
    pub const fn zero_count(&self) -> u64 {
        self.zero
    }

    /// Whether nothing was recorded.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The smallest value in nanoseconds.
    ///
    /// It is exact, unless this is an interval from [`since`](Histogram::since): see [`min_is_exact`](Self::min_is_exact).
    pub const fn min(&self) -> Option<u64> {
        if self.is_empty() { None } else { Some(self.lowest()) }
    }

    /// The largest value in nanoseconds.
    ///
    /// It is exact, unless this is an interval from [`since`](Histogram::since): see [`max_is_exact`](Self::max_is_exact).
    pub const fn max(&self) -> Option<u64> {
        if self.is_empty() { None } else { Some(self.highest()) }
    }

    /// Whether [`min`](Self::min) was itself recorded; if not, it is a lower bound in the smallest value's bucket.
    pub const fn min_is_exact(&self) -> bool {
        !self.min_inexact
    }

    /// Whether [`max`](Self::max) was itself recorded; if not, it is an upper bound in the largest value's bucket.
    pub const fn max_is_exact(&self) -> bool {
        !self.max_inexact
    }

    /// The sum of the values in nanoseconds.
    pub const fn sum(&self) -> u128 {
        (self.sum_high as u128) << 64 | self.sum_low as u128
    }

    #[expect(clippy::cast_possible_truncation, reason = "these are the halves")]
    const fn set_sum(&mut self, sum: u128) {
        (self.sum_high, self.sum_low) = ((sum >> 64) as u64, sum as u64);
    }

    /// The sum of the squared values in square nanoseconds.
    pub const fn sum_of_squares(&self) -> u128 {
        self.sum_of_squares
    }

    /// What is only a lower bound, because it was too large for its type.
    pub const fn saturation(&self) -> Saturation {
        self.saturation
    }

    /// The mean in nanoseconds, rounded half up; `None` when empty or when the count or the sum is saturated.
    pub fn mean(&self) -> Option<u64> {
        if self.saturation.count() || self.saturation.sum() {
            return None;
        }
        moments::mean(self.count, self.sum())
    }

    /// The standard deviation of the population in nanoseconds, computed exactly and rounded to the nearest integer;
    /// `None` when empty or when the count or a sum is saturated.
    pub fn stdev(&self) -> Option<u64> {
        if self.saturation.count() || self.saturation.sum() || self.saturation.sum_of_squares() {
            return None;
        }
        moments::Variance::of(self.count, self.sum(), self.sum_of_squares).map(moments::Variance::sqrt)
    }

    /// Largest relative error of a quantile, in parts per million; see [`relative_error_ppm`].
    pub const fn relative_error_ppm(&self) -> u32 {
        relative_error_ppm(self.scale())
    }

    /// Everything but the buckets.
    pub fn totals(&self) -> Totals {
        Totals {
            scale: self.scale(),
            count: self.count,
            zero: self.zero,
            min: self.lowest(),
            max: self.highest(),
            min_exact: !self.min_inexact,
            max_exact: !self.max_inexact,
            sum: self.sum(),
            sum_of_squares: self.sum_of_squares,
            saturation: self.saturation,
        }
    }

    /// The minimum; 0 when empty.
    const fn lowest(&self) -> u64 {
        if self.zero > 0 { 0 } else { self.least.wrapping_sub(self.min_inexact as u64) }
    }

    /// The maximum; 0 when empty.
    const fn highest(&self) -> u64 {
        self.least.wrapping_add(self.span.saturating_sub(!self.max_inexact as u64))
    }

    /// Whether a bucket lies between the first and the last used one.
    #[inline]
    fn in_window(&self, index: i32) -> bool {
        index.wrapping_sub(self.lo).cast_unsigned() < self.len
    }

    /// Indices of the first and of the last used bucket.
    pub fn window(&self) -> Option<(i32, i32)> {
        let last = self.len.checked_sub(1)?;
        Some((self.lo, self.lo.wrapping_add_unsigned(last)))
    }
}

impl<C: Counter> HistogramView<C> {
    /// The number of buckets, `N`.
    pub const fn capacity(&self) -> usize {
        self.slots.len()
    }

    /// Forgets all values.
    pub fn reset(&mut self) {
        self.slots.fill(C::ZERO);
        self.clear_totals();
    }

    /// Storage slot of a bucket.
    #[inline]
    pub(crate) fn slot(&self, index: i32) -> usize {
        index.cast_unsigned() as usize & self.mask()
    }

    #[inline]
    fn mask(&self) -> usize {
        self.capacity().wrapping_sub(1)
    }
}

impl<C: Counter> PartialEq for HistogramView<C> {
    /// Equal totals and bucket counts; the capacities may differ.
    fn eq(&self, other: &Self) -> bool {
        self.totals() == other.totals() && self.window() == other.window() && self.counts().eq(other.counts())
    }
}

impl<C: Counter> Eq for HistogramView<C> {}

impl<C: Counter, const N: usize> PartialEq for LatencyHistogram<N, C> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<C: Counter, const N: usize> Eq for LatencyHistogram<N, C> {}

impl<B: ?Sized> fmt::Debug for Histogram<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Histogram")
            .field("totals", &self.totals())
            .field("window", &self.window())
            .finish_non_exhaustive()
    }
}

#[cfg(feature = "defmt")]
impl<B: ?Sized> defmt::Format for Histogram<B> {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "Histogram {{ totals: {}, window: {} }}", self.totals(), self.window());
    }
}
