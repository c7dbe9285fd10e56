//! The load generator for boards that run Linux: core's [`Device`], real HTTP, and telemetry on any byte stream.
//!
//! One thread owns the run. It polls the device, hands requests to HTTP tasks and takes their times back. Another thread
//! writes what the device has to tell to the line: a slow line never delays a request, it only leaves reports out.

pub mod http;
mod line;
#[cfg(all(test, feature = "mock"))]
mod tests;

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use embedded_io::WriteReady;
use phasemeter_core::device::{Device, Step, Storage};
use phasemeter_core::metric::LOAD_METRICS;
use phasemeter_core::outcome::{Failure, Failures, Outcome};
use phasemeter_core::plan::{Arrival, Workload};
use phasemeter_core::request::Ticket;
use phasemeter_core::telemetry::{DrainError, Identity, TelemetryConfig};
use phasemeter_core::time::Instant;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::hook::{Background, HookError, Hooks};
use crate::plan::{MAX_PHASES, Plan};
use http::{Exchange, HttpClient};
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
const LINE_RETRY: Duration = Duration::from_millis(20);

/// How to run a plan.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// Names the device in its telemetry.
    pub device_id: String,
    /// How many requests are in flight at most; more wait, and show as schedule lag. Zero means one.
    pub max_in_flight: usize,
    /// How often telemetry is sent, and how long the line may take none when the run has to wait for it.
    pub telemetry: TelemetryConfig,
}

/// Why a load run failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// There is nothing to run.
    #[error("the plan has no phases")]
    NoPhases,
    /// No threads for the HTTP client.
    #[error("cannot start the HTTP client's threads: {0}")]
    Threads(std::io::Error),
    /// The hooks could not be set up.
    #[error(transparent)]
    Hook(#[from] HookError),
    /// The telemetry line is gone, so nobody would see the measurement.
    #[error("the telemetry line failed, so the run was stopped: {0}")]
    Line(std::io::Error),
    /// The telemetry line took nothing for so long that the run went on without it.
    #[error("the telemetry line took nothing for {}, so not all about the run was delivered", humantime::format_duration(*.0))]
    LineStuck(Duration),
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
    /// The connections for the next phase are open, or cannot be opened.
    Warm,
    LineReady,
    Stop,
}

/// A load run that has not started.
#[derive(Debug)]
pub struct Load {
    client: HttpClient,
    origin: std::time::Instant,
    events: Receiver<Event>,
    sender: Sender<Event>,
}

/// How a run went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadOutcome {
    /// Whether it was stopped before its plan was done.
    pub cancelled: bool,
    /// Telemetry reports that had no room in the queue.
    pub skipped_reports: u32,
    /// Failed requests of all phases, by cause.
    pub failures: Failures,
}

impl Load {
    /// A run against the server at `target`, `http://HOST[:PORT][/PATH]`; chats ask for `model` if given.
    ///
    /// # Errors
    /// [`http::TargetError`] if the target is no such URL.
    pub fn new(target: &str, model: Option<&str>) -> Result<Self, http::TargetError> {
        let origin = std::time::Instant::now();
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
            firmware: "phasemeter-load",
            firmware_version: env!("CARGO_PKG_VERSION"),
            ..Identity::new(&options.device_id, rand::random())
        };
        let mut storage = Box::new(Storage::new());
        let mut device = Device::new(&mut storage, identity, &[], options.telemetry, Background::spawn(hooks)?);
        if !device.run(plan) {
            return Err(LoadError::NoPhases);
        }
        let mut driver = Driver {
            device,
            line: LineWriter::spawn(output, self.sender.clone()),
            line_patience: Duration::from_nanos(options.telemetry.line_patience.as_nanos()),
            requests: JoinSet::new(),
            failures: Failures::default(),
            load: self,
            runtime,
            is_warm: false,
            max_in_flight: options.max_in_flight.max(1),
        };
        let outcome = driver.run();
        // Tasks that were given up are waiting on sockets; dropping them closes those.
        driver.requests.abort_all();
        driver.runtime.shutdown_timeout(Duration::from_secs(1));
        outcome
    }
}

struct Driver<'a> {
    load: Load,
    runtime: Runtime,
    device: Device<'a, LOAD_METRICS, BUCKETS, MAX_PHASES, QUEUE_BYTES, Background>,
    line: LineWriter,
    line_patience: Duration,
    requests: JoinSet<()>,
    /// Those of all phases; the device has those of one.
    failures: Failures,
    /// The connections for the phase are open.
    is_warm: bool,
    max_in_flight: usize,
}

impl Driver<'_> {
    fn run(&mut self) -> Result<LoadOutcome, LoadError> {
        loop {
            self.take_all();
            let in_flight = self.device.meter().stats().counts.in_flight();
            let ready = self.is_warm && in_flight < self.max_in_flight as u64;
            let step = self.device.poll(self.now(), ready);
            self.device.drain(&mut self.line)?;
            match step {
                Step::PhaseBegins => self.warm(),
                Step::Send(ticket) => self.send(ticket),
                Step::WaitUntil(due) => self.wait(Duration::from_nanos(due.since(self.now()).as_nanos())),
                Step::PhaseEnded => self.requests.abort_all(),
                Step::Finished => break,
                // Nobody does: the line has one direction.
                Step::Asked => {}
            }
        }
        self.deliver()?;
        if self.device.has_lost() {
            return Err(LoadError::LineStuck(self.line_patience));
        }
        Ok(LoadOutcome {
            cancelled: self.device.is_cancelled(),
            skipped_reports: self.device.skipped(),
            failures: self.failures.clone(),
        })
    }

    /// Waits until the line has taken everything. The device is not polled meanwhile: it would go on saying hello.
    fn deliver(&mut self) -> Result<(), LoadError> {
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
            self.wait(LINE_RETRY);
        }
    }

    /// Opens connections for the phase that is about to begin; it starts once they are there.
    fn warm(&mut self) {
        let connections = match self.device.phase_plan().map(|phase| phase.arrival) {
            Some(Arrival::ClosedLoop { concurrency }) => usize::from(concurrency),
            // An open loop's need is not known beforehand.
            _ => WARM_CONNECTIONS,
        };
        let connections = connections.min(self.max_in_flight);
        let (client, sender) = (self.load.client.clone(), self.load.sender.clone());
        self.is_warm = false;
        self.requests.spawn_on(
            async move {
                // A target that does not even refuse is met again, and reported, by the first request.
                let _ = tokio::time::timeout(WARM_PATIENCE, client.warm(connections)).await;
                let _ = sender.send(Event::Warm);
            },
            self.runtime.handle(),
        );
    }

    fn send(&mut self, ticket: Ticket) {
        let Some(phase) = self.device.phase_plan() else { return };
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

    /// Waits for an event, for so long at most.
    fn wait(&mut self, at_most: Duration) {
        match self.load.events.recv_timeout(at_most) {
            Ok(event) => self.take(event),
            // The sender lives as long as the receiver: the load has both.
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
        }
    }

    fn take_all(&mut self) {
        while let Ok(event) = self.load.events.try_recv() {
            self.take(event);
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Exchanged(ticket, exchange) => self.exchanged(ticket, &exchange),
            Event::Warm => self.is_warm = true,
            Event::LineReady => {}
            Event::Stop => self.device.cancel(self.now()),
        }
    }

    fn exchanged(&mut self, mut ticket: Ticket, exchange: &Exchange) {
        ticket.mark_sent(Instant::from_nanos(exchange.sent_ns));
        if let (Some(first), Some(last)) = (exchange.first_token_ns, exchange.last_token_ns) {
            ticket.mark_tokens(Instant::from_nanos(first), Instant::from_nanos(last), exchange.tokens);
        }
        let failure = exchange.outcome.err().map(Failure::from);
        let outcome = failure.map_or(Outcome::Success, Outcome::Failed);
        // A response to a phase that gave it up is refused by the device, and counted there as cancelled.
        let taken = self.device.finish(ticket, Instant::from_nanos(exchange.end_ns), outcome);
        if let (Ok(()), Some(failure)) = (taken, failure) {
            self.failures.count(failure);
        }
    }

    fn now(&self) -> Instant {
        Instant::from_nanos(u64::try_from(self.load.origin.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }
}
