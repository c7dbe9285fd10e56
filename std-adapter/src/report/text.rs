//! `report.txt`: the summary as a person reads it.

use std::fmt::Write as _;

use super::model::{MetricSummary, PercentileSummary, PhaseSummary, Summary};
use phasemeter_core::meter::Metric;

/// Renders the report. It depends on the summary alone.
pub fn render(summary: &Summary) -> String {
    let mut text = String::new();
    head(&mut text, summary);
    for entry in &summary.phases {
        // With one device, its entry says the same as the merged one.
        if entry.device.is_none() || summary.devices.len() > 1 {
            text.push('\n');
            phase(&mut text, entry);
        }
    }
    text.push('\n');
    text.push_str(LEGEND);
    text
}

const LEGEND: &str = "\
Times in ms. The true nearest-rank percentile of the samples lies within ±: that is the histogram's resolution, and says
nothing of how a longer run would differ. \"*\": fewer than ten samples lie beyond. \"-\": too few samples for it.
Response time counts from the intended send, service time from the actual one; the schedule lag lies between them.
Failed, cancelled and unsent requests have no latency. Throughput is successful requests over the total duration;
success is successful of all that ended, cancelled ones included. Inter token latency is the mean gap of each response.
";

fn head(text: &mut String, summary: &Summary) {
    let run = &summary.run;
    let state = if run.complete { "complete" } else { "PARTIAL" };
    let _ = writeln!(text, "run {}   {state}   started {}", run.id, run.started);
    if let Some(reason) = &run.partial_reason {
        let _ = writeln!(text, "partial because: {reason}");
    }
    if let Some(plan) = &run.plan_hash {
        let _ = writeln!(text, "plan {plan}");
    }
    for device in &summary.devices {
        let firmware = device.firmware.as_deref().unwrap_or("firmware unknown");
        let _ = writeln!(text, "device {}   {firmware}   boots {}   from {}", device.id, device.boots, device.source);
    }
    for warning in &run.warnings {
        let _ = writeln!(text, "WARNING: {warning}");
    }
    let coverage = &summary.coverage;
    let _ = writeln!(
        text,
        "coverage {}   {} of {} samples   lost frames {}   crc errors {}   resets {}   left out by devices {}",
        observed(coverage.samples.ratio),
        coverage.samples.observed,
        coverage.samples.expected,
        coverage.lost_frames,
        coverage.crc_errors,
        coverage.resets,
        coverage.device_dropped,
    );
    let line = &coverage.line;
    for (count, what) in [
        (line.noise, "segments of noise"),
        (line.overlong, "over-long segments"),
        (line.malformed, "malformed frames"),
        (line.newer_version, "frames of a newer protocol version"),
        (line.unknown_kind, "frames of an unknown kind"),
    ] {
        if count > 0 {
            let _ = writeln!(text, "the lines also carried {count} {what}");
        }
    }
}

fn phase(text: &mut String, phase: &PhaseSummary) {
    let instance = if phase.instance > 0 { format!(" #{}", phase.instance + 1) } else { String::new() };
    let mut device = phase.device.as_deref().map_or_else(|| "all devices".to_owned(), |id| format!("device {id}"));
    if phase.device.is_some() && phase.parts > 1 {
        let _ = write!(device, ", {} boots merged", phase.parts);
    }
    let mut state = phase.state.replace('_', " ");
    if phase.timed_out {
        state.push_str(", timed out");
    }
    if phase.cancelled {
        state.push_str(", cancelled");
    }
    let _ = writeln!(text, "== {}{instance}   {device}   {state}", phase.phase);
    let counts = &phase.counts;
    let _ = writeln!(
        text,
        "   requests    sent {}   completed {}   errors {}   cancelled {}   in flight {}   unsent {}",
        counts.sent, counts.completed, counts.errors, counts.cancelled, counts.in_flight, counts.unsent,
    );
    let _ = writeln!(
        text,
        "   rates       success {}   throughput {}",
        phase.success_rate.map_or_else(|| "-".to_owned(), percent),
        phase.throughput_rps.map_or_else(|| "-".to_owned(), |rate| format!("{rate:.2} req/s")),
    );
    let seconds = |time: Option<f64>| time.map_or_else(|| "-".to_owned(), |time| format!("{time:.3} s"));
    let _ = writeln!(
        text,
        "   durations   sending {}   total {}   coverage {}",
        seconds(phase.durations.sending_s),
        seconds(phase.durations.total_s),
        observed(phase.coverage.ratio),
    );
    let successful = counts.completed.saturating_sub(counts.errors);
    let intended = counts.sent.saturating_add(counts.unsent);
    if phase.state != "complete" {
        let _ = writeln!(text, "   NOTE        not seen to its end: counts and metrics are of different moments");
    } else if successful < intended {
        let _ = writeln!(
            text,
            "   NOTE        latencies cover {successful} of {intended} intended requests; the others failed, were cancelled or never sent"
        );
    }
    if !phase.metrics.is_empty() {
        table(text, phase);
    }
}

const LABEL: usize = 10;
const COLUMN: usize = 21;
/// A percentile with fewer samples beyond it is marked.
const FEW: u128 = 10;

/// One column a metric, one row a statistic.
fn table(text: &mut String, phase: &PhaseSummary) {
    let metrics: Vec<(&str, &MetricSummary)> =
        Metric::ALL.iter().filter_map(|metric| Some((metric.name(), phase.metrics.get(metric.name())?))).collect();
    row(text, "", metrics.iter().map(|(name, _)| name.replace('_', " ")));
    let of_all = |get: fn(&MetricSummary) -> String| metrics.iter().map(move |(_, metric)| get(metric));
    row(text, "count", of_all(|metric| metric.count.to_string()));
    row(text, "min", of_all(|metric| exact(metric.min)));
    row(text, "mean", of_all(|metric| exact(metric.mean)));
    row(text, "stdev", of_all(|metric| exact(metric.stdev)));
    for percentile in phasemeter_core::summary::STANDARD {
        let name = percentile.to_string();
        row(
            text,
            &name,
            metrics.iter().map(|(_, metric)| {
                let few = u128::from(metric.count) * u128::from(1_000_000 - percentile.ppm()) < FEW * 1_000_000;
                bounded(metric.percentiles.get(&name), few)
            }),
        );
    }
    row(text, "max", of_all(|metric| exact(metric.max)));
    row(text, "error ≤", of_all(|metric| format!("{:.2} %", metric.relative_error * 100.0)));
    if metrics.iter().any(|(_, metric)| metric.saturated) {
        row(text, "saturated", of_all(|metric| if metric.saturated { "YES" } else { "" }.to_owned()));
    }
}

fn row(text: &mut String, label: &str, cells: impl Iterator<Item = String>) {
    let mut line = format!("   {label:<LABEL$}");
    for cell in cells {
        let _ = write!(line, "{cell:>COLUMN$}");
    }
    let _ = writeln!(text, "{}", line.trim_end());
}

fn exact(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), number)
}

fn bounded(percentile: Option<&PercentileSummary>, few: bool) -> String {
    match percentile {
        Some(PercentileSummary { value: Some(value), lower: Some(lower), upper: Some(upper), .. }) => {
            let half_width = (upper - value).max(value - lower);
            // Rounded up, so that what is proven stays so.
            let half_width = if half_width == 0.0 { "0".to_owned() } else { number((half_width * 1e3).ceil() / 1e3) };
            format!("{} ±{half_width}{}", number(*value), if few { "*" } else { "" })
        }
        _ => "-".to_owned(),
    }
}

/// Milliseconds to the microsecond.
fn number(value: f64) -> String {
    format!("{value:.3}")
}

/// Rounded down, so that only all is shown as 100 %.
fn percent(ratio: f64) -> String {
    format!("{} %", (ratio * 1e4).floor() / 100.0)
}

/// Coverage that is known, as a percentage.
fn observed(ratio: Option<f64>) -> String {
    ratio.map_or_else(|| "unknown".to_owned(), percent)
}
