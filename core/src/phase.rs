//! The life of one phase: its states, its times and its request counts.
//!
//! ```text
//! created ──start──▶ started ──sending complete──▶ sending complete ──complete──▶ complete
//! ```
//!
//! The states and their meaning are AIPerf's. Cancellation and time-out are flags, not states: a cancelled phase goes
//! through the same states. `in flight = sent − completed − cancelled` at every moment. `sent` freezes once sending is
//! complete, `unsent` as soon as it is exact after that, every count once the phase is. A transition or a count that the state does not allow is an error and
//! changes nothing.

mod sends;
mod stats;

use core::fmt;

use crate::name::Name;
use crate::outcome::{Failures, Outcome};
use crate::plan::PhaseKind;
use crate::time::Instant;

pub use sends::Sends;
pub use stats::{PhaseCounts, PhaseState, PhaseStats};

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

/// The lifecycle and the counts of one phase.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Phase {
    stats: PhaseStats,
    failures: Failures,
}

impl Phase {
    /// A phase that has not started, at place `index` of its run; so many of its kind come before it.
    pub const fn new(index: u16, kind: PhaseKind, instance: u16) -> Self {
        Self {
            stats: PhaseStats {
                index,
                kind,
                label: Name::EMPTY,
                instance,
                state: PhaseState::Created,
                timed_out: false,
                cancelled: false,
                started_at: None,
                sending_complete_at: None,
                completed_at: None,
                counts: PhaseCounts {
                    sent: 0,
                    completed: 0,
                    errors: 0,
                    cancelled: 0,
                    unsent: 0,
                    unsent_at_least: false,
                    held: 0,
                },
                sends: Sends::NONE,
            },
            failures: Failures::NONE,
        }
    }

    /// A phase without a name. All its bytes are zero: it is made in place, where any other would be copied.
    pub(crate) const BLANK: Self = Self::new(0, PhaseKind::Warmup, 0);

    /// Gives a phase its place and its name.
    pub(crate) const fn identify(&mut self, index: u16, kind: PhaseKind, instance: u16, label: Name) {
        self.stats = PhaseStats { index, kind, label, instance, ..self.stats };
    }

    /// A monitored phase that the firmware calls so, at this place.
    pub const fn monitored(index: u16, label: Name) -> Self {
        let mut phase = Self::new(index, PhaseKind::Monitor, index);
        phase.stats.label = label;
        phase
    }

    /// All that is known of the phase.
    pub const fn stats(&self) -> &PhaseStats {
        &self.stats
    }

    /// Its failed requests by cause.
    pub const fn failures(&self) -> &Failures {
        &self.failures
    }

    /// Where in its life the phase is.
    pub const fn state(&self) -> PhaseState {
        self.stats.state
    }

    /// Its request counts.
    pub const fn counts(&self) -> &PhaseCounts {
        &self.stats.counts
    }

    /// Counts more requests that were due and are not sent any more; `at_least` if there may be yet more.
    ///
    /// # Errors
    /// [`PhaseError::NotSending`] unless the phase is started, or sending is complete and there may be more.
    pub fn leave_unsent(&mut self, requests: u64, at_least: bool) -> Result<(), PhaseError> {
        let counts = &mut self.stats.counts;
        match self.stats.state {
            PhaseState::Started => {}
            PhaseState::SendingComplete if counts.unsent_at_least => {}
            state => return Err(PhaseError::NotSending(state)),
        }
        counts.unsent = counts.unsent.saturating_add(requests);
        counts.unsent_at_least = at_least;
        Ok(())
    }

    /// Counts a request that was sent after it had waited for one in flight.
    pub(crate) const fn count_held(&mut self) {
        self.stats.counts.held = self.stats.counts.held.saturating_add(1);
    }

    /// Created → started.
    ///
    /// # Errors
    /// [`PhaseError::IllegalTransition`] unless the phase is created.
    pub fn start(&mut self, now: Instant) -> Result<(), PhaseError> {
        self.go(PhaseState::Created, PhaseState::Started)?;
        self.stats.started_at = Some(now);
        Ok(())
    }

    /// Started → sending complete: `sent` is final.
    ///
    /// # Errors
    /// [`PhaseError::IllegalTransition`] unless the phase is started.
    pub fn sending_complete(&mut self, now: Instant) -> Result<(), PhaseError> {
        self.go(PhaseState::Started, PhaseState::SendingComplete)?;
        self.stats.sending_complete_at = Some(now);
        Ok(())
    }

    /// Sending complete → complete: every count is final.
    ///
    /// # Errors
    /// [`PhaseError::InFlight`] while requests are, [`PhaseError::IllegalTransition`] unless sending is complete.
    pub fn complete(&mut self, now: Instant) -> Result<(), PhaseError> {
        if self.stats.state == PhaseState::SendingComplete && self.stats.counts.in_flight() > 0 {
            return Err(PhaseError::InFlight(self.stats.counts.in_flight()));
        }
        self.go(PhaseState::SendingComplete, PhaseState::Complete)?;
        self.stats.completed_at = Some(now);
        Ok(())
    }

    /// Marks that the grace period ran out. The state stays.
    ///
    /// # Errors
    /// [`PhaseError::IllegalTransition`] unless the phase waits for responses.
    pub fn time_out(&mut self) -> Result<(), PhaseError> {
        self.expect(PhaseState::SendingComplete, PhaseState::Complete)?;
        self.stats.timed_out = true;
        Ok(())
    }

    /// Marks the phase as cancelled. The state stays.
    ///
    /// # Errors
    /// [`PhaseError::IllegalTransition`] if the phase is complete.
    pub fn cancel(&mut self) -> Result<(), PhaseError> {
        if self.stats.state == PhaseState::Complete {
            return Err(PhaseError::IllegalTransition { from: PhaseState::Complete, to: PhaseState::Complete });
        }
        self.stats.cancelled = true;
        Ok(())
    }

    /// Counts a request as sent now.
    ///
    /// # Errors
    /// [`PhaseError::NotSending`] unless the phase is started.
    pub fn send(&mut self, now: Instant) -> Result<(), PhaseError> {
        if self.stats.state != PhaseState::Started {
            return Err(PhaseError::NotSending(self.stats.state));
        }
        self.stats.sends.record(now, self.stats.counts.sent == 0);
        // Nobody sends 2⁶⁴ requests.
        self.stats.counts.sent += 1;
        Ok(())
    }

    /// Counts a request in flight as ended.
    ///
    /// # Errors
    /// [`PhaseError::NotInFlight`] if none is.
    pub fn finish(&mut self, outcome: Outcome) -> Result<(), PhaseError> {
        if self.stats.counts.in_flight() == 0 {
            return Err(PhaseError::NotInFlight);
        }
        let counts = &mut self.stats.counts;
        match outcome {
            Outcome::Success => counts.completed += 1,
            Outcome::Failed(failure) => {
                counts.completed += 1;
                counts.errors += 1;
                self.failures.count(failure);
            }
            Outcome::Cancelled => counts.cancelled += 1,
        }
        Ok(())
    }

    /// Counts every request in flight as cancelled, and tells how many that were.
    pub fn cancel_in_flight(&mut self) -> u64 {
        let in_flight = self.stats.counts.in_flight();
        // As many as were sent, at most.
        self.stats.counts.cancelled += in_flight;
        in_flight
    }

    fn expect(&self, from: PhaseState, to: PhaseState) -> Result<(), PhaseError> {
        if self.stats.state == from {
            Ok(())
        } else {
            Err(PhaseError::IllegalTransition { from: self.stats.state, to })
        }
    }

    fn go(&mut self, from: PhaseState, to: PhaseState) -> Result<(), PhaseError> {
        self.expect(from, to)?;
        self.stats.state = to;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Failure;
    use crate::time::Duration;
    use proptest::prelude::*;

    #[test]
    fn a_phase_lives_through_its_states() {
        let mut phase = Phase::new(0, PhaseKind::Profiling, 0);
        assert_eq!(phase.send(Instant::BOOT), Err(PhaseError::NotSending(PhaseState::Created)));
        phase.start(Instant::from_nanos(10)).unwrap();
        phase.send(Instant::from_nanos(12)).unwrap();
        phase.send(Instant::from_nanos(25)).unwrap();
        phase.sending_complete(Instant::from_nanos(30)).unwrap();
        assert_eq!(phase.send(Instant::MAX), Err(PhaseError::NotSending(PhaseState::SendingComplete)));
        phase.finish(Outcome::Failed(Failure::Status(500))).unwrap();
        assert_eq!(phase.complete(Instant::from_nanos(40)), Err(PhaseError::InFlight(1)));
        phase.time_out().unwrap();
        assert_eq!(phase.cancel_in_flight(), 1);
        phase.complete(Instant::from_nanos(50)).unwrap();
        assert_eq!(phase.finish(Outcome::Success), Err(PhaseError::NotInFlight));
        let stats = phase.stats();
        assert_eq!(
            stats.counts,
            PhaseCounts { sent: 2, completed: 1, errors: 1, cancelled: 1, ..PhaseCounts::default() }
        );
        let sends = Sends { first: Instant::from_nanos(12), last: Instant::from_nanos(25), squared_gaps: 13 * 13 };
        assert_eq!(stats.sends, sends);
        assert_eq!(stats.sending_duration(), Some(Duration::from_nanos(20)));
        assert_eq!(stats.total_duration(), Some(Duration::from_nanos(40)));
    }

    proptest! {
        #[test]
        fn whatever_is_asked_errors_change_nothing_and_states_only_advance(asked in proptest::collection::vec(0_u8..10, 0..60)) {
            let mut phase = Phase::new(0, PhaseKind::Warmup, 0);
            for (step, what) in (0_u64..).zip(asked) {
                let before = *phase.stats();
                let now = Instant::from_nanos(step);
                let result = match what {
                    0 => phase.start(now),
                    1 => phase.sending_complete(now),
                    2 => phase.complete(now),
                    3 => phase.time_out(),
                    4 => phase.cancel(),
                    5 => phase.finish(Outcome::Success),
                    6 => phase.finish(Outcome::Failed(Failure::Status(500))),
                    7 => phase.finish(Outcome::Cancelled),
                    8 => phase.leave_unsent(step, step % 2 == 0),
                    _ => phase.send(now),
                };
                let after = phase.stats();
                if result.is_err() {
                    prop_assert_eq!(&before, after);
                }
                prop_assert!(before.state <= after.state);
                prop_assert!(after.counts.is_consistent() && after.sends.is_possible(after.counts.sent));
                prop_assert_eq!(after.counts.errors, phase.failures().total());
                if before.state >= PhaseState::SendingComplete {
                    prop_assert_eq!(before.counts.sent, after.counts.sent);
                    prop_assert!(before.counts.unsent == after.counts.unsent || before.counts.unsent_at_least);
                }
                if before.state == PhaseState::Complete {
                    prop_assert_eq!(&before, after);
                }
            }
        }

        #[test]
        fn what_is_kept_of_gaps_is_their_squares(times in proptest::collection::vec(any::<u64>(), 0..30)) {
            let mut phase = Phase::new(0, PhaseKind::Warmup, 0);
            phase.start(Instant::BOOT).unwrap();
            for time in &times {
                phase.send(Instant::from_nanos(*time)).unwrap();
            }
            let running = times.iter().scan(0, |latest, time| {
                *latest = (*time).max(*latest);
                Some(*latest)
            });
            let running: std::vec::Vec<_> = running.collect();
            let squares = running.windows(2).map(|pair| u128::from(pair[1] - pair[0]).pow(2)).sum::<u128>();
            let Sends { first, last, squared_gaps } = phase.stats().sends;
            let ends = [running.first(), running.last()].map(|end| end.copied().unwrap_or(0));
            prop_assert_eq!(([first.as_nanos(), last.as_nanos()], squared_gaps), (ends, squares));
            prop_assert!(phase.stats().sends.is_possible(times.len() as u64));
        }
    }

    #[test]
    fn sends_that_cannot_be_are_not_possible() {
        let at = Instant::from_nanos;
        let sends = Sends { first: at(10), last: at(40), squared_gaps: 300 };
        // Three gaps of 10 at the least, one of 30 at the most.
        assert!(sends.is_possible(4) && !sends.is_possible(3) && !sends.is_possible(1) && !sends.is_possible(0));
        assert!(!Sends { squared_gaps: 299, ..sends }.is_possible(4));
        assert!(Sends { squared_gaps: 900, ..sends }.is_possible(4));
        assert!(!Sends { squared_gaps: 901, ..sends }.is_possible(4));
        assert!(!Sends { first: at(41), squared_gaps: 0, ..sends }.is_possible(4));
    }
}
