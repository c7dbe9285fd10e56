//! The phases of a run: of all devices together, and of each.

use std::collections::{BTreeMap, BTreeSet};

use phasemeter_core::aggregate::{Aggregate, Timing};
use phasemeter_core::outcome::{Failure, Failures};
use phasemeter_core::phase::{PhaseCounts, PhaseState, PhaseStats};
use phasemeter_core::plan::PhaseKind;

use super::metric::Metrics;
use super::model::{
    CountsSummary, CoverageCounts, DeviceSummary, DurationsSummary, FailureMessage, FailuresSummary, Finding,
    OverlapSummary, PhaseSummary, PlanSummary, seconds,
};
use super::validity;
use crate::session::{Boot, PhaseTelemetry, ratio};
use crate::statistics::Spread;

/// So many messages of failures are kept of a phase over all devices.
const MAX_MESSAGES: usize = 32;

/// What one phase has in common over devices and boots: its place in the run, name, kind and instance.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    index: u16,
    name: String,
    kind: Option<&'static str>,
    instance: u16,
}

impl Key {
    fn of(phase: &PhaseTelemetry) -> Self {
        let stats = phase.stats();
        Self {
            index: phase.index(),
            name: phase.name().into_owned(),
            kind: stats.map(|stats| stats.kind.name()),
            instance: stats.map_or(0, |stats| stats.instance),
        }
    }
}

/// What was planned for a phase.
enum Planned {
    /// No part told.
    Untold,
    /// All parts that told were to do the same, or devices side by side were to do this together.
    Told(PlanSummary),
    /// Parts were to do different things, or a device did not tell.
    Different,
}

impl Planned {
    fn known(&self) -> Option<&PlanSummary> {
        match self {
            Self::Told(plan) => Some(plan),
            _ => None,
        }
    }
}

/// A phase of one device over its boots, or of all devices.
struct Merged {
    kind: Option<PhaseKind>,
    sum: Aggregate,
    spread: Spread,
    /// How many were merged, those without a report included.
    parts: u32,
    failures: FailuresSummary,
    plan: Planned,
    /// Of devices side by side.
    achieved_rate: Option<f64>,
    metrics: Metrics,
    coverage: CoverageCounts,
    state: Option<PhaseState>,
    timed_out: bool,
    cancelled: bool,
}

impl Merged {
    fn new(timing: Timing, kind: Option<PhaseKind>) -> Self {
        Self {
            kind,
            sum: Aggregate::new(timing),
            spread: Spread::default(),
            parts: 0,
            failures: FailuresSummary::default(),
            plan: Planned::Untold,
            achieved_rate: None,
            metrics: Metrics::default(),
            coverage: CoverageCounts::of(0, 0, true),
            state: Some(PhaseState::Complete),
            timed_out: false,
            cancelled: false,
        }
    }

    /// Adds what a boot told of the phase. Of one that is open, what is expected is what its last snapshot told, if
    /// that is `settled`.
    fn add(&mut self, device: usize, boot: &Boot, phase: &PhaseTelemetry, settled: bool) {
        let metrics = Metrics::of(device, boot, phase);
        let (_, told) = metrics.coverage();
        let (expected, is_final) = if phase.is_over() { (phase.expected(), true) } else { (told, settled) };
        let coverage = CoverageCounts::of(phase.observed(), expected, is_final);
        self.add_part(1, phase.stats(), coverage);
        if let Some(stats) = phase.stats() {
            self.sum.add(stats);
            self.spread = self.spread.and(Spread::of(stats.counts.sent, &stats.sends));
            let failures = FailuresSummary::of(phase.failures(), stats.counts.errors);
            self.failures.add(&FailuresSummary { messages: messages(phase), ..failures });
        }
        if let Some(told) = phase.plan().map(PlanSummary::of) {
            self.plan = match &self.plan {
                Planned::Untold => Planned::Told(told),
                Planned::Told(known) if *known == told => Planned::Told(told),
                _ => Planned::Different,
            };
        }
        self.metrics.merge(&metrics, false);
    }

    /// Adds another device.
    fn merge(&mut self, other: &Self, is_other_device: bool) {
        let together = match (self.plan.known(), other.plan.known()) {
            (None, theirs) if self.parts == 0 => theirs.cloned(),
            (Some(ours), Some(theirs)) => ours.beside(theirs),
            _ => None,
        };
        self.plan = together.map_or(Planned::Different, Planned::Told);
        self.achieved_rate = Some(self.achieved_rate.unwrap_or(0.0) + other.sent_rate());
        self.sum.merge(&other.sum);
        self.spread = self.spread.and(other.spread);
        self.failures.add(&other.failures);
        self.metrics.merge(&other.metrics, is_other_device);
        self.parts += other.parts;
        self.coverage = CoverageCounts::sum([self.coverage, other.coverage]);
        self.state = self.state.min(other.state);
        self.timed_out |= other.timed_out;
        self.cancelled |= other.cancelled;
    }

    /// Requests sent over the time of sending.
    #[expect(clippy::cast_precision_loss, reason = "a rate for display")]
    fn sent_rate(&self) -> f64 {
        let sending = seconds(self.sum.sending_duration());
        if sending > 0.0 { self.sum.counts().sent as f64 / sending } else { 0.0 }
    }

    fn add_part(&mut self, parts: u32, stats: Option<&PhaseStats>, coverage: CoverageCounts) {
        self.parts += parts;
        self.coverage = CoverageCounts::sum([self.coverage, coverage]);
        self.state = self.state.min(stats.map(|stats| stats.state));
        self.timed_out |= stats.is_some_and(|stats| stats.timed_out);
        self.cancelled |= stats.is_some_and(|stats| stats.cancelled);
    }

    fn summary(&self, key: &Key, device: Option<String>) -> PhaseSummary {
        let is_complete = self.state == Some(PhaseState::Complete);
        let is_sent = self.state >= Some(PhaseState::SendingComplete);
        // A monitored phase has no requests, and of an unknown one nothing is known.
        let has_requests = self.kind.is_some_and(|kind| kind != PhaseKind::Monitor);
        PhaseSummary {
            phase: key.name.clone(),
            kind: self.kind,
            index: key.index,
            instance: key.instance,
            device,
            parts: self.parts,
            state: self.state,
            timed_out: self.timed_out,
            cancelled: self.cancelled,
            counts: has_requests.then(|| CountsSummary::of(self.sum.counts())),
            failures: has_requests.then(|| self.failures.clone()),
            overlap: None,
            plan: self.plan.known().cloned(),
            durations: DurationsSummary {
                sending_s: (is_sent && has_requests).then(|| seconds(self.sum.sending_duration())),
                total_s: is_complete.then(|| seconds(self.sum.total_duration())),
            },
            achieved_rate_rps: (is_sent && has_requests)
                .then(|| self.achieved_rate.unwrap_or_else(|| self.sent_rate()))
                .filter(|rate| *rate > 0.0),
            send_gaps: has_requests.then(|| self.spread.gaps()),
            send_gap_cv: self.spread.coefficient_of_variation().filter(|_| has_requests),
            throughput_rps: (is_complete && has_requests).then(|| nanohertz(self.sum.throughput_nanohertz())),
            success_rate: has_requests.then(|| CountsSummary::of(self.sum.counts()).success_rate()).flatten(),
            coverage: self.coverage,
            metrics: self.metrics.summaries(),
        }
    }
}

impl CountsSummary {
    /// The counts of a device.
    pub fn of(counts: &PhaseCounts) -> Self {
        let PhaseCounts { sent, completed, errors, cancelled, unsent, unsent_at_least, held } = *counts;
        Self { sent, completed, errors, cancelled, unsent, unsent_at_least, held, in_flight: counts.in_flight() }
    }
}

impl CountsSummary {
    /// Successful of ended requests.
    fn success_rate(&self) -> Option<f64> {
        (self.ended() > 0).then(|| ratio(self.successful(), self.ended()))
    }
}

impl FailuresSummary {
    /// Errors by cause, as far as the causes are known.
    fn of(failures: Option<&Failures>, errors: u64) -> Self {
        let Some(failures) = failures else { return Self { unknown: errors, ..Self::default() } };
        let mut statuses = BTreeMap::new();
        for (code, count) in &failures.statuses {
            let sum: &mut u64 = statuses.entry(*code).or_default();
            *sum = sum.saturating_add(*count);
        }
        Self {
            not_connected: failures.not_connected,
            timed_out: failures.timed_out,
            broken: failures.broken,
            malformed: failures.malformed,
            statuses,
            other_statuses: failures.other_statuses,
            unknown: errors.saturating_sub(failures.total()),
            messages: Vec::new(),
        }
    }

    fn add(&mut self, other: &Self) {
        for (sum, more) in [
            (&mut self.not_connected, other.not_connected),
            (&mut self.timed_out, other.timed_out),
            (&mut self.broken, other.broken),
            (&mut self.malformed, other.malformed),
            (&mut self.other_statuses, other.other_statuses),
            (&mut self.unknown, other.unknown),
        ] {
            *sum = sum.saturating_add(more);
        }
        for message in &other.messages {
            let is_known = self.messages.iter().any(|known| known.cause == message.cause);
            if !is_known && self.messages.len() < MAX_MESSAGES {
                self.messages.push(message.clone());
            }
        }
        for (code, more) in &other.statuses {
            let sum = self.statuses.entry(*code).or_default();
            *sum = sum.saturating_add(*more);
        }
    }
}

/// What the failures of a phase said of themselves.
fn messages(phase: &PhaseTelemetry) -> Vec<FailureMessage> {
    let details = phase.failure_details().iter();
    let told = details.map(|(failure, message)| {
        let cause = match failure {
            Failure::NotConnected => "not_connected".to_owned(),
            Failure::TimedOut => "timed_out".to_owned(),
            Failure::Broken => "broken".to_owned(),
            Failure::Malformed => "malformed".to_owned(),
            Failure::Status(code) => format!("status_{code}"),
        };
        FailureMessage { cause, message: message.clone() }
    });
    told.collect()
}

/// A device's runs that count, in the order in which they began.
pub(super) struct Runs<'a> {
    pub(super) boots: Vec<&'a Boot>,
    /// What is open is whole as of its last snapshot.
    pub(super) settled: bool,
}

/// What the boots of a device told of a phase.
type Views<'a> = Vec<(&'a Boot, &'a PhaseTelemetry)>;

/// Whether devices ran a phase at the same time.
fn overlap<'v, 'a: 'v>(devices: impl Iterator<Item = &'v Views<'a>>) -> OverlapSummary {
    let windows = |views: &Views<'_>| views.iter().filter_map(|(boot, phase)| boot.host_window(phase)).collect();
    OverlapSummary::of(&devices.map(windows).collect::<Vec<_>>())
}

/// What there is to say of the phases of a run.
pub(super) struct Phases {
    /// Of each phase: all devices together first, then each, in the order in which a run has its phases.
    pub(super) summaries: Vec<PhaseSummary>,
    /// Of each phase of each device.
    pub(super) validity: Vec<Finding>,
    /// Metrics that could not be merged, a sentence each.
    pub(super) mixed: BTreeSet<String>,
}

pub(super) fn phases(runs: &[Runs<'_>], devices: &[DeviceSummary]) -> Phases {
    // The place of a phase among those of its device orders the phases of different devices as well.
    let mut by_phase: BTreeMap<Key, BTreeMap<usize, Views<'_>>> = BTreeMap::new();
    for (device, Runs { boots, .. }) in runs.iter().enumerate() {
        for (boot, phase) in boots.iter().flat_map(|boot| boot.phases().map(move |phase| (*boot, phase))) {
            by_phase.entry(Key::of(phase)).or_default().entry(device).or_default().push((boot, phase));
        }
    }
    let (mut summaries, mut validity, mut mixed) = (Vec::new(), Vec::new(), BTreeSet::new());
    // One phase after the other, as its histograms take much memory while they are merged.
    for (key, parts) in by_phase {
        let one = parts.values().flatten().next();
        let kind = one.and_then(|(_, phase)| phase.stats()).map(|stats| stats.kind);
        let mut all = Merged::new(Timing::Concurrent, kind);
        let mut of_devices = Vec::new();
        for (device, views) in &parts {
            let mut part = Merged::new(Timing::Sequential, kind);
            for (boot, phase) in views {
                part.add(*device, boot, phase, runs.get(*device).is_some_and(|runs| runs.settled));
            }
            all.merge(&part, parts.len() > 1);
            let summary = part.summary(&key, devices.get(*device).map(|device| device.id.clone()));
            validity.extend(validity::findings(&summary, views));
            of_devices.push(summary);
        }
        mixed.extend(all.metrics.mixed().map(|metric| {
            format!("{metric} has one unit on one device or boot and another on the other: its values are not merged")
        }));
        let overlap = (parts.len() > 1).then(|| overlap(parts.values()));
        summaries.push(all.summary(&key, None).with_overlap(overlap));
        summaries.append(&mut of_devices);
    }
    Phases { summaries, validity, mixed }
}

#[expect(clippy::cast_precision_loss, reason = "a rate for display")]
fn nanohertz(rate: u128) -> f64 {
    rate as f64 / 1e9
}
