//! `report.txt`: the summary as a person reads it, in lines of at most 80 columns.
//!
//! What matters comes first: the verdict, what was observed of the run, and of each phase its success, its rate and its
//! percentiles; then the rest.

use std::fmt::Write as _;

use phasemeter_core::phase::PhaseState;
use phasemeter_core::plan::PhaseKind;

use super::metrics_text;
use super::model::{
    ArrivalKind, CountsSummary, DeviceMode, DeviceSummary, FailureMessage, FailuresSummary, Finding, OverlapSummary,
    PhaseSummary, PlanSummary, Summary, Verdict,
};
use crate::text::number::{per_second, percent, rate};
use crate::text::page::{Page, Tone};

/// Renders the report. It depends on the summary alone.
pub fn render(summary: &Summary) -> String {
    pages(summary, false)
}

/// As [`render`], for a terminal that shows colours: what is good, to be looked at, or bad.
pub fn render_coloured(summary: &Summary) -> String {
    pages(summary, true)
}

fn pages(summary: &Summary, is_coloured: bool) -> String {
    let mut page = Page::new(is_coloured);
    head(&mut page, summary);
    for entry in &summary.phases {
        // With one device, its entry says the same as the merged one.
        if entry.device.is_none() || summary.devices.len() > 1 {
            page.blank();
            let is_of = |finding: &&Finding| {
                (finding.index, &*finding.phase) == (entry.index, &*entry.phase)
                    && entry.device.as_ref().map_or(summary.devices.len() == 1, |device| *device == finding.device)
            };
            phase(&mut page, entry);
            for finding in summary.validity.iter().filter(is_of) {
                note(&mut page, &format!("{}: {}", finding.verdict, finding.words));
            }
        }
    }
    page.blank();
    page.words("", 0, LEGEND, Tone::Plain);
    if summary.phases.iter().any(has_intervals) {
        page.words("", 0, INTERVALS_LEGEND, Tone::Plain);
    }
    if summary.phases.iter().any(|phase| phase.counts.is_some()) {
        page.words("", 0, REQUESTS_LEGEND, Tone::Plain);
    }
    page.into_text()
}

const LEGEND: &str = "\
\"±\" is the histogram's bound: each true nearest-rank percentile of the samples lies within its row's ± of what is printed. \
All else is exact but for the rounding of what is printed. \"*\": fewer than ten samples lie beyond. \"-\": too few samples \
for it. Numbers without a unit are plain.";
const INTERVALS_LEGEND: &str = "\
\"≥\" and \"≤\" are the sampling interval: in a longer run of the same the percentile lies between them, with 95 % confidence for \
each. It takes the samples for as many independent ones as \"as n\" says, which are fewer if neighbours are alike, and the \
histogram's bound is in it.";
const REQUESTS_LEGEND: &str = "\
Response time counts from the intended send, service time from the actual one; schedule lag is how late requests were \
issued. Failed, cancelled and unsent requests have no latency. Throughput is successful requests over the total duration; success is \
successful of all that ended, cancelled ones included. Inter token latency is the mean gap of each response.";

/// Where the items of a phase's lines stand.
const INDENT: &str = "               ";

fn head(page: &mut Page, summary: &Summary) {
    let run = &summary.run;
    let state = if run.complete { ("complete", Tone::Plain) } else { ("PARTIAL", Tone::Caution) };
    let (id, started) = (run.id.as_str(), format!("started {}", run.started));
    let verdict = run.verdict.map(|verdict| match verdict {
        Verdict::Passed => ("passed", Tone::Good),
        Verdict::Failed => ("FAILED", Tone::Bad),
    });
    page.items("run ", [(id, Tone::Plain)].into_iter().chain(verdict).chain([state, (&started, Tone::Plain)]));
    for reason in &run.failure_reasons {
        page.words("", 3, &format!("FAILED: {reason}"), Tone::Bad);
    }
    if let Some(reason) = &run.partial_reason {
        page.words("partial because:", 3, reason, Tone::Caution);
    }
    coverage(page, summary);
    for warning in &run.warnings {
        page.words("", 3, &format!("WARNING: {warning}"), Tone::Caution);
    }
    doubts(page, &summary.validity);
    if run.endless {
        page.line("", [recorded(summary)]);
    }
    if let Some(plan) = &run.plan_hash {
        page.line("plan ", [plan]);
    }
    for device in &summary.devices {
        head_of_device(page, device);
    }
}

/// What is found in each phase, once: the words stand there.
fn doubts(page: &mut Page, findings: &[Finding]) {
    let mut items = Vec::new();
    for Finding { verdict, phase, .. } in findings {
        let item = format!("{phase}: {verdict}");
        if !items.contains(&item) {
            items.push(item);
        }
    }
    if !items.is_empty() {
        page.items("validity ", items.into_iter().map(|item| (item, Tone::Caution)));
    }
}

/// How much of an endless run there is. What was not recorded as it happened, but from a file or a full pipe, took as long
/// to read as that takes.
fn recorded(summary: &Summary) -> String {
    let of_devices = summary.phases.iter().filter_map(|phase| phase.durations.total_s);
    let longest = of_devices.fold(0.05, f64::max);
    let from_files = summary.devices.iter().all(|device| device.source.starts_with("file:"));
    match summary.run.recorded_s {
        Some(recorded) if recorded >= longest && !from_files => format!("recorded {recorded:.1} s of an endless run"),
        _ => "recorded a part of an endless run".to_owned(),
    }
}

fn coverage(page: &mut Page, summary: &Summary) {
    let coverage = &summary.coverage;
    let samples = &coverage.samples;
    let mut items = vec![
        observed(samples),
        format!("{} of {} samples", samples.observed, samples.expected),
        format!("lost frames {}", coverage.lost_frames),
    ];
    let faults = [
        ("crc errors", coverage.crc_errors),
        ("resets", coverage.resets),
        ("left out by devices", coverage.device_dropped),
    ];
    let seen = faults.into_iter().filter(|(_, count)| *count > 0);
    items.extend(seen.map(|(what, count)| format!("{what} {count}")));
    page.line("coverage ", items);
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
            page.line("", [format!("the lines also carried {count} {what}")]);
        }
    }
}

fn head_of_device(page: &mut Page, device: &DeviceSummary) {
    let firmware = device.firmware.as_deref().unwrap_or("firmware unknown");
    let mut items = vec![device.id.clone(), firmware.to_owned()];
    if device.mode == Some(DeviceMode::Monitor) {
        items.push("monitors itself".to_owned());
    }
    items.push(format!("boots {}", device.boots));
    items.push(format!("from {}", device.source));
    page.line("device ", items);
}

fn phase(page: &mut Page, phase: &PhaseSummary) {
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
    page.line("== ", [format!("{}{instance}", phase.phase), device, state]);
    if let Some(overlap) = &phase.overlap {
        overlapped(page, overlap);
    }
    let coverage = format!("coverage {}", observed(&phase.coverage));
    let total = format!("total {}", seconds(phase.durations.total_s));
    let Some(counts) = &phase.counts else {
        page.line("   samples     ", [phase.coverage.observed.to_string(), total, coverage]);
        return metrics_text::metrics(page, &phase.metrics);
    };
    let throughput = phase.throughput_rps.map_or_else(|| "-".to_owned(), rate);
    let success = format!("success {}", percent(counts.successful(), counts.ended()));
    page.line("   rates       ", [success, format!("throughput {throughput}"), coverage]);
    sent_rate(page, phase);
    if let Some(failures) = phase.failures.as_ref().filter(|_| counts.errors > 0) {
        page.items("   errors      ", causes(failures).into_iter().map(|cause| (cause, Tone::Bad)));
        for FailureMessage { cause, message } in &failures.messages {
            page.words(INDENT, INDENT.len() + 2, &format!("{}: {message}", cause.replace('_', " ")), Tone::Plain);
        }
    }
    metrics_text::percentiles(page, &phase.metrics);
    if let Some(plan) = &phase.plan {
        planned(page, plan);
    }
    requests(page, counts);
    let sending = format!("sending {}", seconds(phase.durations.sending_s));
    page.line("   durations   ", [sending, total]);
    metrics_text::moments(page, &phase.metrics);
    if has_intervals(phase) {
        metrics_text::intervals(page, &phase.metrics);
    }
    incomplete(page, phase, counts);
}

/// How a warm-up would differ if it were longer matters to nobody.
fn has_intervals(phase: &PhaseSummary) -> bool {
    matches!(phase.kind, Some(PhaseKind::Profiling | PhaseKind::Monitor))
}

fn note(page: &mut Page, words: &str) {
    page.words("   NOTE        ", INDENT.len(), words, Tone::Caution);
}

fn planned(page: &mut Page, plan: &PlanSummary) {
    let mut items = vec![plan.workload.clone()];
    items.push(match (plan.arrival, plan.concurrency) {
        (ArrivalKind::ClosedLoop, Some(concurrency)) => format!("{concurrency} in flight"),
        (ArrivalKind::Constant, _) => "evenly spaced".to_owned(),
        (ArrivalKind::Poisson, _) => "at random".to_owned(),
        _ => "arrivals of an unknown kind".to_owned(),
    });
    let requests = plan.stop_requests.map(|requests| format!("{requests} requests"));
    let time = plan.stop_s.map(|seconds| format!("{seconds} s"));
    let stops: Vec<_> = requests.into_iter().chain(time).collect();
    items.push(format!("until {}", stops.join(" or ")));
    page.line("   plan        ", items);
}

/// Whether the rates of the devices add up.
fn overlapped(page: &mut Page, overlap: &OverlapSummary) {
    let (words, tone) = match (overlap.concurrent, overlap.at_least_s) {
        (Some(true), Some(seconds)) => {
            (format!("all devices ran it at the same time for at least {}", floor_seconds(seconds)), Tone::Plain)
        }
        (Some(false), _) => {
            ("the devices did not all run it at the same time: no sum of their rates".to_owned(), Tone::Caution)
        }
        _ => {
            let words = "not known whether the devices ran it at the same time: no sum of their rates";
            (words.to_owned(), Tone::Caution)
        }
    };
    page.words("   overlap     ", INDENT.len(), &words, tone);
}

/// What is said to be at least so long is never rounded up.
fn floor_seconds(seconds: f64) -> String {
    format!("{:.3} s", (seconds * 1e3).floor() / 1e3)
}

/// What was sent, beside what was planned.
fn sent_rate(page: &mut Page, phase: &PhaseSummary) {
    let planned = phase.plan.as_ref().and_then(|plan| plan.rate_rps);
    let words = match (planned, phase.achieved_rate_rps) {
        (Some(planned), Some(sent)) => {
            let part = sent / planned * 100.0;
            format!("planned {}, sent {} ({part:.2} %)", rate(planned), per_second(sent))
        }
        (Some(planned), None) => format!("planned {}", rate(planned)),
        (None, Some(sent)) => format!("sent {}", rate(sent)),
        (None, None) => return,
    };
    page.line(INDENT, [words]);
}

fn requests(page: &mut Page, counts: &CountsSummary) {
    let mut items = vec![
        format!("sent {}", counts.sent),
        format!("completed {}", counts.completed),
        format!("errors {}", counts.errors),
        format!("cancelled {}", counts.cancelled),
    ];
    if counts.in_flight > 0 {
        items.push(format!("in flight {}", counts.in_flight));
    }
    if counts.unsent > 0 {
        items.push(format!("unsent {}{}", if counts.unsent_at_least { "at least " } else { "" }, counts.unsent));
    }
    if counts.held > 0 {
        items.push(format!("held {}", counts.held));
    }
    page.line("   requests    ", items);
}

fn causes(failures: &FailuresSummary) -> Vec<String> {
    let statuses = failures.statuses.iter().map(|(code, count)| (format!("status {code}"), *count));
    let before = [
        ("not connected", failures.not_connected),
        ("timed out", failures.timed_out),
        ("broken", failures.broken),
        ("malformed", failures.malformed),
    ];
    let behind = [("other statuses", failures.other_statuses), ("cause unknown", failures.unknown)];
    let named = |(cause, count): (&str, u64)| (cause.to_owned(), count);
    let all = before.into_iter().map(named).chain(statuses).chain(behind.into_iter().map(named));
    all.filter(|(_, count)| *count > 0).map(|(cause, count)| format!("{cause} {count}")).collect()
}

fn incomplete(page: &mut Page, phase: &PhaseSummary, counts: &CountsSummary) {
    let (successful, intended) = (counts.successful(), counts.sent.saturating_add(counts.unsent));
    let words = if phase.state != Some(PhaseState::Complete) {
        "not seen to its end: counts and metrics are of different moments".to_owned()
    } else if successful < intended {
        let at_least = if counts.unsent_at_least { "at least " } else { "" };
        format!(
            "latencies cover {successful} of {at_least}{intended} intended requests; the others failed, were cancelled or \
             never sent"
        )
    } else {
        return;
    };
    note(page, &words);
}

fn seconds(time: Option<f64>) -> String {
    time.map_or_else(|| "-".to_owned(), |time| format!("{time:.3} s"))
}

/// Coverage that is known, as a percentage.
fn observed(coverage: &super::CoverageCounts) -> String {
    match coverage.ratio {
        None => "unknown".to_owned(),
        // Nothing of nothing is all.
        Some(_) if coverage.observed == coverage.expected => "100 %".to_owned(),
        Some(_) => percent(coverage.observed, coverage.expected),
    }
}
