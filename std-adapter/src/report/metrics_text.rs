//! The metrics of a phase as tables: a row a metric, percentiles in one table and the rest in another.

use phasemeter_core::summary::{Percentile, STANDARD};

use super::model::{IntervalSummary, MetricMap, MetricSummary, Number, PercentileSummary};
use crate::text::number::{HalfWidth, Printed, Rounding, Scale};
use crate::text::page::{Page, Tone};
use crate::text::table::Columns;

/// A percentile with fewer samples beyond it is marked.
const FEW: u128 = 10;
/// Room for the half width of a row.
const LAST: usize = 7;
const UNIT: usize = 2;
/// Wide enough for any number in some unit.
const ANY_ROOM: usize = 20;
const MOMENTS: [&str; 5] = ["count", "min", "mean", "stdev", "max"];

/// The percentiles whose sampling intervals are printed, and the titles of their ends.
const INTERVALS: [(Percentile, [&str; 2]); 3] = [
    (Percentile::P50, ["p50 ≥", "p50 ≤"]),
    (Percentile::P90, ["p90 ≥", "p90 ≤"]),
    (Percentile::P99, ["p99 ≥", "p99 ≤"]),
];

/// All tables.
pub(super) fn metrics(page: &mut Page, metrics: &MetricMap) {
    percentiles(page, metrics);
    moments(page, metrics);
    intervals(page, metrics);
}

/// The percentiles, and how far each is from the true one at most.
pub(super) fn percentiles(page: &mut Page, metrics: &MetricMap) {
    if metrics.iter().len() == 0 {
        return;
    }
    let names: Vec<_> = metrics.iter().map(|(name, _)| name.replace('_', " ")).collect();
    let columns = Columns::new(names.iter().map(String::as_str), UNIT, STANDARD.len(), LAST);
    let titles = STANDARD.map(|percentile| percentile.to_string());
    columns.row(page, "", "", titles.iter().map(|title| (title.as_str(), "")), "± %");
    for ((_, metric), name) in metrics.iter().zip(&names) {
        let cells: Vec<_> = STANDARD.iter().map(|percentile| Cell::of(metric, *percentile)).collect();
        let values: Vec<_> = cells.iter().flatten().map(|cell| cell.value).collect();
        let Some(scale) = scale(metric, values.first().copied().unwrap_or(0), &values, columns.room()) else {
            titled(page, name, metric, &cells);
            continue;
        };
        let printed = cells.iter().map(|cell| cell.as_ref().and_then(|cell| scale.print(cell.value, columns.room())));
        let printed: Vec<_> = printed.collect();
        let texts: Vec<_> = printed.iter().map(|number| number.map_or_else(|| "-".to_owned(), Printed::text)).collect();
        let marks = cells.iter().map(|cell| cell.as_ref().map_or("", |cell| cell.mark));
        let half_widths = cells.iter().zip(&printed).filter_map(|(cell, number)| {
            let (cell, number) = (cell.as_ref()?, (*number)?);
            Some(number.half_width(cell.lower, cell.upper))
        });
        let widest = half_widths.reduce(HalfWidth::max).map_or_else(|| "-".to_owned(), HalfWidth::text);
        columns.row(page, name, unit(metric, scale), texts.iter().map(String::as_str).zip(marks), &widest);
    }
}

/// Each with a unit of its own: they are too far apart for one.
fn titled(page: &mut Page, name: &str, metric: &MetricSummary, cells: &[Option<Cell>]) {
    let mut widest = HalfWidth::ZERO;
    let texts = STANDARD.iter().zip(cells).filter_map(|(percentile, cell)| {
        let Some(Cell { value, lower, upper, mark }) = cell else { return Some(format!("{percentile} -")) };
        let printed = scale(metric, *value, &[*value], ANY_ROOM)?.print(*value, ANY_ROOM)?;
        widest = widest.max(printed.half_width(*lower, *upper));
        Some(format!("{percentile} {}{mark}", printed.with_unit()))
    });
    let mut texts: Vec<_> = texts.collect();
    texts.push(format!("± {} %", widest.text()));
    Columns::titled(page, name, texts);
}

/// How many samples there are, and what they are on the whole.
pub(super) fn moments(page: &mut Page, metrics: &MetricMap) {
    if metrics.iter().len() == 0 {
        return;
    }
    let names: Vec<_> = metrics.iter().map(|(name, _)| name.replace('_', " ")).collect();
    let columns = Columns::new(names.iter().map(String::as_str), UNIT, MOMENTS.len(), 0);
    columns.row(page, "", "", MOMENTS.map(|title| (title, "")), "");
    for ((_, metric), name) in metrics.iter().zip(&names) {
        let [mean, stdev] = [metric.mean, metric.stdev].map(|number| number.map(|number| whole(metric, number)));
        let numbers = [metric.min.map(nanos), mean, stdev, metric.max.map(nanos)];
        let values: Vec<_> = numbers.iter().flatten().copied().collect();
        let typical = mean.unwrap_or_else(|| values.first().copied().unwrap_or(0));
        let scale_of_row = scale(metric, typical, &values, columns.room());
        let count = metric.count.to_string();
        if let Some(scale) = scale_of_row.filter(|_| count.len() <= columns.room()) {
            let print = |value| scale.print(value, columns.room()).map(Printed::text);
            let texts = numbers.map(|number| number.and_then(print).unwrap_or_else(|| "-".to_owned()));
            let cells = std::iter::once(&count).chain(&texts).map(|text| (text.as_str(), ""));
            columns.row(page, name, unit(metric, scale), cells, "");
        } else {
            let print = |value| scale(metric, value, &[value], ANY_ROOM)?.print(value, ANY_ROOM);
            let texts = numbers.map(|number| number.and_then(print).map_or_else(|| "-".to_owned(), Printed::with_unit));
            let cells = std::iter::once(&count).chain(&texts).zip(MOMENTS);
            Columns::titled(page, name, cells.map(|(text, title)| format!("{title} {text}")));
        }
        if metric.saturated {
            let words = format!("{name}: a counter was full, and what is derived from it is too low");
            page.words("   NOTE        ", 15, &words, Tone::Caution);
        }
    }
}

/// The sampling intervals, and how many independent samples they were made from. Of what never varied there is none to show.
pub(super) fn intervals(page: &mut Page, metrics: &MetricMap) {
    let interval = |metric: &MetricSummary, percentile: Percentile| {
        let found = metric.percentiles.get(&percentile.to_string())?.interval;
        found.map(|IntervalSummary { lower, upper, .. }| [(nanos(lower), Rounding::Down), (nanos(upper), Rounding::Up)])
    };
    let has_any = |metric: &MetricSummary| INTERVALS.iter().any(|(p, _)| interval(metric, *p).is_some());
    let shown: Vec<_> = metrics.iter().filter(|(_, metric)| metric.min != metric.max && has_any(metric)).collect();
    if shown.is_empty() {
        return;
    }
    let names: Vec<_> = shown.iter().map(|(name, _)| name.replace('_', " ")).collect();
    let columns = Columns::new(names.iter().map(String::as_str), UNIT, 2 * INTERVALS.len(), LAST);
    columns.row(page, "", "", INTERVALS.iter().flat_map(|(_, titles)| titles.map(|title| (title, ""))), "as n");
    for ((_, metric), name) in shown.iter().zip(&names) {
        let ends: Vec<_> = INTERVALS.iter().map(|(percentile, _)| interval(metric, *percentile)).collect();
        let values: Vec<_> = ends.iter().flatten().flatten().map(|(value, _)| *value).collect();
        let worth = rough(metric.effective_count);
        let of_row = scale(metric, values.first().copied().unwrap_or(0), &values, columns.room()).and_then(|scale| {
            let print = |(value, rounding)| scale.print_rounded(value, columns.room(), rounding).map(Printed::text);
            let texts = ends.iter().map(|ends| match ends {
                Some([lower, upper]) => Some([print(*lower)?, print(*upper)?]),
                None => Some(["-".to_owned(), "-".to_owned()]),
            });
            Some((scale, texts.collect::<Option<Vec<_>>>()?))
        });
        if let Some((scale, texts)) = of_row {
            let cells = texts.iter().flatten().map(|text| (text.as_str(), ""));
            columns.row(page, name, unit(metric, scale), cells, &worth);
            continue;
        }
        let print = |(value, rounding)| {
            scale(metric, value, &[value], ANY_ROOM)?.print_rounded(value, ANY_ROOM, rounding).map(Printed::with_unit)
        };
        let titled = INTERVALS.iter().zip(&ends).flat_map(|((_, titles), ends)| {
            let texts = ends.map_or([None, None], |ends| ends.map(print));
            titles.iter().zip(texts).map(|(title, text)| format!("{title} {}", text.as_deref().unwrap_or("-")))
        });
        Columns::titled(page, name, titled.chain([format!("as {worth}")]));
    }
}

/// A count in few characters, never more than it is.
fn rough(count: u64) -> String {
    match count {
        0..1_000_000 => count.to_string(),
        1_000_000..1_000_000_000 => format!("{}.{}M", count / 1_000_000, count / 100_000 % 10),
        _ => format!("{}G", count / 1_000_000_000),
    }
}

/// A percentile in nanoseconds or as a plain number, its bounds, and its mark.
struct Cell {
    value: u64,
    lower: u64,
    upper: u64,
    mark: &'static str,
}

impl Cell {
    fn of(metric: &MetricSummary, percentile: Percentile) -> Option<Self> {
        let PercentileSummary { value: Some(value), lower: Some(lower), upper: Some(upper), .. } =
            metric.percentiles.get(&percentile.to_string())?
        else {
            return None;
        };
        let few = u128::from(metric.count) * u128::from(1_000_000 - percentile.ppm()) < FEW * 1_000_000;
        let (value, lower, upper) = (nanos(*value), nanos(*lower), nanos(*upper));
        // What floating point does not tell exactly is widened by more than it can be off.
        let slack = |bound: u64| if bound > 1 << 53 { bound >> 50 } else { 0 };
        let (lower, upper) = (lower - slack(lower), upper.saturating_add(slack(upper)));
        Some(Self { value, lower, upper, mark: if few { "*" } else { "" } })
    }
}

/// The unit of a metric's values; `None` if they have no room in any.
fn scale(metric: &MetricSummary, typical: u64, values: &[u64], room: usize) -> Option<Scale> {
    if metric.unit == "ms" {
        return Scale::of_times(typical, values, room);
    }
    let plain = Scale::PLAIN;
    values.iter().all(|value| plain.print(*value, room).is_some()).then_some(plain)
}

fn unit(metric: &MetricSummary, scale: Scale) -> &'static str {
    if metric.unit == "unknown" { "?" } else { scale.name }
}

/// A time in nanoseconds; a plain number as it is.
fn nanos(number: Number) -> u64 {
    match number {
        Number::Plain(value) => value,
        Number::Millis(millis) => nearest(millis * 1e6),
    }
}

/// A moment to the nanosecond, or to the nearest plain number.
fn whole(metric: &MetricSummary, moment: f64) -> u64 {
    nearest(if metric.unit == "ms" { moment * 1e6 } else { moment })
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a conversion from a float saturates")]
fn nearest(value: f64) -> u64 {
    value.round() as u64
}
