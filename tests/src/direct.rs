//! What a scripted device measured, recorded without any telemetry.

use phasemeter_core::histogram::LatencyHistogram;
use phasemeter_core::metric::{Metric, Unit};
use phasemeter_core::outcome::Failures;
use phasemeter_core::phase::PhaseCounts;

pub(crate) const BUCKETS: usize = 512;

/// What was recorded of one phase: value by value, as the values were made up.
#[derive(Clone, Debug)]
pub struct Direct {
    /// What the phase is called.
    pub phase: &'static str,
    /// The request counts.
    pub counts: PhaseCounts,
    /// When its requests were sent, in nanoseconds.
    pub sent: Vec<u64>,
    /// The failed requests by cause.
    pub failures: Failures,
    metrics: Vec<Recorded>,
}

#[derive(Clone, Debug)]
struct Recorded {
    metric: Metric<'static>,
    histogram: LatencyHistogram<BUCKETS>,
    values: Vec<u64>,
}

impl Direct {
    /// A phase with these metrics, of which nothing was recorded.
    pub(crate) fn new(phase: &'static str, table: &[Metric<'static>]) -> Self {
        let metrics = table.iter().map(|metric| Recorded {
            metric: *metric,
            histogram: LatencyHistogram::new(),
            values: Vec::new(),
        });
        let metrics = metrics.collect();
        Self { phase, counts: PhaseCounts::default(), sent: Vec::new(), failures: Failures::default(), metrics }
    }

    pub(crate) fn record(&mut self, place: usize, value: u64) {
        self.metrics[place].histogram.record(value);
        self.metrics[place].values.push(value);
    }

    /// The names of the metrics and whether they are times, in the order of the device's table.
    pub fn metrics(&self) -> impl Iterator<Item = (&'static str, bool)> {
        self.metrics.iter().map(|Recorded { metric, .. }| (metric.name, metric.unit == Unit::Nanoseconds))
    }

    /// The values of a metric.
    pub fn histogram(&self, name: &str) -> &LatencyHistogram<BUCKETS> {
        &self.metric(name).histogram
    }

    /// The values of a metric, in order.
    pub fn values(&self, name: &str) -> &[u64] {
        &self.metric(name).values
    }

    fn metric(&self, name: &str) -> &Recorded {
        let mut metrics = self.metrics.iter();
        metrics.find(|known| known.metric.name == name).unwrap_or_else(|| panic!("there is no metric {name}"))
    }
}

/// The lag-1 autocorrelation of a metric over all parts, in two passes over the values of each.
#[expect(clippy::cast_precision_loss, reason = "the values are below 2^53")]
pub fn direct_autocorrelation(parts: &[&Direct], name: &str) -> Option<f64> {
    let sums = parts.iter().map(|part| part.values(name)).map(|values| {
        let mean = values.iter().map(|value| *value as f64).sum::<f64>() / values.len() as f64;
        let distances: Vec<_> = values.iter().map(|value| *value as f64 - mean).collect();
        let products = distances.windows(2).map(|pair| pair[0] * pair[1]).sum::<f64>();
        (products, distances.iter().map(|distance| distance * distance).sum::<f64>())
    });
    let (products, squares) = sums.fold((0.0, 0.0), |sum, part| (sum.0 + part.0, sum.1 + part.1));
    (squares > 0.0).then(|| products / squares)
}

/// The histogram that holds the values of all parts.
pub fn direct_merge(parts: &[&Direct], name: &str) -> LatencyHistogram<4096, u64> {
    let mut merged = LatencyHistogram::new();
    for part in parts {
        merged.merge(part.histogram(name));
    }
    merged
}
