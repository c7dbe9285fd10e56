//! Events as files and programs are told of them.

use phasemeter_core::hook::PhaseEvent;
use phasemeter_core::phase::PhaseStats;
use phasemeter_core::time::{Duration, Instant};
use serde::{Serialize, Serializer};

use super::host_time;
use crate::text::printable;

/// The name of an event in JSON and in the environment of programs; a log has it in capitals.
pub(super) const fn name(event: PhaseEvent) -> &'static str {
    match event {
        PhaseEvent::Start => "phase_start",
        PhaseEvent::SendingComplete => "phase_sending_complete",
        PhaseEvent::Timeout => "phase_timeout",
        PhaseEvent::Complete => "phase_complete",
        PhaseEvent::Progress => "phase_progress",
    }
}

/// The name of a phase. A firmware may call its own whatever it likes, or nothing.
pub(super) fn phase_name(phase: &PhaseStats) -> String {
    if phase.name().is_empty() { format!("phase #{}", phase.index) } else { printable(phase.name()) }
}

/// An event with the counts at that moment, as JSON has it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct EventRecord {
    #[serde(serialize_with = "by_name")]
    pub(super) event: PhaseEvent,
    /// When the event reached the host, UTC.
    timestamp: String,
    phase: String,
    #[serde(flatten)]
    counts: Counts,
}

impl EventRecord {
    pub(super) fn new(event: PhaseEvent, phase: &PhaseStats, timestamp: String) -> Self {
        Self { event, timestamp, phase: phase_name(phase), counts: Counts::of(phase) }
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
    pub(super) sending_duration: Option<Duration>,
    /// From the start to the end, or to the time-out until the end is told.
    #[serde(serialize_with = "in_seconds")]
    pub(super) total_duration: Option<Duration>,
}

impl PhaseDurations {
    pub(super) fn at(event: PhaseEvent, phase: &PhaseStats, now: Instant) -> Self {
        let total_duration = match event {
            PhaseEvent::Timeout => elapsed(phase, now),
            _ => phase.total_duration(),
        };
        Self { sending_duration: phase.sending_duration(), total_duration }
    }
}

/// How long the phase has taken, in all or until now; `None` if its start is not known.
pub(super) fn elapsed(phase: &PhaseStats, now: Instant) -> Option<Duration> {
    phase.total_duration().or_else(|| Some(now.since(phase.started_at?)))
}

pub(super) fn seconds(length: Duration) -> f64 {
    std::time::Duration::from_nanos(length.as_nanos()).as_secs_f64()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn by_name<S: Serializer>(event: &PhaseEvent, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(name(*event))
}

#[expect(clippy::ref_option, reason = "serde's signature")]
fn in_seconds<S: Serializer>(length: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    length.map(seconds).serialize(serializer)
}

/// When the event reached the host, UTC, to the millisecond: `2026-01-15T10:30:50.123Z`.
pub(super) fn timestamp() -> String {
    humantime::format_rfc3339_millis(host_time()).to_string()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use phasemeter_core::name::Name;
    use phasemeter_core::phase::{PhaseCounts, PhaseState, Sends};
    use phasemeter_core::plan::PhaseKind;

    /// Every event: first those of a phase's life, in order.
    pub(crate) const EVENTS: [PhaseEvent; 5] = [
        PhaseEvent::Start,
        PhaseEvent::SendingComplete,
        PhaseEvent::Timeout,
        PhaseEvent::Complete,
        PhaseEvent::Progress,
    ];

    /// A warmup that is over: 5.2 s of sending, 6.25 s in all.
    pub(crate) const PHASE: PhaseStats = PhaseStats {
        index: 0,
        kind: PhaseKind::Warmup,
        label: Name::EMPTY,
        instance: 0,
        state: PhaseState::Complete,
        timed_out: false,
        cancelled: false,
        started_at: Some(Instant::from_nanos(100_000_000_000)),
        sending_complete_at: Some(Instant::from_nanos(105_200_000_000)),
        completed_at: Some(Instant::from_nanos(106_250_000_000)),
        counts: PhaseCounts {
            sent: 1_000,
            completed: 990,
            errors: 7,
            cancelled: 10,
            unsent: 0,
            unsent_at_least: false,
            held: 3,
        },
        sends: Sends {
            first: Instant::from_nanos(100_000_000_000),
            last: Instant::from_nanos(105_194_800_000),
            squared_gaps: 5_194_800_000 * 5_200_000,
        },
    };

    /// A phase that a firmware has given a name that is up to no good.
    pub(crate) fn monitored() -> PhaseStats {
        PhaseStats { kind: PhaseKind::Monitor, label: Name::cut("flash\nwrite"), ..PHASE }
    }

    /// [`PHASE`] as it was when `event` happened, and when that was.
    pub(crate) fn phase_at(event: PhaseEvent) -> (PhaseStats, Instant) {
        let (state, cancelled, now) = match event {
            PhaseEvent::Start | PhaseEvent::Progress => (PhaseState::Started, 0, PHASE.started_at),
            PhaseEvent::SendingComplete => (PhaseState::SendingComplete, 0, PHASE.sending_complete_at),
            PhaseEvent::Timeout => (PhaseState::SendingComplete, 0, PHASE.completed_at),
            PhaseEvent::Complete => (PhaseState::Complete, 10, PHASE.completed_at),
        };
        let counts = match state {
            PhaseState::Started => PhaseCounts::default(),
            _ => PhaseCounts { cancelled, ..PHASE.counts },
        };
        let phase = PhaseStats {
            state,
            timed_out: event == PhaseEvent::Timeout,
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
        let elapsed = std::time::SystemTime::now().duration_since(told).unwrap();
        assert!(elapsed < std::time::Duration::from_mins(1), "{text}");
    }

    #[test]
    fn durations_are_those_of_the_device() {
        let (timed_out, now) = phase_at(PhaseEvent::Timeout);
        let durations = PhaseDurations::at(PhaseEvent::Timeout, &timed_out, now);
        let json = serde_json::to_string(&durations).unwrap();
        assert_eq!(json, r#"{"sending_duration":5.2,"total_duration":6.25}"#);
        let (started, now) = phase_at(PhaseEvent::Start);
        let durations = PhaseDurations::at(PhaseEvent::Start, &started, now);
        assert_eq!(serde_json::to_string(&durations).unwrap(), r#"{"sending_duration":null,"total_duration":null}"#);
    }
}
