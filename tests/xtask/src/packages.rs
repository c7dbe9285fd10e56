//! What is not cargo's, from Debian. Programs are unpacked into the target directory; a compiler is installed, and that only
//! where the person at the keyboard allows it with `--install`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail};

use crate::command::{output, program, root, run, tools};

static IS_ALLOWED: AtomicBool = AtomicBool::new(false);

/// Allows to install Debian packages, for as long as this program runs.
pub(crate) fn allow_to_install() {
    IS_ALLOWED.store(true, Ordering::Relaxed);
}

/// Makes sure that there is a program `name`, which Debian has in `package`. What is missing is not installed, which may clash
/// with what is: it is unpacked below `target/tools`, where [`program`] finds it, with all that it needs and the system lacks.
///
/// # Errors
/// When it is not there and cannot be fetched.
pub(crate) fn ensure_program(name: &str, package: &str) -> Result<()> {
    // nginx answers to no `--version`.
    let answers = |option| output(program(name).arg(option)).map(drop);
    let runs = || answers("--version").or_else(|_| answers("-v"));
    if runs().is_ok() {
        return Ok(());
    }
    unpack(name, package)
        .with_context(|| format!("`{name}` is missing: install it (Debian: `apt-get install {package}`)"))?;
    runs().with_context(|| format!("{package} was fetched, yet `{name}` does not run: install it"))
}

/// Unpacks a package and what it needs, and writes a script `name` that runs its program with its own libraries.
fn unpack(name: &str, package: &str) -> Result<()> {
    let place = root().join("target/tools").join(package);
    fs::create_dir_all(&place).with_context(|| format!("{} could not be made", place.display()))?;
    let download = || -> Result<()> {
        let steps = output(&mut apt_get(&["install", "--simulate", "--no-install-recommends", package]))?;
        run(apt_get(&["download"]).args(steps.lines().filter_map(installed)).current_dir(&place))
    };
    if download().is_err() {
        run(&mut apt_get(&["update"]))?;
        download()?;
    }
    for entry in fs::read_dir(&place)? {
        let file = entry?.path();
        if file.extension().is_some_and(|end| end == "deb") {
            run(program("dpkg").arg("-x").arg(&file).arg(&place))?;
            fs::remove_file(file)?;
        }
    }
    let is_program = |path: &PathBuf| path.is_file();
    let found = ["usr/bin", "usr/sbin"].map(|directory| place.join(directory).join(name)).into_iter().find(is_program);
    let found = found.with_context(|| format!("{package} has no program `{name}`"))?;
    let mut libraries = Vec::new();
    for directory in ["usr/lib", "lib"] {
        let entries = fs::read_dir(place.join(directory)).into_iter().flatten().filter_map(Result::ok);
        libraries.extend(entries.map(|entry| entry.path().display().to_string()));
    }
    let script = format!(
        "#!/bin/sh\nLD_LIBRARY_PATH='{}' VALGRIND_LIB='{}' exec '{}' \"$@\"\n",
        libraries.join(":"),
        place.join("usr/libexec/valgrind").display(),
        found.display(),
    );
    let path = tools().join(name);
    fs::create_dir_all(tools())?;
    fs::write(&path, script).with_context(|| format!("cannot write {}", path.display()))?;
    run(program("chmod").arg("+x").arg(&path))
}

/// Installs Debian packages and what they need, where that is allowed, and changes nothing that is there.
///
/// # Errors
/// When it is not allowed, this is not Debian, it takes another user, or something that is there would be removed or replaced.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    let command = format!("apt-get install --no-install-recommends {}", packages.join(" "));
    if !Path::new("/usr/bin/apt-get").exists() {
        bail!("this is not Debian, where it would be `{command}`: install the same here");
    }
    if !IS_ALLOWED.load(Ordering::Relaxed) {
        bail!("install it with `{command}`, or let this command do that: add `--install`");
    }
    if output(program("id").arg("-u"))? != "0" {
        bail!("installing takes root: run `{command}` as root");
    }
    run(&mut apt_get(&["update"]))?;
    let steps = output(apt_get(&["install", "--simulate", "--no-install-recommends"]).args(packages))?;
    let changed: Vec<_> = steps.lines().filter_map(changed).collect();
    if !changed.is_empty() {
        bail!("`{command}` would remove or replace {}: run it yourself if you want that", changed.join(", "));
    }
    println!("installing from Debian: {}", steps.lines().filter_map(installed).collect::<Vec<_>>().join(" "));
    run(apt_get(&["install", "--yes", "--no-remove", "--no-upgrade", "--no-install-recommends"]).args(packages))
}

/// The package that a step of apt-get's simulation brings.
fn installed(step: &str) -> Option<&str> {
    step.strip_prefix("Inst ")?.split(' ').next()
}

/// The package that a step of apt-get's simulation removes or replaces.
///
/// `Remv NAME [VERSION]` removes, `Inst NAME [OLD] (NEW …)` replaces, `Inst NAME (NEW …)` does neither.
fn changed(step: &str) -> Option<&str> {
    let mut words = step.split(' ');
    let (what, name, version) = (words.next()?, words.next()?, words.next()?);
    (what == "Remv" || what == "Inst" && version.starts_with('[')).then_some(name)
}

fn apt_get(arguments: &[&str]) -> Command {
    let mut command = program("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive").args(arguments);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_there_is_not_installed() {
        ensure_program("cargo", "no-such-package").unwrap();
    }

    #[test]
    fn nothing_is_installed_unasked() {
        let message = install(&["no-such-package"]).unwrap_err().to_string();
        assert!(message.contains("`apt-get install --no-install-recommends no-such-package`"), "{message}");
    }

    #[test]
    fn what_would_be_removed_or_replaced_is_named() {
        assert_eq!(changed("Inst qemu-system-arm (1:7.2 Debian:12 [amd64])"), None);
        assert_eq!(changed("Conf qemu-system-arm (1:7.2 Debian:12 [amd64])"), None);
        assert_eq!(changed("Inst openssl [3.0.17] (3.0.18 Debian-Security:12 [amd64])"), Some("openssl"));
        assert_eq!(changed("Remv qemu-utils [1:7.2]"), Some("qemu-utils"));
        assert_eq!(changed(""), None);
        assert_eq!(installed("Inst openssl [3.0.17] (3.0.18 Debian-Security:12 [amd64])"), Some("openssl"));
        assert_eq!(installed("Conf openssl (3.0.18 Debian-Security:12 [amd64])"), None);
    }
}
