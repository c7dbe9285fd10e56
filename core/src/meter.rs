//! The live phase: its lifecycle, its counts and one histogram per metric.
//!
//! Every request is timed three ways, so that coordinated omission is visible and never hidden:
//!
//! ```text
//! intended ──schedule lag──▶ sent ──service time──▶ last byte
//! intended ───────────response time───────────────▶ last byte
//! ```
//!
//! A request that failed or was cancelled is counted and kept out of the latencies.

use core::fmt;
use core::ops::{Index, IndexMut};

use crate::histogram::{HistogramView, LatencyHistogram, Touched};
use crate::phase::{Outcome, Phase, PhaseError, PhaseStats};
use crate::plan::PhaseKind;
use crate::time::Nanos;

/// How many metrics there are.
pub const METRICS: usize = 5;

/// What is measured of each request. All metrics are in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Metric {
    /// Intended send to last byte: what a user who does not wait for the load generator sees.
    ResponseTime,
    /// Actual send to last byte: what the server took.
    ServiceTime,
    /// Intended send to actual send: what the load generator was late by. Known of every completed request.
    ScheduleLag,
    /// Actual send to first token, of streaming responses.
    TimeToFirstToken,
    /// First token to last token divided by the gaps between them: one value a request, as AIPerf defines it.
    InterTokenLatency,
}

impl Metric {
    /// Every metric, in the order of their ids on the wire.
    pub const ALL: [Self; METRICS] =
        [Self::ResponseTime, Self::ServiceTime, Self::ScheduleLag, Self::TimeToFirstToken, Self::InterTokenLatency];

    /// The name on the wire and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ResponseTime => "response_time",
            Self::ServiceTime => "service_time",
            Self::ScheduleLag => "schedule_lag",
            Self::TimeToFirstToken => "time_to_first_token",
            Self::InterTokenLatency => "inter_token_latency",
        }
    }

    /// The id on the wire: the place in [`Metric::ALL`].
    pub const fn id(self) -> u8 {
        self as u8
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One of something for each metric.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct PerMetric<T>(pub [T; METRICS]);

impl<T> PerMetric<T> {
    /// Each metric with what belongs to it.
    pub fn iter(&self) -> impl Iterator<Item = (Metric, &T)> {
        Metric::ALL.into_iter().zip(&self.0)
    }

    /// Each metric with what belongs to it, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (Metric, &mut T)> {
        Metric::ALL.into_iter().zip(&mut self.0)
    }
}

impl<T> Index<Metric> for PerMetric<T> {
    type Output = T;

    fn index(&self, metric: Metric) -> &T {
        let [response, service, lag, first, inter] = &self.0;
        match metric {
            Metric::ResponseTime => response,
            Metric::ServiceTime => service,
            Metric::ScheduleLag => lag,
            Metric::TimeToFirstToken => first,
            Metric::InterTokenLatency => inter,
        }
    }
}

impl<T> IndexMut<Metric> for PerMetric<T> {
    fn index_mut(&mut self, metric: Metric) -> &mut T {
        let [response, service, lag, first, inter] = &mut self.0;
        match metric {
            Metric::ResponseTime => response,
            Metric::ServiceTime => service,
            Metric::ScheduleLag => lag,
            Metric::TimeToFirstToken => first,
            Metric::InterTokenLatency => inter,
        }
    }
}

/// A request in flight: what has to be remembered of it until it ends, 48 bytes kept by the driver.
///
/// [`Runner::poll`](crate::runner::Runner::poll) issues it, the driver notes times on it, and
/// [`Runner::finish`](crate::runner::Runner::finish) takes it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use = "a ticket that is not finished counts as in flight until the phase times out"]
pub struct Ticket {
    phase: u16,
    tokens: u32,
    number: u64,
    intended: Nanos,
    sent: Nanos,
    first_token: Nanos,
    last_token: Nanos,
}

impl Ticket {
    /// The place in the run of the phase that the request belongs to.
    pub const fn phase(&self) -> u16 {
        self.phase
    }

    /// The request's number in its phase, from 0.
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// When the request was to be sent.
    pub const fn intended(&self) -> Nanos {
        self.intended
    }

    /// Notes when the request really went out. Unless noted, that is when the ticket was issued.
    pub const fn mark_sent(&mut self, at: Nanos) {
        self.sent = at;
    }

    /// Notes that a token of the response came.
    pub const fn mark_token(&mut self, at: Nanos) {
        if self.tokens == 0 {
            self.first_token = at;
        }
        self.last_token = at;
        self.tokens = self.tokens.saturating_add(1);
    }
}

/// One histogram, and which 32nds of its storage changed since they were last reported.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
struct Tracked<const N: usize> {
    histogram: LatencyHistogram<N>,
    changed: u32,
}

impl<const N: usize> Tracked<N> {
    const EMPTY: Self = Self { histogram: LatencyHistogram::new(), changed: 0 };

    fn record(&mut self, length: Nanos) {
        match self.histogram.record_slot(length.get()) {
            Touched::Zero => {}
            Touched::Slot(slot) => self.changed |= 1_u32.rotate_left(changed_block(N, slot)),
            Touched::Rescaled => self.changed = u32::MAX,
        }
    }
}

/// Which of the 32 tracked parts of a histogram's storage of `capacity` slots holds `slot`.
#[expect(clippy::cast_possible_truncation, reason = "the block is below 32")]
pub(crate) const fn changed_block(capacity: usize, slot: usize) -> u32 {
    // Capacities are powers of two; below 32 slots each slot is a part of its own.
    (slot >> capacity.trailing_zeros().saturating_sub(5)) as u32 & 31
}

/// One metric of the live phase, as telemetry reads it.
pub(crate) struct MetricView<'a> {
    pub(crate) histogram: &'a HistogramView,
    /// Which 32nds of the storage are yet to be reported.
    pub(crate) changed: &'a mut u32,
}

/// The live phase of a run: `N` buckets for each of the [`METRICS`] histograms.
///
/// The size is dominated by the buckets: `20 · N` bytes, 10 KB at `N` = 512.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Meter<const N: usize> {
    phase: Phase,
    metrics: PerMetric<Tracked<N>>,
}

impl<const N: usize> Meter<N> {
    /// A meter for a phase that has not started, at place `index` of its run.
    pub const fn new(index: u16, kind: PhaseKind) -> Self {
        Self { phase: Phase::new(index, kind), metrics: PerMetric([Tracked::EMPTY; METRICS]) }
    }

    /// Begins the next phase: counts and histograms are empty again.
    pub fn reset(&mut self, index: u16, kind: PhaseKind) {
        self.phase = Phase::new(index, kind);
        for (_, metric) in self.metrics.iter_mut() {
            metric.histogram.reset();
            metric.changed = 0;
        }
    }

    /// The lifecycle and the counts.
    pub const fn phase(&self) -> &Phase {
        &self.phase
    }

    /// The lifecycle and the counts, to move the phase on.
    pub const fn phase_mut(&mut self) -> &mut Phase {
        &mut self.phase
    }

    /// All that is known of the phase apart from its histograms.
    pub const fn stats(&self) -> &PhaseStats {
        self.phase.stats()
    }

    /// The histogram of one metric.
    pub fn histogram(&self, metric: Metric) -> &LatencyHistogram<N> {
        &self.metrics[metric].histogram
    }

    /// One metric with its marks of what is yet to be reported.
    pub(crate) fn metric_mut(&mut self, metric: Metric) -> MetricView<'_> {
        let Tracked { histogram, changed } = &mut self.metrics[metric];
        MetricView { histogram, changed }
    }

    /// Counts a request as sent at `now`, that was to be sent at `intended`.
    ///
    /// # Errors
    /// [`PhaseError::NotSending`] unless the phase is started.
    pub fn send(&mut self, intended: Nanos, now: Nanos) -> Result<Ticket, PhaseError> {
        let stats = self.phase.stats();
        let (phase, number) = (stats.index, stats.counts.sent);
        self.phase.send()?;
        Ok(Ticket { phase, number, tokens: 0, intended, sent: now, first_token: Nanos::ZERO, last_token: Nanos::ZERO })
    }

    /// Takes a request back whose last byte came at `end`, counts its outcome and, if it succeeded, records its times.
    ///
    /// The cost is one record per metric that the request has: 3, or 5 for a streaming response.
    ///
    /// # Errors
    /// [`PhaseError::NotInFlight`] if the ticket belongs to another phase, or its phase gave it up already.
    pub fn finish(&mut self, ticket: &Ticket, end: Nanos, outcome: Outcome) -> Result<(), PhaseError> {
        if ticket.phase != self.phase.stats().index {
            return Err(PhaseError::NotInFlight);
        }
        self.phase.finish(outcome)?;
        if outcome != Outcome::Cancelled {
            self.metrics[Metric::ScheduleLag].record(ticket.sent.since(ticket.intended));
        }
        if outcome == Outcome::Success {
            self.metrics[Metric::ResponseTime].record(end.since(ticket.intended));
            self.metrics[Metric::ServiceTime].record(end.since(ticket.sent));
            if ticket.tokens > 0 {
                self.metrics[Metric::TimeToFirstToken].record(ticket.first_token.since(ticket.sent));
            }
            if let Some(gaps @ 1..) = ticket.tokens.checked_sub(1) {
                let streaming = ticket.last_token.since(ticket.first_token).get();
                self.metrics[Metric::InterTokenLatency].record(Nanos::new(streaming / u64::from(gaps)));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn started() -> Meter<64> {
        let mut meter = Meter::new(0, PhaseKind::Profiling);
        meter.phase_mut().start(Nanos::ZERO).unwrap();
        meter
    }

    #[test]
    fn a_request_is_timed_from_its_intended_and_its_actual_send() {
        let mut meter = started();
        let mut ticket = meter.send(Nanos::new(100), Nanos::new(110)).unwrap();
        ticket.mark_sent(Nanos::new(130));
        for at in [230, 250, 290] {
            ticket.mark_token(Nanos::new(at));
        }
        meter.finish(&ticket, Nanos::new(300), Outcome::Success).unwrap();
        let value = |metric| meter.histogram(metric).max();
        assert_eq!(value(Metric::ResponseTime), Some(200));
        assert_eq!(value(Metric::ServiceTime), Some(170));
        assert_eq!(value(Metric::ScheduleLag), Some(30));
        assert_eq!(value(Metric::TimeToFirstToken), Some(100));
        assert_eq!(value(Metric::InterTokenLatency), Some(30));
    }

    #[test]
    fn failures_are_counted_and_kept_out_of_latency() {
        let mut meter = started();
        for outcome in [Outcome::Error, Outcome::Cancelled] {
            let ticket = meter.send(Nanos::ZERO, Nanos::ZERO).unwrap();
            meter.finish(&ticket, Nanos::new(5), outcome).unwrap();
        }
        assert_eq!(meter.stats().counts.errors, 1);
        assert_eq!(meter.stats().counts.cancelled, 1);
        assert!(meter.histogram(Metric::ResponseTime).is_empty());
        assert_eq!(meter.histogram(Metric::ScheduleLag).count(), 1);
    }

    #[test]
    fn a_ticket_of_another_phase_changes_nothing() {
        let mut meter = started();
        let old = meter.send(Nanos::ZERO, Nanos::ZERO).unwrap();
        meter.reset(1, PhaseKind::Profiling);
        meter.phase_mut().start(Nanos::ZERO).unwrap();
        let _live = meter.send(Nanos::ZERO, Nanos::ZERO).unwrap();
        assert_eq!(meter.finish(&old, Nanos::new(1), Outcome::Success), Err(PhaseError::NotInFlight));
        assert_eq!(meter.stats().counts.in_flight(), 1);
    }

    #[test]
    fn every_slot_has_a_block() {
        for capacity in [8_usize, 32, 64, 1024] {
            let blocks: u64 = (0..capacity).fold(0, |set, slot| set | 1 << changed_block(capacity, slot));
            assert_eq!(blocks.count_ones() as usize, capacity.min(32));
        }
    }
}
