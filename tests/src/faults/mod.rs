//! The fault table: everything that can happen between a device and its report, tried often, with devices whose samples are
//! known value by value.
//!
//! A trial ends in one of four ways. Either the exit code is 0 and every number of the summary is right, or the run says that
//! something is missing; a wrong number with exit code 0, and anything that looks like a reset, a crash or a hang and is none, are
//! what must never be. What is right is computed from sorted values: no histogram of ours has a part in it.
//!
//! Everything but the last family happens within the process: bytes into a capture, that through [`CaptureReader`] into
//! [`RecordedRun`], as `replay` does it.
//!
//! [`CaptureReader`]: phasemeter::capture::CaptureReader
//! [`RecordedRun`]: phasemeter::replay::RecordedRun

mod known;
mod trial;
mod truth;
mod table;

mod line;
mod boots;
mod sources;
mod baud;
mod device;
mod lies;
mod capture;
mod process;

pub use table::{Row, Table};

use known::Pool;

/// How much to try.
#[derive(Clone, Debug)]
pub struct Scale {
    /// Trials of each row.
    pub trials: u32,
    /// Trials of each row that starts the command.
    pub processes: u32,
    /// Chooses the trials.
    pub seed: u64,
    /// Only the faults whose name contains this.
    pub filter: Option<String>,
}

/// Tries every fault.
pub fn table(scale: &Scale) -> Table {
    let pool = Pool::new(scale.seed);
    let mut table = Table::new(scale.trials, scale.seed, scale.filter.clone());
    line::add(&mut table, &pool);
    boots::add(&mut table, &pool);
    sources::add(&mut table, &pool);
    baud::add(&mut table, &pool);
    device::add(&mut table, &pool);
    lies::add(&mut table, &pool);
    capture::add(&mut table, &pool);
    process::add(&mut table, scale.processes);
    table
}
