//! `phasemeter man`: the manual pages.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;

/// Print the manual page, or write one for each subcommand.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  phasemeter man | man -l -\n  phasemeter man --out ~/.local/share/man/man1")]
pub(super) struct Args {
    /// Write the pages into this directory: the command's, and one for each subcommand.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Prints or writes the pages of this command line.
pub(super) fn run(args: &Args, command: clap::Command) -> anyhow::Result<ExitCode> {
    if let Some(out) = &args.out {
        std::fs::create_dir_all(out).with_context(|| format!("cannot make the directory {}", out.display()))?;
        clap_mangen::generate_to(command, out)
            .with_context(|| format!("cannot write the pages into {}", out.display()))?;
    } else {
        let mut page = Vec::new();
        clap_mangen::Man::new(command).render(&mut page).context("cannot make the page")?;
        super::write_all(std::io::stdout().lock(), &page)?;
    }
    Ok(ExitCode::SUCCESS)
}
