//! What a hook is told, as a value.

use std::fmt;
use std::time::{Duration, SystemTime};

use phasemeter_core::hook::PhaseHook;
use phasemeter_core::phase::PhaseStats;
use phasemeter_core::time::Nanos;
use serde::Serialize;

/// An event in the life of a phase: which method of a [`PhaseHook`] is called. The order is that of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PhaseEvent {
    /// The phase started.
    PhaseStart,
    /// The last request of the phase was sent.
    PhaseSendingComplete,
    /// The grace period ran out.
    PhaseTimeout,
    /// Every request of the phase came back or was cancelled.
    PhaseComplete,
    /// Nothing but time passed: [`PhaseHook::on_progress`].
    PhaseProgress,
}

impl PhaseEvent {
    /// Every event.
    pub const ALL: [Self; 5] =
        [Self::PhaseStart, Self::PhaseSendingComplete, Self::PhaseTimeout, Self::PhaseComplete, Self::PhaseProgress];

    /// The name in JSON and in the environment of programs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PhaseStart => "phase_start",
            Self::PhaseSendingComplete => "phase_sending_complete",
            Self::PhaseTimeout => "phase_timeout",
            Self::PhaseComplete => "phase_complete",
            Self::PhaseProgress => "phase_progress",
        }
    }

    /// Calls the method of `hook` that this event stands for.
    pub fn tell<H: PhaseHook + ?Sized>(self, hook: &mut H, phase: &PhaseStats, now: Nanos) {
        match self {
            Self::PhaseStart => hook.on_phase_start(phase, now),
            Self::PhaseSendingComplete => hook.on_phase_sending_complete(phase, now),
            Self::PhaseTimeout => hook.on_phase_timeout(phase, now),
            Self::PhaseComplete => hook.on_phase_complete(phase, now),
            Self::PhaseProgress => hook.on_progress(phase, now),
        }
    }
}

impl fmt::Display for PhaseEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Makes a [`PhaseHook`] of a type that has a method `on_event(&mut self, PhaseEvent, &PhaseStats, Nanos)`.
macro_rules! hook_of_events {
    ($hook:ty) => {
        impl phasemeter_core::hook::PhaseHook for $hook {
            fn on_phase_start(&mut self, phase: &PhaseStats, now: Nanos) {
                self.on_event($crate::hook::PhaseEvent::PhaseStart, phase, now);
            }

            fn on_phase_sending_complete(&mut self, phase: &PhaseStats, now: Nanos) {
                self.on_event($crate::hook::PhaseEvent::PhaseSendingComplete, phase, now);
            }

            fn on_phase_timeout(&mut self, phase: &PhaseStats, now: Nanos) {
                self.on_event($crate::hook::PhaseEvent::PhaseTimeout, phase, now);
            }

            fn on_phase_complete(&mut self, phase: &PhaseStats, now: Nanos) {
                self.on_event($crate::hook::PhaseEvent::PhaseComplete, phase, now);
            }

            fn on_progress(&mut self, phase: &PhaseStats, now: Nanos) {
                self.on_event($crate::hook::PhaseEvent::PhaseProgress, phase, now);
            }
        }
    };
}
pub(super) use hook_of_events;

/// An event with the counts at that moment, as JSON has it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct EventRecord {
    pub(super) event: PhaseEvent,
    /// The host's wall clock when the hook was told, UTC.
    timestamp: String,
    phase: &'static str,
    #[serde(flatten)]
    counts: Counts,
}

impl EventRecord {
    pub(super) fn new(event: PhaseEvent, phase: &PhaseStats, timestamp: String) -> Self {
        Self { event, timestamp, phase: phase.kind.name(), counts: Counts::of(phase) }
    }
}

/// Request counts, as JSON has them.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Counts {
    sent: u64,
    sent_sessions: u64,
    completed: u64,
    cancelled: u64,
    errors: u64,
    in_flight: u64,
}

impl Counts {
    pub(super) fn of(phase: &PhaseStats) -> Self {
        let counts = &phase.counts;
        Self {
            sent: counts.sent,
            sent_sessions: counts.sessions(),
            completed: counts.completed,
            cancelled: counts.cancelled,
            errors: counts.errors,
            in_flight: counts.in_flight(),
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (sum, more) in [
            (&mut self.sent, other.sent),
            (&mut self.sent_sessions, other.sent_sessions),
            (&mut self.completed, other.completed),
            (&mut self.cancelled, other.cancelled),
            (&mut self.errors, other.errors),
            (&mut self.in_flight, other.in_flight),
        ] {
            *sum = sum.saturating_add(more);
        }
    }
}

/// How long a phase took, by the device's clock; in JSON in seconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct PhaseDurations {
    /// From the start to the last request sent.
    #[serde(serialize_with = "in_seconds")]
    pub(super) sending_duration: Option<Nanos>,
    /// From the start to the end, or to the time-out until the end is told.
    #[serde(serialize_with = "in_seconds")]
    pub(super) total_duration: Option<Nanos>,
}

impl PhaseDurations {
    pub(super) fn at(event: PhaseEvent, phase: &PhaseStats, now: Nanos) -> Self {
        let total_duration = match event {
            PhaseEvent::PhaseTimeout => elapsed(phase, now),
            _ => phase.total_duration(),
        };
        Self { sending_duration: phase.sending_duration(), total_duration }
    }
}

/// How long the phase has taken, in all or until now; `None` if its start is not known.
pub(super) fn elapsed(phase: &PhaseStats, now: Nanos) -> Option<Nanos> {
    phase.total_duration().or_else(|| Some(now.since(phase.started_at?)))
}

pub(super) fn seconds(length: Nanos) -> f64 {
    Duration::from_nanos(length.get()).as_secs_f64()
}

#[expect(clippy::ref_option, reason = "serde's signature")]
fn in_seconds<S: serde::Serializer>(length: &Option<Nanos>, serializer: S) -> Result<S::Ok, S::Error> {
    length.map(seconds).serialize(serializer)
}

/// The host's wall clock, UTC, to the millisecond: `2026-01-15T10:30:50.123Z`.
pub(super) fn timestamp() -> String {
    humantime::format_rfc3339_millis(SystemTime::now()).to_string()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use phasemeter_core::phase::{PhaseCounts, PhaseState};
    use phasemeter_core::plan::PhaseKind;

    /// A warmup that is over: 5.2 s of sending, 6.25 s in all.
    pub(crate) const PHASE: PhaseStats = PhaseStats {
        index: 0,
        kind: PhaseKind::Warmup,
        state: PhaseState::Complete,
        timed_out: false,
        cancelled: false,
        started_at: Some(Nanos::from_secs(100)),
        sending_complete_at: Some(Nanos::from_millis(105_200)),
        completed_at: Some(Nanos::from_millis(106_250)),
        counts: PhaseCounts { sent: 1_000, completed: 990, errors: 7, cancelled: 10, unsent: 0 },
    };

    /// [`PHASE`] as it was when `event` happened, and when that was.
    pub(crate) fn phase_at(event: PhaseEvent) -> (PhaseStats, Nanos) {
        let (state, cancelled, now) = match event {
            PhaseEvent::PhaseStart | PhaseEvent::PhaseProgress => (PhaseState::Started, 0, PHASE.started_at),
            PhaseEvent::PhaseSendingComplete => (PhaseState::SendingComplete, 0, PHASE.sending_complete_at),
            PhaseEvent::PhaseTimeout => (PhaseState::SendingComplete, 0, PHASE.completed_at),
            PhaseEvent::PhaseComplete => (PhaseState::Complete, 10, PHASE.completed_at),
        };
        let counts = match state {
            PhaseState::Started => PhaseCounts::default(),
            _ => PhaseCounts { cancelled, ..PHASE.counts },
        };
        let phase = PhaseStats {
            state,
            timed_out: event == PhaseEvent::PhaseTimeout,
            sending_complete_at: PHASE.sending_complete_at.filter(|_| state >= PhaseState::SendingComplete),
            completed_at: PHASE.completed_at.filter(|_| state == PhaseState::Complete),
            counts,
            ..PHASE
        };
        (phase, now.unwrap())
    }

    #[test]
    fn a_timestamp_is_utc_to_the_millisecond() {
        let text = timestamp();
        assert_eq!((text.len(), &text[10..11], &text[23..]), (24, "T", "Z"), "{text}");
        let told = humantime::parse_rfc3339(&text).unwrap();
        let elapsed = SystemTime::now().duration_since(told).unwrap();
        assert!(elapsed < Duration::from_mins(1), "{text}");
    }

    #[test]
    fn durations_are_those_of_the_device() {
        let (timed_out, now) = phase_at(PhaseEvent::PhaseTimeout);
        let durations = PhaseDurations::at(PhaseEvent::PhaseTimeout, &timed_out, now);
        let json = serde_json::to_string(&durations).unwrap();
        assert_eq!(json, r#"{"sending_duration":5.2,"total_duration":6.25}"#);
        let (started, now) = phase_at(PhaseEvent::PhaseStart);
        let durations = PhaseDurations::at(PhaseEvent::PhaseStart, &started, now);
        assert_eq!(serde_json::to_string(&durations).unwrap(), r#"{"sending_duration":null,"total_duration":null}"#);
    }
}
