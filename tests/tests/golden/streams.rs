//! Whole streams, each with a file of what is true of it. They were made once, and are not made again: when a device reports
//! what is its own choice. What they say is not.

use std::fmt::Write as _;

use phasemeter_tests::{Device, Direct, MonitorDevice, frames};

use super::independent::{Host, line};
use super::{golden, may_write};

/// What was recorded in a boot, in the words of [`Host::lines`].
fn truth(boot: u32, phases: &[Direct]) -> String {
    let mut lines = String::new();
    for direct in phases {
        for (name, is_time) in direct.metrics() {
            let histogram = direct.histogram(name);
            let totals = histogram.totals();
            if totals.count == 0 {
                continue;
            }
            let numbers = [totals.count, totals.zero, totals.min, totals.max].map(u128::from);
            let [count, zero, min, max] = numbers;
            let values: Vec<_> = direct.values(name).iter().map(|value| u128::from(*value)).collect();
            let products = values.windows(2).map(|pair| pair[0] * pair[1]).sum();
            let (first, last) = (values[0], values[values.len() - 1]);
            let numbers = [count, zero, min, max, totals.sum, products, first, last];
            lines += &line(boot, direct.phase, name, is_time, numbers);
            let buckets: Vec<_> =
                histogram.buckets().map(|bucket| format!("{}:{}", bucket.index, bucket.count)).collect();
            writeln!(lines, "  scale {}, buckets {}", totals.scale, buckets.join(" ")).unwrap();
        }
    }
    lines
}

fn record(device: &Device) -> (Vec<u8>, [Direct; 2]) {
    let mut bytes = Vec::new();
    let direct = device.run(|piece| bytes.extend_from_slice(piece));
    (bytes, direct)
}

const LOAD: Device = Device { id: "golden-load", boot_id: 7, seed: 11, requests: 60, line_bytes: usize::MAX };

const MONITOR: MonitorDevice = MonitorDevice {
    id: "golden-monitor",
    boot_id: 8,
    seed: 12,
    phases: &["boot", "flash write"],
    samples: 20,
    is_endless: false,
    line_bytes: usize::MAX,
};

/// Checks a stream against its truth; both are made if they are missing and that is asked for.
fn check(name: &str, make: impl Fn() -> (Vec<u8>, String)) -> Host {
    let [stream, truth] = ["bin", "txt"].map(|extension| format!("{name}.{extension}"));
    may_write(&stream, || make().0);
    may_write(&truth, || make().1.into_bytes());
    let host = Host::of(&golden(&stream));
    assert_eq!(host.lines(), String::from_utf8(golden(&truth)).unwrap());
    host
}

#[test]
fn a_run_of_a_load_generator() {
    let host = check("load", || {
        let (bytes, direct) = record(&LOAD);
        (bytes, truth(1, &direct))
    });
    let [boot] = &host.boots[..] else { panic!("there is one run") };
    assert_eq!((&*boot.device, boot.finished), ("golden-load", Some((2, false))));
    assert!(boot.modes.iter().all(|mode| *mode == 1));
    let random = "random, 1000000 in 1000 s; 60 requests; grace 60000000000 ns";
    let planned = [format!("warmup: GET /; {random}"), format!("profiling: chat of 8 and 32 tokens; {random}")];
    assert_eq!(host.plans(), planned);
}

#[test]
fn a_monitor() {
    let host = check("monitor", || {
        let mut bytes = Vec::new();
        let direct = MONITOR.run(|piece| {
            bytes.extend_from_slice(piece);
            true
        });
        (bytes, truth(1, &direct))
    });
    let [boot] = &host.boots[..] else { panic!("there is one boot") };
    assert_eq!((&*boot.device, boot.finished), ("golden-monitor", None));
    assert!(boot.modes.iter().all(|mode| *mode == 2));
}

/// The first boot ends within a frame of its second phase. Frames of it come once more, late, in the second boot.
#[test]
fn a_run_that_was_cut_by_a_reset() {
    let host = check("reset", || {
        let (first, direct) = record(&LOAD);
        let (second, again) = record(&Device { boot_id: 9, ..LOAD });
        let cut = &first[..first.len() * 2 / 3];
        let (cut_frames, second_frames) = (frames(cut), frames(&second));
        let late = &cut_frames[cut_frames.len() / 2..cut_frames.len() - 1];
        let bytes = [cut, &[0], &second_frames[..9].concat(), &late.concat(), &second_frames[9..].concat()].concat();
        (bytes, truth(1, &direct[..1]) + &truth(2, &again))
    });
    assert_eq!(host.boots.iter().map(|boot| boot.finished).collect::<Vec<_>>(), [None, Some((2, false))]);
}
