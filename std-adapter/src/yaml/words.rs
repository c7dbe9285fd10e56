//! What is wrong with a document, in the words of somebody who writes one.

use serde_saphyr::{Error, UserMessageFormatter};

use super::near::suggestion;
use super::node::{Node, Value};
use super::{At, MAX_MESSAGE};
use crate::text::{printable, quoted};

/// The error without its place, in one line that is not long; `text` is the document.
pub(super) fn words(error: &Error, text: &str) -> String {
    let error = innermost(error);
    // Only where it helps, as the document is read once more.
    let found = || error.location().and_then(|at| describe(text, at.into()));
    let wanted = |what: &str| match found() {
        Some(found) => format!("{what} is needed here, not {found}"),
        None => format!("{what} is needed here"),
    };
    let message = match error {
        Error::Eof { .. } if is_empty(text) => "there is nothing in it".to_owned(),
        Error::Eof { .. } => "it ends too early: something that was begun is not closed".to_owned(),
        Error::MultipleDocuments { .. } => "there is a second document behind `---`: only one is read".to_owned(),
        Error::Unexpected { expected, .. } => match *expected {
            "mapping start" => wanted("a map of keys and values"),
            "sequence start" => wanted("a list"),
            // Numbers as well are read as text first.
            "scalar" | "string scalar" => wanted("a single value"),
            expected => wanted(expected),
        },
        Error::InvalidScalar { ty, .. } => wanted(scalar(ty)),
        Error::NullIntoString { .. } | Error::TaggedScalarCannotDeserializeIntoString { .. } => wanted("text"),
        Error::InvalidBooleanStrict { .. } => wanted("true or false"),
        Error::SerdeInvalidType { unexpected, expected, .. }
        | Error::SerdeInvalidValue { unexpected, expected, .. } => {
            // Names of types are nobody's words but a program's.
            let is_type = expected.starts_with("struct ") || expected.starts_with("enum ");
            let expected = if is_type { "a map of keys and values" } else { expected };
            let found = found().unwrap_or_else(|| unexpected.clone());
            format!("{expected} is needed here, not {found}")
        }
        Error::SerdeUnknownVariant { variant, expected, .. } => {
            format!("{} is not known here{}", quoted(variant), one_of(variant, expected))
        }
        Error::SerdeUnknownField { field, expected, .. } => {
            format!("{} is no key here{}", quoted(field), one_of(field, expected))
        }
        Error::SerdeMissingField { field, .. } => format!("`{field}` is missing"),
        Error::DuplicateMappingKey { key: Some(key), .. } => format!("{} is there twice", quoted(key)),
        Error::DuplicateMappingKey { key: None, .. } => "a key is there twice".to_owned(),
        Error::ExpectedMappingEndAfterEnumVariantValue { .. } => {
            "only one key can be here: leave this one or the one before out".to_owned()
        }
        Error::ExternallyTaggedEnumExpectedScalarOrMapping { .. }
        | Error::ExpectedStringKeyForExternallyTaggedEnum { .. }
        | Error::UnexpectedValueForUnitEnumVariant { .. } => wanted("a name, or a map with one key,"),
        other => {
            let message = other.render_with_formatter(&UserMessageFormatter);
            let at = other.location().map(|at| format!(" at line {}, column {}", at.line(), at.column()));
            let suffix = at.unwrap_or_default();
            let message = message.strip_suffix(&suffix).unwrap_or(&message).to_owned();
            let line = other.location().and_then(|at| braces(text, at.into()));
            line.map_or(message.clone(), |line| {
                format!("{message}; text with braces has to be in quotes, in line {line}")
            })
        }
    };
    printable(&message).chars().take(MAX_MESSAGE).collect()
}

/// Behind snippets and aliases.
fn innermost(mut error: &Error) -> &Error {
    while let Error::WithSnippet { error: inner, .. } | Error::AliasError { error: inner, .. } = error {
        error = inner;
    }
    error
}

/// The candidate that was meant, or all there are.
fn one_of(name: &str, candidates: &[&str]) -> String {
    let near = suggestion(name, candidates.iter().copied());
    match candidates {
        _ if !near.is_empty() => near,
        [] => ": there are none".to_owned(),
        [one] => format!(": there is only `{one}`"),
        [others @ .., last] => format!(
            ": there are {} and `{last}`",
            others.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
        ),
    }
}

/// A type of a program in a person's words.
fn scalar(ty: &str) -> &str {
    match ty {
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "u128" | "usize" => "a whole number from 0 on",
        "i8" | "i16" | "i32" | "i64" | "i128" | "isize" => "a whole number",
        "floating point" | "f32" | "f64" => "a number",
        "boolean" => "true or false",
        other => other,
    }
}

/// The line, this one or the one before, with braces around one word that look like text: `{source}.log` without quotes.
fn braces(text: &str, at: At) -> Option<u64> {
    let is_word =
        |inner: &str| !inner.is_empty() && inner.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let has_braces = |line: &str| {
        line.split('{').skip(1).any(|after| after.split_once('}').is_some_and(|(inner, _)| is_word(inner)))
    };
    (1..)
        .zip(text.lines())
        .filter(|(number, line)| (at.line.saturating_sub(1)..=at.line).contains(number) && has_braces(line))
        .map(|(number, _)| number)
        .last()
}

/// Nothing but spaces, marks and comments.
fn is_empty(text: &str) -> bool {
    text.trim_start_matches('\u{feff}').lines().map(str::trim).all(|line| line.is_empty() || line.starts_with('#'))
}

/// What stands at this place of the document, if that can be read at all.
fn describe(text: &str, at: At) -> Option<String> {
    let root: Node = super::deserialize(text).ok()?;
    find(&root, at).map(Node::describe)
}

fn find(node: &Node, at: At) -> Option<&Node> {
    if node.at == at {
        return Some(node);
    }
    match &node.value {
        Value::List(items) => items.iter().find_map(|item| find(item, at)),
        Value::Map(items) => items.iter().find_map(|(_, item)| find(item, at)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::super::parse;
    use super::Node;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only errors are looked at")]
    struct Form {
        number: u16,
        #[serde(default)]
        rate: f64,
        #[serde(default)]
        list: Vec<Form>,
        kind: Option<Kind>,
        name: Option<String>,
        whether: Option<bool>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "snake_case", deny_unknown_fields)]
    enum Kind {
        Warmup,
        #[expect(dead_code, reason = "only errors are looked at")]
        Chat {
            tokens: u8,
        },
    }

    #[test]
    fn faults_are_told_in_words() {
        for (text, told) in [
            ("", "f:1:1: there is nothing in it"),
            ("# only a comment\n", "there is nothing in it"),
            ("- a", "f:1:1: a map of keys and values is needed here, not a list"),
            ("just text", "f:1:1: a map of keys and values is needed here, not the text \"just text\""),
            ("number: 1\nlist: 3", "f:2:7: a list is needed here, not the number 3"),
            ("number: x", "f:1:9: a whole number from 0 to 65535 is needed here, not the text \"x\""),
            ("number: 65536", "a whole number from 0 to 65535 is needed here, not the number 65536"),
            ("number: -1", "not the number -1"),
            ("number: 1\nrate: fast", "f:2:7: a number is needed here, not the text \"fast\""),
            ("numbr: 1", "f:1:1: \"numbr\" is no key here: did you mean `number`?"),
            (
                "colour: 1",
                "f:1:1: \"colour\" is no key here: there are `number`, `rate`, `list`, `kind`, `name` and `whether`",
            ),
            ("list: []", "`number` is missing"),
            ("number: 1\nnumber: 2", "f:2:1: \"number\" is there twice"),
            ("number: 1\nkind: warm-up", "f:2:7: \"warm-up\" is not known here: did you mean `warmup`?"),
            ("number: 1\nkind: sleep", "f:2:7: \"sleep\" is not known here: there are `warmup` and `chat`"),
            ("number: 1\nkind: {chat: {tokens: 300}}", "f:2:23: a whole number from 0 to 255 is needed here"),
            ("number: 1\nkind: {chat: {token: 3}}", "\"token\" is no key here: did you mean `tokens`?"),
            ("number: 1\nkind: {chat: {words: 3}}", "\"words\" is no key here: there is only `tokens`"),
            ("number: 1\nkind: {chat: {tokens: 3}, warmup: 1}", "f:2:27: only one key can be here"),
            ("number: 1\nkind: [warmup]", "f:2:7: a name, or a map with one key, is needed here, not a list"),
            ("number: 1\nkind: chat", "a map of keys and values is needed here"),
            ("number: 1\nwhether: maybe", "true or false is needed here, not the text \"maybe\""),
            ("number: 1\nname: [a]", "a single value is needed here, not a list"),
            ("number: &a x\nrate: *a", "f:1:"),
            ("number: [1]", "f:1:9: a single value is needed here, not a list"),
            (
                "number: 1\nname: {source}",
                "f:2:7: a single value is needed here, not a map; if text is meant, braces need quotes: '{source}'",
            ),
            ("number: 1\n---\nnumber: 2", "there is a second document behind `---`"),
        ] {
            let error = parse::<Form>("f", text).unwrap_err();
            let error = format!("{}: {}", error.place, error.message);
            assert!(error.contains(told), "{text:?}: {error}");
            for program in ["variant", "mapping", "sequence", "struct", "enum", "Options", "u16", "scalar", "policy"] {
                assert!(!error.contains(program), "{text:?}: {error}");
            }
        }
    }

    #[test]
    fn braces_without_quotes_are_named() {
        for (text, line) in
            [("file: {source}.log", 1), ("a: 1\nfile: {source}/a.log\nb: 1", 2), ("{a: 1, file: logs/{source}.log}", 1)]
        {
            let message = parse::<Node>("f", text).unwrap_err().message;
            let hint = format!("; text with braces has to be in quotes, in line {line}");
            assert!(message.ends_with(&hint), "{text:?}: {message}");
        }
        assert!(!parse::<Node>("f", "a: [{b: 1}").unwrap_err().message.contains("braces"));
    }
}
