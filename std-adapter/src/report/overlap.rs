//! Whether devices ran a phase at the same time: only then do their rates add.

use super::model::{OverlapSummary, PhaseSummary};
use crate::session::HostWindow;

impl OverlapSummary {
    /// Of devices with these parts of the phase: of one that was reset there are several. A device of which nothing is known
    /// has none.
    pub(super) fn of(devices: &[Vec<HostWindow>]) -> Self {
        let shared = shared(devices).filter(|nanos| *nanos > 0);
        Self {
            concurrent: if shared.is_some() { Some(true) } else { some_are_apart(devices).then_some(false) },
            at_least_s: shared.map(seconds),
        }
    }
}

impl PhaseSummary {
    /// Takes what is known of the devices' times. What is said of all together holds if they ran side by side.
    pub(super) fn with_overlap(mut self, overlap: Option<OverlapSummary>) -> Self {
        if overlap.is_some_and(|overlap| overlap.concurrent != Some(true)) {
            (self.plan, self.achieved_rate_rps, self.throughput_rps) = (None, None, None);
        }
        Self { overlap, ..self }
    }
}

/// For how long all devices ran the phase at least: from the latest start, which may have been as late as its arrival, to the
/// earliest end. Of a device with several parts the longest counts.
fn shared(devices: &[Vec<HostWindow>]) -> Option<i128> {
    let longest = |parts: &Vec<HostWindow>| parts.iter().copied().max_by_key(|part| part.end - part.start.1);
    let windows = devices.iter().map(longest).collect::<Option<Vec<_>>>()?;
    let start = windows.iter().map(|window| window.start.1).max()?;
    Some(windows.iter().map(|window| window.end).min()? - start)
}

/// Whether one device was done, by its report, before another one began.
fn some_are_apart(devices: &[Vec<HostWindow>]) -> bool {
    let over =
        |parts: &Vec<HostWindow>| parts.iter().map(|part| part.over).collect::<Option<Vec<_>>>()?.into_iter().max();
    let begun = |parts: &Vec<HostWindow>| parts.iter().map(|part| part.start.0).min();
    let first_over = devices.iter().filter_map(over).min();
    first_over.zip(devices.iter().filter_map(begun).max()).is_some_and(|(over, begun)| over < begun)
}

#[expect(clippy::cast_precision_loss, reason = "exact up to 104 days")]
fn seconds(nanos: i128) -> f64 {
    nanos as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(start: (i128, i128), end: i128, over: Option<i128>) -> Vec<HostWindow> {
        vec![HostWindow { start, end, over }]
    }

    #[test]
    fn devices_overlap_from_the_latest_start_to_the_earliest_end() {
        let first = window((0, 1_000_000_000), 9_000_000_000, Some(9_500_000_000));
        for (second, concurrent, at_least_s) in [
            (window((0, 2_000_000_000), 8_000_000_000, Some(8_000_000_000)), Some(true), Some(6.0)),
            // Still open.
            (window((0, 2_000_000_000), 4_000_000_000, None), Some(true), Some(2.0)),
            // It began after the first was over for certain.
            (window((9_500_000_001, 9_500_000_002), 12_000_000_000, Some(12_000_000_000)), Some(false), None),
            // It may have begun before or after the end.
            (window((9_499_999_999, 9_600_000_000), 12_000_000_000, Some(12_000_000_000)), None, None),
            // Nothing is known of it.
            (Vec::new(), None, None),
        ] {
            let told = OverlapSummary { concurrent, at_least_s };
            assert_eq!(OverlapSummary::of(&[first.clone(), second.clone()]), told, "{second:?}");
            assert_eq!(OverlapSummary::of(&[second, first.clone()]), told);
        }
    }

    #[test]
    fn two_devices_that_are_apart_are_not_joined_by_a_third() {
        let devices = [window((0, 0), 10, Some(11)), window((5, 5), 30, Some(31)), window((20, 20), 40, Some(41))];
        assert_eq!(OverlapSummary::of(&devices).concurrent, Some(false));
        assert_eq!(OverlapSummary::of(&devices[..2]).concurrent, Some(true));
        assert_eq!(OverlapSummary::of(&devices[1..]).concurrent, Some(true));
    }

    #[test]
    fn the_longest_part_of_a_device_that_was_reset_counts() {
        let twice = vec![
            HostWindow { start: (0, 0), end: 5, over: None },
            HostWindow { start: (6, 6), end: 30, over: Some(31) },
        ];
        let overlap = OverlapSummary::of(&[twice, window((0, 0), 20, Some(20))]);
        assert_eq!(overlap.at_least_s, Some(14e-9));
    }
}
