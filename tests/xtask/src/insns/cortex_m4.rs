//! Executed instructions and used stack on a Cortex-M4, which QEMU counts exactly.

use anyhow::{Context, Result};

use crate::baseline::{Baseline, Number, table};
use crate::emulator::{TARGET, execute};
use crate::probe::{self, Profile};
use crate::toolchain::Toolchain;

const IMAGE: &str = "insns";

const PROFILES: [(Profile, &str); 2] = [(Profile::Release, "opt-level s"), (Profile::Speed, "opt-level 3")];

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
    let toolchain = Toolchain::for_target(TARGET)?;
    let mut numbers = Vec::new();
    for (profile, column) in PROFILES {
        let directory = probe::build(toolchain, TARGET, profile, &[IMAGE], &[])?;
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
