//! A device without hardware that takes commands: core's device in real time, with a server that answers at once.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use phasemeter::source::{Line, LineEvent, LineEventKind, spawn_reader};
use phasemeter_core::device::{self, Step, Storage};
use phasemeter_core::metric::LOAD_METRICS;
use phasemeter_core::outcome::Outcome;
use phasemeter_core::telemetry::{Identity, Reason, TelemetryConfig};
use phasemeter_core::time;

/// How many phases the device's plans can have.
pub const PHASES: usize = 4;

/// A target that the device cannot reach.
const UNREACHABLE: &str = "192.0.2.1:80";

type Memory = Storage<LOAD_METRICS, 512, PHASES, 4096>;
type Core<'a> = device::Device<'a, LOAD_METRICS, 512, PHASES, 4096>;

/// What is wrong with the line or the device.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// Of what the device sends, every so manieth piece gets lost.
    pub lose_every: Option<u64>,
    /// The device is reset after it has sent so many requests.
    pub reset_after: Option<u64>,
    /// The device hears and does not answer.
    pub is_deaf: bool,
}

/// A device at the other end of `line`, which lives until the line ends.
pub fn obedient_device(line: Box<dyn Line>, faults: Faults) -> JoinHandle<()> {
    obedient_device_named("obedient-7", line, faults)
}

/// The same with a name of its own.
pub fn obedient_device_named(id: &'static str, line: Box<dyn Line>, faults: Faults) -> JoinHandle<()> {
    let stop = Arc::new(AtomicBool::new(false));
    thread::spawn(move || {
        let (sender, events) = sync_channel(64);
        // A line that listens has no way back before its client has come.
        let writer = line.writer().expect("the line has both directions");
        let reader = spawn_reader(line, 0, sender, Arc::clone(&stop));
        Device { id, faults, writer, events, pieces: 0 }.serve();
        stop.store(true, Ordering::Relaxed);
        reader.join().expect("the reader has not panicked");
    })
}

struct Device {
    id: &'static str,
    faults: Faults,
    writer: Box<dyn Write + Send>,
    events: Receiver<LineEvent>,
    pieces: u64,
}

/// Why a boot is over.
enum End {
    Reset,
    LineGone,
}

impl Device {
    fn serve(mut self) {
        for boot_id in 101.. {
            let mut storage = Box::new(Memory::new());
            let identity =
                Identity { firmware: "scripted", firmware_version: "2.0", ..Identity::new(self.id, boot_id) };
            let core = device::Device::new(&mut storage, identity, &[], TelemetryConfig::default(), ());
            match self.boot(core) {
                End::Reset => {}
                End::LineGone => return,
            }
        }
    }

    fn boot(&mut self, mut core: Core<'_>) -> End {
        let origin = Instant::now();
        let now = || {
            let nanos = origin.elapsed().as_nanos();
            time::Instant::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
        };
        loop {
            match self.events.try_recv() {
                Ok(LineEvent { kind: LineEventKind::Bytes(bytes), .. }) => core.receive(&bytes),
                Ok(_) | Err(TryRecvError::Disconnected) => return End::LineGone,
                Err(TryRecvError::Empty) => thread::sleep(Duration::from_millis(1)),
            }
            match core.poll(now(), true) {
                Step::Asked if core.target() == UNREACHABLE => core.refuse(Reason::BAD_TARGET),
                Step::Asked => core.start(),
                Step::Send(ticket) => {
                    let end = ticket.intended().saturating_add(time::Duration::from_micros(200));
                    core.finish(ticket, end.max(now()), Outcome::Success).expect("it is in flight");
                }
                _ => {}
            }
            let sent = core.meter().stats().counts.sent;
            if self.faults.reset_after.take_if(|after| sent >= *after).is_some() {
                return End::Reset;
            }
            if self.send(&mut core).is_err() {
                return End::LineGone;
            }
        }
    }

    fn send(&mut self, core: &mut Core<'_>) -> std::io::Result<()> {
        let front = core.transmit().to_vec();
        core.sent(front.len());
        self.pieces += u64::from(!front.is_empty());
        let is_lost = self.faults.lose_every.is_some_and(|every| self.pieces.is_multiple_of(every));
        if is_lost || self.faults.is_deaf { Ok(()) } else { self.writer.write_all(&front) }
    }
}
