//! The components of a run as its directory keeps them, so that a replay creates them again.

use std::path::Path;

use phasemeter_core::hook::PhaseHook;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value as Json};

use super::catalog::Registry;
use super::component::Component;
use super::config::Config;
use super::error::RegistryError;
use super::name::is_name;
use super::protocol::Protocol;
use super::run_config::{Configured, RunConfig};
use crate::atomic::WriteError;
use crate::process::PostProcessor;
use crate::text::quoted;

/// The components that a run had, in the order in which they were told.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StoredComponents {
    /// The hooks of each source; `{source}` in their configurations stands for its number.
    #[serde(default)]
    pub phase_hooks: Vec<StoredComponent>,
    /// The post-processors.
    #[serde(default)]
    pub post_processors: Vec<StoredComponent>,
}

/// A component that a run had.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredComponent {
    /// Its short name.
    #[serde(deserialize_with = "name")]
    pub name: String,
    /// Its class path.
    pub class: String,
    /// Its whole configuration, defaults included. `None` if a replay does not create it again: then nobody needs it, and it
    /// may have secrets.
    pub config: Option<Map<String, Json>>,
}

/// A file is called by it.
fn name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let name = String::deserialize(deserializer)?;
    if is_name(&name) {
        Ok(name)
    } else {
        Err(D::Error::custom(format_args!("{} is no name for a component", quoted(&name))))
    }
}

impl RunConfig {
    /// What is to be kept of a run's components.
    ///
    /// # Errors
    /// As [`hooks`](Self::hooks).
    pub fn stored(&self, registry: &Registry) -> Result<StoredComponents, RegistryError> {
        Ok(StoredComponents {
            phase_hooks: stored(registry, self.configured_hooks(registry)?)?,
            post_processors: stored(registry, self.configured_processors(registry)?)?,
        })
    }
}

fn stored<P: Protocol + ?Sized>(
    registry: &Registry,
    components: Vec<Configured<'_, P>>,
) -> Result<Vec<StoredComponent>, RegistryError> {
    let store = |Configured { component, config, .. }: Configured<'_, P>| {
        let entry = component.entry();
        let config = if registry.replays(entry) { Some(component.check(&config)?.into_map()) } else { None };
        Ok(StoredComponent { name: entry.name.clone(), class: entry.class.clone(), config })
    };
    components.into_iter().map(store).collect()
}

impl StoredComponents {
    /// The hooks of one source, created again. They write below `directory` only, to the paths that they had.
    ///
    /// # Errors
    /// If the registry has no such component any more, or what is stored is not what it takes.
    pub fn hooks(
        &self,
        registry: &Registry,
        directory: &Path,
        source: usize,
    ) -> Result<Vec<Box<dyn PhaseHook + Send>>, RegistryError> {
        // That several sources do not write to one file was checked when they were recorded.
        let prepare = |config: Config| config.below(directory).for_source(source, 1);
        created::<dyn PhaseHook>(&self.phase_hooks, registry, prepare)
    }

    /// The post-processors, created again as the [`hooks`](Self::hooks) are.
    ///
    /// # Errors
    /// As [`hooks`](Self::hooks).
    pub fn processors(
        &self,
        registry: &Registry,
        directory: &Path,
    ) -> Result<Vec<Box<dyn PostProcessor>>, RegistryError> {
        created::<dyn PostProcessor>(&self.post_processors, registry, |config| config.below(directory))
    }

    /// The names of the post-processors that a recording had, or that a replay creates.
    #[must_use]
    pub fn processor_names(&self, is_replay: bool) -> Vec<String> {
        let all = self.post_processors.iter().filter(|component| !is_replay || component.config.is_some());
        all.map(|component| component.name.clone()).collect()
    }

    /// Whether a replay creates any.
    #[must_use]
    pub fn is_replayed(&self) -> bool {
        self.all().any(|component| component.config.is_some())
    }

    /// Those that a replay does not create.
    pub fn left_out(&self) -> impl Iterator<Item = &StoredComponent> {
        self.all().filter(|component| component.config.is_none())
    }

    fn all(&self) -> impl Iterator<Item = &StoredComponent> {
        self.phase_hooks.iter().chain(&self.post_processors)
    }
}

/// Creates those that have a configuration and that the registry, too, says a replay creates.
fn created<P: Protocol + ?Sized>(
    stored: &[StoredComponent],
    registry: &Registry,
    prepare: impl Fn(Config) -> Config,
) -> Result<Vec<Box<P::Object>>, RegistryError> {
    let mut created = Vec::new();
    for StoredComponent { class, config, .. } in stored {
        let Some(config) = config else { continue };
        let component = registry.get::<P>(class)?;
        if registry.replays(component.entry()) {
            let config = prepare(Config::try_from(Json::Object(config.clone()))?);
            make_directories(&component, &config)?;
            created.push(component.create(&config)?);
        }
    }
    Ok(created)
}

/// The directories of its files were there when it was recorded, or it makes them itself; a replay is elsewhere.
fn make_directories<P: Protocol + ?Sized>(component: &Component<'_, P>, config: &Config) -> Result<(), RegistryError> {
    let files = component.check(config)?;
    for param in component.params().iter().filter(|param| param.kind.is_path()) {
        if let Some(directory) = files.get(&param.name).and_then(Json::as_str).and_then(|file| Path::new(file).parent())
        {
            let failed = |cause| component.failed(Box::new(WriteError::at(directory)(cause)));
            std::fs::create_dir_all(directory).map_err(failed)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn run(text: &str) -> (Registry, StoredComponents) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run.yaml");
        std::fs::write(&path, text).unwrap();
        let mut registry = Registry::with_builtins().unwrap();
        let stored = RunConfig::load(&path, &mut registry).unwrap().stored(&registry).unwrap();
        (registry, stored)
    }

    #[test]
    fn what_is_stored_has_every_default_and_nothing_of_what_is_not_created_again() {
        let (_, stored) = run("plugins:
  phase_hooks:
    - {name: example_logging_hook, config: {log_file: '../logs/{source}.log'}}
    - {name: command, config: {command: [notify, '--token', hunter2]}}
  post_processors: [aggregator]
");
        let text = serde_json::to_string(&stored).unwrap();
        assert!(!text.contains("hunter2"), "{text}");
        let config = stored.phase_hooks[0].config.clone().unwrap();
        assert_eq!(
            Json::Object(config),
            json!({"log_file": "../logs/{source}.log", "verbose": false, "create_dirs": true, "keep": 5})
        );
        assert_eq!(stored.left_out().map(|component| &*component.name).collect::<Vec<_>>(), ["command"]);
        assert_eq!(serde_json::from_str::<StoredComponents>(&text).unwrap(), stored);
    }

    #[test]
    fn what_is_created_again_writes_below_the_directory_only() {
        for path in ["{source}.log", "../../{source}.log", "/{source}.log", "a/../b/./{source}.log"] {
            let (registry, stored) =
                run(&format!("plugins: {{phase_hooks: [{{name: file_log, config: {{log_file: '{path}'}}}}]}}"));
            let directory = tempfile::tempdir().unwrap();
            let below = directory.path().join("{source}");
            assert_eq!(stored.hooks(&registry, &below, 1).unwrap().len(), 1);
            let place = if path.starts_with('a') { "a/b/1.log" } else { "1.log" };
            assert!(below.join(place).is_file(), "{path}");
        }
    }

    #[test]
    fn a_run_directory_cannot_have_a_program_run() {
        let registry = Registry::with_builtins().unwrap();
        let config = json!({"command": ["touch", "x"]}).as_object().cloned();
        let component =
            StoredComponent { name: "file_log".into(), class: "phasemeter.hook:CommandHook".into(), config };
        let stored = StoredComponents { phase_hooks: vec![component], ..StoredComponents::default() };
        assert_eq!(stored.hooks(&registry, Path::new("x"), 0).unwrap().len(), 0);
    }
}
