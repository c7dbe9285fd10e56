//! The histogram beside its peers: one interface over all of them, and one set of latencies for all. The receiver, which
//! has no peers, on lines of all sorts.
//!
//! `cargo xtask bench` runs the program of this crate and prints what it measured as tables.

pub mod accuracy;
pub mod data;
pub mod decode;
#[expect(clippy::missing_panics_doc, reason = "it is the tests' device, without what else their crate needs")]
#[path = "../../src/device.rs"]
pub mod device;
#[expect(clippy::missing_panics_doc, reason = "as of the device, which records there as well")]
#[path = "../../src/direct.rs"]
pub mod direct;
pub mod instructions;
pub mod ours;
#[cfg(feature = "peers")]
pub mod peers;
#[path = "../../src/random.rs"]
mod random;
pub mod sketch;
pub mod timing;

pub use sketch::{PERCENTILES, Sketch, Visitor, each};
