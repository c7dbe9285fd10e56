//! The registry on real manifests, and a recording that takes its components from YAML.

use std::fs;
use std::path::{Path, PathBuf};

use phasemeter::process::PostProcessor;
use phasemeter::registry::{Category, Config, Registry};
use phasemeter_core::hook::PhaseHook;
use phasemeter_tests::{Device, run};
use serde_json::{Value, json};

const DEVICE: Device = Device { id: "board-1", boot_id: 11, seed: 3, requests: 200, line_bytes: usize::MAX };

fn manifest(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "data", "registry", name].iter().collect()
}

fn config(value: Value) -> Config {
    value.try_into().unwrap()
}

#[test]
fn the_plugins_manifest_loads_unchanged_and_its_classes_are_ours() {
    let directory = tempfile::tempdir().unwrap();
    let mut registry = Registry::with_builtins().unwrap();
    assert!(registry.load(&manifest("example-plugin.yaml")).unwrap().is_empty());
    let log = directory.path().join("phases.log");
    let by_name = registry.get::<dyn PhaseHook>("Example-Logging-Hook").unwrap();
    let by_class = registry.get::<dyn PhaseHook>("aiperf_example_plugin.hooks:ExampleLoggingHook").unwrap();
    assert_eq!(by_name.entry().class, by_class.entry().class);
    for component in [by_name, by_class] {
        component.create(&config(json!({"log_file": log, "verbose": true}))).unwrap();
    }
    for name in ["example_metrics_processor", "example_results_aggregator"] {
        registry.get::<dyn PostProcessor>(name).unwrap().create(&config(json!({}))).unwrap();
    }
    assert_eq!(registry.entries().iter().filter(|entry| entry.category == Category::PhaseHook).count(), 5);
}

#[test]
fn a_short_name_and_a_class_path_are_the_same_call() {
    let registry = Registry::with_builtins().unwrap();
    let short = registry.get::<dyn PhaseHook>("file_log").unwrap();
    let class = registry.get::<dyn PhaseHook>("phasemeter.hook:FileLogHook").unwrap();
    assert!(std::ptr::eq(short.entry(), class.entry()));
    let error = registry.get::<dyn PostProcessor>("phasemeter.hook:FileLogHook").err().unwrap().to_string();
    assert!(error.contains("phase_hook"), "{error}");
    let error = registry.get::<dyn PhaseHook>("fle_log").err().unwrap().to_string();
    assert!(error.contains("file_log"), "{error}");
}

#[test]
fn the_higher_priority_wins_and_the_other_stays_reachable() {
    let mut registry = Registry::with_builtins().unwrap();
    registry.load(&manifest("example-plugin.yaml")).unwrap();
    registry.load(&manifest("mainline-form.yaml")).unwrap();
    let won = registry.get::<dyn PostProcessor>("example_metrics_processor").unwrap();
    assert_eq!(won.entry().class, "my_rack.processors:MetricsToDatabase");
    let error = won.create(&config(json!({}))).err().unwrap().to_string();
    assert!(error.contains("register"), "says how to provide its code: {error}");
    let lost = registry.get::<dyn PostProcessor>("aiperf_example_plugin.processors:ExampleMetricsProcessor").unwrap();
    lost.create(&config(json!({}))).unwrap();
}

/// Records a device with this run configuration, in `directory`.
fn record(directory: &Path, yaml: &str) -> phasemeter_tests::Exited {
    fs::write(directory.join("telemetry.bin"), DEVICE.bytes()).unwrap();
    fs::write(directory.join("run.yaml"), yaml).unwrap();
    run(directory, ["record", "telemetry.bin", "--out", "run", "--config", "run.yaml"])
}

#[test]
fn a_recording_takes_its_hooks_and_processors_from_yaml() {
    let directory = tempfile::tempdir().unwrap();
    let yaml = format!(
        "registry: [{}]
plugins:
  phase_hooks:
    - name: example_logging_hook
      config: {{log_file: phases.log, verbose: true}}
    - {{name: json_metrics, config: {{metrics_file: hooks.json}}}}
  post_processors:
    - {{name: metrics, config: {{output_file: metrics.json, percentiles: [50, 99.9]}}}}
",
        manifest("example-plugin.yaml").display()
    );
    let exited = record(directory.path(), &yaml);
    assert_eq!(exited.code, Some(0), "{}", exited.stderr);
    let log = fs::read_to_string(directory.path().join("phases.log")).unwrap();
    let events: Vec<_> = log.lines().filter_map(|line| line.split("] ").nth(1)?.split(':').next()).collect();
    let phase = ["PHASE_START", "PHASE_SENDING_COMPLETE", "PHASE_COMPLETE"];
    assert_eq!(events, [phase, phase].concat(), "{log}");
    let hooks: Value = serde_json::from_slice(&fs::read(directory.path().join("hooks.json")).unwrap()).unwrap();
    assert_eq!(hooks["schema"], "phasemeter.hook-metrics/1");
    let metrics: Value = serde_json::from_slice(&fs::read(directory.path().join("metrics.json")).unwrap()).unwrap();
    let metrics = &metrics["metrics"];
    assert_eq!(metrics["request_counts"]["total"], DEVICE.requests, "the warm-up is left out");
    assert!(metrics["latency_percentiles"]["p50"].is_f64(), "{metrics}");
    // As in the report: it takes a thousand.
    assert!(metrics["latency_percentiles"]["p99.9"].is_null(), "{metrics}");
    assert!(metrics["latency_bounds"]["p99.9"]["reason"].is_string(), "{metrics}");
}

#[test]
fn faults_are_told_by_their_place_before_anything_is_recorded() {
    for (yaml, expected) in [
        ("plugins: {phase_hooks: [{name: file_log, config: {log_fiel: a}}]}", "log_file"),
        ("plugins: {phase_hooks: [{name: file_log, config: {log_file: a, verbose: 3}}]}", "run.yaml:1:"),
        ("plugins: {phase_hooks: [file_log]}", "log_file"),
        ("plugins: {phase_hooks: [{name: json_metrics, config: {metrics_file: a, indent: 99}}]}", "16"),
        ("plugins: {post_processors: [nonesuch]}", "nonesuch"),
        ("plugins: {phase_hooks: [{name: a, name: b}]}", "run.yaml:1:"),
        ("plugins:\n\tphase_hooks: []", "run.yaml:2:"),
        ("a: &a [x]\nb: &b [*a, *a]\nplugins: *b", "run.yaml:"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let exited = record(directory.path(), yaml);
        assert_eq!(exited.code, Some(2), "{yaml}: {}", exited.stderr);
        assert!(exited.stderr.contains(expected), "{yaml}: {}", exited.stderr);
        assert!(!directory.path().join("run").exists(), "{yaml}");
    }
}

#[test]
fn hostile_yaml_is_refused_quickly() {
    let deep = format!("phase_hooks: {}", "[".repeat(50_000));
    let mut bomb = "a: &a [x,x,x,x,x,x,x,x]\n".to_owned();
    for (name, before) in ('b'..='k').zip('a'..) {
        let references = vec![format!("*{before}"); 8].join(",");
        bomb = format!("{bomb}{name}: &{name} [{references}]\n");
    }
    for text in [deep.as_str(), &bomb, "\u{feff}\u{0}", "phase_hooks: 3", &"x".repeat(2 << 20)] {
        let started = std::time::Instant::now();
        assert!(Registry::empty().load_text("hostile.yaml", text).is_err());
        assert!(started.elapsed().as_secs() < 5);
    }
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("latin1.yaml"), b"phase_hooks: {a: {class: b:C, description: \xe9}}").unwrap();
    let exited = run(directory.path(), ["plugins", "--validate", "latin1.yaml"]);
    assert_eq!(exited.code, Some(2), "{}", exited.stdout);
}
