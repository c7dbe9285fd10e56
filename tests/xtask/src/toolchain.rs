//! What it takes to build for a bare-metal target on this machine.
//!
//! In this order: the compiler already has the target; rustup adds it; Debian's own compiler builds `core` from Debian's
//! sources, which `--install` allows to install. When none of them works the error says what was tried and what to install.
//! `PHASEMETER_TOOLCHAIN=rustup` (the first two) or `=debian` (the last) leaves out the others.

use std::env;
use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command::{cargo, output, program, run};
use crate::packages::install;

const CHOICE: &str = "PHASEMETER_TOOLCHAIN";

const DEBIAN_CARGO: &str = "/usr/bin/cargo";
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
/// Debian 12 has a current compiler under these names in its security suite.
const DEBIAN_PACKAGES: [&str; 5] = ["ca-certificates", "rustc-web", "cargo-web", "rust-web-src", "lld-22"];
/// Debian's compiler comes without the `rust-lld` that links images.
const DEBIAN_LINKER: &str = "ld.lld-22";

/// How to build for a bare-metal target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Toolchain {
    /// The cargo in use has the target's `core`.
    Installed,
    /// Debian's cargo compiles `core` itself.
    Debian,
}

impl Toolchain {
    /// Finds a toolchain for `target`, a target triple, and installs what is missing.
    ///
    /// # Errors
    /// When there is none and none can be installed; the message lists every attempt.
    pub(crate) fn for_target(target: &str) -> Result<Self> {
        let choice = Choice::parse(env::var_os(CHOICE).as_deref())?;
        let mut attempts = Vec::new();
        if choice != Choice::Debian {
            match has_target(target) {
                Ok(true) => return Ok(Self::Installed),
                Ok(false) => attempts.push(format!("the compiler in use has no {target}")),
                Err(error) => attempts.push(format!("{error:#}")),
            }
            match run(program("rustup").args(["target", "add", target])) {
                Ok(()) => return Ok(Self::Installed),
                Err(error) => attempts.push(format!("{error:#}")),
            }
        }
        if choice != Choice::Rustup {
            match ensure_debian() {
                Ok(()) => return Ok(Self::Debian),
                Err(error) => attempts.push(format!("{error:#}")),
            }
        }
        bail!(
            "nothing here can build for {target} ({}); install it with `rustup target add {target}`, \
             or on Debian as root with `apt-get install {}`",
            attempts.join("; "),
            DEBIAN_PACKAGES.join(" "),
        );
    }

    /// `cargo SUBCOMMAND --target TARGET`, ready for more arguments.
    pub(crate) fn cargo(self, subcommand: &str, target: &str) -> Command {
        let mut command = match self {
            Self::Installed => cargo(),
            Self::Debian => {
                let mut command = program(DEBIAN_CARGO);
                // Without RUSTC, cargo would find rustup's compiler first; build-std is not stable yet.
                command.env("RUSTC", DEBIAN_RUSTC).env("RUSTC_BOOTSTRAP", "1").arg("-Zbuild-std=core");
                command.env(linker_variable(target), DEBIAN_LINKER);
                command
            }
        };
        command.args([subcommand, "--target", target]);
        command
    }

    /// The compiler and its version, as it says itself.
    ///
    /// # Errors
    /// When it cannot be run.
    pub(crate) fn compiler(self) -> Result<String> {
        let rustc = match self {
            Self::Installed => env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()),
            Self::Debian => DEBIAN_RUSTC.into(),
        };
        output(program(rustc).arg("--version"))
    }
}

/// The variable in which cargo takes the linker for `target`.
fn linker_variable(target: &str) -> String {
    format!("CARGO_TARGET_{}_LINKER", target.to_uppercase().replace('-', "_"))
}

/// Which toolchains may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    Any,
    Rustup,
    Debian,
}

impl Choice {
    fn parse(value: Option<&OsStr>) -> Result<Self> {
        match value.map(OsStr::to_string_lossy).as_deref() {
            None | Some("") => Ok(Self::Any),
            Some("rustup") => Ok(Self::Rustup),
            Some("debian") => Ok(Self::Debian),
            Some(other) => {
                bail!("{CHOICE} is `{other}`; set it to `rustup` or `debian`, or unset it")
            }
        }
    }
}

/// Makes sure that `cargo SUBCOMMAND` exists, which rustup calls `component`.
///
/// # Errors
/// When it does not and cannot be installed.
pub(crate) fn ensure_component(subcommand: &str, component: &str) -> Result<()> {
    if output(cargo().args([subcommand, "--version"])).is_ok() {
        return Ok(());
    }
    run(program("rustup").args(["component", "add", component]))
        .with_context(|| format!("`cargo {subcommand}` is missing; install {component} for the compiler in use"))
}

fn has_target(target: &str) -> Result<bool> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let sysroot = output(program(rustc).args(["--print", "sysroot"]))?;
    Ok(Path::new(&sysroot).join("lib/rustlib").join(target).join("lib").is_dir())
}

/// Whether Debian's compiler and the sources of its `core` are there; they are installed first where that is allowed.
fn ensure_debian() -> Result<()> {
    if debian_can_build()? {
        return Ok(());
    }
    install(&DEBIAN_PACKAGES)?;
    if !debian_can_build()? {
        bail!(
            "Debian's packages were installed, yet {DEBIAN_CARGO}, {DEBIAN_LINKER} or the sources of `core` are not there"
        );
    }
    Ok(())
}

fn debian_can_build() -> Result<bool> {
    if !Path::new(DEBIAN_CARGO).exists() || !Path::new(DEBIAN_RUSTC).exists() {
        return Ok(false);
    }
    if output(program(DEBIAN_LINKER).arg("--version")).is_err() {
        return Ok(false);
    }
    let sysroot = output(program(DEBIAN_RUSTC).args(["--print", "sysroot"]))?;
    Ok(Path::new(&sysroot).join("lib/rustlib/src/rust/library/core/Cargo.toml").exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_choice_is_read_strictly() {
        let parse = |text: &str| Choice::parse(Some(OsStr::new(text)));
        assert_eq!(Choice::parse(None).unwrap(), Choice::Any);
        assert_eq!(parse("").unwrap(), Choice::Any);
        assert_eq!(parse("rustup").unwrap(), Choice::Rustup);
        assert_eq!(parse("debian").unwrap(), Choice::Debian);
        let message = parse("Debian").unwrap_err().to_string();
        assert_eq!(message, "PHASEMETER_TOOLCHAIN is `Debian`; set it to `rustup` or `debian`, or unset it");
    }

    #[test]
    fn both_toolchains_name_the_target() {
        for toolchain in [Toolchain::Installed, Toolchain::Debian] {
            let command = toolchain.cargo("check", "thumbv6m-none-eabi");
            let arguments: Vec<_> = command.get_args().collect();
            assert!(arguments.ends_with(&["check", "--target", "thumbv6m-none-eabi"].map(OsStr::new)));
        }
    }

    #[test]
    fn debian_gets_its_linker_named() {
        let command = Toolchain::Debian.cargo("build", "thumbv6m-none-eabi");
        let linker = command.get_envs().find(|(name, _)| *name == "CARGO_TARGET_THUMBV6M_NONE_EABI_LINKER");
        assert_eq!(linker.and_then(|(_, value)| value), Some(OsStr::new(DEBIAN_LINKER)));
    }

    #[test]
    fn the_compiler_has_its_own_host_and_no_invented_target() {
        let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let version = output(program(rustc).arg("-vV")).unwrap();
        let host = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
        assert!(has_target(host).unwrap());
        assert!(!has_target("no-such-target").unwrap());
    }
}
