//! A run in the terms of post-processors.

use phasemeter_core::metric::{LoadMetric, Metric, Unit};
use phasemeter_core::phase::{PhaseCounts, PhaseStats};
use phasemeter_core::plan::PhaseKind;

use super::RecordedRun;
use crate::process::{
    Distribution, OutcomeCounts, PhaseResults, ProcessError, REQUEST_LATENCY, ResultSet, Window, WindowSource,
};
use crate::session::{Boot, PhaseTelemetry, seen_twice};

impl RecordedRun {
    /// What each device measured, for post-processors: a set a device, by the names of the phases.
    ///
    /// Each metric goes by the device's own name for it, times in milliseconds and plain numbers as they are; the service
    /// time also goes by AIPerf's name, [`REQUEST_LATENCY`]. Phases of one name are joined. Only whole snapshots count, and
    /// a device that several sources show counts once. Each set says how much of it was observed, and why the run is partial. Metrics and phases of which the name did not come are left out.
    ///
    /// # Errors
    /// [`ProcessError`] if a device has more phases than a set can hold, or a metric whose unit changed.
    pub fn result_sets(&self) -> Result<Vec<ResultSet>, ProcessError> {
        let summary = self.summary();
        let sessions: Vec<_> = self.sources.iter().map(|source| &source.session).collect();
        let twice = seen_twice(&sessions);
        let mut sets = Vec::new();
        for (place, (source, device)) in self.sources.iter().zip(&summary.devices).enumerate() {
            let left_out = |boot: usize| twice.iter().any(|twice| (twice.session, twice.boot) == (place, boot));
            let boots = source.session.boots().iter().enumerate();
            if device.same_as.is_some() {
                continue;
            }
            let boots = boots.filter(|(boot, _)| !left_out(*boot)).map(|(_, boot)| boot);
            let mut set = set_of(&device.id, boots)?.with_coverage(device.coverage);
            if let Some(reason) = &summary.run.partial_reason {
                set.mark_partial(reason);
            }
            sets.push(set);
        }
        Ok(sets)
    }
}

fn set_of<'a>(name: &str, boots: impl Iterator<Item = &'a Boot>) -> Result<ResultSet, ProcessError> {
    let mut set = ResultSet::new(name);
    // Each boot has a clock of its own, which begins at 0: they are laid one after the other.
    let (mut boot_began_ns, mut last_end_ns) = (0, 0);
    for boot in boots {
        for record in boot.phases() {
            let Some(stats) = record.stats() else { continue };
            let mut part = ResultSet::new(name);
            let phase = phase_of(stats, boot_began_ns, boot, record, name)?;
            last_end_ns = phase.windows.whole().map_or(last_end_ns, |window| last_end_ns.max(window.end_ns));
            *part.phase(&record.name())? = phase;
            set.merge(&part)?;
        }
        boot_began_ns = last_end_ns;
    }
    Ok(set)
}

/// One phase in the terms of post-processors.
fn phase_of(
    stats: &PhaseStats,
    boot_began_ns: u64,
    boot: &Boot,
    record: &PhaseTelemetry,
    device: &str,
) -> Result<PhaseResults, ProcessError> {
    let PhaseCounts { errors, cancelled, .. } = stats.counts;
    let counts = OutcomeCounts { successful: stats.counts.successful(), errors, cancelled };
    let window = stats.started_at.zip(stats.completed_at).map(|(start, end)| Window {
        start_ns: boot_began_ns.saturating_add(start.as_nanos()),
        end_ns: boot_began_ns.saturating_add(end.as_nanos()),
        source: WindowSource::Manifest,
    });
    let mut phase = PhaseResults::new(counts, window);
    phase.warmup = stats.kind == PhaseKind::Warmup;
    for (id, mirror) in record.metrics() {
        let (Some(Metric { name, unit }), Some(histogram)) = (boot.metric(id), mirror.histogram()) else { continue };
        let distribution = Distribution::from_histogram(&**histogram, unit);
        let is_latency = (name, unit) == (LoadMetric::ServiceTime.name(), Unit::Nanoseconds);
        let alias = (is_latency && boot.metric_id(REQUEST_LATENCY).is_none()).then_some(REQUEST_LATENCY);
        for tag in alias.into_iter().chain([name]) {
            phase.metric(tag, distribution.unit(), device)?.merge(&distribution);
        }
    }
    Ok(phase)
}
