//! Nothing: what every image has.

#![no_std]
#![no_main]

use cortex_m_rt::entry;
use phasemeter_probe::idle;

#[entry]
fn main() -> ! {
    idle()
}
