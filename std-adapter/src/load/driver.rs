//! Drives the device: sends its requests, takes their times back, and waits for what comes next.

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use embedded_io::WriteReady;
use futures_util::stream::{FuturesUnordered, StreamExt};
use phasemeter_core::device::{Device, Step};
use phasemeter_core::metric::{LOAD_METRICS, Metric};
use phasemeter_core::outcome::{Failure, Outcome};
use phasemeter_core::phase::PhaseState;
use phasemeter_core::plan::Arrival;
use phasemeter_core::request::Ticket;
use tokio::sync::mpsc::UnboundedReceiver;

use super::connect::ConnectTimes;
use super::exchange::{Exchange, LoadClock, exchange};
use super::line::LineWriter;
use super::pool::Pool;
use super::requests::Requests;
use super::timer::Timer;
use super::{Event, LoadError, LoadOutcome};
use crate::hook::Background;
use crate::plan::MAX_PHASES;

/// Buckets of each histogram: 1.09 % over 16 octaves.
const BUCKETS: usize = 512;
/// Room for several whole snapshots.
pub(super) const QUEUE_BYTES: usize = 16 * 1024;
/// Connections opened before an open-loop phase starts.
const WARM_CONNECTIONS: usize = 16;
/// How long to wait for them.
const WARM_PATIENCE: Duration = Duration::from_secs(2);
/// How long to wait for room on the line; it tells when there is, and a lost word must not matter.
const LINE_RETRY: Duration = Duration::from_millis(20);
/// So many kinds of failure are explained in each phase.
const MOST_EXPLAINED: usize = 16;

/// What a host measures beside the metrics of every load generator.
#[derive(Clone, Copy)]
enum Own {
    /// Opening a connection to the server, one value each: TCP, and TLS if there is any.
    ConnectTime,
    /// The TLS handshake of it.
    TlsHandshakeTime,
    /// From one chunk with content to the next, one value each.
    InterChunkLatency,
    /// Tokens of a prompt, as the server counts them.
    InputSequenceLength,
    /// Tokens of an answer, as the server counts them.
    OutputSequenceLength,
}

/// The table of them, in their order.
pub(super) const OWN: [Metric<'static>; 5] = [
    Metric::time("connect_time"),
    Metric::time("tls_handshake_time"),
    Metric::time("inter_chunk_latency"),
    Metric::count("input_sequence_length"),
    Metric::count("output_sequence_length"),
];
const METRICS: usize = LOAD_METRICS + OWN.len();

pub(super) type Storage = phasemeter_core::device::Storage<METRICS, BUCKETS, MAX_PHASES, QUEUE_BYTES>;
pub(super) type LoadDevice<'a> = Device<'a, METRICS, BUCKETS, MAX_PHASES, QUEUE_BYTES, Background>;

/// What was under way.
pub(super) enum Done {
    Exchanged(Ticket, Exchange),
    /// The connections for the next phase are open, or cannot be opened.
    Warm,
}

/// A request, or what prepares some.
pub(super) type UnderWay = Pin<Box<dyn Future<Output = Done>>>;

pub(super) struct Driver<'a> {
    pub(super) device: LoadDevice<'a>,
    pub(super) line: LineWriter,
    pub(super) line_patience: Duration,
    pub(super) clock: LoadClock,
    pub(super) pool: Rc<Pool>,
    /// Of each phase.
    pub(super) requests: Vec<Rc<Requests>>,
    pub(super) events: UnboundedReceiver<Event>,
    pub(super) under_way: FuturesUnordered<UnderWay>,
    pub(super) timer: Timer,
    pub(super) max_in_flight: u64,
    /// The connections for the phase are open.
    pub(super) is_warm: bool,
    /// How long it took to open connections before the phase started.
    pub(super) opened: Vec<ConnectTimes>,
    /// The kinds of failure of the phase that were explained.
    pub(super) explained: Vec<Failure>,
    /// Explanations that had no room on the line yet.
    pub(super) unexplained: Vec<(Failure, String)>,
    pub(super) outcome: LoadOutcome,
}

impl Driver<'_> {
    pub(super) async fn run(mut self) -> Result<LoadOutcome, LoadError> {
        loop {
            self.take_ready();
            let in_flight = self.device.meter().stats().counts.in_flight();
            let ready = self.is_warm && in_flight < self.max_in_flight;
            let step = self.device.poll(self.clock.now(), ready);
            self.device.drain(&mut self.line)?;
            match step {
                Step::PhaseBegins => self.warm(),
                Step::Send(ticket) => self.send(ticket),
                Step::WaitUntil(due) => self.wait(Duration::from_nanos(due.since(self.clock.now()).as_nanos())).await,
                Step::PhaseEnded => {
                    // Dropping what is under way closes its connections.
                    self.under_way = FuturesUnordered::new();
                    self.outcome.phases.push(*self.device.meter().stats());
                }
                Step::Finished => break,
                // Nobody does: the line has one direction.
                Step::Asked => {}
            }
        }
        self.deliver().await?;
        if self.device.has_lost() {
            return Err(LoadError::LineStuck(self.line_patience));
        }
        self.outcome.cancelled = self.device.is_cancelled();
        self.outcome.skipped_reports = self.device.skipped();
        Ok(self.outcome)
    }

    /// Waits until the line has taken everything. The device is not polled meanwhile: it would go on saying hello.
    async fn deliver(&mut self) -> Result<(), LoadError> {
        let mut took = std::time::Instant::now();
        loop {
            if self.device.drain(&mut self.line)? > 0 {
                took = std::time::Instant::now();
            }
            if self.device.is_idle() && self.line.write_ready().map_err(LoadError::Line)? {
                return self.line.close().map_err(LoadError::Line);
            }
            if took.elapsed() >= self.line_patience {
                return Err(LoadError::LineStuck(self.line_patience));
            }
            self.wait(LINE_RETRY).await;
        }
    }

    /// Opens connections for the phase that is about to begin; it starts once they are there.
    fn warm(&mut self) {
        let connections = match self.device.phase_plan().map(|phase| phase.arrival) {
            Some(Arrival::ClosedLoop { concurrency }) => usize::from(concurrency.max(1)),
            // An open loop's need is not known beforehand.
            _ => WARM_CONNECTIONS,
        };
        let connections = connections.min(usize::try_from(self.max_in_flight).unwrap_or(usize::MAX));
        let pool = Rc::clone(&self.pool);
        self.is_warm = false;
        self.explained.clear();
        self.unexplained.clear();
        self.under_way.push(Box::pin(async move {
            // A target that does not even refuse is met again, and reported, by the first request.
            let _ = tokio::time::timeout(WARM_PATIENCE, pool.warm(connections)).await;
            Done::Warm
        }));
    }

    fn send(&mut self, ticket: Ticket) {
        let Some(requests) = self.requests.get(usize::from(ticket.phase())) else { return };
        let request = requests.get(ticket.number());
        let (pool, clock) = (Rc::clone(&self.pool), self.clock);
        self.under_way.push(Box::pin(async move { Done::Exchanged(ticket, exchange(pool, request, clock).await) }));
    }

    /// Waits for something to happen, for so long at most.
    async fn wait(&mut self, at_most: Duration) {
        if at_most.is_zero() {
            return;
        }
        // Without a timer there is nothing to be done but to look again.
        let is_set = self.timer.set(at_most).is_ok();
        poll_fn(|context| {
            let happened = self.take(context);
            let passed = !is_set || self.timer.poll(context).is_ready();
            if happened || passed { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Takes what has happened already. Requests that were just made are sent by it.
    fn take_ready(&mut self) {
        self.take(&mut Context::from_waker(std::task::Waker::noop()));
    }

    /// Takes what has happened; tells whether anything has.
    fn take(&mut self, context: &mut Context<'_>) -> bool {
        let mut happened = false;
        self.pool.poll_opened(context);
        while let Poll::Ready(Some(done)) = self.under_way.poll_next_unpin(context) {
            happened = true;
            match done {
                Done::Exchanged(ticket, exchange) => self.exchanged(ticket, exchange),
                Done::Warm => self.is_warm = true,
            }
        }
        while let Poll::Ready(Some(event)) = self.events.poll_recv(context) {
            happened = true;
            match event {
                Event::LineReady => {}
                Event::Stop => self.device.cancel(self.clock.now()),
            }
        }
        self.pool.take_times(&mut self.opened);
        if !self.opened.is_empty() && self.device.meter().phase().state() == PhaseState::Started {
            for times in std::mem::take(&mut self.opened) {
                self.record(Own::ConnectTime, nanos(times.total));
                if let Some(tls) = times.tls {
                    self.record(Own::TlsHandshakeTime, nanos(tls));
                }
            }
        }
        if !self.unexplained.is_empty() {
            let now = self.clock.now();
            self.unexplained.retain(|(failure, detail)| !self.device.explain(now, *failure, detail));
        }
        happened
    }

    fn exchanged(&mut self, mut ticket: Ticket, exchange: Exchange) {
        let Exchange { sent, tokens, end, outcome } = exchange;
        ticket.mark_sent(sent);
        if let Some((first, last)) = tokens.span {
            ticket.mark_tokens(first, last, tokens.chunks);
        }
        let phase = ticket.phase();
        let failure = outcome.as_ref().err().map(|failed| failed.failure);
        // A response to a phase that gave it up is refused by the device, and counted there as cancelled.
        if self.device.finish(ticket, end, failure.map_or(Outcome::Success, Outcome::Failed)).is_err() {
            return;
        }
        match outcome {
            Ok(()) => {
                for gap in tokens.gaps {
                    self.record(Own::InterChunkLatency, gap);
                }
                if let Some(usage) = tokens.usage {
                    self.record(Own::InputSequenceLength, usage.prompt_tokens);
                    self.record(Own::OutputSequenceLength, usage.completion_tokens);
                }
            }
            Err(failed) => {
                self.outcome.failures.count(failed.failure);
                self.explain(phase, failed.failure, &failed.detail);
            }
        }
    }

    /// Tells what the first failure of each kind said of itself.
    fn explain(&mut self, phase: u16, failure: Failure, detail: &str) {
        if self.explained.len() < MOST_EXPLAINED && !self.explained.contains(&failure) {
            let detail = self.requests.get(usize::from(phase)).map_or(String::new(), |of| of.hide_secrets(detail));
            self.explained.push(failure);
            self.outcome.explain(failure, &detail);
            self.unexplained.push((failure, detail));
        }
    }

    fn record(&mut self, metric: Own, value: u64) {
        self.device.record(metric as usize, value);
    }
}

fn nanos(length: Duration) -> u64 {
    u64::try_from(length.as_nanos()).unwrap_or(u64::MAX)
}
