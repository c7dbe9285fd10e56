//! Whether a run passed, and why not.

use phasemeter_core::plan::PhaseKind;
use serde::{Deserialize, Serialize};

use super::model::{CountsSummary, PhaseSummary, Summary, Verdict};
use crate::text::number::percent;

/// What a run is judged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thresholds {
    /// The most requests in a million that may fail or be cancelled, of those that ended: in the profiling phases, or in
    /// all phases if there is no profiling phase. At most a million.
    pub max_error_rate_ppm: u32,
}

impl Default for Thresholds {
    /// Half of the requests may fail: what is above it is no measurement of the server.
    fn default() -> Self {
        Self { max_error_rate_ppm: 500_000 }
    }
}

/// What a run's requests are judged to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    /// `None` without requests, and as long as nothing failed and not all was observed.
    pub verdict: Option<Verdict>,
    /// Why it failed, a sentence each.
    pub reasons: Vec<String>,
    /// Whether no request succeeded.
    pub nothing_succeeded: bool,
}

impl Thresholds {
    /// Judges a run by its phases that have requests; `is_complete` if all of it was observed.
    pub fn judge(
        self,
        phases: impl IntoIterator<Item = (Option<PhaseKind>, CountsSummary)>,
        is_complete: bool,
    ) -> Judgement {
        let phases: Vec<_> = phases.into_iter().collect();
        let sum =
            |of: fn(&CountsSummary) -> u64| phases.iter().map(|(_, counts)| of(counts)).fold(0, u64::saturating_add);
        let (sent, ended, successful) =
            (sum(|counts| counts.sent), sum(CountsSummary::ended), sum(CountsSummary::successful));
        if phases.is_empty() {
            return Judgement::default();
        }
        let mut reasons = Vec::new();
        // What is in flight may yet succeed.
        let nothing_succeeded = successful == 0 && (ended > 0 || is_complete);
        if nothing_succeeded {
            let completed = sum(|counts| counts.completed);
            reasons.push(format!("no request succeeded: {sent} were sent, {completed} completed"));
        } else {
            reasons.extend(self.error_rate(&phases));
        }
        let passed = is_complete.then_some(Verdict::Passed);
        let verdict = if reasons.is_empty() { passed } else { Some(Verdict::Failed) };
        Judgement { verdict, reasons, nothing_succeeded }
    }

    fn error_rate(self, phases: &[(Option<PhaseKind>, CountsSummary)]) -> Option<String> {
        let is_profiling = |kind: Option<PhaseKind>| kind == Some(PhaseKind::Profiling);
        let has_profiling = phases.iter().any(|(kind, _)| is_profiling(*kind));
        let judged = phases.iter().filter(|(kind, _)| is_profiling(*kind) || !has_profiling);
        let (failed, ended) = judged.fold((0_u64, 0_u64), |(failed, ended), (_, counts)| {
            let more = counts.ended() - counts.successful().min(counts.ended());
            (failed.saturating_add(more), ended.saturating_add(counts.ended()))
        });
        let most = self.max_error_rate_ppm;
        let is_above = u128::from(failed) * 1_000_000 > u128::from(most) * u128::from(ended);
        is_above.then(|| {
            let of = if has_profiling { "profiling requests" } else { "requests" };
            format!(
                "{} of the {of} failed or were cancelled ({failed} of {ended}), and {} % may",
                percent(failed, ended),
                f64::from(most) / 1e4
            )
        })
    }
}

/// The phases that a run is judged by: those with requests, of all devices together.
pub(super) fn judged(phases: &[PhaseSummary]) -> impl Iterator<Item = (Option<PhaseKind>, CountsSummary)> {
    let of_all_devices = phases.iter().filter(|phase| phase.device.is_none());
    of_all_devices.filter_map(|phase| Some((phase.kind, phase.counts?)))
}

impl Summary {
    /// What the run is judged to be, by the thresholds that it names.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a conversion from a float saturates")]
    pub fn judgement(&self) -> Judgement {
        let thresholds = Thresholds { max_error_rate_ppm: (self.run.max_error_rate * 1e6).round() as u32 };
        thresholds.judge(judged(&self.phases), self.run.complete)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(sent: u64, completed: u64, errors: u64, cancelled: u64) -> CountsSummary {
        let in_flight = sent - completed - cancelled;
        CountsSummary { sent, completed, errors, cancelled, unsent: 0, unsent_at_least: false, held: 0, in_flight }
    }

    const PROFILING: Option<PhaseKind> = Some(PhaseKind::Profiling);
    const WARMUP: Option<PhaseKind> = Some(PhaseKind::Warmup);

    #[test]
    fn a_run_fails_when_nothing_succeeds() {
        let of = |counts, is_complete| {
            Thresholds { max_error_rate_ppm: 1_000_000 }.judge([(PROFILING, counts)], is_complete)
        };
        for is_complete in [true, false] {
            let judged = of(counts(5, 5, 5, 0), is_complete);
            assert_eq!(judged.reasons, ["no request succeeded: 5 were sent, 5 completed"]);
            assert!(judged.nothing_succeeded && judged.verdict == Some(Verdict::Failed));
            assert!(of(counts(5, 0, 0, 5), is_complete).nothing_succeeded, "all timed out");
            assert!(!of(counts(5, 5, 4, 0), is_complete).nothing_succeeded);
        }
        assert_eq!(of(counts(5, 0, 0, 0), false), Judgement::default(), "they are in flight");
        assert!(of(counts(0, 0, 0, 0), true).nothing_succeeded);
        assert_eq!(of(counts(5, 5, 4, 0), true).verdict, Some(Verdict::Passed));
        assert_eq!(of(counts(5, 5, 4, 0), false).verdict, None, "not all was observed");
    }

    #[test]
    fn the_error_rate_is_that_of_profiling() {
        let judge = |ppm, phases: &[_]| Thresholds { max_error_rate_ppm: ppm }.judge(phases.iter().copied(), true);
        let phases = [(WARMUP, counts(100, 100, 90, 0)), (PROFILING, counts(100, 90, 19, 10))];
        assert_eq!(judge(290_000, &phases).verdict, Some(Verdict::Passed), "29 of 100 are 29 %");
        let failed = judge(289_999, &phases);
        assert_eq!(
            failed.reasons,
            ["29.00 % of the profiling requests failed or were cancelled (29 of 100), and 28.9999 % may"]
        );
        assert!(!failed.nothing_succeeded && failed.verdict == Some(Verdict::Failed));
        assert_eq!(judge(500_000, &phases[..1]).reasons.len(), 1, "without profiling all phases count");
        assert_eq!(judge(0, &[(PROFILING, counts(3, 3, 0, 0))]).verdict, Some(Verdict::Passed));
        assert_eq!(judge(0, &[]), Judgement::default(), "a monitor has no requests");
    }
}
