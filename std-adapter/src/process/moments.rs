//! Count, extremes, sum and spread of `f64` values, in a numerically sound way.

/// What is known of some values beside their distribution.
///
/// Values come in batches, each of which is passed over twice: its mean, then the squares of the distances from it.
/// Batches are joined by the formula of Chan, Golub and `LeVeque` (1979). Sums are compensated (Neumaier 1974). The last bits
/// depend on how the values were split into batches and on their order, not on who computed which batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Moments {
    pub(super) count: u64,
    pub(super) min: f64,
    pub(super) max: f64,
    sum: f64,
    /// What rounding took from `sum`.
    lost: f64,
    /// Sum of the squared distances from the mean.
    squares: f64,
}

impl Default for Moments {
    fn default() -> Self {
        Self { count: 0, min: f64::INFINITY, max: f64::NEG_INFINITY, sum: 0.0, lost: 0.0, squares: 0.0 }
    }
}

impl Moments {
    /// Moments of one batch of finite values.
    pub(super) fn of(values: &[f64]) -> Self {
        let mut moments = Self { count: values.len() as u64, ..Self::default() };
        for &value in values {
            moments.min = moments.min.min(value);
            moments.max = moments.max.max(value);
            moments.add_to_sum(value);
        }
        if let Some(mean) = moments.mean() {
            moments.squares = values.iter().map(|value| (value - mean) * (value - mean)).sum();
        }
        moments
    }

    /// Moments that were computed elsewhere.
    pub(super) fn from_parts(count: u64, (min, max): (f64, f64), sum: f64, variance: f64) -> Self {
        Self { count, min, max, sum, lost: 0.0, squares: variance * to_f64(count) }
    }

    /// Adds a batch.
    pub(super) fn merge(&mut self, batch: &Self) {
        if let (Some(mean), Some(other)) = (self.mean(), batch.mean()) {
            let (n, m) = (to_f64(self.count), to_f64(batch.count));
            self.squares += batch.squares + (other - mean) * (other - mean) * (n * m / (n + m));
        } else if self.count == 0 {
            self.squares = batch.squares;
        }
        self.count = self.count.saturating_add(batch.count);
        self.min = self.min.min(batch.min);
        self.max = self.max.max(batch.max);
        self.add_to_sum(batch.sum);
        self.lost += batch.lost;
    }

    fn add_to_sum(&mut self, value: f64) {
        let sum = self.sum + value;
        // Knuth's exact error of an addition, whichever of both is larger.
        let part = sum - self.sum;
        self.lost += (self.sum - (sum - part)) + (value - part);
        self.sum = sum;
    }

    /// The sum; infinite or not a number where it leaves the range of `f64`.
    pub(super) fn sum(&self) -> f64 {
        self.sum + self.lost
    }

    pub(super) fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| (self.sum() / to_f64(self.count)).clamp(self.min, self.max))
    }

    /// The population's standard deviation.
    pub(super) fn stdev(&self) -> Option<f64> {
        (self.count > 0).then(|| (self.squares / to_f64(self.count)).sqrt())
    }
}

#[expect(clippy::cast_precision_loss, reason = "a count beyond 2^53 may lose its last bits")]
pub(super) fn to_f64(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_offset_costs_no_precision() {
        let offset = 1e6;
        let values: Vec<f64> = (0..1000).map(|i| offset + f64::from(i % 10) / 8.0).collect();
        let mut joined = Moments::default();
        values.chunks(7).for_each(|batch| joined.merge(&Moments::of(batch)));
        // The population of 0, 1/8, …, 9/8: variance 8.25 / 64.
        for moments in [Moments::of(&values), joined] {
            assert_eq!((moments.count, moments.min, moments.max), (1000, offset, offset + 9.0 / 8.0));
            assert_eq!(moments.sum().to_bits(), (1000.0 * offset + 562.5).to_bits());
            let error = moments.stdev().unwrap() / (8.25f64 / 64.0).sqrt() - 1.0;
            assert!(error.abs() < 1e-10, "{error}");
        }
    }

    #[test]
    fn a_sum_keeps_what_plain_addition_loses() {
        assert_eq!(Moments::of(&[1e100, 1.0, -1e100]).sum().to_bits(), 1f64.to_bits());
        assert_eq!((Moments::of(&[]).mean(), Moments::of(&[]).stdev()), (None, None));
    }
}
