//! Places the image: `memory.x` says where the board has its memory.

use std::{env, io};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=memory.x");
    if env::var_os("CARGO_FEATURE_MPS2").is_none() {
        return Ok(());
    }
    let directory = env::var("CARGO_MANIFEST_DIR").map_err(io::Error::other)?;
    println!("cargo::rustc-link-search={directory}");
    println!("cargo::rustc-link-arg-bins=-Tlink.x");
    if env::var_os("CARGO_FEATURE_DEFMT").is_some() {
        println!("cargo::rustc-link-arg-bins=-Tdefmt.x");
    }
    Ok(())
}
