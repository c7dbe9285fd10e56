//! Decides when the next request is due, and when a phase is over: the run without its input and output.
//!
//! The runner owns no socket, no thread and no clock: [`Device`](crate::device::Device) drives it. The same readings of
//! the clock yield the same run.
//!
//! A phase ends at its stop; what is then in flight may finish within the grace period, or is counted as cancelled.
//! An open-loop schedule does not wait: a request that could not be sent when due is sent as soon as the driver is
//! ready, and its schedule lag says how late that was. What is still overdue when sending ends is counted as unsent. Random
//! arrivals are counted one by one, a part at each poll, and the phase completes once their number is exact: at a rate far
//! beyond what could be sent that takes a while, which a cancelled run cuts short at [`MOST_UNSENT`].

mod schedule;

use crate::hash::Fnv1a;
use crate::hook::{PhaseEvent, PhaseHook};
use crate::meter::Meter;
use crate::name::Name;
use crate::outcome::Outcome;
use crate::phase::{Phase, PhaseError, PhaseState};
use crate::plan::{PhasePlan, RunPlan, Stop};
use crate::request::Ticket;
use crate::time::{Duration, Instant};

use schedule::Schedule;

/// Of a cancelled run so many unsent requests with random arrivals are counted, give or take 1,024; there may be more.
pub const MOST_UNSENT: u64 = 1 << 16;

/// How often [`PhaseEvent::Progress`] is reported to the hook.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// What the driver is to do next. The runner itself yields the last four.
#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use]
// Without it the tag is as wide as the numbers of a ticket.
#[repr(u8)]
pub enum Step {
    /// A host asks for a run: look at [`Device::plan`](crate::device::Device::plan) and
    /// [`Device::target`](crate::device::Device::target), then call [`Device::start`](crate::device::Device::start) or
    /// [`Device::refuse`](crate::device::Device::refuse). Until then it is asked again at each poll.
    Asked,
    /// [`Device::phase_plan`](crate::device::Device::phase_plan) is about to begin: prepare its requests. It starts at the
    /// first poll that is `ready`.
    PhaseBegins,
    /// Send a request of the current phase's workload, now.
    Send(Ticket),
    /// Nothing is due before this time, unless a request finishes, a byte comes or the driver becomes ready.
    WaitUntil(Instant),
    /// The phase is complete, and its counts and histograms are final. Requests that are still open were given up: close
    /// their connections and drop their tickets.
    PhaseEnded,
    /// The run is over, and all about it was put into the queue. Comes once for each run.
    Finished,
}

/// A run: its plan and the live phase. `N` is the capacity of each of `M` histograms, `P` that of the plan.
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct Runner<const M: usize, const N: usize, const P: usize> {
    plan: RunPlan<P>,
    /// The plan's seed and the device's.
    seed: u64,
    /// Counts the runs; tickets carry it.
    run: u16,
    index: u16,
    meter: Meter<M, N>,
    schedule: Schedule,
    /// How many requests the current phase sends at most.
    limit: u64,
    /// When sending stops at the latest; once it has, when the grace period is over.
    deadline: Instant,
    /// When sending stopped: what was due before is overdue.
    stopped: Instant,
    next_progress: Instant,
    /// When a request was due and the driver could take none, the last time.
    held_until: Option<Instant>,
    cancelled: bool,
    /// A plan is being run.
    active: bool,
}

impl<const M: usize, const N: usize, const P: usize> Runner<M, N, P> {
    /// A runner without a run. All its bytes are zero, so that one in static memory takes no flash.
    pub(crate) const fn idle() -> Self {
        Self {
            plan: RunPlan::new(0),
            seed: 0,
            run: 0,
            index: 0,
            meter: Meter::new(),
            schedule: Schedule::IDLE,
            limit: 0,
            deadline: Instant::BOOT,
            stopped: Instant::BOOT,
            next_progress: Instant::BOOT,
            held_until: None,
            cancelled: false,
            active: false,
        }
    }

    /// Begins a run of the plan, unless it has no phases; tells whether there is a run. The histograms, which make up most
    /// of a runner, stay where they are.
    #[inline(never)]
    pub(crate) fn begin(&mut self, device_id: &str) -> bool {
        self.seed = self.plan.seed() ^ Fnv1a::of(device_id.as_bytes());
        if !self.enter(0) {
            return false;
        }
        self.run = self.run.wrapping_add(1);
        (self.cancelled, self.active) = (false, true);
        true
    }

    /// Makes the phase at this place of the plan the current one; tells whether there is one.
    #[inline(never)]
    fn enter(&mut self, index: u16) -> bool {
        let Some(plan) = self.plan.phases().get(usize::from(index)) else { return false };
        self.schedule = Schedule::new(plan.arrival, self.seed, index);
        self.meter.begin(Phase::BLANK);
        self.meter.phase_mut().identify(index, plan.kind, self.plan.instance(index), Name::EMPTY);
        self.index = index;
        true
    }

    /// The plan, to be changed while it is not being run.
    pub(crate) fn plan_mut(&mut self) -> Option<&mut RunPlan<P>> {
        if self.active { None } else { Some(&mut self.plan) }
    }

    /// The plan.
    pub(crate) const fn plan(&self) -> &RunPlan<P> {
        &self.plan
    }

    /// The plan of the current phase; `None` once the run is finished.
    pub(crate) fn phase_plan(&self) -> Option<&PhasePlan> {
        if self.active { self.plan.phases().get(usize::from(self.index)) } else { None }
    }

    /// The current phase, or the last one once the run is finished.
    pub(crate) const fn meter(&self) -> &Meter<M, N> {
        &self.meter
    }

    /// The current phase, to record more and to mark what was reported.
    pub(crate) const fn meter_mut(&mut self) -> &mut Meter<M, N> {
        &mut self.meter
    }

    /// The current phase with its plan; without it once the run is finished.
    pub(crate) fn live(&mut self) -> (&mut Meter<M, N>, Option<&PhasePlan>) {
        let plan = if self.active { self.plan.phases().get(usize::from(self.index)) } else { None };
        (&mut self.meter, plan)
    }

    /// Whether a plan is being run.
    pub(crate) const fn is_active(&self) -> bool {
        self.active
    }

    /// Whether the run was cancelled.
    pub(crate) const fn is_cancelled(&self) -> bool {
        self.cancelled
    }

    /// Tells what to do next. `ready` says whether the driver can take a request now: has a free connection. A phase does
    /// not start before it is.
    ///
    /// The cost is a few comparisons, whatever the plan. When sending of a phase with random arrivals has ended, it grows
    /// with the number of requests that are overdue: up to 1,024 of them are counted in a poll.
    #[inline(never)]
    pub(crate) fn poll(&mut self, now: Instant, ready: bool, hook: &mut impl PhaseHook) -> Step {
        if !self.active {
            return Step::Finished;
        }
        let until = loop {
            let (state, counts) = (self.meter.phase().state(), self.meter.phase().counts());
            match state {
                PhaseState::Created if self.cancelled => {
                    self.active = false;
                    return Step::Finished;
                }
                PhaseState::Created if ready => self.start(now, hook),
                PhaseState::Created => return Step::WaitUntil(Instant::MAX),
                PhaseState::Started if counts.sent < self.limit && now < self.deadline => match self.send(now, ready) {
                    Ok(ticket) => return Step::Send(ticket),
                    Err(until) => break until,
                },
                PhaseState::Started => {
                    self.stop_sending(now, now.min(self.deadline), hook);
                    if self.has_uncounted() {
                        break now;
                    }
                }
                PhaseState::SendingComplete if counts.in_flight() > 0 && now >= self.deadline => {
                    self.time_out(now, hook);
                }
                PhaseState::SendingComplete if self.has_uncounted() => {
                    self.count_unsent();
                    break now;
                }
                PhaseState::SendingComplete if counts.in_flight() > 0 => break self.deadline,
                PhaseState::SendingComplete => self.complete(now, hook),
                PhaseState::Complete => return Step::PhaseEnded,
            }
        };
        if now >= self.next_progress {
            self.progress(now, hook);
        }
        Step::WaitUntil(until.min(self.next_progress))
    }

    /// Takes a request back whose last byte came, or which failed or was given up, at `end`.
    ///
    /// # Errors
    /// [`PhaseError::NotInFlight`] if its phase gave it up already, or it belongs to an earlier run.
    #[inline(never)]
    pub(crate) fn finish(&mut self, ticket: Ticket, end: Instant, outcome: Outcome) -> Result<(), PhaseError> {
        if ticket.run() != self.run {
            return Err(PhaseError::NotInFlight);
        }
        self.meter.finish(ticket, end, outcome)
    }

    /// Ends the run: what is in flight is cancelled, the current phase completes with the next poll, or once its unsent
    /// requests are counted, and no other starts.
    ///
    /// A run that is finished stays as it ended.
    #[inline(never)]
    pub(crate) fn cancel(&mut self, now: Instant, hook: &mut impl PhaseHook) {
        if !self.active {
            return;
        }
        self.cancelled = true;
        if matches!(self.meter.phase().state(), PhaseState::Started | PhaseState::SendingComplete) {
            self.advance(Phase::cancel);
            if self.meter.phase().state() == PhaseState::Started {
                self.stop_sending(now, now, hook);
            }
            self.meter.phase_mut().cancel_in_flight();
        }
    }

    /// Leaves a phase that has ended for the next one. Does nothing unless the phase has ended.
    pub(crate) fn next_phase(&mut self) {
        if self.meter.phase().state() != PhaseState::Complete {
            return;
        }
        self.active = !self.cancelled && self.enter(self.index.saturating_add(1));
    }

    #[inline(never)]
    fn start(&mut self, now: Instant, hook: &mut impl PhaseHook) {
        let stop = self.phase_plan().map_or_else(Stop::default, |plan| plan.stop);
        self.limit = stop.requests.unwrap_or(u64::MAX);
        self.deadline = stop.duration.map_or(Instant::MAX, |duration| now.saturating_add(duration));
        self.advance(|phase| phase.start(now));
        self.schedule.start(now);
        self.held_until = None;
        self.next_progress = now.saturating_add(PROGRESS_EVERY);
        hook.on_event(PhaseEvent::Start, self.meter.stats(), now);
    }

    /// The request that is due, if one is and the driver is ready; else the time to look again.
    fn send(&mut self, now: Instant, ready: bool) -> Result<Ticket, Instant> {
        match self.schedule.due(now, self.meter.phase().counts().in_flight()) {
            Some(due) if due > now => Err(due.min(self.deadline)),
            Some(due) if ready => {
                self.schedule.advance();
                if self.held_until.is_some_and(|until| due <= until) {
                    self.meter.phase_mut().count_held();
                }
                self.meter.send(self.run, due, now).map_err(|_| self.deadline)
            }
            Some(_) => {
                self.held_until = Some(now);
                Err(self.deadline)
            }
            None => Err(self.deadline),
        }
    }

    /// Sends no more requests. What was due before `end` and has not been sent begins to be counted.
    #[inline(never)]
    fn stop_sending(&mut self, now: Instant, end: Instant, hook: &mut impl PhaseHook) {
        self.stopped = end;
        self.count_unsent();
        self.advance(|phase| phase.sending_complete(now));
        let grace = self.phase_plan().map_or(Duration::ZERO, |plan| plan.grace);
        self.deadline = now.saturating_add(grace);
        hook.on_event(PhaseEvent::SendingComplete, self.meter.stats(), now);
    }

    /// Whether unsent requests are yet to be counted. Those of a cancelled run only up to a limit: it is to end soon.
    fn has_uncounted(&self) -> bool {
        let counts = self.meter.phase().counts();
        counts.unsent_at_least && !(self.cancelled && counts.unsent >= MOST_UNSENT)
    }

    /// Counts requests that were due when sending stopped, as many as at a time.
    #[inline(never)]
    fn count_unsent(&mut self) {
        let counts = self.meter.phase().counts();
        let left = self.limit.saturating_sub(counts.sent).saturating_sub(counts.unsent);
        let (overdue, at_least) = self.schedule.overdue(self.stopped, left);
        self.advance(|phase| phase.leave_unsent(overdue, at_least));
    }

    /// Gives up requests that are in flight when the grace period is over.
    fn time_out(&mut self, now: Instant, hook: &mut impl PhaseHook) {
        self.advance(Phase::time_out);
        hook.on_event(PhaseEvent::Timeout, self.meter.stats(), now);
        self.meter.phase_mut().cancel_in_flight();
    }

    fn complete(&mut self, now: Instant, hook: &mut impl PhaseHook) {
        self.advance(|phase| phase.complete(now));
        hook.on_event(PhaseEvent::Complete, self.meter.stats(), now);
    }

    #[inline(never)]
    fn progress(&mut self, now: Instant, hook: &mut impl PhaseHook) {
        self.next_progress = now.saturating_add(PROGRESS_EVERY);
        hook.on_event(PhaseEvent::Progress, self.meter.stats(), now);
    }

    /// Moves the phase on from a state that was checked just before.
    fn advance(&mut self, transition: impl FnOnce(&mut Phase) -> Result<(), PhaseError>) {
        let moved = transition(self.meter.phase_mut());
        debug_assert_eq!(moved, Ok(()), "the runner checks the state first");
    }
}

#[cfg(test)]
mod tests;
