//! Anything that serde can take apart to bytes.

use core::fmt;

use serde::ser::{self, Impossible, Serialize, Serializer};

use super::zigzag;

/// What was to be written does not fit, or has a type that no message has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Overlong;

impl fmt::Display for Overlong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it does not fit")
    }
}

impl core::error::Error for Overlong {}

impl ser::Error for Overlong {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

/// Anything that serde can take apart. Behind a pointer, what is done with a message takes code once, and not for each
/// type of message.
pub(crate) trait Message {
    /// Writes it behind what was written before.
    fn write(&self, writer: &mut Writer<'_>) -> Result<(), Overlong>;
}

impl<T: Serialize> Message for T {
    fn write(&self, writer: &mut Writer<'_>) -> Result<(), Overlong> {
        self.serialize(writer)
    }
}

/// Writes `message` to the start of `buffer`, and tells how many bytes it takes.
///
/// # Errors
/// [`Overlong`] if it does not fit; `buffer` is then partly overwritten.
pub(crate) fn write(message: &dyn Message, buffer: &mut [u8]) -> Result<usize, Overlong> {
    let mut writer = Writer::new(buffer);
    message.write(&mut writer)?;
    if writer.used == Writer::OVERLONG { Err(Overlong) } else { Ok(writer.used) }
}

/// Has serde take a slice for bytes, which are written in one piece, and not for a list of numbers.
pub(crate) fn as_bytes<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(bytes)
}

/// Writes to the start of a buffer. What does not fit is lost, and noted: one check at the end takes less code than
/// one at each field.
pub(crate) struct Writer<'a> {
    buffer: &'a mut [u8],
    /// How many bytes were written, or [`Writer::OVERLONG`].
    used: usize,
}

impl<'a> Writer<'a> {
    /// More than any buffer has: something did not fit.
    const OVERLONG: usize = usize::MAX;

    pub(crate) const fn new(buffer: &'a mut [u8]) -> Self {
        Self { buffer, used: 0 }
    }

    /// How many bytes still fit.
    pub(crate) const fn room(&self) -> usize {
        self.buffer.len().saturating_sub(self.used)
    }

    #[inline(never)]
    pub(crate) fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.byte(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.byte(value.to_le_bytes()[0]);
    }

    /// A number of at most 32 bits, as most are.
    #[inline(never)]
    fn short_varint(&mut self, value: u32) {
        self.varint(value.into());
    }

    /// Most of these numbers are short, or soon are.
    #[inline(never)]
    fn wide_varint(&mut self, mut value: u128) {
        loop {
            if let Ok(short) = u64::try_from(value) {
                return self.varint(short);
            }
            self.byte(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
    }

    fn byte(&mut self, byte: u8) {
        match self.buffer.get_mut(self.used) {
            Some(free) => {
                *free = byte;
                self.used += 1;
            }
            None => self.used = Self::OVERLONG,
        }
    }

    /// A field of its own, where a call takes less code than what it does.
    #[inline(never)]
    fn single(&mut self, byte: u8) {
        self.byte(byte);
    }

    #[inline(never)]
    fn bytes(&mut self, bytes: &[u8]) {
        self.varint(bytes.len() as u64);
        match self.buffer.get_mut(self.used..).and_then(|free| free.get_mut(..bytes.len())) {
            Some(free) => {
                free.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
                self.used += bytes.len();
            }
            None => self.used = Self::OVERLONG,
        }
    }
}

type Written = Result<(), Overlong>;

impl Serializer for &mut Writer<'_> {
    type Ok = ();
    type Error = Overlong;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Impossible<(), Overlong>;
    type SerializeMap = Impossible<(), Overlong>;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    fn serialize_bool(self, value: bool) -> Written {
        self.serialize_u8(value.into())
    }

    fn serialize_i8(self, value: i8) -> Written {
        self.serialize_u8(value.cast_unsigned())
    }

    fn serialize_i16(self, value: i16) -> Written {
        self.serialize_i64(value.into())
    }

    fn serialize_i32(self, value: i32) -> Written {
        self.serialize_i64(value.into())
    }

    fn serialize_i64(self, value: i64) -> Written {
        self.serialize_u64(zigzag(value))
    }

    fn serialize_u8(self, value: u8) -> Written {
        self.single(value);
        Ok(())
    }

    fn serialize_u16(self, value: u16) -> Written {
        self.serialize_u32(value.into())
    }

    fn serialize_u32(self, value: u32) -> Written {
        self.short_varint(value);
        Ok(())
    }

    fn serialize_u64(self, value: u64) -> Written {
        self.varint(value);
        Ok(())
    }

    fn serialize_u128(self, value: u128) -> Written {
        self.wide_varint(value);
        Ok(())
    }

    fn serialize_f32(self, _: f32) -> Written {
        Err(Overlong)
    }

    fn serialize_f64(self, _: f64) -> Written {
        Err(Overlong)
    }

    fn serialize_char(self, _: char) -> Written {
        Err(Overlong)
    }

    fn serialize_str(self, text: &str) -> Written {
        self.serialize_bytes(text.as_bytes())
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Written {
        self.bytes(bytes);
        Ok(())
    }

    fn serialize_none(self) -> Written {
        self.serialize_u8(0)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Written {
        self.single(1);
        value.serialize(self)
    }

    fn serialize_unit(self) -> Written {
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Written {
        Ok(())
    }

    fn serialize_unit_variant(self, _: &'static str, index: u32, _: &'static str) -> Written {
        self.serialize_u32(index)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Written {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        value: &T,
    ) -> Written {
        self.short_varint(index);
        value.serialize(self)
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<Self, Overlong> {
        self.varint(length.ok_or(Overlong)? as u64);
        Ok(self)
    }

    fn serialize_tuple(self, _: usize) -> Result<Self, Overlong> {
        Ok(self)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self, Overlong> {
        Ok(self)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Overlong> {
        Err(Overlong)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, Overlong> {
        Err(Overlong)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, Overlong> {
        Ok(self)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, Overlong> {
        self.short_varint(index);
        Ok(self)
    }

    fn collect_str<T: fmt::Display + ?Sized>(self, _: &T) -> Written {
        Err(Overlong)
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

impl ser::SerializeSeq for &mut Writer<'_> {
    type Ok = ();
    type Error = Overlong;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Written {
        value.serialize(&mut **self)
    }

    fn end(self) -> Written {
        Ok(())
    }
}

impl ser::SerializeTuple for &mut Writer<'_> {
    type Ok = ();
    type Error = Overlong;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Written {
        value.serialize(&mut **self)
    }

    fn end(self) -> Written {
        Ok(())
    }
}

impl ser::SerializeTupleStruct for &mut Writer<'_> {
    type Ok = ();
    type Error = Overlong;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Written {
        value.serialize(&mut **self)
    }

    fn end(self) -> Written {
        Ok(())
    }
}

impl ser::SerializeStruct for &mut Writer<'_> {
    type Ok = ();
    type Error = Overlong;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, _: &'static str, value: &T) -> Written {
        value.serialize(&mut **self)
    }

    fn end(self) -> Written {
        Ok(())
    }
}

impl ser::SerializeStructVariant for &mut Writer<'_> {
    type Ok = ();
    type Error = Overlong;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, _: &'static str, value: &T) -> Written {
        value.serialize(&mut **self)
    }

    fn end(self) -> Written {
        Ok(())
    }
}
