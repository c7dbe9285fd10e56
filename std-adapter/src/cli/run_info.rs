//! `run.json`: what was asked for, beside what came of it. It has no secrets.

use std::path::Path;

use anyhow::Context;
use serde_json::{Value, json};

use crate::atomic::write_atomically;
use crate::plan::Plan;
use crate::plan::secret::{HIDDEN, header_value, hide_in_url};
use crate::text::to_json;

/// The version of the file's form. Keys are only ever added to it.
const SCHEMA: &str = "phasemeter.run/1";
/// The file's name in the run directory.
const FILE: &str = "run.json";

/// Writes what was asked for into the run directory: the command line, this program's version, the plan and the target.
pub(super) fn write(directory: &Path, plan: Option<&Plan>, target: Option<&str>) -> anyhow::Result<()> {
    let given = std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned());
    let arguments: Vec<_> = std::iter::once("phasemeter".to_owned()).chain(given).collect();
    let info = json!({
        "schema": SCHEMA,
        "version": env!("CARGO_PKG_VERSION"),
        "command": shown(&arguments),
        "target": target.map(hide_in_url),
        "plan": plan.map_or(Value::Null, Plan::describe),
    });
    let path = directory.join(FILE);
    let text = to_json(&info).context("cannot write what was asked for as JSON")?;
    Ok(write_atomically(&path, text.as_bytes())?)
}

/// Options whose values may be secrets.
const SECRET_OPTIONS: [(&str, &str); 3] = [("-H", "--header"), ("-d", "--data"), ("", "--extra")];

/// The command line without what may be a secret.
fn shown(arguments: &[String]) -> Vec<String> {
    let mut shown: Vec<String> = Vec::with_capacity(arguments.len());
    let mut behind = None;
    for argument in arguments {
        let text = match behind.take() {
            Some(option) => hide(option, argument),
            None => match SECRET_OPTIONS.into_iter().find_map(|(short, long)| split(argument, short, long)) {
                Some((option, None)) => {
                    behind = Some(option);
                    argument.clone()
                }
                Some((option, Some(value))) => {
                    format!("{}{}", &argument[..argument.len() - value.len()], hide(option, value))
                }
                None => hide_in_url(argument),
            },
        };
        shown.push(text);
    }
    shown
}

/// The option that the argument is, in its long form, and its value if that is in the same argument.
fn split<'a>(argument: &'a str, short: &str, long: &'static str) -> Option<(&'static str, Option<&'a str>)> {
    if argument == long || argument == short {
        return Some((long, None));
    }
    let value = argument.strip_prefix(long).and_then(|rest| rest.strip_prefix('='));
    let attached = argument.strip_prefix(short).filter(|_| !short.is_empty() && !argument.starts_with("--"));
    value.or(attached).map(|value| (long, Some(value)))
}

fn hide(option: &str, value: &str) -> String {
    match value.split_once(':') {
        Some((name, of)) if option == "--header" => {
            let shown = header_value(name.trim(), of.trim());
            format!("{name}: {shown}")
        }
        _ => HIDDEN.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_is_in_the_command_line() {
        let arguments = [
            "phasemeter",
            "bench",
            "http://user:hunter2@h/?key=hunter2",
            "-H",
            "X-Key: hunter2",
            "-Hx-key:hunter2",
            "--header=Authorization: hunter2",
            "-d",
            "hunter2",
            "--data=hunter2",
            "--extra",
            "{\"k\":\"hunter2\"}",
            "-H",
            "Accept: text/plain",
            "-n",
            "5",
            "-Hhunter2",
        ];
        let shown = shown(&arguments.map(str::to_owned)).join(" ");
        assert!(!shown.contains("hunter2"), "{shown}");
        for kept in ["X-Key", "Authorization", "Accept: text/plain", "-n 5", "@h/?key=", "--data=", "--extra"] {
            assert!(shown.contains(kept), "{kept}: {shown}");
        }
    }
}
