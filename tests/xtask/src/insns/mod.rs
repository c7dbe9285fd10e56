//! `cargo xtask insns`: executed instructions, which unlike times are the same on every machine.

mod cortex_m4;
mod x86;

use anyhow::Result;

pub(crate) use x86::callgrind;

/// Counts instructions on all processors, prints them and compares them with the baselines.
///
/// # Errors
/// When something cannot be built or run, or when a count has grown.
pub(crate) fn run(update: bool) -> Result<()> {
    cortex_m4::run(update)?;
    x86::run(update)
}

/// The part that takes seconds.
///
/// # Errors
/// As [`run`].
pub(crate) fn run_quick() -> Result<()> {
    cortex_m4::run(false)
}
