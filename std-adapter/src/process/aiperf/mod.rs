//! What AIPerf derives of a phase's requests, beside the plain distribution of each metric.
//!
//! The numbers equal those of AIPerf 0.13's `profile_export_aiperf.json`; names and units are AIPerf's. [`Scalars`] needs
//! constant memory. [`Derivation`] keeps every request for the rest.
//!
//! # Scalars
//! *Successful* is a request without an `error`; the *window* is the phase's in `phase_manifest.json`.
//!
//! | metric | definition |
//! |---|---|
//! | `request_count` | successful requests |
//! | `error_request_count` | failed requests; left out if there are none |
//! | `completed_request_count` | both |
//! | `request_error_rate` | failed of both, % |
//! | `context_overflow_count` | failures whose message says that the context was too long; left out without failures |
//! | `benchmark_duration` | first start to last `start + request_latency`, of successful requests |
//! | `request_throughput` | successful requests that have a time / window |
//! | `total_*` | sum of a metric: [`TOTALS`] |
//! | `input_token_throughput`, `output_token_throughput`, `total_token_throughput` | `total_isl`, `total_osl`, both / window |
//! | `osl_mismatch_count` | output longer or shorter than requested by more than 5 %, or 50 tokens if that is less |
//! | `usage_discrepancy_count` | the server's count of prompt, completion or reasoning tokens off by more than 10 % |
//! | `overall_usage_prompt_cache_read_pct` | prompt tokens read from the cache of all prompt tokens, % |
//!
//! # Latencies
//! | metric | definition |
//! |---|---|
//! | `adj_*` | a latency with each failed request as +∞; nearest rank, ties to even; left out without failures |
//! | `credit_to_start_latency` | release by the load generator to start, failed requests too, not below 0 |
//! | `effective_latency` | release to end, failed requests too, not below 0 |
//!
//! # Time-weighted
//! Step functions of time, weighted by how long each value held within the window: `effective_*` and `tokens_in_flight`
//! over the whole window, `active_*` only while a request was in the phase of interest. AIPerf prints only the percentiles
//! 50, 90, 95 and 99 of these. *Prefill* is start to first token, *decode* first token to end.
//!
//! | step function | value |
//! |---|---|
//! | `concurrency`, `prefill_concurrency`, `decode_concurrency` | requests between start and end, in prefill, in decode |
//! | `prefill_throughput` | sum over requests in prefill of input tokens / prefill time |
//! | `decode_throughput` | each gap between chunks carries an equal share of all output tokens but the first |
//! | `total_throughput` | prefill throughput + (output tokens − 1) / decode time of each request in decode |
//! | `*_throughput_per_user` | throughput / concurrency of the same kind |
//! | `tokens_in_flight` | input tokens from the start, and output tokens as their chunks arrive, until the end |
//!
//! If no request has gaps between chunks, the output tokens spread evenly over decode, and are all in flight from its start.
//!
//! # Rounding
//! AIPerf keeps wall-clock times as doubles: nanoseconds since 1970 are rounded to multiples of 256, and so are the
//! latencies made of them. The same is done here.

mod scalars;
mod latencies;
mod weighted;
mod sweep;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use latencies::statistics;
pub use scalars::{Scalars, TOTALS, is_context_overflow};

use super::Percentiles;
use super::window::Windows;
use latencies::Latencies;
use sweep::Sweep;

/// One request, as a line of AIPerf's `profile_export.jsonl` tells it.
///
/// A line with `context_overflow_skip` counts nowhere in AIPerf: do not add it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Request<'a> {
    /// The line has an `error`.
    pub failed: bool,
    /// The error tells that the context was too long: [`is_context_overflow`].
    pub context_overflow: bool,
    /// When the load generator released the request, in nanoseconds since 1970.
    pub credit_issued_ns: Option<u64>,
    /// `request_start_ns`, in nanoseconds since 1970.
    pub start_ns: Option<u64>,
    /// `request_end_ns`, in nanoseconds since 1970.
    pub end_ns: Option<u64>,
    /// `request_latency` in milliseconds.
    pub request_latency_ms: Option<f64>,
    /// `time_to_first_token` in milliseconds.
    pub time_to_first_token_ms: Option<f64>,
    /// `decode_duration` in milliseconds.
    pub decode_duration_ms: Option<f64>,
    /// `inter_token_latency` in milliseconds.
    pub inter_token_latency_ms: Option<f64>,
    /// `inter_chunk_latency`: each gap between chunks in milliseconds, in order of time.
    pub inter_chunk_latency_ms: &'a [f64],
    /// `input_sequence_length` in tokens.
    pub input_sequence_length: Option<f64>,
    /// `output_sequence_length` in tokens.
    pub output_sequence_length: Option<f64>,
    /// `osl_mismatch_diff_pct`: output against requested length, in percent.
    pub osl_mismatch_diff_pct: Option<f64>,
    /// `usage_prompt_tokens_diff_pct` in percent.
    pub usage_prompt_tokens_diff_pct: Option<f64>,
    /// `usage_completion_tokens_diff_pct` in percent.
    pub usage_completion_tokens_diff_pct: Option<f64>,
    /// `usage_reasoning_tokens_diff_pct` in percent.
    pub usage_reasoning_tokens_diff_pct: Option<f64>,
}

/// A derived metric.
#[derive(Clone, Debug, PartialEq)]
pub enum Derived {
    /// One number: what AIPerf prints as `avg`.
    Scalar {
        /// AIPerf's name of the unit.
        unit: &'static str,
        /// The number.
        value: f64,
    },
    /// Statistics of many.
    Statistics(Statistics),
}

/// Statistics of a metric. What AIPerf does not print for it, or what would be infinite, is `None`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Statistics {
    /// AIPerf's name of the unit.
    pub unit: &'static str,
    /// How many values.
    pub count: Option<u64>,
    /// Their sum.
    pub sum: Option<f64>,
    /// Their mean.
    pub avg: Option<f64>,
    /// The smallest.
    pub min: Option<f64>,
    /// The largest.
    pub max: Option<f64>,
    /// The population's standard deviation.
    pub std: Option<f64>,
    /// One for each level that was asked for, in that order.
    pub percentiles: Vec<Option<f64>>,
}

/// Derived metrics by AIPerf's names.
pub type Metrics = BTreeMap<&'static str, Derived>;

/// Derives everything of one phase, keeping about 100 bytes for each request and 8 for each gap between chunks;
/// [`finish`](Self::finish) needs about 64 more for each gap.
#[derive(Debug, Default)]
pub struct Derivation {
    scalars: Scalars,
    latencies: Latencies,
    sweep: Sweep,
}

impl Derivation {
    /// Takes one request of the phase; their order does not matter.
    pub fn add(&mut self, request: &Request<'_>) {
        self.scalars.add(request);
        self.latencies.add(request);
        self.sweep.add(request);
    }

    /// The metrics with these percentiles. The rule is for the latencies alone: the others have AIPerf's own.
    ///
    /// Without windows, rates are over `benchmark_duration`, and the time-weighted metrics from the first start to the
    /// last end. Of several windows with gaps between them, as of runs that are pooled, there are no time-weighted metrics. `sum` gives the sum of a metric over the phase, if any request had it.
    pub fn finish(self, windows: &Windows, percentiles: &Percentiles, sum: impl Fn(&str) -> Option<f64>) -> Metrics {
        let failed = self.scalars.failed();
        let mut metrics = self.scalars.finish(windows, sum);
        self.latencies.finish(failed, percentiles, &mut metrics);
        if windows.is_empty() || windows.only().is_some() {
            self.sweep.finish(windows.only(), percentiles.as_slice(), &mut metrics);
        }
        metrics
    }
}

/// A number that AIPerf keeps as a double: beyond 2^53 it is rounded, times since 1970 to 256 ns.
#[expect(clippy::cast_precision_loss, reason = "the loss is AIPerf's, and wanted")]
fn double(number: u64) -> f64 {
    number as f64
}

/// A duration in whole nanoseconds; what is negative or no number is 0.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates, and takes NaN as 0")]
fn nanos(milliseconds: f64) -> u64 {
    (milliseconds * 1e6).round() as u64
}
