//! Run directories: where a new one goes, and what a path given by the user means.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::replay::CAPTURE_FILE;

/// Where runs go unless told otherwise.
const RUNS: &str = "phasemeter-runs";

/// A name for a run that starts now: the time in UTC and four random digits.
pub(super) fn new_run_id() -> String {
    let now = humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string();
    let compact: String = now.chars().filter(|c| !matches!(c, '-' | ':')).collect();
    format!("{compact}-{:04x}", rand::random::<u16>())
}

/// Makes the directory of a run: `out`, or a new one under `./phasemeter-runs`.
pub(super) fn create(out: Option<&Path>, run_id: &str) -> anyhow::Result<PathBuf> {
    let directory = out.map_or_else(|| Path::new(RUNS).join(run_id), Path::to_owned);
    if directory.join(CAPTURE_FILE).exists() {
        bail!("{} has a run already; choose another directory", directory.display());
    }
    std::fs::create_dir_all(&directory)
        .with_context(|| format!("cannot make the run directory {}", directory.display()))?;
    Ok(directory)
}

/// The capture that a path names: itself, or the one in a run directory.
pub(super) fn capture_of(path: &Path) -> anyhow::Result<PathBuf> {
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    let capture = path.join(CAPTURE_FILE);
    if !capture.exists() {
        bail!("{} is a directory without a {CAPTURE_FILE}", path.display());
    }
    Ok(capture)
}
