//! The example firmware in QEMU, from the plan to the report. `cargo xtask firmware test` runs these tests.
#![cfg(unix)]

#[path = "firmware/bench.rs"]
mod bench;
#[path = "firmware/faults.rs"]
mod faults;
#[path = "firmware/lines.rs"]
mod lines;
#[path = "firmware/sources.rs"]
mod sources;

use std::time::{Duration, Instant};

use phasemeter::mock::{LogNormalDelay, MockConfig, MockServer};
use phasemeter_tests::{LIMIT, Running, assert_no_frame_dropped, assert_order_statistics, image, qemu};
use serde_json::Value;

use bench::Bench;

/// Requests one after the other, then chats at random.
const PLAN: &str = "
seed: 5
phases:
  - {kind: warmup, workload: {get: {path: /}}, arrival: {closed_loop: {concurrency: 4}}, stop: {requests: 800}}
  - kind: profiling
    workload: {chat: {prompt_tokens: 8, output_tokens: 12}}
    arrival: {poisson: {rate: 60}}
    stop: {requests: 320}
";

fn delay(millis: u64, sigma: f64) -> LogNormalDelay {
    LogNormalDelay::new(Duration::from_millis(millis), sigma).unwrap()
}

#[test]
#[ignore = "needs QEMU and the image: cargo xtask firmware test"]
fn a_run_agrees_with_the_servers_log() {
    let bench = Bench::new();
    let config = MockConfig {
        latency: delay(5, 0.4),
        first_token: delay(20, 0.4),
        inter_token: delay(3, 0.3),
        faults: "status=500:0.02".parse().unwrap(),
        ..MockConfig::default()
    };
    let log = bench.path().join("server.jsonl");
    let server = MockServer::start(config, ([127, 0, 0, 1], 0).into(), Some(log.clone())).unwrap();
    let done = bench.run(PLAN, server.addr().port(), |_| ());
    server.stop();
    assert_eq!(done.exited.code, Some(0), "{}\n{}", done.exited.stderr, done.exited.stdout);
    assert_no_frame_dropped(&done.qemu);
    let summary = done.summary.unwrap();
    assert_eq!((&summary["run"]["complete"], &summary["coverage"]["ratio"]), (&true.into(), &1.0.into()));

    let log = std::fs::read_to_string(log).unwrap();
    let log: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for (index, route) in ["/", "/v1/chat/completions"].into_iter().enumerate() {
        let phase = bench::phase(&summary, index);
        let requests: Vec<_> = log.iter().filter(|request| request["route"] == route).collect();
        assert_eq!(phase["counts"]["sent"], requests.len());
        assert_eq!(phase["counts"]["completed"], requests.len());
        assert_eq!(phase["counts"]["errors"], requests.iter().filter(|request| request["status"] == 500).count());
        let successful: Vec<_> = requests.into_iter().filter(|request| request["status"] == 200).collect();
        let truth = |of: fn(&Value) -> f64| {
            let mut truth: Vec<f64> = successful.iter().map(|request| of(request)).collect();
            truth.sort_by(f64::total_cmp);
            truth
        };
        let metrics = &phase["metrics"];
        assert_order_statistics(&metrics["service_time"], &truth(|one| one["total_ms"].as_f64().unwrap()), 0.0);
        if index == 1 {
            let first = truth(|one| one["first_byte_ms"].as_f64().unwrap());
            assert_order_statistics(&metrics["time_to_first_token"], &first, 0.0);
        }
    }
}

#[test]
#[ignore = "needs QEMU and the image: cargo xtask firmware test"]
fn a_plan_with_too_many_phases_is_refused_by_reason() {
    let phase = PLAN.lines().find(|line| line.contains("warmup")).unwrap();
    let plan = format!("phases:\n{}", format!("{phase}\n").repeat(9));
    let done = Bench::new().run(&plan, 9, |_| ());
    assert_eq!((done.exited.code, done.summary), (Some(2), None));
    assert!(done.exited.stderr.contains("the device refuses: a plan may have 8 phases"), "{}", done.exited.stderr);
}

#[test]
#[ignore = "needs QEMU and the image: cargo xtask firmware test"]
fn a_reset_in_mid_run_leaves_an_incomplete_report() {
    let server = MockServer::start(MockConfig::default(), ([127, 0, 0, 1], 0).into(), None).unwrap();
    let plan = "
phases: [{kind: profiling, workload: {get: {path: /}}, arrival: {constant: {rate: 200}}, stop: {duration: 5m}}]
";
    let done = Bench::new().run(plan, server.addr().port(), |running| {
        running.recorder.wait_for_rest_of("profiling started");
        std::thread::sleep(Duration::from_secs(1));
        running.monitor.reset();
    });
    assert_eq!(done.exited.code, Some(2), "{}", done.exited.stderr);
    assert!(done.exited.stderr.contains("the device was reset in mid-run"), "{}", done.exited.stderr);
    let summary = done.summary.unwrap();
    assert_eq!(summary["run"]["complete"], false);
    assert!(bench::phase(&summary, 0)["counts"]["completed"].as_u64() > Some(100), "{summary}");
}

#[test]
#[ignore = "needs QEMU and the image: cargo xtask firmware test"]
fn an_unknown_parameter_is_named() {
    let mut command = qemu(image("PHASEMETER_IMAGE"), "null", &["metering=of"]);
    let exited = Running::start(command.args(["-monitor", "none"])).wait(LIMIT);
    assert_eq!(exited.code, Some(1));
    assert!(exited.stdout.contains("there is no parameter `metering=of`"), "{}", exited.stdout);
}

#[test]
#[ignore = "needs QEMU and the image: cargo xtask firmware test"]
fn a_scripted_run_repeats_to_the_last_byte() {
    let bench = Bench::new();
    let run = |name: &str| {
        let telemetry = bench.path().join(name);
        let parameters = ["plan=built-in", "peer=scripted", "exit=over"];
        let mut command = qemu(image("PHASEMETER_IMAGE"), &format!("file:{}", telemetry.display()), &parameters);
        // Time is counted in instructions, and jumps while the processor sleeps.
        command.args(["-monitor", "none", "-icount", "shift=6,sleep=off"]);
        let exited = Running::start(&mut command).wait(LIMIT * 3);
        assert_eq!(exited.code, Some(0), "{}{}", exited.stdout, exited.stderr);
        (std::fs::read(telemetry).unwrap(), exited.stdout)
    };
    let (first, second) = (run("first.bin"), run("second.bin"));
    assert!(first == second, "{} and {} bytes; {}{}", first.0.len(), second.0.len(), first.1, second.1);

    let recorded = phasemeter_tests::run(bench.path(), ["record", "first.bin", "--out", "run"]);
    assert_eq!(recorded.code, Some(0), "{}\n{}", recorded.stderr, recorded.stdout);
    let counts = &bench::phase(&bench.summary().unwrap(), 1)["counts"].clone();
    // The script fails one request in a hundred.
    assert_eq!((&counts["completed"], &counts["errors"]), (&1_000.into(), &10.into()), "{counts}");
}

#[test]
#[ignore = "needs QEMU and the image: cargo xtask firmware test"]
fn logs_tell_the_phases() {
    let bench = Bench::new();
    let (image, log) = (image("PHASEMETER_LOGGING_IMAGE"), bench.path().join("log.bin"));
    let server = MockServer::start(MockConfig::default(), ([127, 0, 0, 1], 0).into(), None).unwrap();
    let target = format!("target=10.0.2.2:{}", server.addr().port());
    let mut command = qemu(&image, "null", &["plan=built-in", "exit=over", &target]);
    command.args(["-monitor", "none", "-serial", &format!("file:{}", log.display())]);
    let exited = Running::start(&mut command).wait(LIMIT * 2);
    assert_eq!(exited.code, Some(0), "{}{}", exited.stdout, exited.stderr);

    let decoder = std::env::var_os("PHASEMETER_DEFMT_PRINT").expect("`cargo xtask firmware test` sets it");
    let mut decode = std::process::Command::new(decoder);
    decode.arg("-e").arg(&image).stdin(std::fs::File::open(log).unwrap());
    let told = Running::start(&mut decode).wait(LIMIT);
    let places = ["Warmup", "Profiling"].map(|kind| {
        ["Start", "SendingComplete", "Complete"].map(|event| {
            // With the space: the end of one name is another.
            let text = format!(" {event}: {kind}");
            told.stdout.find(&text).unwrap_or_else(|| panic!("{text} is missing: {}", told.stdout))
        })
    });
    assert!(places.as_flattened().is_sorted(), "{}", told.stdout);
}

#[test]
#[ignore = "needs QEMU and the image: cargo xtask firmware test"]
fn the_firmware_sleeps_while_it_waits_and_says_what_stack_it_took() {
    let started = Instant::now();
    let server = MockServer::start(MockConfig::default(), ([127, 0, 0, 1], 0).into(), None).unwrap();
    let target = format!("target=10.0.2.2:{}", server.addr().port());
    let mut command = qemu(image("PHASEMETER_IMAGE"), "null", &["plan=built-in", "exit=over", &target]);
    let exited = Running::start(command.args(["-monitor", "none"])).wait(LIMIT * 2);
    assert_eq!(exited.code, Some(0), "{}{}", exited.stdout, exited.stderr);
    assert!(started.elapsed() > Duration::from_secs(10), "the plan takes eleven seconds");
    let number = |before: &str| -> u32 {
        let (_, rest) = exited.stdout.split_once(before).unwrap_or_else(|| panic!("{}", exited.stdout));
        rest.split(' ').next().unwrap().parse().unwrap()
    };
    assert!((1..32 * 1024).contains(&number("stack: ")), "{}", exited.stdout);
    assert!(number("asleep: ") > 50, "{}", exited.stdout);
}
