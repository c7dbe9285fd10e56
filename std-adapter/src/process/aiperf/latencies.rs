//! Latencies that tell of failed requests too.

use super::{Derived, Metrics, Request, Statistics, double};
use crate::process::Percentiles;
use crate::process::percentiles::Position;

/// Values of the latencies of one phase, in milliseconds.
#[derive(Debug, Default)]
pub(super) struct Latencies {
    request_latency: Vec<f64>,
    time_to_first_token: Vec<f64>,
    decode_duration: Vec<f64>,
    inter_token_latency: Vec<f64>,
    credit_to_start: Vec<f64>,
    effective: Vec<f64>,
}

impl Latencies {
    pub(super) fn add(&mut self, request: &Request<'_>) {
        let finite = |value: &f64| value.is_finite();
        self.request_latency.extend(request.request_latency_ms.filter(finite));
        self.time_to_first_token.extend(request.time_to_first_token_ms.filter(finite));
        self.decode_duration.extend(request.decode_duration_ms.filter(finite));
        self.inter_token_latency.extend(request.inter_token_latency_ms.filter(finite));
        let since_release = |at: Option<u64>| Some((double(at?) - double(request.credit_issued_ns?)).max(0.0) / 1e6);
        self.credit_to_start.extend(since_release(request.start_ns));
        self.effective.extend(since_release(request.end_ns));
    }

    pub(super) fn finish(mut self, failed: u64, percentiles: &Percentiles, metrics: &mut Metrics) {
        let adjusted = [
            ("adj_request_latency", &mut self.request_latency),
            ("adj_time_to_first_token", &mut self.time_to_first_token),
            ("adj_decode_duration", &mut self.decode_duration),
            ("adj_inter_token_latency", &mut self.inter_token_latency),
        ];
        let adjusted =
            adjusted.map(|(name, values)| (name, adjusted_statistics(values, failed, percentiles.as_slice())));
        let exact = [
            ("credit_to_start_latency", statistics("ms", &mut self.credit_to_start, percentiles)),
            ("effective_latency", statistics("ms", &mut self.effective, percentiles)),
        ];
        for (name, found) in adjusted.into_iter().chain(exact) {
            if let Some(found) = found {
                metrics.insert(name, Derived::Statistics(found));
            }
        }
    }
}

/// Statistics of `values`, which are sorted by this. They are AIPerf's if the percentiles are [linear](crate::process::PercentileRule::Linear);
/// the standard deviation is the population's. `None` without values.
pub fn statistics(unit: &'static str, values: &mut [f64], percentiles: &Percentiles) -> Option<Statistics> {
    values.sort_unstable_by(f64::total_cmp);
    let (min, max) = (*values.first()?, *values.last()?);
    let count = double(values.len() as u64);
    let sum = sum(values, |value| value);
    let avg = sum / count;
    let variance = self::sum(values, |value| (value - avg).powi(2)) / count;
    let percentile = |Position { below, above, part }| {
        let at = |rank: u64| usize::try_from(rank).ok().and_then(|rank| values.get(rank)).copied();
        let (low, high) = (at(below)?, at(above)?);
        Some(low + part * (high - low))
    };
    Some(Statistics {
        unit,
        count: Some(values.len() as u64),
        sum: Some(sum),
        avg: Some(avg),
        min: Some(min),
        max: Some(max),
        std: Some(variance.sqrt()),
        percentiles: percentiles.positions(values.len() as u64).map(percentile).collect(),
    })
}

/// Statistics of latencies that take each failed request as +∞, so that a mean and a maximum are infinite and left out.
fn adjusted_statistics(values: &mut [f64], failed: u64, levels: &[f64]) -> Option<Statistics> {
    if failed == 0 {
        return None;
    }
    values.sort_unstable_by(f64::total_cmp);
    let min = *values.first()?;
    let count = (values.len() as u64).saturating_add(failed);
    let percentile = |level: &f64| {
        let rank = ((double(count) - 1.0) * (level / 100.0)).round_ties_even();
        values.get(index(rank, usize::MAX)?).copied()
    };
    Some(Statistics {
        unit: "ms",
        count: Some(count),
        min: Some(min),
        percentiles: levels.iter().map(percentile).collect(),
        ..Statistics::default()
    })
}

/// A rank as an index below `length`; `None` if it is no number.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates, and NaN is left out")]
fn index(rank: f64, length: usize) -> Option<usize> {
    (!rank.is_nan()).then(|| (rank as usize).min(length.saturating_sub(1)))
}

/// A sum of parts, so that the rounding error does not grow with the number of values.
pub(super) fn sum<T: Copy>(values: &[T], number: impl Fn(T) -> f64) -> f64 {
    values.chunks(1024).map(|part| part.iter().map(|value| number(*value)).sum::<f64>()).sum()
}
