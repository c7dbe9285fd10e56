//! Long runs at their whole size, for `cargo xtask soak`.

use std::time::Instant;

use phasemeter_tests::soak::{Soak, check, endless, requests};

fn main() {
    say("10,000,000 requests", "service_time", false, |place| requests(place, 10_000_000));
    // More than 2^32 values in one bucket, in three days.
    say("3 days of a monitor, 17,000 values a second", "loop", true, |place| endless(place, 72, 17_000, 1_000_000));
    say("7 days of a monitor, values as large as can be", "loop", true, |place| endless(place, 168, 8, u64::MAX));
}

fn say(name: &str, metric: &str, is_saturated: bool, run: impl FnOnce(&std::path::Path) -> Soak) {
    let place = tempfile::tempdir().expect("there is room for a directory");
    let started = Instant::now();
    let soak = run(place.path());
    check(&soak, metric);
    let told = &soak.summary.phases[0].metrics[metric];
    assert_eq!(told.saturated, is_saturated);
    let [per_hour, all] = [soak.bytes_an_hour(), soak.capture_bytes];
    let (before, after) = soak.memory.unwrap_or_default();
    println!(
        "{name}: {} values, saturated: {}, capture {all} bytes, {per_hour} an hour, memory {before} then {after} bytes, in {:.0} s",
        told.count,
        told.saturated,
        started.elapsed().as_secs_f64()
    );
}
