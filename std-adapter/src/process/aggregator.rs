//! Many result sets made into one.

use std::fmt::Write as _;

use phasemeter_core::aggregate::Timing;
use serde::{Deserialize, Deserializer};
use serde_json::json;

use super::metrics::{counts, latency};
use super::moments::to_f64;
use super::{
    PercentileRule, Percentiles, PhaseResults, PostProcessor, ProcessError, ProcessingResult, ResultSet, Windows,
};
use crate::text::{number, printable};

/// Makes many result sets into one.
///
/// The metrics: those of [`MetricsProcessor`](super::MetricsProcessor), and `total_sets`; `sets` with the `name` and
/// `records` of each; `records_per_set`, their mean; `success_rate`; `throughput_rps`, successful requests a second of those
/// that have a time, which is null without any; `timing`, how it was made: `union`, `concurrent` or `sequential`. Warm-up
/// phases are left out.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ResultsAggregator {
    /// How the sets relate in time: `concurrent`, so that their rates add, or `sequential`, so that their windows do. Unless
    /// given, the throughput is over the union of the windows, and of devices, whose clocks are not the same, concurrent.
    #[serde(deserialize_with = "timing")]
    pub timing: Option<Timing>,
    /// Which percentiles.
    pub percentiles: Percentiles,
    /// How they are chosen, whatever `percentiles` says.
    pub percentile_rule: PercentileRule,
}

impl ResultsAggregator {
    /// The aggregate in words, a line each.
    ///
    /// # Errors
    /// As [`aggregate`](Self::aggregate).
    pub fn generate_report(&self, results: &[ResultSet]) -> Result<String, ProcessError> {
        let result = self.aggregate(results)?;
        let found = |name: &str| result.metrics().get(name).and_then(serde_json::Value::as_f64);
        let mut text = String::new();
        let _ = writeln!(text, "Total Records: {}", grouped(result.record_count()));
        let _ = writeln!(text, "Result Sets: {}", grouped(results.len() as u64));
        if let Some(rate) = found("success_rate") {
            // Only all is 100 %, and only none is 0 %.
            let percent = if rate > 0.0 && rate < 1.0 { (rate * 100.0).clamp(0.01, 99.99) } else { rate * 100.0 };
            let _ = writeln!(text, "Success Rate: {percent:.2}%");
        }
        if let Some(rate) = found("throughput_rps") {
            let _ = writeln!(text, "Throughput: {} ({})", number::rate(rate), name_of(self.timing(results)));
        }
        if let Some(latency) = result.metrics().get("latency_percentiles") {
            let unit = printable(latency["unit"].as_str().unwrap_or_default());
            let names = ["min", "mean", "stdev"].map(str::to_owned).into_iter().chain(self.percentiles.names());
            for name in names.chain(["max".to_owned()]) {
                if let Some(value) = latency[&name].as_f64() {
                    let _ = writeln!(text, "Latency {name}: {value:.3} {unit}");
                }
            }
            let _ = writeln!(text, "Percentile Rule: {}", self.percentile_rule.name());
        }
        Ok(text)
    }

    /// The aggregate.
    ///
    /// # Errors
    /// [`ProcessError::NoResultSets`], and [`ProcessError::Units`] if their latencies have different ones.
    pub fn aggregate(&self, results: &[ResultSet]) -> Result<ProcessingResult, ProcessError> {
        if results.is_empty() {
            return Err(ProcessError::NoResultSets);
        }
        let mut metrics = counts(results);
        metrics.extend(latency(results, &self.percentiles.clone().by(self.percentile_rule))?);
        let timing = self.timing(results);
        let total = results.iter().map(ResultSet::counts).sum::<super::OutcomeCounts>();
        let records = |set: &ResultSet| set.counts().total();
        let sets: Vec<_> = results.iter().map(|set| json!({"name": set.name(), "records": records(set)})).collect();
        for (name, value) in [
            ("total_sets", json!(results.len())),
            ("sets", json!(sets)),
            ("records_per_set", json!(to_f64(total.total()) / to_f64(results.len() as u64))),
            ("success_rate", json!(total.success_rate())),
            ("throughput_rps", json!(throughput(results, timing))),
            ("timing", json!(name_of(timing))),
        ] {
            metrics.insert(name.to_owned(), value);
        }
        Ok(ProcessingResult::new(results, metrics))
    }

    /// How the throughput is made. Devices have no clock in common: they are taken to measure side by side, as a report does.
    fn timing(&self, results: &[ResultSet]) -> Option<Timing> {
        let are_devices = !results.is_empty() && results.iter().all(|set| set.coverage().is_some());
        self.timing.or(are_devices.then_some(Timing::Concurrent))
    }
}

impl PostProcessor for ResultsAggregator {
    fn process(&mut self, results: &[ResultSet]) -> Result<ProcessingResult, ProcessError> {
        self.aggregate(results)
    }
}

/// When the phases that count ran.
fn windows<'a>(sets: impl IntoIterator<Item = &'a ResultSet>) -> Windows {
    let mut all = Windows::default();
    sets.into_iter().flat_map(ResultSet::measured).for_each(|phase| all.join(&phase.windows));
    all
}

/// Successful requests a second, of those whose time is known.
fn throughput(results: &[ResultSet], timing: Option<Timing>) -> Option<f64> {
    let timed = |set: &ResultSet| to_f64(set.measured().map(PhaseResults::timed).fold(0, u64::saturating_add));
    let parts = || results.iter().filter_map(|set| Some((timed(set), windows([set]).seconds()?)));
    let rate = match timing {
        Some(Timing::Concurrent) => parts().map(|(timed, seconds)| timed / seconds).reduce(|sum, rate| sum + rate)?,
        Some(Timing::Sequential) => {
            let (timed, seconds) = parts().fold((0.0, 0.0), |sum, part| (sum.0 + part.0, sum.1 + part.1));
            timed / seconds
        }
        None => results.iter().map(timed).sum::<f64>() / windows(results).seconds()?,
    };
    Some(rate).filter(|rate| rate.is_finite())
}

/// Core's enum by its name in a configuration.
fn timing<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timing>, D::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Name {
        Concurrent,
        Sequential,
    }
    let name = Option::<Name>::deserialize(deserializer)?;
    Ok(name.map(|name| match name {
        Name::Concurrent => Timing::Concurrent,
        Name::Sequential => Timing::Sequential,
    }))
}

fn name_of(timing: Option<Timing>) -> &'static str {
    match timing {
        None => "union",
        Some(Timing::Concurrent) => "concurrent",
        Some(Timing::Sequential) => "sequential",
    }
}

/// `1,234,567`
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
