//! Which boot a frame belongs to, and what is a reset.

use phasemeter_core::phase::PhaseState;
use phasemeter_core::telemetry::{Finished, Frame, Hello, Mode};
use proptest::prelude::*;
use proptest::sample::Index;

use super::device::{Told, frame, loaded};
use super::{assert_has, is_of, notes, session};
use crate::session::{Boot, Missing, Note, Problem, Session};

fn hello(mode: Mode) -> Frame<'static> {
    let plan_hash = if mode == Mode::Load { 7 } else { 0 };
    Frame::Hello(Hello { device_id: "d", mode, plan_hash, ..Hello::default() })
}

fn finished() -> Frame<'static> {
    Frame::Finished(Finished { phases: 0, cancelled: false, skipped: 0 })
}

fn ids(session: &Session) -> Vec<u32> {
    session.boots().iter().map(Boot::id).collect()
}

fn begins(notes: &[Note]) -> Vec<bool> {
    let begins = notes.iter().filter_map(|note| match note {
        Note::Begin { after_reset } => Some(*after_reset),
        _ => None,
    });
    begins.collect()
}

#[test]
fn a_boot_that_only_says_hello_is_no_run_and_no_reset() {
    let idle = session(&[frame(1, 0, hello(Mode::Idle)), frame(1, 1, hello(Mode::Idle))]);
    assert_eq!((idle.check_whole(), idle.resets(), idle.is_finished()), (Err(Missing::Run), 0, false));
    let mut run = Session::new();
    let frames = [frame(1, 0, hello(Mode::Idle)), frame(2, 0, hello(Mode::Load)), frame(2, 1, finished())];
    assert_eq!(begins(&notes(&mut run, &frames)), [false]);
    assert_eq!((run.resets(), run.is_finished(), run.current_boot().map(Boot::id)), (0, true, Some(2)));
    // After its run a device idles, within the boot of the run or in a later one.
    for boot in [2, 3] {
        run.feed(&frame(boot, 2, hello(Mode::Idle)), |_| {});
        assert_eq!((run.resets(), run.is_finished(), run.is_waiting_after_reset()), (0, true, false));
        assert_eq!(run.info().map(|info| (info.mode, info.plan_hash)), Some((Mode::Load, 7)));
    }
}

/// Devices of other makes may say hello before a run within its boot.
#[test]
fn boots_are_in_the_order_in_which_they_began() {
    let frames = [frame(1, 0, hello(Mode::Idle)), frame(2, 0, hello(Mode::Load)), frame(2, 1, finished())];
    let mut session = session(&frames);
    session.feed(&frame(1, 1, hello(Mode::Load)), |_| {});
    assert_eq!((ids(&session), session.is_finished(), session.resets()), (vec![2, 1], false, 0));
    session.feed(&frame(1, 2, finished()), |_| {});
    session.feed(&frame(2, 2, hello(Mode::Idle)), |_| {});
    assert_eq!((ids(&session), session.is_finished()), (vec![2, 1], true));
}

#[test]
fn a_run_that_did_not_finish_before_another_begins_is_a_reset() {
    let mut session = Session::new();
    let told = notes(&mut session, &[frame(1, 0, hello(Mode::Load)), frame(9, 0, hello(Mode::Load))]);
    assert_eq!((begins(&told), session.resets()), (vec![false, true], 1));
    assert_eq!(session.check_whole(), Err(Missing::Reset(1)));
    assert_eq!(Missing::Reset(1).to_string(), "it was reset in mid-run");
    // Its end comes late, and it was none.
    session.feed(&frame(1, 5, finished()), |_| {});
    assert_eq!((session.resets(), ids(&session), session.is_finished()), (0, vec![1, 9], false));
}

#[test]
fn late_and_repeated_frames_are_no_resets_and_go_to_their_boot() {
    let [first, second] = &*loaded("d", 1, &[vec![500_000; 30], vec![700_000; 40]]) else { panic!("two runs") };
    let (first_half, rest) = first.frames.split_at(first.frames.len() / 2);
    let all = first_half.iter().chain(&second.frames).chain(rest).chain(&first.frames).chain(&second.frames);
    let mut session = Session::new();
    let notes = notes(&mut session, all);
    assert_eq!((session.resets(), session.boots().len(), session.lost_frames()), (0, 2, 0));
    assert_eq!(session.check_whole(), Ok(()));
    assert_has(&session, 0, first);
    assert_has(&session, 1, second);
    // The current run is the one that began last: nothing of the first is news any more, and nothing is told twice.
    let phases: Vec<_> =
        notes.iter().filter_map(|note| if let Note::Phase(stats, _) = note { Some(stats) } else { None }).collect();
    let ends = phases.iter().filter(|stats| stats.state == PhaseState::Complete && stats.counts.sent == 40);
    assert!(ends.clone().map(|stats| stats.index).eq([0, 0, 0, 1, 1, 1]), "{:?}", ends.collect::<Vec<_>>());
}

#[test]
fn a_device_that_idles_after_an_unfinished_run_waits_for_a_plan() {
    let frames = [frame(1, 0, hello(Mode::Load)), frame(2, 0, hello(Mode::Idle))];
    let session = session(&frames);
    assert!(session.is_waiting_after_reset() && !session.is_finished());
    assert_eq!((session.resets(), session.check_whole()), (0, Err(Missing::Abandoned)));
}

#[test]
fn boots_are_bounded_and_what_is_forgotten_is_said() {
    let mut session = Session::new();
    let (mut frames, mut expected) = (Vec::new(), Vec::new());
    for boot in 0..70 {
        frames.extend([frame(boot, 0, hello(Mode::Load)), frame(boot, 1, finished())]);
        // One of the device that only says hello goes before a run is forgotten.
        frames.push(frame(1_000 + boot, 0, hello(Mode::Idle)));
        expected.push(boot);
    }
    let told = notes(&mut session, &frames);
    assert_eq!(told.iter().filter(|note| **note == Note::Problem(Problem::TooManyBoots)).count(), 1);
    assert_eq!(session.boots().len(), 64);
    assert_eq!(session.check_whole(), Err(Missing::Problem(Problem::TooManyBoots)));
    assert_eq!(ids(&session)[..63], expected[..63]);
    session.feed(&frame(99, 0, hello(Mode::Load)), |_| {});
    assert_eq!((ids(&session)[62..].to_vec(), session.resets()), (vec![62, 99], 0));
}

#[test]
fn a_boot_id_that_is_used_again_is_seen() {
    let mut told = loaded("d", 1, &[vec![500_000; 30]]);
    let Told { mut frames, .. } = told.remove(0);
    frames.truncate(frames.len() / 2);
    // After the reset it takes a little longer.
    let again = loaded("d", 1, &[vec![510_000; 30]]).remove(0).frames;
    let session = session(frames.iter().chain(&again));
    let lack = session.check_whole().unwrap_err();
    assert!(matches!(lack, Missing::Problem(_) | Missing::Phase(..)), "{lack}");
    assert!(session.problems().iter().any(|problem| matches!(problem, Problem::Numbering | Problem::PhaseChanged(_))));
}

#[test]
fn several_devices_on_one_line_are_said() {
    let hello = |device_id| Frame::Hello(Hello { device_id, mode: Mode::Load, ..Hello::default() });
    let session = session(&[frame(1, 0, hello("a")), frame(1, 1, finished()), frame(2, 0, hello("b"))]);
    assert_eq!(session.check_whole(), Err(Missing::Problem(Problem::SeveralDevices)));
}

#[test]
fn what_a_device_skipped_wraps() {
    let skipped = |skipped| Frame::Finished(Finished { phases: 0, cancelled: false, skipped });
    let session = session(&[
        frame(1, 0, skipped(u32::MAX - 1)),
        frame(1, 2, skipped(3)),
        frame(1, 1, skipped(u32::MAX)),
        frame(1, 2, skipped(3)),
    ]);
    assert_eq!(session.boots()[0].skipped(), u64::from(u32::MAX) + 4);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Two runs of a device, cut, late, mixed up and repeated: if they are complete, every number is right.
    #[test]
    fn what_is_complete_is_right(
        runs in proptest::collection::vec(proptest::collection::vec(prop_oneof![Just(0), 1_u64..3_000_000], 1..30), 2),
        order in proptest::collection::vec(any::<Index>(), 0..300),
        all in any::<bool>(),
    ) {
        let told = loaded("d", 1, &runs);
        let frames: Vec<_> = told.iter().flat_map(|told| &told.frames).collect();
        let mut session = Session::new();
        for index in &order {
            session.feed(frames[index.index(frames.len())], |_| {});
        }
        if all {
            for frame in &frames {
                session.feed(frame, |_| {});
            }
            prop_assert_eq!(session.check_whole(), Ok(()));
            prop_assert_eq!(session.boots().len(), 2);
        }
        prop_assert_eq!(session.problems(), []);
        prop_assert!(session.resets() < 2);
        if session.check_whole().is_ok() {
            for boot in session.boots().iter().filter(|boot| boot.has_begun()) {
                let is_this = |told: &&Told| told.phases[0].stats.started_at == boot.phase(0).unwrap().stats().unwrap().started_at;
                let told = told.iter().find(is_this).unwrap();
                prop_assert_eq!(boot.phases().count(), told.phases.len());
                for (phase, measured) in boot.phases().zip(&told.phases) {
                    prop_assert_eq!(phase.stats(), Some(&measured.stats));
                    let failures = phase.failures().map_or(0, phasemeter_core::outcome::Failures::total);
                    prop_assert_eq!(failures, measured.stats.counts.errors);
                    for (id, device) in (0_u8..).zip(&measured.histograms).filter(|(_, device)| !device.is_empty()) {
                        prop_assert!(phase.histogram(id).is_some_and(|host| is_of(&host, device)));
                    }
                }
            }
        }
    }
}
