//! The device's side of the protocol: which frames are due, from the live phase to the transmit queue.

mod make;

use super::config::{Identity, TelemetryConfig, nonce};
use super::encode::Outgoing;
use super::frame::{Finished, Mode};
use super::queue::{Numbering, TxQueue};
use super::snapshot::Progress;
use crate::meter::Meter;
use crate::metric::Metric;
use crate::phase::PhaseState;
use crate::plan::PhasePlan;
use crate::time::{Duration, Instant};

/// What the hello says of the run. The default is that there is none.
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct RunFacts {
    pub(crate) mode: Mode,
    pub(crate) plan_hash: u64,
    pub(crate) phases: u16,
}

/// When to look again for room for what could not be reported.
const RETRY_EVERY: Duration = Duration::from_millis(10);

/// When to look again at a line that has to take something first.
pub(crate) const LINE_RETRY: Duration = Duration::from_micros(500);

/// Between the metrics of a snapshot: the load gets its turn.
const METRIC_EVERY: Duration = Duration::from_millis(1);

/// Turns the live phase into frames, at its own pace: the load never waits for the line.
///
/// A report that is due and does not fit in the queue is counted and left out; the next one says the same and more. Only
/// at the end of a phase does anything have to be sent.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct Reporter<'a, const M: usize> {
    identity: Identity<'a>,
    /// The metric table, in two parts.
    tables: [&'a [Metric<'a>]; 2],
    config: TelemetryConfig,
    facts: RunFacts,
    numbering: Numbering,
    /// Values that came outside of any phase.
    outside: u64,
    skipped: u32,
    /// When something is due next, unless the phase moves on before.
    next_due: Instant,
    next_hello: Instant,
    /// How much of the hello and the metric table was told: nothing at 0, then the hello, then metric by metric.
    introduced: u8,
    next_report: Instant,
    next_snapshot: Instant,
    snapshots: u16,
    /// The phase and the state that were reported last.
    reported: Option<(u16, PhaseState)>,
    /// How far the snapshot of each metric has come.
    progress: [Progress; M],
    /// How many metrics the current snapshot is done with. A snapshot that found no room goes on where it stopped, so
    /// that every metric gets its turn however small the queue is.
    metrics_done: usize,
    /// The plan of the current phase was told since the last hello.
    is_plan_told: bool,
    /// The phase and the number of failures that were told of and whose report is yet to follow.
    failures_told: Option<(u16, u64)>,
    /// How many times the end of the current phase is still to be sent; `None` until it has ended.
    finals_left: Option<u8>,
    /// How many times the end of the run is still to be sent.
    finished_left: u8,
    /// A host acknowledges what it has received.
    expects_acknowledgement: bool,
    /// When the end of the phase, or of the run, may be sent again.
    next_final: Instant,
}

impl<'a, const M: usize> Reporter<'a, M> {
    #[expect(clippy::cast_possible_truncation, reason = "a meter has at most 32 metrics")]
    const METRICS: u8 = M as u8;

    /// A reporter that begins with a hello at its first poll.
    pub(crate) fn new(identity: Identity<'a>, tables: [&'a [Metric<'a>]; 2], config: TelemetryConfig) -> Self {
        let mut reporter = Self {
            identity,
            tables,
            config,
            facts: RunFacts::default(),
            numbering: Numbering { boot: 0, sequence: 0 },
            outside: 0,
            skipped: 0,
            next_due: Instant::BOOT,
            next_hello: Instant::BOOT,
            introduced: 0,
            next_report: Instant::BOOT,
            next_snapshot: Instant::BOOT,
            snapshots: 0,
            reported: None,
            progress: const { [Progress::START; M] },
            metrics_done: M,
            is_plan_told: false,
            failures_told: None,
            finals_left: None,
            finished_left: 0,
            expects_acknowledgement: false,
            next_final: Instant::BOOT,
        };
        reporter.begin(0, false);
        reporter
    }

    /// Begins a boot: that of this number since the device's own. A host that has asked for its run acknowledges the
    /// ends: they are sent until it does, a bounded number of times.
    pub(crate) fn begin(&mut self, run: u16, expects_acknowledgement: bool) {
        self.numbering = Numbering { boot: nonce(self.identity.boot_id, run), sequence: 0 };
        self.skipped = 0;
        self.identify();
        (self.next_report, self.next_snapshot) = (Instant::BOOT, Instant::BOOT);
        (self.reported, self.failures_told) = (None, None);
        self.expects_acknowledgement = expects_acknowledgement;
        self.finished_left = self.attempts();
        self.next_final = Instant::BOOT;
    }

    /// How often an end is sent at most.
    fn attempts(&self) -> u8 {
        let TelemetryConfig { final_attempts, final_repeats, .. } = self.config;
        if self.expects_acknowledgement { final_attempts } else { final_repeats }.max(1)
    }

    pub(crate) const fn identity(&self) -> &Identity<'a> {
        &self.identity
    }

    pub(crate) const fn config(&self) -> &TelemetryConfig {
        &self.config
    }

    /// Says this of the run from the next hello on.
    pub(crate) const fn describe(&mut self, facts: RunFacts) {
        self.facts = facts;
    }

    /// Counts a value that came outside of any phase.
    pub(crate) const fn count_outside(&mut self) {
        self.outside = self.outside.saturating_add(1);
    }

    /// The host has received everything about the end of this phase, or with `None`, of the run: it is not sent again.
    pub(crate) fn acknowledge(&mut self, boot: u32, phase: Option<u16>) {
        match (phase, self.reported) {
            _ if boot != self.numbering.boot => {}
            // Of the run only once its end was told.
            (None, _) if self.finished_left < self.attempts() => self.finished_left = 0,
            (Some(phase), Some((reported, PhaseState::Complete))) if phase == reported => {
                self.finals_left = Some(0);
                self.next_final = Instant::BOOT;
            }
            _ => {}
        }
    }

    /// The host has missed something: the next poll says hello and sends all buckets of the phase.
    pub(crate) fn resend<const N: usize>(&mut self, meter: &mut Meter<M, N>) {
        self.identify();
        self.next_snapshot = Instant::BOOT;
        self.next_final = Instant::BOOT;
        self.restart(meter);
    }

    /// The host has asked who this is: the next poll says hello.
    pub(crate) const fn identify(&mut self) {
        self.next_hello = Instant::BOOT;
        self.next_due = Instant::BOOT;
    }

    /// How many reports were due and found no room in the queue.
    pub(crate) const fn skipped(&self) -> u32 {
        self.skipped
    }

    /// When the next report is due, if nothing happens before.
    pub(crate) const fn next_due(&self) -> Instant {
        self.next_due
    }

    /// Whether something is to be reported now.
    #[inline]
    pub(crate) fn is_due<const N: usize>(&self, now: Instant, meter: &Meter<M, N>) -> bool {
        let stats = meter.stats();
        now >= self.next_due || self.reported != Some((stats.index, stats.state))
    }

    /// Whether everything about the phase at this place, which has ended, is in the queue or was acknowledged.
    pub(crate) fn is_phase_reported(&self, index: u16) -> bool {
        self.reported == Some((index, PhaseState::Complete)) && self.finals_left == Some(0)
    }

    /// Whether the end of the run is in the queue, [`TelemetryConfig::final_repeats`] times, or was acknowledged.
    pub(crate) const fn is_run_reported(&self) -> bool {
        self.finished_left == 0
    }

    /// Says hello if that is due, and tells the metric table. Nothing of the phase goes before that: smaller frames would
    /// take its room for ever.
    #[inline(never)]
    pub(crate) fn hello<const Q: usize>(&mut self, now: Instant, capacity: usize, queue: &mut TxQueue<Q>) {
        let is_due = now >= self.next_hello;
        if is_due {
            self.next_hello = now.saturating_add(self.config.hello_every);
            self.introduced = 0;
            self.is_plan_told = false;
        }
        if self.introduced == 0 {
            if !self.tell_hello(now, capacity, queue) {
                // It is tried again and again, and was skipped once.
                self.skipped = self.skipped.saturating_add(u32::from(is_due));
                return;
            }
            self.introduced = 1;
        }
        while let Some(first) = self.introduced.checked_sub(1).filter(|first| *first < Self::METRICS) {
            let Some(next) = self.tell_metrics(now, first, queue) else { return };
            self.introduced = next + 1;
        }
    }

    /// Puts the frames about the live phase that are due into the queue, if there is one; one of a plan comes with that.
    /// Never waits. Call it after [`Reporter::hello`]: it finds out when something is due next.
    ///
    /// A snapshot takes a poll for each metric, and walks the changed parts of its histogram.
    #[inline(never)]
    pub(crate) fn report<const N: usize, const Q: usize>(
        &mut self,
        now: Instant,
        live: Option<(&mut Meter<M, N>, Option<&PhasePlan>)>,
        queue: &mut TxQueue<Q>,
    ) {
        let retry = now.saturating_add(RETRY_EVERY);
        if self.introduced <= Self::METRICS {
            self.next_due = retry;
            return;
        }
        self.next_due = self.next_hello;
        if let Some((meter, plan)) = live {
            self.report_phase(now, meter, plan, queue);
            let next = match self.finals_left {
                None => self.next_report.min(self.next_snapshot),
                Some(0) => Instant::MAX,
                // The line may be stuck.
                Some(_) => self.next_final.max(now.saturating_add(LINE_RETRY)),
            };
            self.next_due = self.next_due.min(next);
        }
    }

    fn report_phase<const N: usize, const Q: usize>(
        &mut self,
        now: Instant,
        meter: &mut Meter<M, N>,
        plan: Option<&PhasePlan>,
        queue: &mut TxQueue<Q>,
    ) {
        let (index, state) = (meter.stats().index, meter.stats().state);
        if self.reported != Some((index, state)) {
            if self.reported.is_none_or(|(reported, _)| reported != index) {
                self.progress.fill(Progress::START);
                self.metrics_done = M;
                self.finals_left = None;
                self.is_plan_told = false;
            }
            // A transition is news: it is reported as soon as there is room, and nothing of the phase goes before it.
            if state == PhaseState::Created || !self.tell_phase(now, meter, queue) {
                return self.hold_up(now);
            }
            self.reported = Some((index, state));
            self.next_report = now.saturating_add(self.config.report_every);
        } else if now >= self.next_report {
            self.next_report = now.saturating_add(self.config.report_every);
            if state != PhaseState::Complete && !self.tell_phase(now, meter, queue) {
                self.skipped = self.skipped.saturating_add(1);
            }
        }
        // Smaller frames would take its room for ever.
        if let Some(plan) = plan
            && !self.is_plan_told
        {
            self.is_plan_told = self.line(now, queue).push(&Outgoing::PhasePlanned { index, phase: plan });
            if !self.is_plan_told {
                return self.hold_up(now);
            }
        }
        match state {
            PhaseState::Complete => self.finals(now, meter, queue),
            PhaseState::Started | PhaseState::SendingComplete if now >= self.next_snapshot => {
                if self.metrics_done == M {
                    self.metrics_done = 0;
                    self.snapshots = self.snapshots.wrapping_add(1);
                    if self.snapshots.checked_rem(self.config.keyframe_every) == Some(0) {
                        self.restart(meter);
                    }
                }
                let fitted = self.next_metric(now, meter, queue);
                let is_part = fitted && self.metrics_done < M;
                self.next_snapshot =
                    now.saturating_add(if is_part { METRIC_EVERY } else { self.config.snapshot_every });
                self.skipped = self.skipped.saturating_add(u32::from(!fitted));
            }
            PhaseState::Created | PhaseState::Started | PhaseState::SendingComplete => {}
        }
    }

    /// There was no room: what else is due of the phase waits as well.
    fn hold_up(&mut self, now: Instant) {
        let retry = now.saturating_add(RETRY_EVERY);
        self.next_report = self.next_report.max(retry);
        self.next_snapshot = self.next_snapshot.max(retry);
    }

    /// Says that the run is over, once its last phase was reported; to be called until [`Reporter::is_run_reported`].
    #[inline(never)]
    pub(crate) fn finish<const Q: usize>(
        &mut self,
        now: Instant,
        phases: u16,
        cancelled: bool,
        queue: &mut TxQueue<Q>,
    ) {
        let finished = Finished { phases, cancelled, skipped: self.skipped };
        while self.finished_left > 0
            && now >= self.next_final
            && self.line(now, queue).push(&Outgoing::Finished(&finished))
        {
            self.finished_left -= 1;
            self.hold_back(now);
        }
    }

    /// Sends all buckets and the report of a phase that has ended, as often as configured, as far as there is room.
    fn finals<const N: usize, const Q: usize>(
        &mut self,
        now: Instant,
        meter: &mut Meter<M, N>,
        queue: &mut TxQueue<Q>,
    ) {
        if self.finals_left.is_none() {
            self.finals_left = Some(self.attempts());
            self.next_final = Instant::BOOT;
            self.restart(meter);
        }
        while let Some(left @ 1..) = self.finals_left {
            if now < self.next_final {
                return;
            }
            if !self.snapshot(now, meter, queue) || !self.tell_phase(now, meter, queue) {
                return;
            }
            self.finals_left = Some(left - 1);
            self.hold_back(now);
            self.restart(meter);
        }
    }

    /// What was just sent is not sent again before the host had time to acknowledge it.
    fn hold_back(&mut self, now: Instant) {
        if self.expects_acknowledgement {
            self.next_final = now.saturating_add(self.config.acknowledge_within);
        }
    }
}
