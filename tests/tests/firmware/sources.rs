//! A device that stays while its hosts come and go, over every line that QEMU offers to them.

use std::thread;
use std::time::Duration;

use phasemeter::mock::{MockConfig, MockServer};
use phasemeter::remote::Remote;
use phasemeter::source::SourceSpec;
use phasemeter_core::plan::{Arrival, PhaseKind, PhasePlan, RunPlan, Stop, Workload};
use phasemeter_core::time::Duration as Span;
use phasemeter_tests::{LIMIT, Monitor, Running, assert_no_frame_dropped, image, qemu};
use rustix::process::{Pid, Signal, kill_process};

use super::bench::{self, Bench};

const TCP: &str = "tcp:127.0.0.1:0,server=on,wait=off";
/// How many requests each phase of [`PLAN`] sends.
const REQUESTS: [u64; 2] = [100, 200];
const PLAN: &str = "
phases:
  - {kind: warmup, workload: {get: {path: /}}, arrival: {closed_loop: {concurrency: 2}}, stop: {requests: 100}}
  - {kind: profiling, workload: {get: {path: /}}, arrival: {poisson: {rate: 200}}, stop: {requests: 200}}
";
/// A plan that only a host can end.
const LONG: &str = "
phases:
  - {kind: profiling, workload: {get: {path: /}}, arrival: {constant: {rate: 100}}, stop: {duration: 10m}}
";

/// The device, a server for it, and where hosts find it.
struct Device {
    emulator: Running,
    _monitor: Monitor,
    server: MockServer,
    source: String,
}

impl Device {
    fn start(line: &str) -> Self {
        let server = MockServer::start(MockConfig::default(), ([127, 0, 0, 1], 0).into(), None).unwrap();
        let mut command = qemu(image("PHASEMETER_IMAGE"), line, &[]);
        let mut monitor = Monitor::of(&mut command);
        let emulator = Running::start(&mut command);
        let source = monitor.source();
        Self { emulator, _monitor: monitor, server, source }
    }

    /// A host comes, and its plan is carried out.
    fn assert_runs(&self) {
        let bench = Bench::new();
        let exited = bench.start(PLAN, &self.source, self.server.addr().port()).wait(LIMIT);
        assert_eq!(exited.code, Some(0), "{}: {}\n{}", self.source, exited.stderr, exited.stdout);
        let summary = bench.summary().unwrap();
        assert_eq!((&summary["run"]["complete"], &summary["coverage"]["ratio"]), (&true.into(), &1.0.into()));
        for (index, requests) in REQUESTS.into_iter().enumerate() {
            let counts = &bench::phase(&summary, index)["counts"];
            assert_eq!((&counts["completed"], &counts["errors"]), (&requests.into(), &0.into()), "{counts}");
        }
        assert_no_frame_dropped(&self.emulator.stderr());
    }
}

#[test]
#[ignore = "needs QEMU and the image: cargo xtask firmware test"]
fn hosts_come_and_go_over_tcp() {
    let device = Device::start(TCP);
    device.assert_runs();
    device.assert_runs();
}

#[test]
#[ignore = "needs QEMU and the image: cargo xtask firmware test"]
fn hosts_come_and_go_over_a_unix_socket() {
    let directory = tempfile::tempdir().unwrap();
    let device = Device::start(&format!("unix:{},server=on,wait=off", directory.path().join("line").display()));
    device.assert_runs();
    device.assert_runs();
}

#[test]
#[ignore = "needs QEMU and the image: cargo xtask firmware test"]
fn hosts_come_and_go_over_a_terminal() {
    let device = Device::start("pty");
    device.assert_runs();
    device.assert_runs();
}

#[test]
#[ignore = "needs QEMU and the image: cargo xtask firmware test"]
fn ctrl_c_stops_the_device_which_takes_another_run() {
    let device = Device::start(TCP);
    let bench = Bench::new();
    let recorder = bench.start(LONG, &device.source, device.server.addr().port());
    recorder.wait_for_rest_of("profiling started");
    thread::sleep(Duration::from_secs(1));
    kill_process(Pid::from_child(recorder.child()), Signal::INT).unwrap();
    let exited = recorder.wait(LIMIT);
    assert_eq!(exited.code, Some(3), "{}", exited.stderr);
    let summary = bench.summary().unwrap();
    let phase = bench::phase(&summary, 0);
    assert_eq!(phase["cancelled"], true, "{phase}");
    assert_eq!(phase["coverage"]["ratio"], 1.0, "the device had the time to tell everything");
    let [sent, completed] = ["sent", "completed"].map(|count| phase["counts"][count].as_u64().unwrap());
    assert!(completed > 50 && sent - completed <= 8, "{phase}");
    device.assert_runs();
}

#[test]
#[ignore = "needs QEMU and the image: cargo xtask firmware test"]
fn a_target_that_is_too_long_is_refused_by_reason() {
    let device = Device::start(TCP);
    let line = SourceSpec::parse(&device.source, 0).unwrap().open().unwrap();
    let (mut remote, name) = Remote::identify(line, || false, |_| ()).unwrap();
    assert!(name.starts_with("mps2-an386, phasemeter-firmware "), "{name}");
    let mut plan = RunPlan::<1>::new(0);
    let arrival = Arrival::ClosedLoop { concurrency: 1 };
    let (workload, stop) = (Workload::get("/").unwrap(), Stop::requests(1));
    plan.push(PhasePlan { kind: PhaseKind::Profiling, workload, arrival, stop, grace: Span::from_secs(1) }).unwrap();
    let refusal = remote.upload(&"9".repeat(65), &plan, || false, |_| ()).unwrap_err().to_string();
    assert_eq!(refusal, "the device refuses: a target may have 64 bytes");
    remote.upload(&"9".repeat(64), &plan, || false, |_| ()).unwrap();
    drop(remote);
    device.assert_runs();
}
