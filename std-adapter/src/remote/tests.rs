use super::*;
use crate::session::Session;
use phasemeter_core::device::{Device, Step, Storage};
use phasemeter_core::metric::{LOAD_METRICS, Metric};
use phasemeter_core::monitor::{self, Monitor};
use phasemeter_core::outcome::Outcome;
use phasemeter_core::plan::{Arrival, PhasePlan, Stop, Workload};
use phasemeter_core::telemetry::{Identity, Reason, TelemetryConfig};
use phasemeter_core::time::Instant as DeviceTime;
use std::sync::{Arc, Mutex};

/// How many phases the board holds.
const PHASES: usize = 2;
const TARGET: &str = "192.0.2.7:80";
const SHORT: Stop = Stop::requests(20);

/// A device behind a line in memory. It runs while it is read.
#[derive(Clone)]
struct Board(Arc<Mutex<Driven>>);

struct Driven {
    device: Device<'static, LOAD_METRICS, 64, PHASES, 1024>,
    origin: Instant,
    /// Why it does not start.
    refusal: Option<Refusal>,
    /// Of so many commands, one arrives.
    one_of: u32,
    commands: u32,
}

impl Board {
    fn new(refusal: Option<Refusal>, one_of: u32) -> Self {
        let (identity, config) = (Identity::new("board", 7), TelemetryConfig::default());
        let device = Device::new(Box::leak(Box::new(Storage::new())), identity, &[], config, ());
        Self(Arc::new(Mutex::new(Driven { device, origin: Instant::now(), refusal, one_of, commands: 0 })))
    }
}

impl Line for Board {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<LineRead> {
        let mut board = self.0.lock().unwrap();
        let Driven { device, origin, refusal, .. } = &mut *board;
        loop {
            let now = DeviceTime::from_nanos(u64::try_from(origin.elapsed().as_nanos()).unwrap());
            match device.poll(now, true) {
                Step::Asked => match *refusal {
                    Some(refusal) => device.refuse(refusal),
                    None => device.start(),
                },
                Step::Send(ticket) => device.finish(ticket, now, Outcome::Success).unwrap(),
                Step::WaitUntil(_) => break,
                _ => {}
            }
        }
        let waiting = device.transmit();
        let length = waiting.len().min(buffer.len());
        buffer[..length].copy_from_slice(&waiting[..length]);
        device.sent(length);
        Ok(if length > 0 { LineRead::Bytes(length) } else { LineRead::Idle })
    }

    fn writer(&self) -> io::Result<Box<dyn Write + Send>> {
        Ok(Box::new(self.clone()))
    }
}

impl Write for Board {
    /// Takes a command: each is one write.
    fn write(&mut self, command: &[u8]) -> io::Result<usize> {
        let mut board = self.0.lock().unwrap();
        board.commands += 1;
        if board.commands.is_multiple_of(board.one_of) {
            board.device.receive(command);
        }
        Ok(command.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn plan(phases: usize, stop: Stop) -> RunPlan<4> {
    let mut plan = RunPlan::new(3);
    for _ in 0..phases {
        plan.push(PhasePlan::profiling(Workload::get("/").unwrap(), Arrival::constant(1_000), stop)).unwrap();
    }
    plan
}

/// Runs a plan to the end of what the device tells.
fn run(board: &Board, plan: &RunPlan<4>) -> Result<Session, RemoteError> {
    let stop = || false;
    let (mut remote, name) = Remote::identify(Box::new(board.clone()), stop, |_| {})?;
    assert!(name.starts_with("board, "), "{name}");
    remote.upload(TARGET, plan, stop, |_| {})?;
    let (mut line, mut control) = remote.into_recording(plan.content_hash());
    let mut session = Session::expecting(control.plan_hash());
    control.start();
    while !board.0.lock().unwrap().device.is_idle() || !session.is_finished() {
        control.poll(&session)?;
        let mut buffer = [0; 256];
        if let LineRead::Bytes(length) = line.read(&mut buffer)? {
            session.feed(&buffer[..length], |_| {});
        }
    }
    Ok(session)
}

#[test]
fn a_plan_goes_to_the_device_phase_by_phase_and_its_ends_are_acknowledged() {
    let (board, started) = (Board::new(None, 1), Instant::now());
    // One after the other, each a boot of its own.
    for _ in 0..2 {
        let session = run(&board, &plan(PHASES, SHORT)).unwrap();
        session.check_whole().unwrap();
        assert_eq!(board.0.lock().unwrap().device.target(), TARGET);
    }
    // An end that nobody acknowledges is told for 4 s.
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
}

#[test]
fn commands_that_are_lost_are_sent_again_and_acknowledgements_too() {
    let (board, started) = (Board::new(None, 2), Instant::now());
    let session = run(&board, &plan(PHASES, SHORT)).unwrap();
    session.check_whole().unwrap();
    assert!(board.0.lock().unwrap().commands > 10);
    // Five commands with 0.4 s each, and three ends with 0.5 s. An end that nobody acknowledges is told for 4 s.
    assert!(started.elapsed() < Duration::from_secs(9), "{:?}", started.elapsed());
}

#[test]
fn a_device_refuses_by_reason() {
    let error = run(&Board::new(None, 1), &plan(PHASES + 1, SHORT)).unwrap_err();
    assert_eq!(error.to_string(), "the device refuses: a plan may have 2 phases: leave some out");
    let error = run(&Board::new(Some(Reason::BAD_TARGET.into()), 1), &plan(1, SHORT)).unwrap_err();
    assert!(matches!(error, RemoteError::Refused(Refusal { reason: Reason::BAD_TARGET, .. })), "{error}");
}

#[test]
fn a_plan_for_the_host_is_not_sent_to_a_device() {
    let board = Board::new(None, 1);
    let (mut remote, _) = Remote::identify(Box::new(board.clone()), || false, |_| {}).unwrap();
    let commands = board.0.lock().unwrap().commands;
    let mut plan = plan(1, SHORT);
    let workload = Workload::Host { content: 7 };
    plan.push(PhasePlan::profiling(workload, Arrival::constant(1_000), SHORT)).unwrap();
    let error = remote.upload(TARGET, &plan, || false, |_| {}).unwrap_err();
    let expected = "phase 1 (profiling) asks for what only the host's load generator can do (a method, headers, a body, \
                    TLS or credentials): a device sends plain GETs and chats";
    assert_eq!(error.to_string(), expected);
    assert_eq!(board.0.lock().unwrap().commands, commands, "nothing was sent");
}

#[test]
fn a_run_that_is_under_way_is_stopped_when_asked_for() {
    let board = Board::new(None, 1);
    let identify = || Remote::identify(Box::new(board.clone()), || false, |_| {}).unwrap().0;
    let mut first = identify();
    let endless = plan(1, Stop::after(phasemeter_core::time::Duration::MAX));
    first.upload(TARGET, &endless, || false, |_| {}).unwrap();
    let (mut line, mut control) = first.into_recording(endless.content_hash());
    control.start();
    while board.0.lock().unwrap().device.phase_plan().is_none() {
        line.read(&mut [0; 256]).unwrap();
    }

    let mut second = identify();
    let plan = plan(1, SHORT);
    let error = second.upload(TARGET, &plan, || false, |_| {}).unwrap_err();
    assert!(matches!(error, RemoteError::Refused(Refusal { reason: Reason::BUSY, .. })), "{error}");
    let started = Instant::now();
    second.stop_running(|| false, |_| {}).unwrap();
    second.upload(TARGET, &plan, || false, |_| {}).unwrap();
    // Two ends that nobody acknowledges are told for 8 s.
    assert!(started.elapsed() < Duration::from_secs(6), "{:?}", started.elapsed());
}

#[test]
fn a_device_that_measures_itself_runs_no_plan() {
    /// Says hello, and listens to nobody.
    struct Deaf(Monitor<'static, 1, 64, 1024>, Instant);

    impl Line for Deaf {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<LineRead> {
            self.0.poll(DeviceTime::from_nanos(u64::try_from(self.1.elapsed().as_nanos()).unwrap()));
            let waiting = self.0.transmit();
            let length = waiting.len().min(buffer.len());
            buffer[..length].copy_from_slice(&waiting[..length]);
            self.0.sent(length);
            std::thread::sleep(Duration::from_millis(1));
            Ok(if length > 0 { LineRead::Bytes(length) } else { LineRead::Idle })
        }

        fn writer(&self) -> io::Result<Box<dyn Write + Send>> {
            Ok(Box::new(io::sink()))
        }
    }

    const METRICS: [Metric<'static>; 1] = [Metric::time("flash_write")];
    let storage = Box::leak(Box::new(monitor::Storage::new()));
    let monitor = Monitor::new(storage, Identity::new("logger", 7), &METRICS, TelemetryConfig::default());
    let error = Remote::identify(Box::new(Deaf(monitor, Instant::now())), || false, |_| {}).unwrap_err();
    assert!(matches!(error, RemoteError::Monitor), "{error}");
}
