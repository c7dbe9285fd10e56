//! What the golden files say, as the library's types.

use phasemeter_core::autocorrelation::Lag1;
use phasemeter_core::histogram::LatencyHistogram;
use phasemeter_core::metric::{LoadMetric, Metric};
use phasemeter_core::name::Name;
use phasemeter_core::outcome::{Failure, Failures};
use phasemeter_core::phase::{Phase, PhaseCounts, PhaseState, PhaseStats, Sends};
use phasemeter_core::plan::{Arrival, PhaseKind, PhasePlan, Rate, RunPlan, Stop, Workload};
use phasemeter_core::telemetry::{
    Answer, Buckets, Command, Envelope, FailureDetail, FailureReport, Finished, Frame, Hello, MetricTable,
    MetricTotals, Mode, PhasePlanned, PhaseReport, Reason, VERSION,
};
use phasemeter_core::time::{Duration, Instant};

/// Runs of counts, written by hand: buckets −3 to 1 hold 0, 0, 7, 7, 7, and buckets 400 and 401 hold 300 and 299.
const COUNTS: [u8; 13] = [0x05, 0x05, 0x00, 0x01, 0x0e, 0x00, 0x01, 0xa0, 0x06, 0x02, 0xd8, 0x04, 0x01];
pub(crate) const BUCKETS: [(i32, u64); 7] = [(-3, 0), (-2, 0), (-1, 7), (0, 7), (1, 7), (400, 300), (401, 299)];

/// A value inside each of the used buckets in nanoseconds, and how often it was recorded.
pub(crate) const VALUES: [(u64, u64); 5] =
    [(998_646_901, 7), (1_001_354_933, 7), (1_004_070_000, 7), (2_957_721_000, 300), (2_965_742_000, 299)];

/// These values and four zeros, in this order.
fn lag1() -> Lag1 {
    [(0, 4)].iter().chain(&VALUES).flat_map(|(value, times)| (0..*times).map(|_| *value)).collect()
}

/// The histogram with these buckets and four zeros.
pub(crate) fn histogram() -> LatencyHistogram<512> {
    let mut histogram = LatencyHistogram::new();
    histogram.record_n(0, 4);
    for (value, times) in VALUES {
        histogram.record_n(value, times);
    }
    histogram
}

/// The boot that all frames are of.
pub(crate) const BOOT: u32 = 0x89ab_cdef;

/// A metric of the device's own, behind those of a load generator.
pub(crate) const OWN: Metric<'static> = Metric::count("body_bytes");

const fn seconds(seconds: u64) -> Instant {
    Instant::from_nanos(seconds * 1_000_000_000)
}

/// Each kind of frame, and the report of a monitored phase: its file and its value.
pub(crate) fn frames() -> [(&'static str, Envelope<'static>); 11] {
    let envelope = |sequence, micros: u64, frame| {
        let uptime = Instant::from_nanos(1_000 * micros);
        Envelope { version: VERSION, boot: BOOT, sequence, uptime, frame }
    };
    let hello = Hello {
        device_id: "bench-é-07",
        firmware: "example",
        firmware_version: "1.2.3",
        clock_hz: 25_000_000,
        mode: Mode::Load,
        plan_hash: u64::MAX,
        phases: 2,
        capacity: 512,
        counter_bits: 32,
        metrics: 6,
        outside: 300,
        skipped: 0,
    };
    let table = MetricTable { first: 0, metrics: LoadMetric::TABLE.into_iter().chain([OWN]).collect() };
    let buckets = Buckets { phase: 1, metric: 1, scale: 8, counts: &COUNTS };
    let totals = MetricTotals { phase: 1, metric: 1, totals: histogram().totals(), lag1: lag1() };
    let finished = Finished { phases: 2, cancelled: true, skipped: 300 };
    let answer = Answer { command: 300, plan_hash: 0x0123_4567_89ab_cdef, reason: Reason::TOO_MANY_PHASES, detail: 8 };
    let [_, phase, _] = phases();
    let planned = PhasePlanned { index: 1, phase };
    let detail =
        FailureDetail {
            phase: 1, failure: Failure::Status(503), detail: "{\"error\":\"le modèle n'est pas chargé\"}"
        };
    [
        ("hello.bin", envelope(0, 0, Frame::Hello(hello))),
        ("metrics.bin", envelope(1, 1, Frame::Metrics(table))),
        ("failures.bin", envelope(126, 31_000_000, Frame::Failures(failures()))),
        ("phase.bin", envelope(127, 31_000_000, Frame::Phase(load_phase()))),
        ("buckets.bin", envelope(128, 31_000_001, Frame::Buckets(buckets))),
        ("totals.bin", envelope(u32::MAX, 31_000_002, Frame::Totals(totals))),
        ("finished.bin", envelope(4, 32_000_000, Frame::Finished(finished))),
        ("answer.bin", envelope(5, 33_000_000, Frame::Answer(answer))),
        ("monitor_phase.bin", envelope(6, 34_000_000, Frame::Phase(monitored_phase()))),
        ("phase_planned.bin", envelope(7, 35_000_000, Frame::PhasePlanned(planned))),
        ("failure_detail.bin", envelope(8, 36_000_000, Frame::FailureDetail(detail))),
    ]
}

fn failures() -> FailureReport {
    let statuses = [(503, 2), (429, 1)].into_iter().collect();
    let failures = Failures { not_connected: 1, timed_out: 2, statuses, ..Failures::default() };
    FailureReport { phase: 1, failures }
}

fn load_phase() -> PhaseReport {
    PhaseReport {
        stats: PhaseStats {
            index: 1,
            kind: PhaseKind::Profiling,
            label: Name::EMPTY,
            instance: 0,
            state: PhaseState::SendingComplete,
            timed_out: true,
            cancelled: false,
            started_at: Some(seconds(1)),
            sending_complete_at: Some(seconds(31)),
            completed_at: None,
            counts: PhaseCounts {
                sent: 650,
                completed: 630,
                errors: 6,
                cancelled: 1,
                unsent: 1024,
                unsent_at_least: true,
                held: 12,
            },
            // 649 gaps of 45 ms, but for one of 345 ms.
            sends: Sends {
                first: Instant::from_nanos(1_000_000_300),
                last: Instant::from_nanos(30_505_000_300),
                squared_gaps: 648 * 45_000_000_u128.pow(2) + 345_000_000_u128.pow(2),
            },
        },
        samples: 3_126,
        skipped: 3,
    }
}

fn monitored_phase() -> PhaseReport {
    let stats = PhaseStats {
        state: PhaseState::Complete,
        started_at: Some(seconds(2)),
        sending_complete_at: Some(seconds(34)),
        completed_at: Some(seconds(34)),
        ..*Phase::monitored(300, Name::cut("écriture de la mémoire flash 300")).stats()
    };
    PhaseReport { stats, samples: u64::MAX, skipped: 0 }
}

/// The phases of the plan that the commands carry.
fn phases() -> [PhasePlan; 3] {
    let warmup = PhasePlan {
        kind: PhaseKind::Warmup,
        workload: Workload::get("/index.html").unwrap(),
        arrival: Arrival::ClosedLoop { concurrency: 8 },
        stop: Stop::after(Duration::from_secs(2)),
        grace: Duration::from_secs(5),
    };
    let profiling = PhasePlan {
        kind: PhaseKind::Profiling,
        workload: Workload::Chat { prompt_tokens: 128, output_tokens: 32 },
        arrival: Arrival::Poisson { rate: Rate::per_kilosecond(12_500) },
        stop: Stop { requests: Some(1_000), duration: Some(Duration::from_secs(60)) },
        grace: Duration::from_secs(10),
    };
    let cooldown = PhasePlan {
        kind: PhaseKind::Cooldown,
        workload: Workload::Host { content: 0xfedc_ba98_7654_3210 },
        arrival: Arrival::constant(5),
        stop: Stop::requests(300),
        grace: Duration::ZERO,
    };
    [warmup, profiling, cooldown]
}

/// The plan that the commands carry.
pub(crate) fn plan() -> RunPlan<3> {
    let mut plan = RunPlan::new(42);
    for phase in phases() {
        plan.push(phase).unwrap();
    }
    plan
}

/// The id of the first command; the others count on.
pub(crate) const FIRST_COMMAND: u32 = 126;

/// Each kind of command, in the order of kinds.
pub(crate) fn commands() -> Vec<Command<'static>> {
    let plan = plan();
    let (plan_hash, seed) = (plan.content_hash(), plan.seed());
    let mut commands =
        vec![Command::Identify, Command::Prepare { plan_hash, seed, phases: 3, target: "10.0.2.2:8080" }];
    commands.extend((0..).zip(plan.phases()).map(|(index, phase)| Command::Phase { index, phase: phase.clone() }));
    commands.extend([
        Command::Start { plan_hash },
        Command::Stop,
        Command::Acknowledge { boot: BOOT, phase: Some(1) },
        Command::Acknowledge { boot: BOOT, phase: None },
        Command::Resend,
    ]);
    commands
}

/// Text that other parts of a firmware print before, between and after the frames.
pub(crate) const TEXTS: [&str; 3] = ["\x1b[32mboot\x1b[0m: Zürich\r\n", "warning: 3 retries\n", "bye\n"];
