//! Verdicts and exit codes of the real command: 0 passed, 1 failed, 3 incomplete.

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use phasemeter_tests::{Device, MonitorDevice, parse, run};
use serde_json::Value;

fn device() -> Vec<u8> {
    Device { id: "d", boot_id: 1, seed: 5, requests: 400, line_bytes: usize::MAX }.bytes()
}

/// Records what came over a line; tells the exit code, the first line of the report, and the summary's run.
fn record(place: &Path, line: &[u8], arguments: &[&str]) -> (Option<i32>, String, Value) {
    fs::write(place.join("line.bin"), line).unwrap();
    let directory = place.join("run");
    let _ = fs::remove_dir_all(&directory);
    let exited = run(place, [&["record", "line.bin", "--out", "run"], arguments].concat());
    let summary = parse(&fs::read_to_string(directory.join("summary.json")).unwrap());
    (exited.code, exited.stdout.lines().next().unwrap_or_default().to_owned(), summary["run"].clone())
}

#[test]
fn a_threshold_decides_in_every_command() {
    let place = tempfile::tempdir().unwrap();
    let (code, first, judged) = record(place.path(), &device(), &[]);
    assert_eq!(
        (code, judged["verdict"].as_str(), judged["max_error_rate"].as_f64()),
        (Some(0), Some("passed"), Some(0.5))
    );
    assert!(first.contains("   passed   complete   started "), "{first}");
    for command in [&["report", "run"][..], &["report", "run", "--json"], &["replay", "run", "--out", "again"]] {
        let code = |rate: &str| run(place.path(), [command, &["--max-error-rate", rate]].concat()).code;
        // About one of twenty fails or is cancelled.
        assert_eq!((code("50"), code("1"), code("1.5%"), code("100")), (Some(0), Some(1), Some(1), Some(0)));
        assert_eq!((code("101"), code("few")), (Some(2), Some(2)));
    }
    let (code, first, judged) = record(place.path(), &device(), &["--max-error-rate", "1"]);
    assert_eq!((code, judged["verdict"].as_str(), judged["complete"].as_bool()), (Some(1), Some("failed"), Some(true)));
    assert!(first.contains("   FAILED   complete   started "), "{first}");
    let reason = judged["failure_reasons"][0].as_str().unwrap();
    assert!(
        reason.contains("% of the profiling requests failed or were cancelled (") && reason.ends_with("1 % may"),
        "{reason}"
    );
    let report = fs::read_to_string(place.path().join("run/report.txt")).unwrap();
    assert!(report.lines().nth(1).unwrap().starts_with("FAILED: "), "{report}");
}

#[test]
fn incomplete_weighs_more_than_a_threshold() {
    let place = tempfile::tempdir().unwrap();
    let bytes = device();
    for rate in ["50", "0"] {
        let (code, first, judged) = record(place.path(), &bytes[..bytes.len() * 3 / 4], &["--max-error-rate", rate]);
        let expected = if rate == "0" { Value::from("failed") } else { Value::Null };
        assert_eq!((code, &judged["verdict"]), (Some(3), &expected), "{first}");
        assert!(first.contains("   PARTIAL   started "), "{first}");
    }
}

#[test]
fn a_run_without_success_fails_whatever_was_observed() {
    let place = tempfile::tempdir().unwrap();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let plan = "phases: [{kind: profiling, workload: {get: {path: /}}, arrival: {constant: {rate: 200}}, stop: {requests: 20}}]";
    fs::write(place.path().join("plan.yaml"), plan).unwrap();
    let target = format!("http://{nobody}");
    run(place.path(), ["load", "plan.yaml", "--target", &target, "--output", "load.bin"]);
    let bytes = fs::read(place.path().join("load.bin")).unwrap();
    let (code, first, judged) = record(place.path(), &bytes, &["--max-error-rate", "100"]);
    assert_eq!((code, judged["complete"].as_bool()), (Some(1), Some(true)), "{first}");
    assert_eq!(judged["failure_reasons"][0], "no request succeeded: 20 were sent, 20 completed");
    // Without the end of the run as well: what was observed says it.
    let (code, _, judged) = record(place.path(), &bytes[..bytes.len() - 60], &[]);
    assert_eq!((code, judged["complete"].as_bool()), (Some(1), Some(false)));
}

#[test]
fn monitors_have_no_verdict() {
    let place = tempfile::tempdir().unwrap();
    let (id, boot_id, seed) = ("m", 1, 8);
    let device =
        MonitorDevice { id, boot_id, seed, phases: &["one"], samples: 50, is_endless: false, line_bytes: usize::MAX };
    let mut bytes = Vec::new();
    device.run(|piece| {
        bytes.extend_from_slice(piece);
        true
    });
    let (code, first, judged) = record(place.path(), &bytes, &["--max-error-rate", "0"]);
    assert_eq!((code, &judged["verdict"]), (Some(0), &Value::Null), "{first}");
    assert!(first.contains("   complete   started ") && !first.contains("passed"), "{first}");
}
