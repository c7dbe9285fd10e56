//! `cargo xtask interrupts`: the ways in which an interrupt may record to a monitor, run in QEMU.

use anyhow::Result;

use crate::emulator::{TARGET, execute};
use crate::probe::{self, Profile};
use crate::toolchain::Toolchain;

/// Images in which no panic is reachable.
const BARE: [&str; 2] = ["interrupt_critical_section", "interrupt_queue"];

/// Of crates that may panic.
const EMBASSY: &str = "embassy";

/// Runs each image; it compares what its interrupt has measured with what a host hears of it.
///
/// # Errors
/// When an image cannot be built or run, or a value has not arrived.
pub(crate) fn run() -> Result<()> {
    let toolchain = Toolchain::for_target(TARGET)?;
    let directory = probe::build(toolchain, TARGET, Profile::Release, &BARE, &[])?;
    probe::build(toolchain, TARGET, Profile::Release, &[EMBASSY], &["panics"])?;
    for image in BARE.into_iter().chain([EMBASSY]) {
        println!("{image}:\n{}", execute(&directory.join(image))?);
    }
    Ok(())
}
