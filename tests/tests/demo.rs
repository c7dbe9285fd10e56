//! `phasemeter demo`: the whole system in one process tree, judged by the mock server's own log.
#![cfg(unix)]

use std::fs;
use std::path::Path;
use std::time::Duration;

use phasemeter_tests::{Running, assert_order_statistics, parse, phasemeter, run};
use serde_json::Value;

fn is_empty(directory: &Path) -> bool {
    fs::read_dir(directory).unwrap().next().is_none()
}

#[test]
fn the_demo_agrees_with_the_servers_log() {
    let place = tempfile::tempdir().unwrap();
    let [directory, cwd, home, temporary] = ["run", "cwd", "home", "tmp"].map(|name| place.path().join(name));
    for directory in [&cwd, &home, &temporary] {
        fs::create_dir(directory).unwrap();
    }
    let mut command = phasemeter(&cwd, ["demo", "--out", directory.to_str().unwrap()]);
    let exited = Running::start(command.env("HOME", &home).env("TMPDIR", &temporary)).wait(Duration::from_secs(30));
    assert_eq!(exited.code, Some(0), "{}", exited.stderr);

    assert!([&cwd, &home, &temporary].into_iter().all(|directory| is_empty(directory)));
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 4, "nothing beside the run directory");
    let read = |name| fs::read_to_string(directory.join(name)).unwrap();
    assert!(fs::metadata(directory.join("capture.pmcap")).unwrap().len() > 0);
    assert_eq!(exited.stdout, read("report.txt"));

    let summary_text = read("summary.json");
    let summary = parse(&summary_text);
    assert_eq!(summary["run"]["complete"], true);
    assert_eq!(summary["coverage"]["ratio"], 1.0);
    assert!(summary["coverage"]["observed"].as_u64() > Some(1_000));
    assert_eq!(summary["coverage"]["observed"], summary["coverage"]["expected"]);
    assert_percentiles_have_values_or_reasons(&summary);
    assert_truth(&summary, &read("server.jsonl"));
    assert_rebuilt(&directory, &place.path().join("rebuilt"), &summary_text, &exited.stdout);
}

fn assert_percentiles_have_values_or_reasons(summary: &Value) {
    for phase in summary["phases"].as_array().unwrap() {
        for (metric, numbers) in phase["metrics"].as_object().unwrap() {
            let percentiles = numbers["percentiles"].as_object().unwrap();
            assert!(percentiles.contains_key("p99") && percentiles.contains_key("p99.9"), "{metric}");
            for (name, percentile) in percentiles {
                let lacks_value = percentile["value"].is_null();
                assert_eq!(lacks_value, percentile["reason"].is_string(), "{metric} {name}: {percentile}");
                assert_eq!(lacks_value, percentile["lower"].is_null() || percentile["upper"].is_null());
            }
        }
    }
}

/// What a capture yields is what the recorder wrote.
fn assert_rebuilt(directory: &Path, rebuilt: &Path, summary: &str, report: &str) {
    let replayed = run(directory, ["replay", ".", "--out", rebuilt.to_str().unwrap()]);
    assert_eq!((replayed.code, replayed.stdout.as_str(), replayed.stderr.as_str()), (Some(0), report, ""));
    assert_eq!(fs::read_to_string(rebuilt.join("summary.json")).unwrap(), summary);
    assert_eq!(fs::read_to_string(rebuilt.join("report.txt")).unwrap(), report);
    assert_eq!(run(directory, ["report", ".", "--json"]).stdout, summary);
    assert_eq!(run(rebuilt, ["report", directory.to_str().unwrap()]).stdout, report);
}

fn assert_truth(summary: &Value, log: &str) {
    let log: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for (phase, route) in [("warmup", "/"), ("profiling", "/v1/chat/completions")] {
        let phases = summary["phases"].as_array().unwrap();
        let phase = phases.iter().find(|summary| summary["phase"] == phase && summary["device"].is_null()).unwrap();
        let requests: Vec<_> = log.iter().filter(|request| request["route"] == route).collect();
        let failed = requests.iter().filter(|request| request["status"] == 500).count();
        assert!(requests.len() > 300, "{} requests are too few", requests.len());
        assert_eq!(phase["counts"]["sent"], requests.len());
        assert_eq!(phase["counts"]["completed"], requests.len());
        assert_eq!(phase["counts"]["errors"], failed);
        assert_eq!(phase["counts"]["cancelled"], 0);

        let successful: Vec<_> = requests.into_iter().filter(|request| request["status"] == 200).collect();
        let truth = |of: fn(&Value) -> f64| {
            let mut truth: Vec<f64> = successful.iter().map(|request| of(request)).collect();
            truth.sort_by(f64::total_cmp);
            truth
        };
        let metrics = &phase["metrics"];
        // The client starts its clock before the server does, and stops it after.
        assert_order_statistics(&metrics["service_time"], &truth(|request| request["total_ms"].as_f64().unwrap()), 0.0);
        if route == "/" {
            continue;
        }
        let first_token = truth(|request| request["first_byte_ms"].as_f64().unwrap());
        assert_order_statistics(&metrics["time_to_first_token"], &first_token, 0.0);
        // A first token that came late makes the gaps after it shorter: by its delay, spread over all gaps.
        let gaps = truth(|request| {
            let gaps = request["gaps_ms"].as_array().unwrap();
            assert_eq!(gaps.len(), 23, "the demo asks for 24 tokens");
            gaps.iter().map(|gap| gap.as_f64().unwrap()).sum::<f64>() / 23.0
        });
        assert_order_statistics(&metrics["inter_token_latency"], &gaps, 1.0 / 23.0);
    }
}
