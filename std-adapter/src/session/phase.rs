//! What was told of one phase.

use std::borrow::Cow;
use std::collections::BTreeMap;

use phasemeter_core::outcome::{Failure, Failures};
use phasemeter_core::phase::{PhaseCounts, PhaseState, PhaseStats};
use phasemeter_core::plan::{PhaseKind, PhasePlan};
use phasemeter_core::telemetry::{Buckets, FailureDetail, MAX_DETAIL, MetricTotals, PhaseReport};
use phasemeter_core::time::Instant;

use super::counts::NotKept;
use super::host_time::{Arrivals, HostWindow};
use super::limits::{HostHistogram, MAX_PHASE_DETAILS, Room};
use super::mirror::{Fault, Mirror};
use super::missing::PhaseLack;
use super::problem::Problem;
use crate::text::printable;

/// One phase as far as it was told of. It is named by its place in its boot; kind, name and instance are told with it.
#[derive(Debug, Default)]
pub struct PhaseTelemetry {
    index: u16,
    /// The newest report, with the number of its frame.
    report: Option<(u64, PhaseReport)>,
    /// The newest failures, with the number of their frame.
    failures: Option<(u64, Failures)>,
    plan: Option<PhasePlan>,
    /// The first of each kind that came, printable.
    details: Vec<(Failure, String)>,
    /// By the metric's id.
    metrics: BTreeMap<u8, Mirror>,
    /// The sum of the samples in the last whole snapshots.
    observed: u128,
    arrivals: Arrivals,
    /// It is over and everything about it has come: nothing changes any more.
    whole: bool,
    /// Its numbers are all there and are impossible: it will not be whole.
    refused: bool,
}

impl PhaseTelemetry {
    pub(super) fn new(index: u16) -> Self {
        Self { index, ..Self::default() }
    }

    /// Its place in the run, from 0.
    pub fn index(&self) -> u16 {
        self.index
    }

    /// Its states, times and counts; `None` if only its histograms or failures came.
    pub fn stats(&self) -> Option<&PhaseStats> {
        self.report.as_ref().map(|(_, report)| &report.stats)
    }

    /// What it is called: its kind, or what the firmware calls it, or its place as long as that is all there is.
    pub fn name(&self) -> Cow<'static, str> {
        match self.stats() {
            Some(stats) if stats.kind != PhaseKind::Monitor => stats.kind.name().into(),
            Some(stats) if !stats.label.as_str().is_empty() => printable(stats.label.as_str()).into(),
            _ => format!("phase #{}", self.index).into(),
        }
    }

    /// Its failed requests by cause, as far as they belong to its counts.
    pub fn failures(&self) -> Option<&Failures> {
        let (_, failures) = self.failures.as_ref()?;
        // Newer ones than the counts would add up to more errors than there are.
        self.stats().filter(|stats| failures.total() <= stats.counts.errors).map(|_| failures)
    }

    /// What was planned for it, as the device tells; `None` until it came. Text in it is the device's own.
    pub fn plan(&self) -> Option<&PhasePlan> {
        self.plan.as_ref()
    }

    /// What failures said of themselves, in printable text: the first of each kind, as far as a device told; at most 16.
    pub fn failure_details(&self) -> &[(Failure, String)] {
        &self.details
    }

    /// Its metrics by id: those of which anything came.
    pub fn metrics(&self) -> impl Iterator<Item = (u8, &Mirror)> {
        self.metrics.iter().map(|(id, mirror)| (*id, mirror))
    }

    /// The last whole snapshot of the metric of this id. It is put together anew: ask once.
    pub fn histogram(&self, metric: u8) -> Option<Box<HostHistogram>> {
        self.metrics.get(&metric)?.histogram()
    }

    /// How many samples the last whole snapshots hold.
    pub fn observed(&self) -> u64 {
        u64::try_from(self.observed).unwrap_or(u64::MAX)
    }

    /// How many samples there are, as far as any frame told.
    pub fn expected(&self) -> u64 {
        let told = self.metrics.values().map(Mirror::expected).fold(0, u64::saturating_add);
        self.report.as_ref().map_or(0, |(_, report)| report.samples).max(told)
    }

    /// Whether the phase is over.
    pub fn is_over(&self) -> bool {
        self.stats().is_some_and(|stats| stats.state == PhaseState::Complete)
    }

    /// Whether the phase is over, and every sample and every failure that it told of has come.
    pub fn is_whole(&self) -> bool {
        self.whole
    }

    /// Whether everything about the phase has come; of one that is still open, up to its last snapshot.
    pub(super) fn check(&self, may_be_open: bool) -> Result<(), PhaseLack> {
        if self.refused {
            return Err(PhaseLack::Impossible);
        }
        if self.whole {
            return Ok(());
        }
        let Some(stats) = self.stats() else { return Err(PhaseLack::Report) };
        if self.is_over() {
            let errors = stats.counts.errors;
            let known = self.failures().map_or(0, Failures::total);
            return Err(if self.observed() == self.expected() {
                PhaseLack::Failures { known, errors }
            } else {
                PhaseLack::Samples { observed: self.observed(), expected: self.expected() }
            });
        }
        if !may_be_open {
            return Err(PhaseLack::End(stats.state));
        }
        match self.metrics.values().find(|mirror| !mirror.is_current() || !mirror.is_sound()) {
            None => Ok(()),
            Some(_) => Err(PhaseLack::Samples { observed: self.observed(), expected: self.expected() }),
        }
    }

    pub(super) fn host_window(&self, offset: i128) -> Option<HostWindow> {
        self.arrivals.window(self.stats()?, offset)
    }

    /// The newest report, of this device time, arrived at this host time.
    pub(super) fn arrived(&mut self, uptime: Instant, at_ns: u64) {
        if let Some((_, report)) = &self.report {
            self.arrivals.take(&report.stats, uptime, at_ns);
        }
    }

    /// Takes a report; tells whether it is news.
    pub(super) fn take_report(&mut self, number: u64, report: &PhaseReport) -> Result<bool, Problem> {
        if !is_possible(report) {
            return Err(Problem::PhaseImpossible(self.index));
        }
        if self.plan.as_ref().is_some_and(|plan| plan.kind != report.stats.kind) {
            return Err(Problem::PlanChanged(self.index));
        }
        if let Some((at, known)) = &self.report {
            if !is_same(&known.stats, &report.stats) {
                return Err(Problem::PhaseChanged(self.index));
            }
            let (first, later) = if number < *at { (report, known) } else { (known, report) };
            if !may_become(first, later) || (number == *at && !may_become(later, first)) {
                return Err(Problem::PhaseFalls(self.index));
            }
            if number <= *at {
                return Ok(false);
            }
        }
        self.report = Some((number, *report));
        self.settle()?;
        Ok(true)
    }

    pub(super) fn take_failures(&mut self, number: u64, failures: &Failures) -> Result<(), Problem> {
        if let Some((at, known)) = &self.failures {
            let (first, later) = if number < *at { (failures, known) } else { (known, failures) };
            if !may_fail(first, later) {
                return Err(Problem::PhaseFalls(self.index));
            }
            if number <= *at {
                return Ok(());
            }
        }
        if self.is_over() && self.stats().is_some_and(|stats| failures.total() > stats.counts.errors) {
            return Err(Problem::PhaseFalls(self.index));
        }
        self.failures = Some((number, failures.clone()));
        self.settle()
    }

    /// Takes the plan; the first one that came stays.
    pub(super) fn take_plan(&mut self, plan: &PhasePlan) -> Result<(), Problem> {
        let is_known = self.plan.as_ref().is_none_or(|known| known == plan);
        if !is_known || self.stats().is_some_and(|stats| stats.kind != plan.kind) {
            return Err(Problem::PlanChanged(self.index));
        }
        self.plan.get_or_insert_with(|| plan.clone());
        Ok(())
    }

    /// Takes the words of a failure, if they are the first of their kind and there is room for them. Nothing depends on it.
    pub(super) fn take_detail(&mut self, told: &FailureDetail<'_>, room: &mut Room) {
        let FailureDetail { failure, detail, .. } = *told;
        let is_known = self.details.iter().any(|(known, _)| *known == failure);
        if !is_known && self.details.len() < MAX_PHASE_DETAILS && room.details > 0 {
            room.details -= 1;
            let detail = detail.get(..detail.floor_char_boundary(MAX_DETAIL)).unwrap_or(detail);
            self.details.push((failure, printable(detail)));
        }
    }

    pub(super) fn take_buckets(&mut self, number: u64, buckets: &Buckets<'_>, room: &mut Room) -> Result<(), Problem> {
        if self.whole {
            return Ok(());
        }
        let taken = self.with_mirror(buckets.metric, |mirror| mirror.set(number, buckets, room));
        taken.and_then(|()| self.settle())
    }

    pub(super) fn take_totals(
        &mut self,
        number: u64,
        told: &MetricTotals,
        unbroken: bool,
        room: &mut Room,
    ) -> Result<(), Problem> {
        let MetricTotals { metric, ref totals, ref lag1, .. } = *told;
        if self.whole {
            // What is whole is final: no more is told than was, and less only late.
            let is_past =
                self.metrics.get(&metric).map_or(totals.count == 0, |mirror| mirror.may_have_been(totals, lag1));
            return if is_past { Ok(()) } else { Err(Problem::HistogramFalls(self.index, metric)) };
        }
        self.with_mirror(metric, |mirror| mirror.commit(number, totals, lag1, unbroken, room))?;
        self.settle()
    }

    fn with_mirror(&mut self, metric: u8, act: impl FnOnce(&mut Mirror) -> Result<(), Fault>) -> Result<(), Problem> {
        let mirror = self.metrics.entry(metric).or_default();
        let before = mirror.observed();
        let done = act(mirror);
        self.observed = self.observed + u128::from(mirror.observed()) - u128::from(before);
        let index = self.index;
        done.map_err(|fault| match fault {
            Fault::Malformed | Fault::NotKept(NotKept::NoBucket) => Problem::HistogramImpossible(index, metric),
            Fault::Order => Problem::OrderImpossible(index, metric),
            Fault::Falls => Problem::HistogramFalls(index, metric),
            Fault::NotKept(NotKept::TooWide) => Problem::HistogramTooWide(index, metric),
            Fault::NotKept(NotKept::NoRoom) => Problem::TooManyBuckets,
        })
    }

    /// Looks whether the phase is over and whole. Counts only grow, so each that was observed is at most the final one:
    /// equal sums mean equal parts.
    fn settle(&mut self) -> Result<(), Problem> {
        let Some((_, PhaseReport { stats, samples, .. })) = &self.report else { return Ok(()) };
        if self.whole || self.refused || stats.state != PhaseState::Complete || self.observed != u128::from(*samples) {
            return Ok(());
        }
        if self.failures.as_ref().map_or(0, |(_, failures)| failures.total()) != stats.counts.errors {
            return Ok(());
        }
        // Looked at once: a device that is at fault cannot have it done over and over.
        match self.metrics.iter().find(|(_, mirror)| !mirror.is_sound()) {
            None => self.whole = true,
            Some((&metric, _)) => {
                self.refused = true;
                return Err(Problem::HistogramImpossible(self.index, metric));
            }
        }
        Ok(())
    }
}

/// Counts that add up, and times in order.
fn is_possible(report: &PhaseReport) -> bool {
    let stats = &report.stats;
    let times = [stats.started_at, stats.sending_complete_at, stats.completed_at];
    let PhaseStats { sends, counts, .. } = stats;
    counts.is_consistent()
        && sends.is_possible(counts.sent)
        && (counts.sent == 0 || stats.started_at.is_none_or(|start| start <= sends.first))
        && stats.sending_complete_at.is_none_or(|end| sends.last <= end)
        && times.iter().flatten().is_sorted()
        && times.is_sorted_by_key(Option::is_none)
        && times.iter().flatten().count() == stats.state as usize
        && (stats.state < PhaseState::Complete || counts.in_flight() == 0)
}

/// Whether both are reports of one phase: what never changes is equal, as far as it is known.
fn is_same(a: &PhaseStats, b: &PhaseStats) -> bool {
    let agree = |a: Option<_>, b: Option<_>| a.is_none() || b.is_none() || a == b;
    (a.kind, a.label, a.instance) == (b.kind, b.label, b.instance)
        && agree(a.started_at, b.started_at)
        && agree(a.sending_complete_at, b.sending_complete_at)
        && agree(a.completed_at, b.completed_at)
}

/// Whether a phase of the first report can have the second one later.
fn may_become(first: &PhaseReport, later: &PhaseReport) -> bool {
    let (a, b) = (&first.stats, &later.stats);
    if a.state == PhaseState::Complete {
        return a == b && first.samples == later.samples;
    }
    let of = |PhaseCounts { sent, completed, errors, cancelled, unsent, held, .. }: PhaseCounts| {
        [sent, completed, errors, cancelled, unsent, held]
    };
    let is_exact = a.state == PhaseState::SendingComplete && !a.counts.unsent_at_least;
    let unsent = |stats: &PhaseStats| (stats.counts.unsent, stats.counts.unsent_at_least);
    a.state <= b.state
        && of(a.counts).iter().zip(of(b.counts)).all(|(count, later)| *count <= later)
        && (!is_exact || unsent(a) == unsent(b))
        && (a.counts.sent == 0 || a.sends.first == b.sends.first)
        && a.sends.last <= b.sends.last
        && a.sends.squared_gaps <= b.sends.squared_gaps
        && a.timed_out <= b.timed_out
        && a.cancelled <= b.cancelled
        && first.samples <= later.samples
}

/// Whether a phase of the first failures can have the second ones later.
fn may_fail(first: &Failures, later: &Failures) -> bool {
    let of = |failures: &Failures| {
        let Failures { not_connected, timed_out, broken, malformed, other_statuses, .. } = *failures;
        [not_connected, timed_out, broken, malformed, other_statuses]
    };
    let mut statuses = first.statuses.iter().zip(&later.statuses);
    of(first).iter().zip(of(later)).all(|(count, later)| *count <= later)
        && first.statuses.len() <= later.statuses.len()
        && statuses.all(|((code, count), (later_code, later))| code == later_code && count <= later)
}
