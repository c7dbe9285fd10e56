//! Recording, percentiles, merging and the encoding of frames.

#![no_std]
#![no_main]

use cortex_m_rt::entry;
use phasemeter_core::histogram::LatencyHistogram;
use phasemeter_probe::{N, frame, idle, merge, quantile, record};

#[entry]
fn main() -> ! {
    let mut histogram = LatencyHistogram::<N>::new();
    record(&mut histogram);
    quantile(&histogram);
    merge(&mut histogram);
    frame(&histogram);
    idle()
}
