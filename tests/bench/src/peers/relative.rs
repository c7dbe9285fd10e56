//! `DDSketch` twice: buckets at equal ratios, floating-point values.
#![expect(clippy::cast_precision_loss, reason = "latencies are far below 2^53 ns")]

use quantile_sketch::ConcurrentDDSketch;
use sketches_ddsketch::{Config, DDSketch};

use super::{MAX_NANOS, RELATIVE_ERROR, postcard};
use crate::sketch::{PERCENTILES, Sketch};

/// `sketches-ddsketch`, of Datadog.
pub struct Dd(DDSketch);

impl Sketch for Dd {
    const NAME: &'static str = "sketches-ddsketch (1 %)";

    fn new() -> Self {
        // The defaults but for the smallest value, which is in nanoseconds here.
        Self(DDSketch::new(Config::new(RELATIVE_ERROR, 2048, 1.0)))
    }

    #[inline]
    fn record(&mut self, nanos: u64) {
        self.0.add(nanos as f64);
    }

    fn quantiles(&self) -> [f64; PERCENTILES.len()] {
        PERCENTILES.map(|percent| self.0.quantile(percent / 100.0).ok().flatten().unwrap_or(f64::NAN))
    }

    fn merge(&mut self, other: &Self) {
        self.0.merge(&other.0).expect("both have the same configuration");
    }

    fn wire(&self) -> Vec<(&'static str, Vec<u8>)> {
        vec![("as sketches-java", self.0.to_java_bytes())]
    }
}

/// `quantile-sketch`: counts with atomics, so that threads may share it.
pub struct ConcurrentDd(ConcurrentDDSketch);

impl Sketch for ConcurrentDd {
    const NAME: &'static str = "quantile-sketch (1 %)";

    fn new() -> Self {
        Self(ConcurrentDDSketch::with_err_and_range(RELATIVE_ERROR, 1.0, MAX_NANOS as f64))
    }

    #[inline]
    fn record(&mut self, nanos: u64) {
        self.0.insert(nanos as f64);
    }

    fn quantiles(&self) -> [f64; PERCENTILES.len()] {
        let mut values = [None; PERCENTILES.len()];
        self.0.quantiles(&PERCENTILES.map(|percent| percent / 100.0), &mut values);
        values.map(|value| value.unwrap_or(f64::NAN))
    }

    fn merge(&mut self, other: &Self) {
        self.0.merge(&other.0).expect("both have the same configuration");
    }

    fn wire(&self) -> Vec<(&'static str, Vec<u8>)> {
        vec![postcard(&self.0)]
    }
}
