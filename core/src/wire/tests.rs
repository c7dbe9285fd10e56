//! The same bytes as postcard's, in both directions, and every number has one spelling.

use core::fmt;

use heapless::{String, Vec};
use proptest::collection::vec;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::read::Malformed;
use super::*;

type Text = String<40>;

/// A field of every type that messages have. `W` is the widest number: those that are read have no `u128`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Message<W> {
    flag: bool,
    bytes: (u8, i8),
    numbers: (u16, u32, u64, W),
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

fn message<W: fmt::Debug + From<u64>>(wide: impl Strategy<Value = W>) -> impl Strategy<Value = Message<W>> {
    let choice = prop_oneof![
        Just(Choice::Nothing),
        any::<u32>().prop_map(|number| Choice::One(Newtype(number))),
        (any::<u16>(), text()).prop_map(|(first, second)| Choice::Fields { first, second }),
    ];
    let wide = prop_oneof![wide, any::<u64>().prop_map(W::from), any::<u8>().prop_map(|byte| W::from(byte.into()))];
    let numbers = (any::<(u16, u32, u64)>(), wide).prop_map(|((a, b, c), d)| (a, b, c, d));
    let list = vec(any::<u64>(), 0..10);
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
    fn postcard_writes_the_same(message in message(any::<u128>()), short in 1_usize..9) {
        let mut expected = [0; 8192];
        let expected = postcard::to_slice(&message, &mut expected).unwrap();
        let mut buffer = std::vec![0; expected.len()];
        prop_assert_eq!(write(&message, &mut buffer).ok(), Some(expected.len()));
        prop_assert_eq!(&*buffer, &*expected);
        let free = expected.len().saturating_sub(short);
        prop_assert!(write(&message, &mut buffer[..free]).is_err());
    }

    #[test]
    fn what_was_written_is_read(message in message(any::<u64>()), more in any::<[u8; 3]>()) {
        let mut bytes = [0; 1024];
        let length = write(&message, &mut bytes).unwrap();
        bytes[length..length + 3].copy_from_slice(&more);
        prop_assert_eq!(read(&bytes[..length + 3]), Ok((message, &more[..])));
        for short in 1..length {
            prop_assert_eq!(read::<Message<u64>>(&bytes[..length - short]), Err(Malformed));
        }
    }

    /// Of arbitrary bytes exactly those are read that postcard reads and would have written.
    #[test]
    fn postcard_reads_the_same(message in message(any::<u64>()), changes in vec(any::<(usize, u8)>(), 0..4)) {
        let mut bytes = [0; 1024];
        let bytes = postcard::to_slice(&message, &mut bytes).unwrap();
        for (place, byte) in changes {
            bytes[place % bytes.len()] = byte;
        }
        let expected = postcard::take_from_bytes::<Message<u64>>(bytes).ok().filter(|(message, rest)| {
            let mut again = [0; 1024];
            let again = postcard::to_slice(message, &mut again).unwrap();
            *again == bytes[..bytes.len() - rest.len()]
        });
        prop_assert_eq!(read(bytes).ok(), expected);
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
    assert_eq!(read::<f64>(&[0; 20]), Err(Malformed));
    assert_eq!(read::<char>(&[1; 20]), Err(Malformed));
    assert_eq!(read::<u128>(&[0; 20]), Err(Malformed));
}
