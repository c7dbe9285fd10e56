//! `cargo xtask size`: what `phasemeter-core` adds to a firmware, and that nothing in it can panic.

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};

use crate::baseline::{Baseline, Number, table};
use crate::command::output;
use crate::firmware::{self, size::Image};
use crate::probe::{self, Profile};
use crate::toolchain::Toolchain;

/// The last one is that of the firmware.
const TARGETS: [&str; 2] = ["thumbv6m-none-eabi", "thumbv7em-none-eabihf"];

/// The image that makes every call there is.
const EVERYTHING: &str = "no_panic";

/// What all the images have in common.
const EMPTY: &str = "size_empty";

/// The images, each with what it has more than the one before.
const IMAGES: [(&str, &str); 5] = [
    ("size_record", "record"),
    ("size_quantile", "+ quantiles"),
    ("size_merge", "+ merge"),
    ("size_frame", "+ frame encode"),
    ("size_run", "+ runner and reporter"),
];

/// What a firmware links: of all that is above, neither percentiles nor merging. Their memory is static.
const FIRMWARE: [(&str, &str); 2] =
    [("size_monitor", "monitor, three metrics"), ("size_firmware", "what a firmware links")];

const BASELINE: Baseline =
    Baseline { path: "tests/size/flash.txt", command: "cargo xtask size", band: 2, band_between_compilers: 10 };

/// Builds all images for all targets, prints their sizes and compares them with the baseline.
///
/// # Errors
/// When an image cannot be built, which is so when a panic is reachable in it, or when one has grown.
pub(crate) fn run(update: bool) -> Result<()> {
    let measured = IMAGES.into_iter().chain(FIRMWARE);
    let images: Vec<&str> = [EVERYTHING, EMPTY].into_iter().chain(measured.clone().map(|(image, _)| image)).collect();
    let mut numbers = Vec::new();
    let mut compiler = String::new();
    let mut firmware = PathBuf::new();
    for target in TARGETS {
        let toolchain = Toolchain::for_target(target)?;
        compiler = toolchain.compiler()?;
        let directory = probe::build(toolchain, target, Profile::Release, &images, &[])?;
        let empty = Image::read(&directory.join(EMPTY))?;
        for (image, row) in measured.clone() {
            let image = Image::read(&directory.join(image))?;
            ensure!(image.data == empty.data, "with {row}, {} bytes of variables do not begin as zero", image.data);
            let value = image.flash.checked_sub(empty.flash).context("an image is smaller than the empty one")?;
            numbers.push(Number { column: target.to_owned(), row: row.to_owned(), value });
        }
        firmware = directory.join(FIRMWARE[1].0);
    }
    println!("No panic is reachable: the images link without a panic handler.\n");
    println!("{}", table("flash, bytes", &numbers));
    BASELINE.settle(&compiler, &numbers, update)?;
    firmware::size::show(&Image::read(&firmware)?);
    Ok(())
}

/// Shows that the check for panics finds one: with a panic, the image must not link.
///
/// # Errors
/// When it links, or fails for another reason.
pub(crate) fn prove() -> Result<()> {
    for target in TARGETS {
        let toolchain = Toolchain::for_target(target)?;
        match output(&mut probe::command(toolchain, target, Profile::Release, &[EVERYTHING], &["reachable-panic"])) {
            Ok(_) => bail!("an image in which `unwrap` may panic was linked for {target}: the check finds nothing"),
            Err(error) if format!("{error:#}").contains("undefined symbol: a_panic_is_reachable") => {
                println!("{target}: an image with one `unwrap` does not link, as it should be");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
