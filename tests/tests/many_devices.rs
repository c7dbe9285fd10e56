//! Many devices in one recording: told apart, waited for, started together, and judged on whether they ran side by side.

use std::fs;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::thread::JoinHandle;
use std::time::Duration;

use phasemeter::mock::{MockConfig, MockServer};
use phasemeter::source::{Line, SourceSpec};
use phasemeter_tests::{
    Device, Exited, Faults, LIMIT, Running, assert_follows_schema, frames, obedient_device_named, parse, phasemeter,
    run,
};
use serde_json::Value;

const PLAN: &str = "
phases:
  - {kind: warmup, workload: {get: {path: /}}, arrival: {constant: {rate: 200}}, stop: {requests: 100}}
  - {kind: profiling, workload: {get: {path: /}}, arrival: {poisson: {rate: 200}}, stop: {requests: 200}}
";

fn summary(directory: &Path) -> Value {
    let summary = parse(&fs::read_to_string(directory.join("run/summary.json")).unwrap());
    assert_follows_schema(&summary);
    summary
}

/// Listens for so many devices; gives the address.
fn listen(directory: &Path, devices: &str, arguments: &[&str]) -> (Running, String) {
    let fixed = ["record", "--listen", "0", "--devices", devices, "--out", "run"];
    let running = Running::start(&mut phasemeter(directory, fixed.iter().chain(arguments)));
    let address = running.wait_for_rest_of(" to connect to ");
    (running, address)
}

/// The merged entry of a phase.
fn merged<'a>(summary: &'a Value, phase: &str) -> &'a Value {
    let mut phases = summary["phases"].as_array().unwrap().iter();
    phases.find(|entry| entry["phase"] == phase && entry["device"].is_null()).unwrap()
}

fn assert_replays_alike(directory: &Path) {
    run(directory, ["replay", "run", "--out", "again"]);
    for file in ["summary.json", "report.txt"] {
        let [recorded, replayed] =
            ["run", "again"].map(|run| fs::read_to_string(directory.join(run).join(file)).unwrap());
        assert_eq!(recorded, replayed);
    }
}

fn device(id: &'static str, boot_id: u64) -> Device {
    Device { id, boot_id, seed: boot_id, requests: 200, line_bytes: usize::MAX }
}

#[test]
fn one_listener_takes_fifty_load_generators() {
    let place = tempfile::tempdir().unwrap();
    fs::write(
        place.path().join("plan.yaml"),
        "phases:\n  - {kind: profiling, workload: {get: {path: /}}, arrival: {constant: {rate: 10}}, stop: {requests: 30}}\n",
    )
    .unwrap();
    let server = MockServer::start(MockConfig::default(), ([127, 0, 0, 1], 0).into(), None).unwrap();
    let (running, address) = listen(place.path(), "50", &[]);
    assert!(address.starts_with("127.0.0.1:"), "{address}");
    // What says nothing is no device.
    let _strays: Vec<_> = (0..5).map(|_| TcpStream::connect(&address).unwrap()).collect();
    let output = format!("tcp:{address}");
    let load = |number: usize| {
        let id = format!("board-{number}");
        let arguments =
            ["load", "plan.yaml", "--target", &server.url(), "--output", &output, "--device-id", &id, "--quiet"];
        Running::start(&mut phasemeter(place.path(), arguments))
    };
    let loads: Vec<_> = (1..=50).map(load).collect();
    let exited = running.wait(LIMIT * 3);
    for load in loads {
        assert_eq!(load.wait(LIMIT).code, Some(0));
    }
    server.stop();
    assert_eq!(exited.code, Some(0), "{}", exited.stderr);
    assert!(exited.stderr.contains(" (50 of 50)\n"), "{}", exited.stderr);
    let summary = summary(place.path());
    assert_eq!(summary["devices"].as_array().unwrap().len(), 50);
    let all = merged(&summary, "profiling");
    assert_eq!((&all["parts"], &all["counts"]["completed"]), (&50.into(), &1_500.into()));
    assert_eq!(summary["coverage"]["ratio"], 1.0);
    assert_replays_alike(place.path());
}

#[test]
fn a_device_that_drops_its_connection_is_not_another_one() {
    let place = tempfile::tempdir().unwrap();
    let (running, address) = listen(place.path(), "2", &[]);
    let (a, b) = (frames(&device("a", 1).bytes()), device("b", 2).bytes());
    let send = |bytes: &[u8]| TcpStream::connect(&address).unwrap().write_all(bytes).unwrap();
    // In three connections, each of which begins with a hello: it is one boot, and no frame is lost.
    let third = a.len() / 3;
    for part in [&a[..third], &a[third..2 * third], &a[2 * third..]] {
        send(&[&a[0][..], &part.concat()].concat());
        std::thread::sleep(Duration::from_millis(200));
    }
    send(&b);
    let exited = running.wait(LIMIT);
    assert_eq!(exited.code, Some(0), "{}", exited.stderr);
    assert_eq!(exited.stderr.matches("device a is back, from 127.0.0.1:").count(), 2, "{}", exited.stderr);
    let summary = summary(place.path());
    assert_eq!(summary["devices"].as_array().unwrap().len(), 2);
    assert_eq!((&summary["coverage"]["ratio"], &summary["coverage"]["lost_frames"]), (&1.0.into(), &0.into()));
}

#[test]
fn devices_that_never_come_and_those_that_are_too_many_are_told() {
    let place = tempfile::tempdir().unwrap();
    let (running, address) = listen(place.path(), "3", &["--max-duration", "2s"]);
    TcpStream::connect(&address).unwrap().write_all(&device("a", 1).bytes()).unwrap();
    let exited = running.wait(LIMIT);
    assert_eq!(exited.code, Some(3), "{}", exited.stderr);
    let reason = summary(place.path())["run"]["partial_reason"].as_str().unwrap().to_owned();
    assert_eq!(reason, "the time set for recording had passed; 2 of 3 devices never came");
    assert_replays_alike(place.path());

    let place = tempfile::tempdir().unwrap();
    let (running, address) = listen(place.path(), "1", &[]);
    let mut a = TcpStream::connect(&address).unwrap();
    let bytes = device("a", 1).bytes();
    a.write_all(&bytes[..bytes.len() / 2]).unwrap();
    running.wait_for_rest_of("device a has come");
    let mut b = TcpStream::connect(&address).unwrap();
    b.write_all(&frames(&device("b", 2).bytes())[0]).unwrap();
    running.wait_for_rest_of("was refused: device b is one too many (--devices 1)");
    a.write_all(&bytes[bytes.len() / 2..]).unwrap();
    assert_eq!(running.wait(LIMIT).code, Some(0));
}

#[test]
fn what_comes_all_at_once_is_not_called_concurrent() {
    let place = tempfile::tempdir().unwrap();
    let (running, address) = listen(place.path(), "2", &[]);
    for (id, boot) in [("a", 1), ("b", 2)] {
        // Scripted devices run for a second of their own time, and are sent at once: as from files, nothing is known.
        TcpStream::connect(&address).unwrap().write_all(&device(id, boot).bytes()).unwrap();
    }
    let exited = running.wait(LIMIT);
    assert_eq!(exited.code, Some(0), "{}", exited.stderr);
    let summary = summary(place.path());
    let all = merged(&summary, "profiling");
    assert!(all["overlap"].is_object() && all["overlap"]["concurrent"].is_null(), "{}", all["overlap"]);
    assert!(all["throughput_rps"].is_null() && all["achieved_rate_rps"].is_null());
    assert!(exited.stdout.contains("throughput -"), "{}", exited.stdout);
}

fn line(address: &str) -> Box<dyn Line> {
    SourceSpec::parse(&format!("tcp:{address}"), 0).unwrap().open().unwrap()
}

fn assert_ran_together(exited: &Exited, directory: &Path, devices: u64) {
    assert_eq!(exited.code, Some(0), "{}\n{}", exited.stderr, exited.stdout);
    let (_, started) = exited.stderr.split_once(&format!("{devices} devices started within ")).unwrap();
    let spread: u64 = started.split(' ').next().unwrap().parse().unwrap();
    assert!(spread < 500, "{spread} ms");
    let summary = summary(directory);
    let all = merged(&summary, "profiling");
    assert_eq!((&all["parts"], &all["counts"]["completed"]), (&devices.into(), &(200 * devices).into()));
    assert_eq!(all["overlap"]["concurrent"], true, "{}", all["overlap"]);
    // A second at 200 requests a second, on each of them.
    let at_least = all["overlap"]["at_least_s"].as_f64().unwrap();
    assert!(at_least > 0.2 && at_least <= all["durations"]["total_s"].as_f64().unwrap(), "{at_least}");
    assert!(exited.stdout.contains("all devices ran it at the same time for at least "), "{}", exited.stdout);
    assert_replays_alike(directory);
}

#[test]
fn a_plan_runs_on_several_devices_that_are_started_together() {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("plan.yaml"), PLAN).unwrap();
    let (addresses, devices) = behind_addresses([("first", Faults::default()), ("second", Faults::default())]);
    let arguments = ["run", "plan.yaml", "--device", &addresses[0], "--device", &addresses[1], "--out", "run"];
    let exited = Running::start(&mut phasemeter(place.path(), arguments)).wait(LIMIT);
    assert_ran_together(&exited, place.path(), 2);
    for device in devices {
        device.join().unwrap();
    }
}

/// Two devices, each at an address that one host connects to.
fn behind_addresses(devices: [(&'static str, Faults); 2]) -> ([String; 2], [JoinHandle<()>; 2]) {
    let listeners = [0, 1].map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    let addresses = listeners.each_ref().map(|listener| format!("tcp:{}", listener.local_addr().unwrap()));
    let [first, second] = listeners;
    let [one, other] = devices;
    let served = [(first, one), (second, other)]
        .map(|(listener, (id, faults))| std::thread::spawn(move || serve(&listener, id, faults)));
    (addresses, served)
}

/// A device behind a relay that has the listening end.
fn serve(listener: &TcpListener, id: &'static str, faults: Faults) {
    let pair = TcpListener::bind("127.0.0.1:0").unwrap();
    let device = obedient_device_named(id, line(&pair.local_addr().unwrap().to_string()), faults);
    let (device_side, _) = pair.accept().unwrap();
    let (host, _) = listener.accept().unwrap();
    let (mut from_host, mut to_device) = (host.try_clone().unwrap(), device_side.try_clone().unwrap());
    let up = std::thread::spawn(move || {
        let _ = std::io::copy(&mut from_host, &mut to_device);
        let _ = to_device.shutdown(std::net::Shutdown::Both);
    });
    let (mut from_device, mut to_host) = (device_side, host);
    let _ = std::io::copy(&mut from_device, &mut to_host);
    up.join().unwrap();
    device.join().unwrap();
}

#[test]
fn devices_that_connect_are_started_together_once_all_have_come() {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("plan.yaml"), PLAN).unwrap();
    let arguments = ["run", "plan.yaml", "--listen", "0", "--devices", "3", "--out", "run"];
    let running = Running::start(&mut phasemeter(place.path(), arguments));
    let address = running.wait_for_rest_of("waiting for 3 devices to connect to ");
    let mut devices = Vec::new();
    for id in ["x", "y", "z"] {
        assert!(!running.stderr().contains("started"), "{}", running.stderr());
        devices.push(obedient_device_named(id, line(&address), Faults::default()));
        running.wait_for_rest_of(&format!("device {id} has come from "));
    }
    let exited = running.wait(LIMIT);
    assert_ran_together(&exited, place.path(), 3);
    for device in devices {
        device.join().unwrap();
    }
}

#[test]
fn one_device_that_does_not_take_the_plan_starts_none() {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("plan.yaml"), PLAN).unwrap();
    let deaf = Faults { is_deaf: true, ..Faults::default() };
    let (addresses, devices) = behind_addresses([("good", Faults::default()), ("deaf", deaf)]);
    let arguments = ["run", "plan.yaml", "--device", &addresses[0], "--device", &addresses[1], "--out", "run"];
    let exited = Running::start(&mut phasemeter(place.path(), arguments)).wait(LIMIT);
    assert_eq!(exited.code, Some(2), "{}", exited.stderr);
    let last = exited.stderr.lines().last().unwrap();
    let expected = format!("phasemeter: {}: no answer within 4 s", addresses[1]);
    assert!(last.starts_with(&expected) && last.ends_with("; no device was started"), "{last}");
    assert!(exited.stderr.contains("the device has plan "), "{}", exited.stderr);
    assert!(!place.path().join("run").exists(), "there is no run");
    for device in devices {
        device.join().unwrap();
    }
}
