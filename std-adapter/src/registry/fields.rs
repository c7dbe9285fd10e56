//! The fields of a YAML map, read so that every fault is told at once.

use super::error::Diagnostic;
use crate::text::quoted;
use crate::yaml::{At, Key, Node, Value, nearest, suggestion};

/// More faults than anybody reads are not kept.
const MAX_FINDINGS: usize = 50;

/// What was found in one file.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) file: String,
    pub(super) errors: Vec<Diagnostic>,
    pub(super) warnings: Vec<Diagnostic>,
}

impl Findings {
    pub(super) fn of(file: &str) -> Self {
        Self { file: file.to_owned(), ..Self::default() }
    }

    fn push(list: &mut Vec<Diagnostic>, place: String, message: String) {
        if list.len() < MAX_FINDINGS {
            list.push(Diagnostic { place, message });
        }
    }

    pub(super) fn error(&mut self, at: At, message: impl Into<String>) {
        Self::push(&mut self.errors, at.place(&self.file), message.into());
    }

    pub(super) fn warn(&mut self, at: At, message: impl Into<String>) {
        Self::push(&mut self.warnings, at.place(&self.file), message.into());
    }

    /// A key that nothing is known of: an error if it is near to a known one, since then it is a slip of the pen.
    pub(super) fn unknown_key(&mut self, key: &Key, what: &str, known: &[&'static str]) {
        let name = quoted(&key.name);
        if nearest(&key.name, known.iter().copied()).is_some() {
            let hint = suggestion(&key.name, known.iter().copied());
            self.error(key.at, format!("{name} is no key of {what}{hint}"));
        } else {
            self.warn(key.at, format!("{name} is no key of {what} and is ignored; known: {}", known.join(", ")));
        }
    }
}

/// The map of a node; anything else is an error.
pub(super) fn map<'n>(node: &'n Node, what: &str, findings: &mut Findings) -> Option<&'n [(Key, Node)]> {
    if let Value::Map(items) = &node.value {
        return Some(items);
    }
    findings.error(node.at, format!("{what} has to be a map, not {}", node.describe()));
    None
}

/// The list of a node; anything else is an error.
pub(super) fn list<'n>(node: &'n Node, what: &str, findings: &mut Findings) -> Option<&'n [Node]> {
    if let Value::List(items) = &node.value {
        return Some(items);
    }
    findings.error(node.at, format!("{what} has to be a list, not {}", node.describe()));
    None
}

/// The fields of a map, taken one after the other by name.
pub(super) struct Fields<'n, 'f> {
    what: String,
    items: Vec<(&'n Key, &'n Node)>,
    known: Vec<&'static str>,
    pub(super) findings: &'f mut Findings,
}

impl<'n, 'f> Fields<'n, 'f> {
    /// The fields of `node`, which is `what`.
    pub(super) fn of(node: &'n Node, what: impl Into<String>, findings: &'f mut Findings) -> Self {
        let what = what.into();
        let items = map(node, &what, findings).unwrap_or_default().iter().map(|(key, node)| (key, node)).collect();
        Self { what, items, known: Vec::new(), findings }
    }

    /// The field, if it is there and not null.
    pub(super) fn take(&mut self, name: &'static str) -> Option<&'n Node> {
        self.known.push(name);
        let index = self.items.iter().position(|(key, _)| key.name == name)?;
        let (_, node) = self.items.swap_remove(index);
        (!matches!(node.value, Value::Null)).then_some(node)
    }

    fn mismatch(&mut self, name: &str, node: &Node, wanted: &str) {
        self.findings.error(node.at, format!("`{name}` of {} has to be {wanted}, not {}", self.what, node.describe()));
    }

    pub(super) fn text(&mut self, name: &'static str) -> Option<String> {
        self.text_with_place(name).map(|(_, text)| text)
    }

    pub(super) fn text_with_place(&mut self, name: &'static str) -> Option<(At, String)> {
        let node = self.take(name)?;
        if let Value::Text(text) = &node.value {
            return Some((node.at, text.clone()));
        }
        self.mismatch(name, node, "text");
        None
    }

    /// Text, or a number as it was probably written: `version: 1.0`.
    pub(super) fn text_or_number(&mut self, name: &'static str) -> Option<String> {
        let node = self.take(name)?;
        match &node.value {
            Value::Text(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => {
                self.mismatch(name, node, "text");
                None
            }
        }
    }

    pub(super) fn flag(&mut self, name: &'static str) -> Option<bool> {
        let node = self.take(name)?;
        if let Value::Bool(flag) = node.value {
            return Some(flag);
        }
        self.mismatch(name, node, "true or false");
        None
    }

    pub(super) fn integer(&mut self, name: &'static str) -> Option<i64> {
        let node = self.take(name)?;
        if let Value::Number(number) = &node.value
            && let Some(integer) = number.as_i64()
        {
            return Some(integer);
        }
        self.mismatch(name, node, "an integer");
        None
    }

    pub(super) fn number(&mut self, name: &'static str) -> Option<f64> {
        let node = self.take(name)?;
        if let Value::Number(number) = &node.value
            && let Some(number) = number.as_f64()
        {
            return Some(number);
        }
        self.mismatch(name, node, "a number");
        None
    }

    /// A list of texts; empty if it is not there.
    pub(super) fn texts(&mut self, name: &'static str) -> Vec<(At, String)> {
        let Some(node) = self.take(name) else { return Vec::new() };
        let what = format!("`{name}` of {}", self.what);
        let mut texts = Vec::new();
        for item in list(node, &what, self.findings).unwrap_or_default() {
            if let Value::Text(text) = &item.value {
                texts.push((item.at, text.clone()));
            } else {
                self.mismatch(name, item, "a list of texts");
            }
        }
        texts
    }

    /// What was not taken is not known.
    pub(super) fn finish(self) {
        for (key, _) in self.items {
            self.findings.unknown_key(key, &self.what, &self.known);
        }
    }
}
