//! Running an image of `tests/probe` in QEMU, which executes as many instructions in the same time on every machine.

use std::io::Read as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::command::program;
use crate::packages::ensure_program;

/// What the emulated machine executes.
pub(crate) const TARGET: &str = "thumbv7em-none-eabihf";

const QEMU: &str = "qemu-system-arm";

/// An image takes seconds at most.
const PATIENCE: Duration = Duration::from_mins(1);

/// Runs an image to its end and gives what it printed.
///
/// # Errors
/// When there is no QEMU, or the image fails, hangs, or prints nothing.
pub(crate) fn execute(image: &Path) -> Result<String> {
    ensure_program(QEMU, QEMU)?;
    let mut qemu = emulator(image).spawn().with_context(|| format!("{QEMU} could not be started"))?;
    let success = finish(&mut qemu)?;
    let mut printed = String::new();
    if let Some(mut stdout) = qemu.stdout.take() {
        stdout.read_to_string(&mut printed).context("the image printed something other than UTF-8")?;
    }
    if !success || printed.is_empty() {
        bail!(
            "{} failed, after it printed {printed:?}; if that is nothing, QEMU does not count instructions, or semihosting \
             does not work",
            image.display()
        );
    }
    Ok(printed)
}

fn emulator(image: &Path) -> Command {
    let mut command = program(QEMU);
    command.args(["-machine", "mps2-an386", "-display", "none", "-monitor", "none", "-serial", "null"]);
    // One instruction takes 2^6 ns of the machine's time.
    command.args(["-icount", "shift=6", "-semihosting-config", "enable=on,target=native", "-kernel"]).arg(image);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    command
}

/// Waits for the end, but not for ever. What an image prints fits into a pipe.
fn finish(qemu: &mut Child) -> Result<bool> {
    let started = Instant::now();
    loop {
        if let Some(status) = qemu.try_wait().context("QEMU cannot be waited for")? {
            return Ok(status.success());
        }
        if started.elapsed() > PATIENCE {
            qemu.kill().context("QEMU hangs and cannot be killed")?;
            qemu.wait().context("QEMU cannot be waited for")?;
            bail!("the image was not done after {PATIENCE:?} and was killed");
        }
        thread::sleep(Duration::from_millis(20));
    }
}
