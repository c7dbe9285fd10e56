//! A document of which the form is not known beforehand, every node with its place.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Number;
use serde_saphyr::Spanned;

use super::At;
use crate::text::{printable, quoted};

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
#[cfg_attr(not(any(feature = "registry", test)), expect(dead_code, reason = "only the registry looks at keys"))]
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
            Value::Map(items) => match &items[..] {
                [(key, Self { value: Value::Null, .. })] => {
                    let name = printable(&key.name);
                    format!("a map; if text is meant, braces need quotes: '{{{name}}}'")
                }
                _ => "a map".into(),
            },
        }
    }

    /// The value without places.
    #[cfg(any(feature = "registry", test))]
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

#[cfg(feature = "registry")]
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
    use super::super::{MAX_NODES, parse};
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
}
