//! Executed instructions and used stack on a Cortex-M4, which QEMU counts exactly.

use std::io::Read as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::baseline::{Baseline, Number, table};
use crate::command::program;
use crate::probe::{self, Profile};
use crate::toolchain::{Toolchain, ensure_program};

const TARGET: &str = "thumbv7em-none-eabihf";
const IMAGE: &str = "insns";
const QEMU: &str = "qemu-system-arm";

const PROFILES: [(Profile, &str); 2] = [(Profile::Release, "opt-level s"), (Profile::Speed, "opt-level 3")];

/// It takes less than a second.
const PATIENCE: Duration = Duration::from_mins(1);

const INSTRUCTIONS: Baseline = Baseline {
    path: "tests/size/cortex-m4-insns.txt",
    command: "cargo xtask insns",
    band: 5,
    band_between_compilers: 10,
};

/// Stack varies more than code: from Rust 1.95 to 1.96 the quantiles took 24 % more.
const STACK: Baseline = Baseline {
    path: "tests/size/cortex-m4-stack.txt",
    command: "cargo xtask insns",
    band: 5,
    band_between_compilers: 30,
};

/// Counts, prints and compares with the baseline.
///
/// # Errors
/// When there is no QEMU, the image cannot be built, it fails or hangs, or a number has grown.
pub(crate) fn run(update: bool) -> Result<()> {
    ensure_program(QEMU, QEMU)?;
    let toolchain = Toolchain::for_target(TARGET)?;
    let mut numbers = Vec::new();
    for (profile, column) in PROFILES {
        let directory = probe::build(toolchain, TARGET, profile, &[IMAGE])?;
        for line in execute(&directory.join(IMAGE))?.lines() {
            let (row, value) = line.rsplit_once(' ').with_context(|| format!("`{line}` is not `NAME NUMBER`"))?;
            let value = value.parse().with_context(|| format!("`{line}` is not `NAME NUMBER`"))?;
            numbers.push(Number { column: column.to_owned(), row: row.to_owned(), value });
        }
    }
    let (stack, instructions): (Vec<_>, Vec<_>) =
        numbers.into_iter().partition(|one: &Number| one.row.ends_with("stack bytes"));
    let compiler = toolchain.compiler()?;
    println!("\n{}\n{}", table("Cortex-M4, N = 1024", &instructions), table("Cortex-M4, N = 1024", &stack));
    INSTRUCTIONS.settle(&compiler, &instructions, update)?;
    STACK.settle(&compiler, &stack, update)
}

/// Runs an image and gives what it printed.
fn execute(image: &Path) -> Result<String> {
    let mut qemu = emulator(image).spawn().with_context(|| format!("{QEMU} could not be started"))?;
    let success = finish(&mut qemu)?;
    let mut printed = String::new();
    if let Some(mut stdout) = qemu.stdout.take() {
        stdout.read_to_string(&mut printed).context("the image printed something other than UTF-8")?;
    }
    if !success || printed.is_empty() {
        bail!("the image failed: either QEMU does not count instructions, or semihosting does not work");
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
