//! `cargo xtask size`: what `phasemeter-core` adds to a firmware, and that nothing in it can panic.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use object::{Object, ObjectSection, SectionKind};

use crate::baseline::{Baseline, Number, table};
use crate::command::output;
use crate::probe::{self, Profile};
use crate::toolchain::Toolchain;

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

const BASELINE: Baseline =
    Baseline { path: "tests/size/flash.txt", command: "cargo xtask size", band: 2, band_between_compilers: 10 };

/// Builds all images for all targets, prints their sizes and compares them with the baseline.
///
/// # Errors
/// When an image cannot be built, which is so when a panic is reachable in it, or when one has grown.
pub(crate) fn run(update: bool) -> Result<()> {
    let images: Vec<&str> = [EVERYTHING, EMPTY].into_iter().chain(IMAGES.map(|(image, _)| image)).collect();
    let mut numbers = Vec::new();
    let mut compiler = String::new();
    for target in TARGETS {
        let toolchain = Toolchain::for_target(target)?;
        compiler = toolchain.compiler()?;
        let directory = probe::build(toolchain, target, Profile::Release, &images)?;
        let empty = flash(&directory.join(EMPTY))?;
        for (image, row) in IMAGES {
            let size = flash(&directory.join(image))?;
            let value = size.checked_sub(empty).context("an image is smaller than the empty one")?;
            numbers.push(Number { column: target.to_owned(), row: row.to_owned(), value });
        }
    }
    println!("No panic is reachable: the images link without a panic handler.\n");
    println!("{}", table("flash, bytes", &numbers));
    BASELINE.settle(&compiler, &numbers, update)
}

/// Shows that the check for panics finds one: with a panic, the image must not link.
///
/// # Errors
/// When it links, or fails for another reason.
pub(crate) fn prove() -> Result<()> {
    for target in TARGETS {
        let toolchain = Toolchain::for_target(target)?;
        let mut command = probe::command(toolchain, target, Profile::Release, &[EVERYTHING]);
        match output(command.args(["--features", "reachable-panic"])) {
            Ok(_) => bail!("an image in which `unwrap` may panic was linked for {target}: the check finds nothing"),
            Err(error) if format!("{error:#}").contains("undefined symbol: a_panic_is_reachable") => {
                println!("{target}: an image with one `unwrap` does not link, as it should be");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The bytes of an image that lie in flash: code, constants, and the initial values of variables.
fn flash(image: &Path) -> Result<u64> {
    let data = fs::read(image).with_context(|| format!("cannot read {}", image.display()))?;
    let file = object::File::parse(&*data).with_context(|| format!("{} is no ELF file", image.display()))?;
    let in_flash = |section: &object::Section<'_, '_>| {
        matches!(section.kind(), SectionKind::Text | SectionKind::ReadOnlyData | SectionKind::Data)
    };
    Ok(file.sections().filter(in_flash).map(|section| section.size()).sum())
}
