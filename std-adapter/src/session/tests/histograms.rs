//! Histograms of real devices over lines that lose, repeat and mix up.

use proptest::prelude::*;
use proptest::sample::Index;

use super::device::{DeviceHistogram, Told, monitored};
use super::{assert_has, is_of, session};
use crate::session::{Boot, Session};

fn value() -> impl Strategy<Value = u64> {
    prop_oneof![4 => 900_000_u64..1_100_000, 2 => 1_000_u64..1_000_000_000, 1 => Just(0), 1 => any::<u64>()]
}

fn phases() -> impl Strategy<Value = Vec<Vec<(usize, u64)>>> {
    proptest::collection::vec(proptest::collection::vec((0_usize..2, value()), 0..60), 1..4)
}

/// Each histogram that a session takes for whole is one that the device had: the first values of the phase.
fn check(session: &Session, phases: &[Vec<(usize, u64)>]) -> Result<(), TestCaseError> {
    for record in session.boots().iter().flat_map(Boot::phases) {
        for (id, mirror) in record.metrics() {
            prop_assert!(mirror.observed() <= mirror.expected());
            let Some(host) = mirror.histogram() else { continue };
            let mut device = DeviceHistogram::new();
            let values = phases[usize::from(record.index())].iter().filter(|(metric, _)| *metric == usize::from(id));
            let values: Vec<_> = values.take(usize::try_from(host.count()).unwrap()).map(|(_, value)| *value).collect();
            for value in &values {
                device.record(*value);
            }
            prop_assert_eq!(mirror.lag1(), values.into_iter().collect());
            prop_assert!(is_of(&host, &device), "{:?} is not {:?}", host, device);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_part_of_the_frames_in_any_order_makes_a_wrong_whole(
        phases in phases(),
        order in proptest::collection::vec(any::<Index>(), 0..200),
    ) {
        let Told { frames, .. } = monitored(1, &phases);
        let mut session = Session::new();
        for (count, index) in order.iter().enumerate() {
            session.feed(&frames[index.index(frames.len())], |_| {});
            if count % 16 == 0 {
                check(&session, &phases)?;
            }
        }
        check(&session, &phases)?;
        prop_assert_eq!(session.problems(), []);
    }

    #[test]
    fn all_frames_in_any_order_make_the_device_s_histograms(phases in phases(), seed in any::<u64>()) {
        let mut told = monitored(1, &phases);
        let all = session(&told.frames);
        prop_assert_eq!(all.check_whole(), Ok(()));
        assert_has(&all, 0, &told);
        shuffle(&mut told.frames, seed);
        let shuffled = session(&told.frames);
        prop_assert_eq!(shuffled.check_whole(), Ok(()));
        assert_has(&shuffled, 0, &told);
        prop_assert_eq!(shuffled.problems(), []);
    }

    #[test]
    fn what_is_lost_is_repaired_by_the_end(phases in phases(), lost in proptest::collection::vec(any::<Index>(), 0..20)) {
        let told = monitored(1, &phases);
        let mut frames = told.frames.clone();
        // The end of a phase comes twice: what was lost before is in it.
        let last = frames.len().saturating_sub(1);
        for index in lost {
            frames[index.index(last + 1)] = Vec::new();
        }
        let session = session(&frames);
        check(&session, &phases)?;
        if session.check_whole().is_ok() {
            for record in session.boots()[0].phases().filter(|record| record.is_over()) {
                let measured = &told.phases[usize::from(record.index())];
                for (id, device) in (0_u8..).zip(&measured.histograms).filter(|(_, device)| !device.is_empty()) {
                    let host = record.histogram(id);
                    prop_assert!(host.is_some_and(|host| is_of(&host, device)));
                }
            }
        }
    }
}

/// Fisher and Yates'.
fn shuffle(frames: &mut [Vec<u8>], mut seed: u64) {
    for last in (1..frames.len()).rev() {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        frames.swap(last, usize::try_from(seed >> 33).unwrap() % (last + 1));
    }
}
