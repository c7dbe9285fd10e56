//! How much is said on standard error: `--quiet` and `--verbose`.

use std::sync::OnceLock;

/// How much is said beside errors and what was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Verbosity {
    /// Nothing.
    Quiet,
    /// What a user may want to know.
    #[default]
    Normal,
    /// Each transition and each gap, on a terminal as well.
    Verbose,
}

/// The switches, of any subcommand.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct VerbosityArgs {
    /// Say nothing on standard error but errors.
    #[arg(short, long, global = true)]
    quiet: bool,
    /// Say more: each phase as it starts and ends, and each gap in the telemetry.
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    verbose: bool,
}

static CHOSEN: OnceLock<Verbosity> = OnceLock::new();

impl VerbosityArgs {
    /// Holds for the whole process: it is the user's, not that of a part of the work.
    pub(super) fn choose(self) {
        let chosen = match (self.quiet, self.verbose) {
            (true, _) => Verbosity::Quiet,
            (_, true) => Verbosity::Verbose,
            _ => Verbosity::Normal,
        };
        // The command line is read once.
        let _ = CHOSEN.set(chosen);
    }
}

/// What the user has chosen.
pub(super) fn verbosity() -> Verbosity {
    CHOSEN.get().copied().unwrap_or_default()
}
