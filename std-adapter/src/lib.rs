//! The host side of phasemeter: captures the telemetry of load generators, and turns it into reports.
//!
//! The modules, in the order in which data flows through them, and the feature that each needs. The default feature `cli`
//! is the command, which has everything; with `default-features = false` a tool takes what it uses.
//!
//! | module | what it owns | feature |
//! |---|---|---|
//! | [`core`] | `phasemeter-core`, which also runs on devices: plans, histograms, phases, telemetry | |
//! | [`text`] | text from outside, made safe to show | |
//! | [`plan`] | plan files: YAML to [`core::plan`] | |
//! | [`source`] | where bytes come from: serial ports (`serial`), ptys, sockets, files | |
//! | [`capture`] | the append-only file that every byte goes to first | |
//! | [`session`] | one device's line: frames, boots, phases, histograms, and what was lost | |
//! | [`uncertainty`] | sampling intervals, early stopping, dependence, stationarity: how far one run can be trusted | |
//! | [`hook`] | what the host does when a phase starts, ends or times out | |
//! | [`remote`] | commands to a device: upload a plan, start, acknowledge, stop | |
//! | [`process`] | the records of every request, made into metrics | `process` |
//! | [`registry`] | components by name: manifests, typed configuration, the code of each | `registry` |
//! | [`report`] | the summary of a run, as JSON and as text | |
//! | [`replay`] | capture records to a run and its artifacts: the same while it is recorded and later | |
//! | [`recorder`] | many sources into one capture, until their runs are over | |
//! | [`load`] | the load generator for Linux boards: core's runner, real HTTP | `load` |
//! | [`mock`] | a server with known delays to measure against | `mock` |
//! | [`cli`] | the `phasemeter` command | `cli` |
//!
//! # A report from a capture
//!
//! ```no_run
//! let replayed = phasemeter::replay::replay("run/capture.pmcap".as_ref())?;
//! let summary = replayed.run.summary();
//! for phase in &summary.phases {
//!     if let Some(metric) = phase.metrics.get("response_time") {
//!         println!("{}: p99 {:?} ms", phase.phase, metric.percentiles["p99"].value);
//!     }
//! }
//! # Ok::<(), phasemeter::capture::CaptureError>(())
//! ```

pub mod text;
mod atomic;
mod yaml;
pub mod plan;
pub mod source;
pub mod capture;
mod statistics;
pub mod session;
pub mod uncertainty;
pub mod hook;
pub mod remote;
#[cfg(feature = "process")]
pub mod process;
#[cfg(feature = "registry")]
pub mod registry;
pub mod report;
pub mod replay;
pub mod recorder;
#[cfg(feature = "load")]
pub mod load;
#[cfg(feature = "mock")]
pub mod mock;
#[cfg(feature = "cli")]
pub mod cli;

pub use atomic::WriteError;
/// `phasemeter-core` in the version that this crate uses: `phasemeter::core::plan`. The language's own crate of that name is
/// `::core` where this one was imported.
pub use phasemeter_core as core;
