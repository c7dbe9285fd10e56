//! What a histogram says: percentiles with bounds, and the moments, as plain data.
//!
//! [`Histogram`](crate::histogram::Histogram) answers with these.

use core::fmt;

/// A percentile, in parts per million: 999 000 is p99.9.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Percentile(u32);

impl Percentile {
    /// The minimum.
    pub const P0: Self = Self(0);
    /// The median.
    pub const P50: Self = Self(500_000);
    /// 75 of 100 values are no larger.
    pub const P75: Self = Self(750_000);
    /// 90 of 100 values are no larger.
    pub const P90: Self = Self(900_000);
    /// 95 of 100 values are no larger.
    pub const P95: Self = Self(950_000);
    /// 99 of 100 values are no larger.
    pub const P99: Self = Self(990_000);
    /// 999 of 1000 values are no larger.
    pub const P99_9: Self = Self(999_000);
    /// The maximum.
    pub const P100: Self = Self(WHOLE);

    /// The percentile of `ppm` parts per million, at most 1 000 000.
    pub const fn from_ppm(ppm: u32) -> Option<Self> {
        if ppm <= WHOLE { Some(Self(ppm)) } else { None }
    }

    /// Parts per million, at most 1 000 000.
    pub const fn ppm(self) -> u32 {
        self.0
    }

    /// Whether `count` values are enough for this percentile to differ from the maximum: at least one is expected above
    /// it, `count * (1 − p) ≥ 1`. Minimum and maximum need only one value.
    pub const fn resolved_by(self, count: u64) -> bool {
        match self {
            Self::P0 | Self::P100 => count > 0,
            Self(ppm) => count as u128 * (WHOLE - ppm) as u128 >= WHOLE as u128,
        }
    }

    /// Nearest rank among `count` values, from 1.
    pub(crate) fn rank(self, count: u64) -> u64 {
        let rank = (u128::from(count) * u128::from(self.0)).div_ceil(u128::from(WHOLE));
        u64::try_from(rank).unwrap_or(count).max(1)
    }
}

const WHOLE: u32 = 1_000_000;

/// As engineers write it: `p50`, `p99.9`.
impl fmt::Display for Percentile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p{}", self.0 / 10_000)?;
        let (mut rest, mut unit) = (self.0 % 10_000, 1_000);
        if rest > 0 {
            f.write_str(".")?;
        }
        while rest > 0 {
            write!(f, "{}", rest / unit)?;
            rest %= unit;
            unit = (unit / 10).max(1);
        }
        Ok(())
    }
}

/// The percentiles of a report: p50, p75, p90, p95, p99, p99.9.
pub const STANDARD: [Percentile; 6] =
    [Percentile::P50, Percentile::P75, Percentile::P90, Percentile::P95, Percentile::P99, Percentile::P99_9];

/// A quantile in nanoseconds, with proven bounds: `lower ≤ true order statistic ≤ upper`, and `value` between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Quantile {
    /// The point that is as far from both bounds in relative terms: `2LU / (L + U)`, rounded.
    pub value: u64,
    /// The true value is not smaller.
    pub lower: u64,
    /// The true value is not larger.
    pub upper: u64,
}

impl Quantile {
    pub(crate) fn between(lower: u64, upper: u64) -> Self {
        let (l, u) = (u128::from(lower), u128::from(upper));
        // L + (U − L) * L / (L + U), which fits 128 bits where 2LU might not.
        let (gap, sum) = (u.saturating_sub(l), l + u);
        let above = (gap * l + sum / 2).checked_div(sum).unwrap_or(0);
        let value = lower.saturating_add(u64::try_from(above).unwrap_or(0)).min(upper);
        Self { value, lower, upper }
    }

    pub(crate) fn exactly(value: u64) -> Self {
        Self { value, lower: value, upper: value }
    }
}

/// The numbers of a report about one metric, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Summary {
    /// How many values.
    pub count: u64,
    /// Smallest value.
    pub min: u64,
    /// Largest value.
    pub max: u64,
    /// Mean, unless a sum is saturated.
    pub mean: Option<u64>,
    /// Standard deviation of the population, unless a sum is saturated.
    pub stdev: Option<u64>,
    /// The [`STANDARD`] percentiles, in that order.
    pub percentiles: [Quantile; STANDARD.len()],
    /// Largest relative error of the percentiles' points, in parts per million.
    pub relative_error_ppm: u32,
    /// Whether something was too large for its type; the histogram tells
    /// [what](crate::histogram::Histogram::saturation).
    pub saturated: bool,
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use super::*;

    #[test]
    fn percentiles_print_as_engineers_write_them() {
        let print = |ppm| Percentile::from_ppm(ppm).map(|percentile| percentile.to_string());
        for (ppm, text) in [(0, "p0"), (5_000, "p0.5"), (990_000, "p99"), (999_000, "p99.9"), (999_909, "p99.9909")] {
            assert_eq!(print(ppm).as_deref(), Some(text));
        }
        assert_eq!(Percentile::P100.to_string(), "p100");
        assert_eq!(print(1_000_001), None);
    }

    #[test]
    fn ranks_are_nearest_and_never_zero() {
        let rank = |ppm, count| Percentile(ppm).rank(count);
        assert_eq!((rank(0, 9), rank(500_000, 9), rank(500_000, 10), rank(1_000_000, 9)), (1, 5, 5, 9));
        assert_eq!(rank(999_999, u64::MAX), u64::MAX - u64::MAX / 1_000_000);
    }

    #[test]
    fn a_percentile_needs_one_value_above_it() {
        assert!(Percentile::P99.resolved_by(100) && !Percentile::P99.resolved_by(99));
        assert!(Percentile::P99_9.resolved_by(1_000) && !Percentile::P99_9.resolved_by(999));
        assert!(Percentile::P100.resolved_by(1) && !Percentile::P100.resolved_by(0));
    }

    #[test]
    fn a_point_is_equally_far_from_both_bounds() {
        assert_eq!(Quantile::between(100, 300).value, 150);
        assert_eq!(Quantile::between(u64::MAX - 2, u64::MAX).value, u64::MAX - 1);
        assert_eq!(Quantile::between(0, 0).value, 0);
    }
}
