//! Frames with sound checksums that say what is not so.

use phasemeter_core::metric::{Metric, Unit};
use phasemeter_core::name::Name;
use phasemeter_core::phase::{PhaseState, PhaseStats};
use phasemeter_core::plan::PhaseKind;
use phasemeter_core::telemetry::{
    Buckets, Envelope, FailureReport, Finished, Frame, Hello, MAX_ENCODED, MetricTotals, Mode, PhasePlanned,
    PhaseReport, decode, encode,
};
use phasemeter_core::time::{Duration, Instant};

use super::known::Pool;
use super::table::Table;
use super::trial::Truth;
use crate::random::Random;

/// Makes a lie of a frame; tells whether it can be made of this one.
type Lie = fn(&mut Envelope<'_>) -> bool;

/// Makes a lie of scale and counts.
type CountLie = fn(&mut i8, &mut Vec<(i32, u64)>);

/// Fields of one kind of frame that a lie is about.
macro_rules! lie {
    ($kind:ident($frame:pat) => $change:expr) => {
        |envelope| {
            let Frame::$kind($frame) = &mut envelope.frame else { return false };
            $change;
            true
        }
    };
}

const HELLO: [Lie; 11] = [
    lie!(Hello(Hello { device_id, .. }) => *device_id = "liar"),
    lie!(Hello(Hello { firmware_version, .. }) => *firmware_version = "6.6.6"),
    lie!(Hello(Hello { mode, .. }) => *mode = if *mode == Mode::Load { Mode::Monitor } else { Mode::Load }),
    lie!(Hello(Hello { mode, .. }) => *mode = Mode::Idle),
    lie!(Hello(Hello { plan_hash, .. }) => *plan_hash ^= 1),
    lie!(Hello(Hello { phases, .. }) => *phases += 1),
    lie!(Hello(Hello { phases, .. }) => *phases = phases.saturating_sub(1)),
    lie!(Hello(Hello { metrics, .. }) => *metrics += 1),
    lie!(Hello(Hello { metrics, .. }) => *metrics -= 1),
    lie!(Hello(Hello { outside, .. }) => *outside += 5),
    lie!(Hello(Hello { skipped, .. }) => *skipped += 7),
];

const METRICS: [Lie; 6] = [
    lie!(Metrics(table) => table.metrics[0].name = "lie"),
    lie!(Metrics(table) => table.metrics[0].name = ""),
    lie!(Metrics(table) => table.metrics[0].unit = other_unit(&table.metrics[0])),
    lie!(Metrics(table) => table.first += 1),
    lie!(Metrics(table) => table.metrics.swap(0, 1)),
    lie!(Metrics(table) => table.metrics[1].name = table.metrics[0].name),
];

const PHASE: [Lie; 18] = [
    lie!(Phase(PhaseReport { stats, .. }) => stats.kind = if stats.kind == PhaseKind::Warmup { PhaseKind::Profiling } else { PhaseKind::Warmup }),
    lie!(Phase(PhaseReport { stats, .. }) => stats.label = Name::cut("lie")),
    lie!(Phase(PhaseReport { stats, .. }) => stats.instance += 1),
    lie!(Phase(PhaseReport { stats, .. }) => stats.index += 1),
    lie!(Phase(PhaseReport { stats, .. }) => stats.index += 100),
    lie!(Phase(PhaseReport { stats, .. }) => back_to_start(stats)),
    lie!(Phase(PhaseReport { stats, .. }) => stats.started_at = Some(Instant::BOOT)),
    lie!(Phase(PhaseReport { stats, .. }) => later(&mut stats.completed_at)),
    lie!(Phase(PhaseReport { stats, .. }) => stats.counts.sent += 1),
    lie!(Phase(PhaseReport { stats, .. }) => stats.counts.completed += 1),
    lie!(Phase(PhaseReport { stats, .. }) => (stats.counts.sent, stats.counts.completed) = (stats.counts.sent + 1, stats.counts.completed + 1)),
    lie!(Phase(PhaseReport { stats, .. }) => stats.counts.errors += 1),
    lie!(Phase(PhaseReport { stats, .. }) => (stats.counts.sent, stats.counts.cancelled) = (stats.counts.sent + 1, stats.counts.cancelled + 1)),
    lie!(Phase(PhaseReport { stats, .. }) => stats.counts.unsent += 1),
    lie!(Phase(PhaseReport { samples, .. }) => *samples += 1),
    lie!(Phase(PhaseReport { samples, .. }) => *samples = samples.saturating_sub(1)),
    lie!(Phase(PhaseReport { stats, .. }) => stats.timed_out = true),
    lie!(Phase(PhaseReport { stats, .. }) => stats.cancelled = true),
];

const FAILURES: [Lie; 4] = [
    lie!(Failures(FailureReport { failures, .. }) => failures.broken += 1),
    lie!(Failures(FailureReport { failures, .. }) => failures.broken = failures.broken.saturating_sub(1)),
    lie!(Failures(FailureReport { failures, .. }) => (failures.broken, failures.timed_out) = (failures.broken + failures.timed_out, 0)),
    lie!(Failures(FailureReport { phase, .. }) => *phase += 1),
];

const TOTALS: [Lie; 19] = [
    lie!(Totals(MetricTotals { totals, .. }) => totals.count += 1),
    lie!(Totals(MetricTotals { totals, .. }) => totals.count -= 1),
    lie!(Totals(MetricTotals { totals, .. }) => totals.zero += 1),
    lie!(Totals(MetricTotals { totals, .. }) => (totals.count, totals.zero) = (totals.count + 1, totals.zero + 1)),
    lie!(Totals(MetricTotals { totals, .. }) => totals.sum += 1),
    lie!(Totals(MetricTotals { totals, .. }) => totals.sum *= 2),
    lie!(Totals(MetricTotals { totals, .. }) => totals.sum = totals.sum.saturating_sub(1)),
    lie!(Totals(MetricTotals { totals, .. }) => totals.sum_of_squares += totals.sum_of_squares / 64),
    lie!(Totals(MetricTotals { totals, .. }) => totals.min = totals.min.saturating_sub(1)),
    lie!(Totals(MetricTotals { totals, .. }) => totals.min += 1),
    lie!(Totals(MetricTotals { totals, .. }) => totals.max += 1),
    lie!(Totals(MetricTotals { totals, .. }) => totals.max = totals.max.saturating_sub(1)),
    lie!(Totals(MetricTotals { totals, .. }) => totals.scale -= 1),
    lie!(Totals(MetricTotals { totals, .. }) => totals.scale = 9),
    lie!(Totals(MetricTotals { totals, .. }) => totals.saturation = 15.try_into().expect("all flags")),
    lie!(Totals(MetricTotals { lag1, .. }) => lag1.products += 1),
    lie!(Totals(MetricTotals { lag1, .. }) => lag1.first += 1),
    lie!(Totals(MetricTotals { metric, .. }) => *metric = if *metric == 0 { 1 } else { *metric - 1 }),
    lie!(Totals(MetricTotals { phase, .. }) => *phase = u16::from(*phase == 0)),
];

const ENDS: [Lie; 5] = [
    lie!(Finished(Finished { phases, .. }) => *phases += 1),
    lie!(Finished(Finished { phases, .. }) => *phases -= 1),
    lie!(Finished(Finished { cancelled, .. }) => *cancelled = true),
    lie!(PhasePlanned(PhasePlanned { phase, .. }) => phase.grace = Duration::from_secs(1)),
    lie!(PhasePlanned(PhasePlanned { index, .. }) => *index = u16::from(*index == 0)),
];

const ENVELOPES: [Lie; 7] = [
    |envelope| set(&mut envelope.boot, |boot| boot ^ 1),
    |envelope| set(&mut envelope.sequence, |sequence| sequence + 1_000),
    |envelope| set(&mut envelope.sequence, |sequence| sequence.saturating_sub(3)),
    |envelope| set(&mut envelope.sequence, |sequence| sequence ^ 0x8000_0000),
    |envelope| set(&mut envelope.uptime, |_| Instant::BOOT),
    |envelope| set(&mut envelope.uptime, |_| Instant::MAX),
    |envelope| set(&mut envelope.version, |version| version + 1),
];

const COUNTS: [CountLie; 9] = [
    |_, counts| counts[0].1 += 1,
    |_, counts| counts[0].1 = counts[0].1.saturating_sub(1),
    |_, counts| counts[0].1 = u64::MAX,
    |_, counts| counts.iter_mut().for_each(|(index, _)| *index += 1),
    |_, counts| counts.iter_mut().for_each(|(index, _)| *index += 100_000),
    |_, counts| counts.push((counts[0].0 - 1, 1)),
    |_, counts| counts.clear(),
    |scale, _| *scale -= 1,
    |scale, _| *scale = 9,
];

pub(super) fn add(table: &mut Table, pool: &Pool) {
    let kinds: [(&str, &[Lie]); 7] = [
        ("hello", &HELLO),
        ("metric table", &METRICS),
        ("phase report", &PHASE),
        ("failures", &FAILURES),
        ("totals", &TOTALS),
        ("plan and end", &ENDS),
        ("boot, number or time", &ENVELOPES),
    ];
    for (kind, lies) in kinds {
        table.add("lying frame", format!("{kind}: {} lies", lies.len()), |random| {
            let (sent, lie) = (pool.any(random), random.pick(lies));
            let told = lines(&sent.frames, random, |frame| {
                let mut told = false;
                let frame = edit(frame, |envelope| told = lie(envelope));
                told.then_some(frame)
            });
            Truth { is_honest: false, resets: 1, ..Truth::of([sent]) }.of_lines(&[told], random)
        });
    }
    table.add("lying frame", format!("bucket counts: {} lies", COUNTS.len()), |random| {
        let (sent, lie) = (pool.any(random), random.pick(&COUNTS));
        let told = lines(&sent.frames, random, |frame| {
            let (mut scale, mut counts) = counts(frame)?;
            lie(&mut scale, &mut counts);
            with_counts(frame, scale, &counts)
        });
        Truth { is_honest: false, ..Truth::of([sent]) }.of_lines(&[told], random)
    });
}

/// The frames with one lie: after a frame that it can be made of, or in its place if the device says the same elsewhere. What
/// nobody contradicts is no lie to anyone.
fn lines(frames: &[Vec<u8>], random: &mut Random, lie: impl Fn(&[u8]) -> Option<Vec<u8>>) -> Vec<u8> {
    let lies: Vec<_> = frames.iter().enumerate().filter_map(|(at, frame)| Some((at, lie(frame)?))).collect();
    let mut told = frames.to_vec();
    if !lies.is_empty() {
        let (at, lie) = random.pick(&lies);
        let subject = read(&frames[*at], subject);
        let is_contradicted = frames.iter().filter(|frame| read(frame, self::subject) == subject).count() > 1;
        if is_contradicted && random.below(2) == 0 {
            told[*at].clone_from(lie);
        } else {
            told.insert(at + 1, lie.clone());
        }
    }
    told.concat()
}

/// What a frame is about: its kind, and what of the run.
fn subject(envelope: &Envelope<'_>) -> (u8, u16, u8) {
    match &envelope.frame {
        Frame::Hello(_) => (0, 0, 0),
        Frame::Metrics(table) => (1, 0, table.first),
        Frame::Phase(report) => (2, report.stats.index, 0),
        Frame::Failures(report) => (3, report.phase, 0),
        Frame::Buckets(buckets) => (4, buckets.phase, buckets.metric),
        Frame::Totals(totals) => (5, totals.phase, totals.metric),
        Frame::PhasePlanned(planned) => (6, planned.index, 0),
        _ => (7, 0, 0),
    }
}

/// What a frame says.
pub(super) fn read<T>(frame: &[u8], of: impl FnOnce(&Envelope<'_>) -> T) -> T {
    let mut segment = frame[1..frame.len() - 1].to_vec();
    of(&decode(&mut segment).expect("the frame is sound"))
}

/// A frame that says something else, with a sound checksum.
pub(super) fn edit(frame: &[u8], change: impl FnOnce(&mut Envelope<'_>)) -> Vec<u8> {
    let mut segment = frame[1..frame.len() - 1].to_vec();
    let mut envelope = decode(&mut segment).expect("the frame is sound");
    change(&mut envelope);
    sealed(&envelope).expect("it is hardly longer than before")
}

/// What counts a frame has, and at which scale.
pub(super) fn counts(frame: &[u8]) -> Option<(i8, Vec<(i32, u64)>)> {
    read(frame, |envelope| {
        let Frame::Buckets(buckets) = &envelope.frame else { return None };
        let mut counts = Vec::new();
        buckets.for_each(|index, count| counts.push((index, count))).expect("the counts are sound");
        Some((buckets.scale, counts))
    })
}

/// The frame with other counts; `None` if it has none, or they do not fit.
pub(super) fn with_counts(frame: &[u8], scale: i8, told: &[(i32, u64)]) -> Option<Vec<u8>> {
    let mut segment = frame[1..frame.len() - 1].to_vec();
    let Envelope { version, boot, sequence, uptime, frame } = decode(&mut segment).expect("the frame is sound");
    let Frame::Buckets(buckets) = frame else { return None };
    let counts = encode_counts(told);
    let frame = Frame::Buckets(Buckets { scale, counts: &counts, ..buckets });
    sealed(&Envelope { version, boot, sequence, uptime, frame })
}

fn sealed(envelope: &Envelope<'_>) -> Option<Vec<u8>> {
    let mut encoded = vec![0; MAX_ENCODED];
    let length = encode(envelope, &mut encoded).ok()?;
    encoded.truncate(length);
    Some(encoded)
}

/// The counts as the protocol has them: runs of neighbours, each count as its difference from the one before.
fn encode_counts(counts: &[(i32, u64)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for run in counts.chunk_by(|(index, _), (next, _)| *index + 1 == *next) {
        varint(&mut bytes, zigzag(run[0].0.into()));
        varint(&mut bytes, run.len() as u64);
        let mut before = 0_u64;
        for (_, count) in run {
            varint(&mut bytes, zigzag(count.wrapping_sub(before).cast_signed()));
            if *count == before {
                // No further ones.
                varint(&mut bytes, 0);
            }
            before = *count;
        }
    }
    bytes
}

fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

fn varint(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    bytes.push(number.to_le_bytes()[0]);
}

fn set<T: Copy>(field: &mut T, to: impl FnOnce(T) -> T) -> bool {
    *field = to(*field);
    true
}

fn other_unit(metric: &Metric<'_>) -> Unit {
    if metric.unit == Unit::Count { Unit::Nanoseconds } else { Unit::Count }
}

fn later(at: &mut Option<Instant>) {
    *at = at.map(|at| at.saturating_add(Duration::from_nanos(1)));
}

fn back_to_start(stats: &mut PhaseStats) {
    (stats.state, stats.sending_complete_at, stats.completed_at) = (PhaseState::Started, None, None);
}
