//! `cargo xtask readme`: the figures in README.md are copied from the files that the measuring commands write.
//!
//! A block begins with the line `<!-- from FILE -->` or, for a file of numbers, `<!-- from FILE: HEADING -->`, and ends with
//! `<!-- end -->`. Between them stands the file, or the table of its numbers.

use std::fs;

use anyhow::{Context, Result, bail};

use crate::baseline;
use crate::command::root;
use crate::generated::Generated;

const PATH: &str = "README.md";
const BEGIN: &str = "<!-- from ";
const END: &str = "<!-- end -->";

/// README.md with every block made anew.
///
/// # Errors
/// When a file cannot be read or a block has no end, with the line on which it begins.
pub(crate) fn generated() -> Result<Generated> {
    let path = root().join(PATH);
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(Generated { path: PATH, remake: "cargo xtask readme", content: fill(&text, &content)? })
}

fn fill(text: &str, content: &impl Fn(&str, Option<&str>) -> Result<String>) -> Result<String> {
    let mut filled = String::new();
    let mut lines = (1..).zip(text.lines());
    while let Some((number, line)) = lines.next() {
        filled.extend([line, "\n"]);
        let Some(source) = line.strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(" -->")) else { continue };
        let (file, heading) = source.split_once(": ").map_or((source, None), |(file, heading)| (file, Some(heading)));
        let at = || format!("{PATH}:{number}: the block from {file}");
        filled.push('\n');
        filled.push_str(content(file, heading).with_context(at)?.trim());
        filled.push_str("\n\n");
        loop {
            match lines.next() {
                Some((_, END)) => break,
                Some((_, line)) if !line.starts_with(BEGIN) => {}
                _ => bail!("{} has no line `{END}`", at()),
            }
        }
        filled.extend([END, "\n"]);
    }
    Ok(filled)
}

/// A file as it stands, or with a heading its numbers as a table.
fn content(file: &str, heading: Option<&str>) -> Result<String> {
    let text = fs::read_to_string(root().join(file)).context("cannot be read")?;
    match heading {
        None => Ok(text),
        Some(heading) => Ok(baseline::table(heading, &baseline::read(&text)?.1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_filled_and_the_rest_stays() {
        let show = |file: &str, heading: Option<&str>| Ok(format!("{file} as {heading:?}\n"));
        let old = "a\n<!-- from x.md -->\nold\n<!-- end -->\nb\n<!-- from y.txt: bytes -->\n<!-- end -->\n";
        let new = "a\n<!-- from x.md -->\n\nx.md as None\n\n<!-- end -->\nb\n<!-- from y.txt: bytes -->\n\ny.txt as \
                   Some(\"bytes\")\n\n<!-- end -->\n";
        assert_eq!(fill(old, &show).unwrap(), new);
        assert_eq!(fill(new, &show).unwrap(), new, "what is filled stays as it is");
    }

    #[test]
    fn a_block_without_an_end_is_named() {
        let unended = "a\n<!-- from x.md -->\n<!-- from y.md -->\n<!-- end -->\n";
        let message = format!("{:#}", fill(unended, &|_, _| Ok(String::new())).unwrap_err());
        assert_eq!(message, "README.md:2: the block from x.md has no line `<!-- end -->`");
        let message = format!("{:#}", fill("<!-- from no/file -->\n<!-- end -->\n", &content).unwrap_err());
        assert!(message.starts_with("README.md:1: the block from no/file: cannot be read"), "{message}");
    }
}
