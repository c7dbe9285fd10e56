//! `phasemeter completions`: what a shell completes behind the command's name.

use std::process::ExitCode;

use clap_complete::Shell;

/// Print what a shell needs to complete this command's arguments.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  phasemeter completions bash > ~/.local/share/bash-completion/completions/phasemeter"
)]
pub(super) struct Args {
    /// The shell.
    shell: Shell,
}

/// Prints the completions of this command line.
pub(super) fn run(args: &Args, mut command: clap::Command) -> anyhow::Result<ExitCode> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut command, "phasemeter", &mut text);
    super::write_all(std::io::stdout().lock(), &text)?;
    Ok(ExitCode::SUCCESS)
}
