//! What is said of a run: the [`Summary`], and its two renderings.
//!
//! `summary.json` is the summary itself; `report.txt` is made from it. Both depend on the capture alone, so that a
//! replay rebuilds them byte for byte.

mod model;
mod build;
mod text;

pub use build::{Observed, RunInfo, summarize};
pub use model::{
    Coverage, CoverageCounts, DeviceSummary, DurationsSummary, GapSummary, LineSummary, MetricSummary,
    PercentileSummary, PhaseCountsSummary, PhaseSummary, RunSummary, SCHEMA, Summary,
};
pub use text::render;
