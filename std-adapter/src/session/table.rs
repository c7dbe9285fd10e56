//! The metrics of a device, as it tells them.

use phasemeter_core::metric::{MAX_METRICS, Metric, Unit};
use phasemeter_core::name::{MAX_NAME, Name};
use phasemeter_core::telemetry::MetricTable;

use super::problem::Problem;
use crate::text::printable;

/// What reports call metrics without a name ends so: no metric has a name like it.
pub(crate) const UNNAMED: &str = "(unnamed)";

/// Names and units by id. What was told first stays: a metric is never renamed.
#[derive(Debug, Default)]
pub(super) struct Table {
    metrics: Vec<Option<(Name, Unit)>>,
    /// How many metrics the device says it has.
    length: Option<u8>,
}

impl Table {
    /// How many metrics the device says it has.
    pub(super) fn expect(&mut self, metrics: u8) -> Result<(), Problem> {
        match *self.length.get_or_insert(metrics) {
            length if length != metrics => Err(Problem::HelloChanged),
            length if usize::from(length) > MAX_METRICS => Err(Problem::MetricBeyond(length)),
            length => {
                let beyond = self.metrics.iter().rposition(Option::is_some).map(id);
                beyond.filter(|id| *id >= length).map_or(Ok(()), |id| Err(Problem::MetricBeyond(id)))
            }
        }
    }

    /// Takes a part of the table: what can be used of it. The error is the first fault.
    pub(super) fn take(&mut self, part: &MetricTable<'_>) -> Result<(), Problem> {
        let mut fault = Ok(());
        for (offset, metric) in (0_u8..).zip(&part.metrics) {
            fault = fault.and(self.name(part.first.saturating_add(offset), *metric));
        }
        fault
    }

    fn name(&mut self, id: u8, metric: Metric<'_>) -> Result<(), Problem> {
        self.check_id(id)?;
        let known = self.metrics.get(usize::from(id)).copied().flatten();
        if let Some((name, unit)) = known {
            let same = name.as_str() == metric.name && unit == metric.unit;
            return if same { Ok(()) } else { Err(Problem::MetricChanged(id)) };
        }
        if !is_usable(metric.name) {
            return Err(Problem::MetricName(id));
        }
        if let Some(first) = self.find(metric.name) {
            return Err(Problem::MetricTwice(id, first));
        }
        if self.metrics.len() <= usize::from(id) {
            self.metrics.resize(usize::from(id) + 1, None);
        }
        self.metrics[usize::from(id)] = Some((Name::cut(metric.name), metric.unit));
        Ok(())
    }

    /// Whether there can be a metric of this id.
    pub(super) fn check_id(&self, id: u8) -> Result<(), Problem> {
        let is_beyond = usize::from(id) >= MAX_METRICS || self.length.is_some_and(|length| id >= length);
        if is_beyond { Err(Problem::MetricBeyond(id)) } else { Ok(()) }
    }

    /// The metric of this id, once it was named.
    pub(super) fn get(&self, id: u8) -> Option<Metric<'_>> {
        let (name, unit) = self.metrics.get(usize::from(id))?.as_ref()?;
        Some(Metric { name: name.as_str(), unit: *unit })
    }

    /// The id of the metric of this name.
    pub(super) fn find(&self, name: &str) -> Option<u8> {
        self.metrics.iter().position(|known| known.as_ref().is_some_and(|(known, _)| known.as_str() == name)).map(id)
    }
}

/// There are no more than [`MAX_METRICS`].
fn id(place: usize) -> u8 {
    u8::try_from(place).unwrap_or(u8::MAX)
}

fn is_usable(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.len()) && !name.ends_with(UNNAMED) && name == printable(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(table: &mut Table, first: u8, metrics: &[Metric<'_>]) -> Result<(), Problem> {
        table.take(&MetricTable { first, metrics: metrics.iter().copied().collect() })
    }

    fn named(table: &Table) -> Vec<Option<&str>> {
        (0..4).map(|id| table.get(id).map(|metric| metric.name)).collect()
    }

    #[test]
    fn a_metric_has_the_name_that_the_device_tells_in_whichever_order() {
        let mut table = Table::default();
        assert_eq!(table.expect(3), Ok(()));
        assert_eq!(told(&mut table, 2, &[Metric::count("response_time")]), Ok(()));
        assert_eq!(told(&mut table, 0, &[Metric::time("b"), Metric::time("a")]), Ok(()));
        assert_eq!(named(&table), [Some("b"), Some("a"), Some("response_time"), None]);
        assert_eq!(table.get(2).map(|metric| metric.unit), Some(Unit::Count));
        assert_eq!((table.find("a"), table.find("c")), (Some(1), None));
        assert_eq!(told(&mut table, 0, &[]), Ok(()));
    }

    #[test]
    fn what_cannot_be_used_leaves_its_metric_unnamed_and_the_others_as_they_are() {
        let long = "x".repeat(MAX_NAME + 1);
        for name in ["", &long, "a\nb", "a\u{202e}b", "metric 3 (unnamed)"] {
            let mut table = Table::default();
            let metrics = [Metric::time(name), Metric::time("b")];
            assert_eq!(told(&mut table, 1, &metrics), Err(Problem::MetricName(1)), "{name:?}");
            assert_eq!(named(&table), [None, None, Some("b"), None]);
        }
        let mut table = Table::default();
        let metrics = [Metric::time("a"), Metric::count("a"), Metric::time("b")];
        assert_eq!(told(&mut table, 0, &metrics), Err(Problem::MetricTwice(1, 0)));
        assert_eq!(named(&table), [Some("a"), None, Some("b"), None]);
    }

    #[test]
    fn a_table_that_changes_renames_nothing() {
        let mut table = Table::default();
        assert_eq!(told(&mut table, 0, &[Metric::time("a"), Metric::time("b")]), Ok(()));
        for other in [Metric::time("b"), Metric::count("a"), Metric::time("")] {
            assert_eq!(told(&mut table, 0, &[other]), Err(Problem::MetricChanged(0)));
        }
        assert_eq!(named(&table), [Some("a"), Some("b"), None, None]);
        assert_eq!((table.expect(2), table.expect(3)), (Ok(()), Err(Problem::HelloChanged)));
    }

    #[test]
    fn there_is_no_metric_beyond_the_table() {
        let mut table = Table::default();
        assert_eq!(table.check_id(31), Ok(()));
        assert_eq!(table.check_id(32), Err(Problem::MetricBeyond(32)));
        assert_eq!(told(&mut table, 255, &[Metric::time("a"), Metric::time("b")]), Err(Problem::MetricBeyond(255)));
        assert_eq!(told(&mut table, 3, &[Metric::time("a")]), Ok(()));
        assert_eq!(table.expect(3), Err(Problem::MetricBeyond(3)));
        assert_eq!(table.check_id(3), Err(Problem::MetricBeyond(3)));
        assert_eq!(Table::default().expect(33), Err(Problem::MetricBeyond(33)));
        assert_eq!(Table::default().expect(0), Ok(()));
    }
}
