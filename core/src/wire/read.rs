//! Bytes to anything that serde can put together.

use core::fmt;

use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, EnumAccess, SeqAccess, VariantAccess, Visitor};

use super::unzigzag;

/// The bytes are cut short, say something impossible, or are of a type that no message has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it is cut short or makes no sense")
    }
}

impl core::error::Error for Malformed {}

impl de::Error for Malformed {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

/// Reads a value from the start of `bytes`, and gives what is left of them.
///
/// # Errors
/// [`Malformed`] if the bytes do not begin with such a value.
pub(crate) fn read<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<(T, &'a [u8]), Malformed> {
    let mut reader = Reader(bytes);
    let value = T::deserialize(&mut reader)?;
    Ok((value, reader.0))
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    #[inline(never)]
    fn varint(&mut self) -> Result<u64, Malformed> {
        read_varint(&mut self.0).ok_or(Malformed)
    }

    /// A number of at most 32 bits, as most are. It comes back in registers.
    #[inline(never)]
    fn short_varint(&mut self) -> Result<u32, Malformed> {
        self.varint()?.try_into().map_err(|_| Malformed)
    }

    #[inline(never)]
    fn byte(&mut self) -> Result<u8, Malformed> {
        self.0.split_off_first().copied().ok_or(Malformed)
    }

    #[inline(never)]
    fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let length = usize::try_from(self.varint()?).map_err(|_| Malformed)?;
        self.0.split_off(..length).ok_or(Malformed)
    }
}

type Outcome<'a, V> = Result<<V as Visitor<'a>>::Value, Malformed>;

impl<'a> Deserializer<'a> for &mut Reader<'a> {
    type Error = Malformed;

    fn deserialize_any<V: Visitor<'a>>(self, _: V) -> Outcome<'a, V> {
        Err(Malformed)
    }

    fn deserialize_bool<V: Visitor<'a>>(self, visitor: V) -> Outcome<'a, V> {
        match self.byte()? {
            0 => visitor.visit_bool(false),
            1 => visitor.visit_bool(true),
            _ => Err(Malformed),
        }
    }

    fn deserialize_u8<V: Visitor<'a>>(self, visitor: V) -> Outcome<'a, V> {
        visitor.visit_u8(self.byte()?)
    }

    fn deserialize_i8<V: Visitor<'a>>(self, visitor: V) -> Outcome<'a, V> {
        visitor.visit_i8(self.byte()?.cast_signed())
    }

    fn deserialize_u16<V: Visitor<'a>>(self, visitor: V) -> Outcome<'a, V> {
        visitor.visit_u32(self.short_varint()?)
    }

    fn deserialize_u32<V: Visitor<'a>>(self, visitor: V) -> Outcome<'a, V> {
        visitor.visit_u32(self.short_varint()?)
    }

    fn deserialize_u64<V: Visitor<'a>>(self, visitor: V) -> Outcome<'a, V> {
        visitor.visit_u64(self.varint()?)
    }

    fn deserialize_i16<V: Visitor<'a>>(self, visitor: V) -> Outcome<'a, V> {
        self.deserialize_i64(visitor)
    }

    fn deserialize_i32<V: Visitor<'a>>(self, visitor: V) -> Outcome<'a, V> {
        self.deserialize_i64(visitor)
    }

    fn deserialize_i64<V: Visitor<'a>>(self, visitor: V) -> Outcome<'a, V> {
        visitor.visit_i64(unzigzag(self.varint()?))
    }

    fn deserialize_f32<V: Visitor<'a>>(self, _: V) -> Outcome<'a, V> {
        Err(Malformed)
    }

    fn deserialize_f64<V: Visitor<'a>>(self, _: V) -> Outcome<'a, V> {
        Err(Malformed)
    }

    fn deserialize_char<V: Visitor<'a>>(self, _: V) -> Outcome<'a, V> {
        Err(Malformed)
    }

    fn deserialize_str<V: Visitor<'a>>(self, visitor: V) -> Outcome<'a, V> {
        visitor.visit_borrowed_str(str::from_utf8(self.bytes()?).map_err(|_| Malformed)?)
    }

    fn deserialize_string<V: Visitor<'a>>(self, visitor: V) -> Outcome<'a, V> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'a>>(self, visitor: V) -> Outcome<'a, V> {
        visitor.visit_borrowed_bytes(self.bytes()?)
    }

    fn deserialize_byte_buf<V: Visitor<'a>>(self, visitor: V) -> Outcome<'a, V> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'a>>(self, visitor: V) -> Outcome<'a, V> {
        match self.byte()? {
            0 => visitor.visit_none(),
            1 => visitor.visit_some(self),
            _ => Err(Malformed),
        }
    }

    fn deserialize_unit<V: Visitor<'a>>(self, visitor: V) -> Outcome<'a, V> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'a>>(self, _: &'static str, visitor: V) -> Outcome<'a, V> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'a>>(self, _: &'static str, visitor: V) -> Outcome<'a, V> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'a>>(self, visitor: V) -> Outcome<'a, V> {
        let left = usize::try_from(self.varint()?).map_err(|_| Malformed)?;
        visitor.visit_seq(Fields { reader: self, left })
    }

    fn deserialize_tuple<V: Visitor<'a>>(self, left: usize, visitor: V) -> Outcome<'a, V> {
        visitor.visit_seq(Fields { reader: self, left })
    }

    fn deserialize_tuple_struct<V: Visitor<'a>>(self, _: &'static str, left: usize, visitor: V) -> Outcome<'a, V> {
        visitor.visit_seq(Fields { reader: self, left })
    }

    fn deserialize_map<V: Visitor<'a>>(self, _: V) -> Outcome<'a, V> {
        Err(Malformed)
    }

    fn deserialize_struct<V: Visitor<'a>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Outcome<'a, V> {
        visitor.visit_seq(Fields { reader: self, left: fields.len() })
    }

    fn deserialize_enum<V: Visitor<'a>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Outcome<'a, V> {
        visitor.visit_enum(self)
    }

    fn deserialize_identifier<V: Visitor<'a>>(self, visitor: V) -> Outcome<'a, V> {
        self.deserialize_u32(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'a>>(self, _: V) -> Outcome<'a, V> {
        Err(Malformed)
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

/// The fields of a struct, or the elements of a list.
struct Fields<'r, 'a> {
    reader: &'r mut Reader<'a>,
    left: usize,
}

impl<'a> SeqAccess<'a> for Fields<'_, 'a> {
    type Error = Malformed;

    fn next_element_seed<T: DeserializeSeed<'a>>(&mut self, seed: T) -> Result<Option<T::Value>, Malformed> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        seed.deserialize(&mut *self.reader).map(Some)
    }
}

impl<'a> EnumAccess<'a> for &mut Reader<'a> {
    type Error = Malformed;
    type Variant = Self;

    fn variant_seed<T: DeserializeSeed<'a>>(self, seed: T) -> Result<(T::Value, Self), Malformed> {
        Ok((seed.deserialize(&mut *self)?, self))
    }
}

impl<'a> VariantAccess<'a> for &mut Reader<'a> {
    type Error = Malformed;

    fn unit_variant(self) -> Result<(), Malformed> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'a>>(self, seed: T) -> Result<T::Value, Malformed> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'a>>(self, length: usize, visitor: V) -> Outcome<'a, V> {
        self.deserialize_tuple(length, visitor)
    }

    fn struct_variant<V: Visitor<'a>>(self, fields: &'static [&'static str], visitor: V) -> Outcome<'a, V> {
        self.deserialize_tuple(fields.len(), visitor)
    }
}

/// Reads a number from the start of `bytes` and moves `bytes` behind it; `None` when it is cut short or broken.
pub(crate) fn read_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.split_off_first()?;
        let group = u64::from(byte & 0x7f);
        let shifted = group << shift;
        // Neither bits beyond the 64th nor a superfluous last byte: every number has one spelling.
        if shifted >> shift != group || (byte == 0 && shift > 0) {
            return None;
        }
        value |= shifted;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}
