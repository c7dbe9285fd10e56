//! How a flat record says that its request ended.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::request_record::Outcome;

/// Words for success, failure and cancellation, whatever their case; `-`, `_` and spaces in them make no difference.
const WORDS: [(Outcome, &[&str]); 3] = [
    (Outcome::Successful, &["success", "successful", "succeeded", "ok", "completed", "complete", "done", "passed"]),
    (Outcome::Failed, &["error", "errored", "failed", "failure", "fail", "timeout", "timedout", "aborted", "rejected"]),
    (Outcome::Cancelled, &["cancelled", "canceled"]),
];

/// The value of `status`: a word, or an HTTP status code.
#[derive(Debug)]
pub(super) enum Status<'a> {
    Word(Cow<'a, str>),
    Code(u64),
}

impl Status<'_> {
    /// What it says; in words what it is if that is not known.
    pub(super) fn outcome(&self) -> Result<Outcome, String> {
        let code = match self {
            Self::Code(code) => *code,
            Self::Word(word) if word == "success" => return Ok(Outcome::Successful),
            Self::Word(word) => {
                let letters: String = word.chars().filter(|c| !matches!(c, '-' | '_' | ' ')).collect();
                let is = |known: &&str| known.eq_ignore_ascii_case(&letters);
                if let Some((outcome, _)) = WORDS.iter().find(|(_, words)| words.iter().any(is)) {
                    return Ok(*outcome);
                }
                letters.parse().unwrap_or(0)
            }
        };
        match code {
            200..=399 => Ok(Outcome::Successful),
            400..=599 => Ok(Outcome::Failed),
            _ => Err(match self {
                Self::Word(word) => word.clone().into_owned(),
                Self::Code(code) => code.to_string(),
            }),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Status<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct StatusVisitor;
        impl<'de> Visitor<'de> for StatusVisitor {
            type Value = Status<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a word or an HTTP status code")
            }
            fn visit_borrowed_str<E>(self, word: &'de str) -> Result<Status<'de>, E> {
                Ok(Status::Word(word.into()))
            }
            fn visit_str<E>(self, word: &str) -> Result<Status<'de>, E> {
                Ok(Status::Word(word.to_owned().into()))
            }
            fn visit_u64<E>(self, code: u64) -> Result<Status<'de>, E> {
                Ok(Status::Code(code))
            }
        }
        deserializer.deserialize_any(StatusVisitor)
    }
}

/// Whether `error` says that there was one. Null, `false`, 0 and what is empty do not, as in Python.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct IsError(pub(super) bool);

impl<'de> Deserialize<'de> for IsError {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct IsErrorVisitor;
        impl<'de> Visitor<'de> for IsErrorVisitor {
            type Value = IsError;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an error, or null")
            }
            fn visit_unit<E>(self) -> Result<IsError, E> {
                Ok(IsError(false))
            }
            fn visit_none<E>(self) -> Result<IsError, E> {
                Ok(IsError(false))
            }
            fn visit_bool<E>(self, value: bool) -> Result<IsError, E> {
                Ok(IsError(value))
            }
            fn visit_u64<E>(self, value: u64) -> Result<IsError, E> {
                Ok(IsError(value != 0))
            }
            fn visit_i64<E>(self, value: i64) -> Result<IsError, E> {
                Ok(IsError(value != 0))
            }
            fn visit_f64<E>(self, value: f64) -> Result<IsError, E> {
                Ok(IsError(value != 0.0))
            }
            fn visit_str<E>(self, text: &str) -> Result<IsError, E> {
                Ok(IsError(!text.is_empty()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<IsError, A::Error> {
                let mut found = false;
                while list.next_element::<IgnoredAny>()?.is_some() {
                    found = true;
                }
                Ok(IsError(found))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<IsError, A::Error> {
                let mut found = false;
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
                    found = true;
                }
                Ok(IsError(found))
            }
        }
        deserializer.deserialize_any(IsErrorVisitor)
    }
}
