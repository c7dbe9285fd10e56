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
//! | [`time`] | moments and lengths of time, and the clocks that yield them |
//! | [`name`] | short text in fixed memory |
//! | [`summary`] | percentiles and the quantiles they name |
//! | [`histogram`] | the streaming latency histogram |
//! | [`autocorrelation`] | how much each value resembles the one before it |
//! | [`metric`] | what is measured: names and units |
//! | [`plan`] | what a run consists of: its phases, workloads, arrivals and stops |
//! | [`outcome`] | how requests end, and failures by cause |
//! | [`phase`] | the life of one phase and its request counts |
//! | [`meter`] | the live phase: lifecycle, counts and one histogram per metric |
//! | [`request`] | the requests of a load generator, and what is recorded of each |
//! | [`hook`] | who gets told when a phase starts, stops sending, completes or times out |
//! | [`runner`] | when the next request is due, and when a phase is over |
//! | [`aggregate`] | many phases or devices made into one |
//! | [`telemetry`] | the frames on the line, their encoding and decoding |
//! | [`device`] | **a load generator without its input and output: start here** |
//! | [`monitor`] | **the same for a firmware that only measures itself** |
//!
//! [`embedded_io`] is the crate of that name: its traits are those of the serial lines here.

#![no_std]

#[cfg(test)]
extern crate std;

pub use embedded_io;

pub mod time;
pub mod name;
mod hash;
mod wire;
pub mod summary;
pub mod histogram;
pub mod autocorrelation;
pub mod metric;
pub mod plan;
pub mod outcome;
pub mod phase;
pub mod meter;
pub mod request;
pub mod hook;
pub mod runner;
pub mod aggregate;
pub mod telemetry;
pub mod device;
pub mod monitor;
