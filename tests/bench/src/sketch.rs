//! What every sketch can do, and the list of them.

use crate::ours::Ours;

/// The percentiles that are asked for, in percent.
pub const PERCENTILES: [f64; 7] = [50.0, 75.0, 90.0, 95.0, 99.0, 99.9, 99.99];

/// A sketch of latencies that is filled value by value.
pub trait Sketch: Sized {
    /// The crate, and how it is set up if there is a choice.
    const NAME: &'static str;
    /// Whether two of them can be made into one.
    const MERGES: bool = true;

    /// An empty sketch, as a user would set it up for latencies of 1 ns to 73 min.
    fn new() -> Self;

    /// Counts one latency in nanoseconds.
    fn record(&mut self, nanos: u64);

    /// Brings in what is buffered; called once between recording and everything below.
    fn settle(&mut self) {}

    /// [`PERCENTILES`] in nanoseconds, by the cheapest way that the crate offers.
    fn quantiles(&self) -> [f64; PERCENTILES.len()];

    /// Adds the values of another sketch; not called unless [`MERGES`](Self::MERGES).
    fn merge(&mut self, other: &Self);

    /// The crate's own serialisation, by name.
    fn wire(&self) -> Vec<(&'static str, Vec<u8>)>;
}

/// Does the same with every sketch.
pub trait Visitor {
    /// Called with each sketch in turn.
    fn visit<S: Sketch>(&mut self);
}

/// Shows all sketches to the visitor, ours first, always in the same order.
pub fn each(visitor: &mut impl Visitor) {
    visitor.visit::<Ours<512>>();
    visitor.visit::<Ours<1024>>();
    #[cfg(feature = "peers")]
    crate::peers::each(visitor);
}
