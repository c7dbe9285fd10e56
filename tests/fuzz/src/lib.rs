//! The bodies of the fuzzers, which the tests run on stable as well; here without all that the tests need beside them.

#[path = "../../src/fuzz/mod.rs"]
mod bodies;

pub use bodies::{Body, TARGETS, run};
