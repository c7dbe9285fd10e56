//! Which component a name means.

use std::cmp::Reverse;

use super::category::Category;
use super::error::RegistryError;
use super::manifest::{Entry, Origin};
use super::name::is_class_path;
use crate::text::quoted;
use crate::yaml::{normal, suggestion};

/// What a name means, and what else it could have meant.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Resolution<'r> {
    /// The component that is meant.
    pub entry: &'r Entry,
    /// Others of the name, the likelier first. Each is reachable by its class path.
    pub others: Vec<&'r Entry>,
    /// Why the first is meant; `None` if there are no others.
    pub reason: Option<&'static str>,
}

/// How well an entry answers to a name: the smaller the better.
fn rank(entry: &Entry) -> (Reverse<i64>, bool) {
    (Reverse(entry.priority), entry.package.origin == Origin::BuiltIn)
}

/// Whether nothing but their order decides between two entries.
pub(super) fn are_equal(a: &Entry, b: &Entry) -> bool {
    rank(a) == rank(b)
}

fn reason(winner: &Entry, other: &Entry) -> &'static str {
    if winner.priority != other.priority {
        "its priority is higher"
    } else if are_equal(winner, other) {
        "it was declared first"
    } else {
        "a package comes before a built-in of the same priority"
    }
}

/// Finds the entry of a category that a short name or a class path means.
pub(super) fn resolve<'r>(
    entries: &'r [Entry],
    category: Category,
    name: &str,
) -> Result<Resolution<'r>, RegistryError> {
    let by_class = is_class_path(name);
    let wanted = normal(name);
    let same = |candidate: &str| if by_class { candidate == name } else { normal(candidate) == wanted };
    let own = |entry: &Entry| same(if by_class { &entry.class } else { &entry.name });
    let alias = |entry: &Entry| entry.aliases.iter().any(|alias| same(alias));
    let of_category = || entries.iter().filter(|entry| entry.category == category);

    let mut found: Vec<_> = of_category().filter(|entry| own(entry) && entry.package.enabled).collect();
    if found.is_empty()
        && let Some(disabled) = of_category().find(|entry| own(entry))
    {
        return Err(RegistryError::Disabled {
            category,
            name: name.to_owned(),
            package: disabled.package.name.clone(),
            file: disabled.package.file.clone(),
        });
    }
    // Who writes a class path means that class; an alias of another is only asked if there is none.
    if !by_class || found.is_empty() {
        found.extend(of_category().filter(|entry| alias(entry) && !own(entry) && entry.package.enabled));
    }
    found.sort_by_key(|entry| rank(entry));
    let mut found = found.into_iter();
    let Some(entry) = found.next() else { return Err(unknown(entries, category, name)) };
    let others: Vec<_> = found.collect();
    let reason = others.first().map(|other| reason(entry, other));
    Ok(Resolution { entry, others, reason })
}

fn unknown(entries: &[Entry], category: Category, name: &str) -> RegistryError {
    let by_class = is_class_path(name);
    let other = entries.iter().find(|entry| {
        let own = if by_class { entry.class == name } else { normal(&entry.name) == normal(name) };
        entry.category != category && (own || entry.aliases.iter().any(|alias| alias == name))
    });
    if let (true, Some(other)) = (by_class, other) {
        let class = name.to_owned();
        return RegistryError::WrongProtocol { class, wanted: category, registered: other.category };
    }
    let of_category = entries.iter().filter(|entry| entry.category == category);
    let names = of_category.flat_map(|entry| {
        let own = if by_class { &entry.class } else { &entry.name };
        std::iter::once(own).chain(entry.aliases.iter().filter(|alias| is_class_path(alias) == by_class))
    });
    let hint = match other {
        Some(other) => format!(": it is a {}", other.category),
        None => match suggestion(name, names.map(String::as_str)) {
            none if none.is_empty() => format!(": `phasemeter plugins {category}` lists them"),
            hint => hint,
        },
    };
    let shown = quoted(name);
    RegistryError::Unknown { category, name: shown.trim_matches('"').to_owned(), hint }
}
