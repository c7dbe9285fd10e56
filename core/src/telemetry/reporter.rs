//! The device's side of the protocol: which frames are due, from the live phase to the transmit queue.

use heapless::Vec;

use super::control::Control;
use super::frame::{Envelope, Finished, Frame, Hello, MAX_ID, PhaseReport, VERSION};
use super::queue::TxQueue;
use super::snapshot::Progress;
use crate::hook::PhaseHook;
use crate::meter::{METRICS, Meter, Metric, MetricView, PerMetric};
use crate::phase::PhaseState;
use crate::runner::Runner;
use crate::time::Nanos;

/// Who the device is. Strings beyond [`MAX_ID`] bytes are cut.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Identity<'a> {
    /// Names the device; the same after every boot.
    pub device_id: &'a str,
    /// Differs from boot to boot: random, or a counter in flash.
    pub boot_id: u64,
    /// The firmware's name.
    pub firmware: &'a str,
    /// The firmware's version.
    pub firmware_version: &'a str,
    /// The resolution of the device's clock, in ticks a second.
    pub clock_hz: u32,
}

/// How often what is reported. The defaults suit a line of 115,200 baud.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ReporterConfig {
    /// Between two hellos.
    pub hello_every: Nanos,
    /// Between two reports of a phase, apart from its transitions.
    pub report_every: Nanos,
    /// Between two snapshots of the histograms: what changed since the last.
    pub snapshot_every: Nanos,
    /// Each so many snapshots, all buckets are sent and not only what changed.
    pub keyframe_every: u16,
    /// How often the final snapshot of a phase, and the end of the run, are sent; zero means once. On a lossless line
    /// once suffices.
    pub final_repeats: u8,
    /// With a host that acknowledges the end of each phase and of the run: how often it is sent at most,
    pub final_attempts: u8,
    /// and how long after it was sent it is sent again.
    pub acknowledge_within: Nanos,
}

impl Default for ReporterConfig {
    fn default() -> Self {
        Self {
            hello_every: Nanos::from_secs(1),
            report_every: Nanos::from_millis(250),
            snapshot_every: Nanos::from_millis(500),
            keyframe_every: 16,
            final_repeats: 2,
            final_attempts: 8,
            acknowledge_within: Nanos::from_millis(500),
        }
    }
}

/// When to look again for room for what could not be reported.
const RETRY_EVERY: Nanos = Nanos::from_millis(10);

/// Between the metrics of a snapshot: the load gets its turn.
const METRIC_EVERY: Nanos = Nanos::from_millis(1);

/// Turns the live phase into frames, at its own pace: the load never waits for the line.
///
/// Call [`Reporter::poll`] after every [`Runner::poll`]. A report that is due and does not fit in the queue is counted
/// and left out; the next one says the same and more. Only at the end of a phase does anything have to be sent:
/// call [`Runner::next_phase`] once [`Reporter::is_phase_reported`], and stop once [`Reporter::is_run_reported`].
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Reporter<'a> {
    identity: Identity<'a>,
    config: ReporterConfig,
    sequence: u32,
    skipped: u32,
    next_hello: Nanos,
    next_report: Nanos,
    next_snapshot: Nanos,
    snapshots: u16,
    /// The phase and the state that were reported last.
    reported: Option<(u16, PhaseState)>,
    /// How far the snapshot of each metric has come.
    progress: PerMetric<Progress>,
    /// How many metrics the current snapshot is done with. A snapshot that found no room goes on where it stopped, so
    /// that every metric gets its turn however small the queue is.
    metrics_done: usize,
    /// How many times the end of the current phase is still to be sent; `None` until it has ended.
    finals_left: Option<u8>,
    /// How many times the end of the run is still to be sent.
    finished_left: u8,
    /// A host acknowledges what it has received.
    expects_acknowledgement: bool,
    /// When the end of the phase, or of the run, may be sent again.
    next_final: Nanos,
}

impl<'a> Reporter<'a> {
    /// A reporter that begins with a hello at its first poll.
    pub const fn new(identity: Identity<'a>, mut config: ReporterConfig) -> Self {
        if config.final_repeats == 0 {
            config.final_repeats = 1;
        }
        Self {
            identity,
            config,
            sequence: 0,
            skipped: 0,
            next_hello: Nanos::ZERO,
            next_report: Nanos::ZERO,
            next_snapshot: Nanos::ZERO,
            snapshots: 0,
            reported: None,
            progress: PerMetric([Progress::START; METRICS]),
            metrics_done: METRICS,
            finals_left: None,
            finished_left: config.final_repeats,
            expects_acknowledgement: false,
            next_final: Nanos::ZERO,
        }
    }

    /// A host has asked for this run and acknowledges the ends: they are sent until it does, a bounded number of times.
    pub const fn expect_acknowledgement(&mut self) {
        self.expects_acknowledgement = true;
        self.next_hello = Nanos::ZERO;
        self.finished_left = self.config.final_attempts;
        if self.finished_left == 0 {
            self.finished_left = 1;
        }
    }

    /// The host has received everything about the end of this phase, or with `None`, of the run: it is not sent again.
    pub fn acknowledge(&mut self, phase: Option<u16>) {
        match (phase, self.reported) {
            // Of the run only once its end was told.
            (None, _) if self.next_final > Nanos::ZERO => self.finished_left = 0,
            (Some(phase), Some((reported, PhaseState::Complete))) if phase == reported => self.finals_left = Some(0),
            _ => {}
        }
    }

    /// The host has missed something: the next poll says hello and sends all buckets of the phase.
    pub fn resend<const N: usize, const P: usize, H: PhaseHook>(&mut self, runner: &mut Runner<N, P, H>) {
        self.next_hello = Nanos::ZERO;
        self.next_snapshot = Nanos::ZERO;
        self.next_final = Nanos::ZERO;
        self.restart(runner.meter_mut());
    }

    /// The host has asked who this is: the next poll says hello.
    pub const fn identify(&mut self) {
        self.next_hello = Nanos::ZERO;
    }

    /// Puts the answer to a command into the queue, if one is due and there is room. Call it before
    /// [`Reporter::poll`], which may fill the queue.
    pub fn answer<const S: usize, const Q: usize>(
        &mut self,
        now: Nanos,
        control: &mut Control<S>,
        queue: &mut TxQueue<Q>,
    ) {
        let mut line = Line { sequence: &mut self.sequence, now, queue };
        if let Some(answer) = control.due()
            && line.push(Frame::Answer(answer))
        {
            control.answered();
        }
    }

    /// Says hello while no run is under way: [`Reporter::poll`] without a runner. `N` is the capacity of the
    /// histograms to come.
    pub fn poll_idle<const N: usize, const Q: usize>(&mut self, now: Nanos, queue: &mut TxQueue<Q>) {
        if now >= self.next_hello {
            self.next_hello = now.saturating_add(self.config.hello_every);
            let hello = hello::<N>(&self.identity, 0, 0, self.skipped);
            let mut line = Line { sequence: &mut self.sequence, now, queue };
            line.push_or_skip(Frame::Hello(hello), &mut self.skipped);
        }
    }

    /// How many reports were due and found no room in the queue.
    pub const fn skipped(&self) -> u32 {
        self.skipped
    }

    /// When the next report is due, if nothing happens before: always later than the last poll.
    pub fn next_due(&self) -> Nanos {
        self.next_hello.min(self.next_report).min(self.next_snapshot)
    }

    /// Whether everything about a phase that has ended is in the queue, or was acknowledged.
    pub const fn is_phase_reported(&self) -> bool {
        matches!(self.finals_left, Some(0))
    }

    /// Whether the end of the run is in the queue, [`ReporterConfig::final_repeats`] times, or was acknowledged.
    pub const fn is_run_reported(&self) -> bool {
        self.finished_left == 0
    }

    /// Puts the frames that are due into the queue. Never waits.
    ///
    /// The cost is a comparison when nothing is due. A snapshot takes a poll for each metric, and walks the changed parts
    /// of its histogram.
    #[inline(never)]
    pub fn poll<const N: usize, const P: usize, const Q: usize, H: PhaseHook>(
        &mut self,
        now: Nanos,
        runner: &mut Runner<N, P, H>,
        queue: &mut TxQueue<Q>,
    ) {
        let mut line = Line { sequence: &mut self.sequence, now, queue };
        if now >= self.next_hello {
            self.next_hello = now.saturating_add(self.config.hello_every);
            let phases = u16::try_from(runner.plan().phases().len()).unwrap_or(u16::MAX);
            let hello = hello::<N>(&self.identity, runner.plan().content_hash(), phases, self.skipped);
            line.push_or_skip(Frame::Hello(hello), &mut self.skipped);
        }
        let stats = *runner.meter().stats();
        let seen = (stats.index, stats.state);
        if self.reported != Some(seen) {
            if self.reported.is_none_or(|(index, _)| index != stats.index) {
                self.progress = PerMetric([Progress::START; METRICS]);
                self.metrics_done = METRICS;
                self.finals_left = None;
            }
            // A transition is news: it is reported as soon as there is room, and nothing of the phase goes before it.
            if stats.state == PhaseState::Created || !line.push(report(runner.meter(), self.skipped)) {
                self.next_report = self.next_report.max(now.saturating_add(RETRY_EVERY));
                self.next_snapshot = self.next_snapshot.max(now.saturating_add(RETRY_EVERY));
                return;
            }
            self.reported = Some(seen);
            self.next_report = now.saturating_add(self.config.report_every);
        } else if now >= self.next_report {
            self.next_report = now.saturating_add(self.config.report_every);
            if stats.state != PhaseState::Complete {
                line.push_or_skip(report(runner.meter(), self.skipped), &mut self.skipped);
            }
        }
        match stats.state {
            PhaseState::Complete => {
                self.next_snapshot = self.next_snapshot.max(now.saturating_add(RETRY_EVERY));
                self.finals(now, runner.meter_mut(), queue);
            }
            PhaseState::Started | PhaseState::SendingComplete if now >= self.next_snapshot => {
                if self.metrics_done == METRICS {
                    self.metrics_done = 0;
                    self.snapshots = self.snapshots.wrapping_add(1);
                    if self.snapshots.checked_rem(self.config.keyframe_every) == Some(0) {
                        self.restart(runner.meter_mut());
                    }
                }
                let fitted = self.next_metric(now, runner.meter_mut(), queue);
                let is_part = fitted && self.metrics_done < METRICS;
                self.next_snapshot =
                    now.saturating_add(if is_part { METRIC_EVERY } else { self.config.snapshot_every });
                self.skipped = self.skipped.saturating_add(u32::from(!fitted));
            }
            PhaseState::Created | PhaseState::Started | PhaseState::SendingComplete => {}
        }
    }

    /// Says that the run is over, once its last phase was reported; poll it until [`Reporter::is_run_reported`].
    #[inline(never)]
    pub fn finish<const N: usize, const P: usize, const Q: usize, H: PhaseHook>(
        &mut self,
        now: Nanos,
        runner: &Runner<N, P, H>,
        queue: &mut TxQueue<Q>,
    ) {
        let stats = runner.meter().stats();
        // A run that was cancelled between two phases did not run the second.
        let phases = stats.index.saturating_add(u16::from(stats.state != PhaseState::Created));
        let frame = Frame::Finished(Finished { phases, cancelled: runner.is_cancelled(), skipped: self.skipped });
        let mut line = Line { sequence: &mut self.sequence, now, queue };
        while self.finished_left > 0 && now >= self.next_final && line.push(frame.clone()) {
            self.finished_left -= 1;
            if self.expects_acknowledgement {
                self.next_final = now.saturating_add(self.config.acknowledge_within);
            }
        }
    }

    /// Sends all buckets and the report of a phase that has ended, as often as configured, as far as there is room.
    fn finals<const N: usize, const Q: usize>(&mut self, now: Nanos, meter: &mut Meter<N>, queue: &mut TxQueue<Q>) {
        if self.finals_left.is_none() {
            let once =
                if self.expects_acknowledgement { self.config.final_attempts } else { self.config.final_repeats };
            self.finals_left = Some(once.max(1));
            self.next_final = Nanos::ZERO;
            self.restart(meter);
        }
        while let Some(left @ 1..) = self.finals_left {
            if now < self.next_final {
                return;
            }
            let whole = self.snapshot(now, meter, queue);
            let mut line = Line { sequence: &mut self.sequence, now, queue };
            if !whole || !line.push(report(meter, self.skipped)) {
                return;
            }
            self.finals_left = Some(left - 1);
            if self.expects_acknowledgement {
                self.next_final = now.saturating_add(self.config.acknowledge_within);
            }
            self.restart(meter);
        }
    }

    /// Has the next snapshot send all buckets of every metric.
    fn restart<const N: usize>(&mut self, meter: &mut Meter<N>) {
        self.metrics_done = 0;
        for (metric, progress) in self.progress.iter_mut() {
            *progress = Progress::START;
            *meter.metric_mut(metric).changed = u32::MAX;
        }
    }

    /// Sends what changed of every metric, as far as it fits; tells whether all of it did. The next call goes on where
    /// this one stopped.
    fn snapshot<const N: usize, const Q: usize>(
        &mut self,
        now: Nanos,
        meter: &mut Meter<N>,
        queue: &mut TxQueue<Q>,
    ) -> bool {
        while self.metrics_done < METRICS {
            if !self.next_metric(now, meter, queue) {
                return false;
            }
        }
        true
    }

    /// Sends what changed of the next metric that has changed; tells whether it fitted.
    fn next_metric<const N: usize, const Q: usize>(
        &mut self,
        now: Nanos,
        meter: &mut Meter<N>,
        queue: &mut TxQueue<Q>,
    ) -> bool {
        let phase = meter.stats().index;
        let first = self.sequence;
        let mut line = Line { sequence: &mut self.sequence, now, queue };
        for (metric, progress) in self.progress.iter_mut().skip(self.metrics_done) {
            let MetricView { histogram, changed } = meter.metric_mut(metric);
            if !progress.send(phase, metric, histogram, changed, &mut line) {
                return false;
            }
            self.metrics_done += 1;
            if *line.sequence != first {
                break;
            }
        }
        true
    }
}

/// Where frames go: each gets the next sequence number, if it fits.
pub(super) struct Line<'q, const Q: usize> {
    sequence: &'q mut u32,
    now: Nanos,
    queue: &'q mut TxQueue<Q>,
}

impl<const Q: usize> Line<'_, Q> {
    /// Puts the frame into the queue; tells whether it fitted.
    pub(super) fn push(&mut self, frame: Frame<'_>) -> bool {
        let envelope = Envelope { version: VERSION, sequence: *self.sequence, uptime: self.now, frame };
        let fitted = self.queue.push(&envelope);
        if fitted {
            *self.sequence = self.sequence.wrapping_add(1);
        }
        fitted
    }

    fn push_or_skip(&mut self, frame: Frame<'_>, skipped: &mut u32) {
        if !self.push(frame) {
            *skipped = skipped.saturating_add(1);
        }
    }
}

fn hello<'a, const N: usize>(identity: &Identity<'a>, plan_hash: u64, phases: u16, skipped: u32) -> Hello<'a> {
    Hello {
        device_id: cut(identity.device_id),
        boot_id: identity.boot_id,
        firmware: cut(identity.firmware),
        firmware_version: cut(identity.firmware_version),
        clock_hz: identity.clock_hz,
        plan_hash,
        phases,
        capacity: u16::try_from(N).unwrap_or(u16::MAX),
        counter_bits: 32,
        metrics: Metric::ALL.into_iter().map(Metric::name).collect(),
        skipped,
    }
}

fn report<const N: usize>(meter: &Meter<N>, skipped: u32) -> Frame<'static> {
    let samples: Vec<u64, _> = Metric::ALL.into_iter().map(|metric| meter.histogram(metric).count()).collect();
    Frame::Phase(PhaseReport { stats: *meter.stats(), samples, skipped })
}

/// At most the first [`MAX_ID`] bytes, cut between characters.
#[inline(never)]
fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(MAX_ID)).unwrap_or(text)
}
