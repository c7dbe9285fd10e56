//! Lines without a host that speaks: read, unread, and read late.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use phasemeter::mock::{MockConfig, MockServer};
use phasemeter_tests::{LIMIT, Monitor, Running, image, phasemeter, qemu, wait_for};

use super::bench::{self, Bench};

/// The built-in plan: a second of warm-up, then a hundred requests a second for ten.
const PROFILING: u64 = 1_000;

/// A server, its log, and the firmware's parameters that make it run the built-in plan against it.
fn built_in(directory: &Path) -> (MockServer, PathBuf, [String; 3]) {
    let log = directory.join("server.jsonl");
    let server = MockServer::start(MockConfig::default(), ([127, 0, 0, 1], 0).into(), Some(log.clone())).unwrap();
    let target = format!("target=10.0.2.2:{}", server.addr().port());
    (server, log, ["plan=built-in".into(), "exit=over".into(), target])
}

fn command(line: &str, parameters: &[String; 3]) -> Command {
    qemu(image("PHASEMETER_IMAGE"), line, &parameters.each_ref().map(String::as_str))
}

fn start(line: &str, parameters: &[String; 3]) -> Command {
    let mut command = command(line, parameters);
    command.args(["-monitor", "none"]);
    command
}

#[test]
#[ignore = "needs QEMU and the image: cargo xtask firmware test"]
fn the_built_in_plan_needs_no_host_that_speaks() {
    let bench = Bench::new();
    let (server, log, parameters) = built_in(bench.path());
    let recorder = Running::start(&mut phasemeter(bench.path(), ["record", "tcp-listen:0", "--out", "run"]));
    let address = recorder.wait_for_rest_of("waiting for a device to connect to ");
    let emulator = Running::start(&mut start(&format!("tcp:{address}"), &parameters));
    let exited = recorder.wait(LIMIT * 2);
    assert_eq!(emulator.wait(LIMIT).code, Some(0));
    server.stop();
    assert_eq!(exited.code, Some(0), "{}", exited.stderr);
    let summary = bench.summary().unwrap();
    assert_eq!((&summary["run"]["complete"], &summary["coverage"]["ratio"]), (&true.into(), &1.0.into()));
    let sent = [0, 1].map(|index| bench::phase(&summary, index)["counts"]["sent"].as_u64().unwrap());
    assert_eq!(sent[1], PROFILING);
    assert_eq!(fs::read_to_string(log).unwrap().lines().count() as u64, sent[0] + sent[1]);
}

#[test]
#[ignore = "needs QEMU and the image: cargo xtask firmware test"]
fn a_recorder_that_comes_late_gets_the_whole_phase() {
    let bench = Bench::new();
    let (server, _, parameters) = built_in(bench.path());
    let mut command = command("tcp:127.0.0.1:0,server=on,wait=off", &parameters);
    let mut monitor = Monitor::of(&mut command);
    let emulator = Running::start(&mut command);
    let source = monitor.source();
    // In the middle of the second phase: what was said before is lost.
    std::thread::sleep(Duration::from_secs(6));
    let exited = Running::start(&mut phasemeter(bench.path(), ["record", &source, "--out", "run"])).wait(LIMIT * 2);
    assert_eq!(emulator.wait(LIMIT).code, Some(0));
    drop(server);
    let summary = bench.summary().unwrap();
    let phases = summary["phases"].as_array().unwrap();
    let profiling = phases.iter().find(|phase| phase["phase"] == "profiling" && phase["device"].is_null()).unwrap();
    assert_eq!(profiling["counts"]["completed"], PROFILING, "{}", exited.stderr);
    assert_eq!(profiling["coverage"]["ratio"], 1.0);
    assert_eq!(profiling["metrics"]["service_time"]["count"], PROFILING);
}

/// QEMU with its telemetry in a pipe.
struct Piped(Child);

impl Drop for Piped {
    fn drop(&mut self) {
        // It may have ended, and been reaped, before.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
#[ignore = "needs QEMU and the image: cargo xtask firmware test"]
fn a_line_that_nobody_reads_does_not_stop_the_load() {
    let bench = Bench::new();
    let (server, log, parameters) = built_in(bench.path());
    // The firmware's own words would end up in the pipe.
    let mut command = start("stdio", &[parameters[0].clone(), parameters[2].clone(), "metering=on".into()]);
    let mut emulator = Piped(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
    let mut pipe = emulator.0.stdout.take().unwrap();
    rustix::pipe::fcntl_setpipe_size(&pipe, 4096).unwrap();
    std::thread::sleep(Duration::from_secs(7));
    let requests = fs::read_to_string(&log).unwrap().lines().count();
    assert!(requests > 450, "after seven seconds the server has seen {requests} requests");

    let copy = bench.path().join("telemetry.bin");
    let mut file = fs::File::create(&copy).unwrap();
    let reader = std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = pipe.read(&mut buffer) {
            io::Write::write_all(&mut file, &buffer[..length]).unwrap();
        }
    });
    let over = |text: &str| text.lines().count() as u64 >= PROFILING;
    wait_for("the load", LIMIT, || over(&fs::read_to_string(&log).unwrap()).then_some(()));
    // Without a host, each end is repeated for a while.
    std::thread::sleep(Duration::from_secs(7));
    drop(emulator);
    reader.join().unwrap();
    server.stop();
    let exited = phasemeter_tests::run(bench.path(), ["record", "telemetry.bin", "--out", "run"]);
    assert_eq!(exited.code, Some(0), "{}\n{}", exited.stderr, exited.stdout);
    let summary = bench.summary().unwrap();
    let profiling = bench::phase(&summary, 1);
    assert_eq!((&profiling["counts"]["completed"], &profiling["coverage"]["ratio"]), (&PROFILING.into(), &1.0.into()));
    let left_out = summary["coverage"]["device_dropped"].as_u64();
    assert!(left_out > Some(0), "the line was not busy: {}", summary["coverage"]);
}
