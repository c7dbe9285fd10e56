//! Failed requests, by what is to blame.

use core::fmt;

use crate::connection::Failure;

/// How many requests of a phase failed, by what is to blame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Failures {
    connect: u32,
    status: u32,
    broken: u32,
    timed_out: u32,
    malformed: u32,
}

impl Failures {
    pub(super) fn count(&mut self, failure: Failure) {
        let counter = match failure {
            Failure::Connect => &mut self.connect,
            Failure::Status => &mut self.status,
            Failure::Broken => &mut self.broken,
            Failure::TimedOut => &mut self.timed_out,
            Failure::Malformed => &mut self.malformed,
        };
        *counter = counter.saturating_add(1);
    }
}

impl fmt::Display for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { connect, status, broken, timed_out, malformed } = self;
        write!(
            f,
            "failed: {connect} not connected, {status} bad status, {broken} broken, {timed_out} timed out, \
             {malformed} malformed"
        )
    }
}
