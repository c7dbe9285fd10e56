//! Short text in fixed memory.

use core::fmt;

use serde::de::{self, Deserialize, Deserializer, Unexpected, Visitor};
use serde::ser::{Serialize, Serializer};

/// The longest name of a device, firmware, phase or metric, in bytes. Longer ones are cut between characters.
pub const MAX_NAME: usize = 32;

/// A name of at most [`MAX_NAME`] bytes that is copied like a number. The empty name is all zeros.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    bytes: [u8; MAX_NAME],
    length: u8,
}

impl Name {
    /// The name without a character.
    pub const EMPTY: Self = Self { bytes: [0; MAX_NAME], length: 0 };

    /// As much of `text` as fits.
    pub fn cut(text: &str) -> Self {
        let text = cut(text);
        let mut name = Self::EMPTY;
        for (to, from) in name.bytes.iter_mut().zip(text.bytes()) {
            *to = from;
        }
        name.length = u8::try_from(text.len()).unwrap_or(0);
        name
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..usize::from(self.length)).unwrap_or_default();
        // Only whole characters are ever put in.
        str::from_utf8(bytes).unwrap_or_default()
    }
}

/// At most the first [`MAX_NAME`] bytes.
#[inline(never)]
pub(crate) fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(MAX_NAME)).unwrap_or(text)
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for Name {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "{=str}", self.as_str());
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return serializer.serialize_str(self.as_str());
        }
        // The same in postcard, and a device does not look again whether its own text is text.
        serializer.serialize_bytes(self.bytes.get(..usize::from(self.length)).unwrap_or_default())
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Whole;
        impl Visitor<'_> for Whole {
            type Value = Name;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "text of at most {MAX_NAME} bytes")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Name, E> {
                let name = Name::cut(text);
                if name.as_str() == text { Ok(name) } else { Err(E::invalid_length(text.len(), &self)) }
            }

            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Name, E> {
                let text = str::from_utf8(bytes).map_err(|_| E::invalid_value(Unexpected::Bytes(bytes), &self))?;
                self.visit_str(text)
            }
        }
        if deserializer.is_human_readable() {
            deserializer.deserialize_str(Whole)
        } else {
            deserializer.deserialize_bytes(Whole)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_is_cut_between_characters() {
        let name = |text: &str| Name::cut(text);
        assert_eq!(name("flash write").as_str(), "flash write");
        assert_eq!(name(&"x".repeat(40)).as_str().len(), MAX_NAME);
        assert_eq!(name(&"ア".repeat(11)).as_str(), "ア".repeat(10));
        assert_eq!(Name::EMPTY, name(""));
    }

    #[test]
    fn postcard_sees_text_and_refuses_what_is_too_long() {
        let mut bytes = [0; 64];
        let bytes = postcard::to_slice(&Name::cut("boot"), &mut bytes).unwrap();
        assert_eq!(bytes, b"\x04boot");
        assert_eq!(postcard::from_bytes(bytes), Ok(Name::cut("boot")));
        let mut long = [b'x'; 41];
        long[0] = 40;
        assert!(postcard::from_bytes::<Name>(&long).is_err());
    }
}
