//! `phase_manifest.json`, in which AIPerf tells when each phase began and ended.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde::Deserialize;

use super::{ProcessError, Window, WindowSource};
use crate::text::quoted;

const NAME: &str = "phase_manifest.json";
/// Far more than the phases of any benchmark take.
const MAX_BYTES: u64 = 16 << 20;

#[derive(Deserialize)]
struct PhaseManifest {
    phases: Vec<ManifestPhase>,
}

#[derive(Deserialize)]
struct ManifestPhase {
    #[serde(rename = "phase_name")]
    name: String,
    start_ns: Option<u64>,
    end_ns: Option<u64>,
}

/// The windows by phase that the manifest beside `records` tells; none if there is no manifest.
pub(super) fn beside(records: &Path) -> Result<Vec<(String, Window)>, ProcessError> {
    let path = records.with_file_name(NAME);
    let file = match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        file => file,
    };
    let mut text = Vec::new();
    let problem = |problem: String| ProcessError::PhaseManifest { path: path.clone(), problem };
    file.and_then(|file| file.take(MAX_BYTES).read_to_end(&mut text)).map_err(|error| problem(error.to_string()))?;
    let manifest: PhaseManifest = serde_json::from_slice(&text).map_err(|error| problem(error.to_string()))?;
    let window = |phase: ManifestPhase| match (phase.start_ns, phase.end_ns) {
        (Some(start_ns), Some(end_ns)) if start_ns <= end_ns => {
            Ok(Some((phase.name, Window { start_ns, end_ns, source: WindowSource::Manifest })))
        }
        (Some(_), Some(_)) => Err(problem(format!("the phase {} ends before it begins", quoted(&phase.name)))),
        // A phase that was never begun, or never ended.
        _ => Ok(None),
    };
    manifest.phases.into_iter().filter_map(|phase| window(phase).transpose()).collect()
}
