//! What a load generator links: a device and the commands of a host, in static memory. Neither percentiles nor merging.

#![no_std]
#![no_main]

use core::hint::black_box;

use cortex_m_rt::entry;
use phasemeter_core::device::{Device, Storage};
use phasemeter_core::metric::LOAD_METRICS;
use phasemeter_core::telemetry::Reason;
use phasemeter_probe::{config, drive, identity, unknown};

#[entry]
fn main() -> ! {
    static mut STORAGE: Storage<LOAD_METRICS, 512, 8, 1024> = Storage::new();

    let mut device = Device::new(STORAGE, identity(), &[], config(), ());
    loop {
        device.receive(&[unknown()]);
        match unknown::<u8>() {
            0 => device.start(),
            1 => device.refuse(Reason::BAD_TARGET),
            _ => _ = black_box(device.target()),
        }
        drive(&mut device);
    }
}
