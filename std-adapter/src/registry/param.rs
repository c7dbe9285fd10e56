//! The parameters that a component declares, and the check of a value against them.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::yaml::{At, Node, Value};

/// Types nest this deep at most: `Optional[list[list[int]]]` is four.
const MAX_NESTING: usize = 8;

/// The type of a parameter, as manifests spell it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParamType {
    /// `any`, or no type given.
    Any,
    /// `str`, `string`.
    Str,
    /// `int`, `integer`.
    Int,
    /// `float`, `number`: integers too.
    Float,
    /// `bool`, `boolean`.
    Bool,
    /// `path`: text that names a file; not in AIPerf.
    Path,
    /// `dict`, `dict[…]`, `map`.
    Dict,
    /// `None`, `null`.
    Null,
    /// `list[T]`; `list` is `list[any]`.
    List(Box<Self>),
    /// `A | B`, `Union[A, B]`; `Optional[T]` is `T | None`.
    OneOf(Vec<Self>),
}

impl ParamType {
    /// Reads the spellings of Python and of JSON Schema, whatever their case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        (text.len() <= 200).then(|| Self::parse_nested(text, MAX_NESTING))?
    }

    fn parse_nested(text: &str, nesting: usize) -> Option<Self> {
        let nesting = nesting.checked_sub(1)?;
        let parse_all = |texts: Vec<&str>| -> Option<Vec<Self>> {
            texts.into_iter().map(|text| Self::parse_nested(text, nesting)).collect()
        };
        let union = split(text, '|')?;
        if union.len() > 1 {
            return Some(Self::OneOf(parse_all(union)?));
        }
        let text = text.trim();
        let (head, inner) = match text.split_once('[') {
            Some((head, rest)) => (head, Some(rest.strip_suffix(']')?)),
            None => (text, None),
        };
        let head = head.to_lowercase();
        let head = head.rsplit('.').next()?;
        Some(match (head, inner) {
            ("any" | "object", None) => Self::Any,
            ("str" | "string", None) => Self::Str,
            ("int" | "integer", None) => Self::Int,
            ("float" | "number" | "double", None) => Self::Float,
            ("bool" | "boolean", None) => Self::Bool,
            ("path", None) => Self::Path,
            ("none" | "null" | "nonetype", None) => Self::Null,
            ("dict" | "map" | "mapping", None) => Self::Dict,
            ("dict" | "mapping", Some(inner)) => {
                let types = parse_all(split(inner, ',')?)?;
                (types.len() == 2).then_some(Self::Dict)?
            }
            ("list" | "array" | "sequence", None) => Self::List(Box::new(Self::Any)),
            ("list" | "array" | "sequence", Some(inner)) => Self::List(Box::new(Self::parse_nested(inner, nesting)?)),
            ("optional", Some(inner)) => Self::OneOf(vec![Self::parse_nested(inner, nesting)?, Self::Null]),
            ("union", Some(inner)) => Self::OneOf(parse_all(split(inner, ',')?)?),
            _ => return None,
        })
    }

    /// Whether the value names a file.
    pub(super) fn is_path(&self) -> bool {
        match self {
            Self::Path => true,
            Self::OneOf(types) => types.iter().any(Self::is_path),
            _ => false,
        }
    }

    /// Whether `min` and `max` mean something for it.
    fn has_range(&self) -> bool {
        match self {
            Self::Int | Self::Float => true,
            Self::List(of) => of.has_range(),
            Self::OneOf(types) => types.iter().any(Self::has_range),
            _ => false,
        }
    }

    /// Whether the value has this type; else where it has not.
    fn mismatch(&self, node: &Node) -> Result<(), At> {
        let matches = match (self, &node.value) {
            (Self::List(of), Value::List(items)) => return items.iter().try_for_each(|item| of.mismatch(item)),
            (Self::OneOf(types), value) => {
                let tried = types.iter().map(|one| one.mismatch(node)).reduce(Result::or);
                // Of several reasons, that of the list's item is the most precise.
                return match (tried, value) {
                    (Some(Err(_)), Value::List(_)) => {
                        let list = types.iter().find(|one| matches!(one, Self::List(_)));
                        list.map_or(Err(node.at), |list| list.mismatch(node))
                    }
                    (Some(result), _) => result,
                    (None, _) => Ok(()),
                };
            }
            (Self::Int, Value::Number(number)) => number.is_i64() || number.is_u64(),
            (Self::Path, Value::Text(text)) => !text.is_empty(),
            (Self::Any, _)
            | (Self::Str, Value::Text(_))
            | (Self::Float, Value::Number(_))
            | (Self::Bool, Value::Bool(_))
            | (Self::Dict, Value::Map(_))
            | (Self::Null, Value::Null) => true,
            _ => false,
        };
        if matches { Ok(()) } else { Err(node.at) }
    }
}

/// Splits where brackets are balanced; `None` if they are not.
fn split(text: &str, separator: char) -> Option<Vec<&str>> {
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0_usize, 0);
    for (index, c) in text.char_indices() {
        match c {
            '[' => depth += 1,
            ']' => depth = depth.checked_sub(1)?,
            c if c == separator && depth == 0 => {
                parts.push(&text[start..index]);
                start = index + c.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    (depth == 0).then_some(parts)
}

impl fmt::Display for ParamType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => formatter.write_str("any"),
            Self::Str => formatter.write_str("str"),
            Self::Int => formatter.write_str("int"),
            Self::Float => formatter.write_str("float"),
            Self::Bool => formatter.write_str("bool"),
            Self::Path => formatter.write_str("path"),
            Self::Dict => formatter.write_str("dict"),
            Self::Null => formatter.write_str("null"),
            Self::List(of) => write!(formatter, "list[{of}]"),
            Self::OneOf(types) => {
                for (index, one) in types.iter().enumerate() {
                    write!(formatter, "{}{one}", if index == 0 { "" } else { " | " })?;
                }
                Ok(())
            }
        }
    }
}

impl Serialize for ParamType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A parameter of a component.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Param {
    /// The key under `config`.
    pub name: String,
    /// What the value has to be.
    #[serde(rename = "type")]
    pub kind: ParamType,
    /// The value if the key is not given; without one, the component decides.
    pub default: Option<serde_json::Value>,
    /// Whether the key has to be given.
    pub required: bool,
    /// The least number that is allowed; in a list, for each of its numbers.
    pub min: Option<f64>,
    /// The greatest number that is allowed; in a list, for each of its numbers.
    pub max: Option<f64>,
    /// What it is for.
    pub description: String,
}

impl Param {
    /// Checks a value: where it is wrong, and how.
    pub(super) fn check(&self, node: &Node) -> Result<(), (At, String)> {
        self.kind
            .mismatch(node)
            .map_err(|at| (at, format!("`{}` has to be of type {}, not {}", self.name, self.kind, found(node, at))))?;
        self.out_of_range(node).map_or(Ok(()), |(at, number)| {
            Err((at, format!("`{}` has to be {}, not {number}", self.name, self.range())))
        })
    }

    fn out_of_range<'n>(&self, node: &'n Node) -> Option<(At, &'n serde_json::Number)> {
        match &node.value {
            Value::List(items) => items.iter().find_map(|item| self.out_of_range(item)),
            Value::Number(number) => {
                let value = number.as_f64()?;
                let outside = self.min.is_some_and(|min| value < min) || self.max.is_some_and(|max| value > max);
                outside.then_some((node.at, number))
            }
            _ => None,
        }
    }

    /// The range in words; empty without one.
    pub(crate) fn range(&self) -> String {
        match (self.min, self.max) {
            (Some(min), Some(max)) => format!("from {min} to {max}"),
            (Some(min), None) => format!("at least {min}"),
            (None, Some(max)) => format!("at most {max}"),
            (None, None) => String::new(),
        }
    }

    /// Whether it has a range that its type cannot have, or that holds nothing.
    pub(super) fn has_odd_range(&self) -> bool {
        let none = self.min.is_some_and(|min| self.max.is_some_and(|max| min > max));
        (self.min.is_some() || self.max.is_some()) && !self.kind.has_range() || none
    }
}

/// What is at `at`: the node, or the item of it that is there.
fn found(node: &Node, at: At) -> String {
    match &node.value {
        Value::List(items) if node.at != at => {
            items.iter().find(|item| item.at == at).map_or_else(|| "such an item".into(), Node::describe)
        }
        _ => node.describe(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn param(kind: &str, min: Option<f64>, max: Option<f64>) -> Param {
        let kind = ParamType::parse(kind).unwrap();
        Param { name: "p".into(), kind, default: None, required: false, min, max, description: String::new() }
    }

    #[test]
    fn the_spellings_of_types() {
        for (text, shown) in [
            ("str", "str"),
            ("String", "str"),
            ("int", "int"),
            ("number", "float"),
            ("boolean", "bool"),
            ("pathlib.Path", "path"),
            ("list", "list[any]"),
            ("List[float]", "list[float]"),
            ("Optional[int]", "int | null"),
            ("typing.Optional[list[int]]", "list[int] | null"),
            ("int | None", "int | null"),
            ("list[int | str]", "list[int | str]"),
            ("Union[int, dict[str, list[int]]]", "int | dict"),
            ("dict[str, Any]", "dict"),
        ] {
            assert_eq!(ParamType::parse(text).map(|kind| kind.to_string()).as_deref(), Some(shown), "{text}");
        }
        let deep = format!("{}int{}", "list[".repeat(30), "]".repeat(30));
        for text in ["", "integr", "list[", "list]", "list[int]]", "int |", "dict[str]", "Optional", "str[int]", &deep]
        {
            assert_eq!(ParamType::parse(text), None, "{text}");
        }
    }

    #[test]
    fn values_are_checked_against_type_and_range() {
        for (kind, value, place) in [
            ("str", "a", None),
            ("str", "1", Some("f:1:1")),
            ("int", "1", None),
            ("int", "1.5", Some("f:1:1")),
            ("int", "18446744073709551615", None),
            ("float", "1", None),
            ("bool", "'true'", Some("f:1:1")),
            ("path", "''", Some("f:1:1")),
            ("list[int]", "[1, 2, x]", Some("f:1:8")),
            ("list[list[int]]", "[[1], [2, x]]", Some("f:1:11")),
            ("Optional[int]", "null", None),
            ("Optional[int]", "x", Some("f:1:1")),
            ("Optional[list[int]]", "[1, x]", Some("f:1:5")),
            ("int", "null", Some("f:1:1")),
            ("dict", "{a: 1}", None),
            ("dict", "[a]", Some("f:1:1")),
            ("any", "[a]", None),
        ] {
            let node: Node = crate::yaml::parse("f", value).unwrap();
            let result = param(kind, None, None).check(&node);
            assert_eq!(result.err().map(|(at, _)| at.place("f")).as_deref(), place, "{kind}: {value}");
        }
        let percentiles = param("list[float]", Some(0.0), Some(100.0));
        let node: Node = crate::yaml::parse("f", "[50, 120]").unwrap();
        let (at, message) = percentiles.check(&node).unwrap_err();
        assert_eq!((at.place("f").as_str(), message.as_str()), ("f:1:6", "`p` has to be from 0 to 100, not 120"));
        assert!(param("str", Some(1.0), None).has_odd_range() && param("int", Some(2.0), Some(1.0)).has_odd_range());
        assert!(!param("Optional[int]", Some(1.0), None).has_odd_range());
    }
}
