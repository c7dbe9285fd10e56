//! `phasemeter process`: records of single requests, from AIPerf and from plain files, whatever is in them.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use phasemeter::process::{MetricsProcessor, PostProcessor, ResultSet, ResultsAggregator};
use phasemeter_tests::{Exited, LIMIT, Running, phasemeter, process_document, run};
use serde_json::{Value, json};

/// Four requests over three seconds, one of which timed out.
const RECORDS: &str = r#"{"timestamp": 1000.0, "latency_ms": 50.5, "status": "success"}
{"timestamp": 1001.0, "latency_ms": 45.2, "status": "success"}
{"timestamp": 1002.0, "latency_ms": 100.1, "status": "success"}
{"timestamp": 1003.0, "latency_ms": 9999.0, "status": "error", "error": "timeout"}
"#;

fn data(name: &str) -> String {
    format!("{}/data/aiperf/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// Writes the records to a file and processes it.
fn process(records: impl AsRef<[u8]>, arguments: &[&str]) -> Exited {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("records.jsonl"), records).unwrap();
    run(directory.path(), ["process", "records.jsonl", "--json"].iter().chain(arguments))
}

fn document(exited: &Exited) -> Value {
    assert_eq!(exited.code, Some(0), "{}", exited.stderr);
    process_document(&exited.stdout)
}

fn close(left: &Value, right: f64) -> bool {
    left.as_f64().is_some_and(|left| (left - right).abs() <= 1e-9 * right.abs())
}

#[test]
fn the_plain_fixture_has_these_counts_rates_and_percentiles() {
    let document = document(&process(RECORDS, &["--exact"]));
    assert_eq!((&document["schema"], &document["records"]), (&json!("phasemeter.process/1"), &json!(4)));
    let all = &document["phases"]["all"];
    let expected = json!({"total": 4, "successful": 3, "failed": 1, "success_rate": 0.75});
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&all["request_counts"][key], value, "{key}");
    }
    assert_eq!(all["error_rate"], 0.25);
    let window = (all["window"]["end_ns"].as_f64().unwrap() - all["window"]["start_ns"].as_f64().unwrap()) / 1e9;
    assert!(window >= 3.0 && close(&all["throughput_rps"], 3.0 / window), "{all}");
    let latency = &all["metrics"]["request_latency"];
    assert_eq!((&latency["unit"], &latency["count"], &latency["max"]), (&json!("ms"), &json!(3), &json!(100.1)));
    assert_eq!(latency["percentiles"]["p50"], json!({"value": 50.5, "lower": 50.5, "upper": 50.5}));
    // Linear between closest ranks, as numpy has it.
    assert!(close(&latency["percentiles"]["p75"]["value"], f64::midpoint(50.5, 100.1)), "{latency}");
}

/// Every figure of AIPerf's own summary, of both phases.
#[test]
fn exact_figures_are_those_of_aiperf() {
    let exited = run(Path::new("."), ["process", &data("profile_export.jsonl"), "--exact", "--json"]);
    let document = document(&exited);
    let reference: Value =
        serde_json::from_str(&fs::read_to_string(data("profile_export_aiperf.json")).unwrap()).unwrap();
    let mut compared = 0;
    for (phase, reference) in [("profiling", &reference), ("warmup", &reference["warmup_metrics"])] {
        let metrics = &document["phases"][phase]["metrics"];
        for (tag, expected) in reference.as_object().unwrap().iter().filter(|(_, metric)| metric["unit"].is_string()) {
            let ours = &metrics[tag];
            for (statistic, value) in expected.as_object().unwrap() {
                let Some(value) = value.as_f64() else {
                    assert_eq!(ours["unit"], *value, "{phase} {tag}");
                    continue;
                };
                let found = match statistic.as_str() {
                    "avg" if ours["mean"].is_null() => &ours["value"],
                    "avg" => &ours["mean"],
                    "p1" | "p5" | "p10" | "p25" | "p50" | "p75" | "p90" | "p95" | "p99" => {
                        match &ours["percentiles"][statistic] {
                            Value::Null => continue,
                            percentile => &percentile["value"],
                        }
                    }
                    name => &ours[name],
                };
                assert!(close(found, value), "{phase} {tag} {statistic}: {found}, AIPerf has {value}");
                compared += 1;
            }
        }
    }
    assert!(compared > 900, "{compared}");
}

#[test]
fn streaming_bounds_contain_the_exact_values() {
    let file = data("profile_export.jsonl");
    let read = |mode: &[&str]| document(&run(Path::new("."), ["process", &file, "--json"].iter().chain(mode)));
    let (streamed, exact) = (read(&[]), read(&["--exact"]));
    let mut compared = 0;
    for phase in ["warmup", "profiling"] {
        let metrics = streamed["phases"][phase]["metrics"].as_object().unwrap();
        for (tag, metric) in metrics.iter().filter(|(_, metric)| metric["percentiles"].is_object()) {
            let exact = &exact["phases"][phase]["metrics"][tag];
            for (name, bounds) in metric["percentiles"].as_object().unwrap() {
                let truth = exact["percentiles"][name]["value"].as_f64().unwrap();
                let [lower, value, upper] = ["lower", "value", "upper"].map(|key| bounds[key].as_f64().unwrap());
                assert!(lower <= truth && truth <= upper, "{phase} {tag} {name}: {truth} is not in {bounds}");
                assert!(
                    (value - truth).abs() <= 0.00136 * truth.abs() + 1e-6,
                    "{phase} {tag} {name}: {truth}, {bounds}"
                );
                compared += 1;
            }
        }
    }
    assert!(compared > 300, "{compared}");
}

#[test]
fn a_bad_line_is_told_by_its_place_and_costs_nothing_else() {
    let long = format!("{{\"latency_ms\": {}1}}", " ".repeat(17 << 20));
    let deep = format!("{{\"a\": {}", "[".repeat(100_000));
    let torn = "{\"timestamp\": 1004.0, \"laten";
    let nan = "{\"timestamp\": 1.0, \"latency_ms\": NaN}";
    let text = "{\"timestamp\": 1.0, \"latency_ms\": \"fast\"}";
    let records = format!("\u{feff}{}{long}\n{deep}\n{nan}\n{text}\n{torn}", RECORDS.replace('\n', "\r\n"));
    let exited = process(&records, &[]);
    let document = document(&exited);
    assert_eq!((&document["records"], &document["rejected"]), (&json!(4), &json!(5)), "{}", exited.stderr);
    assert_eq!(document["phases"]["all"]["request_counts"]["successful"], 3);
    for place in ["records.jsonl:5:", "records.jsonl:6:", "records.jsonl:7:34", "records.jsonl:8:", "records.jsonl:9:"]
    {
        assert!(exited.stderr.contains(place), "{place}: {}", exited.stderr);
    }
    assert_eq!(process(&records, &["--strict"]).code, Some(2));
}

#[test]
fn gzip_and_standard_input_are_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let plain = document(&process(RECORDS, &[]));
    let mut gzip = std::process::Command::new("gzip");
    let mut child = gzip.arg("-c").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("gzip is installed");
    child.stdin.take().unwrap().write_all(RECORDS.as_bytes()).unwrap();
    let packed = child.wait_with_output().unwrap().stdout;
    assert_eq!(document(&process(packed, &[]))["phases"], plain["phases"]);

    let mut command = phasemeter(directory.path(), ["process", "-", "--json"]);
    let mut running = Running::start(command.stdin(Stdio::piped()));
    running.take_stdin().unwrap().write_all(RECORDS.as_bytes()).unwrap();
    assert_eq!(document(&running.wait(LIMIT))["phases"], plain["phases"]);
}

#[test]
fn nothing_to_process_is_an_error_by_name() {
    for (records, arguments) in [("", &[][..]), ("{}\n", &[]), (RECORDS, &["--percentiles", "101"])] {
        let exited = process(records, arguments);
        assert_eq!(exited.code, Some(2), "{records}: {}", exited.stdout);
        assert!(exited.stderr.lines().count() >= 1);
    }
    let exited = run(Path::new("."), ["process", "no-such-file.jsonl"]);
    assert_eq!(exited.code, Some(2));
    assert!(exited.stderr.contains("no-such-file.jsonl"), "{}", exited.stderr);
}

#[test]
fn many_files_aggregate_into_a_report() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["a.jsonl", "b.jsonl"] {
        fs::write(directory.path().join(name), RECORDS).unwrap();
    }
    let exited = run(directory.path(), ["process", "a.jsonl", "b.jsonl", "--aggregate", "--report"]);
    assert_eq!(exited.code, Some(0), "{}", exited.stderr);
    for line in ["Total Records: 8", "Result Sets: 2", "Success Rate: 75.00%", "Throughput: "] {
        assert!(exited.stdout.contains(line), "{line}: {}", exited.stdout);
    }
}

#[test]
fn processors_say_when_there_is_nothing() {
    let mut metrics = MetricsProcessor::default();
    let result = metrics.process(&[ResultSet::new("empty")]).unwrap();
    assert!(!result.success() && result.record_count() == 0);
    assert!(!result.metrics().contains_key("latency_percentiles"));
    let error = ResultsAggregator::default().process(&[]).unwrap_err();
    assert!(!error.to_string().is_empty(), "an empty list is an error");
}

#[test]
fn metrics_go_to_a_file_that_is_json() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("new/metrics.json");
    let mut metrics = MetricsProcessor { output_file: Some(path.clone()), ..MetricsProcessor::default() };
    metrics.process(&[ResultSet::new("empty")]).unwrap();
    let written: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    assert_eq!(written["success"], false);
}

#[path = "../../std-adapter/examples/goodput.rs"]
mod goodput;

#[test]
fn the_example_of_a_custom_processor_runs() {
    goodput::main().unwrap();
}
