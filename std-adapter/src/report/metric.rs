//! The values of one metric, merged over devices and boots.

use std::collections::BTreeMap;
use std::fmt;

use phasemeter_core::histogram::HistogramView;
use phasemeter_core::metric::{Metric, Unit};
use phasemeter_core::summary::{Percentile, STANDARD};

use super::model::{IntervalSummary, MetricMap, MetricSummary, Number, PercentileSummary};
use crate::session::{Boot, HostHistogram, PhaseTelemetry, UNNAMED, millis, outward_millis, resolved};
use crate::statistics::{self, Dependence};
use crate::uncertainty::dependence::effective_count;
use crate::uncertainty::early_stopping::{self, early_stopping};
use crate::uncertainty::interval::{self, interval};

/// What a metric is called. Those without a name are told apart by their ids, which mean nothing on other devices.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum MetricName {
    Told(String),
    Unnamed(u8),
}

impl fmt::Display for MetricName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Told(name) => f.write_str(name),
            Self::Unnamed(id) => write!(f, "metric {id} {UNNAMED}"),
        }
    }
}

/// The metrics of a phase.
#[derive(Default)]
pub(super) struct Metrics(BTreeMap<MetricName, MergedMetric>);

/// One metric.
struct MergedMetric {
    /// `None` while it has no name.
    unit: Option<Unit>,
    histogram: Box<HostHistogram>,
    /// Over all parts, each with the mean of its own; `None` if a sum was full.
    dependence: Option<Dependence>,
    expected: u64,
    /// Parts have different units: no values are merged.
    is_mixed: bool,
    /// The first device that has it, and its place in the table there.
    place: (usize, u8),
}

impl Metrics {
    /// The metrics of one boot's phase, of the device of this number.
    pub(super) fn of(device: usize, boot: &Boot, phase: &PhaseTelemetry) -> Self {
        let metrics = phase.metrics().map(|(id, mirror)| {
            let metric = boot.metric(id);
            let name = metric.map_or(MetricName::Unnamed(id), |Metric { name, .. }| MetricName::Told(name.to_owned()));
            let histogram = mirror.histogram().unwrap_or_else(empty);
            let dependence = Dependence::of(&histogram.totals(), &mirror.lag1());
            let unit = metric.map(|metric| metric.unit);
            let expected = mirror.expected();
            (name, MergedMetric { unit, histogram, dependence, expected, is_mixed: false, place: (device, id) })
        });
        Self(metrics.filter(|(_, metric)| metric.expected > 0).collect())
    }

    /// Adds those of another boot, or of another device: then nothing is known of those without a name.
    pub(super) fn merge(&mut self, other: &Self, is_other_device: bool) {
        for (name, part) in &other.0 {
            if is_other_device && matches!(name, MetricName::Unnamed(_)) {
                continue;
            }
            let merged = self.0.entry(name.clone()).or_insert_with(|| MergedMetric {
                unit: part.unit,
                histogram: empty(),
                dependence: Some(Dependence::default()),
                expected: 0,
                is_mixed: false,
                place: part.place,
            });
            merged.place = merged.place.min(part.place);
            merged.is_mixed |= part.is_mixed || merged.unit != part.unit;
            merged.expected = merged.expected.saturating_add(part.expected);
            merged.histogram.merge(&part.histogram);
            merged.dependence = merged.dependence.zip(part.dependence).map(|(one, other)| one.and(other));
        }
    }

    /// How many values were observed, and how many the devices told of.
    pub(super) fn coverage(&self) -> (u64, u64) {
        self.0.values().fold((0, 0), |(observed, expected), metric| {
            (observed.saturating_add(metric.histogram.count()), expected.saturating_add(metric.expected))
        })
    }

    /// The names of metrics of which parts have different units.
    pub(super) fn mixed(&self) -> impl Iterator<Item = &MetricName> {
        self.0.iter().filter(|(_, metric)| metric.is_mixed).map(|(name, _)| name)
    }

    pub(super) fn summaries(&self) -> MetricMap {
        let mut alike: Vec<_> = self.0.iter().filter(|(_, metric)| !metric.is_mixed).collect();
        alike.sort_by_key(|(_, metric)| metric.place);
        alike.into_iter().map(|(name, metric)| (name.to_string(), metric.summary())).collect()
    }
}

fn empty() -> Box<HostHistogram> {
    Box::default()
}

impl MergedMetric {
    fn summary(&self) -> MetricSummary {
        summary_of(self.unit, &self.histogram, self.dependence, self.expected)
    }
}

pub(super) fn summary_of(
    unit: Option<Unit>,
    histogram: &HistogramView<u64>,
    dependence: Option<Dependence>,
    expected: u64,
) -> MetricSummary {
    let number = |value| number(unit, value);
    let (totals, per_unit) = (histogram.totals(), if unit == Some(Unit::Nanoseconds) { 1_000_000 } else { 1 });
    let (mean, stdev) = (statistics::mean(&totals, per_unit), statistics::stdev(&totals, per_unit));
    let lag1 = dependence.and_then(Dependence::autocorrelation);
    let variation = mean.zip(stdev).map(|(mean, stdev)| stdev / mean);
    let effective = effective_count(histogram.count(), lag1, variation);
    MetricSummary {
        unit: match unit {
            Some(Unit::Nanoseconds) => "ms",
            Some(_) => "count",
            None => "unknown",
        }
        .to_owned(),
        count: histogram.count(),
        expected,
        effective_count: effective,
        min: histogram.min().map(number),
        max: histogram.max().map(number),
        mean,
        stdev,
        lag1_autocorrelation: lag1,
        saturated: histogram.saturation().any(),
        relative_error: f64::from(histogram.relative_error_ppm()) / 1e6,
        percentiles: STANDARD.into_iter().map(|p| (p.to_string(), percentile(unit, histogram, p, effective))).collect(),
    }
}

fn percentile(
    unit: Option<Unit>,
    histogram: &HistogramView<u64>,
    percentile: Percentile,
    effective: u64,
) -> PercentileSummary {
    let bounds = |lower, upper, confidence| IntervalSummary {
        lower: outward(unit, lower, f64::next_down),
        upper: outward(unit, upper, f64::next_up),
        confidence,
    };
    let (quantile, reason) = match resolved(histogram, percentile) {
        Ok(quantile) => (Some(quantile), None),
        Err(reason) => (None, Some(reason)),
    };
    let sampling = interval(histogram, percentile, effective);
    let stopping = early_stopping(histogram, percentile);
    let count = histogram.count();
    let needs = |needed| format!("{percentile} needs {needed} samples and there are {count}");
    PercentileSummary {
        value: quantile.map(|quantile| number(unit, quantile.value)),
        lower: quantile.map(|quantile| outward(unit, quantile.lower, f64::next_down)),
        upper: quantile.map(|quantile| outward(unit, quantile.upper, f64::next_up)),
        reason,
        interval: sampling.ok().map(|found| bounds(found.lower, found.upper, interval::CONFIDENCE)),
        interval_withheld: sampling.err().map(|too_few| too_few.to_string()),
        early_stopping: stopping.ok().map(|found| bounds(found.lower, found.upper, early_stopping::CONFIDENCE)),
        early_stopping_withheld: stopping.err().map(needs),
    }
}

fn outward(unit: Option<Unit>, value: u64, outward: fn(f64) -> f64) -> Number {
    if unit == Some(Unit::Nanoseconds) { Number::Millis(outward_millis(value, outward)) } else { Number::Plain(value) }
}

fn number(unit: Option<Unit>, value: u64) -> Number {
    if unit == Some(Unit::Nanoseconds) { Number::Millis(millis(value)) } else { Number::Plain(value) }
}
