//! What the host asks for, and whether it can be done.

use core::net::SocketAddrV4;

use embedded_io::{Read, ReadReady, Write, WriteReady};
use phasemeter_core::plan::{Arrival, PhasePlan};
use phasemeter_core::telemetry::{Reason, Refusal};
use phasemeter_core::time::{Clock, Instant};
use smoltcp::phy;

use super::App;
use crate::net::CONNECTIONS;
use crate::request::Request;

/// How much is taken from the line at a time.
const READ_AT_A_TIME: usize = 64;

impl<D, C, S> App<D, C, S>
where
    D: phy::Device,
    C: Clock,
    S: Read + ReadReady + Write + WriteReady,
{
    /// Takes what the host says; tells whether it said anything.
    pub(super) fn hear(&mut self) -> bool {
        let mut bytes = [0; READ_AT_A_TIME];
        let ready = self.serial.read_ready().unwrap_or(false);
        let count = if ready { self.serial.read(&mut bytes).unwrap_or(0) } else { 0 };
        self.device.receive(bytes.get(..count).unwrap_or_default());
        count > 0
    }

    /// Starts the run that the host asks for, or refuses it.
    pub(super) fn decide(&mut self, now: Instant) {
        let impossible = (0..).zip(self.device.plan().phases()).find(|(_, phase)| !is_possible(phase));
        if let Some((index, _)) = impossible {
            return self.device.refuse(Refusal::with(Reason::BAD_PHASE, index));
        }
        let Some(target) = self.resolve(self.device.target()) else { return self.device.refuse(Reason::BAD_TARGET) };
        if target != self.target {
            self.target = target;
            let Self { connections, net, .. } = self;
            for connection in connections {
                connection.close(net.socket(connection.handle), now);
            }
        }
        self.device.start();
    }

    /// The address that a target names; an empty one is the device's own choice.
    fn resolve(&self, target: &str) -> Option<SocketAddrV4> {
        let target = if target.is_empty() { Some(self.config.target) } else { target.parse().ok() };
        target.filter(|target| !target.ip().is_unspecified() && target.port() > 0)
    }
}

/// Whether a phase can be carried out: its requests can be made, and so many at a time.
fn is_possible(phase: &PhasePlan) -> bool {
    let is_too_wide =
        matches!(phase.arrival, Arrival::ClosedLoop { concurrency } if usize::from(concurrency) > CONNECTIONS);
    !is_too_wide && Request::new(&phase.workload, "").is_some()
}
