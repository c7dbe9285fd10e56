//! What takes the flash and the memory of a firmware image, crate by crate.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use object::{Object as _, ObjectSection as _, ObjectSymbol as _, SectionKind, SymbolKind};

use super::{TARGET, build};
use crate::baseline::{Baseline, Number, table};
use crate::toolchain::Toolchain;

/// The core, and what a firmware links for its sake alone.
const CORE: [&str; 4] = ["phasemeter_core", "postcard", "serde", "serde_core"];

/// What no crate can be told of: constants without a name lie between those of all crates.
const CONSTANTS: &str = "constants without a name";
const REST: &str = "other: vectors, start, padding";

const BASELINE: Baseline = Baseline {
    path: "tests/size/firmware.txt",
    command: "cargo xtask firmware size",
    band: 2,
    band_between_compilers: 10,
};

/// Builds the image for hardware, prints what takes its flash, and compares the sums with the baseline.
///
/// # Errors
/// When the image cannot be built, or a sum has grown.
pub(crate) fn run(update: bool) -> Result<()> {
    let image = Image::read(&build::image("mps2")?)?;
    show(&image);
    BASELINE.settle(&Toolchain::for_target(TARGET)?.compiler()?, &image.sums(), update)
}

/// Prints what takes the flash of an image. Code that was inlined counts for the function that it is part of.
pub(crate) fn show(image: &Image) {
    println!("{}", table("flash by crate", &image.by_crate()));
    println!("{}", table("image", &image.sums()));
}

/// The sizes of an image, in bytes.
#[derive(Debug, Default)]
pub(crate) struct Image {
    /// Code, constants, and the initial values of variables.
    pub(crate) flash: u64,
    /// Variables that begin with something else than zero: they take flash and memory.
    pub(crate) data: u64,
    /// All variables.
    memory: u64,
    crates: BTreeMap<String, u64>,
}

impl Image {
    /// Reads an ELF file.
    ///
    /// # Errors
    /// When it is none.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let file = object::File::parse(&*bytes).with_context(|| format!("{} is no ELF file", path.display()))?;
        let mut image = Self::default();
        for section in file.sections() {
            let size = section.size();
            let (flash, data, memory) = match section.kind() {
                SectionKind::Text | SectionKind::ReadOnlyData | SectionKind::ReadOnlyString => (size, 0, 0),
                SectionKind::Data => (size, size, size),
                SectionKind::UninitializedData => (0, 0, size),
                _ => continue,
            };
            image.flash += flash;
            image.data += data;
            image.memory += memory;
            if flash > 0 {
                image.attribute(size, symbols(&file, &section));
            }
        }
        Ok(image)
    }

    /// Shares a section's bytes out among the crates.
    fn attribute(&mut self, section: u64, symbols: Vec<(String, u64)>) {
        let mut rest = section;
        for (name, size) in symbols {
            *self.crates.entry(owner(&name)).or_default() += size;
            rest = rest.saturating_sub(size);
        }
        *self.crates.entry(REST.to_owned()).or_default() += rest;
    }

    /// Flash by crate, the largest first.
    fn by_crate(&self) -> Vec<Number> {
        let mut numbers: Vec<_> = self.crates.iter().map(|(name, size)| number(name, *size)).collect();
        numbers.sort_by_key(|one| std::cmp::Reverse(one.value));
        numbers
    }

    fn sums(&self) -> [Number; 3] {
        let core = CORE.iter().filter_map(|name| self.crates.get(*name)).sum();
        [
            number("flash", self.flash),
            number("phasemeter-core and what only it brings", core),
            number("static memory", self.memory),
        ]
    }
}

fn number(row: &str, value: u64) -> Number {
    Number { column: "bytes".to_owned(), row: row.to_owned(), value }
}

/// The symbols of a section with the bytes that are theirs: where several names share some, the first has them.
fn symbols(file: &object::File<'_>, section: &object::Section<'_, '_>) -> Vec<(String, u64)> {
    let is_wanted = |symbol: &object::Symbol<'_, '_>| {
        symbol.section_index() == Some(section.index()) && matches!(symbol.kind(), SymbolKind::Text | SymbolKind::Data)
    };
    let mut found: Vec<_> = file
        .symbols()
        .filter(is_wanted)
        // The lowest bit of a function's address says that it is Thumb code.
        .map(|symbol| (symbol.address() & !u64::from(symbol.kind() == SymbolKind::Text), symbol.size(), symbol))
        .collect();
    found.sort_by_key(|(address, size, _)| (*address, std::cmp::Reverse(*size)));
    let mut free = section.address();
    let mut sizes = Vec::new();
    for (address, size, symbol) in found {
        let end = address + size;
        let own = end.saturating_sub(free.max(address));
        free = free.max(end);
        if let (1.., Ok(name)) = (own, symbol.name()) {
            sizes.push((name.to_owned(), own));
        }
    }
    sizes
}

/// Whose a symbol is: a crate, or one of the collective names.
fn owner(symbol: &str) -> String {
    if symbol.starts_with(".L") {
        return CONSTANTS.to_owned();
    }
    let path = format!("{:#}", rustc_demangle::demangle(symbol));
    match crate_of(&path) {
        Some(name) => name.to_owned(),
        None if is_builtin(symbol) => "compiler_builtins".to_owned(),
        None => REST.to_owned(),
    }
}

/// The first crate of a path: `<a::Type as b::Trait>::method` is of `a`, and `<T as b::Trait>::method` of `b`.
fn crate_of(path: &str) -> Option<&str> {
    path.split(" as ").find_map(|part| {
        let start = part.trim_start_matches(['<', '&', '[', '(', '*']);
        let start = ["mut ", "dyn ", "const "].iter().fold(start, |rest, word| rest.trim_start_matches(word));
        let start = start.trim_start_matches(['<', '&', '[', '(']);
        let (name, _) = start.split_once("::")?;
        name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_').then_some(name)
    })
}

/// Whether a name without a path is one of the functions that the compiler calls by itself.
fn is_builtin(symbol: &str) -> bool {
    ["__aeabi_", "mem", "bcmp", "__udiv", "__umod", "__div", "__mod", "__mul", "__ash", "__lsh", "__clz"]
        .iter()
        .any(|start| symbol.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_symbol_belongs_to_the_crate_of_the_implementation() {
        assert_eq!(crate_of("core::str::from_utf8"), Some("core"));
        assert_eq!(crate_of("<&mut a::Writer as serde::ser::SerializeStruct>::end"), Some("a"));
        assert_eq!(crate_of("<T as core::convert::Into<U>>::into"), Some("core"));
        assert_eq!(crate_of("a::record::<impl b::Histogram<[C]>>::add"), Some("a"));
        assert_eq!(crate_of("<dyn a::Hook>::call"), Some("a"));
        assert_eq!(crate_of("Reset"), None);
    }

    #[test]
    fn mangled_names_of_both_kinds_are_read() {
        assert_eq!(owner("_ZN15phasemeter_core4plan12content_hash17hc916bb6c719b4ce0E"), "phasemeter_core");
        assert_eq!(owner("_RNvNtCs1234_7mycrate3foo3bar"), "mycrate");
        assert_eq!(owner("__aeabi_memcpy8"), "compiler_builtins");
        assert_eq!(owner(".Lanon.88b94e73.1"), CONSTANTS);
        assert_eq!(owner("__INTERRUPTS"), REST);
    }
}
