//! What is said of a run: the [`Summary`], and its two renderings.
//!
//! `summary.json` is the summary itself; `report.txt` is made from it. Both depend on the capture alone, so that a
//! replay rebuilds them byte for byte.

mod model;
mod verdict;
mod plan;
mod metric;
mod overlap;
mod schedule;
mod validity;
mod phases;
mod build;
mod metrics_text;
mod text;

#[cfg(test)]
mod tests;

pub use build::{Observed, RunInfo, summarize};
pub use model::{
    ArrivalKind, CountsSummary, Coverage, CoverageCounts, DeviceMode, DeviceSummary, Doubt, DurationsSummary,
    FailureMessage, FailuresSummary, Finding, GapSummary, IntervalSummary, LineSummary, MetricMap, MetricSummary,
    Number, OverlapSummary, PERCENTILE_RULE, PercentileSummary, PhaseSummary, PlanSummary, RunSummary, SCHEMA, Summary,
    Verdict,
};
pub use text::{render, render_coloured};
pub use verdict::{Judgement, Thresholds};
