//! The features of `phasemeter`: each builds alone, and a tool that takes none of them gets no server and no command line.

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::command::{cargo, output, run};

/// What the library without features must not need.
const UNWANTED: [&str; 5] = ["anyhow", "clap", "hyper", "serialport", "tokio"];

/// Checks the library with no feature and with each one, tests it with none, and looks at what it then needs.
///
/// # Errors
/// At the first build, lint or test that fails, and if an unwanted crate is needed.
pub(crate) fn check() -> Result<()> {
    let metadata = output(cargo().args(["metadata", "--no-deps", "--format-version", "1"]))?;
    let features = features(&metadata)?;
    ensure!(!features.is_empty(), "phasemeter has no features to check");
    for feature in std::iter::once(String::new()).chain(features) {
        let select = ["--no-default-features", "--features", &feature];
        run(cargo().args(["clippy", "-p", "phasemeter"]).args(select).args(["--all-targets", "--", "-D", "warnings"]))?;
    }
    run(cargo().args(["test", "-p", "phasemeter", "--no-default-features", "--lib"]))?;
    let tree = ["tree", "-p", "phasemeter", "--no-default-features", "--edges", "normal", "--prefix", "none"];
    let needed = output(cargo().args(tree))?;
    match unwanted(&needed) {
        Some(name) => bail!("phasemeter needs {name} without any feature: make what needs it part of a feature"),
        None => Ok(()),
    }
}

/// The features of `phasemeter` but for the default.
fn features(metadata: &str) -> Result<Vec<String>> {
    let metadata: Value = serde_json::from_str(metadata).context("cargo's metadata is no JSON")?;
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let package = packages.into_iter().find(|package| package["name"] == "phasemeter");
    let features = package.and_then(|package| package["features"].as_object());
    let names = features.context("cargo's metadata have no package phasemeter")?.keys();
    Ok(names.filter(|name| *name != "default").cloned().collect())
}

/// The first crate of a dependency tree that must not be there.
fn unwanted(tree: &str) -> Option<&str> {
    tree.lines().filter_map(|line| line.split_whitespace().next()).find(|name| UNWANTED.contains(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_those_of_the_library() {
        let metadata = r#"{"packages": [
            {"name": "other", "features": {"a": []}},
            {"name": "phasemeter", "features": {"default": ["cli"], "cli": ["load"], "load": []}}
        ]}"#;
        assert_eq!(features(metadata).unwrap(), ["cli", "load"]);
        assert!(features(r#"{"packages": []}"#).is_err());
    }

    #[test]
    fn an_unwanted_crate_is_found_by_its_whole_name() {
        assert_eq!(unwanted("phasemeter v0.1.0 (/x)\nserde v1.0.0\ntokio-util v1.0.0\n"), None);
        assert_eq!(unwanted("phasemeter v0.1.0 (/x)\nhyper v1.7.0\n"), Some("hyper"));
    }
}
