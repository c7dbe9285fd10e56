//! Host hooks: what a load tells them is what a recorder tells them, and no fault of theirs stops a run.

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use phasemeter::hook::{FileLogConfig, FileLogHook, Hooks, JsonMetricsConfig, JsonMetricsHook};
use phasemeter::load::{ConnectOptions, Load, LoadOptions, Target};
use phasemeter::mock::{LogNormalDelay, MockConfig, MockServer};
use phasemeter::recorder::{RecordingOptions, RecordingSource, RecordingWatcher, record};
use phasemeter::replay::{CAPTURE_FILE, RecordedRun, replay};
use phasemeter::session::Note;
use phasemeter::source::{DEFAULT_BAUD, Line, SourceSpec};
use phasemeter_core::hook::{PhaseEvent, PhaseHook};
use phasemeter_core::phase::{Phase, PhaseState, PhaseStats};
use phasemeter_core::plan::PhaseKind;
use phasemeter_core::telemetry::{Envelope, Frame, MAX_ENCODED, Received, Receiver as FrameReceiver};
use phasemeter_core::time::{self, Instant as DeviceTime};
use phasemeter_tests::{Device, LIMIT, frames};
use serde_json::Value;

#[path = "../../std-adapter/examples/slow_phase_alert.rs"]
#[expect(dead_code, reason = "its main prints what is compared here")]
mod slow_phase_alert;

fn read_json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

struct Quiet;

impl RecordingWatcher for Quiet {
    fn note(&mut self, _: u16, _: &Note) {}
    fn tick(&mut self, _: &RecordedRun) {}
}

type Told = (PhaseEvent, PhaseStats, DeviceTime);

/// Hands on what it is told, apart from progress.
struct Teller(Sender<Told>);

impl PhaseHook for Teller {
    fn on_event(&mut self, event: PhaseEvent, phase: &PhaseStats, now: DeviceTime) {
        if event != PhaseEvent::Progress {
            self.0.send((event, *phase, now)).unwrap();
        }
    }
}

fn teller() -> (Hooks, Receiver<Told>) {
    let (sender, told) = channel();
    let mut hooks = Hooks::new();
    hooks.push(Teller(sender));
    (hooks, told)
}

fn record_one(line: Box<dyn Line>, hooks: Hooks, directory: &Path) -> RecordedRun {
    let options = RecordingOptions { max_duration: Some(LIMIT), ..RecordingOptions::new(directory, "hooks") };
    let source = RecordingSource { identity: "device".into(), line, hooks, remote: None };
    record(vec![source], &options, &AtomicBool::new(false), &mut Quiet).unwrap()
}

/// Records bytes from a file.
fn record_bytes(bytes: &[u8], hooks: Hooks, directory: &Path) -> RecordedRun {
    let file = directory.join("telemetry.bin");
    fs::write(&file, bytes).unwrap();
    let line = SourceSpec::parse(file.to_str().unwrap(), DEFAULT_BAUD).unwrap().open().unwrap();
    record_one(line, hooks, directory)
}

#[test]
fn a_recorder_tells_its_hooks_what_the_load_told_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let slow = LogNormalDelay::new(LIMIT, 0.0).unwrap();
    let server = |config| MockServer::start(config, ([127, 0, 0, 1], 0).into(), None).unwrap();
    let (quick, stuck) = (server(MockConfig::default()), server(MockConfig { latency: slow, ..MockConfig::default() }));
    let one = "{kind: warmup, workload: {get: {path: /}}, arrival: {closed_loop: {concurrency: 2}}, stop: {requests: 20}, grace: 100ms}";
    let two = "{kind: profiling, workload: {get: {path: /}}, arrival: {constant: {rate: 100}}, stop: {requests: 30}, grace: 100ms}";
    // Against a server that answers, and one that does not, so that the phase times out.
    for (name, server, stages) in [("quick", &quick, [one, two]), ("stuck", &stuck, [two, two])] {
        let place = directory.path().join(name);
        fs::create_dir(&place).unwrap();
        let plan_file = place.join("plan.yaml");
        fs::write(&plan_file, format!("phases:\n  - {}\n  - {}\n", stages[0], stages[1])).unwrap();
        let plan = phasemeter::plan::load(&plan_file).unwrap();
        let line = SourceSpec::parse("tcp-listen:0", DEFAULT_BAUD).unwrap().open().unwrap();
        let output = TcpStream::connect(line.local_addr().unwrap()).unwrap();
        let options = LoadOptions::new("device");
        let load = Load::new(Target::parse(&server.url()).unwrap(), &ConnectOptions::default()).unwrap();
        let (load_hooks, by_load) = teller();
        let (record_hooks, by_recorder) = teller();
        let loading = thread::spawn(move || load.run(&plan, Box::new(output), &options, load_hooks).unwrap());
        let run = record_one(line, record_hooks, &place);
        loading.join().unwrap();
        let partial = run.summary().run.partial_reason;
        assert_eq!(partial.is_some_and(|why| why.starts_with("every phase timed out")), name == "stuck");

        let (by_load, by_recorder): (Vec<_>, Vec<_>) = (by_load.iter().collect(), by_recorder.iter().collect());
        let shape = |told: &[Told]| -> Vec<_> {
            told.iter().map(|(event, phase, now)| (*event, phase.index, phase.kind, *now)).collect()
        };
        assert_eq!(shape(&by_load), shape(&by_recorder), "{name}");
        assert_eq!(by_load.len(), if name == "stuck" { 8 } else { 6 });
        for ((event, sent, _), (_, received, _)) in by_load.iter().zip(&by_recorder) {
            match event {
                PhaseEvent::Start => assert_eq!(received.state, PhaseState::Started),
                PhaseEvent::SendingComplete => assert_eq!(received.counts.sent, sent.counts.sent),
                _ => assert_eq!(received, sent, "{event:?}"),
            }
        }
        replay(&place.join(CAPTURE_FILE)).unwrap();
    }
    quick.stop();
    stuck.stop();
}

/// The report of a phase, if the frame is one.
fn report(mut frame: &[u8]) -> Option<PhaseStats> {
    let mut receiver = FrameReceiver::<MAX_ENCODED>::new();
    match receiver.take(&mut frame)? {
        Received::Frame(Envelope { frame: Frame::Phase(report), .. }) => Some(report.stats),
        _ => None,
    }
}

#[test]
fn a_start_that_was_lost_is_told_late_and_marked_and_a_new_boot_repeats_its_phases() {
    let directory = tempfile::tempdir().unwrap();
    let device = Device { id: "board", boot_id: 1, seed: 9, requests: 600, line_bytes: usize::MAX };
    let is_start = |stats: PhaseStats| stats.index == 0 && stats.state == PhaseState::Started;
    let mut bytes: Vec<u8> =
        frames(&device.bytes()).into_iter().filter(|frame| !report(frame).is_some_and(is_start)).flatten().collect();
    bytes.extend(Device { boot_id: 2, ..device }.bytes());
    let path = directory.path().join("metrics.json");
    let log = directory.path().join("phases.log");
    let mut hooks = Hooks::new();
    hooks.push(JsonMetricsHook::new(JsonMetricsConfig::new(&path)).unwrap());
    hooks.push(FileLogHook::new(FileLogConfig::new(&log)).unwrap());
    record_bytes(&bytes, hooks, directory.path());

    let json = read_json(&path);
    let phases: Vec<_> = json["phases"].as_array().unwrap().iter().collect();
    let shape: Vec<_> = phases
        .iter()
        .map(|phase| {
            (phase["phase"].as_str().unwrap(), phase["instance"].as_u64().unwrap(), phase["start_seen"] == true)
        })
        .collect();
    assert_eq!(shape, [("warmup", 1, false), ("profiling", 1, true), ("warmup", 2, true), ("profiling", 2, true)]);
    for phase in phases {
        let events: Vec<_> = phase["events"].as_array().unwrap().iter().map(|event| &event["event"]).collect();
        assert_eq!(events, ["phase_start", "phase_sending_complete", "phase_complete"], "once each");
        assert_eq!(phase["counts"]["sent"], device.requests);
    }
    assert_eq!(json["aggregate"]["completed_phases"], 4);
    assert_eq!(fs::read_to_string(&log).unwrap().lines().count(), 12);

    let written = fs::read(&path).unwrap();
    replay(&directory.path().join(CAPTURE_FILE)).unwrap();
    assert_eq!(fs::read(&path).unwrap(), written, "a replay tells nobody");
}

#[test]
fn the_example_raises_its_alert() {
    assert_eq!(
        slow_phase_alert::run(),
        ["ALERT: profiling took 3.050 s, more than 2.000 s; 10 of its requests completed"]
    );
}

/// A phase from its start to its end.
fn tell_phase(hook: &mut impl PhaseHook) {
    let mut phase = Phase::new(0, PhaseKind::Profiling, 0);
    let at = |millis| DeviceTime::BOOT.saturating_add(time::Duration::from_millis(millis));
    phase.start(at(1_000)).unwrap();
    hook.on_event(PhaseEvent::Start, phase.stats(), at(1_000));
    phase.send(at(1_000)).unwrap();
    phase.sending_complete(at(3_000)).unwrap();
    hook.on_event(PhaseEvent::SendingComplete, phase.stats(), at(3_000));
    phase.time_out().unwrap();
    hook.on_event(PhaseEvent::Timeout, phase.stats(), at(4_500));
    phase.cancel_in_flight();
    phase.complete(at(4_500)).unwrap();
    hook.on_event(PhaseEvent::Complete, phase.stats(), at(4_500));
}

#[test]
fn files_that_cannot_be_written_any_more_do_not_stop_a_run() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().join("place");
    let mut metrics = JsonMetricsHook::new(JsonMetricsConfig::new(place.join("metrics.json"))).unwrap();
    let mut log = FileLogHook::new(FileLogConfig::new(place.join("phases.log"))).unwrap();
    let (sender, reported) = channel();
    for failures in [metrics.failures(), log.failures()] {
        let sender = sender.clone();
        failures.report_to(move |error| sender.send(error.to_string()).unwrap());
    }
    // The directory becomes a file, which stops a superuser as well.
    fs::remove_dir_all(&place).unwrap();
    fs::write(&place, "").unwrap();
    tell_phase(&mut (&mut metrics, &mut log));
    assert_eq!((metrics.failures().count(), log.failures().count()), (4, 4));
    let reported: Vec<String> = reported.try_iter().collect();
    assert_eq!(reported.len(), 2, "once each: {reported:?}");
    assert!(reported.iter().all(|error| error.starts_with("cannot write ")), "{reported:?}");
    // Once it can be written, it is, with all that was told.
    fs::remove_file(&place).unwrap();
    fs::create_dir(&place).unwrap();
    tell_phase(&mut (&mut metrics, &mut log));
    let json = read_json(&place.join("metrics.json"));
    assert_eq!(json["aggregate"]["timed_out_phases"], 2);
    assert_eq!(json["phases"][0]["phase_durations"]["total_duration"], 3.5);
    assert_eq!(fs::read_to_string(place.join("phases.log")).unwrap().lines().count(), 4);
    assert_eq!(metrics.failures().count(), 4);
}

#[cfg(target_os = "linux")]
#[path = "hooks/faults.rs"]
mod faults;
