//! YAML from outside: bounded in size, depth and expansion, and every node with its place.

mod near;
mod node;
mod words;

use std::io::Read;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde_saphyr::{Location, Options};

#[cfg(any(feature = "mock", feature = "registry"))]
pub(crate) use near::nearest;
#[cfg(feature = "registry")]
pub(crate) use near::normal;
pub(crate) use near::suggestion;
#[cfg(feature = "registry")]
pub(crate) use node::{Key, Node, Value};

/// A document is this deep at most; what people write has five levels.
const MAX_DEPTH: usize = 32;
/// At most so many nodes, those that aliases repeat included: bounds the memory that a small file can ask for.
const MAX_NODES: usize = 100_000;

/// A message has so many characters at most: it may quote what the file says.
const MAX_MESSAGE: usize = 300;

/// Why a YAML file was refused.
#[derive(Debug)]
pub(crate) struct YamlError {
    /// The file; with line and column if the fault lies in its content.
    pub(crate) place: String,
    /// What is wrong.
    pub(crate) message: String,
}

/// Where a node begins: line and column, from 1. Line 0: not from a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct At {
    line: u64,
    column: u64,
}

impl At {
    /// `file:line:column`, as compilers write it.
    pub(crate) fn place(self, file: &str) -> String {
        if self.line == 0 { file.to_owned() } else { format!("{file}:{}:{}", self.line, self.column) }
    }
}

impl From<Location> for At {
    fn from(at: Location) -> Self {
        Self { line: at.line(), column: at.column() }
    }
}

/// Reads a file of at most `limit` bytes of UTF-8 text; `what` says what it should be, for messages.
pub(crate) fn read(path: &Path, limit: u64, what: &str) -> Result<String, YamlError> {
    let fail = |message: String| YamlError { place: path.display().to_string(), message };
    let failed = |error: std::io::Error| fail(error.to_string());
    let file = std::fs::File::open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.is_dir() {
        return Err(fail(format!("is a directory; {what} is a YAML file")));
    }
    let mut bytes = Vec::new();
    // One more than may be there: a file can grow, and a FIFO has no length.
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > limit {
        return Err(fail(format!("is too long: {what} has at most {limit} bytes")));
    }
    String::from_utf8(bytes)
        .map_err(|error| fail(format!("is not UTF-8 text: byte {}", error.utf8_error().valid_up_to())))
}

/// Reads a value from YAML text; `name` names the text in errors.
pub(crate) fn parse<T: DeserializeOwned>(name: &str, text: &str) -> Result<T, YamlError> {
    deserialize(text).map_err(|error| YamlError {
        place: error.location().map_or_else(|| name.to_owned(), |at| At::from(at).place(name)),
        message: words::words(&error, text),
    })
}

fn deserialize<T: DeserializeOwned>(text: &str) -> Result<T, serde_saphyr::Error> {
    let options: Options = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_depth: MAX_DEPTH, max_events: 4 * MAX_NODES, max_nodes: MAX_NODES },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MAX_NODES },
        strict_booleans: true,
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(text, options)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::printable;

    #[test]
    fn what_a_message_quotes_is_printable_and_short() {
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Nothing {}
        let message = |key: &str| parse::<Nothing>("f", &format!("\"{key}\": 1")).unwrap_err().message;
        let hostile = message("a\\e[2J\\n\u{202e}b");
        assert!(hostile.contains("[2J") && hostile.contains("\\u{202e}b"), "{hostile}");
        assert_eq!(printable(&hostile), hostile);
        assert!(message(&"x".repeat(1_000)).chars().count() <= MAX_MESSAGE);
    }

    #[test]
    fn files_are_read_up_to_the_limit() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("f.yaml");
        let write = |bytes: &[u8]| std::fs::write(&path, bytes).unwrap();
        write(b"12345678");
        assert_eq!(read(&path, 8, "a test").unwrap(), "12345678");
        assert_eq!(read(&path, 7, "a test").unwrap_err().message, "is too long: a test has at most 7 bytes");
        write(b"ab\xff");
        assert_eq!(read(&path, 8, "a test").unwrap_err().message, "is not UTF-8 text: byte 2");
        assert!(read(directory.path(), 8, "a test").unwrap_err().message.contains("directory"));
        assert!(read(&directory.path().join("none"), 8, "a test").unwrap_err().place.ends_with("none"));
    }
}
