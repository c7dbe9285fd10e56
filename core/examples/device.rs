//! A load generator without hardware: ten requests, one every 10 ms, to a server that answers in 3 ms.

use std::io::{Write, stdout};

use phasemeter_core::device::{Device, Step, Storage};
use phasemeter_core::outcome::Outcome;
use phasemeter_core::plan::{Arrival, PhasePlan, RunPlan, Stop, Workload};
use phasemeter_core::telemetry::{Identity, TelemetryConfig};
use phasemeter_core::time::{Duration, MockClock};

fn main() {
    let (workload, arrival) = (Workload::get("/").unwrap(), Arrival::constant(100));
    let mut plan = RunPlan::<1>::new(7);
    plan.push(PhasePlan::profiling(workload, arrival, Stop::requests(10))).unwrap();
    let (clock, mut storage) = (MockClock::new(), Storage::<5, 512, 1, 2048>::new());
    let mut device = Device::new(&mut storage, Identity::new("bench-1", 1), &[], TelemetryConfig::default(), ());
    device.run(plan);
    while !device.is_idle() {
        match device.poll(clock.now(), true) {
            Step::Send(ticket) => {
                clock.advance(Duration::from_millis(3)); // a real device sends the request, and goes on
                device.finish(ticket, clock.now(), Outcome::Success).unwrap();
            }
            Step::WaitUntil(due) => clock.set(due),
            _ => {} // a phase begins or ends, or a host asks for a run
        }
        device.sent(stdout().write(device.transmit()).unwrap());
    }
}
