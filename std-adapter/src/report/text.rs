//! `report.txt`: the summary as a person reads it.

use std::fmt::Write as _;

use phasemeter_core::metric::LoadMetric;
use phasemeter_core::phase::PhaseState;
use phasemeter_core::summary::STANDARD;

use super::model::{
    CountsSummary, DeviceMode, DeviceSummary, FailuresSummary, MetricSummary, Number, PercentileSummary, PhaseSummary,
    Summary,
};
use crate::text::printable_lines;

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
    if summary.phases.iter().any(|phase| phase.counts.is_some()) {
        text.push_str(REQUESTS_LEGEND);
    }
    printable_lines(&text)
}

const LEGEND: &str = "\
Times in ms, counts as plain numbers. The true nearest-rank percentile of the samples lies within ±: that is the
histogram's resolution, and says nothing of how a longer run would differ. \"*\": fewer than ten samples lie beyond.
\"-\": too few samples for it.
";
const REQUESTS_LEGEND: &str = "\
Response time counts from the intended send, service time from the actual one; the schedule lag lies between them.
Failed, cancelled and unsent requests have no latency. Throughput is successful requests over the total duration;
success is successful of all that ended, cancelled ones included. Inter token latency is the mean gap of each response.
";

fn head(text: &mut String, summary: &Summary) {
    let run = &summary.run;
    let state = if run.complete { "complete" } else { "PARTIAL" };
    let _ = writeln!(text, "run {}   {state}   started {}", run.id, run.started);
    if let (Some(recorded), true) = (run.recorded_s, run.endless) {
        let _ = writeln!(text, "recorded {recorded:.1} s of an endless run");
    }
    if let Some(reason) = &run.partial_reason {
        let _ = writeln!(text, "partial because: {reason}");
    }
    if let Some(plan) = &run.plan_hash {
        let _ = writeln!(text, "plan {plan}");
    }
    for device in &summary.devices {
        head_of_device(text, device);
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
        (line.echoes, "echoes of commands"),
    ] {
        if count > 0 {
            let _ = writeln!(text, "the lines also carried {count} {what}");
        }
    }
}

fn head_of_device(text: &mut String, device: &DeviceSummary) {
    let firmware = device.firmware.as_deref().unwrap_or("firmware unknown");
    let mode = if device.mode == Some(DeviceMode::Monitor) { "   monitors itself" } else { "" };
    let boots = device.boots;
    let _ = writeln!(text, "device {}   {firmware}{mode}   boots {boots}   from {}", device.id, device.source);
}

fn phase(text: &mut String, phase: &PhaseSummary) {
    let instance = if phase.instance > 0 { format!(" #{}", u32::from(phase.instance) + 1) } else { String::new() };
    let mut device = phase.device.as_deref().map_or_else(|| "all devices".to_owned(), |id| format!("device {id}"));
    if phase.device.is_some() && phase.parts > 1 {
        let _ = write!(device, ", {} boots merged", phase.parts);
    }
    let mut state = match phase.state.map(PhaseState::name) {
        None => "state unknown".to_owned(),
        Some(_) if phase.is_open() => "open, as of its last snapshot".to_owned(),
        Some(name) => name.replace('_', " "),
    };
    if phase.timed_out {
        state.push_str(", timed out");
    }
    if phase.cancelled {
        state.push_str(", cancelled");
    }
    let _ = writeln!(text, "== {}{instance}   {device}   {state}", phase.phase);
    let total = format!("total {}   coverage {}", seconds(phase.durations.total_s), observed(phase.coverage.ratio));
    if let Some(counts) = &phase.counts {
        requests(text, phase, counts);
        let _ = writeln!(text, "   durations   sending {}   {total}", seconds(phase.durations.sending_s));
        note(text, phase, counts);
    } else {
        let _ = writeln!(text, "   samples     {}   {total}", phase.coverage.observed);
    }
    // As many columns as a wide terminal has room for.
    for metrics in metrics_in_order(phase).chunks(5) {
        table(text, metrics);
    }
}

fn requests(text: &mut String, phase: &PhaseSummary, counts: &CountsSummary) {
    let _ = writeln!(
        text,
        "   requests    sent {}   completed {}   errors {}   cancelled {}   in flight {}   unsent {}",
        counts.sent,
        counts.completed,
        counts.errors,
        counts.cancelled,
        counts.in_flight,
        unsent(counts),
    );
    if let Some(failures) = phase.failures.as_ref().filter(|_| counts.errors > 0) {
        let _ = writeln!(text, "   errors      {}", causes(failures));
    }
    let _ = writeln!(
        text,
        "   rates       success {}   throughput {}",
        phase.success_rate.map_or_else(|| "-".to_owned(), percent),
        phase.throughput_rps.map_or_else(|| "-".to_owned(), |rate| format!("{rate:.2} req/s")),
    );
}

fn unsent(counts: &CountsSummary) -> String {
    let at_least = if counts.unsent_at_least { "at least " } else { "" };
    format!("{at_least}{}", counts.unsent)
}

fn causes(failures: &FailuresSummary) -> String {
    let statuses = failures.statuses.iter().map(|(code, count)| (format!("status {code}"), *count));
    let before = [
        ("not connected", failures.not_connected),
        ("timed out", failures.timed_out),
        ("broken off", failures.broken),
        ("malformed", failures.malformed),
    ];
    let behind = [("other statuses", failures.other_statuses), ("cause unknown", failures.unknown)];
    let named = |(cause, count): (&str, u64)| (cause.to_owned(), count);
    let all = before.into_iter().map(named).chain(statuses).chain(behind.into_iter().map(named));
    let seen: Vec<_> = all.filter(|(_, count)| *count > 0).map(|(cause, count)| format!("{cause} {count}")).collect();
    seen.join("   ")
}

fn note(text: &mut String, phase: &PhaseSummary, counts: &CountsSummary) {
    let successful = counts.completed.saturating_sub(counts.errors);
    let intended = counts.sent.saturating_add(counts.unsent);
    if phase.state != Some(PhaseState::Complete) {
        let _ = writeln!(text, "   NOTE        not seen to its end: counts and metrics are of different moments");
    } else if successful < intended {
        let at_least = if counts.unsent_at_least { "at least " } else { "" };
        let _ = writeln!(
            text,
            "   NOTE        latencies cover {successful} of {at_least}{intended} intended requests; the others failed, were cancelled or never sent"
        );
    }
}

fn seconds(time: Option<f64>) -> String {
    time.map_or_else(|| "-".to_owned(), |time| format!("{time:.3} s"))
}

/// Those of a load generator first, in the order in which a request has them.
fn metrics_in_order(phase: &PhaseSummary) -> Vec<(&str, &MetricSummary)> {
    let is_of_load = |name: &str| LoadMetric::ALL.iter().any(|metric| metric.name() == name);
    let of_load = LoadMetric::ALL.iter().filter_map(|metric| phase.metrics.get_key_value(metric.name()));
    let own = phase.metrics.iter().filter(|(name, _)| !is_of_load(name));
    of_load.chain(own).map(|(name, metric)| (name.as_str(), metric)).collect()
}

const LABEL: usize = 10;
const COLUMN: usize = 21;
/// A percentile with fewer samples beyond it is marked.
const FEW: u128 = 10;

/// One column a metric, one row a statistic.
fn table(text: &mut String, metrics: &[(&str, &MetricSummary)]) {
    let names: Vec<_> = metrics.iter().map(|(name, _)| name.replace('_', " ")).collect();
    let width = names.iter().map(|name| name.chars().count() + 2).max().unwrap_or(0).max(COLUMN);
    let mut row = |label: &str, cells: &mut dyn Iterator<Item = String>| {
        let mut line = format!("   {label:<LABEL$}");
        for cell in cells {
            let _ = write!(line, "{cell:>width$}");
        }
        let _ = writeln!(text, "{}", line.trim_end());
    };
    let of_all = |get: fn(&MetricSummary) -> String| metrics.iter().map(move |(_, metric)| get(metric));
    row("", &mut names.into_iter());
    if metrics.iter().any(|(_, metric)| metric.unit != "ms") {
        row("unit", &mut of_all(|metric| metric.unit.clone()));
    }
    row("count", &mut of_all(|metric| metric.count.to_string()));
    row("min", &mut of_all(|metric| exact(metric.min)));
    row("mean", &mut of_all(|metric| exact(metric.mean)));
    row("stdev", &mut of_all(|metric| exact(metric.stdev)));
    for percentile in STANDARD {
        let name = percentile.to_string();
        let cells = metrics.iter().map(|(_, metric)| {
            let few = u128::from(metric.count) * u128::from(1_000_000 - percentile.ppm()) < FEW * 1_000_000;
            bounded(metric.percentiles.get(&name), few)
        });
        row(&name, &mut { cells });
    }
    row("max", &mut of_all(|metric| exact(metric.max)));
    row("error ≤", &mut of_all(|metric| format!("{:.2} %", metric.relative_error * 100.0)));
    if metrics.iter().any(|(_, metric)| metric.saturated) {
        row("saturated", &mut of_all(|metric| if metric.saturated { "YES" } else { "" }.to_owned()));
    }
}

fn exact(value: Option<Number>) -> String {
    value.map_or_else(|| "-".to_owned(), number)
}

fn bounded(percentile: Option<&PercentileSummary>, few: bool) -> String {
    let Some(PercentileSummary { value: Some(value), lower: Some(lower), upper: Some(upper), .. }) = percentile else {
        return "-".to_owned();
    };
    let half_width = match (*value, *lower, *upper) {
        (Number::Plain(value), Number::Plain(lower), Number::Plain(upper)) => {
            upper.saturating_sub(value).max(value.saturating_sub(lower)).to_string()
        }
        (value, lower, upper) => {
            // Around what is printed, and rounded up: what is proven stays so. Nanoseconds are whole.
            let printed = (value.as_f64() * 1e3).round() / 1e3;
            let nanos = ((upper.as_f64() - printed).max(printed - lower.as_f64()) * 1e6).round();
            let micros = (nanos / 1e3).ceil();
            if micros == 0.0 { "0".to_owned() } else { number(Number::Millis(micros / 1e3)) }
        }
    };
    format!("{} ±{half_width}{}", number(*value), if few { "*" } else { "" })
}

/// Milliseconds to the microsecond, plain numbers as they are.
fn number(value: Number) -> String {
    match value {
        Number::Plain(value) => value.to_string(),
        Number::Millis(value) => format!("{value:.3}"),
    }
}

/// Rounded down, so that only all is shown as 100 %.
fn percent(ratio: f64) -> String {
    format!("{} %", (ratio * 1e4).floor() / 100.0)
}

/// Coverage that is known, as a percentage.
fn observed(ratio: Option<f64>) -> String {
    ratio.map_or_else(|| "unknown".to_owned(), percent)
}
