//! The binomial distribution of how many samples lie on one side of a percentile.

use statrs::function::beta::checked_beta_reg;

/// Of so many independent trials each succeeds with this chance.
#[derive(Clone, Copy, Debug)]
pub(super) struct Binomial {
    trials: u64,
    /// In parts per million, so that the chance and what it lacks of one are equally exact.
    chance_ppm: u32,
}

/// Around the mean `statrs` does not sum its continued fraction to the end for so many trials and more: nothing that is sought
/// lies so near.
const MANY: f64 = 1e6;

impl Binomial {
    /// `chance_ppm` is at most a million.
    pub(super) fn new(trials: u64, chance_ppm: u32) -> Self {
        Self { trials, chance_ppm: chance_ppm.min(1_000_000) }
    }

    /// The largest number of successes that is not exceeded with this probability at most.
    pub(super) fn largest_at_most(self, probability: f64) -> Option<u64> {
        // The first that is exceeded lies one above.
        partition(self.trials, |successes| self.is_at_most(successes, probability)).checked_sub(1)
    }

    /// Whether so many successes are not exceeded with this probability at most.
    pub(super) fn is_at_most(self, successes: u64, probability: f64) -> bool {
        self.at_most(successes) <= probability * (1.0 - self.error())
    }

    /// The smallest number of successes that is reached with this probability at most; `None` if all trials succeed more often.
    pub(super) fn smallest_at_least(self, probability: f64) -> Option<u64> {
        let failures = Self::new(self.trials, 1_000_000 - self.chance_ppm);
        Some(self.trials - failures.largest_at_most(probability)?)
    }

    /// The probability of no more successes than these: `I(1 − p; n − k, k + 1)` of the regularised incomplete beta function.
    ///
    /// Source: Abramowitz, Stegun, "Handbook of Mathematical Functions", 26.5.24.
    fn at_most(self, successes: u64) -> f64 {
        if successes >= self.trials {
            return 1.0;
        }
        let (trials, above) = (float(self.trials), float(self.trials - successes));
        let [chance, fails] = [self.chance_ppm, 1_000_000 - self.chance_ppm].map(|ppm| f64::from(ppm) / 1e6);
        let deviation = (trials * chance * fails).sqrt();
        if trials > MANY && (float(successes) - trials * chance).abs() < deviation / 2.0 {
            return 0.5;
        }
        // Its arguments are in range, but for none or all chances: then there is no other outcome.
        checked_beta_reg(above, float(successes) + 1.0, fails).unwrap_or(1.0)
    }

    /// How far [`at_most`](Self::at_most) may be off, as a part of itself: it takes differences of logarithms of about
    /// `n ln n`, of which floating point has sixteen digits. That is 5 % for 10¹² trials, and nothing for a few thousand.
    fn error(self) -> f64 {
        let trials = float(self.trials.max(2));
        (8.0 * trials * trials.ln() * f64::EPSILON).min(1.0)
    }
}

/// The first of `0..=end` for which this does not hold, if it holds up to one point only; one behind the end if it always does.
pub(super) fn partition(end: u64, holds: impl Fn(u64) -> bool) -> u64 {
    let (mut low, mut high) = (0, end.saturating_add(1));
    while low < high {
        let middle = low + (high - low) / 2;
        if holds(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

#[expect(clippy::cast_precision_loss, reason = "the error is allowed for")]
pub(super) fn float(count: u64) -> f64 {
    count as f64
}
