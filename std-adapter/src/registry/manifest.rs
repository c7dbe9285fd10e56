//! Manifests: what a package declares.
//!
//! Two forms are read, AIPerf's plugin manifest (`registry.yaml`) and that of AIPerf's main line; both name a category at
//! the top level, in the plural or in the singular.

use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use super::category::Category;
use super::fields::{Fields, Findings, list};
use super::name::{check_class_path, is_class_path, is_name};
use super::param::{Param, ParamType};
use crate::text::quoted;
use crate::yaml::{Key, Node, Value, normal, parse};

/// The components that one manifest can declare.
const MAX_ENTRIES: usize = 1_000;
/// The parameters, tags or aliases that one component can have.
const MAX_ITEMS: usize = 100;

/// Where a package comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Origin {
    /// This crate.
    BuiltIn,
    /// A manifest of the user.
    Manifest,
    /// Registered by code, with no manifest.
    Code,
}

/// What declares components.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Package {
    /// Its name; that of the file if the manifest does not say.
    pub name: String,
    /// Its version, as the manifest spells it.
    pub version: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Who wrote it.
    pub author: Option<String>,
    /// Its licence.
    pub license: Option<String>,
    /// `false`: its components are listed, and cannot be used.
    pub enabled: bool,
    /// Where it comes from.
    pub origin: Origin,
    /// Its manifest.
    pub file: String,
}

/// A component that a package declares.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Entry {
    /// What it is.
    pub category: Category,
    /// Its short name.
    pub name: String,
    /// Its class path, `module:Class`.
    pub class: String,
    /// What it does.
    pub description: String,
    /// Words to find it by.
    pub tags: Vec<String>,
    /// Whether every run has it without naming it.
    pub auto_load: bool,
    /// Of two components of one name the higher priority is meant; of those loaded by themselves the lower runs first.
    pub priority: i64,
    /// Whether a replay creates it again: what it does depends on nothing but its configuration and what it is told, and it
    /// writes to no files but those of its parameters of type `path`.
    pub replay: bool,
    /// What can be configured; `None`: not declared, so that nothing is checked.
    pub params: Option<Vec<Param>>,
    /// More that the manifest says, for whoever knows it.
    pub metadata: Option<serde_json::Value>,
    /// Other short names and class paths for the same code; not in AIPerf.
    pub aliases: Vec<String>,
    /// Where it is declared.
    pub place: String,
    /// What declares it.
    #[serde(skip)]
    pub package: Arc<Package>,
}

/// Reads a manifest; faults and oddities go to the findings. What is returned is whole only if there are no errors.
pub(super) fn read(file: &str, text: &str, origin: Origin, findings: &mut Findings) -> Vec<Entry> {
    let root: Node = match parse(file, text) {
        Ok(root) => root,
        Err(error) => {
            findings.errors.push(error.into());
            return Vec::new();
        }
    };
    let package = Arc::new(header(&root, file, origin, findings));
    let mut entries = Vec::new();
    for (key, section) in super::fields::map(&root, "a manifest", findings).unwrap_or_default() {
        if let Some(category) = Category::parse(&key.name) {
            read_section(category, section, &package, &mut entries, findings);
        } else if key.name != "schema_version" && key.name != "plugin" {
            findings.unknown_key(key, "a manifest", &["schema_version", "plugin", "phase_hooks", "post_processors"]);
        }
    }
    if entries.len() > MAX_ENTRIES {
        findings.error(root.at, format!("{} components: a manifest has at most {MAX_ENTRIES}", entries.len()));
    }
    entries
}

/// `schema_version` and `plugin`.
fn header(root: &Node, file: &str, origin: Origin, findings: &mut Findings) -> Package {
    let stem = Path::new(file).file_stem().map_or_else(|| file.to_owned(), |stem| stem.to_string_lossy().into_owned());
    let mut package = Package {
        name: stem,
        version: None,
        description: None,
        author: None,
        license: None,
        enabled: true,
        origin,
        file: file.to_owned(),
    };
    let Value::Map(items) = &root.value else { return package };
    let field = |name| items.iter().find(|(key, _)| key.name == name).map(|(_, node)| node);
    match field("schema_version").map(|node| (node, &node.value)) {
        None => findings.warn(root.at, "`schema_version` is missing: \"1.0\" is assumed"),
        Some((node, Value::Text(_) | Value::Number(_))) => {
            let version = node.to_json().as_str().map_or_else(|| node.to_json().to_string(), str::to_owned);
            if version.split('.').next() != Some("1") {
                let version = quoted(&version);
                findings.error(node.at, format!("`schema_version` {version} is not known: this program reads 1.x"));
            }
        }
        Some((node, _)) => {
            findings
                .error(node.at, format!("`schema_version` has to be text such as \"1.0\", not {}", node.describe()));
        }
    }
    if let Some(node) = field("plugin") {
        let mut fields = Fields::of(node, "`plugin`", findings);
        package.name = fields.text("name").unwrap_or(package.name);
        package.version = fields.text_or_number("version");
        package.description = fields.text("description");
        package.author = fields.text("author");
        package.license = fields.text("license");
        package.enabled = fields.flag("enabled").unwrap_or(true);
        fields.finish();
    }
    package
}

fn read_section(
    category: Category,
    section: &Node,
    package: &Arc<Package>,
    entries: &mut Vec<Entry>,
    findings: &mut Findings,
) {
    // `phase_hooks:` with nothing below it declares nothing.
    if matches!(section.value, Value::Null) {
        return;
    }
    for (key, node) in super::fields::map(section, &format!("`{}`", category.section()), findings).unwrap_or_default() {
        if is_name(&key.name) {
            entries.push(read_entry(category, key, node, package, findings));
        } else {
            let name = quoted(&key.name);
            findings.error(key.at, format!("{name} is no name for a component: use letters, digits, `_` and `-`"));
        }
    }
}

fn read_entry(category: Category, key: &Key, node: &Node, package: &Arc<Package>, findings: &mut Findings) -> Entry {
    let what = format!("the {category} `{}`", key.name);
    let place = key.at.place(&findings.file);
    let mut fields = Fields::of(node, what.as_str(), findings);
    let class = fields.text_with_place("class");
    let entry = Entry {
        category,
        name: key.name.clone(),
        class: class.as_ref().map(|(_, class)| class.clone()).unwrap_or_default(),
        description: fields.text("description").unwrap_or_default(),
        tags: fields.texts("tags").into_iter().map(|(_, tag)| tag).collect(),
        auto_load: fields.flag("auto_load").unwrap_or(false),
        priority: fields.integer("priority").unwrap_or(0),
        replay: fields.flag("replay").unwrap_or(false),
        params: fields.take("config_params").map(|node| read_params(&what, node, fields.findings)),
        metadata: fields.take("metadata").map(Node::to_json),
        aliases: read_aliases(&mut fields),
        place,
        package: Arc::clone(package),
    };
    fields.finish();
    match class.map(|(at, class)| (at, check_class_path(&class))) {
        Some((_, Ok(()))) => {}
        Some((at, Err(class))) => {
            findings.error(at, format!("{class} is no class path: write `class: module.path:Class`"));
        }
        None => findings.error(key.at, format!("{what} has no `class`: write `class: module.path:Class`")),
    }
    if entry.replay && entry.params.is_none() {
        findings.error(
            key.at,
            format!("{what} has `replay: true` and no `config_params`: a replay could not tell its files"),
        );
    }
    if entry.tags.len() > MAX_ITEMS || entry.aliases.len() > MAX_ITEMS {
        findings.error(key.at, format!("{what} has more than {MAX_ITEMS} tags or aliases"));
    }
    entry
}

fn read_aliases(fields: &mut Fields) -> Vec<String> {
    let texts = fields.texts("aliases");
    for (at, alias) in &texts {
        let valid = if is_class_path(alias) { check_class_path(alias).is_ok() } else { is_name(alias) };
        if !valid {
            fields.findings.error(*at, format!("{} is neither a name nor a class path", quoted(alias)));
        }
    }
    texts.into_iter().map(|(_, alias)| alias).collect()
}

fn read_params(what: &str, node: &Node, findings: &mut Findings) -> Vec<Param> {
    let mut params: Vec<Param> = Vec::new();
    let items = list(node, &format!("`config_params` of {what}"), findings).unwrap_or_default();
    if items.len() > MAX_ITEMS {
        findings.error(node.at, format!("{what} has {} parameters: at most {MAX_ITEMS} fit", items.len()));
        return params;
    }
    for item in items {
        let Some(param) = read_param(what, item, findings) else { continue };
        if params.iter().any(|other| normal(&other.name) == normal(&param.name)) {
            findings.error(item.at, format!("{what} has two parameters {}", quoted(&param.name)));
        }
        params.push(param);
    }
    params
}

/// A parameter: a map, or just its name.
fn read_param(what: &str, node: &Node, findings: &mut Findings) -> Option<Param> {
    if let Value::Text(name) = &node.value {
        let name = name.clone();
        let (kind, description) = (ParamType::Any, String::new());
        return Some(Param { name, kind, default: None, required: false, min: None, max: None, description });
    }
    let mut fields = Fields::of(node, format!("a parameter of {what}"), findings);
    let name = fields.text("name");
    let kind = fields.take("type").map(|kind| match &kind.value {
        Value::Text(text) => (kind, ParamType::parse(text)),
        _ => (kind, None),
    });
    let default = fields.take("default");
    let mut param = Param {
        name: name.unwrap_or_default(),
        kind: ParamType::Any,
        default: default.map(Node::to_json),
        required: fields.flag("required").unwrap_or(false),
        min: fields.number("min"),
        max: fields.number("max"),
        description: fields.text("description").unwrap_or_default(),
    };
    fields.finish();
    match kind {
        Some((_, Some(kind))) => param.kind = kind,
        Some((node, None)) => {
            let found = node.describe();
            let known = "str, int, float, bool, path, dict, list[T], Optional[T] or any";
            findings.error(node.at, format!("the type of a parameter is {known}, not {found}"));
        }
        None => {}
    }
    if param.name.is_empty() {
        findings.error(node.at, format!("a parameter of {what} has no `name`"));
        return None;
    }
    if param.has_odd_range() {
        let range = param.range();
        findings
            .error(node.at, format!("`{}` of type {} cannot be {range}: see `min` and `max`", param.name, param.kind));
    }
    if let Some(Err((at, message))) = default.map(|default| param.check(default)) {
        findings.error(at, format!("the default: {message}"));
    }
    Some(param)
}
