//! Runs that a reset cuts anywhere, over lines that lose, repeat and delay: what looks whole is.

use phasemeter::report::{Observed, RunInfo, summarize};
use phasemeter::session::{Boot, Session};
use phasemeter_core::telemetry::{Frame, MAX_ENCODED, Received, Receiver};
use phasemeter_tests::{Device, Direct, MonitorDevice, canonical, frames};

/// What a boot sent, frame by frame, and what it had measured.
struct Sent {
    id: u32,
    frames: Vec<Vec<u8>>,
    direct: Vec<Direct>,
    /// So many frames come before the one that says that the run is over.
    finishes_at: Option<usize>,
}

impl Sent {
    fn new(run: impl FnOnce(&mut Vec<u8>) -> Vec<Direct>) -> Self {
        let mut bytes = Vec::new();
        let direct = run(&mut bytes);
        let frames = frames(&bytes);
        let mut receiver = Receiver::<MAX_ENCODED>::new();
        let (mut id, mut finishes_at, mut place) = (0, None, 0);
        let mut rest = bytes.as_slice();
        while let Some(received) = receiver.take(&mut rest) {
            let Received::Frame(envelope) = received else { panic!("{received:?}") };
            id = envelope.boot;
            if let Frame::Finished(_) = envelope.frame {
                finishes_at.get_or_insert(place);
            }
            place += 1;
        }
        assert_eq!(place, frames.len());
        Self { id, frames, direct, finishes_at }
    }

    fn load(boot_id: u64) -> Self {
        let device = Device { id: "reset", boot_id, seed: boot_id, requests: 40, line_bytes: 200 };
        Self::new(|bytes| device.run(|piece| bytes.extend_from_slice(piece)).into())
    }

    fn monitor(boot_id: u64) -> Self {
        let phases = &["boot", "idle", "flash write"];
        let (id, seed, samples) = ("reset", boot_id, 8);
        let device = MonitorDevice { id, boot_id, seed, phases, samples, is_endless: false, line_bytes: 500 };
        Self::new(|bytes| {
            device.run(|piece| {
                bytes.extend_from_slice(piece);
                true
            })
        })
    }

    /// Fails if a phase that was received whole is not as it was measured; tells how many are whole.
    fn check(&self, boot: &Boot) -> usize {
        let whole = boot.phases().filter(|phase| phase.is_whole());
        whole
            .map(|phase| {
                let direct = &self.direct[usize::from(phase.index())];
                assert_eq!((&*phase.name(), phase.stats().unwrap().counts), (direct.phase, direct.counts));
                for (metric, _) in direct.metrics() {
                    // A metric of which nothing came may be without a name as well.
                    let received = boot.metric_id(metric).and_then(|id| phase.histogram(id));
                    let direct = direct.histogram(metric);
                    if boot.metric_id(metric).is_some() {
                        assert!(received.is_some() || direct.is_empty(), "{metric} is missing");
                    }
                    assert!(received.is_none_or(|received| canonical(&received) == canonical(direct)), "{metric}");
                }
            })
            .count()
    }
}

/// Repeatable numbers (`SplitMix64`).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z >> 32) % bound as u64).unwrap()
    }
}

/// What becomes of the frames on the line: of a hundred, so many are lost, repeated, or come late.
#[derive(Clone, Copy)]
struct Line {
    lost: usize,
    repeated: usize,
    late: usize,
}

impl Line {
    fn pass<'a>(self, sent: &[&'a [u8]], random: &mut Random) -> Vec<&'a [u8]> {
        // Each with the place at which it comes.
        let mut came = Vec::new();
        for (place, frame) in sent.iter().enumerate() {
            let fate = random.below(100);
            let later = place + 1 + random.below(sent.len());
            match fate {
                _ if fate < self.lost => {}
                _ if fate < self.lost + self.repeated => came.extend([(place, *frame), (later, *frame)]),
                _ if fate < self.lost + self.repeated + self.late => came.push((later, *frame)),
                _ => came.push((place, *frame)),
            }
        }
        came.sort_by_key(|(place, _)| *place);
        came.into_iter().map(|(_, frame)| frame).collect()
    }
}

/// How many trials ended with a run that is whole, and how many phases were whole in all.
#[derive(Debug, Default)]
struct Found {
    trials: u32,
    runs: u32,
    phases: usize,
}

/// Cuts the first boot at every frame, lets the second one follow, and checks all that is said to be whole.
fn trials(first: &Sent, second: &Sent, line: Line, seeds: u64) -> Found {
    let mut found = Found::default();
    for cut in 0..=first.frames.len() {
        for seed in 0..seeds {
            let sent: Vec<_> = first.frames[..cut].iter().chain(&second.frames).map(Vec::as_slice).collect();
            let mut random = Random(seed << 32 | cut as u64);
            let mut session = Session::new();
            for frame in line.pass(&sent, &mut random) {
                session.feed(frame, |_| ());
            }
            let mut whole = 0;
            for boot in session.boots() {
                let sent = if boot.id() == first.id { first } else { second };
                assert_eq!(boot.id(), sent.id, "no boot is made up");
                whole += sent.check(boot);
            }
            assert!(session.resets() <= 1);
            let observed = Observed { source: "line", session: &session, failure: None, faults: None };
            let summary = summarize(&RunInfo::default(), &[observed]);
            if session.check_whole().is_ok() {
                let told = |sent: &Sent| session.boots().iter().any(|boot| boot.id() == sent.id && boot.has_begun());
                let phases = [first, second].into_iter().filter(|sent| told(sent)).map(|sent| sent.direct.len());
                assert_eq!(whole, phases.sum::<usize>(), "a whole run has all its phases, cut at {cut}, seed {seed}");
                let has_end = |sent: &Sent, frames| sent.finishes_at.is_none_or(|end| frames > end);
                assert!(has_end(first, cut) || !told(first), "the run was cut at {cut}, seed {seed}");
                found.runs += 1;
            } else {
                assert!(!summary.run.complete, "the summary says so as well");
            }
            found.trials += 1;
            found.phases += whole;
        }
    }
    found
}

const CLEAN: Line = Line { lost: 0, repeated: 0, late: 0 };
const BAD: Line = Line { lost: 4, repeated: 8, late: 8 };

#[test]
fn a_load_that_is_cut_by_a_reset_is_never_complete_with_other_totals() {
    let (first, second) = (Sent::load(1), Sent::load(2));
    let ends = first.frames.len() - first.finishes_at.unwrap();
    let clean = trials(&first, &second, CLEAN, 1);
    // Those in which the first boot came to its end, and the one in which nothing came of it.
    assert!(clean.runs as usize >= ends && (clean.runs as usize) < ends + 9, "{clean:?}");
    let bad = trials(&first, &second, BAD, 1_000_u64.div_ceil(first.frames.len() as u64) + 5);
    assert!(bad.trials > 900 && bad.phases > bad.trials as usize, "{bad:?}");
}

#[test]
fn a_monitor_that_is_cut_by_a_reset_is_never_complete_with_other_totals() {
    let (first, second) = (Sent::monitor(1), Sent::monitor(2));
    let clean = trials(&first, &second, CLEAN, 1);
    assert!(clean.phases > clean.trials as usize, "{clean:?}");
    let bad = trials(&first, &second, BAD, 1_000_u64.div_ceil(first.frames.len() as u64));
    assert!(bad.trials > 900 && bad.phases > bad.trials as usize, "{bad:?}");
}

/// Two devices of one name and one boot id, one after the other: the same boot twice is one that was heard twice.
#[test]
fn a_stream_that_comes_twice_is_one_run() {
    let sent = Sent::load(1);
    let mut session = Session::new();
    for _ in 0..2 {
        session.feed(&sent.frames.concat(), |_| ());
    }
    assert_eq!((session.boots().len(), session.resets(), session.lost_frames()), (1, 0, 0));
    assert_eq!(sent.check(&session.boots()[0]), 2);
    assert_eq!(session.check_whole(), Ok(()));
}
