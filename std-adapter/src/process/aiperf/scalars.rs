//! Metrics that are one number.

use std::collections::BTreeMap;

use super::{Derived, Metrics, Request, Windows, double, nanos};

/// A total, the metric it is the sum of, and its unit.
pub const TOTALS: &[(&str, &str, &str)] = &[
    ("total_isl", "input_sequence_length", "tokens"),
    ("total_osl", "output_sequence_length", "tokens"),
    ("total_output_tokens", "output_token_count", "tokens"),
    ("total_reasoning_tokens", "reasoning_token_count", "tokens"),
    ("total_error_isl", "error_isl", "tokens"),
    ("total_usage_prompt_tokens", "usage_prompt_tokens", "tokens"),
    ("total_usage_completion_tokens", "usage_completion_tokens", "tokens"),
    ("total_usage_total_tokens", "usage_total_tokens", "tokens"),
    ("total_usage_reasoning_tokens", "usage_reasoning_tokens", "tokens"),
    ("total_usage_prompt_cache_read_tokens", "usage_prompt_cache_read_tokens", "tokens"),
    ("total_usage_prompt_cache_write_tokens", "usage_prompt_cache_write_tokens", "tokens"),
    ("total_usage_prompt_cache_miss_tokens", "usage_prompt_cache_miss_tokens", "tokens"),
    ("total_usage_prompt_audio_tokens", "usage_prompt_audio_tokens", "tokens"),
    ("total_usage_completion_audio_tokens", "usage_completion_audio_tokens", "tokens"),
    ("total_usage_accepted_prediction_tokens", "usage_accepted_prediction_tokens", "tokens"),
    ("total_usage_rejected_prediction_tokens", "usage_rejected_prediction_tokens", "tokens"),
    ("total_usage_tool_use_prompt_tokens", "usage_tool_use_prompt_tokens", "tokens"),
    ("total_usage_prompt_audio_seconds", "usage_prompt_audio_seconds", "sec"),
];

/// AIPerf's limits: a longer or shorter output is a mismatch beyond the lesser of the two.
const MISMATCH_RATIO: f64 = 0.05;
const MISMATCH_TOKENS: f64 = 50.0;
/// AIPerf's limit for the difference between the server's and the client's count of tokens, in percent.
const DISCREPANCY_PCT: f64 = 10.0;

/// Whether an error's message tells that the context was too long, by the phrases that AIPerf looks for.
pub fn is_context_overflow(message: &str) -> bool {
    let message = message.to_lowercase();
    ["context length", "maximum context", "context_length_exceeded", "prompt is too long"]
        .iter()
        .any(|phrase| message.contains(phrase))
}

/// Derives the scalars of one phase in constant memory.
#[derive(Clone, Debug, Default)]
pub struct Scalars {
    successful: u64,
    /// Those of which any time is known.
    timed: u64,
    failed: u64,
    context_overflows: u64,
    /// First start and last response of the successful requests.
    first_start_ns: Option<u64>,
    last_response_ns: Option<u64>,
    /// `None` until a request has what it takes to tell.
    osl_mismatches: Option<u64>,
    usage_discrepancies: Option<u64>,
}

impl Scalars {
    /// Takes one request of the phase; their order does not matter.
    pub fn add(&mut self, request: &Request<'_>) {
        if request.failed {
            self.failed += 1;
            self.context_overflows += u64::from(request.context_overflow);
            return;
        }
        self.successful += 1;
        self.timed += u64::from(request.credit_issued_ns.or(request.start_ns).or(request.end_ns).is_some());
        if let Some(start) = request.start_ns {
            self.first_start_ns = Some(self.first_start_ns.map_or(start, |first| first.min(start)));
            if let Some(latency) = request.request_latency_ms {
                self.last_response_ns = self.last_response_ns.max(Some(start.saturating_add(nanos(latency))));
            }
        }
        count(&mut self.osl_mismatches, is_osl_mismatch(request));
        count(&mut self.usage_discrepancies, is_usage_discrepancy(request));
    }

    /// How many requests failed.
    pub fn failed(&self) -> u64 {
        self.failed
    }

    /// The metrics; `windows` and `sum` as in [`Derivation::finish`](super::Derivation::finish).
    pub fn finish(&self, windows: &Windows, sum: impl Fn(&str) -> Option<f64>) -> Metrics {
        let mut metrics = BTreeMap::new();
        let mut put = |name, unit, value: Option<f64>| {
            if let Some(value) = value.filter(|value| value.is_finite()) {
                metrics.insert(name, Derived::Scalar { unit, value });
            }
        };
        let positive = |count: u64| (count > 0).then(|| double(count));
        let (successful, failed) = (positive(self.successful), positive(self.failed));
        let completed = positive(self.successful.saturating_add(self.failed));
        put("request_count", "requests", successful);
        put("error_request_count", "requests", failed);
        put("completed_request_count", "requests", completed);
        put("request_error_rate", "%", completed.map(|completed| 100.0 * double(self.failed) / completed));
        put("context_overflow_count", "requests", failed.map(|_| double(self.context_overflows)));
        put("osl_mismatch_count", "requests", self.osl_mismatches.map(double));
        put("usage_discrepancy_count", "requests", self.usage_discrepancies.map(double));

        let duration = self.duration_s();
        put("benchmark_duration", "sec", duration);
        let seconds = if windows.is_empty() { duration } else { windows.seconds() };
        let rate = |amount: Option<f64>| Some(amount? / seconds?);
        let (input, output) = (sum("input_sequence_length"), sum("output_sequence_length"));
        put("request_throughput", "requests/sec", rate(positive(self.timed)));
        put("input_token_throughput", "tokens/sec", rate(input));
        put("output_token_throughput", "tokens/sec", rate(output));
        put("total_token_throughput", "tokens/sec", rate(input.zip(output).map(|(input, output)| input + output)));

        for (total, metric, unit) in TOTALS {
            put(total, unit, sum(metric));
        }
        let cached = sum("usage_prompt_cache_read_tokens").zip(sum("usage_prompt_tokens"));
        put("overall_usage_prompt_cache_read_pct", "%", cached.map(|(cached, all)| cached / all * 100.0));
        metrics
    }

    fn duration_s(&self) -> Option<f64> {
        let duration = double(self.last_response_ns?) - double(self.first_start_ns?);
        (duration > 0.0).then_some(duration / 1e9)
    }
}

fn count(total: &mut Option<u64>, verdict: Option<bool>) {
    if let Some(verdict) = verdict {
        *total = Some(total.unwrap_or(0) + u64::from(verdict));
    }
}

fn is_osl_mismatch(request: &Request<'_>) -> Option<bool> {
    let (actual, difference) = (request.output_sequence_length?, request.osl_mismatch_diff_pct?);
    if difference <= -100.0 {
        return Some(true);
    }
    let requested = (actual / (1.0 + difference / 100.0)).round();
    Some((actual - requested).abs() > (requested * MISMATCH_RATIO).min(MISMATCH_TOKENS))
}

/// `None` unless both prompt and completion can be compared; reasoning tokens are rarely there.
fn is_usage_discrepancy(request: &Request<'_>) -> Option<bool> {
    let differences = [
        request.usage_prompt_tokens_diff_pct?,
        request.usage_completion_tokens_diff_pct?,
        request.usage_reasoning_tokens_diff_pct.unwrap_or(0.0),
    ];
    Some(differences.iter().any(|difference| *difference > DISCREPANCY_PCT))
}
