//! When a run is complete, and what is not believed.

use phasemeter_core::autocorrelation::Lag1;
use phasemeter_core::histogram::Totals;
use phasemeter_core::metric::Metric;
use phasemeter_core::name::Name;
use phasemeter_core::outcome::{Failure, Failures};
use phasemeter_core::phase::{PhaseCounts, PhaseState, PhaseStats, Sends};
use phasemeter_core::plan::{PhaseKind, PhasePlan};
use phasemeter_core::telemetry::{FailureReport, Finished, Frame, Hello, MetricTable, MetricTotals, Mode, decode};
use phasemeter_core::time::{Duration, Instant};

use super::device::{loaded, monitored, plan};
use super::script::{Script, complete, stats};
use super::session;
use crate::session::{Missing, Note, PhaseLack, PhaseTelemetry, Problem, Session};

/// A run of one phase of ten samples, as far as it is the same in each test.
fn begun() -> Script {
    Script::default().hello(1).table()
}

#[test]
fn everything_that_was_told_of_has_to_come() {
    let whole = begun().phase(complete(0), 10).zeros(0, 0, 10).finished(1);
    assert_eq!(whole.check(), Ok(()));
    let lacks = |script: Script, lack: Missing| assert_eq!(script.check(), Err(lack));
    lacks(Script::default(), Missing::Frames);
    lacks(begun(), Missing::End);
    lacks(Script::default().table().phase(complete(0), 10).zeros(0, 0, 10).finished(1), Missing::Hello);
    lacks(begun().zeros(0, 0, 10).finished(1), Missing::Phase(0, PhaseLack::Report));
    lacks(begun().finished(1), Missing::Phase(0, PhaseLack::All));
    lacks(
        begun().phase(complete(0), 10).zeros(0, 0, 9).finished(1),
        Missing::Phase(0, PhaseLack::Samples { observed: 9, expected: 10 }),
    );
    lacks(Script::default().hello(1).phase(complete(0), 10).zeros(0, 0, 10).finished(1), Missing::Name(0));
    let cancelled = Frame::Finished(Finished { phases: 1, cancelled: true, skipped: 0 });
    lacks(begun().phase(complete(0), 10).zeros(0, 0, 10).say(cancelled), Missing::Cancelled);
    let cancelled = PhaseStats { cancelled: true, ..complete(0) };
    lacks(begun().phase(cancelled, 10).zeros(0, 0, 10).finished(1), Missing::Cancelled);
}

/// A run that said it was finished, at 28.7 % of what it had measured.
#[test]
fn a_phase_that_has_not_ended_is_missing_whatever_the_end_of_the_run_says() {
    let first = Script::default().hello(2).table().phase(complete(0), 287).zeros(0, 0, 287);
    let second = first.clone().phase(stats(1, PhaseState::Started), 713).finished(2);
    assert_eq!(second.check(), Err(Missing::Phase(1, PhaseLack::End(PhaseState::Started))));
    assert_eq!(first.clone().finished(2).check(), Err(Missing::Phase(1, PhaseLack::All)));
    // Nor may it say that there were fewer phases, or have more than it said.
    assert_eq!(first.clone().finished(1).check(), Err(Missing::Phases { planned: 2, run: 1 }));
    let third = first.clone().phase(complete(1), 0).phase(complete(2), 0);
    assert_eq!(third.finished(2).check(), Err(Missing::Problem(Problem::PhaseBeyond(2))));
    assert_eq!(first.phase(complete(1), 0).finished(3).check(), Err(Missing::Problem(Problem::PhaseBeyond(2))));
}

#[test]
fn failures_are_whole_when_their_causes_are_the_errors() {
    let counts = PhaseCounts { sent: 10, completed: 10, errors: 3, ..PhaseCounts::default() };
    let failed = |broken| {
        Frame::Failures(FailureReport { phase: 0, failures: Failures { broken, timed_out: 1, ..Failures::NONE } })
    };
    let phase = |script: Script| script.phase(PhaseStats { counts, ..complete(0) }, 10).zeros(0, 0, 10).finished(1);
    assert_eq!(phase(begun().say(failed(2))).check(), Ok(()));
    let lack = PhaseLack::Failures { known: 2, errors: 3 };
    assert_eq!(phase(begun().say(failed(1))).check(), Err(Missing::Phase(0, lack)));
    let lack = PhaseLack::Failures { known: 0, errors: 3 };
    assert_eq!(phase(begun()).check(), Err(Missing::Phase(0, lack)));
    // More causes than errors are a later state of a phase: whose counts they do not belong to.
    let later = phase(begun().say(failed(3)));
    assert_eq!(later.check(), Err(Missing::Phase(0, lack)));
    assert_eq!(session(&later.0).boots()[0].phase(0).unwrap().failures(), None);
    let fewer = phase(begun().say(failed(2)).say(failed(1)));
    assert_eq!(fewer.check(), Err(Missing::Problem(Problem::PhaseFalls(0))));
}

#[test]
fn another_plan_than_was_uploaded_is_never_complete() {
    let told = &loaded("d", 1, &[vec![500_000; 10]])[0];
    let hash = plan(10).content_hash();
    for (uploaded, expected) in [(hash, Ok(())), (1, Err(Missing::Plan { uploaded: 1, told: hash }))] {
        let mut session = Session::expecting(uploaded);
        told.frames.iter().for_each(|frame| session.feed(frame, |_| {}));
        assert_eq!(session.check_whole(), expected);
    }
    let mut session = Session::expecting(1);
    monitored(1, &[vec![(0, 1)]]).frames.iter().for_each(|frame| session.feed(frame, |_| {}));
    assert_eq!(session.check_whole(), Err(Missing::Plan { uploaded: 1, told: 0 }));
}

/// Each contradiction is counted, told once, changes nothing, and leaves the run incomplete.
#[test]
fn what_contradicts_itself_is_not_believed() {
    let whole = || begun().phase(complete(0), 10).zeros(0, 0, 10);
    let more = PhaseCounts { sent: 11, completed: 11, ..PhaseCounts::default() };
    let impossible = PhaseCounts { sent: 1, completed: 2, ..PhaseCounts::default() };
    let label = Name::cut("x");
    let started = |sent| {
        let counts = PhaseCounts { sent, ..PhaseCounts::default() };
        PhaseStats { counts, ..stats(0, PhaseState::Started) }
    };
    // Ten requests from and to these times.
    let sent = |first, last, squared_gaps| {
        let sends = Sends { first: Instant::from_nanos(first), last: Instant::from_nanos(last), squared_gaps };
        let state = if last > 2 { PhaseState::Complete } else { PhaseState::Started };
        PhaseStats { sends, ..stats(0, state) }
    };
    let moved = PhaseStats { started_at: Some(Instant::BOOT), ..complete(0) };
    let hello = |hello: Hello<'static>| Frame::Hello(Hello { mode: Mode::Load, ..hello });
    let known = Hello { device_id: "d", plan_hash: 7, phases: 1, metrics: 2, ..Hello::default() };
    let metric = |name| Frame::Metrics(MetricTable { first: 0, metrics: [Metric::time(name)].into_iter().collect() });
    let zeros = Totals { count: 10, zero: 10, ..Totals::default() };
    let lag1 = Lag1 { products: 1, ..Lag1::NONE };
    let neighbours = Frame::Totals(MetricTotals { phase: 0, metric: 0, totals: zeros, lag1 });
    let cases = [
        (whole().phase(PhaseStats { kind: PhaseKind::Warmup, ..complete(0) }, 10), Problem::PhaseChanged(0)),
        (whole().phase(PhaseStats { label, ..complete(0) }, 10), Problem::PhaseChanged(0)),
        (whole().phase(PhaseStats { instance: 1, ..complete(0) }, 10), Problem::PhaseChanged(0)),
        (whole().phase(moved, 10), Problem::PhaseChanged(0)),
        (whole().phase(PhaseStats { counts: more, ..complete(0) }, 10), Problem::PhaseFalls(0)),
        (whole().phase(complete(0), 11), Problem::PhaseFalls(0)),
        (whole().phase(stats(0, PhaseState::Started), 10), Problem::PhaseFalls(0)),
        (whole().phase(PhaseStats { counts: impossible, ..complete(0) }, 10), Problem::PhaseImpossible(0)),
        (begun().phase(sent(1, 2, 2), 0).phase(complete(0), 10).zeros(0, 0, 10), Problem::PhaseImpossible(0)),
        (begun().phase(sent(0, 1, 1), 0).phase(complete(0), 10).zeros(0, 0, 10), Problem::PhaseImpossible(0)),
        (whole().phase(sent(1, 3, 4), 10), Problem::PhaseImpossible(0)),
        (
            begun().phase(sent(1, 1, 0), 0).phase(sent(2, 2, 0), 0).phase(complete(0), 10).zeros(0, 0, 10),
            Problem::PhaseFalls(0),
        ),
        (
            begun().phase(started(9), 0).phase(started(8), 0).phase(complete(0), 10).zeros(0, 0, 10),
            Problem::PhaseFalls(0),
        ),
        (whole().zeros(0, 0, 11), Problem::HistogramFalls(0, 0)),
        (whole().zeros(0, 1, 1), Problem::HistogramFalls(0, 1)),
        (begun().zeros(0, 0, 5).zeros(0, 0, 4).phase(complete(0), 10).zeros(0, 0, 10), Problem::HistogramFalls(0, 0)),
        (begun().say(neighbours).phase(complete(0), 10).zeros(0, 0, 10), Problem::OrderImpossible(0, 0)),
        (whole().zeros(0, 2, 1), Problem::MetricBeyond(2)),
        (whole().say(hello(Hello { plan_hash: 8, ..known })), Problem::HelloChanged),
        (whole().say(hello(Hello { phases: 2, ..known })), Problem::HelloChanged),
        (whole().say(hello(Hello { metrics: 3, ..known })), Problem::HelloChanged),
        (whole().say(hello(Hello { device_id: "x", ..known })), Problem::HelloChanged),
        (whole().say(metric("b")), Problem::MetricChanged(0)),
        (
            whole().planned(0, planned()).planned(0, PhasePlan { grace: Duration::ZERO, ..planned() }),
            Problem::PlanChanged(0),
        ),
        (whole().planned(0, PhasePlan { kind: PhaseKind::Warmup, ..planned() }), Problem::PlanChanged(0)),
        (
            begun()
                .planned(0, planned())
                .phase(PhaseStats { kind: PhaseKind::Warmup, ..complete(0) }, 10)
                .phase(complete(0), 10)
                .zeros(0, 0, 10),
            Problem::PlanChanged(0),
        ),
        (whole().finished(2), Problem::FinishedChanged),
    ];
    for (script, problem) in cases {
        let script = script.finished(1);
        let mut session = Session::new();
        let mut told = Vec::new();
        script.0.iter().for_each(|frame| session.feed(frame, |note| told.push(note)));
        let expected = if problem == Problem::FinishedChanged {
            // What was told first stays.
            Missing::Problem(Problem::PhaseBeyond(1))
        } else {
            Missing::Problem(problem)
        };
        assert_eq!(session.check_whole(), Err(expected), "{problem:?}");
        assert_eq!(session.problems(), [problem]);
        assert_eq!(session.errors().malformed, 1, "{problem:?}");
        assert_eq!(told.iter().filter(|note| matches!(note, Note::Problem(_))).count(), 1);
        let phase = session.boots()[0].phase(0).unwrap();
        assert_eq!((phase.stats(), phase.observed()), (Some(&complete(0)), 10), "{problem:?}");
        assert!(!problem.to_string().is_empty());
    }
}

fn planned() -> PhasePlan {
    plan(10).phases()[1].clone()
}

#[test]
fn the_plan_of_each_phase_is_known_and_needed_for_nothing() {
    let told = &loaded("d", 1, &[vec![500_000; 2_000]])[0];
    let whole = session(&told.frames);
    let plans: Vec<_> = whole.boots()[0].phases().filter_map(PhaseTelemetry::plan).cloned().collect();
    assert_eq!(plans, plan(2_000).phases());
    let is_plan = |frame: &&Vec<u8>| {
        let mut segment = frame[1..frame.len() - 1].to_vec();
        matches!(decode(&mut segment).unwrap().frame, Frame::PhasePlanned(_))
    };
    assert!(told.frames.iter().filter(is_plan).count() > 4, "they are told again and again");
    let without = session(told.frames.iter().filter(|frame| !is_plan(frame)));
    assert_eq!(without.boots()[0].phases().filter_map(PhaseTelemetry::plan).count(), 0);
    assert_eq!((whole.check_whole(), without.check_whole()), (Ok(()), Ok(())));
    // It may come before anything else of its phase, late, and more than once.
    let script = begun().planned(0, planned()).phase(complete(0), 10).zeros(0, 0, 10).planned(0, planned()).finished(1);
    assert_eq!(script.planned(0, planned()).check(), Ok(()));
}

#[test]
fn of_the_words_of_failures_the_first_of_each_kind_are_kept_and_shown_safely() {
    let long = "ア".repeat(60);
    let script = begun()
        .detail(0, Failure::Broken, "reset\u{1b}[2J by\npeer")
        .detail(0, Failure::Status(503), "overloaded")
        .detail(0, Failure::Broken, "another time")
        .detail(0, Failure::Status(500), &long)
        .phase(complete(0), 10)
        .zeros(0, 0, 10);
    let many = (0..300).fold(script, |script, code| script.detail(0, Failure::Status(code), "x")).finished(1);
    let session = session(&many.0);
    assert_eq!((session.check_whole(), session.problems()), (Ok(()), &[][..]));
    let details = session.boots()[0].phase(0).unwrap().failure_details();
    let first = [
        (Failure::Broken, "reset\u{fffd}[2J by\u{fffd}peer".to_owned()),
        (Failure::Status(503), "overloaded".to_owned()),
        (Failure::Status(500), "ア".repeat(53)),
    ];
    assert_eq!((&details[..3], details.len()), (&first[..], 16));
}

#[test]
fn unsent_requests_are_counted_on_until_they_are_exact() {
    let counted = |unsent, unsent_at_least| {
        let counts = PhaseCounts { unsent, unsent_at_least, ..complete(0).counts };
        PhaseStats { counts, ..stats(0, PhaseState::SendingComplete) }
    };
    let ended = |unsent| PhaseStats { counts: counted(unsent, false).counts, ..complete(0) };
    let told = |reports: &[PhaseStats]| {
        let script = reports.iter().fold(begun(), |script, stats| script.phase(*stats, 10));
        script.zeros(0, 0, 10).finished(1).check()
    };
    let falls = Err(Missing::Problem(Problem::PhaseFalls(0)));
    assert_eq!(told(&[counted(1_024, true), counted(2_048, true), counted(2_100, false), ended(2_100)]), Ok(()));
    assert_eq!(told(&[counted(1_024, true), ended(2_100)]), Ok(()));
    assert_eq!(told(&[counted(2_048, true), counted(2_047, true), ended(2_048)]), falls);
    assert_eq!(told(&[counted(2_100, false), counted(2_101, false), ended(2_100)]), falls);
    assert_eq!(told(&[counted(2_100, false), counted(2_100, true), ended(2_100)]), falls);
}

#[test]
fn late_reports_are_no_contradiction() {
    let script = begun().phase(stats(0, PhaseState::Started), 3).zeros(0, 0, 3).phase(complete(0), 10).zeros(0, 0, 10);
    let mut frames = script.finished(1).0;
    frames[2..].reverse();
    frames.extend(frames.clone());
    let session = session(&frames);
    assert_eq!((session.check_whole(), session.errors().malformed), (Ok(()), 0));
}

#[test]
fn a_phase_goes_by_what_was_told_of_it_and_by_its_place_until_then() {
    let session = session(&begun().zeros(3, 0, 1).phase(complete(1), 0).0);
    let names: Vec<_> = session.boots()[0].phases().map(|phase| (phase.index(), phase.name().into_owned())).collect();
    assert_eq!(names, [(1, "profiling".to_owned()), (3, "phase #3".to_owned())]);
    let label = |text| {
        let stats = PhaseStats { kind: PhaseKind::Monitor, label: Name::cut(text), ..stats(0, PhaseState::Started) };
        let session = super::session(&Script::default().phase(stats, 0).0);
        session.current_phase().unwrap().name().into_owned()
    };
    assert_eq!((label("flash\u{1b}write"), label("")), ("flash\u{fffd}write".to_owned(), "phase #0".to_owned()));
}

#[test]
fn metrics_are_kept_by_id_and_named_once_the_table_comes() {
    let script = Script::default().hello(1).zeros(0, 1, 10).phase(complete(0), 10).finished(1);
    let mut session = session(&script.0);
    let boot = &session.boots()[0];
    assert_eq!((boot.metric(1), boot.phase(0).unwrap().observed()), (None, 10));
    assert_eq!(session.check_whole(), Err(Missing::Name(1)));
    let script = script.table();
    session.feed(script.0.last().unwrap(), |_| {});
    assert_eq!((session.check_whole(), session.boots()[0].metric(1)), (Ok(()), Some(Metric::count("b"))));
    assert_eq!(session.boots()[0].metric_id("b"), Some(1));
}

#[test]
fn an_endless_run_is_whole_as_of_its_last_snapshots() {
    let values: Vec<_> = (0..50).map(|value| (usize::from(value % 7 == 0), value * 1_000)).collect();
    let told = monitored(1, &[values.clone(), values.clone(), values]);
    let whole = session(&told.frames);
    assert_eq!((whole.check_whole(), whole.is_endless(), whole.is_finished()), (Ok(()), true, false));
    let current = whole.current_phase().unwrap();
    assert!(!current.is_over() && !current.is_whole() && current.observed() == 50);
    // Nobody asks for what was before the recording began.
    let attached = |name: &str| {
        let from = told.frames.iter().position(|frame| frame.windows(name.len()).any(|part| part == name.as_bytes()));
        session(&told.frames[from.unwrap()..])
    };
    let late = attached("logging");
    assert_eq!((late.check_whole(), late.boots()[0].phases().count()), (Ok(()), 2));
    // A phase in between that is lost is missing, and so is the last totals frame of a metric whose buckets came.
    let without = |lost: fn(&Frame<'_>) -> bool| {
        let kept = told.frames.iter().filter(|frame| {
            let mut segment = frame[1..frame.len() - 1].to_vec();
            !lost(&decode(&mut segment).unwrap().frame)
        });
        session(kept).check_whole()
    };
    let of_second = |frame: &Frame<'_>| match frame {
        Frame::Phase(report) => report.stats.index == 1,
        Frame::Buckets(buckets) => buckets.phase == 1,
        Frame::Totals(totals) => totals.phase == 1,
        _ => false,
    };
    assert_eq!(without(of_second), Err(Missing::Phase(1, PhaseLack::All)));
    let totals = |frame: &Frame<'_>| matches!(frame, Frame::Totals(totals) if (totals.phase, totals.metric) == (2, 1));
    assert!(matches!(without(totals), Err(Missing::Phase(2, PhaseLack::Samples { .. }))));
    let closing = |frame: &Frame<'_>| matches!(frame, Frame::Phase(report) if report.stats.index == 1 && report.stats.state == PhaseState::Complete);
    assert_eq!(without(closing), Err(Missing::Phase(1, PhaseLack::End(PhaseState::Started))));
    assert_eq!(without(|frame| !matches!(frame, Frame::Hello(_))), Err(Missing::AnyPhase));
}

#[test]
fn what_a_hostile_device_makes_a_host_keep_is_bounded_and_said() {
    let many = (0..20_000_u32).fold(Script::default(), |script, at| script.zeros(u16::try_from(at).unwrap(), 0, 1));
    let session = session(&many.0);
    assert_eq!((session.problems(), session.boots()[0].phases().count()), (&[Problem::TooManyPhases][..], 16_384));
    assert_eq!(session.errors().malformed, 0);
    // Of 2,000 phases with 10 kinds of failures each.
    let many =
        (0..20_000_u16).fold(Script::default(), |script, at| script.detail(at / 10, Failure::Status(at % 10), "x"));
    let session = super::session(&many.0);
    let kept: usize = session.boots()[0].phases().map(|phase| phase.failure_details().len()).sum();
    assert_eq!((kept, session.problems()), (16_384, &[][..]));
}
