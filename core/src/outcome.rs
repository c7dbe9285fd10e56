//! How requests end, and failures by cause.

use heapless::Vec;
use serde::{Deserialize, Serialize};

/// Why a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// No connection could be opened.
    NotConnected,
    /// The response did not come in time.
    TimedOut,
    /// The server answered with this status, which is not a success.
    Status(u16),
    /// The connection broke before the response was whole.
    Broken,
    /// The response made no sense.
    Malformed,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Outcome {
    /// The whole response came and was good.
    Success,
    /// It failed. Counted by its cause, kept out of latency.
    Failed(Failure),
    /// It was given up. Counted, kept out of latency.
    Cancelled,
}

/// Of so many status codes the failures are counted apart: the first that occur.
pub const STATUS_CODES: usize = 6;

/// Failed requests by cause. All of it together is [`PhaseCounts::errors`](crate::phase::PhaseCounts::errors).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Failures {
    /// No connection could be opened.
    pub not_connected: u64,
    /// The response did not come in time.
    pub timed_out: u64,
    /// The connection broke before the response was whole.
    pub broken: u64,
    /// The response made no sense.
    pub malformed: u64,
    /// Status codes that are not a success, each with its count.
    pub statuses: Vec<(u16, u64), STATUS_CODES>,
    /// Status codes beyond the first [`STATUS_CODES`] that occurred.
    pub other_statuses: u64,
}

impl Failures {
    /// No failures. All its bytes are zero.
    pub const NONE: Self =
        Self { not_connected: 0, timed_out: 0, broken: 0, malformed: 0, statuses: Vec::new(), other_statuses: 0 };

    /// Counts one more. The cost grows with the number of codes seen, up to [`STATUS_CODES`].
    pub fn count(&mut self, failure: Failure) {
        let counter = match failure {
            Failure::NotConnected => &mut self.not_connected,
            Failure::TimedOut => &mut self.timed_out,
            Failure::Broken => &mut self.broken,
            Failure::Malformed => &mut self.malformed,
            Failure::Status(code) => {
                if let Some((_, count)) = self.statuses.iter_mut().find(|(seen, _)| *seen == code) {
                    count
                } else if self.statuses.push((code, 1)).is_ok() {
                    return;
                } else {
                    &mut self.other_statuses
                }
            }
        };
        *counter = counter.saturating_add(1);
    }

    /// All of them together, saturating.
    pub fn total(&self) -> u64 {
        let statuses = self.statuses.iter().map(|(_, count)| *count);
        [self.not_connected, self.timed_out, self.broken, self.malformed, self.other_statuses]
            .into_iter()
            .chain(statuses)
            .fold(0, u64::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_is_counted_once_however_many_codes_there_are() {
        let mut failures = Failures::default();
        for code in (500..510).chain([503, 509]) {
            failures.count(Failure::Status(code));
        }
        for failure in [Failure::NotConnected, Failure::TimedOut, Failure::Broken, Failure::Malformed] {
            failures.count(failure);
        }
        assert_eq!(failures.statuses.as_slice(), [(500, 1), (501, 1), (502, 1), (503, 2), (504, 1), (505, 1)]);
        assert_eq!((failures.other_statuses, failures.total()), (5, 16));
    }
}
