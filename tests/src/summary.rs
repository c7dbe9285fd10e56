//! `summary.json`, and what `process` prints, as a consumer sees them.

use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::Value;

static SCHEMA: LazyLock<Validator> = LazyLock::new(|| validator("summary-1"));

/// Parses a summary and checks it against its schema.
pub fn parse(summary: &str) -> Value {
    let summary = serde_json::from_str(summary).expect("a summary is JSON");
    assert_follows_schema(&summary);
    summary
}

/// Fails with every violation of the summary's schema.
pub fn assert_follows_schema(summary: &Value) {
    let violations: Vec<_> = SCHEMA.iter_errors(summary).map(|e| format!("{}: {e}", e.instance_path())).collect();
    assert!(violations.is_empty(), "{violations:#?}");
}

/// The summary without what differs between two recordings of the same bytes: the run's name and times, and the names
/// of the sources.
#[must_use]
pub fn without_names(mut summary: Value) -> Value {
    for pointer in ["/run/id", "/run/started", "/run/recorded_s"] {
        summary.pointer_mut(pointer).expect("every run has a name and its times").take();
    }
    for device in summary["devices"].as_array_mut().expect("devices are a list") {
        device["source"].take();
    }
    summary
}

/// Parses what `phasemeter process --json` printed and checks it against its schema.
pub fn process_document(document: &str) -> Value {
    static SCHEMA: LazyLock<Validator> = LazyLock::new(|| validator("process-1"));
    let document = serde_json::from_str(document).expect("the document is JSON");
    let violations: Vec<_> = SCHEMA.iter_errors(&document).map(|e| format!("{}: {e}", e.instance_path())).collect();
    assert!(violations.is_empty(), "{violations:#?}");
    document
}

fn validator(name: &str) -> Validator {
    let path = format!("{}/../std-adapter/schema/{name}.schema.json", env!("CARGO_MANIFEST_DIR"));
    let schema = std::fs::read_to_string(path).expect("the package has its schema");
    let schema = serde_json::from_str(&schema).expect("the schema is JSON");
    jsonschema::draft202012::new(&schema).expect("the schema is a schema")
}
