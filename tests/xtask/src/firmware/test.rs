//! Every check of the firmware.

use std::path::PathBuf;

use anyhow::Result;

use super::{MANIFEST, QEMU, TARGET, bench, build, size};
use crate::command::{cargo, output, program, run as run_command, tools};
use crate::packages::ensure_program;
use crate::toolchain::{Toolchain, ensure_component};

/// The images that are linted and built: as on hardware, and with all that QEMU offers.
const FEATURES: [&str; 3] = ["mps2", "semihosting", "semihosting,defmt"];

/// Runs every step.
///
/// # Errors
/// At the first step that fails.
pub(crate) fn run() -> Result<()> {
    ensure_component("fmt", "rustfmt")?;
    run_command(cargo().args(["fmt", "--manifest-path", MANIFEST, "--check"]))?;
    lint()?;
    run_command(
        cargo().args(["test", "--locked", "--manifest-path", MANIFEST]).arg("--target-dir").arg(build::directory()),
    )?;
    size::run(false)?;
    bench::insns(false)?;
    in_qemu()
}

fn lint() -> Result<()> {
    ensure_component("clippy", "clippy")?;
    let with = |features: &str| {
        let toolchain = Toolchain::for_target(TARGET)?;
        // Debian's compiler comes without clippy: there the image has to compile.
        let (subcommand, lints): (_, &[_]) = match toolchain {
            Toolchain::Installed => ("clippy", &["--", "-D", "warnings"]),
            Toolchain::Debian => ("check", &[]),
        };
        let mut command = toolchain.cargo(subcommand, TARGET);
        command.args(["--manifest-path", MANIFEST, "--locked", "--release", "--lib", "--bins", "--features", features]);
        run_command(command.arg("--target-dir").arg(build::directory()).args(lints))
    };
    FEATURES.into_iter().try_for_each(with)?;
    let mut command = cargo();
    command.args(["clippy", "--manifest-path", MANIFEST, "--locked", "--all-targets", "--target-dir"]);
    run_command(command.arg(build::directory()).args(["--", "-D", "warnings"]))
}

/// The tests that need QEMU lie among the other integration tests, which leave them out.
fn in_qemu() -> Result<()> {
    ensure_program(QEMU, QEMU)?;
    let decoder = decoder()?;
    run_command(cargo().args(["build", "-p", "phasemeter"]))?;
    let [hardware, emulated, logging] = FEATURES.map(build::image);
    hardware?;
    let mut command = cargo();
    command.args(["test", "-p", "phasemeter-tests", "--test", "firmware", "--", "--ignored"]);
    // They measure time, on few processors.
    command.args(["--test-threads", "1"]);
    command.env("PHASEMETER_IMAGE", emulated?).env("PHASEMETER_LOGGING_IMAGE", logging?);
    run_command(command.env("PHASEMETER_DEFMT_PRINT", decoder))
}

/// The program that reads the firmware's logs.
fn decoder() -> Result<PathBuf> {
    let decoder = tools().join("defmt-print");
    if output(program(&decoder).arg("--version")).is_err() {
        let place = tools().join("..");
        run_command(cargo().args(["install", "defmt-print", "--locked", "--root"]).arg(place))?;
    }
    Ok(decoder)
}
