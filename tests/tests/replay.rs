//! `phasemeter replay` rebuilds every file of a run byte for byte: those of hooks and post-processors too, from the run
//! directory alone.

use std::fs;
use std::path::Path;

use phasemeter_tests::{Device, Exited, parse, run};
use serde_json::{Value, json};

const PLUGINS: &str = "plugins:
  phase_hooks:
    - {name: file_log, config: {log_file: 'logs/{source}.log', verbose: true, max_bytes: 300, keep: 1}}
    - {name: json_metrics, config: {metrics_file: '../{source}.json'}}
    - {name: command, config: {command: [sh, -c, 'touch ran', hunter2]}}
  post_processors:
    - {name: metrics, config: {output_file: metrics.json}}
    - aggregator
    - aggregator
";
/// What those write, where it is rebuilt.
const WRITTEN: [&str; 6] = ["logs/0.log", "logs/0.log.1", "logs/1.log", "0.json", "1.json", "metrics.json"];

/// Two devices, the second of which is heard up to this part of its run.
fn lines(place: &Path, part: f64) {
    for (seed, id) in [(5, "a"), (6, "b")] {
        let bytes = Device { id, boot_id: 1, seed, requests: 400, line_bytes: usize::MAX }.bytes();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a part"
        )]
        let length = if id == "b" { (bytes.len() as f64 * part) as usize } else { bytes.len() };
        fs::write(place.join(format!("{id}.bin")), &bytes[..length]).unwrap();
    }
}

/// Records into `run`, with plugins and a threshold of its own.
fn record(place: &Path) -> Exited {
    fs::write(place.join("run.yaml"), PLUGINS).unwrap();
    let arguments = ["record", "a.bin", "b.bin", "--out", "run", "--config", "run.yaml", "--max-error-rate", "7.25"];
    run(place, arguments)
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The original of what is rebuilt at `name`.
fn original(place: &Path, name: &str) -> String {
    let is_outside = matches!(name, "0.json" | "1.json");
    read(&if is_outside { place.parent().unwrap().join(name) } else { place.join(name) })
}

#[test]
fn the_files_of_plugins_are_rebuilt_and_those_of_the_run_never_touched() {
    for part in [1.0, 0.6] {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("place");
        fs::create_dir(&place).unwrap();
        lines(&place, part);
        let recorded = record(&place);
        let code = if part < 1.0 { 3 } else { 0 };
        assert_eq!(recorded.code, Some(code), "{}", recorded.stderr);
        let originals: Vec<_> = WRITTEN.iter().map(|name| original(&place, name)).collect();
        let of_run = |name: &str| read(&place.join("run").join(name));
        let (summary, report, info) = (of_run("summary.json"), of_run("report.txt"), of_run("run.json"));
        assert!(!info.contains("hunter2"), "{info}");
        let results = ["results/aggregator.json", "results/aggregator-2.json"].map(of_run);
        let aggregate: Value = serde_json::from_str(&results[0]).unwrap();
        assert_eq!((&aggregate["success"], &aggregate["metrics"]["total_sets"]), (&json!(part >= 1.0), &json!(2)));
        fs::remove_file(place.join("ran")).unwrap();
        // The recording is long over, and nothing but the run directory is left of what it was given.
        for name in ["run.yaml", "a.bin", "b.bin"] {
            fs::remove_file(place.join(name)).unwrap();
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
        // Twice: what was rebuilt before makes no difference.
        for (arguments, out) in [
            (&["replay", "run"][..], "run"),
            (&["replay", "run"], "run"),
            (&["replay", "run", "--out", "copy"], "copy"),
        ] {
            let replayed = run(&place, arguments);
            assert_eq!((replayed.code, &*replayed.stdout), (Some(code), &*report), "{}", replayed.stderr);
            assert!(replayed.stderr.contains("command is not created again"), "{}", replayed.stderr);
            let out = place.join(out);
            assert_eq!(
                (read(&out.join("summary.json")), read(&out.join("report.txt"))),
                (summary.clone(), report.clone())
            );
            for (name, written) in WRITTEN.iter().zip(&originals) {
                assert_eq!(read(&out.join("rebuilt").join(name)), *written, "{name}");
                assert_eq!(original(&place, name), *written, "{name}");
            }
            assert!(!place.join("ran").exists(), "a replay runs no program");
            for (name, written) in ["aggregator.json", "aggregator-2.json"].iter().zip(&results) {
                assert_eq!(read(&out.join("results").join(name)), *written, "{name}");
            }
        }
        let summary = parse(&summary);
        let metrics: Value = serde_json::from_str(&original(&place, "metrics.json")).unwrap();
        assert_eq!(metrics["success"], part >= 1.0);
        assert_eq!(metrics["complete"], summary["run"]["complete"]);
        assert_eq!(metrics["partial_reason"], summary["run"]["partial_reason"]);
        for key in ["observed", "expected", "ratio"] {
            assert_eq!(metrics["coverage"][key], summary["coverage"][key]);
        }
        assert_eq!(summary["run"]["max_error_rate"], 0.0725);
        assert_eq!(metrics["metrics"]["percentile_rule"], summary["percentile_rule"]);
    }
}

/// The digits of a number as they stand in a file.
fn digits(value: &Value) -> String {
    value.to_string()
}

#[test]
fn one_run_has_one_value_of_each_statistic() {
    for requests in [60, 3_000] {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path();
        let line = Device { id: "d", boot_id: 1, seed: requests, requests, line_bytes: usize::MAX }.bytes();
        fs::write(place.join("d.bin"), line).unwrap();
        let processor = "{name: metrics, config: {output_file: m.json, percentiles: [50, 75, 90, 95, 99, 99.9]}}";
        fs::write(place.join("run.yaml"), format!("plugins: {{post_processors: [{processor}]}}")).unwrap();
        let recorded = run(place, ["record", "d.bin", "--out", "run", "--config", "run.yaml"]);
        assert_eq!(recorded.code, Some(0), "{}", recorded.stderr);
        let summary = parse(&read(&place.join("run/summary.json")));
        let written: Value = serde_json::from_str(&read(&place.join("m.json"))).unwrap();
        let (ours, bounds) = (&written["metrics"]["latency_percentiles"], &written["metrics"]["latency_bounds"]);
        let phases = summary["phases"].as_array().unwrap();
        let profiling = phases.iter().find(|phase| phase["phase"] == "profiling" && phase["device"].is_null()).unwrap();
        let theirs = &profiling["metrics"]["service_time"];
        for name in ["min", "max", "mean", "stdev"] {
            assert_eq!(digits(&ours[name]), digits(&theirs[name]), "{name}");
        }
        let mut withheld = 0;
        for (name, percentile) in theirs["percentiles"].as_object().unwrap() {
            assert_eq!(digits(&ours[name]), digits(&percentile["value"]), "{name}");
            for bound in ["lower", "upper"] {
                assert_eq!(digits(&bounds[name][bound]), digits(&percentile[bound]), "{name} {bound}");
            }
            assert_eq!(bounds[name]["reason"], percentile["reason"], "{name}");
            withheld += usize::from(percentile["value"].is_null());
        }
        assert_eq!(withheld > 0, requests < 1_000, "p99.9 needs a thousand");
    }
}

#[test]
fn a_threshold_that_is_given_comes_before_that_of_the_recording() {
    let directory = tempfile::tempdir().unwrap();
    lines(directory.path(), 1.0);
    assert_eq!(record(directory.path()).code, Some(0));
    for command in [&["report", "run"][..], &["replay", "run"]] {
        assert_eq!(run(directory.path(), [command, &["--max-error-rate", "1"]].concat()).code, Some(1));
        assert_eq!(run(directory.path(), command).code, Some(0));
    }
    // About one of twenty fails or is cancelled.
    let strict = ["record", "a.bin", "--out", "strict", "--max-error-rate", "1"];
    assert_eq!(run(directory.path(), strict).code, Some(1));
    assert_eq!(run(directory.path(), ["report", "strict"]).code, Some(1));
    assert_eq!(run(directory.path(), ["report", "strict", "--max-error-rate", "50"]).code, Some(0));
}

#[test]
fn a_run_directory_of_somebody_else_runs_nothing_and_writes_nowhere_else() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().join("place");
    fs::create_dir(&place).unwrap();
    lines(&place, 1.0);
    assert_eq!(record(&place).code, Some(0));
    let path = place.join("run/run.json");
    let mut info: Value = serde_json::from_str(&read(&path)).unwrap();
    let [log, _, command] = &mut info["plugins"]["phase_hooks"].as_array_mut().unwrap()[..] else { panic!() };
    log["config"]["log_file"] = json!(directory.path().join("taken.log"));
    command["config"] = json!({"command": ["touch", "ran"], "timeout": "1s"});
    fs::remove_file(place.join("ran")).unwrap();
    fs::write(&path, info.to_string()).unwrap();
    assert_eq!(run(&place, ["replay", "run"]).code, Some(0));
    assert!(!place.join("ran").exists() && !directory.path().join("taken.log").exists());
    for (wrong, said) in [("{", "cannot read "), (r#"{"schema": "other/1"}"#, "cannot read "), ("", "cannot read ")] {
        fs::write(&path, wrong).unwrap();
        let replayed = run(&place, ["replay", "run"]);
        assert_eq!(replayed.code, Some(2));
        assert!(replayed.stderr.contains(said) && replayed.stderr.contains("run.json"), "{}", replayed.stderr);
    }
    let outside = |name: &str| {
        let mut info = info.clone();
        info["plugins"]["post_processors"][1]["name"] = json!(name);
        fs::write(&path, info.to_string()).unwrap();
        (run(&place, ["replay", "run"]), name.to_owned())
    };
    for (replayed, name) in ["../../taken", "/taken", ""].map(outside) {
        assert_eq!(replayed.code, Some(2), "{name}");
        assert!(
            replayed.stderr.contains("run.json") && !directory.path().join("taken.json").exists(),
            "{}",
            replayed.stderr
        );
    }
    info["plugins"]["post_processors"][0]["class"] = json!("my.own:Processor");
    fs::write(&path, info.to_string()).unwrap();
    let replayed = run(&place, ["replay", "run"]);
    assert_eq!(replayed.code, Some(2));
    assert!(replayed.stderr.contains("there is no post_processor `my.own:Processor`"), "{}", replayed.stderr);
    // A capture alone.
    fs::remove_file(&path).unwrap();
    let replayed = run(&place, ["replay", "run"]);
    assert_eq!(replayed.code, Some(0));
    assert!(replayed.stderr.contains("no run.json is beside the capture"), "{}", replayed.stderr);
}
