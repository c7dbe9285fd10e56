//! A hook of your own: it raises an alert when a phase took longer than it should.
//!
//! The load is simulated on a clock that the program moves, so the output is always the same:
//!
//! ```text
//! $ cargo run -q -p phasemeter --example slow_phase_alert
//! ALERT: profiling took 3.050 s, more than 2.000 s; 10 of its requests completed
//! ```

use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use phasemeter::hook::Hooks;
use phasemeter_core::hook::PhaseHook;
use phasemeter_core::phase::{Outcome, PhaseStats};
use phasemeter_core::plan::{Arrival, PhaseKind, PhasePlan, Rate, RunPlan, Stop, Workload};
use phasemeter_core::runner::{Runner, Step};
use phasemeter_core::time::{MockClock, Nanos};

/// Sends an alert for each phase that took longer than `threshold`, by the device's clock.
struct SlowPhaseAlert {
    threshold: Nanos,
    alerts: Sender<String>,
}

impl PhaseHook for SlowPhaseAlert {
    fn on_phase_complete(&mut self, phase: &PhaseStats, _now: Nanos) {
        let Some(duration) = phase.total_duration().filter(|duration| *duration > self.threshold) else { return };
        let seconds = |length: Nanos| Duration::from_nanos(length.get()).as_secs_f64();
        let (took, limit, completed) = (seconds(duration), seconds(self.threshold), phase.counts.completed);
        let alert = format!(
            "ALERT: {} took {took:.3} s, more than {limit:.3} s; {completed} of its requests completed",
            phase.kind
        );
        // A hook cannot fail: if nobody listens any more, there is nothing to do.
        let _ = self.alerts.send(alert);
    }
}

/// A second of warmup, and three seconds of profiling.
fn plan() -> Option<RunPlan<2>> {
    let mut plan = RunPlan::new(42);
    for (kind, per_kilosecond) in [(PhaseKind::Warmup, 10_000), (PhaseKind::Profiling, 3_000)] {
        plan.push(PhasePlan {
            kind,
            workload: Workload::get("/")?,
            arrival: Arrival::Constant { rate: Rate::per_kilosecond(per_kilosecond) },
            stop: Stop::requests(10),
            grace: Nanos::from_secs(1),
        })
        .ok()?;
    }
    Some(plan)
}

/// Runs the plan against a server that takes 50 ms for everything, and returns the alerts.
pub(crate) fn run() -> Vec<String> {
    let (sender, alerts) = channel();
    let mut hooks = Hooks::new();
    hooks.push(SlowPhaseAlert { threshold: Nanos::from_secs(2), alerts: sender });

    let plan = plan().expect("the path is short, and the plan has room for two phases");
    let mut runner = Runner::<512, 2, _>::new(plan, hooks).expect("each phase has an end");
    let clock = MockClock::new();
    loop {
        match runner.poll(clock.now(), true) {
            Step::Send(ticket) => {
                clock.advance(Nanos::from_millis(50));
                runner.finish(&ticket, clock.now(), Outcome::Success).expect("it is in flight");
            }
            Step::WaitUntil(due) => clock.set(due),
            Step::PhaseEnded => runner.next_phase(),
            Step::Finished => break,
        }
    }
    drop(runner);
    alerts.iter().collect()
}

fn main() {
    for alert in run() {
        println!("{alert}");
    }
}
