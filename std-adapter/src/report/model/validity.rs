//! What speaks against taking a phase's numbers for those of the system measured.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One verdict on a phase of one device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What was found.
    pub verdict: Doubt,
    /// What the phase is called, as in [`PhaseSummary::phase`](super::PhaseSummary::phase).
    pub phase: String,
    /// Its place in the run, from 0.
    pub index: u16,
    /// The device.
    pub device: String,
    /// The metric that it was found in; `None` if it is of the phase as a whole.
    pub metric: Option<String>,
    /// A clause that says what was found and by how much.
    pub words: String,
}

/// Why the numbers of a phase may not be those of the system measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Doubt {
    /// The load generator sent late, and what was measured includes that.
    GeneratorLimited,
    /// Requests went out late because no more could be in flight.
    InFlightLimited,
    /// Requests were not sent at the planned rate.
    RateOff,
    /// The gaps between requests are not those of evenly spaced or random ones, as planned.
    ArrivalsOff,
    /// The second half of the phase differs from the first.
    NotStationary,
    /// The beginning of a profiling phase was slower than the rest.
    WarmUpVisible,
    /// There are too few samples for a sampling interval of p99.
    TooFewSamples,
    /// Neighbouring samples are so alike that they are worth less than half of their number.
    DependentSamples,
}

/// As people read it: `generator limited`.
impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::GeneratorLimited => "generator limited",
            Self::InFlightLimited => "in flight limited",
            Self::RateOff => "rate off",
            Self::ArrivalsOff => "arrivals off",
            Self::NotStationary => "not stationary",
            Self::WarmUpVisible => "warm-up visible",
            Self::TooFewSamples => "too few samples",
            Self::DependentSamples => "dependent samples",
        })
    }
}
