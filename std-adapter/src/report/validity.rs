//! The validity verdicts on a phase of one device: whether its numbers are those of the system measured.

use phasemeter_core::metric::{LoadMetric, Metric};
use phasemeter_core::plan::PhaseKind;
use phasemeter_core::summary::Percentile;

use super::model::{Doubt, Finding, MetricSummary, PhaseSummary};
use super::schedule;
use crate::session::{Boot, PhaseTelemetry};
use crate::text::number::{Printed, Scale};
use crate::uncertainty::interval;
use crate::uncertainty::stationarity::{Change, Course, course};

/// Samples that are worth less than this part of their number are said to be dependent.
const MUCH_LESS: u64 = 2;
/// The metric whose interval says whether there are enough samples of a load.
const JUDGED_BY: LoadMetric = LoadMetric::ResponseTime;
/// Wide enough for any number in some unit.
const ANY_ROOM: usize = 20;

/// What is found in a phase as it was summarised, and as the boots of its device told of it.
pub(super) fn findings(phase: &PhaseSummary, views: &[(&Boot, &PhaseTelemetry)]) -> Vec<Finding> {
    let is_measured = matches!(phase.kind, Some(PhaseKind::Profiling | PhaseKind::Monitor));
    let mut found: Vec<_> = schedule::findings(phase).map(|(doubt, words)| (doubt, None, words)).collect();
    if is_measured {
        // A device that was reset ran two phases, which need not be alike.
        if let [(boot, told)] = views {
            found.extend(courses(phase, boot, told));
        }
        found.extend(too_few(phase));
        let dependent: Vec<_> =
            phase.metrics.iter().filter(|(name, _)| is_judged(phase, name)).filter_map(dependent).collect();
        // What changes is alike within its parts.
        let changes = |metric| found.iter().any(|(_, of, _)| *of == metric);
        found.extend(dependent.into_iter().filter(|(_, metric, _)| !changes(*metric)).collect::<Vec<_>>());
    }
    let finding = |(verdict, metric, words): (_, Option<&str>, _)| Finding {
        verdict,
        phase: phase.phase.clone(),
        index: phase.index,
        device: phase.device.clone().unwrap_or_default(),
        metric: metric.map(str::to_owned),
        words,
    };
    found.into_iter().map(finding).collect()
}

/// How the time of service went on matters of a load, as all else follows from it, and every metric of a monitor.
fn is_judged(phase: &PhaseSummary, metric: &str) -> bool {
    phase.kind == Some(PhaseKind::Monitor) || metric == LoadMetric::ServiceTime.name()
}

type Found<'a> = (Doubt, Option<&'a str>, String);

fn courses<'a>(phase: &'a PhaseSummary, boot: &Boot, told: &PhaseTelemetry) -> Vec<Found<'a>> {
    let mut found = Vec::new();
    for (id, mirror) in told.metrics() {
        let Some(Metric { name, .. }) = boot.metric(id) else { continue };
        let Some((name, metric)) = phase.metrics.iter().find(|(known, _)| *known == name) else { continue };
        if !is_judged(phase, name) {
            continue;
        }
        found.extend(of_course(course(&mirror.moments()), name, metric));
    }
    found
}

fn of_course<'a>(course: Course, name: &'a str, metric: &MetricSummary) -> Option<Found<'a>> {
    let words = |Change { percentile, before, after, distance }: Change, first: &str, second: &str| {
        format!(
            "{percentile} of {} was {} in {first} and {} in {second}, and {:.0} % of the samples lie elsewhere",
            name.replace('_', " "),
            printed(metric, before),
            printed(metric, after),
            distance * 100.0,
        )
    };
    let (doubt, words) = match course {
        Course::Steady => return None,
        Course::WarmUp(samples, change) => {
            (Doubt::WarmUpVisible, words(change, &format!("the first {samples} samples"), "the rest"))
        }
        Course::Changing(change) => (Doubt::NotStationary, words(change, "the first half", "the second")),
    };
    Some((doubt, Some(name), words))
}

fn printed(metric: &MetricSummary, value: u64) -> String {
    let is_time = metric.unit == "ms";
    let scale = if is_time { Scale::of_times(value, &[value], ANY_ROOM) } else { Some(Scale::PLAIN) };
    scale.and_then(|scale| scale.print(value, ANY_ROOM)).map_or_else(|| value.to_string(), Printed::with_unit)
}

fn too_few(phase: &PhaseSummary) -> Option<Found<'_>> {
    let (name, metric) = phase.metrics.iter().find(|(name, _)| *name == JUDGED_BY.name())?;
    let reason = metric.percentiles.get("p99")?.interval_withheld.clone()?;
    Some((Doubt::TooFewSamples, Some(name), reason))
}

fn dependent<'a>((name, metric): (&'a str, &MetricSummary)) -> Option<Found<'a>> {
    let MetricSummary { count, effective_count, .. } = *metric;
    // Of fewer there is hardly any interval that it could widen.
    let is_enough = count >= interval::needed(Percentile::P90);
    (is_enough && effective_count < count / MUCH_LESS).then(|| {
        let words = format!(
            "neighbouring samples of {} are alike: {count} of them are worth {effective_count}, and intervals are as wide",
            name.replace('_', " "),
        );
        (Doubt::DependentSamples, Some(name), words)
    })
}

#[cfg(test)]
mod tests;
