//! A load generator for hardware without an operating system.
//!
//! Everything here is free of hardware: it is generic over the clock, the network device and the serial port, and the
//! tests run it on the host. What a board has to bring is in `board`.

#![cfg_attr(not(test), no_std)]

pub mod request;
mod sse;
pub mod http;
pub mod plan;
pub mod net;
mod connection;
pub mod app;
pub mod parameters;
pub mod wire;
pub mod scripted;
