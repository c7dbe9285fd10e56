//! What the host asks for, and what becomes of it.

use core::net::SocketAddrV4;

use embedded_io::{Read, ReadReady, Write, WriteReady};
use phasemeter_core::plan::{Arrival, PhasePlan, RunPlan};
use phasemeter_core::telemetry::{Refusal, Reporter, ReporterConfig, Request as Asked};
use phasemeter_core::time::{Clock, Nanos};
use smoltcp::phy::Device;

use super::{App, State};
use crate::net::CONNECTIONS;
use crate::plan::MAX_PHASES;
use crate::request::Request;

/// How much is taken from the line at a time.
const READ_AT_A_TIME: usize = 64;

impl<D, C, S> App<'_, D, C, S>
where
    D: Device,
    C: Clock,
    S: Read + ReadReady + Write + WriteReady,
{
    /// Takes what the host says; tells whether it said anything.
    pub(super) fn hear(&mut self, now: Nanos) -> bool {
        let mut bytes = [0; READ_AT_A_TIME];
        let ready = self.serial.read_ready().unwrap_or(false);
        let count = if ready { self.serial.read(&mut bytes).unwrap_or(0) } else { 0 };
        for byte in bytes.iter().take(count) {
            if let Some(asked) = self.control.push(*byte) {
                self.has_host = true;
                self.obey(now, asked);
            }
        }
        count > 0
    }

    fn obey(&mut self, now: Nanos, asked: Asked<MAX_PHASES>) {
        match asked {
            Asked::Identify => {
                self.begin_boot();
                self.reporter.identify();
            }
            Asked::Start { target, plan } => match (self.resolve(&target), impossible_phase(&plan)) {
                (_, Some(index)) => self.control.refuse(Refusal::BadPhase(index)),
                (None, _) => self.control.refuse(Refusal::BadTarget),
                (Some(target), _) if self.start(now, plan, target) => self.reporter.expect_acknowledgement(),
                _ => self.control.refuse(Refusal::CannotRun),
            },
            Asked::Stop if self.state == State::Running => self.runner.cancel(now),
            Asked::Acknowledge(phase) => self.reporter.acknowledge(phase),
            Asked::Resend if self.state == State::Running => self.reporter.resend(self.runner),
            _ => {}
        }
    }

    /// The address that a target names; an empty one is the device's own choice.
    fn resolve(&self, target: &str) -> Option<SocketAddrV4> {
        let target = if target.is_empty() { Some(self.config.target) } else { target.parse().ok() };
        target.filter(|target| !target.ip().is_unspecified() && target.port() > 0)
    }

    /// What is said of the next run is not to be taken for more of the last.
    fn begin_boot(&mut self) {
        if self.state == State::Over {
            self.config.identity.boot_id = self.config.identity.boot_id.wrapping_add(1);
            self.reporter = Reporter::new(self.config.identity, ReporterConfig::default());
            self.state = State::Idle;
        }
    }

    /// Starts a run; tells whether the plan can be run.
    pub(super) fn start(&mut self, now: Nanos, plan: RunPlan<MAX_PHASES>, target: SocketAddrV4) -> bool {
        if self.runner.restart(plan).is_err() {
            return false;
        }
        self.begin_boot();
        if target != self.target {
            self.target = target;
            let Self { connections, net, .. } = self;
            for connection in connections {
                connection.close(net.socket(connection.handle), now);
            }
        }
        self.state = State::Running;
        self.control.set_busy(true);
        self.begin_phase(now);
        true
    }
}

/// The first phase that cannot be carried out: its requests cannot be made, or not so many at a time.
fn impossible_phase(plan: &RunPlan<MAX_PHASES>) -> Option<u16> {
    let is_possible = |phase: &PhasePlan| {
        let is_too_wide =
            matches!(phase.arrival, Arrival::ClosedLoop { concurrency } if usize::from(concurrency) > CONNECTIONS);
        !is_too_wide && Request::new(&phase.workload, "").is_some()
    };
    (0..).zip(plan.phases()).find(|(_, phase)| !is_possible(phase)).map(|(index, _)| index)
}
