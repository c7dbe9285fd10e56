//! Capture records to a run, and a run to its artifacts. A live recording and a replay apply the same records here, so
//! that every artifact of a run directory can be rebuilt byte for byte.

#[cfg(feature = "process")]
mod result_sets;

use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use crate::atomic::{WriteError, write_atomically};
use crate::capture::{CaptureError, CaptureReader, CaptureRecord, EndReason, LineEnd};
use crate::hook::{Hooks, PhaseWatch, told_at};
use crate::report::{Observed, RunInfo, Summary, Thresholds, render, summarize};
use crate::session::{Note, Session};
use crate::text::{printable, to_json};

/// The capture's name in a run directory.
pub const CAPTURE_FILE: &str = "capture.pmcap";
/// The summary's name in a run directory.
pub const SUMMARY_FILE: &str = "summary.json";
/// The report's name in a run directory.
pub const REPORT_FILE: &str = "report.txt";

/// One line of a run.
#[derive(Debug)]
pub struct RecordedSource {
    /// Names the line.
    pub identity: String,
    /// What it told.
    pub session: Session,
    /// How it ended, and why.
    pub ended: Option<(LineEnd, String)>,
    /// The faults that were injected into it on purpose.
    pub faults: Option<String>,
}

impl RecordedSource {
    fn observed(&self) -> Observed<'_> {
        let failure = match &self.ended {
            Some((LineEnd::Error, reason)) => Some(reason.as_str()),
            _ => None,
        };
        Observed { source: &self.identity, session: &self.session, failure, faults: self.faults.as_deref() }
    }
}

/// A run as far as its records were applied.
#[derive(Debug, Default)]
pub struct RecordedRun {
    id: String,
    started_unix_ns: u64,
    sources: Vec<RecordedSource>,
    /// Why recording ended, and how many nanoseconds after it began.
    end: Option<(EndReason, u64)>,
    thresholds: Thresholds,
}

impl RecordedRun {
    /// A run of which nothing is known.
    pub fn new() -> Self {
        Self::default()
    }

    /// Applies the next record; `note` is called with the number of the line and what is worth telling of it.
    ///
    /// Records about lines that were never opened are left out: a capture does not have them.
    ///
    /// What `note` does happens at the time of the record: [`host_time`](crate::hook::host_time).
    pub fn apply(&mut self, record: &CaptureRecord<'_>, mut note: impl FnMut(u16, Note)) {
        if let CaptureRecord::Start { run_id, unix_ns, .. } = record {
            self.id = printable(run_id);
            self.started_unix_ns = *unix_ns;
        }
        let unix_ns = self.started_unix_ns.saturating_add(record.at_ns());
        let time = UNIX_EPOCH + Duration::from_nanos(unix_ns);
        let mut note = |source, what| told_at(time, || note(source, what));
        match record {
            CaptureRecord::Source { source, identity, plan_hash, .. } if usize::from(*source) == self.sources.len() => {
                let session = plan_hash.map_or_else(Session::new, Session::expecting);
                self.sources.push(RecordedSource { identity: printable(identity), session, ended: None, faults: None });
            }
            CaptureRecord::Data { source, at_ns, bytes } => {
                if let Some(state) = self.sources.get_mut(usize::from(*source)) {
                    state.session.feed_at(*at_ns, bytes, |what| note(*source, what));
                }
            }
            CaptureRecord::SourceEnd { source, kind, reason, .. } => {
                if let Some(state) = self.sources.get_mut(usize::from(*source)) {
                    state.session.end(|what| note(*source, what));
                    state.ended = Some((*kind, printable(reason)));
                }
            }
            CaptureRecord::Faults { source, faults, .. } => {
                if let Some(state) = self.sources.get_mut(usize::from(*source)) {
                    state.faults = Some(printable(faults));
                }
            }
            CaptureRecord::End { at_ns, reason } => self.end = Some((*reason, *at_ns)),
            CaptureRecord::Start { .. } | CaptureRecord::Source { .. } => {}
        }
    }

    /// The lines, by number.
    pub fn sources(&self) -> &[RecordedSource] {
        &self.sources
    }

    /// Whether nothing more is expected: each line has ended, or its device said that its run is over.
    pub fn is_over(&self) -> bool {
        self.sources.iter().all(|source| source.ended.is_some() || source.session.is_finished())
    }

    /// Sets what the run is judged by, if not the usual. A capture does not have it: two summaries of one capture are
    /// alike if they are judged by the same.
    pub fn judge_by(&mut self, thresholds: Thresholds) {
        self.thresholds = thresholds;
    }

    /// Everything that is known of the run.
    pub fn summary(&self) -> Summary {
        let Self { started_unix_ns, end, thresholds, .. } = *self;
        let info = RunInfo { id: self.id.clone(), started_unix_ns, end, thresholds };
        let observed: Vec<_> = self.sources.iter().map(RecordedSource::observed).collect();
        summarize(&info, &observed)
    }
}

/// A run that was rebuilt from its capture.
#[derive(Debug)]
pub struct Replayed {
    /// The run.
    pub run: RecordedRun,
    /// What is wrong with the capture's end, in words: a torn tail or damage. What came before is in the run.
    pub damage: Option<String>,
}

/// Rebuilds a run from its capture.
///
/// # Errors
/// [`CaptureError`] if the file cannot be read or is not a capture. A capture that breaks off is no error.
pub fn replay(capture: &Path) -> Result<Replayed, CaptureError> {
    replay_to(capture, |_| Hooks::new())
}

/// Rebuilds a run from its capture, and tells `hooks` of each source, by its number, what a recording told its own: the same
/// events at the same times.
///
/// # Errors
/// As [`replay`]. What a hook fails at is reported as it is in a recording, and is no error.
pub fn replay_to(capture: &Path, mut hooks: impl FnMut(usize) -> Hooks) -> Result<Replayed, CaptureError> {
    let mut reader = CaptureReader::open(capture)?;
    let mut run = RecordedRun::new();
    let mut told: Vec<(PhaseWatch, Hooks)> = Vec::new();
    for record in &mut reader {
        run.apply(&record?, |source, note| {
            if let Some((watch, hooks)) = told.get_mut(usize::from(source)) {
                watch.note(&note, hooks);
            }
        });
        told.extend((told.len()..run.sources().len()).map(|source| (PhaseWatch::new(), hooks(source))));
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
    let path = directory.join(SUMMARY_FILE);
    let json = to_json(summary).map_err(std::io::Error::from).map_err(WriteError::at(&path))?;
    write_atomically(&path, json.as_bytes())?;
    write_atomically(&directory.join(REPORT_FILE), render(summary).as_bytes())
}

#[cfg(all(test, feature = "process"))]
mod tests;
