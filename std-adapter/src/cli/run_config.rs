//! `--registry` and `--config`: where components and their configuration come from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::atomic::write_atomically;
use crate::hook::Hooks;
use crate::process::{PostProcessor, ProcessingResult};
use crate::registry::{Diagnostic, Registry, RunConfig, StoredComponents, user_directory};
use crate::replay::RecordedRun;
use crate::text::to_json;

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
        let stored = run.stored(&registry)?;
        let processors = stored.processor_names(false).into_iter().zip(run.processors(&registry)?).collect();
        Ok(Components { hooks: hooks.collect::<Result<_, _>>()?, processors, stored })
    }
}

/// A post-processor with its short name.
pub(super) type NamedProcessor = (String, Box<dyn PostProcessor>);

/// What a run has.
pub(super) struct Components {
    /// The hooks of each source.
    pub(super) hooks: Vec<Hooks>,
    /// What makes metrics of the run when it is over.
    pub(super) processors: Vec<NamedProcessor>,
    /// Both, as the run directory keeps them.
    pub(super) stored: StoredComponents,
}

/// The directory of results in a run directory.
const RESULTS: &str = "results";

/// Hands what was measured to the post-processors. What one does not write itself is written into the
/// run directory, as `results/NAME.json`. One that fails is told of, and the others still run.
pub(super) fn process(processors: Vec<NamedProcessor>, run: &RecordedRun, directory: &Path) -> anyhow::Result<()> {
    if processors.is_empty() {
        return Ok(());
    }
    let sets = run.result_sets()?;
    let (mut failed, mut seen) = (None, BTreeMap::new());
    for (name, mut processor) in processors {
        let nth: &mut u32 = seen.entry(name.clone()).or_default();
        *nth += 1;
        let file = if *nth == 1 { format!("{name}.json") } else { format!("{name}-{nth}.json") };
        let kept =
            processor.process(&sets).map_err(anyhow::Error::from).and_then(|result| match result.output_path() {
                Some(path) => Ok(path.to_owned()),
                None => keep(&directory.join(RESULTS), &file, &result),
            });
        match kept {
            Ok(path) => super::say(format_args!("metrics are in {}", path.display())),
            Err(error) => failed = Some(error),
        }
    }
    failed.map_or(Ok(()), |error| Err(error).context("a post-processor failed; the run's own files are written"))
}

/// Writes a result that its processor has not written.
fn keep(directory: &Path, file: &str, result: &ProcessingResult) -> anyhow::Result<PathBuf> {
    std::fs::create_dir_all(directory).with_context(|| format!("cannot make the directory {}", directory.display()))?;
    let path = directory.join(file);
    write_atomically(&path, to_json(result).context("cannot write a result as JSON")?.as_bytes())?;
    Ok(path)
}
