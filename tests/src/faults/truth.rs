//! What a summary has to say, from sorted values.

use std::collections::BTreeSet;

use phasemeter::report::{MetricSummary, Number, PhaseSummary, Summary};
use phasemeter_core::phase::{PhaseCounts, PhaseState};

use super::trial::Truth;
use crate::Direct;

/// Whether a counter was full, and the summary says so.
pub(super) fn is_saturated(summary: &Summary) -> bool {
    summary.phases.iter().flat_map(|phase| phase.metrics.iter()).any(|(_, metric)| metric.saturated)
}

/// Whether all that a complete run says is right.
pub(super) fn check(summary: &Summary, truth: &Truth<'_>) -> Result<(), String> {
    // Devices of one name are shown with their lines.
    let is_shown = |id: &str| summary.devices.iter().any(|device| device.id.split(" (").next() == Some(id));
    if let Some(run) = truth.runs.iter().find(|run| !is_shown(run.id)) {
        return Err(format!("{} is not among the devices", run.id));
    }
    let merged: Vec<_> = summary.phases.iter().filter(|phase| phase.device.is_none()).collect();
    let is_monitor = truth.runs.iter().all(|run| run.is_monitor);
    let told: BTreeSet<_> = merged.iter().map(|phase| usize::from(phase.index)).collect();
    let places = truth.runs.iter().map(|run| run.phases.len()).max().unwrap_or(0);
    let is_without_gap = told.last().zip(told.first()).is_some_and(|(last, first)| last - first + 1 == told.len());
    // Of a monitor, who listens for a while hears of the phases of that while.
    let has_all = if is_monitor { is_without_gap } else { told.iter().copied().eq(0..places) };
    if told.len() != merged.len() || !has_all {
        return Err(format!("phases {told:?} of {places}"));
    }
    for phase in merged {
        let parts: Vec<_> = truth.runs.iter().filter_map(|run| run.phases.get(usize::from(phase.index))).collect();
        let is_open = is_monitor && phase.state != Some(PhaseState::Complete);
        if is_open && told.last() != Some(&usize::from(phase.index)) {
            return Err(format!("{}: open, and not the last one", phase.phase));
        }
        check_phase(phase, &parts, truth.times, is_open).map_err(|wrong| format!("{}: {wrong}", phase.phase))?;
    }
    Ok(())
}

/// Whether all phases are right that are said to be whole.
pub(super) fn check_whole_phases(summary: &Summary, truth: &Truth<'_>) -> Result<(), String> {
    let is_whole = |phase: &&PhaseSummary| {
        phase.device.is_some()
            && phase.parts == 1
            && phase.state == Some(PhaseState::Complete)
            && phase.coverage.observed == phase.coverage.expected
            && phase.metrics.iter().all(|(name, _)| !name.contains("unnamed"))
            && phase.failures.as_ref().is_none_or(|failures| failures.unknown == 0)
    };
    for phase in summary.phases.iter().filter(is_whole) {
        let candidates = truth.runs.iter().filter_map(|run| run.phases.get(usize::from(phase.index)));
        let checked: Vec<_> = candidates.map(|part| check_phase(phase, &[part], truth.times, false)).collect();
        if let Some(Err(wrong)) = checked.first()
            && checked.iter().all(Result::is_err)
        {
            return Err(format!("{}: {wrong}", phase.phase));
        }
    }
    Ok(())
}

fn check_phase(phase: &PhaseSummary, parts: &[&Direct], times: u64, is_open: bool) -> Result<(), String> {
    let [first, ..] = parts else { return Err("there is no such phase".to_owned()) };
    if phase.phase != first.phase {
        return Err(format!("is {}", first.phase));
    }
    if let Some(counts) = &phase.counts {
        let sum = |of: fn(&PhaseCounts) -> u64| parts.iter().map(|part| of(&part.counts)).sum::<u64>();
        let truth = [sum(|c| c.sent), sum(|c| c.completed), sum(|c| c.errors), sum(|c| c.cancelled)];
        let told = [counts.sent, counts.completed, counts.errors, counts.cancelled];
        if truth != told {
            return Err(format!("{told:?} requests, and there were {truth:?}"));
        }
    }
    if let Some(failures) = &phase.failures {
        let sum = |of: fn(&phasemeter_core::outcome::Failures) -> u64| {
            parts.iter().map(|part| of(&part.failures)).sum::<u64>()
        };
        let told = [failures.not_connected, failures.timed_out, failures.broken, failures.malformed];
        let truth = [sum(|f| f.not_connected), sum(|f| f.timed_out), sum(|f| f.broken), sum(|f| f.malformed)];
        if told != truth {
            return Err(format!("failures {told:?}, and there were {truth:?}"));
        }
    }
    for (name, is_time) in first.metrics() {
        let mut values: Vec<_> = parts.iter().flat_map(|part| part.values(name)).copied().collect();
        let Some(metric) = phase.metrics.get(name) else {
            if values.is_empty() || is_open {
                continue;
            }
            return Err(format!("{name} is missing"));
        };
        if is_open {
            values.truncate(usize::try_from(metric.count / times).unwrap_or(usize::MAX));
        }
        values.sort_unstable();
        check_metric(metric, is_time, &values, times).map_err(|wrong| format!("{name}: {wrong}"))?;
    }
    let unknown = phase.metrics.iter().find(|(name, _)| !first.metrics().any(|(known, _)| known == *name));
    unknown.map_or(Ok(()), |(name, _)| Err(format!("{name} was never measured")))
}

/// Whether a metric has these values, each so many times.
#[expect(clippy::cast_precision_loss, reason = "compared within a nanosecond")]
fn check_metric(metric: &MetricSummary, is_time: bool, values: &[u64], times: u64) -> Result<(), String> {
    let unit = if is_time { "ms" } else { "count" };
    if metric.unit != unit {
        return Err(format!("in {}, and measured in {unit}", metric.unit));
    }
    let count = values.len() as u64 * times;
    if (metric.count, metric.expected) != (count, count) {
        return Err(format!("{} of {} values, and there were {count}", metric.count, metric.expected));
    }
    let shown = |value: f64| if is_time { value / 1e6 } else { value };
    let is = |told: Option<f64>, truth: f64, within: f64| {
        told.is_some_and(|told| (told - shown(truth)).abs() <= shown(within))
    };
    let (Some(min), Some(max)) = (values.first(), values.last()) else { return Err("there are no values".to_owned()) };
    for (name, told, truth) in [("min", metric.min, *min), ("max", metric.max, *max)] {
        if !is(told.map(Number::as_f64), truth as f64, 0.0) {
            return Err(format!("{name} {told:?}, and it was {truth}"));
        }
    }
    let mean = values.iter().map(|value| u128::from(*value)).sum::<u128>() as f64 / values.len() as f64;
    if !is(metric.mean, mean, 0.51 + mean * 1e-12) {
        return Err(format!("mean {:?}, and it was {mean}", metric.mean));
    }
    // With a sum of squares that is full, nothing is said of the deviation, or that it is too low.
    if !metric.saturated {
        let squares = values.iter().map(|value| (*value as f64 - mean).powi(2)).sum::<f64>();
        let stdev = (squares / values.len() as f64).sqrt();
        if !is(metric.stdev, stdev, 0.51 + stdev * 1e-9) {
            return Err(format!("stdev {:?}, and it was {stdev}", metric.stdev));
        }
    }
    for (name, percentile) in &metric.percentiles {
        let (Some(lower), Some(upper)) = (percentile.lower, percentile.upper) else { continue };
        let percent: f64 = name.trim_start_matches('p').parse().map_err(|_| format!("{name} is no percentile"))?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "parts per million")]
        let ppm = (percent * 1e4).round() as u128;
        let rank = (u128::from(count) * ppm).div_ceil(1_000_000).max(1);
        let place = usize::try_from((rank - 1) / u128::from(times)).unwrap_or(usize::MAX);
        let value = shown(values[place] as f64);
        if value < lower.as_f64() || upper.as_f64() < value {
            return Err(format!("{name} from {lower:?} to {upper:?}, and it was {value}"));
        }
    }
    Ok(())
}
