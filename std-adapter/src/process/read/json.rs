//! JSON as machines write it, read several times faster than by a parser that has to explain what is wrong.
//!
//! [`Json`] is a deserializer of `serde`, for the same visitors as `serde_json`'s. What it accepts, it reads as
//! `serde_json` does; strings with escapes, deep nesting and all that is wrong it refuses without a reason. Such a line is
//! read by `serde_json` again.

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::process::moments::to_f64;

/// Records are nested four deep.
const MAX_DEPTH: u8 = 16;
/// Those powers of ten that a double holds exactly.
const POWERS_OF_TEN: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];

/// Not for this parser.
#[derive(Debug)]
pub(super) struct Refused;

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not the JSON that machines write")
    }
}

impl std::error::Error for Refused {}

impl de::Error for Refused {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

/// Reads one value.
pub(super) struct Json<'de> {
    text: &'de str,
    at: usize,
    depth: u8,
}

impl<'de> Json<'de> {
    pub(super) fn new(text: &'de str) -> Self {
        Self { text, at: 0, depth: 0 }
    }

    /// Nothing but space may follow the value.
    pub(super) fn end(&mut self) -> Result<(), Refused> {
        if self.peek().is_none() { Ok(()) } else { Err(Refused) }
    }

    #[inline]
    fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }

    /// The next byte that is no space.
    #[inline]
    fn peek(&mut self) -> Option<u8> {
        loop {
            match self.byte(self.at)? {
                b' ' | b'\n' | b'\t' | b'\r' => self.at += 1,
                byte => return Some(byte),
            }
        }
    }

    #[inline]
    fn expect(&mut self, byte: u8) -> Result<(), Refused> {
        if self.peek() == Some(byte) {
            self.at += 1;
            Ok(())
        } else {
            Err(Refused)
        }
    }

    fn literal(&mut self, literal: &str) -> Result<(), Refused> {
        let end = self.at + literal.len();
        if self.text.as_bytes().get(self.at..end) == Some(literal.as_bytes()) {
            self.at = end;
            Ok(())
        } else {
            Err(Refused)
        }
    }

    /// A string without escapes.
    #[inline]
    fn string(&mut self) -> Result<&'de str, Refused> {
        self.expect(b'"')?;
        let start = self.at;
        while let Some((word, _)) = self.text.as_bytes().get(self.at..).and_then(<[u8]>::split_first_chunk) {
            let special = special_bytes(u64::from_le_bytes(*word));
            self.at += special.trailing_zeros() as usize / 8;
            if special != 0 {
                break;
            }
        }
        loop {
            match self.byte(self.at) {
                Some(b'"') => {
                    let string = self.text.get(start..self.at).ok_or(Refused)?;
                    self.at += 1;
                    return Ok(string);
                }
                None | Some(b'\\' | ..=0x1f) => return Err(Refused),
                Some(_) => self.at += 1,
            }
        }
    }

    /// Adds digits to a number while it fits, and returns how many there are.
    #[inline]
    fn digits(&mut self, number: &mut u64) -> usize {
        let start = self.at;
        while let Some(digit) = self.byte(self.at).map(|byte| byte.wrapping_sub(b'0')).filter(|digit| *digit < 10) {
            *number = number.wrapping_mul(10).wrapping_add(u64::from(digit));
            self.at += 1;
        }
        self.at - start
    }

    #[inline]
    fn number<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Refused> {
        let start = self.at;
        let negative = self.byte(self.at) == Some(b'-');
        self.at += usize::from(negative);
        let first = self.byte(self.at);
        let mut mantissa = 0;
        let whole = self.digits(&mut mantissa);
        if whole == 0 || (whole > 1 && first == Some(b'0')) {
            return Err(Refused);
        }
        let is_integer = !matches!(self.byte(self.at), Some(b'.' | b'e' | b'E'));
        if is_integer {
            // 19 digits always fit, 18 with a sign; zero with a sign is a double.
            return match (whole, negative, mantissa) {
                (20.., ..) | (19, true, _) => Err(Refused),
                (_, true, 0) => visitor.visit_f64(-0.0),
                (_, true, _) => visitor.visit_i64(-mantissa.cast_signed()),
                (_, false, _) => visitor.visit_u64(mantissa),
            };
        }
        let mut fraction = 0;
        if self.byte(self.at) == Some(b'.') {
            self.at += 1;
            fraction = self.digits(&mut mantissa);
            if fraction == 0 {
                return Err(Refused);
            }
        }
        let has_exponent = matches!(self.byte(self.at), Some(b'e' | b'E'));
        if has_exponent {
            self.at += 1;
            self.at += usize::from(matches!(self.byte(self.at), Some(b'+' | b'-')));
            if self.digits(&mut 0) == 0 {
                return Err(Refused);
            }
        }
        // Both are exact doubles, so that their quotient is rounded once (Clinger 1990).
        let value = match POWERS_OF_TEN.get(fraction) {
            Some(power) if !has_exponent && whole + fraction <= 19 && mantissa < 1 << 53 => {
                let value = to_f64(mantissa) / power;
                if negative { -value } else { value }
            }
            _ => self.text.get(start..self.at).and_then(|text| text.parse().ok()).ok_or(Refused)?,
        };
        if value.is_finite() { visitor.visit_f64(value) } else { Err(Refused) }
    }

    /// Reads a list or an object.
    fn nested<T>(&mut self, read: impl FnOnce(Members<'_, 'de>) -> Result<T, Refused>) -> Result<T, Refused> {
        if self.depth >= MAX_DEPTH {
            return Err(Refused);
        }
        self.at += 1;
        self.depth += 1;
        let value = read(Members { json: self, first: true })?;
        self.depth -= 1;
        Ok(value)
    }
}

/// Marks the quotes, backslashes and control characters among eight bytes; the first mark is always right.
#[inline]
fn special_bytes(word: u64) -> u64 {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    let below = |word: u64, limit: u64| word.wrapping_sub(ONES * limit) & !word;
    let quote = below(word ^ (ONES * u64::from(b'"')), 1);
    let backslash = below(word ^ (ONES * u64::from(b'\\')), 1);
    (quote | backslash | below(word, 0x20)) & HIGH
}

impl<'de> Deserializer<'de> for &mut Json<'de> {
    type Error = Refused;

    #[inline]
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        match self.peek().ok_or(Refused)? {
            b'"' => visitor.visit_borrowed_str(self.string()?),
            b'-' | b'0'..=b'9' => self.number(visitor),
            b'{' => self.nested(|mut members| {
                let value = visitor.visit_map(&mut members)?;
                members.end(b'}')?;
                Ok(value)
            }),
            b'[' => self.nested(|mut members| {
                let value = visitor.visit_seq(&mut members)?;
                members.end(b']')?;
                Ok(value)
            }),
            b'n' => self.literal("null").and_then(|()| visitor.visit_unit()),
            b't' => self.literal("true").and_then(|()| visitor.visit_bool(true)),
            b'f' => self.literal("false").and_then(|()| visitor.visit_bool(false)),
            _ => Err(Refused),
        }
    }

    #[inline]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        if self.peek() == Some(b'n') {
            self.literal("null")?;
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// The values of a list, or the keys and values of an object.
struct Members<'a, 'de> {
    json: &'a mut Json<'de>,
    first: bool,
}

impl Members<'_, '_> {
    /// Whether another one follows; then the comma before it has been read.
    #[inline]
    fn follows(&mut self, end: u8) -> Result<bool, Refused> {
        let next = self.json.peek();
        if next == Some(end) {
            return Ok(false);
        }
        if !std::mem::take(&mut self.first) {
            self.json.expect(b',')?;
            // A comma before the end is refused as no value.
        }
        Ok(true)
    }

    fn end(&mut self, end: u8) -> Result<(), Refused> {
        self.json.expect(end)
    }
}

impl<'de> SeqAccess<'de> for Members<'_, 'de> {
    type Error = Refused;

    #[inline]
    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Refused> {
        if self.follows(b']')? { seed.deserialize(&mut *self.json).map(Some) } else { Ok(None) }
    }
}

impl<'de> MapAccess<'de> for Members<'_, 'de> {
    type Error = Refused;

    #[inline]
    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Refused> {
        if !self.follows(b'}')? {
            return Ok(None);
        }
        let key = self.json.string()?;
        seed.deserialize(de::value::BorrowedStrDeserializer::new(key)).map(Some)
    }

    #[inline]
    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Refused> {
        self.json.expect(b':')?;
        seed.deserialize(&mut *self.json)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;
    use serde_json::Value;

    use super::*;

    fn read(text: &str) -> Option<Value> {
        let mut json = Json::new(text);
        let value = Value::deserialize(&mut json).ok()?;
        json.end().ok().map(|()| value)
    }

    fn assert_same(text: &str) -> Result<(), TestCaseError> {
        if let Some(value) = read(text) {
            let expected: Value = serde_json::from_str(text).map_err(|error| TestCaseError::fail(error.to_string()))?;
            // As text, for numbers are compared to the last bit, and negative zero is one.
            prop_assert_eq!(value.to_string(), expected.to_string());
        }
        Ok(())
    }

    proptest! {
        /// Whatever is accepted is what `serde_json` reads: of texts that are nearly JSON.
        #[test]
        fn it_reads_what_serde_json_reads(text in r#"([\[\]{},:]|"[a-zé\\"]{0,20}"|-?[0-9]{1,21}(\.[0-9]{0,20})?([eE][+-]?[0-9]{0,3})?|true|false|null| ){0,12}"#) {
            assert_same(&text)?;
        }

        #[test]
        fn numbers_are_the_same_to_the_last_bit(number in r"-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?") {
            assert_same(&number)?;
            prop_assert!(read(&number).is_some() || number.len() > 18, "{} is refused", number);
        }

        #[test]
        fn doubles_come_back(bits: u64) {
            let number = f64::from_bits(bits);
            prop_assume!(number.is_finite());
            let text = serde_json::to_string(&number).unwrap();
            prop_assert_eq!(read(&text).and_then(|value| value.as_f64()).map(f64::to_bits), Some(bits));
        }

        #[test]
        fn special_bytes_are_found(bytes: [u8; 8]) {
            let first = bytes.iter().position(|byte| matches!(byte, b'"' | b'\\' | ..=0x1f));
            let found = special_bytes(u64::from_le_bytes(bytes)).trailing_zeros() / 8;
            prop_assert_eq!(usize::try_from(found).unwrap(), first.unwrap_or(8));
        }
    }

    #[test]
    fn every_record_of_a_successful_request_is_accepted() {
        let records = include_str!("../../../../tests/data/aiperf/profile_export.jsonl");
        let accepted = records.lines().filter(|record| read(record).is_some()).count();
        // The five failed ones have a message with escapes.
        assert_eq!((records.lines().count(), accepted), (250, 245));
    }

    #[test]
    fn common_json_is_accepted_and_the_rest_refused() {
        for accepted in [
            r#"{"a": [1, -2.5e3, "ü"], "b": {}, "c": [], "d": null}"#,
            " true ",
            "0",
            "\"a string longer than a word\"",
        ] {
            assert_eq!(read(accepted), serde_json::from_str(accepted).unwrap(), "{accepted}");
        }
        let deep = "[".repeat(100) + &"]".repeat(100);
        for refused in [
            "",
            "[1,]",
            "{\"a\" 1}",
            "{,}",
            "01",
            "1.",
            "-",
            "1e",
            "nul",
            "\"\\n\"",
            "\"\t\"",
            "1e999",
            "1 2",
            "[1",
            &deep,
        ] {
            assert!(read(refused).is_none(), "{refused}");
        }
    }
}
