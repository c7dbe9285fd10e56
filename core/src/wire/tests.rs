//! The same bytes as postcard's, and every number has one spelling.

use heapless::{String, Vec};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::*;

type Text = String<40>;

/// A field of every type that messages have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Message {
    flag: bool,
    bytes: (u8, i8),
    numbers: (u16, u32, u64, u128),
    signed: (i16, i32, i64),
    text: Text,
    list: Vec<u64, 9>,
    choice: Choice,
    option: Option<Newtype>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Newtype(u32);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Choice {
    Nothing,
    One(Newtype),
    Fields { first: u16, second: Text },
}

fn text() -> impl Strategy<Value = Text> {
    "\\PC{0,10}".prop_map(|text| Text::try_from(&*text).unwrap())
}

fn message() -> impl Strategy<Value = Message> {
    let choice = prop_oneof![
        Just(Choice::Nothing),
        any::<u32>().prop_map(|number| Choice::One(Newtype(number))),
        (any::<u16>(), text()).prop_map(|(first, second)| Choice::Fields { first, second }),
    ];
    let wide = prop_oneof![any::<u128>(), any::<u64>().prop_map(u128::from), any::<u8>().prop_map(u128::from)];
    let numbers = (any::<(u16, u32, u64)>(), wide).prop_map(|((a, b, c), d)| (a, b, c, d));
    let list = proptest::collection::vec(any::<u64>(), 0..10);
    let plain = any::<(bool, (u8, i8), (i16, i32, i64), Option<u32>)>();
    (plain, text(), list, numbers, choice).prop_map(|((flag, bytes, signed, option), text, list, numbers, choice)| {
        Message {
            flag,
            bytes,
            numbers,
            signed,
            text,
            list: list.into_iter().collect(),
            choice,
            option: option.map(Newtype),
        }
    })
}

proptest! {
    #[test]
    fn postcard_writes_the_same(message in message(), short in 1_usize..9) {
        let mut expected = [0; 8192];
        let expected = postcard::to_slice(&message, &mut expected).unwrap();
        let mut buffer = std::vec![0; expected.len()];
        prop_assert_eq!(write(&message, &mut buffer).ok(), Some(expected.len()));
        prop_assert_eq!(&*buffer, &*expected);
        let free = expected.len().saturating_sub(short);
        prop_assert!(write(&message, &mut buffer[..free]).is_err());
    }

    #[test]
    fn what_postcard_writes_is_read(
        (byte, short, middle, long) in any::<(u8, u16, u32, u64)>(),
        option in any::<Option<u64>>(),
        text in text(),
    ) {
        let mut bytes = [0; 1024];
        let bytes = &*postcard::to_slice(&(byte, short, middle, long, option, &text), &mut bytes).unwrap();
        let read = |bytes| {
            let mut reader = Reader::new(bytes);
            let numbers = (reader.byte()?, reader.u16()?, reader.u32()?, reader.u64()?);
            let option = if reader.flag()? { Some(reader.u64()?) } else { None };
            Some((numbers, option, reader.text()?, reader.is_empty()))
        };
        prop_assert_eq!(read(bytes), Some(((byte, short, middle, long), option, text.as_str(), true)));
        prop_assert_eq!(read(&bytes[..bytes.len() - 1]), None);
    }

    #[test]
    fn varints_have_one_spelling(value in any::<u64>(), difference in any::<i64>()) {
        let mut out = [0; 10];
        let mut writer = Writer::new(&mut out);
        writer.varint(value);
        let written = 10 - writer.room();
        prop_assert_eq!(written, varint_len(value));
        prop_assert_eq!(read_varint(&mut &out[..written]), Some(value));
        prop_assert_eq!(read_varint(&mut &out[..written - 1]), None);
        prop_assert_eq!(unzigzag(zigzag(difference)), difference);
    }
}

#[test]
fn long_spellings_and_lost_bits_are_refused() {
    assert_eq!(read_varint(&mut &[0x80, 0x00][..]), None);
    assert_eq!(read_varint(&mut &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02][..]), None);
    assert_eq!(read_varint(&mut &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01][..]), Some(u64::MAX));
}

#[test]
fn what_no_message_has_is_refused() {
    assert!(write(&1.5, &mut [0; 20]).is_err());
    assert!(write(&'x', &mut [0; 20]).is_err());
}
