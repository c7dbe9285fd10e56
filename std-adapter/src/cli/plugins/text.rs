//! The lists of `phasemeter plugins` as text.

use std::fmt::Write as _;

use super::{Component, Detail, List, Validation};
use crate::registry::{Category, Origin, Package, Param};
use crate::text::printable;

pub(super) const NO_CODE: &str = "no code registered in this program";

/// Packages, then the components of each category.
pub(super) fn list(list: &List) -> String {
    let mut text = String::from("packages\n");
    let names: Vec<_> = list.packages.iter().map(|package| package_name(package)).collect();
    let width = width(names.iter().map(String::as_str));
    for (package, name) in list.packages.iter().zip(&names) {
        let disabled = if package.enabled { "" } else { "  (disabled)" };
        let _ = writeln!(text, "  {name:width$}  {}{disabled}", origin(package));
    }
    for category in Category::ALL {
        let components: Vec<_> = list.components.iter().filter(|one| one.entry.category == category).collect();
        if !components.is_empty() {
            let _ = writeln!(text, "\n{}", category.section());
            text += &lines(&components, "  ");
        }
    }
    text
}

/// A line a component.
fn lines(components: &[&Component], indent: &str) -> String {
    let names = width(components.iter().map(|one| one.entry.name.as_str()));
    let classes = width(components.iter().map(|one| one.entry.class.as_str()));
    let mut text = String::new();
    for one in components {
        let description = first_line(&one.entry.description);
        let line = format!("{indent}{:names$}  {:classes$}  {description}", one.entry.name, one.entry.class);
        let line = line.trim_end();
        let _ = match remarks(one) {
            none if none.is_empty() => writeln!(text, "{line}"),
            remarks => writeln!(text, "{line}  ({remarks})"),
        };
    }
    text
}

/// What is special about a component.
fn remarks(one: &Component) -> String {
    let mut remarks = Vec::new();
    if !one.enabled {
        remarks.push("disabled");
    }
    if !one.code {
        remarks.push(NO_CODE);
    }
    if one.enabled && !one.by_name {
        remarks.push("by its class path only");
    }
    if one.entry.auto_load {
        remarks.push("loads itself");
    }
    remarks.join("; ")
}

/// All about one component.
pub(super) fn component(detail: &Detail) -> String {
    let entry = detail.component.entry;
    let mut text = format!("{} {}   {}\n", entry.category, entry.name, entry.class);
    let params = detail.config_params.as_deref();
    let width = width(params.unwrap_or_default().iter().map(|param| param.name.as_str())).max(9);
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            let _ = writeln!(text, "  {:width$}  {}", printable(name), printable(value));
        }
    };
    line("", first_line(&entry.description));
    line("package", &format!("{} ({})", package_name(detail.package_details), origin(detail.package_details)));
    line("declared", &entry.place);
    line("tags", &entry.tags.join(", "));
    line("aliases", &entry.aliases.join(", "));
    line("priority", &entry.priority.to_string());
    line("remarks", &remarks(&detail.component));
    if let Some(metadata) = &entry.metadata {
        line("metadata", &metadata.to_string());
    }
    match params {
        None => line("config", "not declared: anything is let through"),
        Some([]) => line("config", "none"),
        Some(params) => {
            line("config", "parameters:");
            for param in params {
                line(&param.name, &parameter(param));
            }
        }
    }
    if let Some(reason) = detail.reason {
        line("meant", &format!("{reason}; others of the name:"));
        text += &lines(&detail.others.iter().collect::<Vec<_>>(), &" ".repeat(width + 4));
    }
    text
}

fn parameter(param: &Param) -> String {
    let mut words = vec![param.kind.to_string()];
    words.extend(Some(param.range()).filter(|range| !range.is_empty()));
    match &param.default {
        Some(default) => words.push(format!("default {default}")),
        None if param.required => words.push("required".into()),
        None => {}
    }
    let description = first_line(&param.description);
    let separator = if description.is_empty() { "" } else { "   " };
    format!("{}{separator}{description}", words.join(", "))
}

/// Errors and warnings, one a line.
pub(super) fn validation(checked: &Validation) -> String {
    let mut text = String::new();
    for error in &checked.errors {
        let _ = writeln!(text, "error: {}", printable(&error.to_string()));
    }
    for warning in &checked.warnings {
        let _ = writeln!(text, "warning: {}", printable(&warning.to_string()));
    }
    let _ = match checked.errors.len() {
        0 => writeln!(text, "valid"),
        1 => writeln!(text, "1 error"),
        errors => writeln!(text, "{errors} errors"),
    };
    text
}

fn package_name(package: &Package) -> String {
    let name = printable(&package.name);
    package.version.as_ref().map_or_else(|| name.clone(), |version| format!("{name} {}", printable(version)))
}

fn origin(package: &Package) -> String {
    if package.origin == Origin::BuiltIn { "built-in".into() } else { printable(&package.file) }
}

/// A description may have many lines.
fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

fn width<'t>(texts: impl Iterator<Item = &'t str>) -> usize {
    texts.map(|text| text.chars().count()).max().unwrap_or(0)
}
