//! `phasemeter replay`: every artifact of a run, rebuilt from its capture.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;

use super::run_config::process;
use super::run_directory;
use super::run_info::RunInfo;
use super::thresholds::{ThresholdArgs, exit_code};
use crate::hook::Hooks;
use crate::registry::{Registry, RegistryError, StoredComponents};
use crate::replay::{self, Replayed};

/// Where the files of hooks and post-processors are rebuilt.
const REBUILT: &str = "rebuilt";

const NOTES: &str = "\
What hooks and post-processors wrote is rebuilt under rebuilt/, which is
replaced as a whole, by the paths that they were given: logs/a.log is
rebuilt/logs/a.log. What a post-processor has no file for is in results/. The
files that the recording wrote elsewhere stay as they are. A log that had lines before the run has those of the run
only. Programs (the command hook) are not run again.

Thresholds and plugins are taken from run.json beside the capture.

Example:
  phasemeter replay phasemeter-runs/20260115T103050Z-1a2b --out copy";

/// Rebuild the files of a run from its capture.
///
/// The capture has every byte that came over the lines, so summary.json, report.txt and the files of hooks and
/// post-processors come out as they were written, byte for byte. A capture of a recorder that was killed gives a report marked
/// as partial.
#[derive(Debug, clap::Args)]
#[command(after_help = NOTES)]
pub(super) struct Args {
    /// The capture, or its run directory.
    capture: PathBuf,
    /// Where to write; the capture's own directory unless given.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    thresholds: ThresholdArgs,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let capture = run_directory::capture_of(&args.capture)?;
    let info = RunInfo::beside(&capture)?;
    let is_alone = info.is_none();
    let info = info.unwrap_or_default();
    let directory = match &args.out {
        Some(out) => out.clone(),
        None => capture.parent().map(Path::to_owned).unwrap_or_default(),
    };
    std::fs::create_dir_all(&directory)
        .with_context(|| format!("cannot make the directory {}", directory.display()))?;
    let plugins = Plugins::of(&info.plugins, &directory)?;
    let (mut replayed, told) = plugins.replay(&capture)?;
    if is_alone {
        super::say("no run.json is beside the capture: the thresholds are the usual ones, and no plugins are known");
    }
    replayed.run.judge_by(args.thresholds.over(info.thresholds));
    if let Some(damage) = &replayed.damage {
        super::say(damage);
    }
    let summary = replayed.run.summary();
    let written = replay::write_artifacts(&directory, &summary);
    super::print_report(&summary)?;
    written?;
    told?;
    plugins.process(&replayed)?;
    Ok(exit_code(&summary))
}

/// The hooks and post-processors that the run had.
struct Plugins<'a> {
    registry: Registry,
    stored: &'a StoredComponents,
    /// Where the run's own files go,
    directory: &'a Path,
    /// and theirs.
    rebuilt: PathBuf,
}

impl<'a> Plugins<'a> {
    /// They write anew below a directory.
    fn of(stored: &'a StoredComponents, directory: &'a Path) -> anyhow::Result<Self> {
        let rebuilt = directory.join(REBUILT);
        for left_out in stored.left_out() {
            super::say(format_args!("{} is not created again: it may do more than write files", left_out.name));
        }
        if stored.is_replayed() && rebuilt.symlink_metadata().is_ok() {
            // What a log has already would stay in it.
            std::fs::remove_dir_all(&rebuilt).with_context(|| format!("cannot replace {}", rebuilt.display()))?;
        }
        // Only what this program has: a run directory names no manifests.
        Ok(Self { registry: Registry::with_builtins()?, stored, directory, rebuilt })
    }

    /// Replays with the hooks: the run, and whether each could be created.
    fn replay(&self, capture: &Path) -> anyhow::Result<(Replayed, Result<(), RegistryError>)> {
        let mut told = Ok(());
        let replayed = replay::replay_to(capture, |source| {
            let hooks = self.stored.hooks(&self.registry, &self.rebuilt, source);
            hooks.map_or_else(
                |error| {
                    told = Err(error);
                    Hooks::new()
                },
                Hooks::from,
            )
        })?;
        Ok((replayed, told))
    }

    fn process(&self, Replayed { run, .. }: &Replayed) -> anyhow::Result<()> {
        let processors = self.stored.processors(&self.registry, &self.rebuilt)?;
        let names = self.stored.processor_names(true);
        process(names.into_iter().zip(processors).collect(), run, self.directory)?;
        if self.rebuilt.exists() {
            super::say(format_args!("the files of hooks and post-processors are in {}", self.rebuilt.display()));
        }
        Ok(())
    }
}
