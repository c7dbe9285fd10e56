//! What a JSON checkpoint says: the last phases with their events, and the sum of all.

use std::collections::{HashMap, VecDeque};

use phasemeter_core::hook::PhaseEvent;
use phasemeter_core::phase::{PhaseState, PhaseStats};
use phasemeter_core::plan::PhaseKind;
use phasemeter_core::time::{Duration, Instant};
use serde::Serialize;

use super::event::{Counts, EventRecord, PhaseDurations, phase_name};

/// So many phases are kept, twice as many as a plan can have; of older ones only the sums are.
pub(super) const MAX_PHASES: usize = 64;

/// One run of a phase.
#[derive(Debug, Serialize)]
struct PhaseEntry {
    phase: String,
    /// The how-maniest phase of its kind it is, from 1.
    instance: u64,
    /// The phase's place in the plan, from 0.
    index: u16,
    /// Whether the start was told when it happened.
    start_seen: bool,
    timed_out: bool,
    /// Whether the phase was cancelled; `counts` says how many requests were.
    phase_cancelled: bool,
    counts: Counts,
    phase_durations: PhaseDurations,
    /// At most one of each kind, and no progress.
    events: Vec<EventRecord>,
}

impl PhaseEntry {
    fn has_had(&self, event: PhaseEvent) -> bool {
        self.events.iter().any(|record| record.event == event)
    }
}

/// The sum over phases.
#[derive(Debug, Default, Serialize)]
struct Sum {
    phases: u64,
    completed_phases: u64,
    timed_out_phases: u64,
    #[serde(flatten)]
    counts: Counts,
    phase_durations: PhaseDurations,
}

impl Sum {
    fn add(&mut self, entry: &PhaseEntry) {
        self.phases += 1;
        self.completed_phases += u64::from(entry.has_had(PhaseEvent::Complete));
        self.timed_out_phases += u64::from(entry.timed_out);
        self.counts.add(&entry.counts);
        let (sum, more) = (&mut self.phase_durations, entry.phase_durations);
        add(&mut sum.sending_duration, more.sending_duration);
        add(&mut sum.total_duration, more.total_duration);
    }

    /// This sum and more phases.
    fn with<'a>(&self, entries: impl IntoIterator<Item = &'a PhaseEntry>) -> Self {
        let mut sum = Self { ..*self };
        entries.into_iter().for_each(|entry| sum.add(entry));
        sum
    }
}

fn add(sum: &mut Option<Duration>, more: Option<Duration>) {
    if let Some(more) = more {
        *sum = Some(sum.unwrap_or_default().saturating_add(more));
    }
}

/// The phases of a run as far as they were told.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    phases: VecDeque<PhaseEntry>,
    instances: HashMap<PhaseKind, u64>,
    /// The phases that are not kept.
    dropped: Sum,
    dropped_events: u64,
}

/// A checkpoint's content; documented at [`super::JsonMetricsHook`].
#[derive(Debug, Serialize)]
pub(super) struct Checkpoint<'a> {
    schema: &'static str,
    last_updated: &'a str,
    phases: &'a VecDeque<PhaseEntry>,
    dropped_phases: u64,
    dropped_events: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    aggregate: Option<Sum>,
}

impl Metrics {
    /// Takes an event. It belongs to the last phase unless that is another one, is complete or had this event already. A
    /// start always begins another phase.
    pub(super) fn take(&mut self, event: PhaseEvent, phase: &PhaseStats, now: Instant, timestamp: String) {
        let continues = self.phases.back().is_some_and(|last| {
            last.index == phase.index
                && last.phase == phase_name(phase)
                && !last.has_had(event)
                && !last.has_had(PhaseEvent::Complete)
        });
        if event == PhaseEvent::Start || !continues {
            self.begin(event, phase);
        }
        let Some(entry) = self.phases.back_mut() else { return };
        entry.counts = Counts::of(phase);
        entry.timed_out |= phase.timed_out;
        entry.phase_cancelled |= phase.cancelled;
        entry.phase_durations = PhaseDurations::at(event, phase, now);
        if event != PhaseEvent::Progress {
            entry.events.push(EventRecord::new(event, phase, timestamp));
        }
    }

    /// The content of a checkpoint, with the sum over all phases if `aggregate`.
    pub(super) fn checkpoint<'a>(&'a self, last_updated: &'a str, aggregate: bool) -> Checkpoint<'a> {
        Checkpoint {
            schema: "phasemeter.hook-metrics/1",
            last_updated,
            phases: &self.phases,
            dropped_phases: self.dropped.phases,
            dropped_events: self.dropped_events,
            aggregate: aggregate.then(|| self.dropped.with(&self.phases)),
        }
    }

    fn begin(&mut self, event: PhaseEvent, phase: &PhaseStats) {
        if self.phases.len() == MAX_PHASES
            && let Some(oldest) = self.phases.pop_front()
        {
            self.dropped.add(&oldest);
            self.dropped_events += oldest.events.len() as u64;
        }
        let instance = self.instances.entry(phase.kind).or_default();
        *instance += 1;
        self.phases.push_back(PhaseEntry {
            phase: phase_name(phase),
            instance: *instance,
            index: phase.index,
            // A recorder that missed the start tells it late, with a phase that is further on.
            start_seen: event == PhaseEvent::Start && phase.state == PhaseState::Started,
            timed_out: false,
            phase_cancelled: false,
            counts: Counts::default(),
            phase_durations: PhaseDurations::default(),
            events: Vec::new(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hook::event::tests::{PHASE, monitored, phase_at};
    use serde_json::{Value, json};

    fn tell(metrics: &mut Metrics, event: PhaseEvent) {
        let (phase, now) = phase_at(event);
        metrics.take(event, &phase, now, "now".into());
    }

    fn json_of(metrics: &Metrics) -> Value {
        serde_json::to_value(metrics.checkpoint("now", true)).unwrap()
    }

    const LIFE: [PhaseEvent; 3] = [PhaseEvent::Start, PhaseEvent::SendingComplete, PhaseEvent::Complete];

    #[test]
    fn a_phase_has_its_events_counts_and_durations() {
        let mut metrics = Metrics::default();
        tell(&mut metrics, PhaseEvent::Start);
        tell(&mut metrics, PhaseEvent::Progress);
        tell(&mut metrics, PhaseEvent::SendingComplete);
        tell(&mut metrics, PhaseEvent::Timeout);
        let timed_out = json_of(&metrics)["phases"][0].clone();
        assert_eq!(timed_out["phase_durations"], json!({"sending_duration": 5.2, "total_duration": 6.25}));
        assert_eq!((&timed_out["timed_out"], &timed_out["counts"]["in_flight"]), (&json!(true), &json!(10)));
        tell(&mut metrics, PhaseEvent::Complete);
        let counts = json!({
            "sent": 1000, "sent_sessions": 1000, "completed": 990, "cancelled": 10, "errors": 7, "in_flight": 0,
        });
        let json = json_of(&metrics);
        let phase = &json["phases"][0];
        assert_eq!(phase["counts"], counts);
        assert_eq!(phase["start_seen"], true);
        let events: Vec<_> = phase["events"].as_array().unwrap().iter().map(|event| &event["event"]).collect();
        assert_eq!(events, ["phase_start", "phase_sending_complete", "phase_timeout", "phase_complete"]);
        let mut last = counts;
        last["event"] = json!("phase_complete");
        last["timestamp"] = json!("now");
        last["phase"] = json!("warmup");
        assert_eq!(phase["events"][3], last);
    }

    #[test]
    fn a_phase_that_repeats_is_another_instance_and_the_aggregate_has_both() {
        let mut metrics = Metrics::default();
        LIFE.into_iter().chain(LIFE).for_each(|event| tell(&mut metrics, event));
        tell(&mut metrics, PhaseEvent::Start);
        let json = json_of(&metrics);
        let instances: Vec<_> =
            json["phases"].as_array().unwrap().iter().map(|phase| (&phase["instance"], &phase["start_seen"])).collect();
        let seen = json!(true);
        assert_eq!(instances, [(&json!(1), &seen), (&json!(2), &seen), (&json!(3), &seen)]);
        let expected = json!({
            "phases": 3, "completed_phases": 2, "timed_out_phases": 0,
            "sent": 2000, "sent_sessions": 2000, "completed": 1980, "cancelled": 20, "errors": 14, "in_flight": 0,
            "phase_durations": {"sending_duration": 10.4, "total_duration": 12.5},
        });
        assert_eq!(json["aggregate"], expected);
        assert!(serde_json::to_value(metrics.checkpoint("now", false)).unwrap().get("aggregate").is_none());
    }

    #[test]
    fn phases_that_a_firmware_names_are_counted_together() {
        let mut metrics = Metrics::default();
        tell(&mut metrics, PhaseEvent::Start);
        for index in 1..3 {
            let phase = PhaseStats { index, instance: index, ..monitored() };
            for event in LIFE {
                metrics.take(event, &phase, Instant::BOOT, "now".into());
            }
        }
        let json = json_of(&metrics);
        let told: Vec<_> =
            json["phases"].as_array().unwrap().iter().map(|phase| (&phase["phase"], &phase["instance"])).collect();
        let (warmup, named) = (json!("warmup"), json!("flash\u{fffd}write"));
        assert_eq!(told, [(&warmup, &json!(1)), (&named, &json!(1)), (&named, &json!(2))]);
    }

    #[test]
    fn an_event_without_its_start_is_kept_and_marked() {
        let mut metrics = Metrics::default();
        tell(&mut metrics, PhaseEvent::Complete);
        // Progress after the end is that of another phase; so is an end of sending.
        tell(&mut metrics, PhaseEvent::Progress);
        tell(&mut metrics, PhaseEvent::SendingComplete);
        tell(&mut metrics, PhaseEvent::SendingComplete);
        // A start that is told late.
        metrics.take(PhaseEvent::Start, &PHASE, Instant::BOOT, "now".into());
        let json = json_of(&metrics);
        let seen: Vec<_> = json["phases"]
            .as_array()
            .unwrap()
            .iter()
            .map(|phase| (phase["start_seen"] == true, phase["events"].as_array().unwrap().len()))
            .collect();
        assert_eq!(seen, [(false, 1), (false, 1), (false, 1), (false, 1)]);
        assert_eq!(json["phases"][0]["phase_durations"]["total_duration"], 6.25);
    }

    #[test]
    fn a_run_of_10_000_phases_stays_bounded_and_loses_no_sum() {
        let mut metrics = Metrics::default();
        let mut longest = 0;
        for phases in 1..=10_000 {
            for event in LIFE {
                tell(&mut metrics, event);
            }
            if phases % 500 == 0 {
                let length = serde_json::to_string_pretty(&metrics.checkpoint("now", true)).unwrap().len();
                assert!(length < 128 * 1024, "{length} bytes after {phases} phases");
                longest = longest.max(length);
            }
        }
        let json = json_of(&metrics);
        let phases = json["phases"].as_array().unwrap();
        assert_eq!(phases.len(), MAX_PHASES);
        assert_eq!(phases[MAX_PHASES - 1]["instance"], 10_000);
        assert_eq!(json["dropped_phases"], 10_000 - MAX_PHASES);
        assert_eq!(json["dropped_events"], 3 * (10_000 - MAX_PHASES));
        assert_eq!(json["aggregate"]["phases"], 10_000);
        assert_eq!(json["aggregate"]["sent"], 10_000_000);
        assert_eq!(json["aggregate"]["phase_durations"]["total_duration"], 62_500.0);
    }
}
