//! What a device said that is not believed, or not kept.

use std::fmt;

use phasemeter_core::metric::MAX_METRICS;
use phasemeter_core::name::MAX_NAME;

use super::limits::{MAX_ALL_BUCKETS, MAX_BOOTS, MAX_BUCKETS, MAX_PHASES};

/// Something that a device said and that is not believed, or not kept: a run with one is never complete.
///
/// Of each kind a session keeps the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// The number and the time of a frame contradict those of another.
    Numbering,
    /// The line carries several devices.
    SeveralDevices,
    /// What the device says of itself, of its plan or of its metrics changed within a boot.
    HelloChanged,
    /// The end of the run was told twice, differently.
    FinishedChanged,
    /// The metric of this id has no name that can be used.
    MetricName(u8),
    /// The metric of the first id has the name of the second.
    MetricTwice(u8, u8),
    /// The metric of this id has another name or unit than before.
    MetricChanged(u8),
    /// There is a metric of this id, and the device has fewer.
    MetricBeyond(u8),
    /// The counts or times of the phase at this place are impossible.
    PhaseImpossible(u16),
    /// The phase at this place has another kind, name, instance or start than before.
    PhaseChanged(u16),
    /// The phase at this place has fewer of something than before, or more although it is over.
    PhaseFalls(u16),
    /// The plan of the phase at this place is another one than before, or of another kind than the phase.
    PlanChanged(u16),
    /// There is a phase at this place, and the run has fewer.
    PhaseBeyond(u16),
    /// The values of this metric in this phase cannot be those of a histogram.
    HistogramImpossible(u16, u8),
    /// The products of neighbouring values of this metric in this phase cannot be those of values with its sums.
    OrderImpossible(u16, u8),
    /// The histogram of this metric in this phase has less in it than before.
    HistogramFalls(u16, u8),
    /// The histogram of this metric in this phase has more buckets than a host takes.
    HistogramTooWide(u16, u8),
    /// All histograms together have more buckets than a host takes.
    TooManyBuckets,
    /// All boots together have more phases than a host takes.
    TooManyPhases,
    /// The device was booted more often, or ran more, than a host keeps.
    TooManyBoots,
}

impl Problem {
    /// Whether the frame is at fault that told of it, rather than the room that a host has.
    pub(super) fn is_malformed(self) -> bool {
        !matches!(self, Self::HistogramTooWide(..) | Self::TooManyBuckets | Self::TooManyPhases | Self::TooManyBoots)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Numbering => f.write_str(
                "the numbers and times of its frames contradict each other: does each boot have a boot id of its own?",
            ),
            Self::SeveralDevices => f.write_str("several devices speak on this line: record each from a line of its own"),
            Self::HelloChanged => {
                f.write_str("what it says of itself, its plan or its metrics changed within a boot: each run needs a boot of its own")
            }
            Self::FinishedChanged => f.write_str("it told the end of its run twice, differently"),
            Self::MetricName(id) => write!(
                f,
                "metric {id} has no usable name: printable, from 1 to {MAX_NAME} bytes, and not called unnamed"
            ),
            Self::MetricTwice(id, first) => write!(f, "metric {id} has the name of metric {first}: it is shown unnamed"),
            Self::MetricChanged(id) => {
                write!(f, "metric {id} changed its name or unit within a boot: the first one is shown")
            }
            Self::MetricBeyond(id) => {
                write!(f, "metric {id} is beyond those that the device has, or beyond the {MAX_METRICS} that one can have")
            }
            Self::PhaseImpossible(phase) => write!(f, "the counts or times of phase {phase} are impossible"),
            Self::PhaseChanged(phase) => {
                write!(f, "phase {phase} changed its kind, name, instance or start: does each boot have a boot id of its own?")
            }
            Self::PhaseFalls(phase) => write!(f, "the counts of phase {phase} fell, or changed after its end"),
            Self::PlanChanged(phase) => {
                write!(f, "what it says was planned for phase {phase} contradicts what it said before")
            }
            Self::PhaseBeyond(phase) => write!(f, "there is a phase {phase}, and the run has fewer"),
            Self::HistogramImpossible(phase, metric) => {
                write!(f, "the values of metric {metric} in phase {phase} are no histogram")
            }
            Self::OrderImpossible(phase, metric) => write!(
                f,
                "the products of neighbouring values of metric {metric} in phase {phase} are impossible for its sums"
            ),
            Self::HistogramFalls(phase, metric) => {
                write!(f, "the counts of metric {metric} in phase {phase} fell, or changed after its end")
            }
            Self::HistogramTooWide(phase, metric) => write!(
                f,
                "metric {metric} in phase {phase} has a capacity beyond what this host takes, {MAX_BUCKETS} buckets"
            ),
            Self::TooManyBuckets => {
                write!(f, "its histograms take more than the {MAX_ALL_BUCKETS} buckets that this host sets aside for a device")
            }
            Self::TooManyPhases => write!(f, "it has more than the {MAX_PHASES} phases that this host takes of a device"),
            Self::TooManyBoots => {
                write!(f, "it ran more than {MAX_BOOTS} times: the runs before the last one are forgotten, but for the first ones")
            }
        }
    }
}
