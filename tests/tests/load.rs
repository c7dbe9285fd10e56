//! The host load generator as a process: it ends when its telemetry is delivered, and says what failed.

use std::fs;
use std::time::{Duration, Instant};

use phasemeter::mock::{MockConfig, MockServer};
use phasemeter_tests::{parse, run};

const PLAN: &str = "\
phases:
  - {kind: warmup, workload: {get: {path: /}}, arrival: {closed_loop: {concurrency: 2}}, stop: {requests: 20}}
  - {kind: profiling, workload: {chat: {prompt_tokens: 8, output_tokens: 4}}, arrival: {poisson: {rate: 200}}, stop: {requests: 20}}
";

/// A run that waits for a line which has everything already would end by its patience, after ten seconds.
const PROMPTLY: Duration = Duration::from_secs(8);

#[test]
fn a_load_ends_with_its_run_and_what_it_wrote_is_whole() {
    let server = MockServer::start(MockConfig::default(), ([127, 0, 0, 1], 0).into(), None).unwrap();
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("plan.yaml"), PLAN).unwrap();
    let started = Instant::now();
    let load = run(dir.path(), ["load", "plan.yaml", "--target", &server.url(), "--output", "telemetry.bin"]);
    assert_eq!(load.code, Some(0), "{}", load.stderr);
    assert!(started.elapsed() < PROMPTLY, "it took {:?}", started.elapsed());
    let record = run(dir.path(), ["record", "telemetry.bin", "--out", "run"]);
    assert_eq!(record.code, Some(0), "{}", record.stderr);
    let summary = parse(&fs::read_to_string(dir.path().join("run/summary.json")).unwrap());
    assert_eq!(summary["coverage"]["ratio"], 1.0);
    let phases = summary["phases"].as_array().unwrap();
    assert!(phases.iter().all(|phase| phase["counts"]["completed"] == 20 && phase["counts"]["errors"] == 0));
}

#[test]
fn requests_that_find_no_server_are_errors_and_are_told() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("plan.yaml"), PLAN).unwrap();
    // The port of a listener that is gone.
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let target = format!("http://{gone}");
    let load = run(dir.path(), ["load", "plan.yaml", "--target", &target, "--output", "telemetry.bin"]);
    assert_eq!(load.code, Some(1), "{}", load.stderr);
    assert!(load.stderr.contains("40 requests found no connection"), "{}", load.stderr);
    assert!(load.stderr.contains("no request succeeded: 40 were sent"), "{}", load.stderr);
}
