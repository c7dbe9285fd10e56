//! What the firmware does when no host tells it.

use phasemeter_core::plan::{Arrival, PhaseKind, PhasePlan, RunPlan, Stop, Workload};
use phasemeter_core::time::Duration;

/// How many phases a plan may have.
pub const MAX_PHASES: usize = 8;

/// One second of warm-up on one connection, then 100 requests a second for ten seconds.
pub fn built_in() -> RunPlan<MAX_PHASES> {
    let phases = [
        (PhaseKind::Warmup, Arrival::ClosedLoop { concurrency: 1 }, Duration::from_secs(1)),
        (PhaseKind::Profiling, Arrival::constant(100), Duration::from_secs(10)),
    ];
    let mut plan = RunPlan::new(1);
    for (kind, arrival, duration) in phases {
        if let Some(workload) = Workload::get("/") {
            let stop = Stop::after(duration);
            // There is room, and the phase ends: nothing comes back.
            let _ = plan.push(PhasePlan { kind, workload, arrival, stop, grace: Duration::from_secs(2) });
        }
    }
    plan
}
