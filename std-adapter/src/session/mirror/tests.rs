use phasemeter_core::histogram::{LatencyHistogram, Saturation};

use super::*;

fn room() -> Room {
    Room::default()
}

/// Zigzag, LEB128.
fn number(value: i64, out: &mut Vec<u8>) {
    varint(((value << 1) ^ (value >> 63)).cast_unsigned(), out);
}

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

/// Runs of one bucket each.
fn runs(counts: &[(i32, u64)]) -> Vec<u8> {
    let mut out = Vec::new();
    for &(index, count) in counts {
        number(index.into(), &mut out);
        varint(1, &mut out);
        number(count.cast_signed(), &mut out);
        if count == 0 {
            out.push(0);
        }
    }
    out
}

fn set(mirror: &mut Mirror, at: u64, scale: i8, counts: &[(i32, u64)], room: &mut Room) -> Result<(), Fault> {
    mirror.set(at, &Buckets { phase: 0, metric: 0, scale, counts: &runs(counts) }, room)
}

/// The totals of these values, and their buckets at this scale.
fn of(values: &[u64], scale: i8) -> (Totals, Vec<(i32, u64)>) {
    let mut histogram = LatencyHistogram::<4096, u64>::new();
    for value in values {
        histogram.record(*value);
    }
    let mut buckets = std::collections::BTreeMap::new();
    for bucket in histogram.buckets() {
        *buckets.entry(bucket.index >> (histogram.scale() - scale)).or_default() += bucket.count;
    }
    (Totals { scale, ..histogram.totals() }, buckets.into_iter().collect())
}

/// With values that begin and end with the smallest, and are as good as independent.
fn commit(mirror: &mut Mirror, at: u64, totals: &Totals, unbroken: bool) -> Result<(), Fault> {
    let Totals { min, sum, .. } = *totals;
    let n = u128::from(totals.count);
    let products = ((n + 1) * sum * sum - n * sum * u128::from(2 * min)).checked_div(n * n).unwrap_or(0);
    mirror.commit(at, totals, &Lag1 { products, first: min, last: min }, unbroken, &mut room())
}

const MS: u64 = 1_000_000;

#[test]
fn a_snapshot_is_whole_once_nothing_of_it_is_missing_and_stays_until_the_next() {
    let (mut mirror, mut room) = (Mirror::default(), room());
    let (first, buckets) = of(&[0, MS, MS, 2 * MS], 8);
    assert_eq!(set(&mut mirror, 1, 8, &buckets[..1], &mut room), Ok(()));
    assert_eq!(commit(&mut mirror, 2, &first, false), Ok(()));
    assert_eq!((mirror.observed(), mirror.expected(), mirror.histogram()), (0, 4, None));
    // The part that was missing comes late: the snapshot was of a moment when it was there.
    assert_eq!(set(&mut mirror, 0, 8, &buckets[1..], &mut room), Ok(()));
    assert_eq!((mirror.observed(), mirror.is_current()), (4, true));
    assert_eq!(mirror.histogram().unwrap().totals(), first);
    // The next one is on its way.
    let (second, buckets) = of(&[0, MS, MS, MS, 2 * MS, 9 * MS], 8);
    assert_eq!(set(&mut mirror, 3, 8, &buckets[..1], &mut room), Ok(()));
    assert_eq!(commit(&mut mirror, 5, &second, false), Ok(()));
    assert_eq!((mirror.observed(), mirror.expected(), mirror.is_current()), (4, 6, false));
    assert_eq!(mirror.histogram().unwrap().totals(), first);
    assert_eq!(set(&mut mirror, 4, 8, &buckets[1..], &mut room), Ok(()));
    assert_eq!(mirror.histogram().unwrap().totals(), second);
    assert_eq!(commit(&mut mirror, 5, &second, false), Ok(()));
    assert_eq!((commit(&mut mirror, 2, &first, false), mirror.observed()), (Ok(()), 6));
}

/// Two values, of which the frame of one is lost and the other one's count grows: the sum is right, the buckets are not.
#[test]
fn totals_that_come_late_make_no_snapshot_of_later_counts() {
    let (mut mirror, mut room) = (Mirror::default(), room());
    let (early, buckets) = of(&[MS, 9 * MS], 8);
    let twice = [(buckets[0].0, 2)];
    assert_eq!(set(&mut mirror, 3, 8, &twice, &mut room), Ok(()));
    assert_eq!(commit(&mut mirror, 2, &early, false), Ok(()));
    assert_eq!((mirror.observed(), mirror.histogram()), (0, None));
}

#[test]
fn a_lower_scale_adds_buckets_up_and_a_higher_one_is_late() {
    let (mut mirror, mut room) = (Mirror::default(), room());
    let values = [MS, MS + 3_000, 2 * MS, 7 * MS];
    let (fine, buckets) = of(&values[..3], 8);
    set(&mut mirror, 0, 8, &buckets, &mut room).unwrap();
    commit(&mut mirror, 1, &fine, false).unwrap();
    let (coarse, lowered) = of(&values, 3);
    set(&mut mirror, 2, 3, &lowered[lowered.len() - 1..], &mut room).unwrap();
    // The last whole snapshot is there still, as coarse as the rest is now.
    let before = mirror.histogram().unwrap();
    assert_eq!((before.totals(), before.count_at(lowered[0].0)), (of(&values[..3], 3).0, lowered[0].1));
    let again = [(buckets[0].0, 50)];
    assert_eq!(set(&mut mirror, 3, 8, &again, &mut room), Ok(()));
    commit(&mut mirror, 4, &coarse, false).unwrap();
    assert_eq!(mirror.histogram().unwrap().totals(), coarse);
    let finer = of(&[values.as_slice(), &[MS]].concat(), 8).0;
    assert_eq!(commit(&mut mirror, 5, &finer, false), Err(Fault::Falls));
}

#[test]
fn zeros_are_in_no_bucket() {
    let mut mirror = Mirror::default();
    let zeros = of(&[0, 0, 0], 8).0;
    commit(&mut mirror, 0, &zeros, false).unwrap();
    assert_eq!(mirror.histogram().unwrap().totals(), zeros);
    // A bucket at a lower scale, which is not whole yet, does not change that.
    set(&mut mirror, 1, 5, &[(0, 1)], &mut room()).unwrap();
    assert_eq!(mirror.histogram().unwrap().totals(), zeros);
    assert_eq!(Mirror::default().histogram(), None);
    commit(&mut Mirror::default(), 0, &Totals::default(), false).unwrap();
}

#[test]
fn what_cannot_be_is_refused_and_what_is_read_before_is_kept() {
    let (mut mirror, mut room) = (Mirror::default(), room());
    assert_eq!(set(&mut mirror, 0, 9, &[(0, 1)], &mut room), Err(Fault::Malformed));
    assert_eq!(set(&mut mirror, 0, 8, &[(0, 1), (8731, 1)], &mut room), Err(Fault::NotKept(NotKept::NoBucket)));
    let too_wide = Err(Fault::NotKept(NotKept::TooWide));
    assert_eq!(set(&mut mirror, 0, 8, &[(1, 1), (4097, 1), (2, 1)], &mut room), too_wide);
    assert_eq!(mirror.counts.sum(), 2);
    let cut = Buckets { phase: 0, metric: 0, scale: 8, counts: &[6, 2, 2] };
    assert_eq!((mirror.set(0, &cut, &mut room), mirror.counts.sum()), (Err(Fault::Malformed), 3));
    let no_scale = Totals { scale: -5, ..Totals::default() };
    assert_eq!(commit(&mut mirror, 0, &no_scale, false), Err(Fault::Malformed));
    room.buckets = 0;
    let mut other = Mirror::default();
    assert_eq!(set(&mut other, 0, 8, &[(1, 1)], &mut room), Err(Fault::NotKept(NotKept::NoRoom)));
}

#[test]
fn sums_that_the_buckets_do_not_allow_are_no_histogram() {
    let values = [MS, 2 * MS, 3 * MS, 100 * MS];
    let (totals, buckets) = of(&values, 8);
    let sound = |totals: &Totals| {
        let (mut mirror, mut room) = (Mirror::default(), room());
        set(&mut mirror, 0, 8, &buckets, &mut room).unwrap();
        commit(&mut mirror, 1, totals, false).unwrap();
        assert_eq!((mirror.observed(), mirror.is_sound()), (4, mirror.histogram().is_some()));
        mirror.is_sound()
    };
    assert!(sound(&totals));
    // Each is possible for four values from 1 to 100 ms, and not for those in these buckets.
    let more = 10 * MS;
    let shifted = |by: u64| {
        let (sum, squares) = (totals.sum + u128::from(by), totals.sum_of_squares + u128::from(by) * u128::from(by));
        Totals { sum, sum_of_squares: squares, ..totals }
    };
    assert!(sound(&shifted(1_000)) && !sound(&shifted(more)));
    assert!(!sound(&Totals { sum: totals.sum - u128::from(MS), ..totals }));
    assert!(!sound(&Totals { sum_of_squares: totals.sum_of_squares + u128::from(more) * u128::from(more), ..totals }));
    assert!(!sound(&Totals { max: 200 * MS, ..totals }));
    assert!(!sound(&Totals { min: 1, ..totals }));
}

#[test]
fn neighbours_that_the_sums_do_not_allow_are_refused() {
    let values = [5 * MS, 6 * MS, 4 * MS, 5 * MS];
    let (totals, buckets) = of(&values, 8);
    let truth: Lag1 = values.into_iter().collect();
    let (mut mirror, mut room) = (Mirror::default(), room());
    set(&mut mirror, 0, 8, &buckets, &mut room).unwrap();
    let lie = Lag1 { products: totals.sum_of_squares, ..truth };
    assert_eq!(mirror.commit(1, &totals, &lie, false, &mut room), Err(Fault::Order));
    assert_eq!((mirror.observed(), mirror.lag1()), (0, Lag1::NONE));
    assert_eq!(mirror.commit(2, &totals, &truth, false, &mut room), Ok(()));
    assert_eq!((mirror.observed(), mirror.lag1()), (4, truth));
    // The first value is what it was, and the sum of the products only grows.
    let (later, _) = of(&[values.as_slice(), &[100 * MS]].concat(), 8);
    let more = u128::from(500 * MS * MS);
    for (products, first, expected) in [
        (truth.products - 1, 5 * MS, Err(Fault::Falls)),
        (truth.products + more, 6 * MS, Err(Fault::Falls)),
        (truth.products + more, 5 * MS, Ok(())),
    ] {
        assert_eq!(mirror.commit(3, &later, &Lag1 { products, first, last: 100 * MS }, false, &mut room), expected);
    }
}

#[test]
fn full_counters_are_whole_only_if_no_frame_is_missing() {
    let (mut mirror, mut room) = (Mirror::default(), room());
    let mut device = LatencyHistogram::<64, u16>::new();
    device.record_n(MS, 100_000);
    device.record(2 * MS);
    let totals = device.totals();
    assert!(totals.saturation.buckets() && u8::from(Saturation::NONE) == 0);
    let buckets: Vec<_> = device.buckets().map(|bucket| (bucket.index, bucket.count)).collect();
    set(&mut mirror, 0, totals.scale, &buckets, &mut room).unwrap();
    commit(&mut mirror, 1, &totals, false).unwrap();
    assert_eq!(mirror.observed(), 0);
    commit(&mut mirror, 2, &totals, true).unwrap();
    assert_eq!((mirror.observed(), mirror.is_sound()), (100_001, true));
    assert_eq!(mirror.histogram().unwrap().totals(), totals);
}
