//! When the requests of a phase ran.

use serde::Serialize;

use super::moments::to_f64;

/// Where a window was taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WindowSource {
    /// The load generator told when the phase began and ended.
    Manifest,
    /// From the first to the last time in the records.
    Records,
}

/// The time in which the requests of a phase ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Window {
    /// Nanoseconds, since the epoch of the records.
    pub start_ns: u64,
    /// Nanoseconds, since the epoch of the records; not before `start_ns`.
    pub end_ns: u64,
    /// How it is known.
    pub source: WindowSource,
}

impl Window {
    /// How long it is, in seconds.
    pub fn seconds(&self) -> f64 {
        to_f64(self.end_ns.saturating_sub(self.start_ns)) / 1e9
    }

    /// From the earlier start to the later end.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        let source = if self.source == other.source { self.source } else { WindowSource::Records };
        Self { start_ns: self.start_ns.min(other.start_ns), end_ns: self.end_ns.max(other.end_ns), source }
    }
}
