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
use std::time::{Duration, Instant};

use embedded_io::{ErrorType, Read, ReadReady, Write, WriteReady};
use phasemeter::session::{Note, PhaseRecord, Session};
use phasemeter_core::plan::{Arrival, PhaseKind, PhasePlan, RunPlan, Stop, Workload};
use phasemeter_core::telemetry::{
    COMMAND_VERSION, Command, CommandEnvelope, Identity, Job, MAX_ENCODED, MAX_PART, encode_command,
};
use phasemeter_core::time::{Clock, MockClock, Nanos};
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
    fn sleep(self, until: Nanos);
}

impl Timer for &'static MockClock {
    fn sleep(self, until: Nanos) {
        self.set(until.max(self.now().saturating_add(Nanos::from_micros(10))));
    }
}

/// The clock on the wall.
#[derive(Clone, Copy, Debug)]
pub struct WallClock(Instant);

impl Clock for WallClock {
    fn now(&mut self) -> Nanos {
        Nanos::new(self.0.elapsed().as_nanos().try_into().unwrap())
    }
}

impl Timer for WallClock {
    fn sleep(mut self, until: Nanos) {
        thread::sleep(Duration::from_nanos(until.since(self.now()).get()));
    }
}

/// What is at the far end of the wire.
pub trait Peer {
    /// Does what can be done now, and tells when it has more to do.
    fn poll(&mut self, now: Nanos) -> Nanos;
}

impl Peer for ScriptedPeer<End<'static>> {
    fn poll(&mut self, now: Nanos) -> Nanos {
        self.poll(now)
    }
}

/// The configuration of all tests.
pub fn config() -> Config<'static> {
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
        built_in_after: None,
        metering: Metering::On,
    }
}

/// The application, its host and its peer.
pub struct Rig<T, S> {
    pub clock: T,
    pub app: App<'static, End<'static>, T, Serial>,
    pub peer: S,
    pub serial: Serial,
    pub session: Session,
    pub texts: Vec<String>,
    ends: [End<'static>; 2],
    /// How long a run may take.
    limit: Nanos,
    fed: usize,
    command: u32,
}

/// The application and a server that follows a script, in simulated time.
pub type Simulation = Rig<&'static MockClock, ScriptedPeer<End<'static>>>;

impl Simulation {
    pub fn new(config: Config<'static>, script: Script) -> Self {
        Self::of(config, Box::leak(Box::default()), Nanos::from_secs(600), |end| {
            let storage: &mut ScriptedStorage = Box::leak(Box::default());
            ScriptedPeer::new(end, Ipv4Cidr::new(SERVER, 24), PORT, script, storage)
        })
    }
}

/// The application and a real server on this computer, in real time.
pub type Loopback = Rig<WallClock, Bridge>;

impl Loopback {
    pub fn new(config: Config<'static>, server: SocketAddr) -> Self {
        Self::of(config, WallClock(Instant::now()), Nanos::from_secs(30), |end| Bridge::new(end, server))
    }
}

impl<T: Timer, S: Peer> Rig<T, S> {
    fn of(config: Config<'static>, clock: T, limit: Nanos, peer: impl FnOnce(End<'static>) -> S) -> Self {
        let wire: &Wire = Box::leak(Box::default());
        let ends @ [here, there] = wire.ends();
        let serial = Serial::default();
        let app = App::new(config, Box::leak(Box::default()), here, clock, serial.clone());
        let (session, texts) = (Session::new(), Vec::new());
        Self { clock, app, peer: peer(there), serial, session, texts, ends, limit, fed: 0, command: 0 }
    }

    /// Goes on until `done`, for `limit` at most.
    pub fn run_until(&mut self, limit: Nanos, mut done: impl FnMut(&mut Self) -> bool) {
        let end = self.clock.now().saturating_add(limit);
        while !done(self) {
            let now = self.clock.now();
            assert!(now < end, "not done within {limit}; the device said {:?}", self.texts);
            let due = self.app.poll().min(self.peer.poll(now));
            let is_busy = self.ends.iter().any(End::has_frame);
            self.clock.sleep(if is_busy { now } else { due.min(end) });
            let bytes = self.serial.0.borrow().from_device[self.fed..].to_vec();
            self.fed += bytes.len();
            self.session.feed(&bytes, |note| {
                if let Note::Text(text) = note {
                    self.texts.push(text.trim_end().to_owned());
                }
            });
        }
    }

    pub fn run_for(&mut self, time: Nanos) {
        let end = self.clock.now().saturating_add(time);
        self.run_until(Nanos::MAX, |rig| rig.clock.now() >= end);
    }

    /// Says `command`, and gives the refusal with which it is answered, if it is.
    pub fn ask(&mut self, command: Command<'_>) -> Option<String> {
        let id = self.say(command);
        self.run_until(Nanos::from_secs(5), |rig| rig.session.last_answer().is_some_and(|answer| answer.command == id));
        self.session.last_answer().and_then(|answer| answer.refusal).map(|refusal| refusal.to_string())
    }

    pub fn say(&mut self, command: Command<'_>) -> u32 {
        self.command += 1;
        let envelope = CommandEnvelope { version: COMMAND_VERSION, id: self.command, command };
        let mut bytes = [0; MAX_ENCODED];
        let length = encode_command(&envelope, &mut bytes).unwrap();
        self.serial.0.borrow_mut().to_device.extend(&bytes[..length]);
        self.command
    }

    /// Uploads a job; gives the refusal if it is refused.
    pub fn upload<const P: usize>(&mut self, target: &str, plan: &RunPlan<P>) -> Option<String> {
        let mut bytes = [0; 4096];
        let job = Job { target, plan }.write(&mut bytes).unwrap().to_vec();
        let (plan_hash, length) = (plan.content_hash(), u16::try_from(job.len()).unwrap());
        let mut offset = 0;
        for part in job.chunks(MAX_PART) {
            let refusal = self.ask(Command::Upload { plan_hash, length, offset, part });
            if refusal.is_some() {
                return refusal;
            }
            offset += u16::try_from(part.len()).unwrap();
        }
        None
    }

    /// Uploads and starts a plan, and acknowledges its ends, until the device has nothing more to say.
    pub fn carry_out<const P: usize>(&mut self, plan: &RunPlan<P>) {
        self.session = Session::new();
        assert_eq!(self.upload("", plan), None);
        assert_eq!(self.ask(Command::Start { plan_hash: plan.content_hash() }), None);
        self.await_end();
        self.session.check_whole().unwrap();
    }

    pub fn await_end(&mut self) {
        let mut acknowledged = 0;
        self.run_until(self.limit, |rig| {
            let phases = rig.session.boots().last().map(|boot| &boot.phases);
            if phases.and_then(|phases| phases.get(&acknowledged)).is_some_and(PhaseRecord::is_whole) {
                rig.say(Command::Acknowledge { phase: Some(acknowledged) });
                acknowledged += 1;
            }
            if rig.session.is_finished() {
                rig.say(Command::Acknowledge { phase: None });
            }
            rig.app.is_over() && rig.session.is_finished()
        });
    }

    /// A phase of the last run.
    pub fn phase(&self, index: u16) -> &PhaseRecord {
        &self.session.boots().last().expect("a run has begun").phases[&index]
    }
}

/// A plan of these phases.
pub fn plan(phases: &[(Workload, Arrival, Stop)]) -> RunPlan<8> {
    let mut plan = RunPlan::new(3);
    for (workload, arrival, stop) in phases {
        let (workload, arrival, stop) = (workload.clone(), *arrival, *stop);
        plan.push(PhasePlan { kind: PhaseKind::Profiling, workload, arrival, stop, grace: Nanos::from_secs(2) })
            .unwrap();
    }
    plan
}

pub fn get() -> Workload {
    Workload::get("/").unwrap()
}

pub const CHAT: Workload = Workload::Chat { prompt_tokens: 300, output_tokens: 8 };
