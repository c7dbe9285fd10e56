//! Fuzzing: cargo-fuzz, set up where it is missing, and how often each target ran.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::command::{cargo, root, run as run_command, target_directory};

/// As in `tests/src/fuzz`, which says what each one does, and the longest input: a longer one finds no more and takes longer.
const TARGETS: [(&str, u32); 8] = [
    ("deframer", 256),
    ("frame", 249),
    ("command", 249),
    ("session", 2_048),
    ("capture", 2_048),
    ("plan", 1_024),
    ("registry", 1_024),
    ("records", 1_024),
];

/// Runs each target, or the one that is named, for so many seconds, and prints how often it ran.
///
/// # Errors
/// When an input is found that breaks something: it is left in `tests/fuzz/artifacts`. Or when the fuzzers cannot be built.
pub(crate) fn run(seconds: u64, only: Option<&str>) -> Result<()> {
    let tools = target_directory()?.join("tools");
    let program = tools.join("bin/cargo-fuzz");
    if !program.is_file() {
        run_command(cargo().args(["install", "cargo-fuzz", "--locked", "--root"]).arg(&tools))?;
    }
    let version =
        Command::new("cargo").args(["+nightly", "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !version.is_ok_and(|status| status.success()) {
        bail!("fuzzing needs a nightly toolchain: `rustup toolchain install nightly`");
    }
    println!("| target | executions | a second |\n|---|---:|---:|");
    let mut all = 0;
    for (target, longest) in TARGETS.into_iter().filter(|(target, _)| only.is_none_or(|only| only == *target)) {
        let mut command = Command::new(&program);
        command.current_dir(root()).env("RUSTUP_TOOLCHAIN", "nightly").env("CARGO", "cargo");
        // There is no unsafe code for a sanitizer to watch.
        command.args(["fuzz", "run", "--fuzz-dir", "tests/fuzz", "--sanitizer", "none", target]);
        // What is found goes to a directory that is not checked in; the seeds are read.
        let found = target_directory()?.join("fuzz-corpus").join(target);
        std::fs::create_dir_all(&found).with_context(|| format!("cannot make {}", found.display()))?;
        let seeds = root().join("tests/fuzz/corpus").join(target);
        command.arg(&found).arg(&seeds);
        command
            .arg("--")
            .arg(format!("-max_total_time={seconds}"))
            .arg("-print_final_stats=1")
            .arg(format!("-max_len={longest}"));
        let ended = command.output().context("cargo-fuzz could not be started")?;
        let said = String::from_utf8_lossy(&ended.stderr);
        if !ended.status.success() {
            let last: Vec<_> = said.lines().rev().take(40).collect();
            bail!("{target}: {}", last.into_iter().rev().collect::<Vec<_>>().join("\n"));
        }
        let executions = executions(&said).with_context(|| format!("{target}: how often it ran is not said"))?;
        println!("| {target} | {executions} | {} |", executions / seconds.max(1));
        all += executions;
    }
    println!("| **all** | **{all}** | |");
    Ok(())
}

fn executions(said: &str) -> Option<u64> {
    let line = said.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"))?;
    line.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::output;

    #[test]
    fn what_libfuzzer_says_at_its_end_is_read() {
        let said =
            "Done 5 runs in 1 second(s)\nstat::number_of_executed_units: 131072\nstat::average_exec_per_sec: 65536\n";
        assert_eq!(executions(said), Some(131_072));
        assert_eq!(executions(""), None);
    }

    #[test]
    fn every_target_is_fuzzed() {
        let text = output(cargo().args([
            "metadata",
            "--no-deps",
            "--format-version",
            "1",
            "--manifest-path",
            "tests/fuzz/Cargo.toml",
        ]));
        let text = text.unwrap();
        for (target, _) in TARGETS {
            assert!(text.contains(&format!("\"name\":\"{target}\"")), "{target}");
        }
        assert_eq!(text.matches("fuzz_targets/").count(), TARGETS.len());
    }
}
