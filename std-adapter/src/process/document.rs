//! `phasemeter.process/1`: what `phasemeter process --json` prints. The package has its JSON Schema.

use std::collections::BTreeMap;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::aiperf::{self, Derived};
use super::{
    Bounded, Distribution, OutcomeCounts, PercentileRule, Percentiles, PhaseResults, ProcessingResult, ResultSet,
    Window,
};

/// The name and version of the format.
pub const SCHEMA: &str = "phasemeter.process/1";

/// Everything that was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Document {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// The inputs.
    pub files: Vec<String>,
    /// Valid records, warm-up included.
    pub records: u64,
    /// Lines that were no valid record.
    pub rejected: u64,
    /// Why the inputs are only a part of what was measured; `None` if they are not known to be.
    pub partial_reason: Option<String>,
    /// Valid records that count nowhere: AIPerf marked them so, or somebody watched the mock server.
    pub skipped: u64,
    /// Statuses of flat records of which it is not known what they say, and how many have each: these count as successful
    /// unless they have an error.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub unknown_statuses: BTreeMap<String, u64>,
    /// Values that are in no distribution, by the reason: a second unit of a metric, or too many metrics.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub left_out: BTreeMap<String, u64>,
    /// How percentiles are chosen among the values; what is weighted by time and `adj_*` have AIPerf's own ways.
    pub percentile_rule: PercentileRule,
    /// The phases by name; flat records, which name none, are in `all`.
    pub phases: BTreeMap<String, PhaseDocument>,
    /// What [`ResultsAggregator`](super::ResultsAggregator) made of the inputs, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aggregate: Option<ProcessingResult>,
}

/// One phase.
#[derive(Clone, Debug, Serialize)]
pub struct PhaseDocument {
    /// Whether its requests only warm the server up.
    pub warmup: bool,
    /// When its requests ran, from the first start to the last end; `None` if the records have no times.
    pub window: Option<Window>,
    /// How long that is, in seconds, without the gaps between runs that are pooled; `None` if it has no length.
    pub window_s: Option<f64>,
    /// How its requests ended.
    pub request_counts: OutcomeCountsDocument,
    /// Failed of all requests.
    pub error_rate: Option<f64>,
    /// Successful requests that have a time, over `window_s`.
    pub throughput_rps: Option<f64>,
    /// Metrics by tag.
    pub metrics: BTreeMap<String, MetricDocument>,
}

/// How requests ended.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct OutcomeCountsDocument {
    /// All requests.
    pub total: u64,
    /// Requests that succeeded.
    pub successful: u64,
    /// Requests that failed, cancelled ones included.
    pub failed: u64,
    /// Requests that were cancelled.
    pub cancelled: u64,
    /// Successful of all requests.
    pub success_rate: Option<f64>,
}

/// One metric.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum MetricDocument {
    /// A single number.
    Scalar {
        /// Its unit.
        unit: String,
        /// The number.
        value: f64,
    },
    /// Statistics of many.
    Statistics(Box<StatisticsDocument>),
}

/// The statistics of one metric. What is not known is `None`: all but the bounds of percentiles is exact.
#[derive(Clone, Debug, Default, Serialize)]
pub struct StatisticsDocument {
    /// The unit of all values.
    pub unit: String,
    /// How many values.
    pub count: Option<u64>,
    /// The smallest.
    pub min: Option<f64>,
    /// The largest.
    pub max: Option<f64>,
    /// The mean.
    pub mean: Option<f64>,
    /// The population's standard deviation.
    pub std: Option<f64>,
    /// The sum.
    pub sum: Option<f64>,
    /// The percentiles by name, rising, but for those that are withheld.
    #[serde(serialize_with = "as_map")]
    pub percentiles: Vec<(String, Bounded)>,
}

fn as_map<S: Serializer>(percentiles: &[(String, Bounded)], serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(percentiles.len()))?;
    percentiles.iter().try_for_each(|(name, percentile)| map.serialize_entry(name, percentile))?;
    map.end()
}

impl Document {
    /// Tells all of a result set, which was read from these files.
    pub fn new(set: &ResultSet, files: Vec<String>, percentiles: &Percentiles) -> Self {
        let phases = set.phases().iter().map(|(name, phase)| (name.clone(), PhaseDocument::new(phase, percentiles)));
        Self {
            schema: SCHEMA,
            files,
            records: set.records(),
            rejected: set.rejected(),
            partial_reason: set.partial_reason().map(str::to_owned),
            skipped: set.skipped(),
            unknown_statuses: set.unknown_statuses().clone(),
            left_out: set.left_out().clone(),
            percentile_rule: percentiles.rule(),
            phases: phases.collect(),
            aggregate: None,
        }
    }
}

impl PhaseDocument {
    fn new(phase: &PhaseResults, percentiles: &Percentiles) -> Self {
        let mut metrics = BTreeMap::new();
        for (tag, distribution) in phase.metrics() {
            let document = StatisticsDocument::new(distribution, percentiles);
            metrics.insert(tag.clone(), MetricDocument::Statistics(Box::new(document)));
        }
        for (tag, derived) in &phase.derived.metrics {
            metrics.entry((*tag).to_owned()).or_insert_with(|| metric(derived, &phase.derived.percentiles));
        }
        Self {
            warmup: phase.warmup,
            window: phase.windows.whole(),
            window_s: phase.windows.seconds(),
            request_counts: OutcomeCountsDocument::from(phase.counts),
            error_rate: phase.counts.error_rate(),
            throughput_rps: phase.throughput_rps(),
            metrics,
        }
    }
}

impl From<OutcomeCounts> for OutcomeCountsDocument {
    fn from(counts: OutcomeCounts) -> Self {
        Self {
            total: counts.total(),
            successful: counts.successful,
            failed: counts.failed(),
            cancelled: counts.cancelled,
            success_rate: counts.success_rate(),
        }
    }
}

impl StatisticsDocument {
    fn new(distribution: &Distribution, percentiles: &Percentiles) -> Self {
        let values = distribution.percentiles(percentiles);
        Self {
            unit: distribution.unit().to_owned(),
            count: Some(distribution.count()),
            min: distribution.min(),
            max: distribution.max(),
            mean: distribution.mean(),
            std: distribution.stdev(),
            sum: distribution.sum(),
            percentiles: percentiles
                .names()
                .zip(values)
                .filter_map(|(name, value)| Some((name, value.ok()?)))
                .collect(),
        }
    }
}

fn metric(derived: &Derived, percentiles: &Percentiles) -> MetricDocument {
    match derived {
        Derived::Scalar { unit, value } => MetricDocument::Scalar { unit: (*unit).to_owned(), value: *value },
        Derived::Statistics(aiperf::Statistics { unit, count, sum, avg, min, max, std, percentiles: values }) => {
            let exactly = |value: f64| Bounded { value, lower: value, upper: value };
            let known = percentiles.names().zip(values).filter_map(|(name, value)| Some((name, exactly((*value)?))));
            MetricDocument::Statistics(Box::new(StatisticsDocument {
                unit: (*unit).to_owned(),
                count: *count,
                min: *min,
                max: *max,
                mean: *avg,
                std: *std,
                sum: *sum,
                percentiles: known.collect(),
            }))
        }
    }
}
