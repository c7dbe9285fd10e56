//! Post-processing: the records of every request, or the histograms of a run, made into metrics.
//!
//! A [`ResultSet`] is what was measured over one set of requests, by phase and metric. A [`Reader`] makes one from
//! JSON Lines in memory that does not grow with the input; [`PhaseResults::new`] and [`Distribution::from_histogram`] make one
//! from a recorded run. A [`PostProcessor`] takes result sets and hands back a [`ProcessingResult`].
//!
//! # One definition of failure
//!
//! A request failed if its record has an `error` that is not empty, a status such as `error`, `failed` or `timeout` in any
//! case, an HTTP status of 400 or more, or was cancelled. Every other request succeeded: success rate and error rate add up
//! to 1. Of statuses that are not known, there is a count. Times of failed requests are in no distribution.

mod error;
mod moments;
mod sketch;
mod percentiles;
mod distribution;
mod window;
pub mod aiperf;
mod set;
mod result;
mod phase_manifest;
mod read;
mod metrics;
mod aggregator;
mod document;
mod text;

pub use aggregator::ResultsAggregator;
pub use distribution::{Bounded, Distribution};
pub use document::{Document, MetricDocument, OutcomeCountsDocument, PhaseDocument, SCHEMA, StatisticsDocument};
pub use error::ProcessError;
pub use metrics::MetricsProcessor;
pub use percentiles::{PercentileError, PercentileRule, Percentiles};
pub use read::{Format, ReadOptions, ReadWatcher, Reader, Rejection};
pub use result::ProcessingResult;
pub use set::{DerivedMetrics, OutcomeCounts, PhaseResults, ResultSet};
pub use text::render;
pub use window::{Window, WindowSource, Windows};

/// The metric that latency statistics are of: the duration of each successful request, in milliseconds.
pub const REQUEST_LATENCY: &str = "request_latency";

/// Turns result sets into metrics, and perhaps into files. `Box<dyn PostProcessor>` is one too.
pub trait PostProcessor: Send {
    /// Processes result sets, each of which was measured apart from the others.
    ///
    /// Input without any record is no error: the result's `success` is false.
    ///
    /// # Errors
    /// [`ProcessError`] if there is nothing that could be computed, or the output cannot be written.
    fn process(&mut self, results: &[ResultSet]) -> Result<ProcessingResult, ProcessError>;
}

impl<P: PostProcessor + ?Sized> PostProcessor for Box<P> {
    fn process(&mut self, results: &[ResultSet]) -> Result<ProcessingResult, ProcessError> {
        (**self).process(results)
    }
}

#[cfg(test)]
mod tests;
