//! What can go wrong with the input as a whole, and with the output.

use std::path::PathBuf;

use crate::atomic::WriteError;
use crate::text::quoted;

/// Post-processing could not be done. A single bad line is no such error: it is counted and skipped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProcessError {
    /// The aggregate of nothing was asked for.
    #[error("there are no result sets to aggregate: give at least one")]
    NoResultSets,
    /// The input cannot be read.
    #[error("cannot read {input}: {cause}")]
    Read {
        /// The file, or `-`.
        input: String,
        /// Why.
        cause: std::io::Error,
    },
    /// A bad line, where none is allowed.
    #[error("{0}")]
    Rejected(String),
    /// One metric in two units.
    #[error(
        "the metric {} of {input} is in {} and also in {}: process the records of each apart",
        quoted(metric),
        quoted(unit),
        quoted(other)
    )]
    Units {
        /// The file or the result set.
        input: String,
        /// The metric.
        metric: String,
        /// One unit.
        unit: String,
        /// The other.
        other: String,
    },
    /// More phases or metrics than a benchmark has.
    #[error("{input} has more than {limit} {what}: it is no benchmark's output")]
    TooMany {
        /// The file or the result set.
        input: String,
        /// Phases or metrics.
        what: &'static str,
        /// How many are allowed.
        limit: usize,
    },
    /// The values take more memory than they may.
    #[error(
        "the values up to {input} take more than {} MB of memory: give more with --memory, or process fewer files at once",
        limit >> 20
    )]
    Memory {
        /// The file or the result set.
        input: String,
        /// How many bytes are allowed.
        limit: usize,
    },
    /// The file beside the records that tells the phases' windows makes no sense.
    #[error("{}: {problem}; mend it, or move it away to take the windows from the records", path.display())]
    PhaseManifest {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The output cannot be written.
    #[error("cannot write {0}")]
    Write(WriteError),
}

impl From<WriteError> for ProcessError {
    fn from(cause: WriteError) -> Self {
        Self::Write(cause)
    }
}
