//! Counts, rates and latency percentiles of all result sets together.

use std::path::PathBuf;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    Bounded, Distribution, PercentileRule, Percentiles, PostProcessor, ProcessError, ProcessingResult, REQUEST_LATENCY,
    ResultSet,
};
use crate::atomic::{WriteError, check_writable, write_atomically};
use crate::text::to_json;

/// Computes the metrics of all result sets together, and writes them to a file.
///
/// The metrics: `total_records`; `request_counts` with `total`, `successful`, `failed` and `success_rate`; `error_count`;
/// `error_rate`; `percentile_rule`; `latency_percentiles` with `unit`, `min`, `max`, `mean`, `stdev` and the percentiles by
/// name, and `latency_bounds` with `lower` and `upper` of each, or with the `reason` for which it is withheld: its value is null
/// then. The latter three are of [`REQUEST_LATENCY`], and are left out if no record has one. Warm-up phases are left out, and
/// counted as `warmup_records`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MetricsProcessor {
    /// Where to write the metrics as JSON; nowhere unless given. A reader sees the old file or the new one.
    pub output_file: Option<PathBuf>,
    /// Whether to compute latency percentiles.
    pub include_percentiles: bool,
    /// Whether to make the directories of the output file.
    pub create_dirs: bool,
    /// Which percentiles.
    pub percentiles: Percentiles,
    /// How they are chosen, whatever `percentiles` says.
    pub percentile_rule: PercentileRule,
}

impl Default for MetricsProcessor {
    fn default() -> Self {
        Self {
            output_file: None,
            include_percentiles: true,
            create_dirs: true,
            percentiles: Percentiles::default(),
            percentile_rule: PercentileRule::default(),
        }
    }
}

impl MetricsProcessor {
    /// Checks that the metrics can be written before there are any; makes the directories of the file if it may.
    ///
    /// # Errors
    /// [`ProcessError::Write`] if they cannot.
    pub fn check_output(&self) -> Result<(), ProcessError> {
        let Some(path) = &self.output_file else { return Ok(()) };
        if let Some(directory) = path.parent().filter(|_| self.create_dirs) {
            std::fs::create_dir_all(directory).map_err(WriteError::at(directory))?;
        }
        Ok(check_writable(path)?)
    }
}

impl PostProcessor for MetricsProcessor {
    fn process(&mut self, results: &[ResultSet]) -> Result<ProcessingResult, ProcessError> {
        let mut metrics = counts(results);
        if self.include_percentiles {
            metrics.extend(latency(results, &self.percentiles.clone().by(self.percentile_rule))?);
        }
        let result = ProcessingResult::new(results, metrics);
        let Some(path) = &self.output_file else { return Ok(result) };
        let result = result.with_output_path(path);
        if let Some(directory) = path.parent().filter(|_| self.create_dirs) {
            std::fs::create_dir_all(directory).map_err(WriteError::at(directory))?;
        }
        let json = to_json(&result).map_err(std::io::Error::from).map_err(WriteError::at(path))?;
        write_atomically(path, json.as_bytes())?;
        Ok(result)
    }
}

/// Request counts and rates of all phases that count.
pub(super) fn counts(results: &[ResultSet]) -> Map<String, Value> {
    let counts = results.iter().map(ResultSet::counts).sum::<super::OutcomeCounts>();
    let all = results.iter().map(ResultSet::records).fold(0, u64::saturating_add);
    let mut metrics = Map::new();
    let mut put = |name: &str, value| metrics.insert(name.to_owned(), value);
    put("total_records", json!(counts.total()));
    if all > counts.total() {
        put("warmup_records", json!(all - counts.total()));
    }
    put(
        "request_counts",
        json!({
            "total": counts.total(),
            "successful": counts.successful,
            "failed": counts.failed(),
            "success_rate": counts.success_rate(),
        }),
    );
    put("error_count", json!(counts.failed()));
    put("error_rate", json!(counts.error_rate()));
    metrics
}

/// The latencies of all phases that count, if there are any.
pub(super) fn latencies(results: &[ResultSet]) -> Result<Option<Distribution>, ProcessError> {
    let mut all: Option<Distribution> = None;
    for set in results {
        for latencies in set.measured().filter_map(|phase| phase.metrics().get(REQUEST_LATENCY)) {
            match &mut all {
                None => all = Some(latencies.clone()),
                Some(all) if all.unit() == latencies.unit() => all.merge(latencies),
                Some(all) => {
                    return Err(ProcessError::Units {
                        input: set.name().to_owned(),
                        metric: REQUEST_LATENCY.to_owned(),
                        unit: latencies.unit().to_owned(),
                        other: all.unit().to_owned(),
                    });
                }
            }
        }
    }
    Ok(all.filter(|all| all.count() > 0))
}

/// `percentile_rule`, `latency_percentiles` and `latency_bounds`, if there are latencies.
pub(super) fn latency(results: &[ResultSet], percentiles: &Percentiles) -> Result<Map<String, Value>, ProcessError> {
    let mut metrics = Map::new();
    let Some(latencies) = latencies(results)? else { return Ok(metrics) };
    let (mut statistics, mut bounds) = (Map::new(), Map::new());
    statistics.insert("unit".to_owned(), json!(latencies.unit()));
    let moments =
        [("min", latencies.min()), ("max", latencies.max()), ("mean", latencies.mean()), ("stdev", latencies.stdev())];
    statistics.extend(moments.map(|(name, value)| (name.to_owned(), json!(value))));
    for (name, percentile) in percentiles.names().zip(latencies.percentiles(percentiles)) {
        let (value, bound) = match percentile {
            Ok(Bounded { value, lower, upper }) => (Some(value), json!({"lower": lower, "upper": upper})),
            Err(reason) => (None, json!({"reason": reason})),
        };
        statistics.insert(name.clone(), json!(value));
        bounds.insert(name, bound);
    }
    metrics.insert("percentile_rule".to_owned(), percentiles.rule().name().into());
    metrics.insert("latency_percentiles".to_owned(), statistics.into());
    metrics.insert("latency_bounds".to_owned(), bounds.into());
    Ok(metrics)
}
