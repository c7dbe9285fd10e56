//! The histogram beside its peers: one interface over all of them, and one set of latencies for all.
//!
//! `cargo xtask bench` runs the program of this crate and prints what it measured as one table.

pub mod accuracy;
pub mod data;
pub mod instructions;
pub mod ours;
#[cfg(feature = "peers")]
pub mod peers;
pub mod sketch;
pub mod timing;

pub use sketch::{PERCENTILES, Sketch, Visitor, each};
