//! `hdrhistogram`: the port of `HdrHistogram`.

use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer, V2DeflateSerializer, V2Serializer};

use super::MAX_NANOS;
use crate::sketch::{PERCENTILES, Sketch};

/// With this many significant decimal digits and 64-bit counters, the width its documentation uses.
pub struct Hdr<const DIGITS: u8>(Histogram<u64>);

impl<const DIGITS: u8> Sketch for Hdr<DIGITS> {
    const NAME: &'static str = match DIGITS {
        2 => "hdrhistogram (2 digits)",
        3 => "hdrhistogram (3 digits)",
        _ => "hdrhistogram",
    };

    fn new() -> Self {
        Self(Histogram::new_with_bounds(1, MAX_NANOS, DIGITS).expect("the bounds are valid"))
    }

    #[inline]
    fn record(&mut self, nanos: u64) {
        self.0.record(nanos).expect("the value is within the bounds");
    }

    #[expect(clippy::cast_precision_loss, reason = "latencies are far below 2^53 ns")]
    fn quantiles(&self) -> [f64; PERCENTILES.len()] {
        PERCENTILES.map(|percent| self.0.value_at_percentile(percent) as f64)
    }

    fn merge(&mut self, other: &Self) {
        self.0.add(&other.0).expect("both have the same bounds");
    }

    fn wire(&self) -> Vec<(&'static str, Vec<u8>)> {
        let (mut plain, mut deflated) = (Vec::new(), Vec::new());
        V2Serializer::new().serialize(&self.0, &mut plain).expect("a vector takes all");
        V2DeflateSerializer::new().serialize(&self.0, &mut deflated).expect("a vector takes all");
        vec![("V2", plain), ("V2 deflated", deflated)]
    }
}
