//! The load generator: what the device is to do next, what the connections do, and what is reported.
//!
//! [`App::poll`] does what can be done now, in small pieces, and tells when it wants to be called again. Nothing waits:
//! neither for the network, nor for the serial line, nor for the host.

mod host;

use core::fmt::Write as _;
use core::net::SocketAddrV4;

use embedded_io::{Read, ReadReady, Write, WriteReady};
use heapless::String;
use phasemeter_core::device::{self, Device, Step};
use phasemeter_core::metric::LOAD_METRICS;
use phasemeter_core::outcome::Outcome;
use phasemeter_core::phase::PhaseState;
use phasemeter_core::plan::{Arrival, Workload};
use phasemeter_core::request::Ticket;
use phasemeter_core::telemetry::{Identity, MAX_TARGET, TelemetryConfig};
use phasemeter_core::time::{Clock, Duration, Instant};
use smoltcp::phy;

use crate::connection::{Connection, Ended};
use crate::http::Expect;
use crate::net::{CONNECTIONS, Net, NetStorage, Place, SEGMENTS};
use crate::plan::{MAX_PHASES, built_in};
use crate::request::Request;

/// Buckets of each histogram: 1.09 % over 16 octaves.
pub const BUCKETS: usize = 512;
/// Room for what is to be said while the line is busy: a snapshot of a metric or two.
const QUEUE: usize = 3 * 1024;

/// How long connections may take to open before the first request of a phase.
const WARM_WITHIN: Duration = Duration::from_secs(1);
/// When to look again at a line that is busy.
const LINE_RETRY: Duration = Duration::from_micros(500);
/// How much goes to the serial line at a time. A byte may cost as much as a microsecond or ten.
const WRITE_AT_A_TIME: usize = 16;

#[cfg(feature = "defmt")]
type Hook = phasemeter_core::hook::DefmtHook;
#[cfg(not(feature = "defmt"))]
type Hook = ();
#[cfg(feature = "defmt")]
const HOOK: Hook = phasemeter_core::hook::DefmtHook;
#[cfg(not(feature = "defmt"))]
const HOOK: Hook = ();

/// How much is measured: to tell what measuring costs, leave it out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Metering {
    /// All of it.
    #[default]
    On,
    /// Of a phase its start and its end are reported, and nothing in between.
    Silent,
    /// As `Silent`, and nothing is recorded: however a request ends, it is counted as cancelled.
    Off,
}

impl Metering {
    /// How often what is reported.
    fn telemetry(self) -> TelemetryConfig {
        let usual = TelemetryConfig::default();
        match self {
            Self::On => usual,
            Self::Silent | Self::Off => TelemetryConfig {
                hello_every: Duration::MAX,
                report_every: Duration::MAX,
                snapshot_every: Duration::MAX,
                ..usual
            },
        }
    }
}

/// Who the device is, and where.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Who it is.
    pub identity: Identity<'static>,
    /// Where it is.
    pub place: Place,
    /// The server, unless the host names one.
    pub target: SocketAddrV4,
    /// When the built-in plan is run, once, unless a host has spoken by then; `None` for never.
    pub built_in_at: Option<Instant>,
    /// How much is measured.
    pub metering: Metering,
}

/// All the memory that is large: to be put where the stack is not.
#[derive(Debug)]
pub struct Storage {
    device: device::Storage<LOAD_METRICS, BUCKETS, MAX_PHASES, QUEUE>,
    net: NetStorage,
}

impl Storage {
    /// Memory that is not in use.
    pub const fn new() -> Self {
        Self { device: device::Storage::new(), net: NetStorage::new() }
    }
}

impl Default for Storage {
    fn default() -> Self {
        Self::new()
    }
}

/// What a phase sends, and over how many connections.
struct Load {
    request: Request,
    expect: Expect,
    connections: usize,
    /// When it need not wait for them any longer.
    warm_until: Instant,
}

/// The load generator.
pub struct App<D, C, S> {
    config: Config,
    clock: C,
    serial: S,
    net: Net<D>,
    connections: [Connection; CONNECTIONS],
    device: Device<'static, LOAD_METRICS, BUCKETS, MAX_PHASES, QUEUE, Hook>,
    target: SocketAddrV4,
    /// That of the current phase.
    load: Option<Load>,
    has_finished: bool,
}

impl<D, C, S> App<D, C, S>
where
    D: phy::Device,
    C: Clock,
    S: Read + ReadReady + Write + WriteReady,
{
    /// A load generator that waits for its host.
    pub fn new(config: Config, storage: &'static mut Storage, network: D, mut clock: C, serial: S) -> Self {
        let Config { identity, place, target, metering, .. } = config;
        let (net, handles) = Net::new(network, place, identity.boot_id, clock.now(), &mut storage.net);
        Self {
            config,
            clock,
            serial,
            net,
            connections: handles.map(Connection::new),
            device: Device::new(&mut storage.device, identity, &[], metering.telemetry(), HOOK),
            target,
            load: None,
            has_finished: false,
        }
    }

    /// Whether a run is over, and all that there is to say of it was written to the line, or given up.
    pub fn is_over(&self) -> bool {
        self.has_finished && self.device.is_idle()
    }

    /// Does what can be done, and tells when to be called again at the latest, on its own clock: at once if that is
    /// not later than now, and whenever a frame or a byte from the host has come.
    pub fn poll(&mut self) -> Instant {
        let now = self.clock.now();
        self.net.poll(now);
        let has_heard = self.hear();
        self.poll_connections(now);
        let due = self.run_built_in(now).min(self.run());
        let due = due.min(self.write(now));
        if has_heard { now } else { due }
    }

    /// Runs the built-in plan when its time has come, unless a host has spoken; tells when that will be.
    fn run_built_in(&mut self, now: Instant) -> Instant {
        match self.config.built_in_at {
            Some(at) if !self.device.has_heard() => {
                if now < at {
                    return at;
                }
                self.config.built_in_at = None;
                self.device.run(built_in());
                Instant::MAX
            }
            _ => Instant::MAX,
        }
    }

    /// Does what the device asks for, and tells when there is more to do.
    fn run(&mut self) -> Instant {
        loop {
            // What came before took its time, which is not to be taken for lateness.
            let now = self.clock.now();
            let place = self.ready_connection(now);
            match self.device.poll(now, place.is_some()) {
                Step::Asked => self.decide(now),
                Step::PhaseBegins => self.begin_phase(now),
                Step::Send(ticket) => self.send(place, ticket, now),
                Step::WaitUntil(due) => {
                    self.open_connections(now);
                    let connections = self.connections.iter().map(Connection::next_due);
                    let warm = self.load.iter().map(|load| load.warm_until);
                    let own = connections.chain(warm).filter(|due| *due > now);
                    return own.fold(due, Instant::min).min(self.net.next_due(now));
                }
                Step::PhaseEnded => self.end_phase(now),
                Step::Finished => {
                    self.load = None;
                    self.has_finished = true;
                }
            }
        }
    }

    fn begin_phase(&mut self, now: Instant) {
        let Some(phase) = self.device.phase_plan() else { return };
        let mut host = String::<MAX_TARGET>::new();
        // An address and a port are shorter than that.
        let _ = write!(host, "{}", self.target);
        let Some(request) = Request::new(&phase.workload, &host) else {
            return self.device.cancel(now);
        };
        let expect = if let Workload::Chat { .. } = phase.workload { Expect::Chat } else { Expect::Plain };
        let connections = match phase.arrival {
            Arrival::ClosedLoop { concurrency } => usize::from(concurrency.max(1)),
            _ => CONNECTIONS,
        };
        self.load = Some(Load { request, expect, connections, warm_until: now.saturating_add(WARM_WITHIN) });
        self.open_connections(now);
    }

    /// Closes the connections whose requests were given up.
    fn end_phase(&mut self, now: Instant) {
        self.load = None;
        let Self { connections, net, .. } = self;
        for connection in connections {
            connection.abort(net.socket(connection.handle), now);
        }
        #[cfg(feature = "defmt")]
        if self.device.meter().stats().counts.errors > 0 {
            defmt::warn!("{}", self.device.meter().phase().failures());
        }
    }

    /// Opens what is closed of the connections that the phase can use. The next request meets a server that refuses,
    /// and is counted.
    fn open_connections(&mut self, now: Instant) {
        let Self { connections, net, target, load, .. } = self;
        let wanted = load.as_ref().map_or(0, |load| load.connections);
        for connection in connections.iter_mut().take(wanted).filter(|connection| connection.can_open(now)) {
            connection.opening(net.connect(connection.handle, *target, now), now);
        }
    }

    /// The connection that takes the next request. The first one of a phase waits for all that are being opened: it should
    /// not be late because its connection is new.
    fn ready_connection(&self, now: Instant) -> Option<usize> {
        let first = |is: &dyn Fn(&Connection) -> bool| self.connections.iter().position(is);
        let opening = || first(&Connection::is_opening);
        let waits = || self.load.as_ref().is_some_and(|load| now < load.warm_until) && opening().is_some();
        if self.device.meter().phase().state() == PhaseState::Created && waits() {
            return None;
        }
        first(&Connection::is_idle).or_else(opening).or_else(|| first(&|connection| connection.can_open(now)))
    }

    fn send(&mut self, place: Option<usize>, ticket: Ticket, now: Instant) {
        let Self { connections, net, target, load, .. } = self;
        let (Some(place), Some(load)) = (place, load) else { return };
        let Some(connection) = connections.get_mut(place) else { return };
        if connection.can_open(now) {
            connection.opening(net.connect(connection.handle, *target, now), now);
        }
        connection.take(ticket, load.expect);
        for _ in 0..SEGMENTS {
            self.poll_connection(place, now);
            self.net.flush(now);
        }
    }

    /// Polls them so often that each can write as much as its socket takes. What was written goes out at once: a request that
    /// waited for its connection was marked as sent.
    fn poll_connections(&mut self, now: Instant) {
        for _ in 0..SEGMENTS {
            (0..CONNECTIONS).for_each(|place| self.poll_connection(place, now));
            self.net.flush(now);
        }
    }

    fn poll_connection(&mut self, place: usize, now: Instant) {
        let Self { connections, net, clock, load, .. } = self;
        let Some(connection) = connections.get_mut(place) else { return };
        let request = load.as_ref().map(|load| &load.request);
        if let Some(Ended { at, outcome }) = connection.poll(net.socket(connection.handle), request, clock, now)
            && let Some(ticket) = connection.ticket.take()
        {
            let outcome = if self.config.metering == Metering::Off { Outcome::Cancelled } else { outcome };
            // A response to a phase that gave it up is refused, and counted there as cancelled.
            let _ = self.device.finish(ticket, at, outcome);
        }
    }

    /// Writes a little to the line, unless it is busy; tells when there is more to write.
    fn write(&mut self, now: Instant) -> Instant {
        let bytes = self.device.transmit();
        let Some(bytes) = bytes.get(..bytes.len().min(WRITE_AT_A_TIME)).filter(|bytes| !bytes.is_empty()) else {
            return Instant::MAX;
        };
        let is_ready = self.serial.write_ready().unwrap_or(false);
        match if is_ready { self.serial.write(bytes).unwrap_or(0) } else { 0 } {
            0 => now.saturating_add(LINE_RETRY),
            count => {
                self.device.sent(count);
                now
            }
        }
    }
}
