//! A [`Document`] as a person reads it.

use std::fmt::Write as _;

use super::document::{Document, MetricDocument, PhaseDocument, StatisticsDocument};
use crate::text::printable;

/// Renders the phases, one table each.
pub fn render(document: &Document) -> String {
    let mut text = String::new();
    let files = printable(&document.files.join(" "));
    let _ = writeln!(text, "{files}   records {}   rejected {}", document.records, document.rejected);
    for (name, phase) in &document.phases {
        text.push('\n');
        render_phase(&mut text, name, phase);
    }
    text.push('\n');
    text.push_str(LEGEND);
    text
}

const LEGEND: &str = "\
Percentiles interpolate between the closest ranks. The percentiles of the values are no further from those shown than error
tells; all else is exact. Failed and cancelled requests have no latency. Throughput is successful requests over the window.
";

fn render_phase(text: &mut String, name: &str, phase: &PhaseDocument) {
    let counts = &phase.request_counts;
    let percent = |rate: Option<f64>| rate.map_or_else(|| "-".to_owned(), |rate| format!("{:.2} %", rate * 100.0));
    let _ = writeln!(text, "== {}{}", printable(name), if phase.warmup { "   left out of aggregates" } else { "" });
    let _ = writeln!(
        text,
        "   requests    total {}   successful {}   failed {}   cancelled {}",
        counts.total, counts.successful, counts.failed, counts.cancelled
    );
    let throughput = phase.throughput_rps.map_or_else(|| "-".to_owned(), |rate| format!("{rate:.2} req/s"));
    let window = phase.window.map_or_else(|| "unknown".to_owned(), |window| format!("{:.3} s", window.seconds()));
    let _ = writeln!(
        text,
        "   rates       success {}   error {}   throughput {throughput}   window {window}",
        percent(counts.success_rate),
        percent(phase.error_rate),
    );
    let (mut distributions, mut scalars) = (Vec::new(), Vec::new());
    for (tag, metric) in &phase.metrics {
        match metric {
            MetricDocument::Scalar { unit, value } => scalars.push((label(tag, unit), *value)),
            MetricDocument::Statistics(metric) => distributions.push((label(tag, &metric.unit), metric)),
        }
    }
    let labels = distributions.iter().map(|(label, _)| label).chain(scalars.iter().map(|(label, _)| label));
    let width = labels.map(|label| label.chars().count()).max().unwrap_or(0);
    let percentiles: Vec<&str> = distributions
        .iter()
        .max_by_key(|(_, metric)| metric.percentiles.len())
        .map_or_else(Vec::new, |(_, metric)| metric.percentiles.iter().map(|(name, _)| name.as_str()).collect());
    if !distributions.is_empty() {
        let titles =
            ["count", "min", "mean", "std"].into_iter().chain(percentiles.iter().copied()).chain(["max", "error"]);
        row(text, width, "", titles.map(str::to_owned));
    }
    for (label, metric) in &distributions {
        let percentile = |name: &&str| metric.percentiles.iter().find(|(own, _)| own == name).map(|(_, p)| p.value);
        let cells = [metric.count.map_or_else(|| "-".to_owned(), |count| count.to_string())]
            .into_iter()
            .chain([metric.min, metric.mean, metric.std].map(number))
            .chain(percentiles.iter().map(|name| number(percentile(name))))
            .chain([number(metric.max), error(metric)]);
        row(text, width, label, cells);
    }
    for (label, value) in &scalars {
        row(text, width, label, [number(Some(*value))].into_iter());
    }
}

fn label(tag: &str, unit: &str) -> String {
    printable(&format!("{tag} ({unit})"))
}

fn row(text: &mut String, width: usize, label: &str, cells: impl Iterator<Item = String>) {
    let mut line = format!("   {label:<width$}");
    for cell in cells {
        let _ = write!(line, "{cell:>12}");
    }
    let _ = writeln!(text, "{}", line.trim_end());
}

fn number(value: Option<f64>) -> String {
    match value {
        None => "-".to_owned(),
        Some(value) if value == 0.0 || (1e-3..1e8).contains(&value.abs()) => format!("{value:.3}"),
        Some(value) => format!("{value:.3e}"),
    }
}

/// The largest relative distance of a percentile from its bounds, rounded up, so that what is proven stays so.
fn error(metric: &StatisticsDocument) -> String {
    // Of zero it is not a number, which max() passes over.
    let distance = |value: f64, bound: f64| ((bound - value) / value).abs();
    let errors = metric.percentiles.iter().flat_map(|(_, p)| [distance(p.value, p.lower), distance(p.value, p.upper)]);
    format!("{:.2} %", (errors.fold(0.0, f64::max) * 1e4).ceil() / 1e2)
}
