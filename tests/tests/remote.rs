//! `phasemeter run`: a plan to a device, over every line with two directions, and what can go wrong.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use phasemeter::source::SourceSpec;
use phasemeter_tests::{Exited, Faults, LIMIT, PHASES, Running, obedient_device, parse, phasemeter, wait_for};
use serde_json::Value;

/// Two phases: 200 requests, then 300.
const PLAN: &str = "
phases:
  - {kind: warmup, workload: {get: {path: /}}, arrival: {constant: {rate: 500}}, stop: {requests: 200}}
  - {kind: profiling, workload: {get: {path: /}}, arrival: {poisson: {rate: 500}}, stop: {requests: 300}}
";
/// A plan that only a host can end.
const LONG: &str = "
phases:
  - {kind: profiling, workload: {get: {path: /}}, arrival: {constant: {rate: 100}}, stop: {duration: 10m}}
";

/// The command, waiting for a device on a port of its own; gives the address.
fn listen(directory: &Path, plan: &str, arguments: &[&str]) -> (Running, String) {
    fs::write(directory.join("plan.yaml"), plan).unwrap();
    let fixed = ["run", "plan.yaml", "--device", "tcp-listen:0", "--out", "run"];
    let running = Running::start(&mut phasemeter(directory, fixed.iter().chain(arguments)));
    let address = running.wait_for_rest_of("waiting for a device to connect to ");
    (running, address)
}

fn device(address: &str, faults: Faults) -> JoinHandle<()> {
    obedient_device(SourceSpec::parse(&format!("tcp:{address}"), 0).unwrap().open().unwrap(), faults)
}

/// Runs a plan on a device, to the end of both.
fn run_with(plan: &str, arguments: &[&str], faults: Faults) -> (Exited, Option<Value>) {
    let directory = tempfile::tempdir().unwrap();
    let (running, address) = listen(directory.path(), plan, arguments);
    let device = device(&address, faults);
    let exited = running.wait(LIMIT * 2);
    device.join().unwrap();
    let summary = fs::read_to_string(directory.path().join("run/summary.json")).ok();
    (exited, summary.map(|text| parse(&text)))
}

fn assert_whole(exited: &Exited, summary: &Value) {
    assert_eq!(exited.code, Some(0), "{}\n{}", exited.stderr, exited.stdout);
    assert_eq!(summary["coverage"]["ratio"], 1.0);
    let phases = summary["phases"].as_array().unwrap();
    let of_all = phases.iter().filter(|phase| phase["device"].is_null());
    let completed: Vec<_> = of_all.filter_map(|phase| phase["counts"]["completed"].as_u64()).collect();
    assert_eq!(completed, [200, 300]);
}

#[test]
fn a_plan_runs_on_a_device_that_connects() {
    let started = Instant::now();
    let (exited, summary) = run_with(PLAN, &["--target", "http://192.0.2.7:8080"], Faults::default());
    assert_whole(&exited, &summary.unwrap());
    // The plan takes about a second. A device that nobody acknowledges repeats each of three ends for four.
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
    assert!(exited.stderr.contains("device obedient-7, scripted 2.0"), "{}", exited.stderr);
}

#[test]
fn a_device_runs_one_plan_after_another() {
    let directory = tempfile::tempdir().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    fs::write(directory.path().join("plan.yaml"), PLAN).unwrap();
    // The device stays and its line is passed on from host to host, as a serial line is.
    let (here, there) = (device_line(listener, &address), format!("tcp:{address}"));
    let relay = here;
    for out in ["first", "second"] {
        let arguments = ["run", "plan.yaml", "--device", &there, "--out", out];
        let exited = Running::start(&mut phasemeter(directory.path(), arguments)).wait(LIMIT);
        let summary = parse(&fs::read_to_string(directory.path().join(out).join("summary.json")).unwrap());
        assert_whole(&exited, &summary);
    }
    drop(relay);
}

/// A device behind a listener that takes one host after the other.
fn device_line(listener: std::net::TcpListener, address: &str) -> JoinHandle<()> {
    use std::io::{Read, Write};
    // The device talks to one end of a pair; the other end is what the hosts get, one after the other.
    let pair = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let inner = pair.local_addr().unwrap().to_string();
    assert_ne!(inner, address);
    let line = SourceSpec::parse(&format!("tcp:{inner}"), 0).unwrap().open().unwrap();
    let (mut device, _) = pair.accept().unwrap();
    obedient_device(line, Faults::default());
    std::thread::spawn(move || {
        for _ in 0..2 {
            let (host, _) = listener.accept().unwrap();
            device.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
            host.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
            let (mut host, mut buffer) = (host, [0; 4096]);
            loop {
                match host.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(length) => device.write_all(&buffer[..length]).unwrap(),
                    Err(_) => {}
                }
                if let Ok(length) = device.read(&mut buffer) {
                    // A host that has gone hears no more.
                    let _ = host.write_all(&buffer[..length]);
                }
            }
        }
    })
}

#[test]
fn a_device_refuses_by_reason() {
    let phase = PLAN.lines().find(|line| line.contains("warmup")).unwrap();
    let many = format!("phases:\n{}", format!("{phase}\n").repeat(PHASES + 1));
    let (exited, summary) = run_with(&many, &[], Faults::default());
    assert_eq!((exited.code, summary), (Some(2), None), "no run, no directory");
    assert!(exited.stderr.contains("the device refuses: a plan may have 4 phases"), "{}", exited.stderr);

    let (exited, summary) = run_with(PLAN, &["--target", "http://192.0.2.1"], Faults::default());
    assert_eq!(exited.code, Some(2), "{}", exited.stderr);
    assert!(exited.stderr.contains("it cannot reach such a target"), "{}", exited.stderr);
    assert_eq!(summary.unwrap()["run"]["complete"], false);
}

#[test]
fn a_lossy_line_costs_time_and_no_samples() {
    let (exited, summary) = run_with(PLAN, &[], Faults { lose_every: Some(4), ..Faults::default() });
    let summary = summary.unwrap();
    assert_whole(&exited, &summary);
    assert!(summary["coverage"]["lost_frames"].as_u64().unwrap() > 0, "{summary}");
}

#[test]
fn a_device_that_is_reset_in_mid_run_leaves_an_incomplete_report() {
    let (exited, summary) = run_with(PLAN, &[], Faults { reset_after: Some(100), ..Faults::default() });
    assert_eq!(exited.code, Some(2), "{}", exited.stderr);
    assert!(exited.stderr.contains("the device was reset in mid-run and waits for a plan"), "{}", exited.stderr);
    assert_eq!(summary.unwrap()["run"]["complete"], false);
}

#[test]
fn a_device_that_does_not_answer_is_given_up() {
    let (exited, summary) = run_with(PLAN, &[], Faults { is_deaf: true, ..Faults::default() });
    assert_eq!((exited.code, summary), (Some(2), None));
    assert!(exited.stderr.contains("no answer within 4 s: is it running"), "{}", exited.stderr);
}

#[test]
fn a_source_with_one_direction_is_no_device() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("plan.yaml"), PLAN).unwrap();
    let exited = phasemeter_tests::run(directory.path(), ["run", "plan.yaml", "--device", "-"]);
    assert_eq!(exited.code, Some(2));
    assert!(exited.stderr.contains("no way back to the device"), "{}", exited.stderr);
}

#[cfg(unix)]
#[test]
fn ctrl_c_stops_the_device_and_what_it_measured_is_reported() {
    let directory = tempfile::tempdir().unwrap();
    let (running, address) = listen(directory.path(), LONG, &[]);
    let device = device(&address, Faults::default());
    running.wait_for_rest_of("profiling started");
    std::thread::sleep(Duration::from_millis(500));
    let id = rustix::process::Pid::from_child(running.child());
    rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
    let exited = running.wait(LIMIT);
    device.join().unwrap();
    assert_eq!(exited.code, Some(3), "{}", exited.stderr);
    let summary = parse(&fs::read_to_string(directory.path().join("run/summary.json")).unwrap());
    let phase = &summary["phases"][0];
    assert_eq!(phase["cancelled"], true, "{phase}");
    assert_eq!(phase["coverage"]["ratio"], 1.0, "the device had the time to tell everything");
}

#[cfg(unix)]
#[test]
fn a_plan_runs_over_a_serial_line() {
    use phasemeter::source::unix::Pty;
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("plan.yaml"), PLAN).unwrap();
    let pty = Pty::open().unwrap();
    let path = pty.slave_path().to_str().unwrap().to_owned();
    let device = obedient_device(Box::new(pty.into_line()), Faults::default());
    let arguments = ["run", "plan.yaml", "--device", &path, "--out", "run"];
    let exited = Running::start(&mut phasemeter(directory.path(), arguments)).wait(LIMIT);
    let summary = parse(&fs::read_to_string(directory.path().join("run/summary.json")).unwrap());
    assert_whole(&exited, &summary);
    wait_for("the device's end", LIMIT, || device.is_finished().then_some(()));
    device.join().unwrap();
}

/// Carries bytes between the device and a serial port until told to unplug it.
#[cfg(unix)]
fn plugged(device: &mut std::net::TcpStream, pty: phasemeter::source::unix::Pty, unplug: &AtomicBool) {
    use phasemeter::source::{Line, LineRead};
    use std::io::{Read, Write};
    let mut port = pty.into_line();
    let mut writer = port.writer().unwrap();
    let mut buffer = [0; 4096];
    while !unplug.load(Ordering::Relaxed) {
        match device.read(&mut buffer) {
            Ok(0) => return,
            Ok(length) => writer.write_all(&buffer[..length]).unwrap(),
            Err(_) => {}
        }
        if let Ok(LineRead::Bytes(length)) = port.read(&mut buffer) {
            device.write_all(&buffer[..length]).unwrap();
        }
    }
}

#[cfg(unix)]
#[test]
fn a_run_continues_on_a_port_that_was_unplugged_and_plugged_in_again() {
    use phasemeter::source::unix::Pty;
    let place = tempfile::tempdir().unwrap();
    let plan = "phases:\n  - {kind: profiling, workload: {get: {path: /}}, arrival: {constant: {rate: 100}}, stop: {duration: 4s}}\n";
    fs::write(place.path().join("plan.yaml"), plan).unwrap();
    let alias = place.path().join("ttyBoard");
    let plug = || {
        let pty = Pty::open().unwrap();
        std::os::unix::fs::symlink(pty.slave_path(), &alias).unwrap();
        pty
    };
    let pair = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let line = SourceSpec::parse(&format!("tcp:{}", pair.local_addr().unwrap()), 0).unwrap().open().unwrap();
    let device = obedient_device(line, Faults::default());
    let mut stream = pair.accept().unwrap().0;
    stream.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
    let (first, unplug, never) = (plug(), AtomicBool::new(false), AtomicBool::new(false));
    let arguments = ["run", "plan.yaml", "--device", alias.to_str().unwrap(), "--out", "run", "--reconnect", "20s"];
    let running = Running::start(&mut phasemeter(place.path(), arguments));
    let exited = std::thread::scope(|scope| {
        let wires = scope.spawn(|| {
            plugged(&mut stream, first, &unplug);
            // What the device says meanwhile goes nowhere.
            std::thread::sleep(Duration::from_millis(700));
            let _ = std::io::Read::read(&mut stream, &mut [0; 1 << 14]);
            plugged(&mut stream, plug(), &never);
        });
        running.wait_for_rest_of("profiling started");
        // First the name: another pty may get the number at once.
        fs::remove_file(&alias).unwrap();
        unplug.store(true, Ordering::Relaxed);
        let exited = running.wait(LIMIT);
        never.store(true, Ordering::Relaxed);
        wires.join().unwrap();
        exited
    });
    drop(stream);
    device.join().unwrap();
    assert_eq!(exited.code, Some(0), "{}", exited.stderr);
    let summary = parse(&fs::read_to_string(place.path().join("run/summary.json")).unwrap());
    assert_eq!(summary["coverage"]["ratio"], 1.0);
    assert!(summary["coverage"]["lost_frames"].as_u64().unwrap() > 0, "{summary}");
}
