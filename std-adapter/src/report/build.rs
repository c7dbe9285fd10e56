//! Sessions to summary.

use std::collections::BTreeMap;

use phasemeter_core::aggregate::{Aggregate, Timing};
use phasemeter_core::meter::{Metric, PerMetric};
use phasemeter_core::phase::{PhaseState, PhaseStats};
use phasemeter_core::plan::PhaseKind;
use phasemeter_core::summary::{Percentile, STANDARD};
use phasemeter_core::time::Nanos;

use super::model::{
    Coverage, CoverageCounts, DeviceSummary, DurationsSummary, GapSummary, LineSummary, MetricSummary,
    PercentileSummary, PhaseCountsSummary, PhaseSummary, RunSummary, SCHEMA, Summary,
};
use crate::session::{HostHistogram, PhaseRecord, Session};

/// What is known of a run beside its sessions.
#[derive(Clone, Debug, Default)]
pub struct RunInfo {
    /// Names the run.
    pub id: String,
    /// When recording began, in nanoseconds since 1970.
    pub started_unix_ns: u64,
    /// Why recording ended before the devices did, if so.
    pub interrupted: Option<String>,
}

/// One source of a run, as far as it was observed.
#[derive(Clone, Copy, Debug)]
pub struct Observed<'a> {
    /// Names the source.
    pub source: &'a str,
    /// What it told.
    pub session: &'a Session,
    /// Why reading it failed, if it did.
    pub failure: Option<&'a str>,
}

/// Merges what was observed of all sources into one summary.
pub fn summarize(run: &RunInfo, sources: &[Observed<'_>]) -> Summary {
    let mut devices: Vec<_> = sources.iter().map(device).collect();
    let of_devices = [same_ids(&mut devices), different_plans(&devices)];
    let phases = phases(sources, &devices);
    let partial_reason = partial_reason(run, &devices);
    let warnings = of_devices.into_iter().flatten().chain(phases.iter().filter_map(late_generator)).collect();
    let mut plans: Vec<_> = devices.iter().map(|device| device.plan_hash.clone()).collect();
    plans.dedup();
    Summary {
        schema: SCHEMA.to_owned(),
        run: RunSummary {
            id: run.id.clone(),
            started: rfc3339(run.started_unix_ns),
            complete: partial_reason.is_none(),
            partial_reason,
            plan_hash: if plans.len() == 1 { plans.pop().flatten() } else { None },
            warnings,
        },
        coverage: coverage(sources, &devices, &phases),
        devices,
        phases,
    }
}

fn rfc3339(unix_ns: u64) -> String {
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_nanos(unix_ns);
    humantime::format_rfc3339_millis(time).to_string()
}

fn partial_reason(run: &RunInfo, devices: &[DeviceSummary]) -> Option<String> {
    let mut reasons: Vec<_> = run.interrupted.iter().cloned().collect();
    for device in devices {
        if let Some(reason) = &device.partial_reason {
            reasons.push(format!("{}: {reason}", device.id));
        }
    }
    if devices.is_empty() {
        reasons.push("no source was recorded".into());
    }
    (!reasons.is_empty()).then(|| reasons.join("; "))
}

fn device(observed: &Observed<'_>) -> DeviceSummary {
    let Observed { source, session, failure } = *observed;
    let info = session.info();
    let partial_reason = session.check_whole().err().map(|reason| match failure {
        Some(failure) => format!("{reason} ({failure})"),
        None => reason,
    });
    DeviceSummary {
        id: info.map_or_else(|| source.to_owned(), |info| info.device_id.clone()),
        source: source.to_owned(),
        firmware: info.map(|info| info.firmware.clone()),
        boots: if session.boots().is_empty() { 0 } else { session.resets() + 1 },
        plan_hash: info.map(|info| format!("{:016x}", info.plan_hash)),
        complete: partial_reason.is_none(),
        partial_reason,
    }
}

/// Two devices of one name are told apart by their sources.
fn same_ids(devices: &mut [DeviceSummary]) -> Option<String> {
    let ids: Vec<_> = devices.iter().map(|device| device.id.clone()).collect();
    let mut warning = None;
    for device in devices {
        if ids.iter().filter(|id| **id == device.id).count() > 1 {
            warning = Some(format!("several devices call themselves {}: each is named with its source", device.id));
            device.id = format!("{} ({})", device.id, device.source);
        }
    }
    warning
}

fn different_plans(devices: &[DeviceSummary]) -> Option<String> {
    let mut plans: Vec<_> = devices.iter().filter_map(|device| device.plan_hash.as_deref()).collect();
    plans.dedup();
    (plans.len() > 1).then(|| "the devices run different plans, and \"all devices\" mixes them".to_owned())
}

/// A load generator that was late by more than a tenth of what it measured was a part of what it measured.
fn late_generator(phase: &PhaseSummary) -> Option<String> {
    let p99 = |metric: &str| phase.metrics.get(metric)?.percentiles.get("p99")?.value;
    let (lag, service) = (p99("schedule_lag")?, p99("service_time")?);
    let device = phase.device.as_ref()?;
    (lag > service / 10.0).then(|| {
        format!(
            "{} on {device}: the load generator was late, schedule lag p99 {lag:.3} ms: service times include a \
             part of its own delay",
            phase.phase
        )
    })
}

fn coverage(sources: &[Observed<'_>], devices: &[DeviceSummary], phases: &[PhaseSummary]) -> Coverage {
    let of_all_devices = phases.iter().filter(|phase| phase.device.is_none());
    let mut coverage = Coverage {
        samples: CoverageCounts::sum(
            of_all_devices.map(|phase| phase.coverage),
            sources.iter().all(|source| source.session.saw_every_end()),
        ),
        gaps: Vec::new(),
        lost_frames: 0,
        crc_errors: 0,
        resets: 0,
        device_dropped: 0,
        line: LineSummary::default(),
    };
    for (Observed { session, .. }, device) in sources.iter().zip(devices) {
        let errors = session.errors();
        coverage.gaps.extend(session.gaps().iter().map(|gap| GapSummary {
            device: device.id.clone(),
            boot: gap.boot,
            first_sequence: gap.first_sequence,
            frames: gap.frames,
            at_s: seconds(Nanos::new(gap.uptime_ns)),
        }));
        coverage.lost_frames += session.lost_frames();
        coverage.crc_errors += errors.crc_errors;
        coverage.resets += session.resets();
        coverage.device_dropped += session.boots().iter().map(|boot| u64::from(boot.skipped)).sum::<u64>();
        let line = &mut coverage.line;
        line.frames += session.frames();
        line.noise += errors.noise;
        line.overlong += errors.overlong;
        line.malformed += errors.malformed;
        line.newer_version += errors.newer_version;
        line.unknown_kind += errors.unknown_kind;
        line.text += errors.text;
    }
    coverage
}

impl CoverageCounts {
    #[expect(clippy::cast_precision_loss, reason = "a ratio for display; equality is decided on the counts")]
    fn covering(observed: u64, expected: u64, is_final: bool) -> Self {
        let ratio = if observed == expected { 1.0 } else { observed as f64 / expected as f64 };
        Self { observed, expected, ratio: is_final.then_some(ratio) }
    }

    fn sum(parts: impl Iterator<Item = Self>, is_final: bool) -> Self {
        let (observed, expected) = parts.fold((0_u64, 0_u64), |(observed, expected), part| {
            (observed.saturating_add(part.observed), expected.saturating_add(part.expected))
        });
        Self::covering(observed, expected, is_final)
    }
}

/// A phase of one device over its boots, or of all devices.
struct Merged {
    sum: Box<Aggregate<4096, u64>>,
    expected: PerMetric<u64>,
    state: PhaseState,
    timed_out: bool,
    cancelled: bool,
}

impl Merged {
    fn new(timing: Timing) -> Self {
        Self {
            sum: Box::new(Aggregate::new(timing)),
            expected: PerMetric::default(),
            state: PhaseState::Complete,
            timed_out: false,
            cancelled: false,
        }
    }

    fn add_record(&mut self, stats: &PhaseStats, record: &PhaseRecord) {
        self.sum.add(stats, |metric| record.metrics[metric].histogram().map(|histogram| &**histogram));
        for (metric, expected) in self.expected.iter_mut() {
            *expected = expected.saturating_add(record.metrics[metric].expected());
        }
        self.add_state(stats.state, stats.timed_out, stats.cancelled);
    }

    fn add_merged(&mut self, other: &Self) {
        self.sum.merge(&other.sum);
        for (metric, expected) in self.expected.iter_mut() {
            *expected = expected.saturating_add(other.expected[metric]);
        }
        self.add_state(other.state, other.timed_out, other.cancelled);
    }

    fn add_state(&mut self, state: PhaseState, timed_out: bool, cancelled: bool) {
        self.state = self.state.min(state);
        self.timed_out |= timed_out;
        self.cancelled |= cancelled;
    }

    fn summary(&self, kind: &str, instance: u32, device: Option<String>) -> PhaseSummary {
        let counts = self.sum.counts();
        let complete = self.sum.is_complete();
        let mut metrics = BTreeMap::new();
        for metric in Metric::ALL {
            let (histogram, expected) = (self.sum.histogram(metric), self.expected[metric]);
            if expected > 0 {
                metrics.insert(metric.name().to_owned(), metric_summary(histogram, expected));
            }
        }
        let samples = metrics.values().map(|metric| CoverageCounts::covering(metric.count, metric.expected, complete));
        let coverage = CoverageCounts::sum(samples, complete);
        let sent = self.state >= PhaseState::SendingComplete;
        PhaseSummary {
            phase: kind.to_owned(),
            instance,
            device,
            parts: self.sum.parts(),
            state: self.state.name().to_owned(),
            timed_out: self.timed_out,
            cancelled: self.cancelled,
            counts: PhaseCountsSummary {
                sent: counts.sent,
                completed: counts.completed,
                errors: counts.errors,
                cancelled: counts.cancelled,
                unsent: counts.unsent,
                in_flight: counts.in_flight(),
            },
            durations: DurationsSummary {
                sending_s: sent.then(|| seconds(self.sum.sending_duration())),
                total_s: complete.then(|| seconds(self.sum.total_duration())),
            },
            throughput_rps: complete.then(|| nanohertz(self.sum.throughput_nanohertz())),
            success_rate: self.sum.success_rate_ppm().map(|ppm| f64::from(ppm) / 1e6),
            coverage,
            metrics,
        }
    }
}

/// A phase's place in its run, its kind and its instance.
type PhaseKey = (usize, &'static str, u32);

/// The summaries of each phase: all devices together first, then each, in the order in which a run has its phases.
fn phases(sources: &[Observed<'_>], devices: &[DeviceSummary]) -> Vec<PhaseSummary> {
    // The place of a phase among those of its device orders the phases of different devices as well.
    let mut by_phase: BTreeMap<PhaseKey, Vec<(usize, Merged)>> = BTreeMap::new();
    for (device, Observed { session, .. }) in sources.iter().enumerate() {
        for (key, merged) in phases_of_device(session) {
            by_phase.entry(key).or_default().push((device, merged));
        }
    }
    let mut summaries = Vec::new();
    for ((_, kind, instance), parts) in by_phase {
        let mut all = Merged::new(Timing::Concurrent);
        for (_, part) in &parts {
            all.add_merged(part);
        }
        summaries.push(all.summary(kind, instance, None));
        for (device, part) in parts {
            let id = devices.get(device).map(|device| device.id.clone());
            summaries.push(part.summary(kind, instance, id));
        }
    }
    summaries
}

/// A device's phases by place, kind and instance, each merged over the device's boots.
fn phases_of_device(session: &Session) -> BTreeMap<PhaseKey, Merged> {
    let mut merged = BTreeMap::new();
    for boot in session.boots() {
        let mut instances: BTreeMap<&str, u32> = BTreeMap::new();
        for (&index, record) in &boot.phases {
            let Some(stats) = &record.stats else { continue };
            let kind = PhaseKind::name(stats.kind);
            let instance = instances.entry(kind).or_default();
            let key = (usize::from(index), kind, *instance);
            merged.entry(key).or_insert_with(|| Merged::new(Timing::Sequential)).add_record(stats, record);
            *instance += 1;
        }
    }
    merged
}

fn metric_summary(histogram: &HostHistogram, expected: u64) -> MetricSummary {
    MetricSummary {
        unit: "ms".to_owned(),
        count: histogram.count(),
        expected,
        min: histogram.min().map(millis),
        max: histogram.max().map(millis),
        mean: histogram.mean().map(millis),
        stdev: histogram.stdev().map(millis),
        saturated: histogram.saturation().any(),
        relative_error: f64::from(histogram.relative_error_ppm()) / 1e6,
        percentiles: STANDARD.into_iter().map(|p| (p.to_string(), percentile(histogram, p))).collect(),
    }
}

fn percentile(histogram: &HostHistogram, percentile: Percentile) -> PercentileSummary {
    match histogram.quantile(percentile) {
        Some(quantile) if histogram.resolves(percentile) => PercentileSummary {
            value: Some(millis(quantile.value)),
            lower: Some(millis(quantile.lower)),
            upper: Some(millis(quantile.upper)),
            reason: None,
        },
        _ => {
            let needed = 1_000_000_u32.div_ceil(1_000_000 - percentile.ppm());
            let reason = format!("{percentile} needs {needed} samples and there are {}", histogram.count());
            PercentileSummary { value: None, lower: None, upper: None, reason: Some(reason) }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "exact up to 104 days")]
fn millis(nanos: u64) -> f64 {
    nanos as f64 / 1e6
}

#[expect(clippy::cast_precision_loss, reason = "exact up to 104 days")]
fn seconds(time: Nanos) -> f64 {
    time.get() as f64 / 1e9
}

#[expect(clippy::cast_precision_loss, reason = "a rate for display")]
fn nanohertz(rate: u128) -> f64 {
    rate as f64 / 1e9
}
