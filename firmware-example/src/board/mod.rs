//! The board: everything that knows hardware, and the only place with `unsafe`.
//!
//! To port the firmware is to write this module anew: a clock, a network device, a serial port, and a way to wait for
//! them. The README says what each of them promises.

mod register;

mod lan9118;
mod timer;
mod uart;

mod mps2;
mod sleep;

pub(crate) mod boot;
pub(crate) mod failure;
#[cfg(feature = "defmt")]
mod log;
#[cfg(feature = "semihosting")]
pub(crate) mod semihosting;
#[cfg(feature = "semihosting")]
pub(crate) mod stack;

#[cfg(feature = "semihosting")]
pub(crate) use mps2::clock;
pub(crate) use mps2::{Board, BoardClock, CLOCK_HZ};
pub(crate) use sleep::Sleep;
pub(crate) use uart::Uart;
