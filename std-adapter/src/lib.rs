//! The host side of phasemeter: captures the telemetry of load generators, and turns it into reports.
//!
//! The modules, in the order in which data flows through them:
//!
//! | module | what it owns |
//! |---|---|
//! | [`plan`] | plan files: YAML to [`phasemeter_core::plan`] |
//! | [`source`] | where bytes come from: serial ports, ptys, sockets, files |
//! | [`capture`] | the append-only file that every byte goes to first |
//! | [`session`] | one device's line: frames, boots, phases, histograms, and what was lost |
//! | [`hook`] | what the host does when a phase starts, ends or times out |
//! | [`remote`] | commands to a device: upload a plan, start, acknowledge, stop |
//! | [`process`] | the records of every request, made into metrics |
//! | [`registry`] | components by name: manifests, typed configuration, the code of each |
//! | [`report`] | the summary of a run, as JSON and as text |
//! | [`run`] | capture records to summary: the same for a live recording and for a replay |
//! | [`record`] | many sources into one capture, until their runs are over |
//! | [`load`] | the load generator for Linux boards: core's runner, real HTTP |
//! | [`mock`] | a server with known delays to measure against |
//! | [`cli`] | the `phasemeter` command |
//!
//! # A report from a capture
//!
//! ```no_run
//! let replayed = phasemeter::run::replay("run/capture.pmcap".as_ref())?;
//! let summary = replayed.run.summary();
//! for phase in &summary.phases {
//!     if let Some(metric) = phase.metrics.get("response_time") {
//!         println!("{}: p99 {:?} ms", phase.phase, metric.percentiles["p99"].value);
//!     }
//! }
//! # Ok::<(), phasemeter::capture::CaptureError>(())
//! ```

mod atomic;
mod yaml;
pub mod plan;
pub mod source;
pub mod capture;
pub mod session;
pub mod hook;
pub mod remote;
pub mod process;
pub mod registry;
pub mod report;
pub mod run;
pub mod record;
pub mod load;
pub mod mock;
pub mod cli;
