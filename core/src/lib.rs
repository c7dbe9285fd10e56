//! Times the phases of a load test, keeps one fixed-size latency histogram per metric and streams both over a
//! serial line: the part of phasemeter that runs on the device.
//!
//! No heap, no `unsafe`, no floats, and no panic reachable from any public call, whatever the input. Nothing here
//! owns a socket, a thread or a clock: the caller passes the time in and carries the bytes out, so that the same
//! code drives a Cortex-M4 and a Linux board.
//!
//! The public modules, in the order in which data flows through them; each uses only those above it:
//!
//! | module | what it owns |
//! |---|---|
//! | [`time`] | nanoseconds, and the clocks that yield them |
//! | [`summary`] | percentiles and the quantiles they name |
//! | [`histogram`] | the streaming latency histogram |
//! | [`plan`] | what a run consists of: its phases, workloads, arrivals and stops |
//! | [`phase`] | the life of one phase and its request counts |
//! | [`meter`] | the live phase: lifecycle, counts and one histogram per metric |
//! | [`hook`] | who gets told when a phase starts, stops sending, completes or times out |
//! | [`runner`] | decides when the next request is due, and when a phase is over |
//! | [`aggregate`] | many phases or devices made into one |
//! | [`telemetry`] | the frames on the line, their encoding and decoding |
//!
//! # A run on a device
//!
//! ```
//! use phasemeter_core::plan::{Arrival, PhaseKind, PhasePlan, Rate, RunPlan, Stop, Workload};
//! use phasemeter_core::runner::{Outcome, Runner, Step};
//! use phasemeter_core::summary::Percentile;
//! use phasemeter_core::time::{Clock, MockClock, Nanos};
//!
//! // Ten requests, one every 10 ms.
//! let mut plan = RunPlan::<1>::new(7);
//! let phase = PhasePlan {
//!     kind: PhaseKind::Profiling,
//!     workload: Workload::get("/").unwrap(),
//!     arrival: Arrival::Constant { rate: Rate::per_second(100) },
//!     stop: Stop::requests(10),
//!     grace: Nanos::from_secs(1),
//! };
//! plan.push(phase).unwrap();
//!
//! let clock = MockClock::new();
//! let mut runner = Runner::<512, 1>::new(plan, ()).unwrap();
//! let mut p50 = None;
//! loop {
//!     match runner.poll(clock.now(), true) {
//!         // A real device writes the request to a socket here, and calls `finish` once the response came.
//!         Step::Send(mut ticket) => {
//!             ticket.mark_sent(clock.now());
//!             clock.advance(Nanos::from_millis(3));
//!             runner.finish(&ticket, clock.now(), Outcome::Success).unwrap();
//!         }
//!         Step::WaitUntil(due) => clock.set(due),
//!         Step::PhaseEnded => {
//!             let latencies = runner.meter().histogram(phasemeter_core::meter::Metric::ResponseTime);
//!             p50 = latencies.quantile(Percentile::P50);
//!             runner.next_phase();
//!         }
//!         Step::Finished => break,
//!     }
//! }
//! let p50 = p50.unwrap();
//! assert!(p50.lower <= 3_000_000 && 3_000_000 <= p50.upper);
//! ```

#![no_std]

#[cfg(test)]
extern crate std;

pub mod time;
mod wire;
pub mod summary;
pub mod histogram;
pub mod plan;
pub mod phase;
pub mod meter;
pub mod hook;
pub mod runner;
pub mod aggregate;
pub mod telemetry;
