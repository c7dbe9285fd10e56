//! Programs that are not cargo's, from Debian: installed only where the person at the keyboard allows it with `--install`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail};

use crate::command::{output, program, root, run};

static IS_ALLOWED: AtomicBool = AtomicBool::new(false);

/// Allows to install Debian packages, for as long as this program runs.
pub(crate) fn allow_to_install() {
    IS_ALLOWED.store(true, Ordering::Relaxed);
}

/// Makes sure that there is a program `name`, which Debian has in `package`.
///
/// # Errors
/// When it is not there and may not or cannot be installed.
pub(crate) fn ensure_program(name: &str, package: &str) -> Result<()> {
    let is_there = || output(program(name).arg("--version")).is_ok();
    if is_there() {
        return Ok(());
    }
    install(&[package]).with_context(|| format!("`{name}` is missing"))?;
    if !is_there() {
        bail!("{package} was installed, yet `{name} --version` does not work");
    }
    Ok(())
}

/// Makes sure that there is an nginx, for tests against a server that is not ours. Installed, it would start a server of the
/// machine: it is fetched from Debian into `target/tools` instead.
///
/// # Errors
/// When it is not there and cannot be fetched.
pub(crate) fn ensure_nginx() -> Result<()> {
    let own = root().join("target/tools/nginx");
    let places = ["nginx".into(), PathBuf::from("/usr/sbin/nginx"), own.join("usr/sbin/nginx")];
    let is_there = || places.iter().any(|place| output(program(place).arg("-v")).is_ok());
    if is_there() {
        return Ok(());
    }
    fs::create_dir_all(&own).with_context(|| format!("{} could not be made", own.display()))?;
    let fetch = || -> Result<()> {
        if output(apt_get(&["download", "nginx"]).current_dir(&own)).is_err() {
            run(&mut apt_get(&["update"]))?;
            run(apt_get(&["download", "nginx"]).current_dir(&own))?;
        }
        let package = fs::read_dir(&own)?.filter_map(Result::ok).map(|entry| entry.path());
        let package = package.filter(|path| path.extension().is_some_and(|end| end == "deb")).last();
        run(program("dpkg").arg("-x").arg(package.context("apt-get has left no package")?).arg(&own))
    };
    fetch().context("`nginx` is missing, and could not be fetched from Debian: install it")?;
    if !is_there() {
        bail!("nginx was fetched, yet it does not run: install it");
    }
    Ok(())
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
    let new = steps.lines().filter_map(|step| step.strip_prefix("Inst ")?.split(' ').next());
    println!("installing from Debian: {}", new.collect::<Vec<_>>().join(" "));
    run(apt_get(&["install", "--yes", "--no-remove", "--no-upgrade", "--no-install-recommends"]).args(packages))
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
        let error = ensure_program("no-such-program", "no-such-package").unwrap_err();
        let message = format!("{error:#}");
        assert!(message.starts_with("`no-such-program` is missing: "), "{message}");
        assert!(message.contains("apt-get install --no-install-recommends no-such-package"), "{message}");
    }

    #[test]
    fn what_would_be_removed_or_replaced_is_named() {
        assert_eq!(changed("Inst qemu-system-arm (1:7.2 Debian:12 [amd64])"), None);
        assert_eq!(changed("Conf qemu-system-arm (1:7.2 Debian:12 [amd64])"), None);
        assert_eq!(changed("Inst openssl [3.0.17] (3.0.18 Debian-Security:12 [amd64])"), Some("openssl"));
        assert_eq!(changed("Remv qemu-utils [1:7.2]"), Some("qemu-utils"));
        assert_eq!(changed(""), None);
    }
}
