//! The load generator of a host: core's [`Device`], real HTTP, and telemetry on any byte stream.
//!
//! One thread does all that a run needs: it polls the device, sends requests, reads answers and takes their times. Nothing
//! is handed from thread to thread, so a request costs little and its times are those of the sockets. Another thread writes
//! what the device has to tell to the line: a slow line never delays a request, it only leaves reports out.
//!
//! Plain requests and streaming chats go over HTTP/1.1, over HTTP/2 if the server offers it or it is asked for, in the clear
//! or over TLS, to an address or a Unix socket: see [`ConnectOptions`].
//!
//! Beside the metrics of every load generator it measures `connect_time` and `tls_handshake_time` of each connection that is
//! opened, and of chats the `inter_chunk_latency` of each gap between two pieces of the answer, and `input_sequence_length`
//! and `output_sequence_length`, in tokens, if the server counts them.

mod target;
mod tls;
mod connect;
mod answer;
mod sse;
mod http1;
mod http2;
mod prompt;
mod requests;
mod pool;
mod exchange;
mod line;
mod timer;
mod driver;
#[cfg(all(test, feature = "mock"))]
mod tests;

use std::rc::Rc;
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use phasemeter_core::device::Device;
use phasemeter_core::outcome::{Failure, Failures};
use phasemeter_core::phase::PhaseStats;
use phasemeter_core::plan::Arrival;
use phasemeter_core::telemetry::{DrainError, Identity, TelemetryConfig};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::hook::{Background, HookError, Hooks};
use crate::plan::Plan;
use connect::Endpoint;
use driver::{Driver, OWN, Storage};
use exchange::LoadClock;
use line::LineWriter;
use pool::Pool;
use requests::Requests;
use timer::Timer;

pub use connect::{ConnectOptions, EndpointError};
pub use requests::RequestError;
pub use target::{Target, TargetError, split_url};
pub use tls::{TlsError, Trust};

/// How to run a plan.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// Names the device in its telemetry.
    pub device_id: String,
    /// How many requests are in flight at most; more wait, and show as schedule lag. Zero means one.
    pub max_in_flight: u32,
    /// How often telemetry is sent, and how long the line may take none when the run has to wait for it.
    pub telemetry: TelemetryConfig,
    /// The model that chats ask for unless the plan names one.
    pub model: Option<String>,
}

impl LoadOptions {
    /// A device of this name, with at most 1,024 requests in flight.
    pub fn new(device_id: impl Into<String>) -> Self {
        Self { device_id: device_id.into(), max_in_flight: 1024, telemetry: TelemetryConfig::default(), model: None }
    }
}

/// Why a load run failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// There is nothing to run.
    #[error("the plan has no phases")]
    NoPhases,
    /// A closed loop wants more requests in flight than there may be.
    #[error("phase {phase} wants {concurrency} requests in flight, and at most {most} may be: raise --max-in-flight")]
    TooConcurrent {
        /// The phase's place in the plan, from 0.
        phase: usize,
        /// How many it wants.
        concurrency: u16,
        /// How many there may be.
        most: u32,
    },
    /// The server cannot be reached at all.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The requests of a phase cannot be made.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The system has no reactor or no timer for the HTTP client.
    #[error("cannot start the HTTP client: {0}")]
    Client(std::io::Error),
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
pub struct Stopper(UnboundedSender<Event>);

impl Stopper {
    /// Ends the run. Does nothing if it has ended.
    pub fn stop(&self) {
        let _ = self.0.send(Event::Stop);
    }
}

/// What the run's thread waits for, beside the answers.
#[derive(Debug)]
enum Event {
    LineReady,
    Stop,
}

/// A load run that has not started.
pub struct Load {
    target: Target,
    endpoint: Endpoint,
    version: &'static str,
    events: UnboundedReceiver<Event>,
    sender: UnboundedSender<Event>,
}

/// How a run went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadOutcome {
    /// Whether it was stopped before its plan was done.
    pub cancelled: bool,
    /// Telemetry reports that had no room in the queue.
    pub skipped_reports: u32,
    /// The phases that were run, as they ended.
    pub phases: Vec<PhaseStats>,
    /// Failed requests of all phases, by cause.
    pub failures: Failures,
    /// What was said of the first failure of each kind.
    pub details: Vec<(Failure, String)>,
}

impl LoadOutcome {
    /// Keeps what was said of a failure, if it is the first of its kind.
    fn explain(&mut self, failure: Failure, detail: &str) {
        if self.details.iter().all(|(of, _)| *of != failure) {
            self.details.push((failure, detail.to_owned()));
        }
    }
}

impl Load {
    /// A run against this server. Its name is resolved here, and certificates are read; nothing is connected yet.
    ///
    /// # Errors
    /// [`EndpointError`] if the name does not resolve, or there is no TLS.
    pub fn new(target: Target, options: &ConnectOptions) -> Result<Self, EndpointError> {
        let endpoint = Endpoint::new(&target, options)?;
        let (sender, events) = unbounded_channel();
        // What the report says of the device says it too.
        let version = match options.trust {
            Trust::Anyone if target.is_tls => concat!(env!("CARGO_PKG_VERSION"), " (--insecure)"),
            _ => env!("CARGO_PKG_VERSION"),
        };
        Ok(Self { target, endpoint, version, events, sender })
    }

    /// A handle with which another thread can end the run.
    pub fn stopper(&self) -> Stopper {
        Stopper(self.sender.clone())
    }

    /// Opens a connection and closes it again, to see whether the server is there.
    ///
    /// # Errors
    /// What the system said.
    pub fn try_connect(&self) -> std::io::Result<()> {
        runtime()?.block_on(self.endpoint.open()).map(drop)
    }

    /// Runs the plan to its end, streaming telemetry to `output`. The hooks are told of its phases on a thread of their
    /// own, so that they never delay a request; at the end of the run they may take 15 s for what they have not done yet.
    ///
    /// # Errors
    /// [`LoadError`] if the run could not start, or the telemetry line failed.
    pub fn run(
        self,
        plan: &Plan,
        output: Box<dyn std::io::Write + Send>,
        options: &LoadOptions,
        hooks: Hooks,
    ) -> Result<LoadOutcome, LoadError> {
        let requests = self.requests(plan, options)?;
        let runtime = runtime().map_err(LoadError::Client)?;
        let _entered = runtime.enter();
        let timer = Timer::new().map_err(LoadError::Client)?;
        let identity = Identity {
            firmware: "phasemeter-load",
            firmware_version: self.version,
            ..Identity::new(&options.device_id, rand::random())
        };
        let mut storage = Box::new(Storage::new());
        let mut device = Device::new(&mut storage, identity, &OWN, options.telemetry, Background::spawn(hooks)?);
        if !device.run(plan.run().clone()) {
            return Err(LoadError::NoPhases);
        }
        let driver = Driver {
            device,
            line: LineWriter::spawn(output, self.sender.clone()),
            line_patience: Duration::from_nanos(options.telemetry.line_patience.as_nanos()),
            clock: LoadClock::start(),
            pool: Rc::new(Pool::new(self.endpoint)),
            requests,
            events: self.events,
            under_way: FuturesUnordered::new(),
            timer,
            max_in_flight: u64::from(options.max_in_flight.max(1)),
            is_warm: false,
            opened: Vec::new(),
            explained: Vec::new(),
            unexplained: Vec::new(),
            outcome: LoadOutcome::default(),
        };
        // The run is the only task, and takes turns with nobody.
        let outcome = runtime.block_on(tokio::task::unconstrained(driver.run()));
        runtime.shutdown_background();
        outcome
    }

    /// Whether all requests of the plan can be made, and as many be in flight as it wants.
    ///
    /// # Errors
    /// [`LoadError`] if not: a key may be missing.
    pub fn check(&self, plan: &Plan, options: &LoadOptions) -> Result<(), LoadError> {
        self.requests(plan, options).map(drop)
    }

    /// The requests of each phase; nothing is sent unless all can be made.
    fn requests(&self, plan: &Plan, options: &LoadOptions) -> Result<Vec<Rc<Requests>>, LoadError> {
        for (phase, planned) in plan.run().phases().iter().enumerate() {
            if let Arrival::ClosedLoop { concurrency } = planned.arrival
                && u32::from(concurrency) > options.max_in_flight
            {
                return Err(LoadError::TooConcurrent { phase, concurrency, most: options.max_in_flight });
            }
        }
        let phases = (0..u16::MAX).zip(plan.requests());
        let requests = phases.map(|(phase, spec)| {
            Requests::new(spec, &self.target, options.model.as_deref(), plan.run().seed(), phase).map(Rc::new)
        });
        Ok(requests.collect::<Result<_, _>>()?)
    }
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}
