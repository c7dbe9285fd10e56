use super::*;
use crate::source::tests::read_to_end;

/// Frames as a device sends them, each told apart by its content.
fn frames(count: u8) -> Vec<Vec<u8>> {
    (0..count).map(|number| [&[0][..], &[number + 1; 20], &[0]].concat()).collect()
}

fn spec(text: &str) -> FaultSpec {
    text.parse().unwrap()
}

/// What comes of frames, given to the injector in pieces of this size.
fn passed(text: &str, frames: &[Vec<u8>], piece: usize) -> Vec<u8> {
    let (mut injector, mut out) = (FaultInjector::new(&spec(text)), Vec::new());
    frames.concat().chunks(piece).for_each(|bytes| injector.pass(bytes, &mut out));
    injector.end(&mut out);
    out
}

/// The frames in what came, by their first byte.
fn numbers(bytes: &[u8]) -> Vec<u8> {
    bytes.split(|byte| *byte == 0).filter_map(|frame| frame.first().copied()).collect()
}

#[test]
fn without_rates_nothing_changes() {
    let frames = frames(50);
    assert_eq!(passed("seed=3", &frames, 7), frames.concat());
}

#[test]
fn the_same_seed_gives_the_same_faults_however_the_bytes_are_cut() {
    let frames = frames(100);
    let all = "noise=0.1,text=0.1,drop=0.1,truncate=0.1,lose=0.01,flip=0.01,dup=0.1,reorder=0.1";
    let whole = passed(&format!("{all},seed=7"), &frames, usize::MAX);
    assert_eq!(whole, passed(&format!("{all},seed=7"), &frames, 1));
    assert_ne!(whole, passed(&format!("{all},seed=8"), &frames, 1));
    let (mut device, line) = crate::source::in_process().unwrap();
    let mut line = Faulty::new(line, &spec(&format!("{all},seed=7")));
    assert_eq!(line.faults(), Some(&*format!("{all},seed=7")));
    device.write_all(&frames.concat()).unwrap();
    drop(device);
    assert_eq!(read_to_end(&mut line), whole);
}

#[test]
fn each_rate_does_what_it_says_about_as_often() {
    let frames = frames(200);
    let all: Vec<_> = (1..=200).collect();
    let dropped = numbers(&passed("drop=0.25", &frames, 64));
    assert!((120..180).contains(&dropped.len()) && dropped.is_sorted(), "{}", dropped.len());
    let twice = numbers(&passed("dup=0.25", &frames, 64));
    assert!((220..280).contains(&twice.len()), "{}", twice.len());
    let mut late = numbers(&passed("reorder=0.25", &frames, 64));
    let far = late.iter().enumerate().filter(|(at, number)| at.abs_diff(usize::from(**number) - 1) > 9).count();
    assert!(!late.is_sorted() && far == 0, "{far}: {late:?}");
    late.sort_unstable();
    assert_eq!(late, all);
    let differ = |a: &[u8], b: &[u8]| a.iter().zip(b).map(|(a, b)| (a ^ b).count_ones()).sum::<u32>();
    let flipped = passed("flip=0.01", &frames, 64);
    assert!((22..66).contains(&differ(&flipped, &frames.concat())), "{}", differ(&flipped, &frames.concat()));
    let lost = 200 * 22 - passed("lose=0.01", &frames, 64).len();
    assert!((22..66).contains(&lost), "{lost}");
    let cut = passed("truncate=0.25", &frames, 64);
    assert!((120..180).contains(&cut.windows(20).filter(|part| part.iter().all(|byte| *byte == part[0])).count()));
    let text = passed("text=0.25", &frames, 64);
    assert!((30..70).contains(&text.windows(9).filter(|part| part == b"warning: ").count()));
    assert!(passed("noise=0.25", &frames, 64).len() > 200 * 22 + 30);
    assert_eq!(passed("drop=1", &frames, 64), b"");
}

#[test]
fn without_delimiters_no_more_is_held_back_than_a_long_frame() {
    let (mut injector, mut out) = (FaultInjector::new(&spec("seed=1")), Vec::new());
    injector.pass(&[7; 10_000], &mut out);
    assert_eq!(out.len(), 8_192);
    injector.end(&mut out);
    assert_eq!(out, [7; 10_000]);
}

#[test]
fn a_spec_is_read_as_it_is_written() {
    let all = "noise=0.01,text=1,drop=0.1,truncate=0.5,lose=0.001,flip=0.0001,dup=0.25,reorder=0.75,seed=18446744073709551615";
    assert_eq!(spec(all).to_string(), all);
    assert_eq!(spec("seed=7,flip=1e-4,drop=0").to_string(), "flip=0.0001,seed=7");
}

#[test]
fn what_is_wrong_with_a_spec_is_named_with_its_column() {
    let cases = [
        ("", "column 1: a fault is missing: write one such as drop=0.01"),
        ("drop=0.1,", "column 10: a fault is missing: write one such as drop=0.01"),
        ("drop=0.1,flipp=1", "column 10: there is no fault `flipp`: did you mean `flip`?"),
        ("drop=0.1,speed=1", "column 10: there is no fault `speed`: did you mean `seed`?"),
        (
            "crash=1",
            "column 1: there is no fault `crash`: there are noise, text, drop, truncate, lose, flip, dup, reorder and seed",
        ),
        ("drop", "column 1: `drop` has no value: write drop=0.01"),
        ("dup=0,drop=1.1", "column 12: `1.1` is no rate: a number from 0 to 1, such as 0.01 or 1e-4"),
        ("drop=NaN", "column 6: `NaN` is no rate: a number from 0 to 1, such as 0.01 or 1e-4"),
        ("seed=-1", "column 6: `-1` is no seed: an integer from 0 on"),
        ("drop=0,flip=0,drop=1", "column 15: `drop` is given twice"),
    ];
    for (text, message) in cases {
        assert_eq!(text.parse::<FaultSpec>().unwrap_err().to_string(), message, "{text:?}");
    }
}
