//! Run directories: where a new one goes, and what a path given by the user means.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};

use crate::capture::{CaptureReader, CaptureRecord};
use crate::replay::{CAPTURE_FILE, SUMMARY_FILE};
use crate::report::Summary;

/// Where runs go unless told otherwise.
const RUNS: &str = "phasemeter-runs";
/// A summary is not read beyond this.
const MAX_SUMMARY_BYTES: u64 = 64 << 20;

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

/// A run under `./phasemeter-runs`.
#[derive(Debug)]
pub(super) struct RunDirectory {
    /// The directory's name.
    pub(super) name: String,
    path: PathBuf,
    /// When recording began; `None` if the capture does not tell.
    pub(super) started: Option<SystemTime>,
    /// What the recorder made of it; `None` if it was killed, or is still running.
    pub(super) summary: Option<Summary>,
}

/// Every run under `./phasemeter-runs`, the latest last.
pub(super) fn all() -> anyhow::Result<Vec<RunDirectory>> {
    let mut runs = started()?;
    for run in &mut runs {
        run.summary = summary(&run.path.join(SUMMARY_FILE));
    }
    Ok(runs)
}

/// The run under `./phasemeter-runs` that was begun last.
pub(super) fn latest() -> anyhow::Result<PathBuf> {
    Ok(started()?.pop().with_context(|| format!("there is no run under ./{RUNS}: name one"))?.path)
}

/// The runs by when they were begun, without their summaries.
fn started() -> anyhow::Result<Vec<RunDirectory>> {
    let entries = match std::fs::read_dir(RUNS) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.with_context(|| format!("cannot read ./{RUNS}"))?,
    };
    let mut runs = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| format!("cannot read ./{RUNS}"))?.path();
        let capture = path.join(CAPTURE_FILE);
        if capture.is_file() {
            let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
            runs.push(RunDirectory { name, path, started: start_of(&capture), summary: None });
        }
    }
    runs.sort_by(|one, other| (one.started, &one.name).cmp(&(other.started, &other.name)));
    Ok(runs)
}

fn start_of(capture: &Path) -> Option<SystemTime> {
    match CaptureReader::open(capture).ok()?.next()?.ok()? {
        CaptureRecord::Start { unix_ns, .. } => UNIX_EPOCH.checked_add(Duration::from_nanos(unix_ns)),
        _ => None,
    }
}

fn summary(path: &Path) -> Option<Summary> {
    let mut json = Vec::new();
    File::open(path).ok()?.take(MAX_SUMMARY_BYTES).read_to_end(&mut json).ok()?;
    serde_json::from_slice(&json).ok()
}
