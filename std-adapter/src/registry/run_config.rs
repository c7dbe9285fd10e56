//! A run's configuration: which hooks and post-processors it has.
//!
//! ```yaml
//! registry: [manifests]            # manifests beside those of the user, relative to this file
//! plugins:
//!   phase_hooks:                   # run in this order, after those that are loaded by themselves
//!     - name: example_logging_hook # a short name, or a class path
//!       config: {log_file: "phases-{source}.log", verbose: true}
//!     - json_metrics               # just a name: the defaults
//!   post_processors:
//!     - name: example_metrics_processor
//! ```

use std::path::Path;

use phasemeter_core::hook::PhaseHook;

use super::catalog::Registry;
use super::category::Category;
use super::component::Component;
use super::config::Config;
use super::error::{Diagnostic, RegistryError};
use super::fields::{Fields, Findings, list};
use super::manifest::Entry;
use super::protocol::Protocol;
use crate::process::PostProcessor;
use crate::yaml::{Node, Value, parse, read};

/// A run configuration is small; a larger file is something else.
const MAX_FILE_BYTES: u64 = 1 << 20;
/// A run has at most so many hooks, and so many post-processors.
const MAX_COMPONENTS: usize = 100;

/// The components that a run names. The default names none: a run has those that are loaded by themselves.
#[derive(Clone, Debug, Default)]
pub struct RunConfig {
    hooks: Vec<Use>,
    processors: Vec<Use>,
    warnings: Vec<Diagnostic>,
}

/// A component that a run names.
#[derive(Clone, Debug)]
struct Use {
    name: String,
    place: String,
    config: Config,
}

impl RunConfig {
    /// Reads a run configuration, and into the registry the manifests that it names.
    ///
    /// What the components' own configurations are worth is checked when they are created.
    ///
    /// # Errors
    /// [`RegistryError::Invalid`] has every fault of the file, or of the manifests.
    pub fn load(path: &Path, registry: &mut Registry) -> Result<Self, RegistryError> {
        let text = read(path, MAX_FILE_BYTES, "a run configuration")
            .map_err(|error| RegistryError::Invalid(vec![error.into()]))?;
        let directory = path.parent().unwrap_or(Path::new(""));
        Self::parse(&path.display().to_string(), &text, directory, registry)
    }

    fn parse(file: &str, text: &str, directory: &Path, registry: &mut Registry) -> Result<Self, RegistryError> {
        let invalid = |faults| RegistryError::Invalid(faults);
        let root: Node = parse(file, text).map_err(|error| invalid(vec![error.into()]))?;
        let mut findings = Findings::of(file);
        let mut fields = Fields::of(&root, "a run configuration", &mut findings);
        let manifests = fields.texts("registry");
        let plugins = fields.take("plugins");
        fields.finish();
        let mut run = Self::default();
        if let Some(plugins) = plugins {
            let mut fields = Fields::of(plugins, "`plugins`", &mut findings);
            for category in Category::ALL {
                let section = fields.take(category.section()).or_else(|| fields.take(category.name()));
                let uses = section.map(|section| uses(category, section, fields.findings)).unwrap_or_default();
                match category {
                    Category::PhaseHook => run.hooks = uses,
                    Category::PostProcessor => run.processors = uses,
                }
            }
            fields.finish();
        }
        for (at, manifest) in manifests {
            match registry.load(&directory.join(manifest)) {
                Ok(mut warnings) => findings.warnings.append(&mut warnings),
                Err(error) => findings.errors.extend(error.diagnostics(&at.place(file))),
            }
        }
        if !findings.errors.is_empty() {
            return Err(invalid(findings.errors));
        }
        run.warnings = findings.warnings;
        Ok(run)
    }

    /// What was odd about the file and its manifests.
    #[must_use]
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }

    /// Creates the hooks for one source of several, `source` counting from 0 up to `sources`: first those that are
    /// loaded by themselves, by ascending priority, then those that the run names, in its order.
    ///
    /// `{source}` in a text of a hook's configuration becomes the number of the source; with more than one source a
    /// parameter of type `path` has to have it.
    ///
    /// # Errors
    /// [`RegistryError::Invalid`] has every fault of every hook; nothing is created unless there is none.
    pub fn hooks(
        &self,
        registry: &Registry,
        source: usize,
        sources: usize,
    ) -> Result<Vec<Box<dyn PhaseHook + Send>>, RegistryError> {
        create(configured::<dyn PhaseHook>(&self.hooks, registry, |config| config.for_source(source, sources))?)
    }

    /// Creates the post-processors: first those that are loaded by themselves, then those that the run names.
    ///
    /// # Errors
    /// As [`hooks`](Self::hooks).
    pub fn processors(&self, registry: &Registry) -> Result<Vec<Box<dyn PostProcessor>>, RegistryError> {
        create(self.configured_processors(registry)?)
    }

    pub(super) fn configured_hooks<'r>(
        &'r self,
        registry: &'r Registry,
    ) -> Result<Vec<Configured<'r, dyn PhaseHook>>, RegistryError> {
        configured(&self.hooks, registry, |config| config)
    }

    pub(super) fn configured_processors<'r>(
        &'r self,
        registry: &'r Registry,
    ) -> Result<Vec<Configured<'r, dyn PostProcessor>>, RegistryError> {
        configured(&self.processors, registry, |config| config)
    }
}

/// The components of a section of `plugins`.
fn uses(category: Category, section: &Node, findings: &mut Findings) -> Vec<Use> {
    let what = format!("`{}`", category.section());
    let items = list(section, &what, findings).unwrap_or_default();
    if items.len() > MAX_COMPONENTS {
        findings.error(section.at, format!("{what} has {} components: at most {MAX_COMPONENTS} fit", items.len()));
        return Vec::new();
    }
    items.iter().filter_map(|item| one_use(category, item, findings)).collect()
}

fn one_use(category: Category, node: &Node, findings: &mut Findings) -> Option<Use> {
    let place = node.at.place(&findings.file);
    let empty = Config::empty_at(&findings.file, node.at);
    if let Value::Text(name) = &node.value {
        return Some(Use { name: name.clone(), place, config: empty });
    }
    let mut fields = Fields::of(node, format!("a {category}"), findings);
    let (name, config) = (fields.text("name"), fields.take("config"));
    let is_map = matches!(node.value, Value::Map(_));
    fields.finish();
    if name.is_none() && is_map {
        findings.error(node.at, format!("the {category} needs a `name`: a short name or a class path"));
    }
    let config = config.map_or(Some(empty), |config| Config::from_node(config, findings))?;
    Some(Use { name: name?, place, config })
}

/// A component of a run, with its configuration.
pub(super) struct Configured<'r, P: ?Sized> {
    pub(super) component: Component<'r, P>,
    pub(super) config: Config,
    place: &'r str,
}

/// Those that are loaded by themselves, then those that are named: every one has code, and is configured right.
fn configured<'r, P: Protocol + ?Sized>(
    uses: &'r [Use],
    registry: &'r Registry,
    prepare: impl Fn(Config) -> Config,
) -> Result<Vec<Configured<'r, P>>, RegistryError> {
    let mut faults = Vec::new();
    let mut named = Vec::new();
    for one in uses {
        match registry.get::<P>(&one.name) {
            Ok(component) => {
                named.push(Configured { component, config: prepare(one.config.clone()), place: &one.place });
            }
            Err(error) => faults.extend(error.diagnostics(&one.place)),
        }
    }
    let is_named = |entry: &Entry| named.iter().any(|other| other.component.entry().class == entry.class);
    let mut automatic: Vec<_> = registry.automatic(P::CATEGORY).filter(|entry| !is_named(entry)).collect();
    automatic.sort_by_key(|entry| entry.priority);
    let automatic = automatic.into_iter().map(|entry| {
        let config = prepare(Config::empty_at(&entry.place, crate::yaml::At::default()));
        Configured { component: Component::new(registry, entry), config, place: &entry.place }
    });
    let all: Vec<_> = automatic.collect::<Vec<_>>().into_iter().chain(named).collect();
    for Configured { component, config, place } in &all {
        for error in [component.constructor().err(), component.check(config).err()].into_iter().flatten() {
            faults.extend(error.diagnostics(place));
        }
    }
    if faults.is_empty() { Ok(all) } else { Err(RegistryError::Invalid(faults)) }
}

fn create<P: Protocol + ?Sized>(all: Vec<Configured<'_, P>>) -> Result<Vec<Box<P::Object>>, RegistryError> {
    let create = |Configured { component, config, place }: Configured<'_, P>| {
        component.create(&config).map_err(|error| RegistryError::Invalid(error.diagnostics(place)))
    };
    all.into_iter().map(create).collect()
}

impl Registry {
    /// The components of a category that every run has: those with `auto_load` that their name means.
    fn automatic(&self, category: Category) -> impl Iterator<Item = &Entry> {
        self.entries().iter().filter(move |entry| {
            let loads = entry.category == category && entry.auto_load && entry.package.enabled;
            loads && self.resolve(category, &entry.name).is_ok_and(|meant| std::ptr::eq(meant.entry, *entry))
        })
    }
}
