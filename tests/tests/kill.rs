//! Processes that end in mid-run, each in its own way: what was captured is reported, and nothing stays behind.
#![cfg(unix)]

use std::fs;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use phasemeter::mock::{MockConfig, MockServer};
use phasemeter::replay::replay;
use phasemeter::source::unix::Pty;
use phasemeter_tests::{Device, LIMIT, Running, parse, phasemeter, run, wait_for};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

const DEVICE: Device = Device { id: "board-1", boot_id: 1, seed: 5, requests: 800, line_bytes: usize::MAX };

/// A plan that outlasts every test.
const LONG_PLAN: &str = "\
phases:
  - kind: profiling
    workload: {get: {path: /}}
    arrival: {constant: {rate: 50}}
    stop: {duration: 5m}
";

fn send(signal: Signal, process: &Running) {
    kill_process(Pid::from_child(process.child()), signal).unwrap();
}

/// Waits until half of what the device sends is in the capture.
fn wait_for_half(run: &Path) {
    wait_for("half of the run in the capture", LIMIT, || {
        let replayed = replay(&run.join("capture.pmcap")).ok()?;
        let told = replayed.run.summary().coverage;
        // The first half holds all of the first phase: every plain request has three samples.
        (told.samples.observed > 2 * DEVICE.requests).then_some(())
    });
}

fn assert_partial(summary: &Value, reason: &str) {
    assert_eq!(summary["run"]["complete"], false);
    assert!(summary["run"]["partial_reason"].as_str().unwrap().contains(reason), "{}", summary["run"]);
    assert!(summary["coverage"]["observed"].as_u64() > Some(2 * DEVICE.requests));
}

/// Records half of a run over TCP, sends the signal, and returns how the recorder ended.
fn record_half(directory: &Path, signal: Signal) -> phasemeter_tests::Exited {
    let recorder = Running::start(&mut phasemeter(directory, ["record", "tcp-listen:0", "--out", "run"]));
    let mut line = TcpStream::connect(recorder.wait_for_rest_of("waiting for a device to connect to ")).unwrap();
    let bytes = DEVICE.bytes();
    line.write_all(&bytes[..bytes.len() / 2]).unwrap();
    wait_for_half(&directory.join("run"));
    send(signal, &recorder);
    recorder.wait(LIMIT)
}

/// A replay of what a killed recorder left is a valid, partial report.
fn assert_replays_partially(directory: &Path) {
    let replayed = run(directory, ["replay", "run"]);
    assert_eq!(replayed.code, Some(3), "{}", replayed.stderr);
    let summary = parse(&fs::read_to_string(directory.join("run/summary.json")).unwrap());
    assert_partial(&summary, "the recorder was killed");
    assert_eq!(fs::read_to_string(directory.join("run/report.txt")).unwrap(), replayed.stdout);
}

#[test]
fn a_recorder_that_is_killed_leaves_a_capture_that_replays() {
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(record_half(directory.path(), Signal::KILL).code, None);
    assert!(!directory.path().join("run/summary.json").exists());
    assert_replays_partially(directory.path());
}

#[test]
fn a_recorder_of_a_tty_that_is_killed_leaves_a_capture_that_replays() {
    let directory = tempfile::tempdir().unwrap();
    let mut pty = Pty::open().unwrap();
    let tty = pty.slave_path().to_str().unwrap().to_owned();
    let recorder = Running::start(&mut phasemeter(directory.path(), ["record", &tty, "--out", "run"]));
    let bytes = DEVICE.bytes();
    let half = bytes.len() / 2;
    std::thread::scope(|scope| {
        // The recorder may not have opened the tty yet: the system holds what comes before, and no more.
        scope.spawn(|| pty.write_all(&bytes[..half]).unwrap());
        wait_for_half(&directory.path().join("run"));
    });
    send(Signal::KILL, &recorder);
    assert_eq!(recorder.wait(LIMIT).code, None);
    assert_replays_partially(directory.path());
}

#[test]
fn a_recorder_that_is_interrupted_reports_what_it_has() {
    for signal in [Signal::INT, Signal::TERM] {
        let directory = tempfile::tempdir().unwrap();
        let exited = record_half(directory.path(), signal);
        assert_eq!(exited.code, Some(3), "{}", exited.stderr);
        let read = |name: &str| fs::read_to_string(directory.path().join("run").join(name)).unwrap();
        let summary = read("summary.json");
        assert_partial(&parse(&summary), "recording was interrupted");
        assert_eq!(exited.stdout, read("report.txt"));
        let replayed = run(directory.path(), ["report", "run", "--json"]);
        assert_eq!((replayed.code, replayed.stdout), (Some(3), summary));
    }
}

/// The processes that have this text in their command line.
#[cfg(target_os = "linux")]
fn processes_with(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for process in fs::read_dir("/proc").unwrap().flatten() {
        // A process may end while it is looked at.
        let Ok(arguments) = fs::read(process.path().join("cmdline")) else { continue };
        let arguments = String::from_utf8_lossy(&arguments).replace('\0', " ");
        if arguments.contains(text) {
            found.push(arguments);
        }
    }
    found
}

#[cfg(target_os = "linux")]
#[test]
fn a_demo_that_is_ended_leaves_no_process_and_no_tty() {
    for (signal, code) in [(Signal::KILL, None), (Signal::INT, Some(3)), (Signal::TERM, Some(3))] {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().join("run");
        let name = directory.to_str().unwrap();
        let demo = Running::start(&mut phasemeter(place.path(), ["demo", "--out", name]));
        let tty = demo.wait_for_rest_of("a device on ");
        // Names this pty, and not the next one with the same number.
        let identity = |tty: &str| fs::metadata(tty).ok().map(|tty| (tty.ino(), tty.ctime(), tty.ctime_nsec()));
        let pty = identity(&tty).unwrap();
        wait_for("telemetry in the capture", LIMIT, || {
            let replayed = replay(&directory.join("capture.pmcap")).ok()?;
            replayed.run.sources().iter().any(|source| source.session.frames() > 5).then_some(())
        });
        assert_eq!(processes_with(name).len(), 2, "the demo and its device");
        send(signal, &demo);
        let exited = demo.wait(LIMIT);
        assert_eq!(exited.code, code, "{}", exited.stderr);
        wait_for("the end of all processes", Duration::from_secs(3), || processes_with(name).is_empty().then_some(()));
        assert_ne!(identity(&tty), Some(pty), "the pty is gone");
        if code.is_some() {
            let summary = parse(&fs::read_to_string(directory.join("summary.json")).unwrap());
            assert_eq!(summary["run"]["complete"], false);
        } else {
            assert_eq!(run(place.path(), ["replay", "run"]).code, Some(3));
        }
    }
}

/// Starts a load that lasts, towards `output`, lets `vanish` take the other side away, and checks how the load ends.
fn assert_load_ends(output: &str, vanish: impl FnOnce()) {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("plan.yaml"), LONG_PLAN).unwrap();
    let server = MockServer::start(MockConfig::default(), ([127, 0, 0, 1], 0).into(), None).unwrap();
    let arguments = ["load", "plan.yaml", "--target", &server.url(), "--output", output];
    let load = Running::start(&mut phasemeter(directory.path(), arguments));
    load.wait_for_rest_of("profiling started");
    vanish();
    let exited = load.wait(LIMIT);
    assert_eq!(exited.code, Some(2), "{}", exited.stderr);
    let lines: Vec<_> = exited.stderr.lines().filter(|line| !line.contains("profiling started")).collect();
    let [line] = lines[..] else { panic!("not one line: {lines:?}") };
    assert!(line.starts_with("phasemeter: the telemetry line failed, so the run was stopped: "), "{line}");
    server.stop();
}

#[test]
fn a_load_ends_when_its_recorder_vanishes() {
    let pty = Pty::open().unwrap();
    let tty = pty.slave_path().to_str().unwrap().to_owned();
    assert_load_ends(&tty, || drop(pty));

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let output = format!("tcp:{}", listener.local_addr().unwrap());
    assert_load_ends(&output, || drop(listener.accept().unwrap()));
}
