//! The load generator: what the host asks for, what the runner says, what the connections do and what is reported.
//!
//! [`App::poll`] does what can be done now, in small pieces, and tells when it wants to be called again. Nothing waits:
//! neither for the network, nor for the serial line, nor for the host.

mod failures;
mod host;

use core::fmt::Write as _;
use core::net::SocketAddrV4;

use embedded_io::{Read, ReadReady, Write, WriteReady};
use heapless::String;
use phasemeter_core::meter::Ticket;
use phasemeter_core::phase::PhaseState;
use phasemeter_core::plan::{Arrival, Workload};
use phasemeter_core::runner::{Outcome, Runner, Step};
use phasemeter_core::telemetry::{Control, Identity, MAX_TARGET, Reporter, ReporterConfig, TxQueue};
use phasemeter_core::time::{Clock, Nanos};
use smoltcp::phy::Device;

use crate::connection::Connection;
use crate::http::Expect;
use crate::net::{CONNECTIONS, Net, NetStorage, Place};
use crate::plan::{MAX_PHASES, built_in};
use crate::request::Request;
use failures::Failures;

/// Buckets of each histogram: 1.09 % over 16 octaves.
pub const BUCKETS: usize = 512;
/// Room for what is to be said while the line is busy: a snapshot of a metric or two.
const QUEUE: usize = 3 * 1024;
/// The longest target and plan.
const JOB: usize = 1024;

/// How long connections may take to open before the first request of a phase.
const WARM_WITHIN: Nanos = Nanos::from_secs(1);
/// When to look again while nothing is known to be due.
const IDLE: Nanos = Nanos::from_millis(10);
/// When to look again at a line that is busy.
const LINE_RETRY: Nanos = Nanos::from_micros(500);
/// How long the line may take nothing while the run has to wait for it: between phases and at the end.
const LINE_PATIENCE: Nanos = Nanos::from_secs(10);
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
    /// Nothing is said of a phase before it has ended.
    Silent,
    /// As `Silent`, and nothing is recorded: however a request ends, it is counted as cancelled.
    Off,
}

/// Who the device is, and where.
#[derive(Clone, Copy, Debug)]
pub struct Config<'a> {
    /// Who it is. Each run after the first adds one to the boot id.
    pub identity: Identity<'a>,
    /// Where it is.
    pub place: Place,
    /// The server, unless the host names one.
    pub target: SocketAddrV4,
    /// After how long without a host the built-in plan is run, once; `None` for never.
    pub built_in_after: Option<Nanos>,
    /// How much is measured.
    pub metering: Metering,
}

/// All the memory that is large: to be put where the stack is not.
#[derive(Debug)]
pub struct Storage {
    runner: Runner<BUCKETS, MAX_PHASES, Hook>,
    queue: TxQueue<QUEUE>,
    control: Control<JOB>,
    net: NetStorage,
}

impl Storage {
    /// Memory that is not in use.
    pub const fn new() -> Self {
        Self { runner: Runner::idle(HOOK), queue: TxQueue::new(), control: Control::new(), net: NetStorage::new() }
    }
}

impl Default for Storage {
    fn default() -> Self {
        Self::new()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No run yet.
    Idle,
    Running,
    /// The run is over, and all that there is to say of it was said.
    Over,
}

/// The load generator.
pub struct App<'a, D, C, S> {
    config: Config<'a>,
    clock: C,
    serial: S,
    net: Net<D>,
    connections: [Connection; CONNECTIONS],
    runner: &'static mut Runner<BUCKETS, MAX_PHASES, Hook>,
    queue: &'static mut TxQueue<QUEUE>,
    control: &'static mut Control<JOB>,
    reporter: Reporter<'a>,
    state: State,
    /// Whether a command has come since boot.
    has_host: bool,
    target: SocketAddrV4,
    /// What the current phase sends, and when it need not wait for connections any longer.
    request: Option<Request>,
    expect: Expect,
    warm_until: Nanos,
    failures: Failures,
    /// When the line last took something, or was not waited for.
    line_took: Nanos,
    /// What is to be printed between two frames, and how much of it was.
    notice: String<128>,
    printed: usize,
}

impl<'a, D, C, S> App<'a, D, C, S>
where
    D: Device,
    C: Clock,
    S: Read + ReadReady + Write + WriteReady,
{
    /// A load generator that waits for its host.
    pub fn new(config: Config<'a>, storage: &'static mut Storage, device: D, mut clock: C, serial: S) -> Self {
        let Storage { runner, queue, control, net } = storage;
        let now = clock.now();
        let (net, handles) = Net::new(device, config.place, config.identity.boot_id, now, net);
        Self {
            config,
            clock,
            serial,
            net,
            connections: handles.map(Connection::new),
            runner,
            queue,
            control,
            reporter: Reporter::new(config.identity, ReporterConfig::default()),
            state: State::Idle,
            has_host: false,
            target: config.target,
            request: None,
            expect: Expect::Plain,
            warm_until: Nanos::ZERO,
            failures: Failures::default(),
            line_took: now,
            notice: String::new(),
            printed: 0,
        }
    }

    /// Whether a run is over, and all that there is to say of it was written to the line, or the line took nothing for ten
    /// seconds.
    pub fn is_over(&self) -> bool {
        self.state == State::Over && self.queue.is_empty() && self.notice.is_empty()
    }

    /// Does what can be done, and tells when to be called again at the latest, on its own clock: at once if that is
    /// not later than now, and whenever a frame or a byte from the host has come.
    pub fn poll(&mut self) -> Nanos {
        let now = self.clock.now();
        self.net.poll(now);
        let has_heard = self.hear(now);
        self.poll_connections(now);
        // A request that waited for its connection was marked as sent.
        self.net.flush(now);
        self.reporter.answer(now, self.control, self.queue);
        let due = match self.state {
            State::Running => self.run(),
            State::Idle | State::Over => self.wait(now),
        };
        let written = self.write();
        if written != Written::Busy {
            self.line_took = now;
        } else if self.state == State::Over && self.is_line_stuck(now) {
            // Nobody listens. Whoever does later sees a frame that is cut off, and then a new boot.
            self.queue.consume(self.queue.len());
            self.drop_notice();
        }
        match written {
            Written::Some => now,
            _ if has_heard => now,
            Written::Busy => due.min(now.saturating_add(LINE_RETRY)),
            Written::Nothing => due,
        }
    }

    /// While there is no run.
    fn wait(&mut self, now: Nanos) -> Nanos {
        let patience = self.config.built_in_after.filter(|_| self.state == State::Idle && !self.has_host);
        if patience.is_some_and(|patience| now >= patience) {
            // The built-in plan can be run.
            let _ = self.start(now, built_in(), self.config.target);
            return now;
        }
        self.reporter.poll_idle::<BUCKETS, _>(now, self.queue);
        now.saturating_add(IDLE)
    }

    /// While there is a run: sends what is due, and tells when there is more to do.
    fn run(&mut self) -> Nanos {
        loop {
            // What came before took its time, which is not to be taken for lateness.
            let now = self.clock.now();
            if self.runner.meter().stats().state == PhaseState::Created && !self.is_warm(now) {
                self.report(now);
                return now.saturating_add(IDLE).min(self.net.next_due(now));
            }
            let place = self.free_connection(now);
            let step = self.runner.poll(now, place.is_some());
            if let (Step::Send(ticket), Some(place)) = (step, place) {
                // Before anything is said: a report takes its time.
                self.send(place, ticket, now);
            }
            let report_due = self.report(now);
            match step {
                Step::Send(_) => {}
                Step::WaitUntil(due) => {
                    // The load goes on, whatever the line does.
                    self.line_took = now;
                    self.open_connections(now);
                    let connections = self.connections.iter().map(Connection::next_due).filter(|due| *due > now);
                    return connections.fold(due.min(report_due), Nanos::min).min(self.net.next_due(now));
                }
                Step::PhaseEnded => {
                    self.give_up(now);
                    if !self.reporter.is_phase_reported() && !self.is_line_stuck(now) {
                        return now.saturating_add(LINE_RETRY);
                    }
                    self.runner.next_phase();
                    self.begin_phase(now);
                }
                Step::Finished => {
                    if self.reporter.is_run_reported() || self.is_line_stuck(now) {
                        self.state = State::Over;
                        self.control.set_busy(false);
                    } else {
                        self.reporter.finish(now, self.runner, self.queue);
                    }
                    return now.saturating_add(LINE_RETRY);
                }
            }
        }
    }

    /// Whether there is no point in waiting for the line any longer.
    fn is_line_stuck(&self, now: Nanos) -> bool {
        now.since(self.line_took) >= LINE_PATIENCE
    }

    /// Tells when there is more to report.
    fn report(&mut self, now: Nanos) -> Nanos {
        let is_sending =
            matches!(self.runner.meter().phase().state(), PhaseState::Started | PhaseState::SendingComplete);
        if self.config.metering != Metering::On && is_sending {
            return Nanos::MAX;
        }
        self.reporter.poll(now, self.runner, self.queue);
        self.reporter.next_due()
    }

    /// Opens the connections that the phase begins with, and tells whether the wait for them is over: a request should
    /// not be late because its connection is new.
    fn is_warm(&mut self, now: Nanos) -> bool {
        if self.runner.is_cancelled() {
            return true;
        }
        self.open_connections(now);
        let is_waited_for = self.connections.iter().any(Connection::is_opening);
        !is_waited_for || now >= self.warm_until
    }

    /// Opens what is closed of the connections that the phase can use. The next request meets a server that refuses,
    /// and is counted.
    fn open_connections(&mut self, now: Nanos) {
        let Some(phase) = self.runner.phase_plan() else { return };
        let wanted = match phase.arrival {
            Arrival::ClosedLoop { concurrency } => usize::from(concurrency.max(1)),
            _ => CONNECTIONS,
        };
        let Self { connections, net, target, .. } = self;
        for connection in connections.iter_mut().take(wanted).filter(|connection| connection.can_open(now)) {
            connection.opening(net.connect(connection.handle, *target, now), now);
        }
    }

    fn free_connection(&self, now: Nanos) -> Option<usize> {
        let first = |is: &dyn Fn(&Connection) -> bool| self.connections.iter().position(is);
        let soon = || first(&Connection::is_opening).or_else(|| first(&|connection| connection.can_open(now)));
        first(&Connection::is_idle).or_else(soon)
    }

    fn send(&mut self, place: usize, ticket: Ticket, now: Nanos) {
        let Self { connections, net, target, expect, .. } = self;
        let Some(connection) = connections.get_mut(place) else { return };
        if connection.can_open(now) {
            connection.opening(net.connect(connection.handle, *target, now), now);
        }
        connection.take(ticket, *expect);
        self.poll_connection(place, now);
        self.net.flush(now);
    }

    fn poll_connections(&mut self, now: Nanos) {
        (0..CONNECTIONS).for_each(|place| self.poll_connection(place, now));
    }

    fn poll_connection(&mut self, place: usize, now: Nanos) {
        let Self { connections, net, clock, request, .. } = self;
        let Some(connection) = connections.get_mut(place) else { return };
        let socket = net.socket(connection.handle);
        if let Some(ended) = connection.poll(socket, request.as_ref(), clock, now) {
            if let Err(failure) = ended.result {
                self.failures.count(failure);
            }
            self.finish(&ended.ticket, ended.at, ended.outcome());
        }
    }

    fn finish(&mut self, ticket: &Ticket, at: Nanos, outcome: Outcome) {
        let outcome = if self.config.metering == Metering::Off { Outcome::Cancelled } else { outcome };
        // A response to a phase that gave it up is refused by the meter, and counted there as cancelled.
        let _ = self.runner.finish(ticket, at, outcome);
    }

    /// Closes the connections whose requests were given up, and says what failed.
    fn give_up(&mut self, now: Nanos) {
        let Self { connections, net, .. } = self;
        for connection in connections {
            // The runner has counted it.
            let _ = connection.abort(net.socket(connection.handle), now);
        }
        // They add up until the last notice was printed.
        if self.notice.is_empty() && self.failures != Failures::default() {
            let failures = core::mem::take(&mut self.failures);
            #[cfg(feature = "defmt")]
            defmt::warn!("{}", failures);
            // There is room: five numbers of at most ten digits.
            let _ = writeln!(self.notice, "{failures}");
        }
    }

    fn begin_phase(&mut self, now: Nanos) {
        let Some(phase) = self.runner.phase_plan() else { return };
        let mut host = String::<MAX_TARGET>::new();
        // An address and a port are shorter than that.
        let _ = write!(host, "{}", self.target);
        self.request = Request::new(&phase.workload, &host);
        self.expect = if let Workload::Chat { .. } = phase.workload { Expect::Chat } else { Expect::Plain };
        self.warm_until = now.saturating_add(WARM_WITHIN);
        if self.request.is_none() {
            self.runner.cancel(now);
        }
    }

    /// Writes a little to the line, unless it is busy. Between frames there may be a line of text.
    fn write(&mut self) -> Written {
        let is_text = self.queue.is_empty() || self.printed > 0;
        let bytes = match self.notice.as_bytes().get(self.printed..) {
            Some(text) if is_text => text,
            _ => self.queue.front(),
        };
        let Some(bytes) = bytes.get(..bytes.len().min(WRITE_AT_A_TIME)).filter(|bytes| !bytes.is_empty()) else {
            return Written::Nothing;
        };
        if !self.serial.write_ready().unwrap_or(false) {
            return Written::Busy;
        }
        let Ok(count @ 1..) = self.serial.write(bytes) else { return Written::Busy };
        if is_text {
            self.printed = self.printed.saturating_add(count);
            if self.printed >= self.notice.len() {
                self.drop_notice();
            }
        } else {
            self.queue.consume(count);
        }
        Written::Some
    }

    fn drop_notice(&mut self) {
        self.notice.clear();
        self.printed = 0;
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Written {
    /// There is nothing to write.
    Nothing,
    Some,
    /// The line takes nothing now.
    Busy,
}
