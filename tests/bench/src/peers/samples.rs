//! Peers without fixed buckets, and so without a bound on their error.
#![expect(clippy::cast_precision_loss, reason = "latencies are far below 2^53 ns")]

use average::{Estimate, Quantile};
use tdigest::TDigest;

use super::postcard;
use crate::sketch::{PERCENTILES, Sketch};

/// `tdigest` with its default compression of 100.
pub struct Centroids(TDigest);

impl Sketch for Centroids {
    const NAME: &'static str = "tdigest (100)";

    fn new() -> Self {
        Self(TDigest::new_with_size(100))
    }

    #[inline]
    fn record(&mut self, nanos: u64) {
        self.0.push(nanos as f64);
    }

    fn settle(&mut self) {
        self.0.flush();
    }

    fn quantiles(&self) -> [f64; PERCENTILES.len()] {
        PERCENTILES.map(|percent| self.0.estimate_quantile(percent / 100.0).unwrap_or(f64::NAN))
    }

    fn merge(&mut self, other: &Self) {
        self.0 = TDigest::merge_digests(vec![std::mem::take(&mut self.0), other.0.clone()]);
    }

    fn wire(&self) -> Vec<(&'static str, Vec<u8>)> {
        // The fields that its serde feature would write; that feature asks for exact versions of macro crates.
        let centroids: Vec<_> =
            self.0.centroids().iter().map(|centroid| (centroid.mean(), centroid.weight())).collect();
        let totals = (self.0.max_size(), self.0.sum(), self.0.count(), self.0.max(), self.0.min());
        vec![postcard(&(centroids, totals))]
    }
}

/// `average`: the P² algorithm, an estimator of five markers for each percentile.
pub struct PSquared([Quantile; PERCENTILES.len()]);

impl Sketch for PSquared {
    const NAME: &'static str = "average (7 × P²)";
    const MERGES: bool = false;

    fn new() -> Self {
        Self(PERCENTILES.map(|percent| Quantile::new(percent / 100.0)))
    }

    #[inline]
    fn record(&mut self, nanos: u64) {
        self.0.iter_mut().for_each(|quantile| quantile.add(nanos as f64));
    }

    fn quantiles(&self) -> [f64; PERCENTILES.len()] {
        self.0.each_ref().map(Quantile::quantile)
    }

    fn merge(&mut self, _: &Self) {}

    fn wire(&self) -> Vec<(&'static str, Vec<u8>)> {
        vec![postcard(&self.0)]
    }
}
