//! Metrics in a summary: their numbers, and the order in which they stand.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// Metrics by name, in an order that is kept: a map of JSON, whose keys stand in that order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MetricMap(Vec<(String, MetricSummary)>);

impl MetricMap {
    /// The metric of this name.
    pub fn get(&self, name: &str) -> Option<&MetricSummary> {
        self.iter().find(|(known, _)| *known == name).map(|(_, metric)| metric)
    }

    /// Names and metrics, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &MetricSummary)> {
        self.0.iter().map(|(name, metric)| (name.as_str(), metric))
    }
}

/// The names are told apart by who collects them.
impl FromIterator<(String, MetricSummary)> for MetricMap {
    fn from_iter<I: IntoIterator<Item = (String, MetricSummary)>>(metrics: I) -> Self {
        Self(metrics.into_iter().collect())
    }
}

impl std::ops::Index<&str> for MetricMap {
    type Output = MetricSummary;

    /// # Panics
    /// If there is no metric of this name.
    fn index(&self, name: &str) -> &MetricSummary {
        self.get(name).unwrap_or_else(|| panic!("there is no metric {name}"))
    }
}

impl Serialize for MetricMap {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for MetricMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = MetricMap;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("metrics by name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<MetricMap, A::Error> {
                let mut metrics = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    metrics.push(entry);
                }
                Ok(MetricMap(metrics))
            }
        }

        deserializer.deserialize_map(InOrder)
    }
}

/// A value of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Number {
    /// A plain number.
    Plain(u64),
    /// Milliseconds.
    Millis(f64),
}

impl Number {
    /// The number.
    #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53")]
    pub fn as_f64(self) -> f64 {
        match self {
            Self::Plain(number) => number as f64,
            Self::Millis(number) => number,
        }
    }
}

/// One metric of one phase.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricSummary {
    /// The unit of all values: `ms` of times, `count` of plain numbers, and `unknown` while a metric has no name: then the
    /// values are as they came.
    pub unit: String,
    /// Samples observed.
    pub count: u64,
    /// Samples that the device told of.
    pub expected: u64,
    /// How many independent samples the observed ones are worth: fewer, if neighbouring ones are alike. See
    /// [`uncertainty::dependence`](crate::uncertainty::dependence).
    pub effective_count: u64,
    /// The smallest sample, exact.
    pub min: Option<Number>,
    /// The largest sample, exact.
    pub max: Option<Number>,
    /// The mean: exact, but for the rounding to a number of 53 bits.
    pub mean: Option<f64>,
    /// The population standard deviation, as exact as the mean.
    pub stdev: Option<f64>,
    /// How much each sample resembles the one before it, from −1 to 1: 0 if they are independent (NIST/SEMATECH e-Handbook
    /// of Statistical Methods, 1.3.5.12). Of several devices or boots, each has a mean of its own. `None` if all samples
    /// are alike, or a sum was full.
    pub lag1_autocorrelation: Option<f64>,
    /// Whether a counter was full, so that counts and moments are too low.
    pub saturated: bool,
    /// No percentile's value is further from the true order statistic than this part of it.
    pub relative_error: f64,
    /// The percentiles by name: `p50`, `p99`, `p99.9`.
    pub percentiles: BTreeMap<String, PercentileSummary>,
}

/// One percentile: the nearest-rank order statistic lies within its bounds, which are the histogram's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PercentileSummary {
    /// The estimate; `None` if there are too few samples.
    pub value: Option<Number>,
    /// The true order statistic is not below.
    pub lower: Option<Number>,
    /// The true order statistic is not above.
    pub upper: Option<Number>,
    /// Why there is no value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Where the percentile of an endless run lies, with this confidence: the sampling interval, widened to bucket bounds.
    /// See [`uncertainty::interval`](crate::uncertainty::interval).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<IntervalSummary>,
    /// Why there is no interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval_withheld: Option<String>,
    /// `MLPerf` `LoadGen`'s early stopping estimate: it lies within these bounds, and the percentile of an endless run not above it
    /// with this confidence. See [`uncertainty::early_stopping`](crate::uncertainty::early_stopping).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub early_stopping: Option<IntervalSummary>,
    /// Why there is no early stopping estimate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub early_stopping_withheld: Option<String>,
}

/// Bounds, and how often they hold what they are of at least.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct IntervalSummary {
    /// It is not below.
    pub lower: Number,
    /// It is not above.
    pub upper: Number,
    /// A part of one.
    pub confidence: f64,
}
