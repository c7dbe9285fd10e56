//! What is said of a run: the [`Summary`], and its two renderings.
//!
//! `summary.json` is the summary itself; `report.txt` is made from it. Both depend on the capture alone, so that a
//! replay rebuilds them byte for byte.

mod model;
mod metric;
mod phases;
mod build;
mod text;

#[cfg(test)]
mod tests;

pub use build::{Observed, RunInfo, summarize};
pub use model::{
    CountsSummary, Coverage, CoverageCounts, DeviceMode, DeviceSummary, DurationsSummary, FailuresSummary, GapSummary,
    LineSummary, MetricSummary, Number, PercentileSummary, PhaseSummary, RunSummary, SCHEMA, Summary,
};
pub use text::render;
