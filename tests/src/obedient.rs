//! A device without hardware that takes commands: core's control, runner and reporter in real time, with a server that
//! answers at once.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use phasemeter::source::{Event, EventKind, Line, spawn_reader};
use phasemeter_core::phase::Outcome;
use phasemeter_core::runner::{Runner, Step};
use phasemeter_core::telemetry::{Control, Identity, Refusal, Reporter, ReporterConfig, Request, TxQueue};
use phasemeter_core::time::Nanos;

const BUCKETS: usize = 512;
/// How many phases the device's plans can have.
pub const PHASES: usize = 4;
/// How many bytes of target and plan the device can hold.
const JOB: usize = 1024;

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
    let stop = Arc::new(AtomicBool::new(false));
    thread::spawn(move || {
        let (sender, events) = sync_channel(64);
        // A line that listens has no way back before its client has come.
        let writer = line.writer().expect("the line has both directions");
        let reader = spawn_reader(line, 0, sender, Arc::clone(&stop));
        Device::new(faults).serve(&events, writer);
        stop.store(true, Ordering::Relaxed);
        drop(events);
        reader.join().expect("the reader has not panicked");
    })
}

enum State {
    Idle,
    Running(Box<Runner<BUCKETS, PHASES>>),
    Over,
}

struct Device {
    faults: Faults,
    origin: Instant,
    boot_id: u64,
    state: State,
    control: Control<JOB>,
    reporter: Reporter<'static>,
    queue: TxQueue<4096>,
    pieces: u64,
}

impl Device {
    fn new(faults: Faults) -> Self {
        let mut device = Self {
            faults,
            origin: Instant::now(),
            boot_id: 100,
            state: State::Idle,
            control: Control::new(),
            reporter: Reporter::new(identity(0), ReporterConfig::default()),
            queue: TxQueue::new(),
            pieces: 0,
        };
        device.boot();
        device
    }

    fn boot(&mut self) {
        self.boot_id += 1;
        self.reporter = Reporter::new(identity(self.boot_id), ReporterConfig::default());
        self.state = State::Idle;
        self.control.set_busy(false);
    }

    fn serve(&mut self, events: &Receiver<Event>, mut writer: Box<dyn Write + Send>) {
        loop {
            match events.try_recv() {
                Ok(Event { kind: EventKind::Bytes(bytes), .. }) => bytes.into_iter().for_each(|byte| self.hear(byte)),
                Ok(_) | Err(TryRecvError::Disconnected) => return,
                Err(TryRecvError::Empty) => thread::sleep(Duration::from_millis(1)),
            }
            let now = self.now();
            self.reporter.answer(now, &mut self.control, &mut self.queue);
            self.step(now);
            let front = self.queue.front().to_vec();
            self.queue.consume(front.len());
            self.pieces += u64::from(!front.is_empty());
            let is_lost = self.faults.lose_every.is_some_and(|every| self.pieces.is_multiple_of(every));
            if !is_lost && !self.faults.is_deaf && writer.write_all(&front).is_err() {
                return;
            }
        }
    }

    fn hear(&mut self, byte: u8) {
        let now = self.now();
        match self.control.push(byte) {
            Some(Request::Identify) => {
                if matches!(self.state, State::Over) {
                    self.boot();
                }
                self.reporter.identify();
            }
            Some(Request::Start { target, .. }) if target == "192.0.2.1:80" => self.control.refuse(Refusal::BadTarget),
            Some(Request::Start { plan, .. }) => match Runner::new(plan, ()) {
                Ok(runner) => {
                    self.state = State::Running(Box::new(runner));
                    self.control.set_busy(true);
                    self.reporter.expect_acknowledgement();
                }
                Err(_) => self.control.refuse(Refusal::CannotRun),
            },
            Some(Request::Stop) => {
                if let State::Running(runner) = &mut self.state {
                    runner.cancel(now);
                }
            }
            Some(Request::Acknowledge(phase)) => self.reporter.acknowledge(phase),
            Some(Request::Resend) => {
                if let State::Running(runner) = &mut self.state {
                    self.reporter.resend(runner);
                }
            }
            _ => {}
        }
    }

    fn step(&mut self, now: Nanos) {
        let State::Running(runner) = &mut self.state else {
            self.reporter.poll_idle::<BUCKETS, _>(now, &mut self.queue);
            return;
        };
        let step = runner.poll(now, true);
        self.reporter.poll(now, runner, &mut self.queue);
        match step {
            Step::Send(mut ticket) => {
                ticket.mark_sent(now);
                let end = now.saturating_add(Nanos::from_micros(200));
                runner.finish(&ticket, end, Outcome::Success).expect("it is in flight");
                if self.faults.reset_after.is_some_and(|after| runner.meter().stats().counts.sent >= after) {
                    self.faults.reset_after = None;
                    self.control = Control::new();
                    self.boot();
                }
            }
            Step::PhaseEnded if self.reporter.is_phase_reported() => runner.next_phase(),
            Step::Finished if self.reporter.is_run_reported() => {
                self.state = State::Over;
                self.control.set_busy(false);
            }
            Step::Finished => self.reporter.finish(now, runner, &mut self.queue),
            _ => {}
        }
    }

    fn now(&self) -> Nanos {
        Nanos::new(u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }
}

fn identity(boot_id: u64) -> Identity<'static> {
    let (device_id, firmware, firmware_version) = ("obedient-7", "scripted", "2.0");
    Identity { device_id, boot_id, firmware, firmware_version, clock_hz: 1_000_000_000 }
}
