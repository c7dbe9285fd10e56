//! `histogram`: log-linear buckets, counters only.

use histogram::{Histogram32, SparseHistogram32};

use super::postcard;
use crate::sketch::{PERCENTILES, Sketch};

/// 128 buckets an octave, which makes the error that of two decimal digits; 32-bit counters.
pub struct LogLinear(Histogram32);

impl Sketch for LogLinear {
    const NAME: &'static str = "histogram";

    fn new() -> Self {
        Self(Histogram32::new(7, 42).expect("the configuration is valid"))
    }

    #[inline]
    fn record(&mut self, nanos: u64) {
        self.0.increment(nanos).expect("the value is within the range");
    }

    #[expect(clippy::cast_precision_loss, reason = "latencies are far below 2^53 ns")]
    fn quantiles(&self) -> [f64; PERCENTILES.len()] {
        let mut buckets = [const { None }; PERCENTILES.len()];
        self.0
            .quantile_buckets_into(&PERCENTILES.map(|percent| percent / 100.0), &mut buckets)
            .expect("the percentiles are valid");
        buckets.map(|bucket| bucket.map_or(f64::NAN, |bucket| bucket.end() as f64))
    }

    fn merge(&mut self, other: &Self) {
        self.0.checked_add_assign(&other.0).expect("both have the same configuration, and the counters have room");
    }

    fn wire(&self) -> Vec<(&'static str, Vec<u8>)> {
        let (dense, sparse) = (postcard(&self.0), postcard(&SparseHistogram32::from(&self.0)));
        vec![("dense, postcard", dense.1), ("sparse, postcard", sparse.1)]
    }
}
