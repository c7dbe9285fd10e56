//! Count, extremes, sum and spread of `f64` values, as those were written.

mod floats;
mod millionths;

use floats::Floats;
use millionths::Millionths;

/// What is known of some values beside their distribution.
///
/// A value that is the `f64` nearest to a number with at most six decimals, as a time in milliseconds to the nanosecond is,
/// is taken for that number, below 7 · 10⁷: sums of such values are exact. What else there is, is summed in floating point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Moments {
    pub(super) count: u64,
    pub(super) min: f64,
    pub(super) max: f64,
    exact: Millionths,
    others: Floats,
}

impl Default for Moments {
    fn default() -> Self {
        Self {
            count: 0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            exact: Millionths::default(),
            others: Floats::default(),
        }
    }
}

impl Moments {
    /// Moments of one batch of finite values.
    pub(super) fn of(values: &[f64]) -> Self {
        let mut moments = Self { count: values.len() as u64, ..Self::default() };
        let mut others = Vec::new();
        for &value in values {
            moments.min = moments.min.min(value);
            moments.max = moments.max.max(value);
            match Millionths::exactly(value) {
                Some(millionths) => moments.exact.add(millionths),
                None => others.push(value),
            }
        }
        moments.others = Floats::of(&others);
        moments
    }

    /// Moments that were computed elsewhere.
    pub(super) fn from_parts(count: u64, (min, max): (f64, f64), sum: f64, variance: f64) -> Self {
        let others = Floats { count, sum, lost: 0.0, squares: variance * to_f64(count) };
        Self { count, min, max, exact: Millionths::default(), others }
    }

    /// Adds a batch.
    pub(super) fn merge(&mut self, batch: &Self) {
        if let Some(sums) = self.exact.checked_add(batch.exact) {
            self.exact = sums;
        } else {
            self.others.merge(&self.exact.to_floats());
            self.exact = batch.exact;
        }
        self.others.merge(&batch.others);
        self.count = self.count.saturating_add(batch.count);
        self.min = self.min.min(batch.min);
        self.max = self.max.max(batch.max);
    }

    fn all(&self) -> Floats {
        let mut all = self.exact.to_floats();
        all.merge(&self.others);
        all
    }

    /// The sum; infinite or not a number where it leaves the range of `f64`.
    pub(super) fn sum(&self) -> f64 {
        self.all().sum()
    }

    pub(super) fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| (self.sum() / to_f64(self.count)).clamp(self.min, self.max))
    }

    /// The population's standard deviation.
    pub(super) fn stdev(&self) -> Option<f64> {
        (self.count > 0).then(|| (self.all().squares / to_f64(self.count)).sqrt())
    }
}

#[expect(clippy::cast_precision_loss, reason = "a count beyond 2^53 may lose its last bits")]
pub(super) fn to_f64(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_large_offset_costs_no_precision() {
        let offset = 1e6;
        let values: Vec<f64> = (0..1000).map(|i| offset + f64::from(i % 10) / 8.0).collect();
        // As they are, and as numbers that have more than six decimals.
        for scale in [1.0, 1.0 / 1024.0] {
            let values: Vec<_> = values.iter().map(|value| value * scale).collect();
            let mut joined = Moments::default();
            values.chunks(7).for_each(|batch| joined.merge(&Moments::of(batch)));
            // The population of 0, 1/8, …, 9/8: variance 8.25 / 64.
            for moments in [Moments::of(&values), joined] {
                assert_eq!(
                    (moments.count, moments.min, moments.max),
                    (1000, offset * scale, (offset + 9.0 / 8.0) * scale)
                );
                assert_eq!(moments.sum().to_bits(), ((1000.0 * offset + 562.5) * scale).to_bits());
                let error = moments.stdev().unwrap() / (8.25f64 / 64.0).sqrt() / scale - 1.0;
                assert!(error.abs() < if scale < 1.0 { 1e-10 } else { 1e-15 }, "{error}");
            }
        }
    }

    #[test]
    fn a_sum_keeps_what_plain_addition_loses() {
        assert_eq!(Moments::of(&[1e100, 1.0, -1e100]).sum().to_bits(), 1f64.to_bits());
        assert_eq!((Moments::of(&[]).mean(), Moments::of(&[]).stdev()), (None, None));
    }

    /// The squares of 2⁴⁵ take 90 bits: joined often enough, their sum takes more than 128.
    #[test]
    fn sums_that_are_full_go_on_in_floating_point() {
        let (low, high) = (35_184_372.0, 35_184_374.0);
        let mut moments = Moments::of(&[low, high]);
        for _ in 0..45 {
            moments.merge(&moments.clone());
        }
        assert_eq!((moments.count, moments.mean()), (2 << 45, Some(35_184_373.0)));
        assert!((moments.stdev().unwrap() - 1.0).abs() < 1e-6, "{moments:?}");
        assert!(moments.others.count > 0);
    }

    proptest! {
        /// Decimals are taken for what was written, and nothing else for a decimal.
        #[test]
        fn decimals_are_exact(millionths in -70_000_000_000_000_i64..70_000_000_000_000, ulps in 1_u64..9) {
            let written = format!("{millionths}e-6").parse::<f64>().unwrap();
            prop_assert_eq!(Millionths::exactly(written), Some(millionths));
            let other = f64::from_bits(written.to_bits() + ulps);
            prop_assert_eq!(Millionths::exactly(other), None);
        }
    }
}
