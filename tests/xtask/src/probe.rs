//! Building the images of `tests/probe`.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::command::{root, run};
use crate::toolchain::Toolchain;

/// How images are built.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Profile {
    /// `opt-level = "s"`
    Release,
    /// `opt-level = 3`
    Speed,
}

impl Profile {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Speed => "speed",
        }
    }
}

/// Builds the named images with these features, and gives the directory in which they are.
///
/// # Errors
/// When one does not compile or link; it does not link when a panic is reachable in it.
pub(crate) fn build(
    toolchain: Toolchain,
    target: &str,
    profile: Profile,
    images: &[&str],
    features: &[&str],
) -> Result<PathBuf> {
    run(&mut command(toolchain, target, profile, images, features)).context(
        "an image was not built; if `a_panic_is_reachable` is undefined, then some call of phasemeter-core can panic",
    )?;
    Ok(directory().join(target).join(profile.name()))
}

/// The command that builds the named images.
pub(crate) fn command(
    toolchain: Toolchain,
    target: &str,
    profile: Profile,
    images: &[&str],
    features: &[&str],
) -> Command {
    let mut command = toolchain.cargo("build", target);
    command.args(["--manifest-path", "tests/probe/Cargo.toml", "--locked", "--profile", profile.name()]);
    command.arg("--target-dir").arg(directory());
    command.args(images.iter().flat_map(|image| ["--bin", image]));
    command.args(features.iter().flat_map(|feature| ["--features", feature]));
    command
}

/// Where the images and all that comes before them are put.
fn directory() -> PathBuf {
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    root().join(target).join(Path::new("probe"))
}
