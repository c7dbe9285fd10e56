//! The application on the host: a wire in memory with a server at its far end, and a serial line that is two buffers.
//!
//! In a [`Simulation`] the server follows a script and the test moves the clock; over a [`Loopback`] both are real.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]

pub mod bridge;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::{SocketAddr, SocketAddrV4};
use std::rc::Rc;
use std::thread;
use std::time;

use embedded_io::{ErrorType, Read, ReadReady, Write, WriteReady};
use phasemeter::session::{Boot, HostHistogram, PhaseTelemetry, Session};
use phasemeter_core::metric::LoadMetric;
use phasemeter_core::outcome::Failures;
use phasemeter_core::phase::{PhaseCounts, PhaseStats};
use phasemeter_core::plan::{Arrival, PhasePlan, RunPlan, Stop, Workload};
use phasemeter_core::telemetry::{
    Answer, COMMAND_VERSION, Command, CommandEnvelope, Identity, MAX_ENCODED, encode_command,
};
use phasemeter_core::time::{Clock, Duration, Instant, MockClock};
use phasemeter_firmware::app::{App, Config, Metering};
use phasemeter_firmware::net::Place;
use phasemeter_firmware::scripted::{Script, ScriptedPeer, ScriptedStorage};
use phasemeter_firmware::wire::{End, Wire};
use smoltcp::wire::{Ipv4Address, Ipv4Cidr};

use bridge::Bridge;

pub const PORT: u16 = 8080;
pub const SERVER: Ipv4Address = Ipv4Address::new(10, 0, 2, 2);
const DEVICE: Ipv4Address = Ipv4Address::new(10, 0, 2, 15);

/// What is on the line in both directions, and how much more it takes from the device.
#[derive(Debug, Default)]
pub struct Buffers {
    pub to_device: VecDeque<u8>,
    pub from_device: Vec<u8>,
    pub is_stuck: bool,
}

#[derive(Clone, Debug, Default)]
pub struct Serial(pub Rc<RefCell<Buffers>>);

impl ErrorType for Serial {
    type Error = Infallible;
}

impl Read for Serial {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
        let bytes = &mut self.0.borrow_mut().to_device;
        let count = buffer.len().min(bytes.len());
        buffer.iter_mut().zip(bytes.drain(..count)).for_each(|(to, from)| *to = from);
        Ok(count)
    }
}

impl ReadReady for Serial {
    fn read_ready(&mut self) -> Result<bool, Infallible> {
        Ok(!self.0.borrow().to_device.is_empty())
    }
}

impl Write for Serial {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        assert!(!self.0.borrow().is_stuck, "asked first");
        self.0.borrow_mut().from_device.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

impl WriteReady for Serial {
    fn write_ready(&mut self) -> Result<bool, Infallible> {
        Ok(!self.0.borrow().is_stuck)
    }
}

/// A clock that can be waited for.
pub trait Timer: Clock + Copy + 'static {
    /// Returns at `until`; if that is not later than now, a moment later.
    fn sleep(self, until: Instant);
}

impl Timer for &'static MockClock {
    fn sleep(self, until: Instant) {
        self.set(until.max(self.now().saturating_add(Duration::from_micros(10))));
    }
}

/// The clock on the wall.
#[derive(Clone, Copy, Debug)]
pub struct WallClock(time::Instant);

impl Clock for WallClock {
    fn now(&mut self) -> Instant {
        Instant::from_nanos(self.0.elapsed().as_nanos().try_into().unwrap())
    }
}

impl Timer for WallClock {
    fn sleep(mut self, until: Instant) {
        thread::sleep(time::Duration::from_nanos(until.since(self.now()).as_nanos()));
    }
}

/// What is at the far end of the wire.
pub trait Peer {
    /// Does what can be done now, and tells when it has more to do.
    fn poll(&mut self, now: Instant) -> Instant;
}

impl Peer for ScriptedPeer<End<'static>> {
    fn poll(&mut self, now: Instant) -> Instant {
        self.poll(now)
    }
}

/// The configuration of all tests.
pub fn config() -> Config {
    Config {
        identity: Identity {
            device_id: "host-test",
            boot_id: 7,
            firmware: "phasemeter-firmware",
            firmware_version: "0.1.0",
            clock_hz: 1_000_000_000,
        },
        place: Place { mac: [2, 0, 0, 0, 0, 15], address: Ipv4Cidr::new(DEVICE, 24), gateway: Some(SERVER) },
        target: SocketAddrV4::new(SERVER, PORT),
        built_in_at: None,
        metering: Metering::On,
    }
}

/// The application, its host and its peer.
pub struct Rig<T, S> {
    pub clock: T,
    pub app: App<End<'static>, T, Serial>,
    pub peer: S,
    pub serial: Serial,
    pub session: Session,
    ends: [End<'static>; 2],
    /// How long a run may take.
    limit: Duration,
    fed: usize,
    command: u32,
    /// How often the application was polled: it sleeps in between.
    pub polls: u32,
}

/// The application and a server that follows a script, in simulated time.
pub type Simulation = Rig<&'static MockClock, ScriptedPeer<End<'static>>>;

impl Simulation {
    pub fn new(config: Config, script: Script) -> Self {
        Self::of(config, Box::leak(Box::default()), Duration::from_secs(600), |end| {
            let storage: &mut ScriptedStorage = Box::leak(Box::default());
            ScriptedPeer::new(end, Ipv4Cidr::new(SERVER, 24), PORT, script, storage)
        })
    }
}

/// The application and a real server on this computer, in real time.
pub type Loopback = Rig<WallClock, Bridge>;

impl Loopback {
    pub fn new(config: Config, server: SocketAddr) -> Self {
        Self::of(config, WallClock(time::Instant::now()), Duration::from_secs(30), |end| Bridge::new(end, server))
    }
}

impl<T: Timer, S: Peer> Rig<T, S> {
    fn of(config: Config, clock: T, limit: Duration, peer: impl FnOnce(End<'static>) -> S) -> Self {
        let wire: &Wire = Box::leak(Box::default());
        let ends @ [here, there] = wire.ends();
        let serial = Serial::default();
        let app = App::new(config, Box::leak(Box::default()), here, clock, serial.clone());
        let session = Session::new();
        Self { clock, app, peer: peer(there), serial, session, ends, limit, fed: 0, command: 0, polls: 0 }
    }

    /// Goes on until `done`, for `limit` at most.
    pub fn run_until(&mut self, limit: Duration, mut done: impl FnMut(&mut Self) -> bool) {
        let end = self.clock.now().saturating_add(limit);
        while !done(self) {
            let now = self.clock.now();
            assert!(now < end, "not done within {limit}: {:?}", self.session.current_boot());
            self.polls += 1;
            let due = self.app.poll().min(self.peer.poll(now));
            let is_busy = self.ends.iter().any(End::has_frame);
            self.clock.sleep(if is_busy { now } else { due.min(end) });
            let bytes = self.serial.0.borrow().from_device[self.fed..].to_vec();
            self.fed += bytes.len();
            self.session.feed(&bytes, |_| ());
        }
    }

    pub fn run_for(&mut self, time: Duration) {
        let end = self.clock.now().saturating_add(time);
        self.run_until(Duration::MAX, |rig| rig.clock.now() >= end);
    }

    /// Says `command`, and gives the refusal with which it is answered, if it is.
    pub fn ask(&mut self, command: Command<'_>) -> Option<String> {
        let id = self.say(command);
        self.run_until(Duration::from_secs(5), |rig| {
            rig.session.last_answer().is_some_and(|answer| answer.command == id)
        });
        self.session.last_answer().and_then(Answer::refusal).map(|refusal| refusal.to_string())
    }

    pub fn say(&mut self, command: Command<'_>) -> u32 {
        self.command += 1;
        let envelope = CommandEnvelope { version: COMMAND_VERSION, id: self.command, command };
        let mut bytes = [0; MAX_ENCODED];
        let length = encode_command(&envelope, &mut bytes).unwrap();
        self.serial.0.borrow_mut().to_device.extend(&bytes[..length]);
        self.command
    }

    /// Uploads a plan; gives the refusal if it is refused.
    pub fn upload<const P: usize>(&mut self, target: &str, plan: &RunPlan<P>) -> Option<String> {
        let phases = u16::try_from(plan.phases().len()).unwrap();
        let prepare = Command::Prepare { plan_hash: plan.content_hash(), seed: plan.seed(), phases, target };
        let phase = |(index, phase): (u16, &PhasePlan)| Command::Phase { index, phase: phase.clone() };
        let phases = (0..).zip(plan.phases()).map(phase);
        [prepare].into_iter().chain(phases).find_map(|command| self.ask(command))
    }

    /// Uploads a plan and asks for its run; gives the refusal if either is refused.
    pub fn ask_for<const P: usize>(&mut self, target: &str, plan: &RunPlan<P>) -> Option<String> {
        self.upload(target, plan).or_else(|| self.ask(Command::Start { plan_hash: plan.content_hash() }))
    }

    /// Uploads and starts a plan.
    pub fn start<const P: usize>(&mut self, plan: &RunPlan<P>) {
        assert_eq!(self.ask_for("", plan), None);
    }

    /// Uploads and starts a plan, and acknowledges its ends, until the device has nothing more to say.
    pub fn carry_out<const P: usize>(&mut self, plan: &RunPlan<P>) {
        self.session = Session::new();
        self.start(plan);
        self.await_end();
        self.session.check_whole().unwrap();
    }

    pub fn await_end(&mut self) {
        let mut acknowledged = 0;
        self.run_until(self.limit, |rig| {
            if let Some(boot) = rig.session.current_boot() {
                let (id, is_whole) = (boot.id(), boot.phase(acknowledged).is_some_and(PhaseTelemetry::is_whole));
                if is_whole {
                    rig.say(Command::Acknowledge { boot: id, phase: Some(acknowledged) });
                    acknowledged += 1;
                }
                if rig.session.is_finished() {
                    rig.say(Command::Acknowledge { boot: id, phase: None });
                }
            }
            rig.app.is_over() && rig.session.is_finished()
        });
    }

    /// The last run.
    pub fn boot(&self) -> &Boot {
        self.session.current_boot().expect("a run has begun")
    }

    /// A phase of the last run.
    pub fn phase(&self, index: u16) -> &PhaseTelemetry {
        self.boot().phase(index).expect("the phase was reported")
    }

    pub fn stats(&self, phase: u16) -> PhaseStats {
        *self.phase(phase).stats().expect("the phase was reported")
    }

    pub fn counts(&self, phase: u16) -> PhaseCounts {
        self.stats(phase).counts
    }

    pub fn failures(&self, phase: u16) -> Failures {
        self.phase(phase).failures().cloned().unwrap_or_default()
    }

    pub fn histogram(&self, phase: u16, metric: LoadMetric) -> Box<HostHistogram> {
        let id = self.boot().metric_id(metric.name()).expect("the device has told of its metrics");
        self.phase(phase).histogram(id).expect("it has samples")
    }

    /// How many samples of a metric have come.
    pub fn observed(&self, phase: u16, metric: LoadMetric) -> u64 {
        let id = self.boot().metric_id(metric.name()).expect("the device has told of its metrics");
        self.phase(phase).metrics().find(|(other, _)| *other == id).map_or(0, |(_, mirror)| mirror.observed())
    }
}

/// A plan of these phases.
pub fn plan(phases: &[(Workload, Arrival, Stop)]) -> RunPlan<8> {
    let mut plan = RunPlan::new(3);
    for (workload, arrival, stop) in phases {
        let phase = PhasePlan::profiling(workload.clone(), *arrival, *stop);
        plan.push(PhasePlan { grace: Duration::from_secs(2), ..phase }).unwrap();
    }
    plan
}

pub fn get() -> Workload {
    Workload::get("/").unwrap()
}

pub const CHAT: Workload = Workload::Chat { prompt_tokens: 300, output_tokens: 8 };
