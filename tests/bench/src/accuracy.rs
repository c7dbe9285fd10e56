//! The worst relative error of the percentiles over all distributions.

use crate::data::Set;
use crate::sketch::{PERCENTILES, Sketch};

/// A set whose true order statistics are known.
pub struct Truth {
    nanos: Vec<u64>,
    /// For each percentile, the nearest rank's value between its neighbours': crates round ranks either way.
    accepted: [[u64; 3]; PERCENTILES.len()],
}

impl Truth {
    /// Sorts a copy of the set.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "small")]
    pub fn of(set: Set) -> Self {
        let mut sorted = set.nanos.clone();
        sorted.sort_unstable();
        let at = |rank: usize| sorted.get(rank).or(sorted.last()).copied().unwrap_or(0);
        let accepted = PERCENTILES.map(|percent| {
            let rank = (percent / 100.0 * sorted.len() as f64).round() as usize;
            [at(rank.saturating_sub(2)), at(rank.saturating_sub(1)), at(rank)]
        });
        Self { nanos: set.nanos, accepted }
    }

    /// The worst relative error of a sketch's percentiles.
    #[expect(clippy::cast_precision_loss, reason = "latencies are far below 2^53 ns")]
    pub fn worst_error<S: Sketch>(&self) -> f64 {
        let mut sketch = S::new();
        self.nanos.iter().for_each(|nanos| sketch.record(*nanos));
        sketch.settle();
        let errors = sketch.quantiles().into_iter().zip(self.accepted).map(|(value, accepted)| {
            let of = |truth: u64| (value - truth as f64).abs() / truth as f64;
            accepted.map(of).into_iter().fold(f64::INFINITY, f64::min)
        });
        errors.fold(0.0, f64::max)
    }
}
