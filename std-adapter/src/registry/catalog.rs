//! The components that are declared or registered.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::category::Category;
use super::config::Params;
use super::error::{BoxError, Diagnostic, RegistryError};
use super::fields::Findings;
use super::manifest::{self, Entry, Origin, Package};
use super::name::{check_class_path, is_name, short_name};
use super::param::Param;
use super::places;
use super::protocol::{Constructor, Protocol};
use super::resolve::{self, Resolution};
use crate::text::quoted;
use crate::yaml::{self, normal};

/// A manifest is small; a larger file is something else.
const MAX_MANIFEST_BYTES: u64 = 1 << 20;

/// The components that are declared, and the code that this program has for them.
#[derive(Debug, Default)]
pub struct Registry {
    entries: Vec<Entry>,
    /// A [`Constructor`] of the category's protocol for each class path.
    code: BTreeMap<(Category, String), Box<dyn Any + Send + Sync>>,
    /// Manifests that were read, so that one that is found twice conflicts with nothing.
    loaded: BTreeSet<PathBuf>,
}

impl Registry {
    /// A registry with nothing in it.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// Reads a manifest, or every `*.yaml` of a directory in the order of their names. A file that was read before is
    /// passed over.
    ///
    /// Returns warnings: keys that nothing is known of, and names for which the order alone decides.
    ///
    /// # Errors
    /// [`RegistryError::Invalid`] has every fault of every file; then nothing was added.
    pub fn load(&mut self, path: &Path) -> Result<Vec<Diagnostic>, RegistryError> {
        let files = places::manifests(path).map_err(|fault| RegistryError::Invalid(vec![fault]))?;
        let mut all = Findings::default();
        let mut entries = Vec::new();
        let mut loaded = Vec::new();
        for file in files {
            let identity = file.canonicalize().unwrap_or_else(|_| file.clone());
            if self.loaded.contains(&identity) || loaded.contains(&identity) {
                continue;
            }
            let place = file.display().to_string();
            let mut findings = Findings::of(&place);
            match yaml::read(&file, MAX_MANIFEST_BYTES, "a manifest") {
                Ok(text) => entries.extend(manifest::read(&place, &text, Origin::Manifest, &mut findings)),
                Err(error) => findings.errors.push(error.into()),
            }
            all.errors.append(&mut findings.errors);
            all.warnings.append(&mut findings.warnings);
            loaded.push(identity);
        }
        if !all.errors.is_empty() {
            return Err(RegistryError::Invalid(all.errors));
        }
        self.loaded.extend(loaded);
        all.warnings.extend(self.add(entries));
        Ok(all.warnings)
    }

    /// Declares what a manifest's text says; `file` names it in messages. Otherwise like [`load`](Self::load).
    ///
    /// # Errors
    /// [`RegistryError::Invalid`] has every fault; then nothing was added.
    pub fn load_text(&mut self, file: &str, text: &str) -> Result<Vec<Diagnostic>, RegistryError> {
        self.declare(file, text, Origin::Manifest)
    }

    /// As [`load_text`](Self::load_text), for a manifest of this origin.
    pub(super) fn declare(&mut self, file: &str, text: &str, origin: Origin) -> Result<Vec<Diagnostic>, RegistryError> {
        let mut findings = Findings::of(file);
        let entries = manifest::read(file, text, origin, &mut findings);
        if !findings.errors.is_empty() {
            return Err(RegistryError::Invalid(findings.errors));
        }
        findings.warnings.extend(self.add(entries));
        Ok(findings.warnings)
    }

    /// Adds entries and returns warnings about names for which the order alone decides.
    fn add(&mut self, entries: Vec<Entry>) -> Vec<Diagnostic> {
        let mut warnings = Vec::new();
        for entry in entries {
            // A name that code implied gives way to the manifest's.
            self.entries.retain(|other| {
                let implied = other.package.origin == Origin::Code && other.name == short_name(&other.class);
                !(implied && other.category == entry.category && other.class == entry.class)
            });
            let rival = self.entries.iter().find(|other| {
                let same_name = other.category == entry.category && normal(&other.name) == normal(&entry.name);
                let enabled = other.package.enabled && entry.package.enabled;
                same_name && enabled && resolve::are_equal(other, &entry)
            });
            if let Some(rival) = rival {
                warnings.push(Diagnostic {
                    place: entry.place.clone(),
                    message: format!(
                        "the {} `{}` is declared at {} too, with the same priority: the first is meant; reach this one as `{}`",
                        entry.category, entry.name, rival.place, entry.class
                    ),
                });
            }
            self.entries.push(entry);
        }
        warnings
    }

    /// Registers the code of a class. If no manifest declares it, its short name is that of the class in snake case:
    /// `slow_phase_alert` for `my_rack.hooks:SlowPhaseAlert`.
    ///
    /// The parameters that `constructor` gets are checked if a manifest declares some.
    ///
    /// # Errors
    /// If the class path is none, or has code already.
    pub fn register<P: Protocol + ?Sized>(
        &mut self,
        class: &str,
        constructor: impl Fn(Params) -> Result<Box<P::Object>, BoxError> + Send + Sync + 'static,
    ) -> Result<(), RegistryError> {
        self.provide::<P>(class, Box::new(constructor))?;
        let declared = |entry: &Entry| {
            entry.category == P::CATEGORY && (entry.class == class || entry.aliases.iter().any(|alias| alias == class))
        };
        if !self.entries.iter().any(declared) {
            self.entries.push(implied(P::CATEGORY, short_name(class), class));
        }
        Ok(())
    }

    /// Registers the code of a class under a short name, beside those that manifests give it.
    ///
    /// # Errors
    /// If the class path is none, or has code already, or the name is none.
    pub fn register_as<P: Protocol + ?Sized>(
        &mut self,
        name: &str,
        class: &str,
        constructor: impl Fn(Params) -> Result<Box<P::Object>, BoxError> + Send + Sync + 'static,
    ) -> Result<(), RegistryError> {
        if !is_name(name) {
            return Err(RegistryError::Unknown {
                category: P::CATEGORY,
                name: quoted(name),
                hint: ": a name has letters, digits, `_` and `-`".into(),
            });
        }
        self.provide::<P>(class, Box::new(constructor))?;
        self.entries.push(implied(P::CATEGORY, name.to_owned(), class));
        Ok(())
    }

    fn provide<P: Protocol + ?Sized>(&mut self, class: &str, code: Constructor<P>) -> Result<(), RegistryError> {
        check_class_path(class).map_err(RegistryError::ClassPath)?;
        let key = (P::CATEGORY, class.to_owned());
        if self.code.contains_key(&key) {
            return Err(RegistryError::Twice { category: P::CATEGORY, class: class.to_owned() });
        }
        self.code.insert(key, Box::new(code));
        Ok(())
    }

    /// What a short name or a class path means in a category, and what else it could have meant.
    ///
    /// # Errors
    /// If there is none (the nearest name is suggested), it is disabled, or the class path belongs to another protocol.
    pub fn resolve(&self, category: Category, name: &str) -> Result<Resolution<'_>, RegistryError> {
        resolve::resolve(&self.entries, category, name)
    }

    /// Everything that is declared or registered, in that order; disabled components too.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Whether this program has code for a component.
    #[must_use]
    pub fn has_code(&self, entry: &Entry) -> bool {
        self.code_of(entry).is_some()
    }

    /// The category that has code for a class.
    pub(super) fn category_of(&self, class: &str) -> Option<Category> {
        self.code.keys().find(|(_, registered)| registered == class).map(|(category, _)| *category)
    }

    /// The parameters of a component: those that its manifest declares, and where its class is an alias of another
    /// component, that one's types, ranges, and parameters that the manifest does not mention. `None`: not declared.
    #[must_use]
    pub fn params(&self, entry: &Entry) -> Option<Vec<Param>> {
        let own = entry.params.clone();
        let Some(original) = self.original(entry) else { return own };
        let mut params = own.unwrap_or_default();
        for theirs in original.params.iter().flatten() {
            if let Some(own) = params.iter_mut().find(|own| own.name == theirs.name) {
                own.kind = theirs.kind.clone();
                own.min = theirs.min.or(own.min);
                own.max = theirs.max.or(own.max);
            } else {
                params.push(theirs.clone());
            }
        }
        Some(params)
    }

    /// Whether a replay creates the component again: it says so, or the built-in one of the same code does.
    pub(super) fn replays(&self, entry: &Entry) -> bool {
        let is_same = |other: &&Entry| {
            let is_built_in = other.package.origin == Origin::BuiltIn && other.category == entry.category;
            is_built_in && (other.class == entry.class || other.aliases.contains(&entry.class))
        };
        entry.replay || self.entries.iter().find(is_same).is_some_and(|other| other.replay)
    }

    /// The built-in component that has the class of this entry for an alias.
    fn original(&self, entry: &Entry) -> Option<&Entry> {
        if self.code.contains_key(&(entry.category, entry.class.clone())) {
            return None;
        }
        self.entries.iter().find(|other| {
            other.package.origin == Origin::BuiltIn
                && other.category == entry.category
                && other.aliases.contains(&entry.class)
        })
    }

    /// The [`Constructor`] of a component, if there is one.
    pub(super) fn code_of(&self, entry: &Entry) -> Option<&(dyn Any + Send + Sync)> {
        let class = self.original(entry).map_or(&entry.class, |original| &original.class);
        self.code.get(&(entry.category, class.clone())).map(AsRef::as_ref)
    }
}

/// The entry of a class that code registered and no manifest declares.
fn implied(category: Category, name: String, class: &str) -> Entry {
    let package = Package {
        name: class.split(':').next().unwrap_or_default().to_owned(),
        version: None,
        description: None,
        author: None,
        license: None,
        enabled: true,
        origin: Origin::Code,
        file: "registered by code".into(),
    };
    Entry {
        category,
        name,
        class: class.to_owned(),
        description: String::new(),
        tags: Vec::new(),
        auto_load: false,
        priority: 0,
        replay: false,
        params: None,
        metadata: None,
        aliases: Vec::new(),
        place: "code".into(),
        package: Arc::new(package),
    }
}
