//! All of the above and a device that runs a plan.

#![no_std]
#![no_main]

use cortex_m_rt::entry;
use phasemeter_core::histogram::LatencyHistogram;
use phasemeter_probe::{N, frame, merge, quantile, record, run};

#[entry]
fn main() -> ! {
    let mut histogram = LatencyHistogram::<N>::new();
    record(&mut histogram);
    quantile(&histogram);
    merge(&mut histogram);
    frame(&histogram);
    run()
}
