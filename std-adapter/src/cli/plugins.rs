//! `phasemeter plugins`: the components that runs can have, and where they come from.

mod text;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{anyhow, bail};
use serde::Serialize;

use super::run_config::RegistryArgs;
use crate::registry::{Category, Diagnostic, Entry, Package, Param, Registry};
use crate::text::to_json;

/// The version of the JSON.
const SCHEMA: &str = "phasemeter.plugins/1";

const NOTES: &str = "\
Manifests are read from the directory phasemeter/registry.d in
$PHASEMETER_CONFIG_DIR (or else in the platform's directory for
configurations), then from --registry, in this order.

Examples:
  phasemeter plugins
  phasemeter plugins phase_hooks
  phasemeter plugins phase_hook file_log
  phasemeter plugins --validate my-rack.yaml --json";

/// List the components that runs can have: phase hooks and post-processors.
#[derive(Debug, clap::Args)]
#[command(after_help = NOTES)]
pub(super) struct Args {
    /// Only this category: `phase_hooks` or `post_processors`.
    category: Option<String>,
    /// All about one component: a short name, or a class path.
    #[arg(value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    registry: RegistryArgs,
    /// Check these manifests (without any: all that are read) and list every fault; exits with 2 if there is one.
    #[arg(long, value_name = "FILE", num_args = 0.., conflicts_with = "category")]
    validate: Option<Vec<PathBuf>>,
    /// Print versioned JSON (schema `phasemeter.plugins/1`).
    #[arg(long)]
    json: bool,
}

/// Prints what was asked for.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if let Some(files) = &args.validate {
        return validate(args, files);
    }
    let registry = args.registry.open()?;
    let category = args.category.as_deref().map(category).transpose()?;
    match (category, &args.name) {
        (Some(category), Some(name)) => {
            let component = Detail::new(&registry, category, name)?;
            print(args.json, &component, text::component)?;
        }
        _ => print(args.json, &List::new(&registry, category), text::list)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn category(name: &str) -> anyhow::Result<Category> {
    let known = Category::ALL.map(Category::section).join(" and ");
    Category::parse(name).ok_or_else(|| anyhow!("there is no category {name:?}: there are {known}"))
}

fn print<T: Serialize>(json: bool, what: &T, text: impl Fn(&T) -> String) -> anyhow::Result<()> {
    super::print(&if json { to_json(what)? } else { text(what) })
}

/// Reads every manifest for itself, so that each fault of each is told.
fn validate(args: &Args, files: &[PathBuf]) -> anyhow::Result<ExitCode> {
    let mut registry = Registry::with_builtins()?;
    let places = if files.is_empty() { args.registry.places() } else { [&args.registry.paths, files].concat() };
    if places.is_empty() && !args.json {
        bail!("there is no manifest to check: name one");
    }
    let mut checked = Validation { schema: SCHEMA, valid: true, errors: Vec::new(), warnings: Vec::new() };
    for path in places {
        match registry.load(&path) {
            Ok(warnings) => checked.warnings.extend(warnings),
            Err(error) => checked.errors.extend(error.diagnostics(&path.display().to_string())),
        }
    }
    let without_code = registry.entries().iter().filter(|entry| !registry.has_code(entry));
    checked.warnings.extend(without_code.map(|entry| Diagnostic {
        place: entry.place.clone(),
        message: format!("the {} `{}` has {}", entry.category, entry.name, text::NO_CODE),
    }));
    checked.valid = checked.errors.is_empty();
    print(args.json, &checked, text::validation)?;
    Ok(if checked.valid { ExitCode::SUCCESS } else { ExitCode::from(super::FAILED) })
}

/// What is wrong with manifests.
#[derive(Serialize)]
struct Validation {
    schema: &'static str,
    valid: bool,
    errors: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
}

/// Packages and components.
#[derive(Serialize)]
struct List<'r> {
    schema: &'static str,
    packages: Vec<&'r Package>,
    components: Vec<Component<'r>>,
}

/// A component as it is listed.
#[derive(Serialize)]
struct Component<'r> {
    #[serde(flatten)]
    entry: &'r Entry,
    package: &'r str,
    enabled: bool,
    /// Whether this program has code for it.
    code: bool,
    /// Whether it is the one that its short name means.
    by_name: bool,
}

impl<'r> Component<'r> {
    fn new(registry: &'r Registry, entry: &'r Entry) -> Self {
        let meant = registry.resolve(entry.category, &entry.name);
        Self {
            entry,
            package: &entry.package.name,
            enabled: entry.package.enabled,
            code: registry.has_code(entry),
            by_name: meant.is_ok_and(|meant| std::ptr::eq(meant.entry, entry)),
        }
    }
}

impl<'r> List<'r> {
    fn new(registry: &'r Registry, category: Option<Category>) -> Self {
        let wanted = |entry: &&Entry| category.is_none_or(|category| entry.category == category);
        let entries = || registry.entries().iter().filter(wanted);
        let mut packages: Vec<&Package> = Vec::new();
        for entry in entries() {
            if !packages.iter().any(|package| std::ptr::eq(*package, Arc::as_ptr(&entry.package))) {
                packages.push(&entry.package);
            }
        }
        Self { schema: SCHEMA, packages, components: entries().map(|entry| Component::new(registry, entry)).collect() }
    }
}

/// All about one component.
#[derive(Serialize)]
struct Detail<'r> {
    schema: &'static str,
    #[serde(flatten)]
    component: Component<'r>,
    /// The parameters that it takes, those of the built-in that has its code included.
    config_params: Option<Vec<Param>>,
    package_details: &'r Package,
    /// Others of the name, reached by their class paths.
    others: Vec<Component<'r>>,
    /// Why this one is meant.
    reason: Option<&'static str>,
}

impl<'r> Detail<'r> {
    fn new(registry: &'r Registry, category: Category, name: &str) -> anyhow::Result<Self> {
        let meant = registry.resolve(category, name)?;
        Ok(Self {
            schema: SCHEMA,
            component: Component::new(registry, meant.entry),
            config_params: registry.params(meant.entry),
            package_details: &meant.entry.package,
            others: meant.others.iter().map(|entry| Component::new(registry, entry)).collect(),
            reason: meant.reason,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = "schema_version: '1.0'
plugin: {name: my-rack, version: 1.2.0, author: us}
phase_hooks:
  slow: {class: r:Slow, description: Says so, tags: [alert], priority: 5, config_params: [{name: s, type: int, default: 6, min: 1}]}
  Slow: {class: r:Slower}
post_processors: {p: {class: r:P}}
";

    fn registry() -> Registry {
        let mut registry = Registry::empty();
        registry.load_text("m.yaml", MANIFEST).unwrap();
        registry
    }

    #[test]
    fn lists_say_what_a_name_means() {
        let registry = registry();
        assert_eq!(
            text::list(&List::new(&registry, Some(Category::PhaseHook))),
            "packages\n  my-rack 1.2.0  m.yaml\n\nphase_hooks\n  slow  r:Slow    Says so  (no code registered in this program)\n  \
             Slow  r:Slower  (no code registered in this program; by its class path only)\n"
        );
        let json = serde_json::to_value(List::new(&registry, None)).unwrap();
        assert_eq!(json["schema"], "phasemeter.plugins/1");
        assert_eq!(json["packages"].as_array().unwrap().len(), 1);
        assert_eq!(json["components"][1]["by_name"], false);
        assert_eq!(json["components"][2]["category"], "post_processor");
    }

    #[test]
    fn a_component_says_who_won_and_why() {
        let registry = registry();
        let detail = Detail::new(&registry, Category::PhaseHook, "SLOW").unwrap();
        let text = text::component(&detail);
        for line in [
            "phase_hook slow   r:Slow",
            "  package    my-rack 1.2.0 (m.yaml)",
            "  tags       alert",
            "  s          int, at least 1, default 6",
            "  meant      its priority is higher; others of the name:",
            "             Slow  r:Slower  (no code registered in this program; by its class path only)",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        let json = serde_json::to_value(&detail).unwrap();
        assert_eq!(json["config_params"][0]["type"], "int");
        assert_eq!(json["others"][0]["class"], "r:Slower");
    }

    #[test]
    fn categories_are_told() {
        assert!(category("Phase-Hook").is_ok());
        let error = category("hooks").unwrap_err().to_string();
        assert_eq!(error, "there is no category \"hooks\": there are phase_hooks and post_processors");
    }
}
