//! A [`Document`] as a person reads it, in lines of at most 80 columns.

use super::PercentileRule;
use super::document::{Document, MetricDocument, PhaseDocument, StatisticsDocument};
use crate::text::number::{HalfWidth, percent, rate};
use crate::text::page::{Page, Tone};
use crate::text::table::Columns;

/// So many percentiles stand side by side.
const PERCENTILES: usize = 6;
/// Room for the half width of a row.
const LAST: usize = 7;
const MOMENTS: [&str; 5] = ["count", "min", "mean", "std", "max"];

/// Renders the phases: what matters first, then percentiles, then the rest.
pub fn render(document: &Document) -> String {
    let mut page = Page::new(false);
    let counts = [format!("records {}", document.records), format!("rejected {}", document.rejected)];
    page.line("", document.files.iter().cloned().chain(counts));
    if let Some(reason) = &document.partial_reason {
        page.words("", 0, &format!("PARTIAL: {reason}"), Tone::Caution);
    }
    for (name, phase) in &document.phases {
        page.blank();
        render_phase(&mut page, name, phase);
    }
    page.blank();
    let legend = format!("{} {LEGEND}", rule(document.percentile_rule));
    page.words("", 0, &legend, Tone::Plain);
    page.into_text()
}

/// A rule in words, with its name.
fn rule(rule: PercentileRule) -> &'static str {
    match rule {
        PercentileRule::NearestRank => "Percentiles are values by nearest rank (nearest_rank).",
        PercentileRule::Linear => "Percentiles interpolate between the closest ranks (linear).",
    }
}

const LEGEND: &str = "\
Each is within its row's ± of what is printed; all else is exact but for \
the rounding of what is printed. Failed and cancelled requests have no latency. Throughput is successful requests that have a time over the \
window, which has no gaps between pooled runs.";

fn render_phase(page: &mut Page, name: &str, phase: &PhaseDocument) {
    let counts = &phase.request_counts;
    let warmup = phase.warmup.then_some("left out of aggregates");
    page.line("== ", [name].into_iter().chain(warmup));
    let throughput = phase.throughput_rps.map_or_else(|| "-".to_owned(), rate);
    let window = phase.window_s.map_or_else(|| "unknown".to_owned(), |seconds| format!("{seconds:.3} s"));
    let rates = [
        format!("success {}", percent(counts.successful, counts.total)),
        format!("error {}", percent(counts.failed, counts.total)),
        format!("throughput {throughput}"),
        format!("window {window}"),
    ];
    page.line("   rates       ", rates);
    let mut statistics = Vec::new();
    for (tag, metric) in &phase.metrics {
        if let MetricDocument::Statistics(metric) = metric {
            statistics.push((format!("{tag} ({})", metric.unit), &**metric));
        }
    }
    percentiles(page, &statistics);
    let requests = [
        format!("total {}", counts.total),
        format!("successful {}", counts.successful),
        format!("failed {}", counts.failed),
        format!("cancelled {}", counts.cancelled),
    ];
    page.line("   requests    ", requests);
    moments(page, &statistics);
    for (tag, metric) in &phase.metrics {
        if let MetricDocument::Scalar { unit, value } = metric {
            page.line("   ", [format!("{tag} ({unit})"), number(*value)]);
        }
    }
}

fn percentiles(page: &mut Page, statistics: &[(String, &StatisticsDocument)]) {
    let most = statistics.iter().max_by_key(|(_, metric)| metric.percentiles.len());
    let names: Vec<&str> =
        most.map_or_else(Vec::new, |(_, metric)| metric.percentiles.iter().map(|(name, _)| name.as_str()).collect());
    let labels = || statistics.iter().map(|(label, _)| label.as_str());
    for names in names.chunks(PERCENTILES) {
        let columns = Columns::new(labels(), 0, names.len(), LAST);
        columns.row(page, "", "", names.iter().map(|name| (*name, "")), "± %");
        for (label, metric) in statistics {
            let of =
                |name: &&str| metric.percentiles.iter().find(|(own, _)| own == name).map(|(_, percentile)| percentile);
            let (mut cells, mut widest) = (Vec::new(), None);
            for percentile in names.iter().map(of) {
                let Some(percentile) = percentile else {
                    cells.push("-".to_owned());
                    continue;
                };
                let text = number(percentile.value);
                // What is printed is what the bounds are about.
                let printed = text.parse().unwrap_or(percentile.value);
                let half_width = HalfWidth::of_float(printed, percentile.lower, percentile.upper);
                widest = Some(widest.map_or(half_width, |widest: HalfWidth| widest.max(half_width)));
                cells.push(text);
            }
            let widest = widest.map_or_else(|| "-".to_owned(), HalfWidth::text);
            if cells.iter().all(|cell| cell.len() <= columns.room()) {
                columns.row(page, label, "", cells.iter().map(|cell| (cell.as_str(), "")), &widest);
            } else {
                let titled = names.iter().zip(&cells).map(|(name, cell)| format!("{name} {cell}"));
                Columns::titled(page, label, titled.chain([format!("± {widest} %")]));
            }
        }
    }
}

fn moments(page: &mut Page, statistics: &[(String, &StatisticsDocument)]) {
    if statistics.is_empty() {
        return;
    }
    let columns = Columns::new(statistics.iter().map(|(label, _)| label.as_str()), 0, MOMENTS.len(), 0);
    columns.row(page, "", "", MOMENTS.map(|title| (title, "")), "");
    for (label, metric) in statistics {
        let count = metric.count.map_or_else(|| "-".to_owned(), |count| count.to_string());
        let others = [metric.min, metric.mean, metric.std, metric.max];
        let others = others.map(|value| value.map_or_else(|| "-".to_owned(), number));
        let cells = || std::iter::once(&count).chain(&others);
        if cells().all(|cell| cell.len() <= columns.room()) {
            columns.row(page, label, "", cells().map(|cell| (cell.as_str(), "")), "");
        } else {
            Columns::titled(page, label, cells().zip(MOMENTS).map(|(cell, title)| format!("{title} {cell}")));
        }
    }
}

/// Five digits; whole numbers as they are.
fn number(value: f64) -> String {
    let size = value.abs();
    if size < 1e8 && value.fract() == 0.0 {
        return format!("{value:.0}");
    }
    let decimals = match size {
        _ if !(1e-4..1e8).contains(&size) => return format!("{value:.4e}"),
        _ if size >= 9_999.95 => 0,
        _ if size >= 999.995 => 1,
        _ if size >= 99.999_5 => 2,
        _ if size >= 9.999_95 => 3,
        _ if size >= 0.1 => 4,
        _ => 6,
    };
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Bounded;
    use crate::text::page::{WIDTH, width};

    fn statistics(value: f64) -> StatisticsDocument {
        let names = ["p1", "p50", "p75", "p90", "p95", "p99", "p99.9", "p99.99"];
        let bounded = Bounded { value, lower: value * 0.999, upper: value * 1.001 };
        StatisticsDocument {
            unit: "tokens/sec/user".to_owned(),
            count: Some(2),
            min: Some(value),
            percentiles: names.map(|name| (name.to_owned(), bounded)).into(),
            ..StatisticsDocument::default()
        }
    }

    #[test]
    fn any_numbers_of_any_names_fit_80_columns() {
        for value in [0.0, 1.0, 1.5, -3.25, 123_456.789, 9_999.96, 1.23e-9, 4.56e300, f64::MAX, f64::INFINITY] {
            for tag in ["x", "an_average_of_something_with_a_long_name_測定測定測定測定", "a\u{1b}\nb"] {
                let mut page = Page::new(false);
                let (document, label) = (statistics(value), format!("{tag} (ms)"));
                percentiles(&mut page, &[(label.clone(), &document)]);
                moments(&mut page, &[(label, &document)]);
                let text = page.into_text();
                assert!(text.lines().all(|line| width(line) <= WIDTH), "{text}");
                assert!(
                    ["p99.99", "p1", "± %", "stdev", "count"].iter().filter(|part| text.contains(**part)).count() > 2
                );
            }
        }
    }

    #[test]
    fn bounds_hold_for_what_is_printed() {
        for value in [1.0, 1.234_56, 9.999_951, 123_456.789, 1.23e-9, 4.567_891e30, 0.000_123_456] {
            let (lower, upper) = (value * 0.999, value * 1.001);
            let printed: f64 = number(value).parse().unwrap();
            let percent: f64 = HalfWidth::of_float(printed, lower, upper).text().parse().unwrap();
            let half_width = percent / 100.0;
            assert!(printed * (1.0 - half_width) <= lower && upper <= printed * (1.0 + half_width), "{value}");
            assert!(percent < 0.5, "{percent}");
        }
        assert_eq!(HalfWidth::of_float(2.0, 2.0, 2.0).text(), "0");
        assert_eq!(HalfWidth::of_float(0.0, 0.0, 1.0).text(), "∞");
    }
}
