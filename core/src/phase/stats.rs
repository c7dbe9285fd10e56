//! What is known of a phase at one moment: its state, its times and its request counts.

use serde::{Deserialize, Serialize};

use super::Sends;
use crate::name::Name;
use crate::plan::PhaseKind;
use crate::time::{Duration, Instant};

/// Where in its life a phase is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[serde(rename_all = "snake_case")]
pub enum PhaseState {
    /// Not started.
    Created,
    /// Requests are being sent.
    Started,
    /// Every request was sent; responses are outstanding.
    SendingComplete,
    /// Every request came back or was cancelled.
    Complete,
}

impl PhaseState {
    /// The name used in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Started => "started",
            Self::SendingComplete => "sending_complete",
            Self::Complete => "complete",
        }
    }
}

/// How many requests of a phase did what.
///
/// Every request is a session of one turn, so AIPerf's session counts equal the request counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct PhaseCounts {
    /// Requests sent.
    pub sent: u64,
    /// Requests that came back, successful or not.
    pub completed: u64,
    /// Completed requests that failed.
    pub errors: u64,
    /// Requests given up before they came back.
    pub cancelled: u64,
    /// Requests that were due when sending ended and had not been sent: an open-loop schedule that was not kept.
    pub unsent: u64,
    /// There were at least so many unsent requests: they are being counted, or in a cancelled run were more than
    /// [`MOST_UNSENT`](crate::runner::MOST_UNSENT). Of a phase that is complete the number is exact but for that.
    pub unsent_at_least: bool,
    /// Requests sent that had been due while the device could take none: each waited for one in flight. What else is sent
    /// late is the device's own delay.
    pub held: u64,
}

impl PhaseCounts {
    /// Requests sent that neither came back nor were given up.
    // On a 32-bit processor a call takes less code, and there are many.
    #[inline(never)]
    pub const fn in_flight(&self) -> u64 {
        self.sent.saturating_sub(self.completed).saturating_sub(self.cancelled)
    }

    /// Completed requests that did not fail.
    pub const fn successful(&self) -> u64 {
        self.completed.saturating_sub(self.errors)
    }

    /// Sessions started; each request is one.
    pub const fn sessions(&self) -> u64 {
        self.sent
    }

    /// Whether the counts can belong together: `errors ≤ completed` and `completed + cancelled ≤ sent`.
    pub const fn is_consistent(&self) -> bool {
        match self.completed.checked_add(self.cancelled) {
            Some(over) => over <= self.sent && self.errors <= self.completed,
            None => false,
        }
    }
}

/// Everything that is known of a phase at one moment, apart from its histograms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct PhaseStats {
    /// The phase's place in the run's plan, from 0.
    pub index: u16,
    /// What the phase is for.
    pub kind: PhaseKind,
    /// What the firmware calls a monitored phase; empty for a phase of a plan.
    pub label: Name,
    /// How many phases of the same kind the plan has before this one; for a monitored phase, its place.
    pub instance: u16,
    /// Where in its life the phase is.
    pub state: PhaseState,
    /// The grace period ran out with requests in flight.
    pub timed_out: bool,
    /// The phase was cancelled.
    pub cancelled: bool,
    /// When the phase started; device clock.
    pub started_at: Option<Instant>,
    /// When the last request had been sent; device clock.
    pub sending_complete_at: Option<Instant>,
    /// When the phase was over; device clock.
    pub completed_at: Option<Instant>,
    /// Its request counts.
    pub counts: PhaseCounts,
    /// When its requests were sent.
    pub sends: Sends,
}

impl PhaseStats {
    /// The name used in reports: what the firmware calls the phase, or its kind's.
    pub fn name(&self) -> &str {
        if self.label == Name::EMPTY { self.kind.name() } else { self.label.as_str() }
    }

    /// How long requests were sent; `None` while they are.
    pub fn sending_duration(&self) -> Option<Duration> {
        Some(self.sending_complete_at?.since(self.started_at?))
    }

    /// How long the phase took; `None` until it is complete.
    pub fn total_duration(&self) -> Option<Duration> {
        Some(self.completed_at?.since(self.started_at?))
    }
}
