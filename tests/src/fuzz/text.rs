//! Files that people and other tools write.

use phasemeter::plan;
use phasemeter::process::{ReadOptions, Reader};
use phasemeter::registry::Registry;

/// Errors say where; a plan that is taken has a description and runs.
pub(super) fn plan(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match plan::parse("plan.yaml", text) {
        Ok(plan) => {
            assert!(!plan.run().phases().is_empty() && plan.requests().len() == plan.run().phases().len());
            assert_eq!(
                plan::parse("plan.yaml", text).map(|again| again.run().content_hash()).ok(),
                Some(plan.run().content_hash())
            );
            assert!(plan.describe().is_object());
        }
        Err(error) => assert_one_line(&error.to_string(), "plan.yaml"),
    }
}

/// As for plans; a manifest that is refused declares nothing.
pub(super) fn registry(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut registry = Registry::empty();
    match registry.load_text("manifest.yaml", text) {
        Ok(warnings) => warnings.iter().for_each(|warning| assert_one_line(&warning.to_string(), "manifest.yaml")),
        Err(error) => {
            assert!(registry.entries().is_empty());
            assert_one_line(&error.to_string(), "manifest.yaml");
        }
    }
}

/// Each line is a record or is rejected; percentiles rise; a second reading gives the same.
pub(super) fn records(data: &[u8]) {
    let read = || {
        let mut reader = Reader::new("records", ReadOptions { threads: Some(1), ..ReadOptions::default() });
        reader.read("records.jsonl", data, &mut ()).map(|()| format!("{:?}", reader.finish()))
    };
    match (read(), read()) {
        (Ok(one), Ok(other)) => assert_eq!(one, other),
        (Err(one), Err(other)) => assert_eq!(one.to_string(), other.to_string()),
        (one, other) => panic!("{one:?}, then {other:?}"),
    }
}

/// An error is one line that names the file.
fn assert_one_line(message: &str, file: &str) {
    assert!(message.contains(file) && !message.contains(['\n', '\u{1b}']), "{message:?}");
}
