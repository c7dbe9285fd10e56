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
    /// The failed requests by cause.
    pub failures: Failures,
    metrics: Vec<(Metric<'static>, LatencyHistogram<BUCKETS>)>,
}

impl Direct {
    /// A phase with these metrics, of which nothing was recorded.
    pub(crate) fn new(phase: &'static str, table: &[Metric<'static>]) -> Self {
        let metrics = table.iter().map(|metric| (*metric, LatencyHistogram::new())).collect();
        Self { phase, counts: PhaseCounts::default(), failures: Failures::default(), metrics }
    }

    pub(crate) fn record(&mut self, place: usize, value: u64) {
        self.metrics[place].1.record(value);
    }

    /// The names of the metrics and whether they are times, in the order of the device's table.
    pub fn metrics(&self) -> impl Iterator<Item = (&'static str, bool)> {
        self.metrics.iter().map(|(metric, _)| (metric.name, metric.unit == Unit::Nanoseconds))
    }

    /// The values of a metric.
    pub fn histogram(&self, name: &str) -> &LatencyHistogram<BUCKETS> {
        let metric = self.metrics.iter().find(|(metric, _)| metric.name == name);
        &metric.unwrap_or_else(|| panic!("there is no metric {name}")).1
    }
}

/// The histogram that holds the values of all parts.
pub fn direct_merge(parts: &[&Direct], name: &str) -> LatencyHistogram<4096, u64> {
    let mut merged = LatencyHistogram::new();
    for part in parts {
        merged.merge(part.histogram(name));
    }
    merged
}
