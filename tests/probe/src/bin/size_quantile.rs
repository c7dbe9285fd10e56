//! Recording and percentiles.

#![no_std]
#![no_main]

use cortex_m_rt::entry;
use phasemeter_core::histogram::LatencyHistogram;
use phasemeter_probe::{N, idle, quantile, record};

#[entry]
fn main() -> ! {
    let mut histogram = LatencyHistogram::<N>::new();
    record(&mut histogram);
    quantile(&histogram);
    idle()
}
