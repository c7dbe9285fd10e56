//! The way to the host: what is due, the bytes that wait, and patience with a line that takes none.

use core::fmt;

use embedded_io::{Write, WriteReady};

use super::answer::Answer;
use super::config::{Identity, TelemetryConfig};
use super::encode::Outgoing;
use super::frame::{FailureDetail, MAX_DETAIL};
use super::queue::TxQueue;
use super::reporter::Reporter;
use crate::meter::Meter;
use crate::metric::Metric;
use crate::outcome::Failure;
use crate::plan::PhasePlan;
use crate::time::Instant;

/// The line failed while it was written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum DrainError<E> {
    /// The line's own error.
    Line(E),
    /// The line took no byte though it said it was ready.
    Stuck,
}

impl<E: fmt::Display> fmt::Display for DrainError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(error) => write!(f, "the telemetry line failed: {error}"),
            Self::Stuck => f.write_str("the telemetry line said that it was ready and took no byte"),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> core::error::Error for DrainError<E> {}

/// Everything between the live phase and the bytes on the line.
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct Uplink<'a, const M: usize, const Q: usize> {
    reporter: Reporter<'a, M>,
    queue: &'a mut TxQueue<Q>,
    /// Counts the boots that this one was divided into: each run has one of its own.
    run: u16,
    /// When the line last took something, or was not waited for.
    took: Instant,
    has_taken: bool,
    has_lost: bool,
}

impl<'a, const M: usize, const Q: usize> Uplink<'a, M, Q> {
    pub(crate) fn new(
        queue: &'a mut TxQueue<Q>,
        identity: Identity<'a>,
        tables: [&'a [Metric<'a>]; 2],
        config: TelemetryConfig,
    ) -> Self {
        queue.clear();
        let reporter = Reporter::new(identity, tables, config);
        Self { reporter, queue, run: 0, took: Instant::BOOT, has_taken: true, has_lost: false }
    }

    /// Begins a run, with a boot of its own.
    pub(crate) fn begin_run(&mut self, expects_acknowledgement: bool) {
        self.run = self.run.wrapping_add(1);
        self.has_lost = false;
        self.reporter.begin(self.run, expects_acknowledgement);
    }

    pub(crate) const fn reporter(&self) -> &Reporter<'a, M> {
        &self.reporter
    }

    pub(crate) const fn reporter_mut(&mut self) -> &mut Reporter<'a, M> {
        &mut self.reporter
    }

    /// The bytes that wait, or as many as lie together.
    pub(crate) fn transmit(&self) -> &[u8] {
        self.queue.front()
    }

    /// So many of them were sent.
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.queue.consume(bytes);
        self.has_taken |= bytes > 0;
    }

    /// Writes what the line takes without waiting, and tells how many bytes that was.
    pub(crate) fn drain<W: Write + WriteReady>(&mut self, line: &mut W) -> Result<usize, DrainError<W::Error>> {
        let mut drained = 0_usize;
        while !self.queue.is_empty() && line.write_ready().map_err(DrainError::Line)? {
            let sent = line.write(self.queue.front()).map_err(DrainError::Line)?;
            if sent == 0 {
                return Err(DrainError::Stuck);
            }
            self.sent(sent);
            drained = drained.saturating_add(sent);
        }
        Ok(drained)
    }

    /// Notes whether the line moved since the last poll.
    pub(crate) fn watch_line(&mut self, now: Instant) {
        if core::mem::take(&mut self.has_taken) || self.queue.is_empty() {
            self.took = now;
        }
    }

    /// Nothing waits for the line now.
    pub(crate) const fn need_not_wait(&mut self, now: Instant) {
        self.took = now;
    }

    /// Whether there is no point in waiting for the line any longer.
    pub(crate) fn is_stuck(&self, now: Instant) -> bool {
        now.since(self.took) >= self.reporter.config().line_patience
    }

    /// Goes on without what was not sent.
    pub(crate) const fn give_up(&mut self) {
        self.has_lost = true;
        self.queue.clear();
    }

    /// Whether the line took nothing for so long that the run went on without it.
    pub(crate) const fn has_lost(&self) -> bool {
        self.has_lost
    }

    /// Whether every byte was sent.
    pub(crate) const fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(crate) fn hello(&mut self, now: Instant, capacity: usize) {
        self.reporter.hello(now, capacity, self.queue);
    }

    /// Reports the live phase, if there is one, and its plan, if it has one.
    pub(crate) fn report<const N: usize>(
        &mut self,
        now: Instant,
        live: Option<(&mut Meter<M, N>, Option<&PhasePlan>)>,
    ) {
        self.reporter.report(now, live, self.queue);
    }

    pub(crate) fn finish(&mut self, now: Instant, phases: u16, cancelled: bool) {
        self.reporter.finish(now, phases, cancelled, self.queue);
    }

    pub(crate) fn answer(&mut self, now: Instant, answer: Answer) -> bool {
        let answer = Outgoing::Answer(&answer);
        self.reporter.say(now, answer.kind(), &answer, self.queue)
    }

    pub(crate) fn explain(&mut self, now: Instant, phase: u16, failure: Failure, detail: &str) -> bool {
        let detail = detail.get(..detail.floor_char_boundary(MAX_DETAIL)).unwrap_or(detail);
        self.reporter.say(now, FailureDetail::KIND, &FailureDetail { phase, failure, detail }, self.queue)
    }
}

#[cfg(test)]
mod tests;
