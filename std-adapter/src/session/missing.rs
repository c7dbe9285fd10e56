//! What of a run has not come.

use std::fmt;

use phasemeter_core::phase::PhaseState;

use super::problem::Problem;

/// What is missing of a run: it is incomplete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Missing {
    /// No frame came at all.
    Frames,
    /// All frames are of a newer protocol version.
    Readable,
    /// There was no run.
    Run,
    /// A run of another plan than was uploaded.
    Plan {
        /// The plan that was uploaded.
        uploaded: u64,
        /// The plan that the device runs.
        told: u64,
    },
    /// Runs that were forgotten.
    Boots,
    /// The device was reset in mid-run, so many times.
    Reset(u64),
    /// The device was reset in mid-run and runs nothing since.
    Abandoned,
    /// The device never said who it is.
    Hello,
    /// The device was not seen to finish.
    End,
    /// The run was cancelled.
    Cancelled,
    /// The plan has more phases than were run.
    Phases {
        /// Phases of the plan.
        planned: u16,
        /// Phases that were run.
        run: u16,
    },
    /// A monitored device opened no phase.
    AnyPhase,
    /// Something of the phase at this place.
    Phase(u16, PhaseLack),
    /// The name of the metric of this id.
    Name(u8),
    /// Something is there and is not believed, or not kept.
    Problem(Problem),
}

/// What is missing of a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PhaseLack {
    /// Everything.
    All,
    /// Its report: kind, times and counts.
    Report,
    /// Its end; it was last seen in this state.
    End(PhaseState),
    /// Samples.
    Samples {
        /// In whole snapshots.
        observed: u64,
        /// As the device told.
        expected: u64,
    },
    /// Causes of failures.
    Failures {
        /// Failures with their cause.
        known: u64,
        /// Failures in all.
        errors: u64,
    },
    /// Sense: its numbers are impossible.
    Impossible,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frames => f.write_str("no frame was received: is it the right source, at the right baud rate?"),
            Self::Readable => f.write_str("all its frames are of a newer protocol version: use a newer phasemeter"),
            Self::Run => f.write_str("it has run nothing"),
            Self::Plan { uploaded, told: 0 } => write!(f, "plan {uploaded:016x} was uploaded, and it runs none"),
            Self::Plan { uploaded, told } => {
                write!(f, "plan {uploaded:016x} was uploaded, and it runs plan {told:016x}")
            }
            Self::Boots => Problem::TooManyBoots.fmt(f),
            Self::Reset(1) => f.write_str("it was reset in mid-run"),
            Self::Reset(times) => write!(f, "it was reset in mid-run, {times} times in all"),
            Self::Abandoned => f.write_str("it was reset in mid-run, and runs nothing since"),
            Self::Hello => f.write_str("it never introduced itself"),
            Self::End => f.write_str("it did not finish"),
            Self::Cancelled => f.write_str("its run was cancelled"),
            Self::Phases { planned, run } => write!(f, "of {planned} phases it ran {run}"),
            Self::AnyPhase => f.write_str("it opened no phase"),
            Self::Phase(phase, lack) => write!(f, "phase {phase} {lack}"),
            Self::Name(metric) => write!(f, "the name of metric {metric} was not received"),
            Self::Problem(problem) => problem.fmt(f),
        }
    }
}

impl std::error::Error for Missing {}

impl fmt::Display for PhaseLack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("was not received"),
            Self::Report => f.write_str("was received without its report"),
            Self::End(state) => write!(f, "was last seen {}", state.name().replace('_', " ")),
            Self::Samples { observed, expected } => {
                write!(f, "was not received whole: {observed} of {expected} samples")
            }
            Self::Failures { known, errors } => {
                write!(f, "was not received whole: the causes of {known} of {errors} failures")
            }
            Self::Impossible => f.write_str("has impossible numbers"),
        }
    }
}
