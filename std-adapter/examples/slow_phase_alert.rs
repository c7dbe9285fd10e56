//! A hook of your own: it raises an alert when a phase took longer than it should.
//!
//! The load is simulated on a clock that the program moves, so the output is always the same:
//!
//! ```text
//! $ cargo run -q -p phasemeter --example slow_phase_alert
//! ALERT: profiling took 3.050 s, more than 2.000 s; 10 of its requests completed
//! ```

use std::sync::mpsc::{Sender, channel};

use phasemeter::core::device::{Device, Step, Storage};
use phasemeter::core::hook::PhaseHook;
use phasemeter::core::outcome::Outcome;
use phasemeter::core::phase::PhaseStats;
use phasemeter::core::plan::{Arrival, PhaseKind, PhasePlan, RunPlan, Stop, Workload};
use phasemeter::core::telemetry::{Identity, TelemetryConfig};
use phasemeter::core::time::{Duration, Instant, MockClock};
use phasemeter::hook::Hooks;

/// Sends an alert for each phase that took longer than `threshold`, by the device's clock.
struct SlowPhaseAlert {
    threshold: Duration,
    alerts: Sender<String>,
}

impl PhaseHook for SlowPhaseAlert {
    fn on_phase_complete(&mut self, phase: &PhaseStats, _now: Instant) {
        let Some(duration) = phase.total_duration().filter(|duration| *duration > self.threshold) else { return };
        let seconds = |length: Duration| std::time::Duration::from_nanos(length.as_nanos()).as_secs_f64();
        let (took, limit, completed) = (seconds(duration), seconds(self.threshold), phase.counts.completed);
        let alert = format!(
            "ALERT: {} took {took:.3} s, more than {limit:.3} s; {completed} of its requests completed",
            phase.name()
        );
        // A hook cannot fail: if nobody listens any more, there is nothing to do.
        let _ = self.alerts.send(alert);
    }
}

/// A second of warmup, and three seconds of profiling.
fn plan() -> Option<RunPlan<2>> {
    let mut plan = RunPlan::new(42);
    for (kind, per_second) in [(PhaseKind::Warmup, 10), (PhaseKind::Profiling, 3)] {
        plan.push(PhasePlan {
            kind,
            workload: Workload::get("/")?,
            arrival: Arrival::constant(per_second),
            stop: Stop::requests(10),
            grace: Duration::from_secs(1),
        })
        .ok()?;
    }
    Some(plan)
}

/// Runs the plan against a server that takes 50 ms for everything, and returns the alerts.
pub(crate) fn run() -> Vec<String> {
    let (sender, alerts) = channel();
    let mut hooks = Hooks::new();
    hooks.push(SlowPhaseAlert { threshold: Duration::from_secs(2), alerts: sender });

    let plan = plan().expect("the path is short, and the plan has room for two phases");
    let (clock, mut storage) = (MockClock::new(), Storage::<5, 512, 2, 2048>::new());
    let mut device = Device::new(&mut storage, Identity::new("example", 1), &[], TelemetryConfig::default(), hooks);
    assert!(device.run(plan), "no other run is under way");
    loop {
        match device.poll(clock.now(), true) {
            Step::Send(ticket) => {
                clock.advance(Duration::from_millis(50));
                device.finish(ticket, clock.now(), Outcome::Success).expect("it is in flight");
            }
            Step::WaitUntil(due) => clock.set(due),
            Step::Finished => break,
            Step::Asked | Step::PhaseBegins | Step::PhaseEnded => {}
        }
        // Nobody listens to its telemetry.
        let waiting = device.transmit().len();
        device.sent(waiting);
    }
    drop(device);
    alerts.iter().collect()
}

fn main() {
    for alert in run() {
        println!("{alert}");
    }
}
