//! Capture records to summary. A live recording and a replay apply the same records here, so that every artifact of a
//! run directory can be rebuilt byte for byte.

use std::path::Path;

use phasemeter_core::meter::Metric;
use phasemeter_core::phase::{PhaseCounts, PhaseStats};
use phasemeter_core::plan::PhaseKind;

use crate::atomic::write_atomically;
use crate::capture::{CaptureError, CaptureReader, EndKind, EndReason, Record};
use crate::process::{
    Distribution, Phase, ProcessError, REQUEST_LATENCY, RequestCounts, ResultSet, Window, WindowSource,
};
use crate::report::{Observed, RunInfo, Summary, render, summarize};
use crate::session::{Note, PhaseRecord, Session, printable};

pub use crate::atomic::WriteError;

/// The capture's name in a run directory.
pub const CAPTURE_FILE: &str = "capture.pmcap";
/// The summary's name in a run directory.
pub const SUMMARY_FILE: &str = "summary.json";
/// The report's name in a run directory.
pub const REPORT_FILE: &str = "report.txt";

/// One line of a run.
#[derive(Debug)]
pub struct SourceState {
    /// Names the line.
    pub identity: String,
    /// What it told.
    pub session: Session,
    /// How it ended, and why.
    pub ended: Option<(EndKind, String)>,
}

impl SourceState {
    fn observed(&self) -> Observed<'_> {
        let failure = match &self.ended {
            Some((EndKind::Error, reason)) => Some(reason.as_str()),
            _ => None,
        };
        Observed { source: &self.identity, session: &self.session, failure }
    }
}

/// A run as far as its records were applied.
#[derive(Debug, Default)]
pub struct Run {
    id: String,
    started_unix_ns: u64,
    sources: Vec<SourceState>,
    end: Option<EndReason>,
}

impl Run {
    /// A run of which nothing is known.
    pub fn new() -> Self {
        Self::default()
    }

    /// Applies the next record; `note` is called with the number of the line and what is worth telling of it.
    ///
    /// Records about lines that were never opened are left out: a capture does not have them.
    pub fn apply(&mut self, record: &Record<'_>, mut note: impl FnMut(u16, Note)) {
        match record {
            Record::Start { run_id, unix_ns, .. } => {
                self.id = printable(run_id);
                self.started_unix_ns = *unix_ns;
            }
            Record::Source { source, identity, .. } if usize::from(*source) == self.sources.len() => {
                let (identity, session) = (printable(identity), Session::new());
                self.sources.push(SourceState { identity, session, ended: None });
            }
            Record::Data { source, bytes, .. } => {
                if let Some(state) = self.sources.get_mut(usize::from(*source)) {
                    state.session.feed(bytes, |what| note(*source, what));
                }
            }
            Record::SourceEnd { source, kind, reason, .. } => {
                if let Some(state) = self.sources.get_mut(usize::from(*source)) {
                    // Text that no delimiter followed, such as a crash message, ends here.
                    state.session.feed(&[0], |what| note(*source, what));
                    state.ended = Some((*kind, printable(reason)));
                }
            }
            Record::End { reason, .. } => self.end = Some(*reason),
            Record::Source { .. } => {}
        }
    }

    /// The lines, by number.
    pub fn sources(&self) -> &[SourceState] {
        &self.sources
    }

    /// Whether nothing more is expected: each line has ended, or its device said that its run is over.
    pub fn is_over(&self) -> bool {
        self.sources.iter().all(|source| source.ended.is_some() || source.session.is_finished())
    }

    /// What each device measured, for post-processors: a set a device, by the names of the phases.
    ///
    /// Each of [`Metric::ALL`] is a metric under its own name in milliseconds, and the service time also under AIPerf's
    /// name for it, [`REQUEST_LATENCY`]. Phases of one name are joined. Only whole snapshots count.
    ///
    /// # Errors
    /// [`ProcessError`] if a device has more phases than a set can hold.
    pub fn result_sets(&self) -> Result<Vec<ResultSet>, ProcessError> {
        let mut sets = Vec::new();
        for source in &self.sources {
            let device = source.session.info().map(|info| info.device_id.as_str());
            let name = device.filter(|id| !id.is_empty()).unwrap_or(&source.identity);
            let mut set = ResultSet::new(name);
            for record in source.session.boots().iter().flat_map(|boot| boot.phases.values()) {
                let mut part = ResultSet::new(name);
                let Some(stats) = record.stats else { continue };
                *part.phase(stats.kind.name())? = phase_of(&stats, record, name)?;
                set.merge(&part)?;
            }
            sets.push(set);
        }
        Ok(sets)
    }

    /// Everything that is known of the run.
    pub fn summary(&self) -> Summary {
        let interrupted = match self.end {
            Some(EndReason::Finished) => None,
            Some(EndReason::Interrupted) => Some("recording was interrupted"),
            Some(EndReason::TimedOut) => Some("the time set for recording had passed"),
            None => Some("the capture has no end: the recorder was killed, or is still running"),
        };
        let info = RunInfo {
            id: self.id.clone(),
            started_unix_ns: self.started_unix_ns,
            interrupted: interrupted.map(str::to_owned),
        };
        let observed: Vec<_> = self.sources.iter().map(SourceState::observed).collect();
        summarize(&info, &observed)
    }
}

/// One phase in the terms of post-processors.
fn phase_of(stats: &PhaseStats, record: &PhaseRecord, device: &str) -> Result<Phase, ProcessError> {
    let PhaseCounts { errors, cancelled, .. } = stats.counts;
    let counts = RequestCounts { successful: stats.counts.successful(), errors, cancelled };
    let window = stats.started_at.zip(stats.completed_at).map(|(start, end)| Window {
        start_ns: start.get(),
        end_ns: end.get(),
        source: WindowSource::Manifest,
    });
    let mut phase = Phase::new(counts, window);
    phase.warmup = stats.kind == PhaseKind::Warmup;
    for (metric, mirror) in record.metrics.iter() {
        let Some(histogram) = mirror.histogram() else { continue };
        let distribution = Distribution::from_histogram(histogram, "ms");
        let alias = (metric == Metric::ServiceTime).then_some(REQUEST_LATENCY);
        for tag in alias.into_iter().chain([metric.name()]) {
            phase.metric(tag, "ms", device)?.merge(&distribution);
        }
    }
    Ok(phase)
}

/// A run that was rebuilt from its capture.
#[derive(Debug)]
pub struct Replayed {
    /// The run.
    pub run: Run,
    /// What is wrong with the capture's end, in words: a torn tail or damage. What came before is in the run.
    pub damage: Option<String>,
}

/// Rebuilds a run from its capture.
///
/// # Errors
/// [`CaptureError`] if the file cannot be read or is not a capture. A capture that breaks off is no error.
pub fn replay(capture: &Path) -> Result<Replayed, CaptureError> {
    let mut reader = CaptureReader::open(capture)?;
    let mut run = Run::new();
    for record in &mut reader {
        run.apply(&record?, |_, _| {});
    }
    let damage = match (reader.damaged_at(), reader.torn_tail()) {
        (Some(offset), _) => Some(format!("{} is damaged at byte {offset}; what follows is lost", capture.display())),
        (None, Some(offset)) => {
            Some(format!("{} breaks off within the record at byte {offset}; all before it is used", capture.display()))
        }
        (None, None) => None,
    };
    Ok(Replayed { run, damage })
}

/// Writes `summary.json` and `report.txt` into `directory`, each whole or not at all.
///
/// # Errors
/// The first failure of the file system, with the path of the file.
pub fn write_artifacts(directory: &Path, summary: &Summary) -> Result<(), WriteError> {
    let mut json = serde_json::to_vec_pretty(summary)
        .map_err(std::io::Error::from)
        .map_err(WriteError::at(&directory.join(SUMMARY_FILE)))?;
    json.push(b'\n');
    write_atomically(&directory.join(SUMMARY_FILE), &json)?;
    write_atomically(&directory.join(REPORT_FILE), render(summary).as_bytes())
}
