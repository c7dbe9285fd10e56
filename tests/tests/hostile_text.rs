//! Names and texts from outside that would steer a terminal or hide what they say: none reaches it, nor a report.

use std::fs;
use std::path::Path;

use phasemeter_tests::{Device, Exited, LIMIT, Running, phasemeter, run};
use serde_json::Value;

/// An escape of a terminal in both forms, a reversal of characters, an Arabic mark, both separators, what has no width, a
/// tag, and a line of its own.
const HOSTILE: &str = "a\u{1b}[2J\u{9b}1m\u{202e}\u{61c}\u{2028}\u{2029}\u{200b}\u{e0041}\u{feff}\u{7f}\nphasemeter: z";
/// What of it fits a device's name, and a file's on any system.
const SHORT: &str = "a\u{1b}[2J\u{202e}\u{61c}\u{2028}\u{200b}\u{e0041}z";

/// Whether somebody who reads the text is misled. The ends of lines are looked at by the tests.
fn misleads(text: &str) -> bool {
    let hides =
        |c| matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}');
    text.chars().any(|c| c != '\n' && c.is_control() || hides(c) || matches!(c, '\u{feff}' | '\u{e0000}'..='\u{e0fff}'))
}

#[track_caller]
fn assert_plain(exited: &Exited, code: i32) {
    assert_eq!(exited.code, Some(code), "{:?}", exited.stderr);
    assert!(!misleads(&exited.stdout), "{:?}", exited.stdout);
    assert!(!misleads(&exited.stderr), "{:?}", exited.stderr);
    let begins_a_line = |text: &str| text.lines().any(|line| line.starts_with("phasemeter: z"));
    assert!(!begins_a_line(&exited.stdout) && !begins_a_line(&exited.stderr), "{exited:?}");
}

fn write(directory: &Path, name: &str, content: impl AsRef<[u8]>) {
    fs::write(directory.join(name), content).unwrap();
}

#[test]
fn a_recording_shows_devices_sources_and_what_they_print_plainly() {
    assert!(misleads(HOSTILE) && misleads(SHORT) && !misleads("Größe\n"));
    let place = tempfile::tempdir().unwrap();
    let device = Device { id: SHORT, boot_id: 1, seed: 2, requests: 4, line_bytes: usize::MAX };
    let printed = format!("\0{SHORT}\nphasemeter: z\n\0").into_bytes();
    write(place.path(), SHORT, [printed, device.bytes()].concat());
    let recorded = run(place.path(), ["record", SHORT, "--out", "run"]);
    assert_plain(&recorded, 0);
    assert!(recorded.stderr.contains("| a\u{fffd}[2J"), "what the device printed is shown: {}", recorded.stderr);
    assert!(recorded.stdout.contains("device a\u{fffd}[2J"), "{}", recorded.stdout);
    for file in ["run/report.txt", "run/summary.json"] {
        let text = fs::read_to_string(place.path().join(file)).unwrap();
        assert!(!misleads(&text) && text.contains("a\u{fffd}[2J"), "{file}: {text:?}");
    }
    assert_plain(&run(place.path(), ["report", "run", "--json"]), 0);
    assert_plain(&run(place.path(), ["record", "missing\u{1b}[2J\u{202e}"]), 2);
    let twice = format!("{SHORT}-capture");
    write(place.path(), &twice, "no capture");
    assert_plain(&run(place.path(), ["replay", &twice]), 2);
}

#[test]
fn records_show_phases_metrics_and_faults_plainly() {
    let place = tempfile::tempdir().unwrap();
    let hostile = Value::from(HOSTILE);
    let record = |metric: &Value, unit: &Value| {
        let metrics = format!("{metric}: {{\"value\": 5.5, \"unit\": {unit}}}");
        let latency = "\"request_latency\": {\"value\": 7.5, \"unit\": \"ms\"}";
        format!("{{\"metadata\": {{\"phase_name\": {hostile}}}, \"metrics\": {{{latency}, {metrics}}}}}\n")
    };
    let good = record(&hostile, &hostile);
    let comes_twice = format!("{{\"metadata\": {{}}, \"metrics\": {{{0}, {0}}}}}\n", {
        format!("{hostile}: {{\"value\": 1, \"unit\": \"ms\"}}")
    });
    write(place.path(), SHORT, [good.as_str(), &comes_twice].concat());

    let text = run(place.path(), ["process", SHORT, "--aggregate"]);
    // One of two lines is rejected.
    assert_plain(&text, 3);
    assert!(text.stdout.contains("== a\u{fffd}[2J") && text.stderr.contains("comes twice"), "{text:?}");
    let json = run(place.path(), ["process", SHORT, "--json", "--output", "out.json"]);
    assert_plain(&json, 3);
    let written = fs::read_to_string(place.path().join("out.json")).unwrap();
    assert!(!misleads(&written));
    let document: Value = serde_json::from_str(&written).unwrap();
    assert_eq!(document["files"][0], SHORT, "JSON keeps what was said");
    assert_eq!(document["phases"][HOSTILE]["metrics"][HOSTILE]["unit"], HOSTILE);

    let other_unit = record(&hostile, &Value::from("\u{1b}[1mother"));
    write(place.path(), "units.jsonl", [good, other_unit].concat());
    assert_plain(&run(place.path(), ["process", "units.jsonl"]), 3);
    write(
        place.path(),
        "phase_manifest.json",
        format!("{{\"phases\": [{{\"phase_name\": {hostile}, \"start_ns\": 2, \"end_ns\": 1}}]}}"),
    );
    assert_plain(&run(place.path(), ["process", SHORT]), 2);
}

#[test]
fn yaml_is_quoted_plainly() {
    let place = tempfile::tempdir().unwrap();
    // Escaped, as YAML does not take every character as it is.
    let escapes: Vec<_> = HOSTILE.chars().map(|c| format!("\\U{:08x}", u32::from(c))).collect();
    let hostile = format!("\"{}\"", escapes.concat());
    let plan = |phase: &str| {
        format!(
            "phases:\n  - kind: warmup\n    stop: {{requests: 1}}\n    arrival: {{constant: {{rate: 1}}}}\n    {phase}\n"
        )
    };
    for (name, phase) in [
        ("key.yaml", format!("{hostile}: 1")),
        ("kind.yaml", format!("workload: {{{hostile}: 1}}")),
        ("path.yaml", format!("workload: {{get: {{path: {hostile}}}}}")),
        ("grace.yaml", format!("workload: {{get: {{path: /}}}}\n    grace: {hostile}")),
    ] {
        write(place.path(), name, plan(&phase));
        assert_plain(&run(place.path(), ["load", name, "--target", "http://127.0.0.1:9", "--output", "out.bin"]), 2);
    }

    let manifest = format!(
        "schema_version: '1.0'
plugin: {{name: {hostile}, version: {hostile}, author: {hostile}}}
phase_hooks:
  mine:
    class: a:Mine
    description: {hostile}
    tags: [{hostile}]
    metadata: {{{hostile}: {hostile}}}
    config_params: [{{name: {hostile}, default: {hostile}, description: {hostile}}}]
"
    );
    let name = format!("{SHORT}.yaml");
    write(place.path(), &name, &manifest);
    let plugins = |arguments: &[&str]| {
        let mut command = phasemeter(place.path(), [&["plugins"], arguments].concat());
        Running::start(command.env("PHASEMETER_CONFIG_DIR", place.path())).wait(LIMIT)
    };
    for arguments in [
        &["--registry", &name][..],
        &["--registry", &name, "--json"],
        &["phase_hook", "mine", "--registry", &name],
        &["phase_hook", "mine", "--registry", &name, "--json"],
        &["--validate", &name],
        &["--validate", &name, "--json"],
    ] {
        assert_plain(&plugins(arguments), 0);
    }
    let wrong = format!("{manifest}    {hostile}: 1\n  {hostile}: {{class: {hostile}, aliases: [{hostile}]}}\n");
    write(place.path(), &name, &wrong);
    assert_plain(&plugins(&["--validate", &name]), 2);
    assert_plain(&plugins(&["phase_hooks", HOSTILE]), 2);
    assert_plain(&plugins(&[HOSTILE]), 2);

    write(
        place.path(),
        "run.yaml",
        format!("plugins: {{phase_hooks: [{{name: {hostile}, config: {{{hostile}: 1}}}}]}}"),
    );
    assert_plain(&run(place.path(), ["record", "-", "--config", "run.yaml"]), 2);
}
