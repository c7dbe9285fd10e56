//! Building images.

use std::env;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::{MANIFEST, TARGET};
use crate::command::{root, run};
use crate::toolchain::Toolchain;

/// Builds the image with these features, separated by commas, and gives its path. Images with other features stay.
///
/// # Errors
/// When there is no toolchain, or the image does not compile or link.
pub(super) fn image(features: &str) -> Result<PathBuf> {
    let mut command = Toolchain::for_target(TARGET)?.cargo("build", TARGET);
    command.args(["--manifest-path", MANIFEST, "--locked", "--release", "--features", features]);
    // Without it defmt leaves all logs out.
    command.env("DEFMT_LOG", "info").arg("--target-dir").arg(directory());
    run(&mut command)?;
    let built = directory().join(TARGET).join("release/phasemeter-firmware");
    let image = directory().join(format!("{}.elf", features.replace(',', "-")));
    fs::copy(&built, &image).with_context(|| format!("{} cannot be copied", built.display()))?;
    Ok(image)
}

/// Where images and all that comes before them are put.
pub(super) fn directory() -> PathBuf {
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    root().join(target).join("firmware")
}
