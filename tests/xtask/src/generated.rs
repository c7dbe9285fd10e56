//! Files that are generated and checked in.

use std::fs;

use anyhow::{Context, Result, bail};

use crate::command::root;

/// A generated file and how to make it anew.
pub(crate) struct Generated {
    /// Relative to the root of the repository.
    pub(crate) path: &'static str,
    /// The command that writes the file.
    pub(crate) remake: &'static str,
    pub(crate) content: String,
}

impl Generated {
    /// Writes the file, unless it is up to date: an untouched file causes no rebuild.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn write(&self) -> Result<()> {
        let path = root().join(self.path);
        if fs::read_to_string(&path).is_ok_and(|old| old == self.content) {
            println!("{}: up to date", self.path);
            return Ok(());
        }
        fs::write(&path, &self.content).with_context(|| format!("cannot write {}", path.display()))?;
        println!("{}: written", self.path);
        Ok(())
    }

    /// Compares the checked-in file with what would be generated now.
    ///
    /// # Errors
    /// When the file cannot be read, or differs.
    pub(crate) fn check(&self) -> Result<()> {
        let path = root().join(self.path);
        let found = fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}; write it with `{}`", path.display(), self.remake))?;
        if let Some(line) = first_difference(&found, &self.content) {
            bail!("{}:{line} is not what is generated; write the file anew with `{}`", self.path, self.remake);
        }
        println!("{}: as generated", self.path);
        Ok(())
    }
}

/// The number of the first line that differs, from 1. Line ends do not count: a checkout may have converted them.
fn first_difference(found: &str, expected: &str) -> Option<usize> {
    let (mut found, mut expected) = (found.lines(), expected.lines());
    (1..).find_map(|number| match (found.next(), expected.next()) {
        (None, None) => Some(None),
        (a, b) if a == b => None,
        _ => Some(Some(number)),
    })?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_differs_is_named() {
        assert_eq!(first_difference("a\nb\n", "a\nb\n"), None);
        assert_eq!(first_difference("", ""), None);
        assert_eq!(first_difference("a\r\nb\r\n", "a\nb\n"), None);
        assert_eq!(first_difference("a\nB\nC\n", "a\nb\nc\n"), Some(2));
        assert_eq!(first_difference("a\n", "a\nb\n"), Some(2));
        assert_eq!(first_difference("a\nb\nc\n", "a\nb\n"), Some(3));
    }

    #[test]
    fn a_missing_file_is_named_with_its_remedy() {
        let file = Generated { path: "no/such/file", remake: "make file", content: String::new() };
        let message = file.check().unwrap_err().to_string();
        assert!(message.contains("file; write it with `make file`"), "{message}");
    }
}
