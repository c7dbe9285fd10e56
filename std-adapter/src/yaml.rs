//! YAML from outside: bounded in size, depth and expansion, and every node with its place.

use std::fmt;
use std::io::Read;
use std::path::Path;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Number;
use serde_saphyr::{Location, Options, Spanned};

/// A document is this deep at most; what people write has five levels.
const MAX_DEPTH: usize = 32;
/// At most so many nodes, those that aliases repeat included: bounds the memory that a small file can ask for.
const MAX_NODES: usize = 100_000;

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

/// A value with its place.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) at: At,
    pub(crate) value: Value,
}

/// What YAML can say, keys in the order of the file.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// The key of a map.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) at: At,
    pub(crate) name: String,
}

impl Node {
    /// What the node is, for messages: `text "a"`, `a list`.
    pub(crate) fn describe(&self) -> String {
        match &self.value {
            Value::Null => "nothing".into(),
            Value::Bool(value) => format!("the boolean {value}"),
            Value::Number(value) => format!("the number {value}"),
            Value::Text(value) => format!("the text {}", quoted(value)),
            Value::List(_) => "a list".into(),
            Value::Map(_) => "a map".into(),
        }
    }

    /// The value without places.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => (*value).into(),
            Value::Number(value) => value.clone().into(),
            Value::Text(value) => value.clone().into(),
            Value::List(items) => items.iter().map(Self::to_json).collect(),
            Value::Map(items) => items.iter().map(|(key, node)| (key.name.clone(), node.to_json())).collect(),
        }
    }
}

impl From<serde_json::Value> for Node {
    fn from(json: serde_json::Value) -> Self {
        let at = At::default();
        let value = match json {
            serde_json::Value::Null => Value::Null,
            serde_json::Value::Bool(value) => Value::Bool(value),
            serde_json::Value::Number(value) => Value::Number(value),
            serde_json::Value::String(value) => Value::Text(value),
            serde_json::Value::Array(items) => Value::List(items.into_iter().map(Self::from).collect()),
            serde_json::Value::Object(items) => {
                Value::Map(items.into_iter().map(|(name, value)| (Key { at, name }, value.into())).collect())
            }
        };
        Self { at, value }
    }
}

/// Text for a message: quoted, without control characters, and not longer than a line.
pub(crate) fn quoted(text: &str) -> String {
    const MOST: usize = 60;
    let mut shown: String = text.chars().take(MOST).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    format!("{shown:?}")
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
    let options: Options = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_depth: MAX_DEPTH, max_events: 4 * MAX_NODES, max_nodes: MAX_NODES },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MAX_NODES },
        strict_booleans: true,
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let message = error.without_snippet().to_string();
        let Some(at) = error.location() else { return YamlError { place: name.to_owned(), message } };
        let suffix = format!(" at line {}, column {}", at.line(), at.column());
        let message = message.strip_suffix(&suffix).unwrap_or(&message).to_owned();
        YamlError { place: At::from(at).place(name), message }
    })
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Value>::deserialize(deserializer)?;
        Ok(Self { at: spanned.referenced.into(), value: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom(format!("{value} is no finite number")))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = sequence.next_element()? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            items.push((Key { at: key.referenced.into(), name: key.value }, map.next_value()?));
        }
        Ok(Value::Map(items))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(text: &str) -> Node {
        parse("f", text).unwrap()
    }

    #[test]
    fn every_node_has_its_place() {
        let root = node("a: 1\nbb:\n  - {c: [x, 2.5]}\n  - null\n");
        assert_eq!(root.to_json(), serde_json::json!({"a": 1, "bb": [{"c": ["x", 2.5]}, null]}));
        let Value::Map(items) = &root.value else { panic!("{root:?}") };
        assert_eq!((items[1].0.name.as_str(), items[1].0.at.place("f")), ("bb", "f:2:1".into()));
        let Value::List(list) = &items[1].1.value else { panic!("{root:?}") };
        let Value::Map(inner) = &list[0].value else { panic!("{root:?}") };
        let Value::List(deepest) = &inner[0].1.value else { panic!("{root:?}") };
        assert_eq!((inner[0].0.at.place("f"), deepest[1].at.place("f")), ("f:3:6".into(), "f:3:13".into()));
        assert_eq!(At::default().place("f"), "f");
    }

    #[test]
    fn words_that_look_like_booleans_are_text() {
        assert_eq!(node("[yes, on, true, '1', 1.0.0]").to_json(), serde_json::json!(["yes", "on", true, "1", "1.0.0"]));
    }

    #[test]
    fn hostile_text_is_refused_with_its_place() {
        let anchors = ["b", "c", "d", "e", "f", "g"].into_iter().zip(["a", "b", "c", "d", "e", "f"]);
        let lines = anchors.map(|(name, last)| format!("{name}: &{name} [{}]", vec![format!("*{last}"); 9].join(",")));
        let bomb = format!("a: &a [x,x,x,x,x,x,x,x,x]\n{}", lines.collect::<Vec<_>>().join("\n"));
        let deep = "[".repeat(20_000);
        let wide = format!("[{}]", "x,".repeat(MAX_NODES + 1));
        for (text, place) in [
            (bomb.as_str(), "f:"),
            (&deep, "f:1:"),
            (&wide, "f:"),
            ("a: 1\na: 2", "f:2:1"),
            ("a: [", "f:1:"),
            ("a:\n\t- b", "f:2:"),
            ("a: .nan", "f:1:4"),
            ("a: *nobody", "f:1:4"),
            ("a: 1\n---\nb: 2", "f"),
            ("[1]: 2", "f:1:1"),
        ] {
            let error = parse::<Node>("f", text).unwrap_err();
            let start: String = text.chars().take(20).collect();
            assert!(error.place.starts_with(place) && !error.message.contains('\n'), "{start}: {error:?}");
        }
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
