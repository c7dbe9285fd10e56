//! A JSON file with the events and durations of the phases, replaced after each event.

use std::path::PathBuf;

use phasemeter_core::hook::{PhaseEvent, PhaseHook};
use phasemeter_core::phase::PhaseStats;
use phasemeter_core::time::Instant;
use serde::{Deserialize, Serialize};
use serde_json::ser::{PrettyFormatter, Serializer};

use super::event::timestamp;
use super::metrics::Metrics;
use super::{HookError, HookFailures, WriteError, create_parent};
use crate::atomic::{check_writable, write_atomically};

/// How a [`JsonMetricsHook`] writes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JsonMetricsConfig {
    /// The JSON file. It is replaced at the first event.
    pub metrics_file: PathBuf,
    /// Whether the sum over all phases is added; default: yes.
    #[serde(default = "yes")]
    pub aggregate: bool,
    /// Whether the file's directory is made if it does not exist; default: yes.
    #[serde(default = "yes")]
    pub create_dirs: bool,
    /// How many spaces a level is indented by, or 0 for a single line; default: 2.
    #[serde(default = "indent")]
    pub indent: u8,
}

fn yes() -> bool {
    true
}

fn indent() -> u8 {
    2
}

impl JsonMetricsConfig {
    /// Writes to this file, everything else by default.
    pub fn new(metrics_file: impl Into<PathBuf>) -> Self {
        Self { metrics_file: metrics_file.into(), aggregate: yes(), create_dirs: yes(), indent: indent() }
    }
}

/// Replaces a JSON file after each event; progress only updates what the next event writes.
///
/// A reader sees a whole checkpoint at any time, and a process that is killed leaves the last one: it is written beside
/// the file, synced, renamed over it. A process that is killed in the middle leaves one `.NAME.RANDOM.tmp` as well.
///
/// ```json
/// {
///   "schema": "phasemeter.hook-metrics/1",
///   "last_updated": "2026-01-15T10:30:51.173Z",
///   "phases": [
///     {
///       "phase": "warmup",
///       "instance": 1,
///       "index": 0,
///       "start_seen": true,
///       "timed_out": false,
///       "phase_cancelled": false,
///       "counts": {
///         "sent": 100, "sent_sessions": 100, "completed": 98, "cancelled": 0, "errors": 1, "in_flight": 2
///       },
///       "phase_durations": { "sending_duration": 5.2, "total_duration": null },
///       "events": [
///         {
///           "event": "phase_start", "timestamp": "2026-01-15T10:30:45.001Z", "phase": "warmup",
///           "sent": 0, "sent_sessions": 0, "completed": 0, "cancelled": 0, "errors": 0, "in_flight": 0
///         }
///       ]
///     }
///   ],
///   "dropped_phases": 0,
///   "dropped_events": 0,
///   "aggregate": {
///     "phases": 1, "completed_phases": 0, "timed_out_phases": 0,
///     "sent": 100, "sent_sessions": 100, "completed": 98, "cancelled": 0, "errors": 1, "in_flight": 2,
///     "phase_durations": { "sending_duration": 5.2, "total_duration": null }
///   }
/// }
/// ```
///
/// - Timestamps are the host's, UTC, when the event reached it. Durations are in seconds, by the device's clock;
///   `total_duration` of a phase that timed out is known from then on. In the aggregate, both are sums.
/// - The events are `phase_start`, `phase_sending_complete`, `phase_timeout` and `phase_complete`.
/// - A phase that repeats, as after a reset, is another entry. `instance` counts the phases of each kind; those that a
///   firmware names are of one kind.
/// - `start_seen` is false if the start was not told, or told late: the counts of its event are later ones then.
/// - The last 64 phases are kept, with at most four events each. Older ones are counted in `dropped_phases` and
///   `dropped_events`; the aggregate has them all.
#[derive(Debug)]
pub struct JsonMetricsHook {
    config: JsonMetricsConfig,
    metrics: Metrics,
    failures: HookFailures,
}

impl JsonMetricsHook {
    /// A hook that writes as configured. A file beside the JSON file is made and removed now, so that an unusable path
    /// is told before the run.
    ///
    /// # Errors
    /// [`HookError`] if the file could not be written.
    pub fn new(config: JsonMetricsConfig) -> Result<Self, HookError> {
        if config.create_dirs {
            create_parent(&config.metrics_file)?;
        }
        check_writable(&config.metrics_file)?;
        Ok(Self { config, metrics: Metrics::default(), failures: HookFailures::new("JSON metrics") })
    }

    /// Counts the checkpoints that could not be written. The next event tries again, with everything so far.
    pub fn failures(&self) -> &HookFailures {
        &self.failures
    }

    fn write(&self, timestamp: &str) -> Result<(), HookError> {
        let checkpoint = self.metrics.checkpoint(timestamp, self.config.aggregate);
        let mut json = Vec::new();
        let written = if self.config.indent == 0 {
            serde_json::to_writer(&mut json, &checkpoint)
        } else {
            let indent = vec![b' '; usize::from(self.config.indent)];
            let formatter = PrettyFormatter::with_indent(&indent);
            checkpoint.serialize(&mut Serializer::with_formatter(&mut json, formatter))
        };
        written.map_err(std::io::Error::from).map_err(WriteError::at(&self.config.metrics_file))?;
        json.push(b'\n');
        Ok(write_atomically(&self.config.metrics_file, &json)?)
    }
}

impl PhaseHook for JsonMetricsHook {
    fn on_event(&mut self, event: PhaseEvent, phase: &PhaseStats, now: Instant) {
        let timestamp = timestamp();
        self.metrics.take(event, phase, now, timestamp.clone());
        if event != PhaseEvent::Progress {
            self.failures.check(self.write(&timestamp));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hook::event::name;
    use crate::hook::event::tests::{EVENTS, phase_at};
    use serde_json::Value;
    use std::fs;

    fn tell(hook: &mut JsonMetricsHook, event: PhaseEvent) {
        let (phase, now) = phase_at(event);
        hook.on_event(event, &phase, now);
    }

    #[test]
    fn each_event_writes_a_checkpoint_and_progress_does_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deep/er/metrics.json");
        let mut hook = JsonMetricsHook::new(JsonMetricsConfig::new(&path)).unwrap();
        assert!(!path.exists());
        let mut events = 0;
        for event in EVENTS {
            let before = fs::read(&path).ok();
            tell(&mut hook, event);
            if event == PhaseEvent::Progress {
                assert_eq!(fs::read(&path).ok(), before);
                continue;
            }
            events += 1;
            let json: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
            assert_eq!(json["schema"], "phasemeter.hook-metrics/1");
            let told = json["phases"][0]["events"].as_array().unwrap();
            assert_eq!((told.len(), &told[events - 1]["event"]), (events, &Value::from(name(event))));
            assert_eq!(json["last_updated"], told[events - 1]["timestamp"]);
        }
        assert_eq!((events, hook.failures().count()), (4, 0));
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn the_file_is_indented_as_asked() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("metrics.json");
        for (indent, lines) in [(0, 1), (3, 41)] {
            let config = JsonMetricsConfig { indent, aggregate: false, ..JsonMetricsConfig::new(&path) };
            tell(&mut JsonMetricsHook::new(config).unwrap(), PhaseEvent::Start);
            let text = fs::read_to_string(&path).unwrap();
            assert!(text.ends_with("}\n"));
            assert_eq!(text.lines().count(), lines);
            assert_eq!(text.contains("\n   \"phases\": [\n      {\n"), indent == 3);
        }
    }

    #[test]
    fn an_unusable_path_is_told_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let config = JsonMetricsConfig::new(directory.path().join("missing/metrics.json"));
        let without = JsonMetricsConfig { create_dirs: false, ..config };
        let error = JsonMetricsHook::new(without).unwrap_err().to_string();
        assert!(error.starts_with("cannot write "), "{error}");
        JsonMetricsHook::new(JsonMetricsConfig::new(directory.path())).unwrap_err();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_configuration_is_read_with_its_defaults() {
        let config: JsonMetricsConfig = serde_json::from_str(r#"{"metrics_file": "a"}"#).unwrap();
        assert_eq!(config, JsonMetricsConfig::new("a"));
        serde_json::from_str::<JsonMetricsConfig>(r#"{"metrics_file": "a", "indents": 2}"#).unwrap_err();
    }
}
