//! `--registry` and `--config`: where components and their configuration come from.

use std::path::PathBuf;

use anyhow::Context;

use crate::hook::Hooks;
use crate::process::PostProcessor;
use crate::registry::{Diagnostic, Registry, RunConfig, StoredComponents, user_directory};
use crate::replay::RecordedRun;

/// Where manifests are, beside those of the user's directory.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct RegistryArgs {
    /// A manifest that declares components, or a directory of them; repeatable.
    #[arg(long = "registry", value_name = "FILE|DIR")]
    pub(super) paths: Vec<PathBuf>,
}

impl RegistryArgs {
    /// The registry with every component that the user has; says what is odd about the manifests.
    pub(super) fn open(&self) -> anyhow::Result<Registry> {
        let mut registry = Registry::with_builtins()?;
        for path in self.places() {
            say_all(&registry.load(&path)?);
        }
        Ok(registry)
    }

    /// The user's directory if there is one, then the paths that were given.
    pub(super) fn places(&self) -> Vec<PathBuf> {
        user_directory().filter(|directory| directory.exists()).into_iter().chain(self.paths.iter().cloned()).collect()
    }
}

/// Tells the user each warning.
pub(super) fn say_all(warnings: &[Diagnostic]) {
    for warning in warnings {
        super::say(format_args!("warning: {warning}"));
    }
}

/// Which hooks and post-processors a run has.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct RunConfigArgs {
    /// The run's hooks and post-processors, as YAML; see `phasemeter plugins` for what there is.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    registry: RegistryArgs,
}

impl RunConfigArgs {
    /// Creates the hooks of each of so many sources, and the post-processors. Nothing is created unless all is right.
    pub(super) fn create(&self, sources: usize) -> anyhow::Result<Components> {
        let mut registry = self.registry.open()?;
        let run = match &self.config {
            Some(path) => RunConfig::load(path, &mut registry)?,
            None => RunConfig::default(),
        };
        say_all(run.warnings());
        let hooks = (0..sources).map(|source| run.hooks(&registry, source, sources).map(Hooks::from));
        Ok(Components {
            hooks: hooks.collect::<Result<_, _>>()?,
            processors: run.processors(&registry)?,
            stored: run.stored(&registry)?,
        })
    }
}

/// What a run has.
pub(super) struct Components {
    /// The hooks of each source.
    pub(super) hooks: Vec<Hooks>,
    /// What makes metrics of the run when it is over.
    pub(super) processors: Vec<Box<dyn PostProcessor>>,
    /// Both, as the run directory keeps them.
    pub(super) stored: StoredComponents,
}

/// Hands what was measured to the post-processors. One that fails is told of, and the others still run.
pub(super) fn process(processors: Vec<Box<dyn PostProcessor>>, run: &RecordedRun) -> anyhow::Result<()> {
    if processors.is_empty() {
        return Ok(());
    }
    let results = run.result_sets()?;
    let mut failed = None;
    for mut processor in processors {
        match processor.process(&results) {
            Ok(result) => {
                if let Some(path) = result.output_path() {
                    super::say(format_args!("metrics are in {}", path.display()));
                }
            }
            Err(error) => failed = Some(error),
        }
    }
    failed.map_or(Ok(()), |error| Err(error).context("a post-processor failed; the run's own files are written"))
}
