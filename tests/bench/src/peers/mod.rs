//! The peers, each set up as its documentation advises for latencies in nanoseconds.
//!
//! Those with a range get 1 ns to 2^42 ns (73 min), those with an error get 1 %.

mod hdr;
mod log_linear;
mod otel;
mod relative;
mod samples;

pub use hdr::Hdr;
pub use log_linear::LogLinear;
pub use otel::OpenTelemetry;
pub use relative::{ConcurrentDd, Dd};
pub use samples::{Centroids, PSquared};

use crate::data::MAX_NANOS;
use crate::sketch::Visitor;

/// The relative error that peers with a choice are set up for.
const RELATIVE_ERROR: f64 = 0.01;

/// For crates that have serde implementations and no format of their own.
fn postcard(value: &impl serde::Serialize) -> (&'static str, Vec<u8>) {
    ("postcard", postcard::to_allocvec(value).expect("plain numbers can be serialised"))
}

/// Shows all peers to the visitor.
pub(crate) fn each(visitor: &mut impl Visitor) {
    visitor.visit::<LogLinear>();
    visitor.visit::<Hdr<2>>();
    visitor.visit::<Hdr<3>>();
    visitor.visit::<Dd>();
    visitor.visit::<ConcurrentDd>();
    visitor.visit::<OpenTelemetry>();
    visitor.visit::<Centroids>();
    visitor.visit::<PSquared>();
}
