//! The protocol's text suffices: each kind of frame and command, read by the decoder that was written from it.

use super::golden;
use super::independent::{Fields, crc32, fnv1a, runs};
use super::values::{BOOT, BUCKETS, FIRST_COMMAND, VALUES};

/// The phases of the plan, in the words of [`Fields::phase`].
const WARMUP: &str = "warmup: GET /index.html; 8 at a time; for 2000000000 ns; grace 5000000000 ns";
const PROFILING: &str = "profiling: chat of 128 and 32 tokens; random, 12500 in 1000 s; 1000 requests; for 60000000000 ns; \
                         grace 10000000000 ns";
const COOLDOWN: &str = "cooldown: for a host, fedcba9876543210; constant, 5000 in 1000 s; 300 requests; grace 0 ns";

/// The fields behind the envelope of a golden frame.
fn body(name: &str, sequence: u32, uptime: u128, kind: u128) -> Fields {
    let mut fields = Fields::of_frame(&golden(name));
    assert_eq!((fields.byte(), fields.number()), (1, BOOT.into()), "version, boot");
    assert_eq!((fields.number(), fields.number(), fields.number()), (sequence.into(), uptime, kind), "{name}");
    fields
}

#[test]
fn a_hello_and_its_table() {
    assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    let mut hello = body("hello.bin", 0, 0, 0);
    assert_eq!([(); 3].map(|()| hello.string()), ["bench-é-07", "example", "1.2.3"]);
    assert_eq!((hello.number(), hello.number()), (25_000_000, 1), "clock, mode");
    assert_eq!(hello.number(), u128::from(u64::MAX), "plan hash");
    assert_eq!((hello.number(), hello.number(), hello.byte()), (2, 512, 32), "phases, capacity, counter bits");
    assert_eq!((hello.byte(), hello.number(), hello.number()), (6, 300, 0), "metrics, outside, skipped");
    assert!(hello.is_empty());

    let mut table = body("metrics.bin", 1, 1_000, 1);
    assert_eq!(table.byte(), 0, "the first id");
    let metrics: Vec<_> = (0..table.number()).map(|_| (table.string(), table.number())).collect();
    let names = ["response_time", "service_time", "schedule_lag", "time_to_first_token", "inter_token_latency"];
    let expected = names.map(|name| (name.to_owned(), 0)).into_iter().chain([("body_bytes".to_owned(), 1)]);
    assert!(metrics.into_iter().eq(expected));
    assert!(table.is_empty());
}

#[test]
fn a_phase_and_its_failures() {
    let mut failures = body("failures.bin", 126, 31_000_000_000, 3);
    assert_eq!(
        [(); 5].map(|()| failures.number()),
        [1, 1, 2, 0, 0],
        "phase, not connected, timed out, broken, malformed"
    );
    let statuses: Vec<_> = (0..failures.number()).map(|_| (failures.number(), failures.number())).collect();
    assert_eq!((statuses, failures.number()), (vec![(503, 2), (429, 1)], 0), "status codes and their counts, others");
    assert!(failures.is_empty());

    let mut phase = body("phase.bin", 127, 31_000_000_000, 2);
    assert_eq!((phase.number(), phase.number()), (1, 1), "index, kind");
    assert_eq!((phase.string(), phase.number(), phase.number()), (String::new(), 0, 2), "label, instance, state");
    assert_eq!((phase.byte(), phase.byte()), (1, 0), "timed out, cancelled");
    assert_eq!((phase.byte(), phase.number()), (1, 1_000_000_000), "started");
    assert_eq!((phase.byte(), phase.number()), (1, 31_000_000_000), "sending complete");
    assert_eq!(phase.byte(), 0, "not completed");
    assert_eq!([(); 5].map(|()| phase.number()), [650, 630, 6, 1, 1_024], "sent, completed, errors, cancelled, unsent");
    assert_eq!((phase.byte(), phase.number()), (1, 12), "at least, held");
    assert_eq!((phase.number(), phase.number()), (1_000_000_300, 30_505_000_300), "first, last");
    assert_eq!(phase.number(), 648 * 2_025_000_000_000_000 + 119_025_000_000_000_000, "squared gaps");
    assert_eq!((phase.number(), phase.number()), (3_126, 3), "samples, skipped");
    assert!(phase.is_empty());

    let mut phase = body("monitor_phase.bin", 6, 34_000_000_000, 2);
    assert_eq!((phase.number(), phase.number()), (300, 3), "index, kind");
    // The last two characters were too many.
    assert_eq!((phase.string(), phase.number()), ("écriture de la mémoire flash 3".to_owned(), 300), "label, instance");
    assert_eq!((phase.number(), phase.byte(), phase.byte()), (3, 0, 0), "state, timed out, cancelled");
    let times = [(); 3].map(|()| (phase.byte(), phase.number() / 1_000_000_000));
    assert_eq!(times, [(1, 2), (1, 34), (1, 34)], "started, sending complete, completed");
    let counts = ([(); 5].map(|()| phase.number()), phase.byte(), phase.number());
    assert_eq!(counts, ([0; 5], 0, 0), "no requests");
    assert_eq!([(); 3].map(|()| phase.number()), [0; 3], "first, last, squared gaps");
    assert_eq!((phase.number(), phase.number()), (u128::from(u64::MAX), 0), "samples, skipped");
    assert!(phase.is_empty());
}

#[test]
fn a_histogram() {
    let mut buckets = body("buckets.bin", 128, 31_000_001_000, 4);
    assert_eq!((buckets.number(), buckets.byte(), buckets.signed()), (1, 1, 8), "phase, metric, scale");
    let expected = BUCKETS.map(|(index, count)| (i64::from(index), count));
    assert_eq!(runs(&buckets.bytes()), expected);
    assert!(buckets.is_empty());

    let mut totals = body("totals.bin", u32::MAX, 31_000_002_000, 5);
    assert_eq!((totals.number(), totals.byte(), totals.signed()), (1, 1, 8), "phase, metric, scale");
    assert_eq!((totals.number(), totals.number()), (624, 4), "count, zero");
    assert_eq!((totals.number(), totals.number()), (0, 2_965_742_000), "minimum, maximum");
    assert_eq!((totals.byte(), totals.byte()), (1, 1), "minimum and maximum are exact");
    let times = VALUES.map(|(value, times)| (u128::from(value), u128::from(times)));
    assert_eq!(totals.number(), times.iter().map(|(value, times)| value * times).sum::<u128>(), "sum");
    assert_eq!(totals.number(), times.iter().map(|(value, times)| value * value * times).sum::<u128>(), "squares");
    assert_eq!(totals.byte(), 0, "nothing is saturated");
    // Between a value and the next other one there is one pair; zeros make none.
    let alike: u128 = times.iter().map(|(value, times)| value * value * (times - 1)).sum();
    let between: u128 = times.windows(2).map(|pair| pair[0].0 * pair[1].0).sum();
    assert_eq!(totals.number(), alike + between, "products");
    assert_eq!((totals.number(), totals.number()), (0, 2_965_742_000), "first, last");
    assert!(totals.is_empty());
}

#[test]
fn the_end_and_an_answer() {
    let mut end = body("finished.bin", 4, 32_000_000_000, 6);
    assert_eq!((end.number(), end.byte(), end.number()), (2, 1, 300), "phases, cancelled, skipped");
    assert!(end.is_empty());

    let mut answer = body("answer.bin", 5, 33_000_000_000, 7);
    assert_eq!((answer.number(), answer.number()), (300, 0x0123_4567_89ab_cdef), "command, plan hash");
    assert_eq!((answer.byte(), answer.number()), (6, 8), "too many phases, limit");
    assert!(answer.is_empty());
}

#[test]
fn the_plan_of_a_phase_and_the_words_of_a_failure() {
    let mut planned = body("phase_planned.bin", 7, 35_000_000_000, 8);
    assert_eq!(planned.number(), 1, "index");
    assert_eq!(planned.phase(), PROFILING);
    assert!(planned.is_empty());

    let mut detail = body("failure_detail.bin", 8, 36_000_000_000, 9);
    assert_eq!((detail.number(), detail.number(), detail.number()), (1, 2, 503), "phase, status, its code");
    assert_eq!(detail.string(), "{\"error\":\"le modèle n'est pas chargé\"}");
    assert!(detail.is_empty());
}

#[test]
fn commands_and_the_hash_of_the_plan_that_they_carry() {
    let bytes = golden("commands.bin");
    let segments = bytes.split(|byte| *byte == 0).filter(|segment| !segment.is_empty());
    let mut commands = (FIRST_COMMAND..).zip(segments).map(|(id, segment)| {
        let mut fields = Fields::of_frame(&[&[0], segment, &[0]].concat());
        assert_eq!((fields.byte(), fields.number()), (0x81, id.into()), "version, id");
        (fields.number(), fields)
    });
    let mut expect = |kind| {
        let (found, fields) = commands.next().unwrap();
        assert_eq!(found, kind);
        fields
    };
    assert!(expect(0).is_empty(), "identify");

    let mut prepare = expect(1);
    let (hash, seed, phases) = (prepare.number(), prepare.number(), prepare.number());
    assert_eq!((seed, phases, prepare.string().as_str()), (42, 3, "10.0.2.2:8080"));
    assert!(prepare.is_empty());

    // The seed, and a list of three phases.
    let mut content = vec![42, 3];
    for (index, phase) in (0..).zip([WARMUP, PROFILING, COOLDOWN]) {
        let mut fields = expect(2);
        assert_eq!(fields.number(), index, "index");
        content.extend(fields.rest());
        assert_eq!(fields.phase(), phase);
        assert!(fields.is_empty());
    }
    assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    assert_eq!(u128::from(fnv1a(&content)), hash);

    let mut start = expect(3);
    assert_eq!(start.number(), hash);
    assert!(start.is_empty() && expect(4).is_empty(), "start, stop");
    let mut of_phase = expect(5);
    assert_eq!((of_phase.number(), of_phase.byte(), of_phase.number()), (BOOT.into(), 1, 1), "boot, phase");
    let mut of_run = expect(5);
    assert_eq!((of_run.number(), of_run.byte()), (BOOT.into(), 0), "boot, the run");
    assert!(of_phase.is_empty() && of_run.is_empty() && expect(6).is_empty(), "resend");
    assert!(commands.next().is_none());
}
