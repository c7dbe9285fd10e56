//! The registry with manifests from text and components that only tests have.

use std::sync::{Arc, Mutex};

use phasemeter_core::hook::PhaseHook;

use super::*;

/// A hook that tells what it was made of.
struct Told;

impl PhaseHook for Told {}

type Log = Arc<Mutex<Vec<String>>>;

/// A registry in which `classes` are hooks that write their class and parameters to the log when they are created.
fn registry_of(classes: &[&'static str]) -> (Registry, Log) {
    let log = Log::default();
    let mut registry = Registry::empty();
    for &class in classes {
        let log = Arc::clone(&log);
        let register = registry.register::<dyn PhaseHook>(class, move |params| {
            let params: serde_json::Value = params.deserialize()?;
            log.lock().unwrap().push(format!("{class} {params}"));
            Ok(Box::new(Told))
        });
        register.unwrap();
    }
    (registry, log)
}

fn manifest(sections: &str) -> String {
    format!("schema_version: '1.0'\n{sections}")
}

fn errors(text: &str) -> Vec<String> {
    let mut registry = Registry::empty();
    let Err(RegistryError::Invalid(errors)) = registry.load_text("m", text) else { panic!("{text} was accepted") };
    assert!(registry.entries().is_empty(), "nothing is added");
    errors.iter().map(ToString::to_string).collect()
}

fn warnings(text: &str) -> Vec<String> {
    Registry::empty().load_text("m", text).unwrap().iter().map(ToString::to_string).collect()
}

fn fails<T>(result: Result<T, RegistryError>) -> String {
    result.err().map(|error| error.to_string()).unwrap_or_default()
}

#[test]
fn every_fault_of_a_manifest_has_its_place() {
    for (text, expected) in [
        ("", "m:1:1: a manifest has to be a map, not nothing"),
        ("a", "m:1:1: a manifest has to be a map, not the text \"a\""),
        ("schema_version: '2.0'", "m:1:17: `schema_version` \"2.0\" is not known: this program reads 1.x"),
        ("schema_version: [1]", "m:1:17: `schema_version` has to be text such as \"1.0\", not a list"),
        ("phase_hoks: {}", "m:1:1: \"phase_hoks\" is no key of a manifest: did you mean `phase_hooks`?"),
        ("plugin: {enable: false}", "m:1:10: \"enable\" is no key of `plugin`: did you mean `enabled`?"),
        ("plugin: {enabled: 'no'}", "m:1:19: `enabled` of `plugin` has to be true or false, not the text \"no\""),
        ("phase_hooks: []", "m:1:14: `phase_hooks` has to be a map, not a list"),
        ("phase_hooks: {a: b:c}", "m:1:18: the phase_hook `a` has to be a map, not the text \"b:c\""),
        ("phase_hooks: {a: {}}", "m:1:15: the phase_hook `a` has no `class`: write `class: module.path:Class`"),
        ("phase_hooks: {a: {class: b}}", "m:1:26: \"b\" is no class path: write `class: module.path:Class`"),
        ("phase_hooks: {'a b': {class: b:C}}", "m:1:15: \"a b\" is no name for a component"),
        ("phase_hooks: {a: {class: b:C, priorty: 1}}", "m:1:31: \"priorty\" is no key of the phase_hook `a`: did you"),
        ("phase_hooks: {a: {class: b:C, priority: 1.5}}", "m:1:41: `priority` of the phase_hook `a` has to be an int"),
        ("phase_hooks: {a: {class: b:C, tags: [1]}}", "m:1:38: `tags` of the phase_hook `a` has to be a list of texts"),
        ("phase_hooks: {a: {class: b:C, tags: x}}", "m:1:37: `tags` of the phase_hook `a` has to be a list, not"),
        ("phase_hooks: {a: {class: b:C, aliases: [':']}}", "m:1:41: \":\" is neither a name nor a class path"),
        ("phase_hooks: {a: {class: b:C, config_params: [1]}}", "m:1:47: a parameter of the phase_hook `a` has to be a"),
        ("phase_hooks: {a: {class: b:C, config_params: [{}]}}", "m:1:47: a parameter of the phase_hook `a` has no `na"),
        (
            "phase_hooks: {a: {class: b:C, config_params: [p, P]}}",
            "m:1:50: the phase_hook `a` has two parameters \"P\"",
        ),
        (
            "phase_hooks: {a: {class: b:C, config_params: [{name: p, type: nit}]}}",
            "m:1:63: the type of a parameter is str, int, float, bool, path, dict, list[T], Optional[T] or any, not the te",
        ),
        (
            "phase_hooks: {a: {class: b:C, config_params: [{name: p, type: int, default: x}]}}",
            "m:1:77: the default: `p` has to be of type int, not the text \"x\"",
        ),
        (
            "phase_hooks: {a: {class: b:C, config_params: [{name: p, type: str, min: 1}]}}",
            "m:1:47: `p` of type str cannot be at least 1: see `min` and `max`",
        ),
        ("a: 1\na: 2", "m:2:1: \"a\" is there twice"),
        ("phase_hooks:\n\t- x", "m:2:"),
        ("phase_hooks: [", "m:1:"),
        ("phase_hooks: {1: {class: a:B}, ", "m:1:"),
    ] {
        let errors = errors(text);
        assert!(errors.iter().any(|error| error.starts_with(expected)), "{text}\n{errors:#?}");
        assert!(errors.iter().all(|error| !error.contains('\n')), "{errors:?}");
    }
    let both = errors("phase_hooks: {a: {class: b}, c: {class: d:E, auto_load: 1}}");
    assert_eq!(both.len(), 2, "all faults at once: {both:?}");
}

#[test]
fn too_much_is_refused() {
    let many: Vec<_> = (0..=1_000).map(|n| format!("  h{n}: {{class: a:B}}")).collect();
    assert!(
        errors(&format!("phase_hooks:\n{}", many.join("\n")))[0]
            .contains("1001 components: a manifest has at most 1000")
    );
    let params = vec!["{name: a}"; 101].join(",");
    let text = format!("phase_hooks: {{a: {{class: b:C, config_params: [{params}]}}}}");
    assert!(errors(&text)[0].contains("101 parameters: at most 100"));
    let bad: Vec<_> = (0..900).map(|n| format!("  h{n}: 1")).collect();
    assert_eq!(errors(&format!("phase_hooks:\n{}", bad.join("\n"))).len(), 50, "nobody reads more");
}

#[test]
fn oddities_are_warnings() {
    for (text, expected) in [
        ("phase_hooks: {a: {class: b:C}}", vec!["m:1:1: `schema_version` is missing: \"1.0\" is assumed"]),
        (
            "schema_version: 1.0\ntransport: {a: {class: b:C}}",
            vec![
                "m:2:1: \"transport\" is no key of a manifest and is ignored; known: schema_version, plugin, phase_hooks, \
                 post_processors",
            ],
        ),
        ("schema_version: '1'\n\u{70}hase_hooks:\npost_processors: ~", vec![]),
        ("\u{feff}schema_version: '1.1'", vec![]),
    ] {
        assert_eq!(warnings(text), expected, "{text}");
    }
}

#[test]
fn names_and_categories_have_many_spellings() {
    for section in ["phase_hooks", "phase_hook", "Phase-Hooks", "PHASE_HOOK"] {
        let (mut registry, _) = registry_of(&["a:B"]);
        registry.load_text("m", &manifest(&format!("{section}: {{My-Hook: {{class: a:B}}}}"))).unwrap();
        for name in ["my_hook", "MY-HOOK", "My-Hook", "a:B"] {
            assert_eq!(registry.get::<dyn PhaseHook>(name).unwrap().entry().class, "a:B", "{section} {name}");
        }
        assert!(registry.get::<dyn PhaseHook>("a:b").is_err(), "classes have one spelling");
    }
    assert_eq!(Category::parse("post-Processors"), Some(Category::PostProcessor));
    assert_eq!(Category::parse("phase_hookss"), None);
}

#[test]
fn conflicts_go_by_priority_then_origin_then_order() {
    let entry = |class: &str, priority: i64| {
        manifest(&format!("phase_hooks: {{x: {{class: '{class}', priority: {priority}}}}}"))
    };
    let built_in = |class: &str, priority| {
        let mut registry = Registry::empty();
        registry.declare("built-in", &entry(class, priority), Origin::BuiltIn).unwrap();
        registry
    };
    for (first, then, winner, reason, warns) in [
        (built_in("a:A", 0), ("b:B", 0), "b:B", "a package comes before a built-in of the same priority", false),
        (built_in("a:A", 5), ("b:B", 0), "a:A", "its priority is higher", false),
        (built_in("a:A", 0), ("b:B", 1), "b:B", "its priority is higher", false),
        (user("a:A", &entry("a:A", 0)), ("b:B", 0), "a:A", "it was declared first", true),
        (user("a:A", &entry("a:A", 0)), ("b:B", -1), "a:A", "its priority is higher", false),
    ] {
        let mut registry = first;
        let warnings = registry.load_text("second", &entry(then.0, then.1)).unwrap();
        assert_eq!(warnings.len(), usize::from(warns), "{warnings:?}");
        let meant = registry.resolve(Category::PhaseHook, "X").unwrap();
        assert_eq!((meant.entry.class.as_str(), meant.reason), (winner, Some(reason)));
        let loser = if winner == "a:A" { "b:B" } else { "a:A" };
        assert_eq!(meant.others[0].class, loser);
        assert_eq!(registry.resolve(Category::PhaseHook, loser).unwrap().entry.class, loser, "by its class path");
    }
}

fn user(_class: &str, text: &str) -> Registry {
    let mut registry = Registry::empty();
    registry.load_text("first", text).unwrap();
    registry
}

#[test]
fn what_is_disabled_is_listed_and_not_used() {
    let mut registry = Registry::empty();
    let disabled = "plugin: {name: off, enabled: false}\nphase_hooks: {x: {class: a:B, auto_load: true, priority: 9}}";
    registry.load_text("m", &manifest(disabled)).unwrap();
    assert_eq!(registry.entries().len(), 1);
    for name in ["x", "a:B"] {
        let error = fails(registry.get::<dyn PhaseHook>(name));
        assert_eq!(error, format!("the phase_hook `{name}` is disabled: its package off says `enabled: false` (m)"));
    }
    assert!(RunConfig::default().hooks(&registry, 0, 1).unwrap().is_empty());
    registry.load_text("n", &manifest("phase_hooks: {x: {class: c:D}}")).unwrap();
    assert_eq!(registry.get::<dyn PhaseHook>("x").unwrap().entry().class, "c:D", "it takes no part in conflicts");
}

#[test]
fn names_that_are_wrong_are_told_what_is_right() {
    let (mut registry, _) = registry_of(&["a:FileLog"]);
    registry.load_text("m", &manifest("post_processors: {metrics: {class: a:Metrics}}")).unwrap();
    for (name, expected) in [
        ("fil-log", "there is no phase_hook `fil-log`: did you mean `file_log`?"),
        ("nothing", "there is no phase_hook `nothing`: `phasemeter plugins phase_hook` lists them"),
        ("a:FileLgo", "there is no phase_hook `a:FileLgo`: did you mean `a:FileLog`?"),
        ("metrics", "there is no phase_hook `metrics`: it is a post_processor"),
        ("a:Metrics", "`a:Metrics` is a post_processor, not a phase_hook"),
        ("\u{1b}[31m", "there is no phase_hook `\\u{1b}[31m`: `phasemeter plugins phase_hook` lists them"),
    ] {
        assert_eq!(fails(registry.get::<dyn PhaseHook>(name)), expected);
    }
}

#[test]
fn code_and_manifest_come_in_any_order() {
    let text =
        manifest("phase_hooks: {alert: {class: r:SlowAlert, config_params: [{name: s, type: int, default: 60}]}}");
    let config = Config::default();
    let none = Registry::empty();
    for code_first in [true, false] {
        let (mut registry, log) = registry_of(if code_first { &["r:SlowAlert"] } else { &[] });
        if code_first {
            assert_eq!(registry.get::<dyn PhaseHook>("slow_alert").unwrap().entry().class, "r:SlowAlert");
        }
        registry.load_text("m", &text).unwrap();
        if !code_first {
            assert_eq!(
                fails(registry.get::<dyn PhaseHook>("alert").unwrap().create(&config)),
                "the phase_hook `alert` has no code registered in this program: m:2:15 declares `r:SlowAlert`; a program that \
                 has it calls `registry.register::<dyn PhaseHook>(\"r:SlowAlert\", …)`"
            );
            let log = Arc::clone(&log);
            let register = registry.register::<dyn PhaseHook>("r:SlowAlert", move |params| {
                log.lock().unwrap().push(format!("r:SlowAlert {}", params.deserialize::<serde_json::Value>()?));
                Ok(Box::new(Told))
            });
            register.unwrap();
        }
        registry.get::<dyn PhaseHook>("alert").unwrap().create(&config).unwrap();
        assert_eq!(*log.lock().unwrap(), ["r:SlowAlert {\"s\":60}"]);
        assert_eq!(registry.entries().len(), 1);
    }
    assert!(none.entries().is_empty());
}

#[test]
fn code_alone_has_a_name_and_takes_any_parameter() {
    let (mut registry, log) = registry_of(&["r:HTTPAlert"]);
    registry.register_as::<dyn PhaseHook>("mine", "r:Other", |_| Err("no such device".into())).unwrap();
    let config = serde_json::json!({"anything": [1]}).try_into().unwrap();
    registry.get::<dyn PhaseHook>("http_alert").unwrap().create(&config).unwrap();
    assert_eq!(*log.lock().unwrap(), ["r:HTTPAlert {\"anything\":[1]}"]);
    let failed = fails(registry.get::<dyn PhaseHook>("mine").unwrap().create(&config));
    assert_eq!(failed, "cannot create the phase_hook `mine`: no such device");
    registry.load_text("m", &manifest("phase_hooks: {other: {class: r:Other}}")).unwrap();
    assert_eq!(registry.get::<dyn PhaseHook>("mine").unwrap().entry().class, "r:Other", "the name was asked for");

    let mut again = |class| fails(registry.register::<dyn PhaseHook>(class, |_| Ok(Box::new(Told))));
    assert_eq!(again("r:Other"), "the phase_hook `r:Other` is registered already");
    assert_eq!(again("Other"), "\"Other\" is no class path: write `module.path:Class`");
    assert!(!fails(registry.register_as::<dyn PhaseHook>("a b", "a:C", |_| Ok(Box::new(Told)))).is_empty());
}

#[test]
fn code_of_another_protocol_is_told_apart() {
    let (mut registry, _) = registry_of(&["a:B"]);
    registry.load_text("m", &manifest("post_processors: {b: {class: a:B}}")).unwrap();
    let processor = registry.get::<dyn crate::process::PostProcessor>("b").unwrap();
    assert_eq!(fails(processor.create(&Config::default())), "`a:B` is a phase_hook, not a post_processor");
}

#[test]
fn an_alias_has_the_code_and_the_parameters_of_the_built_in() {
    let (mut registry, log) = registry_of(&["our.hook:FileLog"]);
    let built_in = manifest(
        "phase_hooks:\n  file_log:\n    class: our.hook:FileLog\n    aliases: [their_log, 'their.hooks:Log']\n    config_params:\n      \
         - {name: file, type: path, default: a.log}\n      - {name: depth, type: int, min: 0, default: 1}\n",
    );
    registry.declare("b", &built_in, Origin::BuiltIn).unwrap();
    for name in ["their-log", "their.hooks:Log"] {
        assert_eq!(registry.get::<dyn PhaseHook>(name).unwrap().entry().name, "file_log");
    }
    let theirs =
        "phase_hooks: {their_log: {class: their.hooks:Log, config_params: [{name: file, type: str, default: b.log}]}}";
    registry.load_text("m", &manifest(theirs)).unwrap();
    let component = registry.get::<dyn PhaseHook>("their_log").unwrap();
    assert_eq!(component.entry().class, "their.hooks:Log", "a package comes before a built-in");
    component.create(&Config::default()).unwrap();
    assert_eq!(*log.lock().unwrap(), ["our.hook:FileLog {\"depth\":1,\"file\":\"b.log\"}"]);
    let two = Config::default().for_source(0, 2);
    assert!(fails(component.create(&two)).contains("`file` of the phase_hook `their_log` is one file"));
    let negative = serde_json::json!({"depth": -1}).try_into().unwrap();
    assert!(fails(component.create(&negative)).contains("has to be at least 0, not -1"));
}

#[test]
fn directories_are_read_whole_or_not_at_all() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
    write("b.yaml", &manifest("phase_hooks: {x: {class: b:B}}"));
    write("a.yaml", &manifest("phase_hooks: {x: {class: a:A}}"));
    write("c.yaml", "phase_hooks: 1");
    write("d.yaml", "phase_hooks: 2");
    let mut registry = Registry::empty();
    let Err(RegistryError::Invalid(faults)) = registry.load(directory.path()) else { panic!("c and d are wrong") };
    assert!(faults.len() == 2 && registry.entries().is_empty(), "{faults:?}");
    for name in ["c.yaml", "d.yaml"] {
        std::fs::remove_file(directory.path().join(name)).unwrap();
    }
    let warnings = registry.load(directory.path()).unwrap();
    assert!(warnings.len() == 1 && warnings[0].place.ends_with("b.yaml:2:15"), "{warnings:?}");
    assert_eq!(registry.get::<dyn PhaseHook>("x").unwrap().entry().class, "a:A", "in the order of their names");
    assert_eq!(registry.load(&directory.path().join("a.yaml")).unwrap(), [], "read once");
    assert_eq!(registry.entries().len(), 2);
    let missing = fails(registry.load(&directory.path().join("none.yaml")));
    assert!(missing.contains("none.yaml: "), "{missing}");
}

/// Loads a run configuration from a file beside which there are manifests.
fn run_config(text: &str, registry: &mut Registry) -> Result<RunConfig, RegistryError> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("run.yaml");
    std::fs::write(directory.path().join("m.yaml"), manifest("phase_hooks: {beside: {class: a:Beside}}")).unwrap();
    std::fs::write(&path, text).unwrap();
    RunConfig::load(&path, registry)
}

const AUTO: &str = "schema_version: '1.0'
phase_hooks:
  late: {class: a:Late, auto_load: true, priority: 60}
  early: {class: a:Early, auto_load: true, priority: 50, config_params: [{name: n, type: int, default: 1}]}
  manual: {class: a:Manual, config_params: [{name: file, type: path, default: 'd-{source}'}, {name: list, type: 'list[str]'}]}
";

#[test]
fn hooks_run_in_the_order_of_the_file_after_those_that_load_themselves() {
    let (mut registry, log) = registry_of(&["a:Late", "a:Early", "a:Manual", "a:Beside"]);
    registry.load_text("m", AUTO).unwrap();
    let created = |run: &RunConfig, registry: &Registry, source| {
        run.hooks(registry, source, 2).unwrap();
        std::mem::take(&mut *log.lock().unwrap())
    };
    assert_eq!(created(&RunConfig::default(), &registry, 0), ["a:Early {\"n\":1}", "a:Late {}"]);
    let run = run_config(
        "registry: [m.yaml]\nplugins:\n  phase_hooks:\n  - Beside\n  - {name: 'a:Manual', config: {list: ['{source}']}}\n  - name: early\n    config: {n: 7}\n",
        &mut registry,
    );
    let run = run.unwrap();
    assert_eq!(run.warnings(), []);
    assert_eq!(
        created(&run, &registry, 3),
        ["a:Late {}", "a:Beside {}", "a:Manual {\"file\":\"d-3\",\"list\":[\"3\"]}", "a:Early {\"n\":7}"]
    );
    assert!(run.processors(&registry).unwrap().is_empty());
}

#[test]
fn every_fault_of_a_run_is_told_before_anything_is_created() {
    let (mut registry, log) = registry_of(&["a:Late", "a:Early", "a:Manual"]);
    registry.load_text("m", AUTO).unwrap();
    let text = "plugins:\n  phase_hooks:\n  - earyl\n  - {name: manual, config: {fiel: x}}\n  - {name: manual, config: {file: x}}\n";
    let run = run_config(text, &mut registry).unwrap();
    let Err(RegistryError::Invalid(faults)) = run.hooks(&registry, 0, 2) else { panic!("it is wrong") };
    let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(faults.len(), 3, "{faults:?}");
    for (fault, expected) in faults.iter().zip([
        "run.yaml:3:5: there is no phase_hook `earyl`: did you mean `early`?",
        "run.yaml:4:29: \"fiel\" is no parameter of the phase_hook `manual`: did you mean `file`?",
        "run.yaml:5:35: `file` of the phase_hook `manual` is one file for several sources",
    ]) {
        assert!(fault.contains(expected), "{fault}");
    }
    assert!(log.lock().unwrap().is_empty());
}

#[test]
fn faults_of_a_run_configuration_have_their_place() {
    for (text, expected) in [
        ("", "run.yaml:1:1: a run configuration has to be a map"),
        ("plugin: {}", "run.yaml:1:1: \"plugin\" is no key of a run configuration: did you mean `plugins`?"),
        (
            "plugins: {phase_hoks: []}",
            "run.yaml:1:11: \"phase_hoks\" is no key of `plugins`: did you mean `phase_hooks`?",
        ),
        ("plugins: {phase_hooks: {}}", "run.yaml:1:24: `phase_hooks` has to be a list, not a map"),
        ("plugins: {phase_hooks: [1]}", "run.yaml:1:25: a phase_hook has to be a map, not the number 1"),
        ("plugins: {phase_hooks: [{}]}", "run.yaml:1:25: the phase_hook needs a `name`"),
        (
            "plugins: {phase_hooks: [{name: a, confg: {}}]}",
            "run.yaml:1:35: \"confg\" is no key of a phase_hook: did you",
        ),
        ("plugins: {phase_hooks: [{name: a, config: []}]}", "run.yaml:1:43: `config` has to be a map, not a list"),
        ("registry: x", "run.yaml:1:11: `registry` of a run configuration has to be a list, not the text \"x\""),
        ("registry: [none.yaml]", "none.yaml: "),
    ] {
        let error = fails(run_config(text, &mut Registry::empty()));
        assert!(error.contains(expected), "{text}: {error}");
    }
    let many = format!("plugins: {{phase_hooks: [{}]}}", "a,".repeat(101));
    assert!(fails(run_config(&many, &mut Registry::empty())).contains("101 components: at most 100"));
    let run = run_config("seed: 1\nplugins: ~", &mut Registry::empty()).unwrap();
    assert!(run.warnings()[0].message.contains("\"seed\" is no key of a run configuration and is ignored"));
}
