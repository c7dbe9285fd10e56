//! The histogram of this project.

use phasemeter_core::histogram::LatencyHistogram;
use phasemeter_core::summary::Percentile;

use crate::sketch::{PERCENTILES, Sketch};

/// `N` buckets of 32 bits, in place.
pub type Ours<const N: usize> = LatencyHistogram<N>;

/// [`PERCENTILES`] as the histogram takes them.
pub const OUR_PERCENTILES: [Percentile; PERCENTILES.len()] = [
    Percentile::P50,
    Percentile::P75,
    Percentile::P90,
    Percentile::P95,
    Percentile::P99,
    Percentile::P99_9,
    Percentile::from_ppm(999_900).expect("it is less than a million"),
];

impl<const N: usize> Sketch for Ours<N> {
    const NAME: &'static str = match N {
        512 => "phasemeter N=512",
        1024 => "phasemeter N=1024",
        _ => "phasemeter",
    };

    fn new() -> Self {
        Self::new()
    }

    #[inline]
    fn record(&mut self, nanos: u64) {
        (**self).record(nanos);
    }

    #[expect(clippy::cast_precision_loss, reason = "latencies are far below 2^53 ns")]
    fn quantiles(&self) -> [f64; PERCENTILES.len()] {
        (**self)
            .quantiles(OUR_PERCENTILES)
            .map_or([f64::NAN; PERCENTILES.len()], |quantiles| quantiles.map(|quantile| quantile.value as f64))
    }

    fn merge(&mut self, other: &Self) {
        (**self).merge(&**other);
    }

    fn wire(&self) -> Vec<(&'static str, Vec<u8>)> {
        let mut bytes = vec![0; Self::max_encoded_len()];
        let length = self.encode(&mut bytes).expect("the buffer has the length that is always enough");
        bytes.truncate(length);
        vec![("encode", bytes)]
    }
}
