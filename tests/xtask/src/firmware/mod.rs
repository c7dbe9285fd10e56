//! `cargo xtask firmware …`: build the example firmware, run it in QEMU against a mock server, test it.

mod bench;
mod build;
mod process;
mod run;
pub(crate) mod size;
mod test;

use std::path::PathBuf;
use std::process::ExitCode;

pub(crate) use test::run as test;

use anyhow::Result;
use clap::Subcommand;

/// The machine's processor.
const TARGET: &str = "thumbv7em-none-eabihf";
const QEMU: &str = "qemu-system-arm";
const MANIFEST: &str = "firmware-example/Cargo.toml";

#[derive(Subcommand)]
pub(crate) enum Firmware {
    /// Build the image and print where it is
    Build {
        /// The image's features, separated by commas: mps2, semihosting, defmt
        #[arg(long, value_name = "LIST", default_value = "mps2")]
        features: String,
    },
    /// Run a plan in QEMU against a mock server, and print the report
    Run {
        /// The plan file
        #[arg(default_value = "firmware-example/plan.yaml")]
        plan: PathBuf,
        /// Print the summary as JSON instead
        #[arg(long)]
        json: bool,
        /// The image's features, separated by commas: mps2, semihosting, defmt
        #[arg(long, value_name = "LIST", default_value = "mps2")]
        features: String,
    },
    /// Measure throughput, punctuality and accuracy in QEMU, and print them
    Bench,
    /// Measure flash, crate by crate, and static memory
    Size {
        /// Write the baseline instead of comparing with it
        #[arg(long)]
        update: bool,
    },
    /// Count the instructions that metering takes for each request
    Insns {
        /// Write the baseline instead of comparing with it
        #[arg(long)]
        update: bool,
    },
    /// Check the firmware's format and lints, and run its tests, on this machine and in QEMU
    Test,
}

impl Firmware {
    /// Does it; the exit code of a run is that of `phasemeter run`.
    ///
    /// # Errors
    /// When something is missing that cannot be installed, or a step fails.
    pub(crate) fn run(self) -> Result<ExitCode> {
        match self {
            Self::Build { features } => {
                println!("{}", build::image(&features)?.display());
                Ok(ExitCode::SUCCESS)
            }
            Self::Run { plan, json, features } => run::run(&plan, json, &features),
            Self::Bench => bench::run().map(|()| ExitCode::SUCCESS),
            Self::Size { update } => size::run(update).map(|()| ExitCode::SUCCESS),
            Self::Insns { update } => bench::insns(update).map(|()| ExitCode::SUCCESS),
            Self::Test => test().map(|()| ExitCode::SUCCESS),
        }
    }
}
