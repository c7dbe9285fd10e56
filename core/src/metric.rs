//! What is measured: names and units, as a table that the device tells its host.

use core::fmt;

use serde::{Deserialize, Serialize};

/// What a metric's values are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Unit {
    /// Lengths of time, in nanoseconds.
    #[default]
    Nanoseconds,
    /// Plain numbers: bytes, items, retries.
    Count,
}

/// One metric of a table: its place there is its id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Metric<'a> {
    /// Names the metric in reports, and when devices are merged: `flash_write`. At most
    /// [`MAX_NAME`](crate::name::MAX_NAME) bytes and unlike the other names of its table; a host refuses a table that
    /// is not so, in words.
    pub name: &'a str,
    /// What its values are.
    pub unit: Unit,
}

impl<'a> Metric<'a> {
    /// A metric of times.
    pub const fn time(name: &'a str) -> Self {
        Self { name, unit: Unit::Nanoseconds }
    }

    /// A metric of plain numbers.
    pub const fn count(name: &'a str) -> Self {
        Self { name, unit: Unit::Count }
    }
}

/// The most metrics of a device.
pub const MAX_METRICS: usize = 32;

/// The metrics of a load generator: the first of its table, in this order. A device may have more of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum LoadMetric {
    /// Intended send to last byte: what a user who does not wait for the load generator sees.
    ResponseTime,
    /// Actual send to last byte: what the server took.
    ServiceTime,
    /// Intended send to the moment the request was issued: what the load generator was late by. Known of every completed
    /// request.
    ScheduleLag,
    /// Actual send to first token, of streaming responses.
    TimeToFirstToken,
    /// First token to last token divided by the gaps between them: one value a request, as AIPerf defines it.
    InterTokenLatency,
}

/// How many metrics a load generator has at least.
pub const LOAD_METRICS: usize = 5;

impl LoadMetric {
    /// All of them, in the order of the table.
    pub const ALL: [Self; LOAD_METRICS] =
        [Self::ResponseTime, Self::ServiceTime, Self::ScheduleLag, Self::TimeToFirstToken, Self::InterTokenLatency];

    /// Their part of the table.
    pub const TABLE: [Metric<'static>; LOAD_METRICS] = [
        Metric::time(Self::ResponseTime.name()),
        Metric::time(Self::ServiceTime.name()),
        Metric::time(Self::ScheduleLag.name()),
        Metric::time(Self::TimeToFirstToken.name()),
        Metric::time(Self::InterTokenLatency.name()),
    ];

    /// The name on the wire and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ResponseTime => "response_time",
            Self::ServiceTime => "service_time",
            Self::ScheduleLag => "schedule_lag",
            Self::TimeToFirstToken => "time_to_first_token",
            Self::InterTokenLatency => "inter_token_latency",
        }
    }

    /// The place in the table, which is the metric's id.
    pub const fn place(self) -> usize {
        self as usize
    }
}

impl fmt::Display for LoadMetric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_metrics_place_is_its_entry_in_the_table() {
        for (place, metric) in LoadMetric::ALL.into_iter().enumerate() {
            assert_eq!(metric.place(), place);
            assert_eq!(LoadMetric::TABLE[place], Metric::time(metric.name()));
        }
    }
}
