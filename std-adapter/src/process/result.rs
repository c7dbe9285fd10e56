//! What a post-processor hands back.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::{Map, Value};

use super::ResultSet;
use crate::session::CoverageCounts;

/// The outcome of one post-processor. It does not change once it is made.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProcessingResult {
    success: bool,
    complete: bool,
    partial_reason: Option<String>,
    coverage: Option<CoverageCounts>,
    record_count: u64,
    error_count: u64,
    rejected_count: u64,
    metrics: Map<String, Value>,
    /// A file does not say where it is: it is the same wherever it is rebuilt.
    #[serde(skip)]
    output_path: Option<PathBuf>,
}

impl ProcessingResult {
    /// The outcome over these result sets: a success if there was any record, and no set is only a part of what was measured. Warm-up records do not count.
    pub fn new(results: &[ResultSet], metrics: Map<String, Value>) -> Self {
        let counts = results.iter().map(ResultSet::counts).sum::<super::OutcomeCounts>();
        let coverage =
            results.iter().filter_map(ResultSet::coverage).reduce(|one, other| CoverageCounts::sum([one, other]));
        let mut reasons: Vec<_> = results.iter().filter_map(ResultSet::partial_reason).collect();
        reasons.dedup();
        let partial_reason = (!reasons.is_empty()).then(|| reasons.join("; "));
        Self {
            success: counts.total() > 0 && partial_reason.is_none(),
            complete: partial_reason.is_none(),
            partial_reason,
            coverage,
            record_count: counts.total(),
            error_count: counts.failed(),
            rejected_count: results.iter().map(ResultSet::rejected).fold(0, u64::saturating_add),
            metrics,
            output_path: None,
        }
    }

    /// The same outcome, written to this file.
    #[must_use]
    pub fn with_output_path(self, path: impl Into<PathBuf>) -> Self {
        Self { output_path: Some(path.into()), ..self }
    }

    /// Whether there was anything to process, and all of it.
    pub fn success(&self) -> bool {
        self.success
    }

    /// Why the input is only a part of a run; `None` if it is all, or records, which do not tell.
    pub fn partial_reason(&self) -> Option<&str> {
        self.partial_reason.as_deref()
    }

    /// Observed of expected samples; `None` of records, which do not tell.
    pub fn coverage(&self) -> Option<CoverageCounts> {
        self.coverage
    }

    /// How many records went in, failed requests included.
    pub fn record_count(&self) -> u64 {
        self.record_count
    }

    /// How many of them are of failed or cancelled requests.
    pub fn error_count(&self) -> u64 {
        self.error_count
    }

    /// How many lines of the input were no valid record; they are not in `record_count`.
    pub fn rejected_count(&self) -> u64 {
        self.rejected_count
    }

    /// What was computed, by name.
    pub fn metrics(&self) -> &Map<String, Value> {
        &self.metrics
    }

    /// The file that the metrics were written to.
    pub fn output_path(&self) -> Option<&Path> {
        self.output_path.as_deref()
    }
}
