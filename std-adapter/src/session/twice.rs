//! One device on two lines.

use phasemeter_core::time::Instant;

use super::{Boot, PhaseTelemetry, Session};

/// A boot that another line shows as well, and no worse: it is left out, so that nothing counts twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SeenTwice {
    /// The place of the session that is left out,
    pub(crate) session: usize,
    /// and of the boot there.
    pub(crate) boot: usize,
    /// The place of the session that shows the same.
    pub(crate) kept: usize,
}

/// The boots that several sessions show, but for the best view of each.
pub(crate) fn seen_twice(sessions: &[&Session]) -> Vec<SeenTwice> {
    let mut runs: Vec<(usize, usize, &Boot)> = Vec::new();
    for (session, of) in sessions.iter().enumerate() {
        runs.extend(
            of.boots().iter().enumerate().filter(|(_, boot)| boot.has_begun()).map(|(at, boot)| (session, at, boot)),
        );
    }
    let mut left_out = Vec::new();
    // The best view of each boot comes first; of equal ones, that of the first session.
    runs.sort_by_cached_key(|(session, _, boot)| (boot.id(), std::cmp::Reverse(value(boot)), *session));
    for same_id in runs.chunk_by(|a, b| a.2.id() == b.2.id()) {
        for (place, (session, at, boot)) in same_id.iter().enumerate() {
            let better = same_id[..place].iter().find(|(other, _, better)| other != session && is_same(better, boot));
            if let Some((kept, _, _)) = better {
                left_out.push(SeenTwice { session: *session, boot: *at, kept: *kept });
            }
        }
    }
    left_out
}

/// How good a view of a boot is.
fn value(boot: &Boot) -> (bool, u64, usize) {
    let observed = boot.phases().map(PhaseTelemetry::observed).fold(0, u64::saturating_add);
    (boot.check_whole().is_ok(), observed, boot.phases().count())
}

/// Whether both are views of one boot: of one id and device, with phases that started in the same nanosecond. Boot ids
/// alone may be counters that two devices have in common.
fn is_same(a: &Boot, b: &Boot) -> bool {
    let device = |boot: &Boot| boot.info().map(|info| info.device_id.clone());
    let is_other = device(a).zip(device(b)).is_some_and(|(a, b)| a != b);
    let start = |phase: &PhaseTelemetry| -> Option<Instant> { phase.stats()?.started_at };
    let mut shared = a.phases().filter_map(|phase| start(phase).zip(b.phase(phase.index()).and_then(start))).peekable();
    !is_other && a.id() == b.id() && shared.peek().is_some() && shared.all(|(a, b)| a == b)
}
