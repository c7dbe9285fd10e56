//! The load generator for boards that run Linux: core's runner and meter, real HTTP, and telemetry on any byte stream.
//!
//! One thread owns the run. It polls core's [`Runner`], hands requests to HTTP tasks, takes their times back and lets
//! core's [`Reporter`] fill a bounded queue. Another thread writes that queue to the line: a slow line never delays a
//! request, it only leaves reports out.

pub mod http;
mod line;

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use embedded_io::WriteReady;
use phasemeter_core::meter::Ticket;
use phasemeter_core::plan::{Arrival, Workload};
use phasemeter_core::runner::{Outcome, Runner, RunnerError, Step};
use phasemeter_core::telemetry::{DrainError, Identity, Reporter, ReporterConfig, TxQueue};
use phasemeter_core::time::Nanos;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::hook::{Background, HookError, Hooks};
use crate::plan::{MAX_PHASES, Plan};
use http::{Exchange, ExchangeError, HttpClient};
use line::LineWriter;

/// Buckets of each histogram: 1.09 % over 16 octaves.
const BUCKETS: usize = 512;
/// Room for several whole snapshots.
const QUEUE_BYTES: usize = 16 * 1024;
/// Connections opened before an open-loop phase starts.
const WARM_CONNECTIONS: usize = 16;
/// How long to wait for them.
const WARM_PATIENCE: Duration = Duration::from_secs(2);
/// How long to wait for room on the line; it tells when there is, and a lost word must not matter.
const LINE_RETRY: Nanos = Nanos::from_millis(20);
/// How long the line may take nothing while the run has to wait for it: between phases and at the end.
const LINE_PATIENCE: Duration = Duration::from_secs(10);

/// How to run a plan.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// Names the device in its telemetry.
    pub device_id: String,
    /// Differs from start to start.
    pub boot_id: u64,
    /// How many requests are in flight at most; more wait, and show as schedule lag.
    pub max_in_flight: usize,
    /// How often telemetry is sent.
    pub reporter: ReporterConfig,
}

/// Why a load run ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The plan cannot be run.
    #[error("the plan cannot be run: {0}")]
    Plan(#[from] RunnerError),
    /// No threads for the HTTP client.
    #[error("cannot start the HTTP client's threads: {0}")]
    Threads(std::io::Error),
    /// The hooks could not be set up.
    #[error(transparent)]
    Hook(#[from] HookError),
    /// The telemetry line is gone, so nobody would see the measurement.
    #[error("the telemetry line failed, so the run was stopped: {0}")]
    Line(std::io::Error),
    /// The telemetry line takes nothing any more.
    #[error("the telemetry line took nothing for {} s, so the end of the run was not delivered", LINE_PATIENCE.as_secs())]
    LineStuck,
}

impl From<DrainError<std::io::Error>> for LoadError {
    fn from(error: DrainError<std::io::Error>) -> Self {
        match error {
            DrainError::Line(error) => Self::Line(error),
            stuck => Self::Line(std::io::Error::other(stuck.to_string())),
        }
    }
}

/// Asks a running load to end early: what is in flight is cancelled, and the end is still reported.
#[derive(Clone, Debug)]
pub struct Stopper(Sender<Event>);

impl Stopper {
    /// Ends the run. Does nothing if it has ended.
    pub fn stop(&self) {
        let _ = self.0.send(Event::Stop);
    }
}

/// What the run's thread waits for.
#[derive(Debug)]
enum Event {
    Exchanged(Ticket, Exchange),
    LineReady,
    Stop,
}

/// A load run that has not started.
#[derive(Debug)]
pub struct Load {
    client: HttpClient,
    origin: Instant,
    events: Receiver<Event>,
    sender: Sender<Event>,
}

/// How a run went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadOutcome {
    /// Whether it was stopped before its plan was done.
    pub cancelled: bool,
    /// Telemetry reports that had no room in the queue.
    pub skipped_reports: u32,
    /// Failed requests, by what is to blame.
    pub failures: Failures,
}

/// Failed requests, by what is to blame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    /// No connection could be opened.
    pub connect: u64,
    /// The server answered with a status that is not a success.
    pub status: u64,
    /// The connection broke in mid-response.
    pub broken: u64,
    /// The response made no sense.
    pub malformed: u64,
}

impl Load {
    /// A run against the server at `target`, `http://HOST[:PORT][/PATH]`; chats ask for `model` if given.
    ///
    /// # Errors
    /// [`http::TargetError`] if the target is no such URL.
    pub fn new(target: &str, model: Option<&str>) -> Result<Self, http::TargetError> {
        let origin = Instant::now();
        let client = HttpClient::new(target, origin)?;
        let client = match model {
            Some(model) => client.with_model(model),
            None => client,
        };
        let (sender, events) = channel();
        Ok(Self { client, origin, events, sender })
    }

    /// A handle with which another thread can end the run.
    pub fn stopper(&self) -> Stopper {
        Stopper(self.sender.clone())
    }

    /// Runs the plan to its end, streaming telemetry to `output`. The hooks are told of its phases on a thread of their
    /// own, so that they never delay a request; at the end of the run they may take 15 s for what they have not done yet.
    ///
    /// # Errors
    /// [`LoadError`] if the run could not start, or the telemetry line failed.
    pub fn run(
        self,
        plan: Plan,
        output: Box<dyn std::io::Write + Send>,
        options: &LoadOptions,
        hooks: Hooks,
    ) -> Result<LoadOutcome, LoadError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("http")
            .enable_all()
            .build()
            .map_err(LoadError::Threads)?;
        let identity = Identity {
            device_id: &options.device_id,
            boot_id: options.boot_id,
            firmware: "phasemeter-load",
            firmware_version: env!("CARGO_PKG_VERSION"),
            clock_hz: 1_000_000_000,
        };
        let connections = warm_connections(&plan, options.max_in_flight);
        // A target that does not even refuse is met again, and reported, by the first request.
        let warm = async { tokio::time::timeout(WARM_PATIENCE, self.client.warm(connections)).await };
        let _ = runtime.block_on(warm);
        let line = LineWriter::spawn(output, self.sender.clone());
        let mut driver = Driver {
            runner: Runner::new(plan, Background::spawn(hooks)?)?,
            reporter: Reporter::new(identity, options.reporter),
            queue: TxQueue::new(),
            line,
            line_took: Instant::now(),
            requests: JoinSet::new(),
            failures: Failures::default(),
            load: self,
            runtime,
            max_in_flight: options.max_in_flight.max(1),
        };
        let outcome = driver.run();
        // Tasks that were given up are waiting on sockets; dropping them closes those.
        driver.requests.abort_all();
        driver.runtime.shutdown_timeout(Duration::from_secs(1));
        outcome
    }
}

/// Enough for a closed loop's concurrency; an open loop's need is not known beforehand.
fn warm_connections(plan: &Plan, max_in_flight: usize) -> usize {
    let needed = plan.phases().iter().map(|phase| match phase.arrival {
        Arrival::ClosedLoop { concurrency } => usize::from(concurrency),
        _ => WARM_CONNECTIONS,
    });
    needed.max().unwrap_or(0).min(max_in_flight)
}

struct Driver<'a> {
    load: Load,
    runtime: Runtime,
    runner: Runner<BUCKETS, MAX_PHASES, Background>,
    reporter: Reporter<'a>,
    queue: TxQueue<QUEUE_BYTES>,
    line: LineWriter,
    /// When the line last took something, or was not needed to.
    line_took: Instant,
    requests: JoinSet<()>,
    failures: Failures,
    max_in_flight: usize,
}

impl Driver<'_> {
    fn run(&mut self) -> Result<LoadOutcome, LoadError> {
        loop {
            self.take_all();
            let now = self.now();
            let ready = self.runner.meter().stats().counts.in_flight() < self.max_in_flight as u64;
            let step = self.runner.poll(now, ready);
            self.reporter.poll(now, &mut self.runner, &mut self.queue);
            self.drain()?;
            match step {
                Step::Send(ticket) => self.send(ticket),
                Step::WaitUntil(due) => {
                    // The load goes on while the line is stuck.
                    self.line_took = Instant::now();
                    self.wait_until(due.min(self.reporter.next_due()));
                }
                Step::PhaseEnded => {
                    self.requests.abort_all();
                    if self.reporter.is_phase_reported() {
                        self.runner.next_phase();
                    } else {
                        self.wait_for_line()?;
                    }
                }
                Step::Finished => return self.finish(),
            }
        }
    }

    fn finish(&mut self) -> Result<LoadOutcome, LoadError> {
        loop {
            let now = self.now();
            self.reporter.finish(now, &self.runner, &mut self.queue);
            self.drain()?;
            let delivered = self.reporter.is_run_reported() && self.queue.is_empty();
            if delivered && self.line.write_ready().map_err(LoadError::Line)? {
                break;
            }
            self.wait_for_line()?;
        }
        self.line.close().map_err(LoadError::Line)?;
        let cancelled = self.runner.is_cancelled();
        Ok(LoadOutcome { cancelled, skipped_reports: self.reporter.skipped(), failures: self.failures })
    }

    fn drain(&mut self) -> Result<(), LoadError> {
        if self.queue.drain(&mut self.line)? > 0 {
            self.line_took = Instant::now();
        }
        Ok(())
    }

    /// Nothing can be done before the line takes something, and its patience has an end.
    fn wait_for_line(&mut self) -> Result<(), LoadError> {
        if self.line_took.elapsed() >= LINE_PATIENCE {
            return Err(LoadError::LineStuck);
        }
        self.wait_until(self.now().saturating_add(LINE_RETRY));
        Ok(())
    }

    fn send(&mut self, ticket: Ticket) {
        let Some(phase) = self.runner.phase_plan() else { return };
        let (client, workload, sender) = (self.load.client.clone(), phase.workload.clone(), self.load.sender.clone());
        self.requests.spawn_on(
            async move {
                let exchange = match &workload {
                    Workload::Get { path } => client.get(path).await,
                    Workload::Chat { prompt_tokens, output_tokens } => {
                        client.chat(*prompt_tokens, *output_tokens).await
                    }
                    // A workload of a newer core, which a plan file cannot name.
                    _ => return,
                };
                // Nobody takes it if the run has ended.
                let _ = sender.send(Event::Exchanged(ticket, exchange));
            },
            self.runtime.handle(),
        );
        while self.requests.try_join_next().is_some() {}
    }

    fn wait_until(&mut self, due: Nanos) {
        let wait = Duration::from_nanos(due.since(self.now()).get());
        match self.load.events.recv_timeout(wait) {
            Ok(event) => self.take(&event),
            // The sender lives as long as the receiver: the load has both.
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
        }
    }

    fn take_all(&mut self) {
        while let Ok(event) = self.load.events.try_recv() {
            self.take(&event);
        }
    }

    fn take(&mut self, event: &Event) {
        match event {
            Event::Exchanged(ticket, exchange) => self.exchanged(*ticket, exchange),
            Event::LineReady => {}
            Event::Stop => self.runner.cancel(self.now()),
        }
    }

    fn exchanged(&mut self, mut ticket: Ticket, exchange: &Exchange) {
        ticket.mark_sent(Nanos::new(exchange.sent_ns));
        if let (Some(first), Some(last)) = (exchange.first_token_ns, exchange.last_token_ns) {
            ticket.mark_token(Nanos::new(first));
            // Only the first, the last and how many there were matter to the meter.
            (1..exchange.tokens).for_each(|_| ticket.mark_token(Nanos::new(last)));
        }
        let outcome = match exchange.outcome {
            Ok(()) => Outcome::Success,
            Err(error) => {
                let failures = &mut self.failures;
                *match error {
                    ExchangeError::Connect => &mut failures.connect,
                    ExchangeError::Status(_) => &mut failures.status,
                    ExchangeError::Broken => &mut failures.broken,
                    ExchangeError::Malformed => &mut failures.malformed,
                } += 1;
                Outcome::Error
            }
        };
        // A response to a phase that gave it up is refused by the meter, and counted there as cancelled.
        let _ = self.runner.finish(&ticket, Nanos::new(exchange.end_ns), outcome);
    }

    fn now(&self) -> Nanos {
        Nanos::new(u64::try_from(self.load.origin.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }
}
