//! `phasemeter plugins`, and what the shipped manifest declares.

use std::path::{Path, PathBuf};

use phasemeter::process::PostProcessor;
use phasemeter::registry::{Category, Config, Param, Registry};
use phasemeter_core::hook::PhaseHook;
use phasemeter_tests::{Exited, LIMIT, Running, phasemeter};
use serde_json::{Value, json};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/registry").join(name)
}

/// Runs the command with no manifests but those in this directory.
fn plugins(directory: &Path, arguments: &[&str]) -> Exited {
    let mut command = phasemeter(directory, [&["plugins"], arguments].concat());
    Running::start(command.env("PHASEMETER_CONFIG_DIR", directory)).wait(LIMIT)
}

fn json_of(exited: &Exited) -> Value {
    serde_json::from_str(&exited.stdout).unwrap()
}

/// A value that the parameter takes: its default if it has one.
fn value(param: &Param, directory: &Path) -> Value {
    if let Some(default) = &param.default {
        return default.clone();
    }
    match param.name.as_str() {
        "timing" => json!("concurrent"),
        "command" => json!(["true"]),
        "max_bytes" => json!(1_000),
        name => json!(directory.join(name)),
    }
}

#[test]
fn every_built_in_has_code_that_takes_all_that_is_declared() {
    let registry = Registry::with_builtins().unwrap();
    assert_eq!(registry.entries().len(), 5);
    let place = tempfile::tempdir().unwrap();
    for entry in registry.entries() {
        let params = entry.params.iter().flatten();
        let all: serde_json::Map<_, _> = params.map(|param| (param.name.clone(), value(param, place.path()))).collect();
        let all: Config = Value::Object(all).try_into().unwrap();
        for name in [&entry.name, &entry.class].into_iter().chain(&entry.aliases) {
            if entry.category == Category::PhaseHook {
                registry.get::<dyn PhaseHook>(name).unwrap().create(&all).unwrap();
            } else {
                registry.get::<dyn PostProcessor>(name).unwrap().create(&all).unwrap();
            }
        }
    }
}

#[test]
fn the_main_lines_form_overrides_a_built_in_by_priority() {
    let mut registry = Registry::with_builtins().unwrap();
    assert_eq!(registry.load(&data("mainline-form.yaml")).unwrap(), []);
    let meant = registry.resolve(Category::PostProcessor, "Example_Metrics-Processor").unwrap();
    assert_eq!(meant.entry.class, "my_rack.processors:MetricsToDatabase");
    assert_eq!((meant.others[0].name.as_str(), meant.reason), ("metrics", Some("its priority is higher")));
    let alert = registry.get::<dyn PhaseHook>("slow-phase-alert").unwrap();
    assert_eq!(alert.entry().metadata, Some(json!({"threshold_s": 60})));
    let missing = alert.create(&Config::default()).err().unwrap().to_string();
    let remedy = "`registry.register::<dyn PhaseHook>(\"my_rack.hooks:SlowPhaseAlert\", …)`";
    assert!(missing.contains("no code registered in this program") && missing.contains(remedy), "{missing}");
}

#[test]
fn the_command_lists_what_there_is() {
    let place = tempfile::tempdir().unwrap();
    let (example, mainline) = (data("example-plugin.yaml"), data("mainline-form.yaml"));
    let [example, mainline] = [&example, &mainline].map(|path| path.to_str().unwrap());
    let both = ["--registry", example, "--registry", mainline];

    let all = plugins(place.path(), &both);
    assert_eq!((all.code, all.stderr.as_str()), (Some(0), ""));
    for words in [
        "aiperf-example-plugin 1.0.0",
        "phasemeter.hook:FileLogHook",
        "my_rack.hooks:SlowPhaseAlert",
        "(no code registered in this program)",
        "by its class path only",
    ] {
        assert!(all.stdout.contains(words), "{words}\n{}", all.stdout);
    }

    let json = plugins(place.path(), &[&["post-processors", "--json"], &both[..]].concat());
    let json = json_of(&json);
    assert_eq!(json["schema"], "phasemeter.plugins/1");
    let components = json["components"].as_array().unwrap();
    assert!(components.len() == 5 && components.iter().all(|one| one["category"] == "post_processor"));

    let one = plugins(place.path(), &[&["post_processor", "example-metrics-processor", "--json"], &both[..]].concat());
    let one = json_of(&one);
    assert_eq!(one["class"], "my_rack.processors:MetricsToDatabase");
    assert_eq!((&one["code"], &one["reason"]), (&json!(false), &json!("its priority is higher")));
    assert_eq!(one["others"].as_array().unwrap().len(), 2);

    let text = plugins(place.path(), &["phase_hook", "file_log"]);
    for words in ["phasemeter.hook:FileLogHook", "log_file", "path, required", "bool, default false", "from 0 to 1000"]
    {
        assert!(text.stdout.contains(words), "{words}\n{}", text.stdout);
    }
    for wrong in [&["hooks"][..], &["phase_hook", "fil_log"], &["--registry", "missing.yaml"]] {
        let exited = plugins(place.path(), wrong);
        assert_eq!((exited.code, exited.stdout.as_str()), (Some(2), ""), "{}", exited.stderr);
        assert_eq!(exited.stderr.lines().count(), 1, "{}", exited.stderr);
    }
}

#[test]
fn manifests_are_found_in_the_users_directory_and_validated() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("phasemeter/registry.d");
    std::fs::create_dir_all(&directory).unwrap();
    let good = "schema_version: '1.0'\nphase_hooks: {mine: {class: a:Mine}}";
    std::fs::write(directory.join("good.yaml"), good).unwrap();
    let listed = plugins(place.path(), &["phase_hooks"]);
    assert!(listed.stdout.contains("a:Mine"), "{}", listed.stdout);
    let valid = plugins(place.path(), &["--validate"]);
    assert_eq!(valid.code, Some(0), "{}", valid.stdout);
    assert!(valid.stdout.ends_with("has no code registered in this program\nvalid\n"), "{}", valid.stdout);

    let write = |name: &str, bytes: &[u8]| std::fs::write(place.path().join(name), bytes).unwrap();
    write("two.yaml", b"schema_version: '9'\nphase_hooks: {a: {class: b}}");
    write("binary.yaml", &[0xff, 0xfe]);
    write("long.yaml", &vec![b'#'; (1 << 20) + 1]);
    write("deep.yaml", "[".repeat(50_000).as_bytes());
    let names = ["two.yaml", "binary.yaml", "long.yaml", "deep.yaml"];
    let invalid = plugins(place.path(), &[&["--validate"], &names[..], &["--json"]].concat());
    assert_eq!(invalid.code, Some(2));
    let json = json_of(&invalid);
    let places: Vec<_> =
        json["errors"].as_array().unwrap().iter().map(|error| error["place"].as_str().unwrap()).collect();
    assert_eq!(places[..4], ["two.yaml:1:17", "two.yaml:2:26", "binary.yaml", "long.yaml"]);
    assert!(places.len() == 5 && places[4].starts_with("deep.yaml:1:"), "{places:?}");
    assert_eq!((&json["schema"], &json["valid"]), (&json!("phasemeter.plugins/1"), &json!(false)));
}
