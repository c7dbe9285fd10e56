//! The life of one phase: its states, its times and its request counts.
//!
//! ```text
//! created ──start──▶ started ──sending complete──▶ sending complete ──complete──▶ complete
//! ```
//!
//! The states and their meaning are AIPerf's. Cancellation and time-out are flags, not states: a cancelled phase goes
//! through the same states. `in flight = sent − completed − cancelled` at every moment. `sent` freezes once sending is
//! complete, every count once the phase is. A transition or a count that the state does not allow is an error and
//! changes nothing.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::plan::PhaseKind;
use crate::time::Nanos;

/// Where in its life a phase is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[serde(rename_all = "snake_case")]
pub enum PhaseState {
    /// Not started.
    Created,
    /// Requests are being sent.
    Started,
    /// Every request was sent; responses are outstanding.
    SendingComplete,
    /// Every request came back or was cancelled.
    Complete,
}

impl PhaseState {
    /// The name used in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Started => "started",
            Self::SendingComplete => "sending_complete",
            Self::Complete => "complete",
        }
    }
}

/// How many requests of a phase did what.
///
/// Every request is a session of one turn, so AIPerf's session counts equal the request counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct PhaseCounts {
    /// Requests sent.
    pub sent: u64,
    /// Requests that came back, successful or not.
    pub completed: u64,
    /// Completed requests that failed.
    pub errors: u64,
    /// Requests given up before they came back.
    pub cancelled: u64,
    /// Requests that were due when sending ended and had not been sent: an open-loop schedule that was not kept.
    /// Counted up to 1,024, which then means at least as many.
    pub unsent: u64,
}

impl PhaseCounts {
    /// Requests sent that neither came back nor were given up.
    pub const fn in_flight(&self) -> u64 {
        self.sent.saturating_sub(self.completed).saturating_sub(self.cancelled)
    }

    /// Completed requests that did not fail.
    pub const fn successful(&self) -> u64 {
        self.completed.saturating_sub(self.errors)
    }

    /// Sessions started; each request is one.
    pub const fn sessions(&self) -> u64 {
        self.sent
    }

    /// Whether the counts can belong together: `errors ≤ completed` and `completed + cancelled ≤ sent`.
    pub const fn is_consistent(&self) -> bool {
        match self.completed.checked_add(self.cancelled) {
            Some(over) => over <= self.sent && self.errors <= self.completed,
            None => false,
        }
    }
}

/// Everything that is known of a phase at one moment, apart from its histograms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct PhaseStats {
    /// The phase's place in the run's plan, from 0.
    pub index: u16,
    /// What the phase is for.
    pub kind: PhaseKind,
    /// Where in its life the phase is.
    pub state: PhaseState,
    /// The grace period ran out with requests in flight.
    pub timed_out: bool,
    /// The phase was cancelled.
    pub cancelled: bool,
    /// When the phase started; device clock.
    pub started_at: Option<Nanos>,
    /// When the last request had been sent; device clock.
    pub sending_complete_at: Option<Nanos>,
    /// When the phase was over; device clock.
    pub completed_at: Option<Nanos>,
    /// Its request counts.
    pub counts: PhaseCounts,
}

impl PhaseStats {
    /// How long requests were sent; `None` while they are.
    pub fn sending_duration(&self) -> Option<Nanos> {
        Some(self.sending_complete_at?.since(self.started_at?))
    }

    /// How long the phase took; `None` until it is complete.
    pub fn total_duration(&self) -> Option<Nanos> {
        Some(self.completed_at?.since(self.started_at?))
    }
}

/// What was asked of a phase that its state does not allow. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum PhaseError {
    /// The transition does not start in this state.
    IllegalTransition {
        /// The state the phase is in.
        from: PhaseState,
        /// The state it was to go to.
        to: PhaseState,
    },
    /// A request was sent in a phase that does not send.
    NotSending(PhaseState),
    /// A request came back that was not in flight.
    NotInFlight,
    /// The phase cannot be complete while requests are in flight.
    InFlight(u64),
}

impl fmt::Display for PhaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::IllegalTransition { from, to } => {
                write!(f, "a phase that is {} cannot become {}", from.name(), to.name())
            }
            Self::NotSending(state) => write!(f, "a phase that is {} sends no requests", state.name()),
            Self::NotInFlight => f.write_str("no request of this phase is in flight"),
            Self::InFlight(requests) => write!(f, "{requests} requests are in flight: let them finish or cancel them"),
        }
    }
}

impl core::error::Error for PhaseError {}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Outcome {
    /// The whole response came and was good.
    Success,
    /// It failed: no connection, a bad status, a broken or malformed response. Counted, kept out of latency.
    Error,
    /// It was given up. Counted, kept out of latency.
    Cancelled,
}

/// The lifecycle and the counts of one phase.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Phase(PhaseStats);

impl Phase {
    /// A phase that has not started, at place `index` of its run.
    pub const fn new(index: u16, kind: PhaseKind) -> Self {
        Self(PhaseStats {
            index,
            kind,
            state: PhaseState::Created,
            timed_out: false,
            cancelled: false,
            started_at: None,
            sending_complete_at: None,
            completed_at: None,
            counts: PhaseCounts { sent: 0, completed: 0, errors: 0, cancelled: 0, unsent: 0 },
        })
    }

    /// All that is known of the phase.
    pub const fn stats(&self) -> &PhaseStats {
        &self.0
    }

    /// Where in its life the phase is.
    pub const fn state(&self) -> PhaseState {
        self.0.state
    }

    /// Its request counts.
    pub const fn counts(&self) -> &PhaseCounts {
        &self.0.counts
    }

    /// Counts requests that were due and are not sent any more.
    ///
    /// # Errors
    /// [`PhaseError::NotSending`] unless the phase is started.
    pub fn leave_unsent(&mut self, requests: u64) -> Result<(), PhaseError> {
        if self.0.state != PhaseState::Started {
            return Err(PhaseError::NotSending(self.0.state));
        }
        self.0.counts.unsent = self.0.counts.unsent.saturating_add(requests);
        Ok(())
    }

    /// Created → started.
    ///
    /// # Errors
    /// [`PhaseError::IllegalTransition`] unless the phase is created.
    pub fn start(&mut self, now: Nanos) -> Result<(), PhaseError> {
        self.go(PhaseState::Created, PhaseState::Started)?;
        self.0.started_at = Some(now);
        Ok(())
    }

    /// Started → sending complete: `sent` is final.
    ///
    /// # Errors
    /// [`PhaseError::IllegalTransition`] unless the phase is started.
    pub fn sending_complete(&mut self, now: Nanos) -> Result<(), PhaseError> {
        self.go(PhaseState::Started, PhaseState::SendingComplete)?;
        self.0.sending_complete_at = Some(now);
        Ok(())
    }

    /// Sending complete → complete: every count is final.
    ///
    /// # Errors
    /// [`PhaseError::InFlight`] while requests are, [`PhaseError::IllegalTransition`] unless sending is complete.
    pub fn complete(&mut self, now: Nanos) -> Result<(), PhaseError> {
        if self.0.state == PhaseState::SendingComplete && self.0.counts.in_flight() > 0 {
            return Err(PhaseError::InFlight(self.0.counts.in_flight()));
        }
        self.go(PhaseState::SendingComplete, PhaseState::Complete)?;
        self.0.completed_at = Some(now);
        Ok(())
    }

    /// Marks that the grace period ran out. The state stays.
    ///
    /// # Errors
    /// [`PhaseError::IllegalTransition`] unless the phase waits for responses.
    pub fn time_out(&mut self) -> Result<(), PhaseError> {
        self.expect(PhaseState::SendingComplete, PhaseState::Complete)?;
        self.0.timed_out = true;
        Ok(())
    }

    /// Marks the phase as cancelled. The state stays.
    ///
    /// # Errors
    /// [`PhaseError::IllegalTransition`] if the phase is complete.
    pub fn cancel(&mut self) -> Result<(), PhaseError> {
        if self.0.state == PhaseState::Complete {
            return Err(PhaseError::IllegalTransition { from: PhaseState::Complete, to: PhaseState::Complete });
        }
        self.0.cancelled = true;
        Ok(())
    }

    /// Counts a request as sent.
    ///
    /// # Errors
    /// [`PhaseError::NotSending`] unless the phase is started.
    pub fn send(&mut self) -> Result<(), PhaseError> {
        if self.0.state != PhaseState::Started {
            return Err(PhaseError::NotSending(self.0.state));
        }
        self.0.counts.sent = self.0.counts.sent.saturating_add(1);
        Ok(())
    }

    /// Counts a request in flight as ended.
    ///
    /// # Errors
    /// [`PhaseError::NotInFlight`] if none is.
    pub fn finish(&mut self, outcome: Outcome) -> Result<(), PhaseError> {
        if self.0.counts.in_flight() == 0 {
            return Err(PhaseError::NotInFlight);
        }
        let counts = &mut self.0.counts;
        match outcome {
            Outcome::Success => counts.completed += 1,
            Outcome::Error => {
                counts.completed += 1;
                counts.errors += 1;
            }
            Outcome::Cancelled => counts.cancelled += 1,
        }
        Ok(())
    }

    /// Counts every request in flight as cancelled, and tells how many that were.
    pub fn cancel_in_flight(&mut self) -> u64 {
        let in_flight = self.0.counts.in_flight();
        self.0.counts.cancelled = self.0.counts.cancelled.saturating_add(in_flight);
        in_flight
    }

    fn expect(&self, from: PhaseState, to: PhaseState) -> Result<(), PhaseError> {
        if self.0.state == from { Ok(()) } else { Err(PhaseError::IllegalTransition { from: self.0.state, to }) }
    }

    fn go(&mut self, from: PhaseState, to: PhaseState) -> Result<(), PhaseError> {
        self.expect(from, to)?;
        self.0.state = to;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_phase_lives_through_its_states() {
        let mut phase = Phase::new(0, PhaseKind::Profiling);
        assert_eq!(phase.send(), Err(PhaseError::NotSending(PhaseState::Created)));
        phase.start(Nanos::new(10)).unwrap();
        phase.send().unwrap();
        phase.send().unwrap();
        phase.sending_complete(Nanos::new(30)).unwrap();
        assert_eq!(phase.send(), Err(PhaseError::NotSending(PhaseState::SendingComplete)));
        phase.finish(Outcome::Error).unwrap();
        assert_eq!(phase.complete(Nanos::new(40)), Err(PhaseError::InFlight(1)));
        phase.time_out().unwrap();
        assert_eq!(phase.cancel_in_flight(), 1);
        phase.complete(Nanos::new(50)).unwrap();
        assert_eq!(phase.finish(Outcome::Success), Err(PhaseError::NotInFlight));
        let stats = phase.stats();
        assert_eq!(stats.counts, PhaseCounts { sent: 2, completed: 1, errors: 1, cancelled: 1, unsent: 0 });
        assert_eq!(stats.sending_duration(), Some(Nanos::new(20)));
        assert_eq!(stats.total_duration(), Some(Nanos::new(40)));
    }

    proptest! {
        #[test]
        fn whatever_is_asked_errors_change_nothing_and_states_only_advance(asked in proptest::collection::vec(0_u8..10, 0..60)) {
            let mut phase = Phase::new(0, PhaseKind::Warmup);
            for (step, what) in (0_u64..).zip(asked) {
                let before = *phase.stats();
                let now = Nanos::new(step);
                let result = match what {
                    0 => phase.start(now),
                    1 => phase.sending_complete(now),
                    2 => phase.complete(now),
                    3 => phase.time_out(),
                    4 => phase.cancel(),
                    5 => phase.finish(Outcome::Success),
                    6 => phase.finish(Outcome::Error),
                    7 => phase.finish(Outcome::Cancelled),
                    8 => phase.leave_unsent(step),
                    _ => phase.send(),
                };
                let after = phase.stats();
                if result.is_err() {
                    prop_assert_eq!(&before, after);
                }
                prop_assert!(before.state <= after.state);
                prop_assert!(after.counts.is_consistent());
                if before.state >= PhaseState::SendingComplete {
                    prop_assert_eq!((before.counts.sent, before.counts.unsent), (after.counts.sent, after.counts.unsent));
                }
                if before.state == PhaseState::Complete {
                    prop_assert_eq!(&before, after);
                }
            }
        }
    }
}
