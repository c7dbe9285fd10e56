//! `cargo xtask test`: every check of the project, in the order in which a failure shows soonest.

use std::fs;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};

use crate::command::{self, cargo, run as run_command};
use crate::toolchain::{self, Toolchain};
use crate::{features, firmware, insns, interrupts, packages, readme, size, table};

/// What `phasemeter-core` must build for: a core without compare-and-swap, one with an FPU, and RISC-V.
const BARE_METAL: [&str; 3] = ["thumbv6m-none-eabi", "thumbv7em-none-eabihf", "riscv32imac-unknown-none-elf"];

/// Runs every step.
///
/// # Errors
/// At the first step that fails, or that cannot be run: no step is ever skipped.
pub(crate) fn run() -> Result<()> {
    let mut steps = Steps::new();

    steps.run("format", || {
        toolchain::ensure_component("fmt", "rustfmt")?;
        run_cargo(&["fmt", "--all", "--check"])?;
        run_cargo(&["fmt", "--manifest-path", "tests/probe/Cargo.toml", "--check"])
    })?;
    steps.run("generated files", || {
        table::generated().check()?;
        readme::generated()?.check()
    })?;
    steps.run("lints", || {
        toolchain::ensure_component("clippy", "clippy")?;
        run_cargo(&["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"])
    })?;
    steps.run("features", features::check)?;
    // The end-to-end tests run the command that lies beside them in the target directory.
    steps.run("phasemeter command", || run_cargo(&["build", "-p", "phasemeter"]))?;
    steps.run("servers for the tests", || packages::ensure_program("nginx", "nginx"))?;
    steps.run("tests", || run_cargo(&["test", "--workspace"]))?;
    // What people run is optimised: that has once called a histogram of zeros impossible.
    steps.run("long runs, as released", soak)?;
    steps.run("documentation", || {
        document(&["--workspace"])?;
        document(&["-p", "phasemeter-core", "--all-features"])
    })?;
    for target in BARE_METAL {
        steps.run(&format!("no_std on {target}"), || {
            let toolchain = Toolchain::for_target(target)?;
            for features in [&[][..], &["--features", "defmt"]] {
                run_command(toolchain.cargo("check", target).args(["-p", "phasemeter-core"]).args(features))?;
            }
            Ok(())
        })?;
    }
    steps.run("flash and panics", || {
        size::run(false)?;
        size::prove()
    })?;
    steps.run("instructions", insns::run_quick)?;
    steps.run("interrupts", interrupts::run)?;
    steps.run("firmware", firmware::test)?;
    steps.run("packages", package)?;

    steps.finish();
    Ok(())
}

fn run_cargo(arguments: &[&str]) -> Result<()> {
    run_command(cargo().args(arguments))
}

/// Records long runs in simulated time, with an optimised build.
///
/// # Errors
/// When what is recorded is wrong, or memory grows.
pub(crate) fn soak() -> Result<()> {
    run_cargo(&["run", "--release", "-p", "phasemeter-tests", "--bin", "soak"])
}

/// Packages the crates as they would be published, and builds them from the packages.
///
/// Cargo unpacks a package that another one needs into a folder named after the target directory and the version, and
/// takes what it finds there: a target directory of its own keeps an older state from passing for this one.
fn package() -> Result<()> {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let directory = command::root().join(format!("target/packages-{}", since_1970.as_nanos()));
    let packaged = run_command(
        cargo()
            .args(["package", "-p", "phasemeter-core", "-p", "phasemeter", "--allow-dirty", "--target-dir"])
            .arg(&directory),
    );
    // Left behind, it would only take space.
    let _ = fs::remove_dir_all(&directory);
    packaged
}

fn document(what: &[&str]) -> Result<()> {
    run_command(cargo().env("RUSTDOCFLAGS", "-D warnings").args(["doc", "--no-deps"]).args(what))
}

/// Numbers the steps and prints how long each took.
struct Steps {
    started: Instant,
    count: usize,
}

impl Steps {
    fn new() -> Self {
        Self { started: Instant::now(), count: 0 }
    }

    fn run(&mut self, name: &str, step: impl FnOnce() -> Result<()>) -> Result<()> {
        self.count += 1;
        let number = self.count;
        println!("==> step {number}: {name}");
        let started = Instant::now();
        let result = step();
        let outcome = if result.is_ok() { "ok" } else { "FAILED" };
        println!("==> step {number}: {name}: {outcome} after {:.1} s", started.elapsed().as_secs_f64());
        result.with_context(|| format!("step {number}, {name}, failed; the steps after it were not run"))
    }

    fn finish(&self) {
        println!("==> all {} steps ok after {:.1} s", self.count, self.started.elapsed().as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_step_keeps_its_cause_and_its_number() {
        let mut steps = Steps::new();
        steps.run("first", || Ok(())).unwrap();
        let error = steps.run("second", || anyhow::bail!("the cause")).unwrap_err();
        assert_eq!(format!("{error:#}"), "step 2, second, failed; the steps after it were not run: the cause");
    }
}
