//! Running other programs: always from the root of the repository, always with their output left visible.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// The root of the repository: this crate lives two directories below it.
pub(crate) fn root() -> PathBuf {
    let manifest_dir =
        env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    manifest_dir.ancestors().nth(2).map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

/// Where programs lie that were fetched for these commands.
pub(crate) fn tools() -> PathBuf {
    root().join("target/tools/bin")
}

/// A command that starts in the root of the repository. It and what it starts find the programs that were fetched, after those
/// of the system.
pub(crate) fn program(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    let path = env::var_os("PATH").unwrap_or_default();
    // A path that cannot be joined has no place for one more.
    let places = env::join_paths(env::split_paths(&path).chain(["/usr/sbin".into(), tools()])).unwrap_or(path);
    command.env("PATH", places).current_dir(root());
    command
}

/// The cargo that runs this program, so that every step uses one toolchain.
pub(crate) fn cargo() -> Command {
    program(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Runs `command` to its end with its output passed through.
///
/// # Errors
/// When the program cannot be started or ends with anything but success.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let line = command_line(command);
    // Beside what cargo says, and out of the way of what a task prints.
    eprintln!("$ {line}");
    let status = command.status().with_context(|| format!("`{line}` could not be started"))?;
    if !status.success() {
        bail!("`{line}` ended with {status}");
    }
    Ok(())
}

/// Runs `command` and gives back what it printed, without the trailing newline.
///
/// # Errors
/// When the program cannot be started, ends with anything but success, or prints something other than UTF-8.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let line = command_line(command);
    let output = command.output().with_context(|| format!("`{line}` could not be started"))?;
    if !output.status.success() {
        bail!("`{line}` ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    let text =
        String::from_utf8(output.stdout).with_context(|| format!("`{line}` printed something other than UTF-8"))?;
    Ok(text.trim_end().to_owned())
}

/// Where cargo puts what it builds.
///
/// # Errors
/// When cargo does not say.
pub(crate) fn target_directory() -> Result<PathBuf> {
    let metadata = output(cargo().args(["metadata", "--no-deps", "--format-version", "1"]))?;
    let metadata: serde_json::Value = serde_json::from_str(&metadata).context("cargo's metadata is JSON")?;
    Ok(metadata["target_directory"].as_str().context("cargo says where the target directory is")?.into())
}

/// The command as a person would type it, with the variables it sets.
fn command_line(command: &Command) -> String {
    let variables = command
        .get_envs()
        .filter(|(name, _)| *name != "PATH")
        .filter_map(|(name, value)| value.map(|value| format!("{}={}", name.to_string_lossy(), quote(value))));
    let program = command.get_program();
    let program = match env::var_os("CARGO") {
        Some(cargo) if cargo == program => "cargo".to_owned(),
        _ => quote(program),
    };
    variables.chain([program]).chain(command.get_args().map(quote)).collect::<Vec<_>>().join(" ")
}

fn quote(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    if word.contains(' ') { format!("'{word}'") } else { word.into_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_reads_as_it_would_be_typed() {
        let mut command = program("rustdoc");
        command.env("FLAGS", "-D warnings").args(["--test", "a file.rs"]);
        assert_eq!(command_line(&command), "FLAGS='-D warnings' rustdoc --test 'a file.rs'");
    }

    #[test]
    fn the_root_holds_the_workspace() {
        assert!(root().join("tests/xtask/Cargo.toml").is_file(), "{}", root().display());
    }

    #[test]
    fn a_program_that_fails_is_named_with_what_it_said() {
        let mut command = cargo();
        command.arg("no-such-subcommand");
        let message = output(&mut command).unwrap_err().to_string();
        assert!(message.contains("no-such-subcommand` ended with") && message.contains("no such command"), "{message}");
    }
}
