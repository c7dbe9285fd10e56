//! Decides when the next request is due, and when a phase is over: the run without its input and output.
//!
//! The runner owns no socket, no thread and no clock. The driver calls [`Runner::poll`] with the time, does the
//! [`Step`] it is told, and hands each [`Ticket`] back to [`Runner::finish`] when its response came. The same runner
//! drives a microcontroller and a Linux host, and the same readings of the clock yield the same run.
//!
//! A phase ends at its stop; what is then in flight may finish within the grace period, or is counted as cancelled.
//! An open-loop schedule does not wait: a request that could not be sent when due is sent as soon as the driver is
//! ready, and its schedule lag says how late that was. What is still overdue when sending ends is counted as unsent.

mod schedule;

use core::fmt;

use crate::hook::PhaseHook;
use crate::meter::{Meter, Ticket};
use crate::phase::{Phase, PhaseError, PhaseState};
use crate::plan::{PhaseKind, PhasePlan, RunPlan, Stop};
use crate::time::Nanos;

pub use crate::phase::Outcome;
use schedule::Schedule;

/// How often [`PhaseHook::on_progress`] is called.
const PROGRESS_EVERY: Nanos = Nanos::from_secs(1);

/// What the driver is to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use]
pub enum Step {
    /// Send a request of the current phase's workload, now.
    Send(Ticket),
    /// Nothing is due before this time, unless a request finishes first.
    WaitUntil(Nanos),
    /// The phase is complete and its counts and histograms are final. Report them, then call [`Runner::next_phase`].
    /// Requests that are still open were given up: close their connections.
    PhaseEnded,
    /// The last phase is over.
    Finished,
}

/// Why a plan cannot be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum RunnerError {
    /// The plan has no phases.
    NoPhases,
    /// The phase at this place would never end: its stop has neither requests nor duration.
    Endless(u16),
}

impl fmt::Display for RunnerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPhases => f.write_str("the plan has no phases: add at least one"),
            Self::Endless(index) => {
                write!(f, "phase {index} would never end: give its stop a number of requests or a duration")
            }
        }
    }
}

impl core::error::Error for RunnerError {}

/// A run: its plan, the live phase, and a hook that watches.
///
/// `N` is the capacity of each histogram, `P` that of the plan.
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Runner<const N: usize, const P: usize, H = ()> {
    plan: RunPlan<P>,
    hook: H,
    index: u16,
    meter: Meter<N>,
    schedule: Schedule,
    next_progress: Nanos,
    cancelled: bool,
    finished: bool,
}

impl<const N: usize, const P: usize, H: PhaseHook> Runner<N, P, H> {
    /// A runner without a run, for [`Runner::restart`]: it is finished until then. Apart from the hook, all its bytes are
    /// zero, so that one in static memory takes no flash.
    pub const fn idle(hook: H) -> Self {
        Self {
            plan: RunPlan::new(0),
            hook,
            index: 0,
            meter: Meter::new(0, PhaseKind::Warmup),
            schedule: Schedule::IDLE,
            next_progress: Nanos::ZERO,
            cancelled: false,
            finished: false,
        }
    }

    /// A run of `plan` that has not started; the first poll starts it.
    ///
    /// # Errors
    /// [`RunnerError`] if the plan has no phases or one of them would never end.
    pub fn new(plan: RunPlan<P>, hook: H) -> Result<Self, RunnerError> {
        let mut runner = Self::idle(hook);
        runner.restart(plan)?;
        Ok(runner)
    }

    /// Drops the present run for a run of `plan` that has not started. The histograms, which make up most of a runner,
    /// stay where they are: on a device with little stack, keep one runner in static memory and restart it. Tickets of
    /// the present run are to be dropped. Telemetry of the new run is that of another boot: it takes a new
    /// [`Reporter`](crate::telemetry::Reporter), with a boot id of its own.
    ///
    /// # Errors
    /// [`RunnerError`] if the plan has no phases or one of them would never end; then the present run goes on.
    #[inline(never)]
    pub fn restart(&mut self, plan: RunPlan<P>) -> Result<(), RunnerError> {
        for (phase, index) in plan.phases().iter().zip(0..) {
            if phase.stop == Stop::default() {
                return Err(RunnerError::Endless(index));
            }
        }
        let first = plan.phases().first().ok_or(RunnerError::NoPhases)?;
        self.schedule = Schedule::new(first.arrival, plan.seed(), 0);
        self.meter.reset(0, first.kind);
        self.index = 0;
        (self.cancelled, self.finished) = (false, false);
        self.plan = plan;
        Ok(())
    }

    /// The plan.
    pub const fn plan(&self) -> &RunPlan<P> {
        &self.plan
    }

    /// The plan of the current phase; `None` once the run is finished.
    pub fn phase_plan(&self) -> Option<&PhasePlan> {
        if self.finished { None } else { self.plan.phases().get(usize::from(self.index)) }
    }

    /// The current phase, or the last one once the run is finished.
    pub const fn meter(&self) -> &Meter<N> {
        &self.meter
    }

    /// The current phase, for telemetry to mark what it has reported.
    pub(crate) const fn meter_mut(&mut self) -> &mut Meter<N> {
        &mut self.meter
    }

    /// Whether the run was cancelled.
    pub const fn is_cancelled(&self) -> bool {
        self.cancelled
    }

    /// Tells what to do next. `ready` says whether the driver can take a request now: has a free connection.
    ///
    /// The cost is a few comparisons, whatever the plan; once a phase, when sending ends, it grows with the number of
    /// requests that are overdue, and stops at a thousand.
    #[inline(never)]
    pub fn poll(&mut self, now: Nanos, ready: bool) -> Step {
        let Some(plan) = self.plan.phases().get(usize::from(self.index)) else { return Step::Finished };
        if self.finished {
            return Step::Finished;
        }
        let (stop, grace) = (plan.stop, plan.grace);
        loop {
            match self.meter.phase().state() {
                PhaseState::Created if self.cancelled => {
                    self.finished = true;
                    return Step::Finished;
                }
                PhaseState::Created => self.start(now),
                PhaseState::Started => {
                    if let Some(step) = self.send(now, ready, stop) {
                        return step;
                    }
                }
                PhaseState::SendingComplete => {
                    let since = self.meter.stats().sending_complete_at.unwrap_or(now);
                    let deadline = since.saturating_add(grace);
                    if self.meter.phase().counts().in_flight() > 0 && now < deadline {
                        return self.wait(now, deadline);
                    }
                    self.complete(now);
                }
                PhaseState::Complete => return Step::PhaseEnded,
            }
        }
    }

    /// Takes a request back whose last byte came, or which failed or was given up, at `end`.
    ///
    /// A ticket is finished once: the runner keeps no list of them, so a second time is counted if others are in flight.
    ///
    /// # Errors
    /// [`PhaseError::NotInFlight`] if its phase gave it up already.
    #[inline(never)]
    pub fn finish(&mut self, ticket: &Ticket, end: Nanos, outcome: Outcome) -> Result<(), PhaseError> {
        self.meter.finish(ticket, end, outcome)
    }

    /// Ends the run: what is in flight is cancelled, the current phase completes, no other starts.
    #[inline(never)]
    ///
    /// A run that is finished stays as it ended.
    pub fn cancel(&mut self, now: Nanos) {
        if self.finished {
            return;
        }
        self.cancelled = true;
        if matches!(self.meter.phase().state(), PhaseState::Started | PhaseState::SendingComplete) {
            self.advance(Phase::cancel);
            if self.meter.phase().state() == PhaseState::Started {
                let stop = self.phase_plan().map_or_else(Stop::default, |plan| plan.stop);
                self.leave_unsent(now, stop);
                self.sending_complete(now);
            }
            self.meter.phase_mut().cancel_in_flight();
            self.complete(now);
        }
    }

    /// Leaves a phase that has ended for the next one. Does nothing unless the phase has ended.
    pub fn next_phase(&mut self) {
        if self.meter.phase().state() != PhaseState::Complete {
            return;
        }
        let next = self.index.saturating_add(1);
        match self.plan.phases().get(usize::from(next)) {
            Some(plan) if !self.cancelled => {
                self.schedule = Schedule::new(plan.arrival, self.plan.seed(), next);
                self.meter.reset(next, plan.kind);
                self.index = next;
            }
            _ => self.finished = true,
        }
    }

    fn start(&mut self, now: Nanos) {
        self.advance(|phase| phase.start(now));
        self.schedule.start(now);
        self.next_progress = now.saturating_add(PROGRESS_EVERY);
        self.hook.on_phase_start(self.meter.stats(), now);
    }

    /// What a phase that is sending does now; `None` if it has just sent its last request.
    fn send(&mut self, now: Nanos, ready: bool, stop: Stop) -> Option<Step> {
        let stats = self.meter.stats();
        let deadline = match (stop.duration, stats.started_at) {
            (Some(duration), Some(started)) => started.saturating_add(duration),
            _ => Nanos::MAX,
        };
        let all_sent = stop.requests.is_some_and(|requests| stats.counts.sent >= requests);
        if all_sent || now >= deadline {
            self.leave_unsent(now.min(deadline), stop);
            self.sending_complete(now);
            return None;
        }
        match self.schedule.due(now, stats.counts.in_flight()) {
            Some(due) if due <= now && ready => {
                let ticket = self.meter.send(due, now).ok()?;
                self.schedule.advance();
                Some(Step::Send(ticket))
            }
            Some(due) if due > now => Some(self.wait(now, due.min(deadline))),
            _ => Some(self.wait(now, deadline)),
        }
    }

    /// Counts what was due before sending ended at `end` and has not been sent.
    fn leave_unsent(&mut self, end: Nanos, stop: Stop) {
        let sent = self.meter.stats().counts.sent;
        let left = stop.requests.map_or(u64::MAX, |requests| requests.saturating_sub(sent));
        let overdue = self.schedule.overdue(end, left);
        self.advance(|phase| phase.leave_unsent(overdue));
    }

    fn sending_complete(&mut self, now: Nanos) {
        self.advance(|phase| phase.sending_complete(now));
        self.hook.on_phase_sending_complete(self.meter.stats(), now);
    }

    /// Completes a phase; requests that are still in flight have run out of grace.
    fn complete(&mut self, now: Nanos) {
        if self.meter.phase().counts().in_flight() > 0 {
            self.advance(Phase::time_out);
            self.hook.on_phase_timeout(self.meter.stats(), now);
            self.meter.phase_mut().cancel_in_flight();
        }
        self.advance(|phase| phase.complete(now));
        self.hook.on_phase_complete(self.meter.stats(), now);
    }

    fn wait(&mut self, now: Nanos, until: Nanos) -> Step {
        if now >= self.next_progress {
            self.next_progress = now.saturating_add(PROGRESS_EVERY);
            self.hook.on_progress(self.meter.stats(), now);
        }
        Step::WaitUntil(until.min(self.next_progress))
    }

    /// Moves the phase on from a state that was checked just before.
    fn advance(&mut self, transition: impl FnOnce(&mut Phase) -> Result<(), PhaseError>) {
        let moved = transition(self.meter.phase_mut());
        debug_assert_eq!(moved, Ok(()), "the runner checks the state first");
    }
}

#[cfg(test)]
mod tests;
