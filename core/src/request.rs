//! The requests of a load generator: what is remembered of each, and what is recorded when it ends.
//!
//! Every request is timed three ways, so that coordinated omission is visible and never hidden:
//!
//! ```text
//! intended ──schedule lag──▶ issued ─ ─ ▶ sent ──service time──▶ last byte
//! intended ────────────────────response time───────────────────▶ last byte
//! ```
//!
//! Schedule lag is the load generator's own lateness: it ends when the request is issued, by the poll that returned
//! [`Step::Send`](crate::device::Step::Send). What lies between that and the moment it is sent, such as the opening of a
//! connection, is part of the response time only; a driver that opens connections records how long that took as a metric
//! of its own.
//!
//! A request that failed or was cancelled is counted and kept out of the latencies.

use crate::meter::Meter;
use crate::metric::LoadMetric;
use crate::outcome::Outcome;
use crate::phase::PhaseError;
use crate::time::{Duration, Instant};

/// A request in flight: what has to be remembered of it until it ends, 56 bytes kept by the driver.
///
/// [`Device::poll`](crate::device::Device::poll) issues it, the driver notes times on it, and
/// [`Device::finish`](crate::device::Device::finish) takes it back. It cannot be copied, so no request ends twice:
///
/// ```compile_fail,E0382
/// # use phasemeter_core::{device::Device, outcome::Outcome, request::Ticket, time::Instant};
/// # fn end(device: &mut Device<'_, 5, 64, 1, 512>, ticket: Ticket, now: Instant) {
/// device.finish(ticket, now, Outcome::Success).ok();
/// device.finish(ticket, now, Outcome::Success).ok(); // the ticket was given back above
/// # }
/// ```
#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use = "a ticket that is not finished counts as in flight until the phase times out"]
pub struct Ticket {
    /// Which run of the device it belongs to.
    run: u16,
    phase: u16,
    tokens: u32,
    number: u64,
    intended: Instant,
    issued: Instant,
    sent: Instant,
    first_token: Instant,
    last_token: Instant,
}

impl Ticket {
    /// Counts the runs of the device.
    pub(crate) const fn run(&self) -> u16 {
        self.run
    }

    /// The place in the run of the phase that the request belongs to.
    pub const fn phase(&self) -> u16 {
        self.phase
    }

    /// The request's number in its phase, from 0.
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// When the request was to be sent.
    pub const fn intended(&self) -> Instant {
        self.intended
    }

    /// When the ticket was issued.
    pub const fn issued(&self) -> Instant {
        self.issued
    }

    /// Notes when the request really went out: service time and time to first token count from then. Unless noted, that
    /// is when the ticket was issued.
    pub const fn mark_sent(&mut self, at: Instant) {
        self.sent = at;
    }

    /// Notes that a token of the response came.
    pub const fn mark_token(&mut self, at: Instant) {
        if self.tokens == 0 {
            self.first_token = at;
        }
        self.last_token = at;
        self.tokens = self.tokens.saturating_add(1);
    }

    /// Notes that the response had so many tokens in all, of which the first and the last came at these times. None of
    /// them was noted before.
    pub const fn mark_tokens(&mut self, first: Instant, last: Instant, tokens: u32) {
        (self.first_token, self.last_token, self.tokens) = (first, last, tokens);
    }
}

impl<const M: usize, const N: usize> Meter<M, N> {
    /// Counts a request of this run as sent at `now`, that was to be sent at `intended`.
    ///
    /// # Errors
    /// [`PhaseError::NotSending`] unless the phase is started.
    pub(crate) fn send(&mut self, run: u16, intended: Instant, now: Instant) -> Result<Ticket, PhaseError> {
        let stats = self.stats();
        let (phase, number) = (stats.index, stats.counts.sent);
        self.phase_mut().send(now)?;
        Ok(Ticket {
            run,
            phase,
            number,
            tokens: 0,
            intended,
            issued: now,
            sent: now,
            first_token: now,
            last_token: now,
        })
    }

    /// Takes a request back whose last byte came at `end`, counts its outcome and, if it succeeded, records its times.
    ///
    /// The cost is one record per metric that the request has: 3, or 5 for a streaming response.
    ///
    /// # Errors
    /// [`PhaseError::NotInFlight`] if the ticket belongs to another phase, or its phase gave it up already.
    #[expect(clippy::needless_pass_by_value, reason = "the ticket is used up: no request ends twice")]
    pub(crate) fn finish(&mut self, ticket: Ticket, end: Instant, outcome: Outcome) -> Result<(), PhaseError> {
        let Ticket { phase, tokens, intended, issued, sent, first_token, last_token, .. } = ticket;
        if phase != self.stats().index {
            return Err(PhaseError::NotInFlight);
        }
        self.phase_mut().finish(outcome)?;
        if outcome != Outcome::Cancelled {
            self.note(LoadMetric::ScheduleLag, issued.since(intended));
        }
        if outcome == Outcome::Success {
            self.note(LoadMetric::ResponseTime, end.since(intended));
            self.note(LoadMetric::ServiceTime, end.since(sent));
            if let Some(gaps) = tokens.checked_sub(1) {
                self.note(LoadMetric::TimeToFirstToken, first_token.since(sent));
                let streaming = last_token.since(first_token).as_nanos();
                if let Some(latency) = streaming.checked_div(gaps.into()) {
                    self.note(LoadMetric::InterTokenLatency, Duration::from_nanos(latency));
                }
            }
        }
        Ok(())
    }

    fn note(&mut self, metric: LoadMetric, length: Duration) {
        self.record(metric.place(), length.as_nanos());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::LOAD_METRICS;
    use crate::outcome::Failure;
    use crate::phase::Phase;
    use crate::plan::PhaseKind;

    type LoadMeter = Meter<LOAD_METRICS, 64>;

    fn at(nanos: u64) -> Instant {
        Instant::from_nanos(nanos)
    }

    fn begin(meter: &mut LoadMeter, index: u16) {
        meter.begin(Phase::new(index, PhaseKind::Profiling, index));
        meter.phase_mut().start(Instant::BOOT).unwrap();
    }

    fn started() -> LoadMeter {
        let mut meter = Meter::new();
        begin(&mut meter, 0);
        meter
    }

    #[test]
    fn a_request_is_timed_from_its_intended_its_issued_and_its_actual_send() {
        for at_once in [false, true] {
            let mut meter = started();
            let mut ticket = meter.send(0, at(100), at(110)).unwrap();
            assert_eq!((ticket.intended(), ticket.issued()), (at(100), at(110)));
            ticket.mark_sent(at(130));
            if at_once {
                ticket.mark_tokens(at(230), at(290), 3);
            } else {
                for nanos in [230, 250, 290] {
                    ticket.mark_token(at(nanos));
                }
            }
            meter.finish(ticket, at(300), Outcome::Success).unwrap();
            let values = LoadMetric::ALL.map(|metric| meter.histogram(metric.place()).unwrap().max());
            assert_eq!(values, [200, 170, 10, 100, 30].map(Some));
        }
    }

    #[test]
    fn one_token_has_no_gap() {
        let mut meter = started();
        let mut ticket = meter.send(0, at(0), at(0)).unwrap();
        ticket.mark_token(at(7));
        meter.finish(ticket, at(9), Outcome::Success).unwrap();
        let count = |metric: LoadMetric| meter.histogram(metric.place()).unwrap().count();
        assert_eq!((count(LoadMetric::TimeToFirstToken), count(LoadMetric::InterTokenLatency)), (1, 0));
    }

    #[test]
    fn failures_are_counted_and_kept_out_of_latency() {
        let mut meter = started();
        for outcome in [Outcome::Failed(Failure::TimedOut), Outcome::Cancelled] {
            let ticket = meter.send(0, at(0), at(0)).unwrap();
            meter.finish(ticket, at(5), outcome).unwrap();
        }
        assert_eq!((meter.stats().counts.errors, meter.stats().counts.cancelled), (1, 1));
        assert_eq!(meter.phase().failures().timed_out, 1);
        let counts = LoadMetric::ALL.map(|metric| meter.histogram(metric.place()).unwrap().count());
        assert_eq!(counts, [0, 0, 1, 0, 0]);
    }

    #[test]
    fn a_ticket_of_another_phase_changes_nothing() {
        let mut meter = started();
        let old = meter.send(0, at(0), at(0)).unwrap();
        begin(&mut meter, 1);
        let _live = meter.send(0, at(0), at(0)).unwrap();
        assert_eq!(meter.finish(old, at(1), Outcome::Success), Err(PhaseError::NotInFlight));
        assert_eq!(meter.stats().counts.in_flight(), 1);
    }
}
