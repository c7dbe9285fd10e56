//! The load generator of a device, without its input and output: the one way to drive a run.
//!
//! [`Device`] owns the plan, the live phase, the telemetry and the commands of a host. Its driver carries bytes and
//! times, and makes the requests:
//!
//! ```
#![doc = include_str!("../examples/device.rs")]
//! ```
//!
//! What a driver need not know: which report is due, what the host has asked or acknowledged, when the next phase may
//! begin, that each run is a boot of its own, and how long to wait for a line that takes nothing.

use embedded_io::{Write, WriteReady};

use crate::hook::PhaseHook;
use crate::meter::Meter;
use crate::metric::{LOAD_METRICS, LoadMetric, Metric};
use crate::outcome::{Failure, Outcome};
use crate::phase::{PhaseError, PhaseState};
use crate::plan::{PhasePlan, RunPlan};
use crate::request::Ticket;
use crate::runner::Runner;
pub use crate::runner::Step;
use crate::telemetry::{
    Control, DrainError, Identity, LINE_RETRY, Mode, Reason, Refusal, Request, RunFacts, TelemetryConfig, TxQueue,
    Uplink,
};
use crate::time::Instant;

/// The memory of a [`Device`]: `M` histograms of `N` buckets, a plan of `P` phases and `Q` bytes that wait for the line.
///
/// All its bytes are zero at first, so that one in static memory takes no flash. `M` is at least [`LOAD_METRICS`]. `Q` is at
/// least [`MAX_ENCODED`](crate::telemetry::MAX_ENCODED); 1 or 2 KB take a snapshot as a whole.
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Storage<const M: usize, const N: usize, const P: usize, const Q: usize> {
    runner: Runner<M, N, P>,
    control: Control,
    queue: TxQueue<Q>,
}

impl<const M: usize, const N: usize, const P: usize, const Q: usize> Storage<M, N, P, Q> {
    /// Memory that is not in use.
    pub const fn new() -> Self {
        const { assert!(M >= LOAD_METRICS, "a load generator has the metrics of `LoadMetric`") };
        const { Self { runner: Runner::idle(), control: Control::new(), queue: TxQueue::new() } }
    }
}

impl<const M: usize, const N: usize, const P: usize, const Q: usize> Default for Storage<M, N, P, Q> {
    fn default() -> Self {
        Self::new()
    }
}

/// A load generator: see the [module](self). `H` is told of its phases.
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Device<'a, const M: usize, const N: usize, const P: usize, const Q: usize, H = ()> {
    runner: &'a mut Runner<M, N, P>,
    control: &'a mut Control,
    uplink: Uplink<'a, M, Q>,
    hook: H,
    state: State,
    owes_report: bool,
    must_resend: bool,
    must_stop: bool,
}

/// Where in a run the device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum State {
    /// There is no run, or all about it was reported.
    Idle,
    /// The driver is yet to learn that a phase begins.
    BeforePhase,
    /// The driver knows the phase.
    InPhase,
    /// The driver knows that the phase has ended.
    AfterPhase,
}

impl<'a, const M: usize, const N: usize, const P: usize, const Q: usize, H: PhaseHook> Device<'a, M, N, P, Q, H> {
    /// A device that waits for a plan. Beside those of [`LoadMetric`] it has the metrics `own`, as many as the storage has
    /// room for.
    pub fn new(
        storage: &'a mut Storage<M, N, P, Q>,
        identity: Identity<'a>,
        own: &'a [Metric<'a>],
        config: TelemetryConfig,
        hook: H,
    ) -> Self {
        let Storage { runner, control, queue } = storage;
        *control = const { Control::new() };
        Self {
            runner,
            control,
            uplink: Uplink::new(queue, identity, [&LoadMetric::TABLE, own], config),
            hook,
            state: State::Idle,
            owes_report: false,
            must_resend: false,
            must_stop: false,
        }
    }

    /// Takes what came from the host. On a line with one direction it is never called.
    ///
    /// The cost is a few instructions a byte, and some thousands for a command.
    #[inline(never)]
    pub fn receive(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let plan = if self.is_running() { None } else { self.runner.plan_mut() };
            let Some(request) = self.control.receive(&mut bytes, plan) else { continue };
            match request {
                Request::Identify => self.uplink.reporter_mut().identify(),
                Request::Acknowledge { boot, phase } => self.uplink.reporter_mut().acknowledge(boot, phase),
                Request::Resend => self.must_resend = true,
                Request::Stop => self.must_stop = true,
                Request::Start => {}
            }
        }
    }

    /// Tells what to do next. `ready` says whether the driver can take a request now: has a free connection.
    ///
    /// The cost is a few comparisons when nothing is due, and at most that of one report: a walk over a histogram. After a
    /// [`Step::Send`] no report is made before the next poll, so that the request leaves first.
    #[inline(never)]
    pub fn poll(&mut self, now: Instant, ready: bool) -> Step {
        self.uplink.watch_line(now);
        if core::mem::take(&mut self.owes_report) && self.is_report_due(now) {
            self.report(now);
            return Step::WaitUntil(now);
        }
        if core::mem::take(&mut self.must_stop) {
            self.cancel(now);
        }
        let mut step = if self.control.is_asked() { Step::Asked } else { self.step(now, ready) };
        if let Step::Send(_) = step {
            self.owes_report = true;
            return step;
        }
        if self.control.due().is_some() {
            self.answer(now);
        }
        if self.is_report_due(now) {
            self.report(now);
        }
        if let Step::WaitUntil(due) = &mut step {
            *due = self.uplink.reporter().next_due().min(*due);
        }
        step
    }

    #[inline]
    fn step(&mut self, now: Instant, ready: bool) -> Step {
        match self.state {
            State::Idle => {
                if self.uplink.is_stuck(now) {
                    // Nobody listens. Whoever does later sees a frame that is cut off.
                    self.uplink.give_up();
                }
                Step::WaitUntil(Instant::MAX)
            }
            State::BeforePhase if self.runner.is_active() && !self.runner.is_cancelled() => {
                self.state = State::InPhase;
                Step::PhaseBegins
            }
            _ => {
                let step = self.runner.poll(now, ready, &mut self.hook);
                match step {
                    // The load goes on, whatever the line does.
                    Step::WaitUntil(_) => self.uplink.need_not_wait(now),
                    Step::PhaseEnded => return self.after_phase(now),
                    Step::Finished => return self.after_run(now),
                    _ => {}
                }
                step
            }
        }
    }

    /// The phase has ended: the next one begins once that is reported.
    #[inline(never)]
    fn after_phase(&mut self, now: Instant) -> Step {
        if core::mem::replace(&mut self.state, State::AfterPhase) != State::AfterPhase {
            return Step::PhaseEnded;
        }
        let index = self.runner.meter().stats().index;
        if !self.is_done(now, self.uplink.reporter().is_phase_reported(index)) {
            return Step::WaitUntil(now.saturating_add(LINE_RETRY));
        }
        self.runner.next_phase();
        self.state = State::BeforePhase;
        Step::WaitUntil(now)
    }

    /// The last phase is over, and so is the run once that is reported.
    #[inline(never)]
    fn after_run(&mut self, now: Instant) -> Step {
        if self.is_done(now, self.uplink.reporter().is_run_reported()) {
            self.uplink.reporter_mut().describe(RunFacts::default());
            self.state = State::Idle;
            return Step::Finished;
        }
        let stats = self.runner.meter().stats();
        // A run that was cancelled between two phases did not run the second.
        let phases = stats.index.saturating_add(u16::from(stats.state != PhaseState::Created));
        self.uplink.finish(now, phases, self.runner.is_cancelled());
        Step::WaitUntil(now.saturating_add(LINE_RETRY))
    }

    /// Whether there is something to report of now.
    #[inline]
    fn is_report_due(&self, now: Instant) -> bool {
        self.must_resend || self.uplink.reporter().is_due(now, self.runner.meter())
    }

    /// Whether what has to be reported was, or is given up.
    fn is_done(&mut self, now: Instant, is_reported: bool) -> bool {
        let is_stuck = !is_reported && self.uplink.is_stuck(now);
        if is_stuck {
            self.uplink.give_up();
            self.uplink.need_not_wait(now);
        }
        is_reported || is_stuck
    }

    #[inline(never)]
    fn answer(&mut self, now: Instant) {
        if let Some(answer) = self.control.due()
            && self.uplink.answer(now, answer)
        {
            self.control.answered();
        }
    }

    #[inline(never)]
    fn report(&mut self, now: Instant) {
        let is_running = self.is_running();
        let Self { runner, uplink, must_resend, .. } = self;
        uplink.hello(now, N);
        if core::mem::take(must_resend) {
            uplink.reporter_mut().resend(runner.meter_mut());
        }
        uplink.report(now, is_running.then(|| runner.live()));
    }

    /// Takes a request back whose last byte came, or which failed or was given up, at `end`.
    ///
    /// The cost is one record per metric that the request has: 3, or 5 for a streaming response.
    ///
    /// # Errors
    /// [`PhaseError::NotInFlight`] if its phase gave it up already; then it is counted as cancelled there.
    pub fn finish(&mut self, ticket: Ticket, end: Instant, outcome: Outcome) -> Result<(), PhaseError> {
        self.runner.finish(ticket, end, outcome)
    }

    /// Has the host told what a failure of the current phase said of itself: the body of an error, or an operating system's
    /// words, cut to [`MAX_DETAIL`](crate::telemetry::MAX_DETAIL) bytes between characters. Tells whether there was room for
    /// it; if not, it can be tried again until the phase ends.
    ///
    /// Call it for the first failure of each kind in a phase: each call takes room on the line, and nothing depends on it.
    /// Failures are counted by [`Device::finish`].
    pub fn explain(&mut self, now: Instant, failure: Failure, detail: &str) -> bool {
        let stats = self.runner.meter().stats();
        let (phase, has_begun) = (stats.index, stats.state != PhaseState::Created);
        self.runner.is_active() && has_begun && self.uplink.explain(now, phase, failure, detail)
    }

    /// Records a value of one of the device's own metrics, by its place among them. Tells whether there is such a metric
    /// and a phase under way; without a phase the value is counted, and the host reports it.
    pub fn record(&mut self, own: usize, value: u64) -> bool {
        let state = self.runner.meter().phase().state();
        if !self.runner.is_active() || !matches!(state, PhaseState::Started | PhaseState::SendingComplete) {
            self.uplink.reporter_mut().count_outside();
            return false;
        }
        self.runner.meter_mut().record(own.saturating_add(LOAD_METRICS), value)
    }

    /// Starts the run that a host has asked for.
    pub fn start(&mut self) {
        if self.control.is_asked() {
            let decision = if self.begin(true) { Ok(()) } else { Err(Reason::CANNOT_RUN.into()) };
            self.control.decide(decision);
        }
    }

    /// Refuses the run that a host has asked for, with the reason.
    pub fn refuse(&mut self, refusal: impl Into<Refusal>) {
        self.control.decide(Err(refusal.into()));
    }

    /// Runs a plan that no host has asked for; tells whether it could be started: a run is not under way, and the plan
    /// has phases.
    pub fn run(&mut self, plan: RunPlan<P>) -> bool {
        match self.runner.plan_mut() {
            Some(slot) if self.state == State::Idle && !self.control.is_asked() => {
                *slot = plan;
                self.control.forget();
                self.begin(false)
            }
            _ => false,
        }
    }

    fn begin(&mut self, expects_acknowledgement: bool) -> bool {
        if !self.runner.begin(self.uplink.reporter().identity().device_id) {
            return false;
        }
        self.uplink.begin_run(expects_acknowledgement);
        let plan = self.runner.plan();
        // A plan has no more phases than a `u16` counts.
        let phases = u16::try_from(plan.phases().len()).unwrap_or(u16::MAX);
        let facts = RunFacts { mode: Mode::Load, plan_hash: plan.content_hash(), phases };
        self.uplink.reporter_mut().describe(facts);
        self.state = State::BeforePhase;
        (self.must_resend, self.must_stop) = (false, false);
        true
    }

    /// Ends the run: what is in flight is cancelled, the current phase completes, no other starts. Its end is still
    /// reported: poll on.
    pub fn cancel(&mut self, now: Instant) {
        self.runner.cancel(now, &mut self.hook);
    }

    /// The bytes to send, or as many of them as lie together; empty if none wait.
    pub fn transmit(&self) -> &[u8] {
        self.uplink.transmit()
    }

    /// Drops so many of the bytes to send: they were sent.
    pub fn sent(&mut self, bytes: usize) {
        self.uplink.sent(bytes);
    }

    /// Writes what the line takes without waiting, and tells how many bytes that was.
    ///
    /// # Errors
    /// [`DrainError`] if the line fails; what it did not take still waits.
    pub fn drain<W: Write + WriteReady>(&mut self, line: &mut W) -> Result<usize, DrainError<W::Error>> {
        self.uplink.drain(line)
    }

    /// The plan: of the run that is asked for, under way, or over.
    pub const fn plan(&self) -> &RunPlan<P> {
        self.runner.plan()
    }

    /// The server that came with the plan, in the device's own terms; empty if it is the device's choice.
    pub fn target(&self) -> &str {
        self.control.target()
    }

    /// The plan of the current phase; `None` unless a run is under way.
    pub fn phase_plan(&self) -> Option<&PhasePlan> {
        self.runner.phase_plan()
    }

    /// The current phase, or the last one once the run is over.
    pub const fn meter(&self) -> &Meter<M, N> {
        self.runner.meter()
    }

    /// Whether the run was cancelled.
    pub const fn is_cancelled(&self) -> bool {
        self.runner.is_cancelled()
    }

    /// Whether no run is under way, and every byte about the last one was sent or given up.
    pub const fn is_idle(&self) -> bool {
        !self.is_running() && self.uplink.is_empty()
    }

    /// Whether a run is under way, or its end is yet to be reported.
    const fn is_running(&self) -> bool {
        !matches!(self.state, State::Idle)
    }

    /// Whether a host has given a command since boot that it gets an answer to.
    pub const fn has_heard(&self) -> bool {
        self.control.has_heard()
    }

    /// Whether the line took nothing for so long, in this run or since, that bytes were dropped.
    pub const fn has_lost(&self) -> bool {
        self.uplink.has_lost()
    }

    /// How many reports were due and found no room in the queue. Later ones said the same and more.
    pub const fn skipped(&self) -> u32 {
        self.uplink.reporter().skipped()
    }
}

#[cfg(test)]
mod tests;
