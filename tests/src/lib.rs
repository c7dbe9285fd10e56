//! What the integration tests share: the `phasemeter` command with a time limit, devices without hardware, and
//! the summary's schema.
#![expect(clippy::missing_panics_doc, reason = "a helper of tests fails by panicking, with the reason in the message")]

mod command;
mod random;
mod direct;
mod device;
mod monitored;
mod obedient;
mod qemu;
mod nginx;
mod summary;
pub mod intervals;
mod truth;
pub mod faults;
pub mod fuzz;
pub mod soak;

pub use command::{Exited, LIMIT, Running, phasemeter, run, wait_for};
pub use device::{Device, frames};
pub use direct::{Direct, direct_autocorrelation, direct_merge};
pub use monitored::MonitorDevice;
pub use nginx::Nginx;
pub use obedient::{Faults, PHASES, obedient_device, obedient_device_named};
pub use qemu::{Monitor, assert_no_frame_dropped, image, qemu};
pub use summary::{assert_follows_schema, parse, process_document, without_names};
pub use truth::assert_order_statistics;

use phasemeter_core::histogram::{Counter, LatencyHistogram};

/// The canonical bytes of a histogram: equal for equal contents, whatever its capacity and counter width.
pub fn canonical<const N: usize, C: Counter>(histogram: &LatencyHistogram<N, C>) -> Vec<u8> {
    let mut bytes = vec![0; LatencyHistogram::<N, C>::max_encoded_len()];
    let length = histogram.encode(&mut bytes).expect("the buffer has the length that is always enough");
    bytes.truncate(length);
    bytes
}

/// The README's Rust examples compile and run.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
