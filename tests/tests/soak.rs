//! Long runs in simulated time, at a reduced size; `cargo xtask soak` has the whole.

use phasemeter_tests::soak::{check, endless, requests};

#[test]
fn a_long_load_takes_no_more_memory_and_loses_nothing() {
    let place = tempfile::tempdir().unwrap();
    let soak = requests(place.path(), 15_000);
    check(&soak, "service_time");
    assert!(!soak.summary.phases[0].metrics["service_time"].saturated);
    // What is kept of an hour.
    assert!(soak.bytes_an_hour() < 12_000_000, "{}", soak.bytes_an_hour());
}

/// The sum of squares is full with the second value.
#[test]
fn an_endless_run_with_full_counters_is_complete_and_says_so() {
    let place = tempfile::tempdir().unwrap();
    let soak = endless(place.path(), 4, 4, u64::MAX);
    check(&soak, "loop");
    let told = &soak.summary.phases[0].metrics["loop"];
    assert!(told.saturated && told.stdev.is_none(), "{told:?}");
    let place = tempfile::tempdir().unwrap();
    let soak = endless(place.path(), 4, 4, 1_000_000);
    check(&soak, "loop");
    assert!(!soak.summary.phases[0].metrics["loop"].saturated);
}
