//! What a firmware that measures itself links: a monitor of three metrics in static memory.

#![no_std]
#![no_main]

use core::hint::black_box;

use cortex_m_rt::entry;
use phasemeter_core::monitor::{Monitor, Storage};
use phasemeter_probe::{config, identity, metrics, text, unknown};

#[entry]
fn main() -> ! {
    static mut STORAGE: Storage<3, 256, 1024> = Storage::new();

    let metrics = metrics();
    let mut monitor = Monitor::new(STORAGE, identity(), &metrics, config());
    loop {
        if unknown() {
            black_box(monitor.open(text(), unknown())).ok();
        }
        black_box(monitor.record(unknown(), unknown()));
        if unknown() {
            monitor.close(unknown());
        }
        black_box(monitor.poll(unknown()));
        black_box(monitor.transmit());
        monitor.sent(unknown());
    }
}
