//! Files of bodies and prompts: one a line.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde_json::{Value, json};

use super::PlanFileError;
use crate::text::quoted;

/// They are kept in memory.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// Reads a file of bodies, one a line; empty lines are passed over.
///
/// # Errors
/// [`PlanFileError`] if the file cannot be read, is longer than 64 MB, is not UTF-8 text, or has no bodies.
pub fn body_lines(path: &Path) -> Result<Vec<String>, PlanFileError> {
    let lines: Vec<_> = read_text(path)?.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect();
    if lines.is_empty() {
        return Err(at(path, "has no bodies: write one on each line".to_owned()));
    }
    Ok(lines)
}

/// Reads a file of prompts, JSON Lines, as the `messages` of chats. A line is a text, or an object with `text`, `prompt`, or
/// `messages`.
///
/// # Errors
/// [`PlanFileError`] names the line that is no prompt; else as [`body_lines`].
pub fn prompts(path: &Path) -> Result<Vec<Value>, PlanFileError> {
    let text = read_text(path)?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let prompts: Vec<_> = lines
        .map(|(number, line)| {
            messages(line)
                .map_err(|message| PlanFileError { place: format!("{}:{}", path.display(), number + 1), message })
        })
        .collect::<Result<_, _>>()?;
    if prompts.is_empty() {
        return Err(at(path, "has no prompts: write one on each line".to_owned()));
    }
    Ok(prompts)
}

fn messages(line: &str) -> Result<Value, String> {
    let form =
        || format!("{} is no prompt: write a text, or an object with `text`, `prompt` or `messages`", quoted(line));
    let value: Value = serde_json::from_str(line).map_err(|error| format!("not JSON: {error}"))?;
    let text = match &value {
        Value::String(text) => text,
        Value::Object(fields) => match (fields.get("messages"), fields.get("text").or(fields.get("prompt"))) {
            (Some(messages @ Value::Array(_)), None) => return Ok(messages.clone()),
            (None, Some(Value::String(text))) => text,
            _ => return Err(form()),
        },
        _ => return Err(form()),
    };
    Ok(json!([{ "role": "user", "content": text }]))
}

/// Reads a body from a file.
///
/// # Errors
/// [`PlanFileError`] if the file cannot be read, or is longer than 64 MB.
pub fn body_file(path: &Path) -> Result<Vec<u8>, PlanFileError> {
    let failed = |error: std::io::Error| at(path, error.to_string());
    let mut bytes = Vec::new();
    File::open(path).map_err(failed)?.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(at(path, format!("is too long: at most {MAX_BYTES} bytes fit")));
    }
    Ok(bytes)
}

fn read_text(path: &Path) -> Result<String, PlanFileError> {
    String::from_utf8(body_file(path)?)
        .map_err(|error| at(path, format!("is not UTF-8 text: byte {}", error.utf8_error().valid_up_to())))
}

fn at(path: &Path, message: String) -> PlanFileError {
    PlanFileError { place: path.display().to_string(), message }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of<T>(text: &str, read: fn(&Path) -> Result<T, PlanFileError>) -> Result<T, String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("f");
        std::fs::write(&path, text).unwrap();
        read(&path).map_err(|error| error.to_string())
    }

    #[test]
    fn prompts_come_in_four_forms() {
        let text =
            "\"a\"\n{\"text\":\"a\"}\n\n{\"prompt\": \"a\"}\n{\"messages\": [{\"role\":\"user\",\"content\":\"a\"}]}";
        let all = of(text, prompts).unwrap();
        assert_eq!(all, vec![json!([{ "role": "user", "content": "a" }]); 4]);
    }

    #[test]
    fn what_is_no_prompt_is_told_with_its_line() {
        for (text, message) in [
            ("\"a\"\n\n7", ":3: \"7\" is no prompt"),
            ("{\"text\": 1}", ":1: "),
            ("{", ":1: not JSON"),
            ("\n \n", ": has no prompts"),
            ("\u{0}", "not JSON"),
        ] {
            let error = of(text, prompts).unwrap_err();
            assert!(error.contains(message), "{error}");
        }
        assert!(of("\n", body_lines).unwrap_err().contains("has no bodies"));
        assert_eq!(of("a\r\n\nb", body_lines).unwrap(), ["a", "b"]);
        assert!(body_lines(Path::new("/nowhere/at all")).is_err());
    }
}
