//! `--registry` and `--config`: where components and their configuration come from.

use std::path::PathBuf;

use crate::registry::{Diagnostic, Registry, user_directory};

/// Where manifests are, beside those of the user's directory.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct RegistryArgs {
    /// A manifest that declares components, or a directory of them; repeatable.
    #[arg(long = "registry", value_name = "FILE|DIR")]
    pub(super) paths: Vec<PathBuf>,
}

impl RegistryArgs {
    /// The registry with every component that the user has; says what is odd about the manifests.
    pub(super) fn open(&self) -> anyhow::Result<Registry> {
        let mut registry = Registry::with_builtins()?;
        for path in self.places() {
            say_all(&registry.load(&path)?);
        }
        Ok(registry)
    }

    /// The user's directory if there is one, then the paths that were given.
    pub(super) fn places(&self) -> Vec<PathBuf> {
        user_directory().filter(|directory| directory.exists()).into_iter().chain(self.paths.iter().cloned()).collect()
    }
}

/// Tells the user each warning.
pub(super) fn say_all(warnings: &[Diagnostic]) {
    for warning in warnings {
        super::say(format_args!("warning: {warning}"));
    }
}
