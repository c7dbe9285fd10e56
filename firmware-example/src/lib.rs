//! A load generator for hardware without an operating system: HTTP requests over Ethernet, timed by phasemeter-core,
//! told over a serial line.
//!
//! Everything here is free of hardware: it is generic over the clock, the network device and the serial port, and its
//! tests run on the host. What a board has to bring is beside `main.rs`, in `board`.
//!
//! The modules, in the order in which data flows through them; each uses only those above it:
//!
//! | module | what it owns |
//! |---|---|
//! | [`plan`] | what is done without a host |
//! | [`request`] | the bytes of a request, made up as they are written |
//! | `sse` | the tokens in a stream of server-sent events |
//! | [`http`] | a response, read in fixed memory however it is cut |
//! | [`net`] | the interface and its sockets |
//! | `connection` | one connection, and the request that it carries |
//! | [`app`] | the load generator: what the core's device asks for, carried out a little at each poll |
//! | [`parameters`] | what a person may ask of one start |
//! | [`wire`], [`scripted`] | a network in memory with a server that follows a script: for tests, and for runs that repeat exactly |

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod plan;
pub mod request;
mod sse;
pub mod http;
pub mod net;
mod connection;
pub mod app;
pub mod parameters;
pub mod wire;
pub mod scripted;
