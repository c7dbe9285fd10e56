//! Sum and spread of any finite numbers, in a numerically sound way.

use super::to_f64;

/// Values come in batches, each of which is passed over twice: its mean, then the squares of the distances from it.
/// Batches are joined by the formula of Chan, Golub and `LeVeque` (1979). Sums are compensated (Neumaier 1974). The last bits
/// depend on how the values were split into batches and on their order, not on who computed which batch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Floats {
    pub(super) count: u64,
    pub(super) sum: f64,
    /// What rounding took from `sum`.
    pub(super) lost: f64,
    /// Sum of the squared distances from the mean.
    pub(super) squares: f64,
}

impl Floats {
    /// Those of one batch of finite values.
    pub(super) fn of(values: &[f64]) -> Self {
        let mut floats = Self { count: values.len() as u64, ..Self::default() };
        for value in values {
            floats.add_to_sum(*value);
        }
        if let Some(mean) = floats.mean() {
            floats.squares = values.iter().map(|value| (value - mean) * (value - mean)).sum();
        }
        floats
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

    fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum() / to_f64(self.count))
    }
}
