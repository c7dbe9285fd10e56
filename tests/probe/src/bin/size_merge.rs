//! Recording, percentiles and merging.

#![no_std]
#![no_main]

use cortex_m_rt::entry;
use phasemeter_core::histogram::LatencyHistogram;
use phasemeter_probe::{N, idle, merge, quantile, record};

#[entry]
fn main() -> ! {
    let mut histogram = LatencyHistogram::<N>::new();
    record(&mut histogram);
    quantile(&histogram);
    merge(&mut histogram);
    idle()
}
