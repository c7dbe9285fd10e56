//! A check of the fault table: with a rule of the host broken, it has to fail.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::command::{cargo, output, program, root, run as run_command, target_directory};

/// The rules to break, one at a time: name, file, a piece of it, and what comes in its place.
const LIST: &str = "tests/faults/mutants.json";
/// Trials of each row: enough for each rule to matter.
const TRIALS: &str = "15";

/// One rule that is broken.
struct Mutant {
    name: String,
    file: String,
    find: String,
    replace: String,
}

/// Breaks each rule in a copy of the project, and prints which fault notices.
///
/// # Errors
/// When a rule is not found, the copy does not build, or no fault notices.
pub(crate) fn run() -> Result<()> {
    let mutants = list()?;
    let place = target_directory()?.join("mutants");
    copy(&place)?;
    let mut unnoticed = Vec::new();
    println!("| broken rule | noticed by | wrong or broken |\n|---|---|---:|");
    for mutant in &mutants {
        let path = place.join(&mutant.file);
        let sound = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        fs::write(&path, mutant.apply(&sound)?)?;
        let noticed = notice(&place);
        fs::write(&path, sound)?;
        let (faults, count) = noticed.with_context(|| format!("with {} broken", mutant.name))?;
        println!("| {} | {} | {count} |", mutant.name, if count > 0 { &faults } else { "**nothing**" });
        if count == 0 {
            unnoticed.push(&*mutant.name);
        }
    }
    if !unnoticed.is_empty() {
        bail!("no fault notices: {}", unnoticed.join("; "));
    }
    Ok(())
}

impl Mutant {
    /// The file with the rule broken.
    fn apply(&self, sound: &str) -> Result<String> {
        let Self { name, file, find, replace } = self;
        match sound.matches(find).count() {
            1 => Ok(sound.replace(find, replace)),
            found => bail!("{LIST}: {name}: {file} has `{find}` {found} times, and it has to be there once"),
        }
    }
}

fn list() -> Result<Vec<Mutant>> {
    let text = fs::read_to_string(root().join(LIST)).with_context(|| format!("cannot read {LIST}"))?;
    let list: Vec<Value> = serde_json::from_str(&text).with_context(|| format!("{LIST} is no list"))?;
    let mutant = |entry: &Value| {
        let field =
            |key: &str| entry[key].as_str().map(str::to_owned).with_context(|| format!("{LIST}: no {key} in {entry}"));
        Ok(Mutant { name: field("name")?, file: field("file")?, find: field("find")?, replace: field("replace")? })
    };
    list.iter().map(mutant).collect()
}

/// Copies what the project consists of; what is built of the copy stays for the next time.
fn copy(place: &Path) -> Result<()> {
    let files = output(program("git").args(["ls-files", "--cached", "--others", "--exclude-standard"]))?;
    for file in files.lines() {
        let (from, to) = (root().join(file), place.join(file));
        // A file that is deleted is listed until that is committed.
        let Ok(content) = fs::read(&from) else { continue };
        if fs::read(&to).is_ok_and(|old| old == content) {
            continue;
        }
        fs::create_dir_all(to.parent().unwrap_or(place))?;
        fs::write(&to, content).with_context(|| format!("cannot write {}", to.display()))?;
    }
    Ok(())
}

/// The first faults that notice, and how many trials were wrong or broken.
fn notice(place: &Path) -> Result<(String, u64)> {
    let target = place.join("target");
    let in_place = |arguments: &[&str]| {
        let mut command = cargo();
        command.args(arguments).current_dir(place).env("CARGO_TARGET_DIR", &target);
        command
    };
    run_command(&mut in_place(&["build", "-q", "-p", "phasemeter-tests", "--bin", "faults"]))?;
    // Without the rows that start the command.
    let ended = Command::new(target.join("debug/faults"))
        .args([TRIALS, "0", "1"])
        .current_dir(place)
        .stderr(Stdio::null())
        .output()
        .context("the faults could not be tried")?;
    let table = String::from_utf8_lossy(&ended.stdout);
    let (mut faults, mut count) = (Vec::new(), 0);
    for row in table.lines().take_while(|line| !line.is_empty()).filter(|line| !line.contains("**all**")) {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let [_, fault, _, _, _, _, wrong, broken, _] = cells[..] else { continue };
        let failed = [wrong, broken].iter().filter_map(|cell| cell.parse::<u64>().ok()).sum::<u64>();
        if failed > 0 {
            count += failed;
            if !faults.contains(&fault) {
                faults.push(fault);
            }
        }
    }
    if ended.status.success() != (count == 0) {
        bail!("the faults ended with {} and a table of {count} failures", ended.status);
    }
    let more = faults.len().saturating_sub(3);
    faults.truncate(3);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    Ok((faults.join(", ") + &more, count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_to_break_is_there() {
        let mutants = list().unwrap();
        assert!(mutants.len() >= 12);
        for mutant in &mutants {
            let sound = fs::read_to_string(root().join(&mutant.file)).unwrap();
            assert_ne!(mutant.apply(&sound).unwrap(), sound);
        }
    }
}
