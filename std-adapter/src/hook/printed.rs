//! What hooks write of a phase, against its exact integers: every number of a log and of a checkpoint.

use std::fs;
use std::time::{Duration as Length, UNIX_EPOCH};

use phasemeter_core::phase::PhaseCounts;
use phasemeter_core::time::Duration;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::event::tests::{EVENTS, PHASE, phase_at};
use super::*;

/// A phase's start and lengths in nanoseconds, and its counts.
fn phases() -> impl Strategy<Value = PhaseStats> {
    let length = || (any::<u64>(), 1..60_u32).prop_map(|(nanos, shift)| (nanos >> shift) / 4);
    let count = || (any::<u64>(), 0..64_u32).prop_map(|(count, shift)| count >> shift >> 2);
    (length(), length(), length(), [count(), count(), count(), count()]).prop_map(|(start, sending, more, counts)| {
        let [completed, errors, cancelled, in_flight] = counts;
        let sent = completed + cancelled + in_flight;
        let at = |nanos| Some(Instant::from_nanos(nanos));
        PhaseStats {
            started_at: at(start),
            sending_complete_at: at(start + sending),
            completed_at: at(start + sending + more),
            counts: PhaseCounts { sent, completed, errors: errors.min(completed), cancelled, ..PHASE.counts },
            ..PHASE
        }
    })
}

/// Seconds with as many decimals, rounded to the nearest, in integers.
fn is_nearest(printed: &str, nanos: u64) -> bool {
    let (whole, decimals) = printed.split_once('.').unwrap();
    let digits: u128 = format!("{whole}{decimals}").parse().unwrap();
    let one = 10_u128.pow(9 - u32::try_from(decimals.len()).unwrap());
    // What is exact as a double is off by less than a millionth of the last digit below 2^53 nanoseconds.
    (digits * one).abs_diff(u128::from(nanos)) * 2 <= one + one / 1_000_000 + u128::from(nanos >> 52)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn every_number_of_a_log_and_of_a_checkpoint_is_that_of_the_phase(phase in phases(), unix_ms in 0..4_102_444_800_000_u64) {
        let directory = tempfile::tempdir().unwrap();
        let (log, file) = (directory.path().join("log"), directory.path().join("m.json"));
        let mut hooks = Hooks::new();
        hooks.push(FileLogHook::new(FileLogConfig { verbose: true, ..FileLogConfig::new(&log) }).unwrap());
        hooks.push(JsonMetricsHook::new(JsonMetricsConfig::new(&file)).unwrap());
        let time = UNIX_EPOCH + Length::from_millis(unix_ms);
        let (started, sent, over) = (phase.started_at.unwrap(), phase.sending_complete_at.unwrap(), phase.completed_at.unwrap());
        for event in EVENTS {
            let (like, _) = phase_at(event);
            let stats = PhaseStats {
                sending_complete_at: like.sending_complete_at.and(phase.sending_complete_at),
                completed_at: like.completed_at.and(phase.completed_at),
                state: like.state,
                timed_out: like.timed_out,
                ..phase
            };
            let now = match event {
                PhaseEvent::Start | PhaseEvent::Progress => started,
                PhaseEvent::SendingComplete => sent,
                _ => over,
            };
            told_at(time, || hooks.on_event(event, &stats, now));
        }
        let (sending, total) = (sent.since(started), over.since(started));
        let PhaseCounts { sent, completed, errors, cancelled, .. } = phase.counts;
        let (sessions, in_flight) = (phase.counts.sessions(), phase.counts.in_flight());

        let at = humantime::format_rfc3339_millis(time).to_string();
        let log = fs::read_to_string(&log).unwrap();
        let expected = [
            (String::from("PHASE_START: warmup"), None),
            (format!("PHASE_SENDING_COMPLETE: warmup | Sent: {sent}, Sessions: {sessions}"), Some(sending)),
            (format!("PHASE_TIMEOUT: warmup | In-Flight: {in_flight}"), Some(total)),
            (format!("PHASE_COMPLETE: warmup | Completed: {completed}, Cancelled: {cancelled}, Errors: {errors}"), Some(total)),
        ];
        prop_assert_eq!(log.lines().count(), expected.len());
        for (line, (begin, length)) in log.lines().zip(expected) {
            let begin = format!("[{}] {begin}", at.replacen('T', " ", 1));
            let rest = line.strip_prefix(&begin);
            match length {
                None => prop_assert_eq!(rest, Some("")),
                Some(length) => {
                    let told = rest.and_then(|rest| rest.strip_prefix(", Duration: ")?.strip_suffix('s'));
                    prop_assert!(told.is_some_and(|told| is_nearest(told, length.as_nanos())), "{line}");
                }
            }
        }

        let written: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        let counts = json!({
            "sent": sent, "sent_sessions": sessions, "completed": completed, "cancelled": cancelled, "errors": errors,
            "in_flight": in_flight,
        });
        let told = &written["phases"][0];
        prop_assert_eq!(&told["counts"], &counts);
        let exact = |length: Duration| Length::from_nanos(length.as_nanos()).as_secs_f64();
        let durations = json!({"sending_duration": exact(sending), "total_duration": exact(total)});
        prop_assert_eq!((&told["phase_durations"], &written["aggregate"]["phase_durations"]), (&durations, &durations));
        for (name, count) in counts.as_object().unwrap() {
            prop_assert_eq!(&written["aggregate"][name], count);
            prop_assert!(told["events"].as_array().unwrap().iter().all(|event| event[name] == *count && event["timestamp"] == *at));
        }
    }
}
