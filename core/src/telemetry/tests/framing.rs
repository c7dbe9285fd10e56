//! What a receiver makes of a line on which anything may happen.

use super::super::decode::unstuff;
use super::*;

/// A [`Segment`] that owns its bytes.
#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Whole(Vec<u8>),
    Text(Vec<u8>),
    Overlong(usize),
}

/// What a deframer gives, and with which byte of the stream each piece is complete. The stream comes in slices of these
/// lengths, over and over.
fn deframe<const N: usize>(stream: &[u8], lengths: &[usize]) -> Vec<(usize, Piece)> {
    let mut deframer = Deframer::<N>::new();
    let mut pieces = Vec::new();
    let (mut rest, mut lengths) = (stream, lengths.iter().cycle());
    while !rest.is_empty() {
        let (mut bytes, after) = rest.split_at(rest.len().min(*lengths.next().unwrap()));
        rest = after;
        while let Some(segment) = deframer.take(&mut bytes) {
            let piece = match segment {
                Segment::Whole(bytes) => Piece::Whole(bytes.to_vec()),
                Segment::Text(bytes) => Piece::Text(bytes.to_vec()),
                Segment::Overlong(length) => Piece::Overlong(length),
            };
            pieces.push((stream.len() - rest.len() - bytes.len(), piece));
        }
        assert!(bytes.is_empty(), "all bytes are taken");
    }
    pieces
}

/// The same in the plainest way: every segment at once, out of the whole stream.
fn split<const N: usize>(stream: &[u8]) -> Vec<(usize, Piece)> {
    let is_text = |byte: &u8| matches!(*byte, 9 | 10 | 13 | 27 | 32..=126 | 128..);
    let mut pieces = Vec::new();
    let mut taken = 0;
    let mut segments = stream.split(|byte| *byte == 0).peekable();
    while let Some(segment) = segments.next() {
        let delimited = segments.peek().is_some();
        let text = segment.iter().take_while(|byte| is_text(byte)).count();
        let long_text = segment[..text].chunks_exact(N);
        let rest = &segment[long_text.len() * N..];
        pieces.extend(long_text.zip(1..).map(|(piece, count)| (taken + count * N, Piece::Text(piece.to_vec()))));
        let is_long = rest.len() < segment.len();
        taken += segment.len() + 1;
        match rest {
            [] => {}
            _ if !delimited => {}
            _ if text == segment.len() && (is_long || str::from_utf8(rest).is_ok()) => {
                pieces.push((taken, Piece::Text(rest.to_vec())));
            }
            _ if is_long || rest.len() > N => pieces.push((taken, Piece::Overlong(rest.len()))),
            _ => pieces.push((taken, Piece::Whole(rest.to_vec()))),
        }
    }
    pieces
}

/// What a receiver saw, sorted.
#[derive(Debug, Default)]
struct Seen {
    frames: Vec<Vec<u8>>,
    text: Vec<u8>,
    broken: Vec<DecodeError>,
    overlong: Vec<usize>,
}

fn receive(mut stream: &[u8]) -> Seen {
    let mut receiver = Receiver::<MAX_ENCODED>::new();
    let mut seen = Seen::default();
    while let Some(received) = receiver.take(&mut stream) {
        match received {
            // A frame has one encoding, so that the bytes tell whether it is the same one.
            Received::Frame(envelope) => {
                let mut buffer = [0; MAX_ENCODED];
                let length = encode(&envelope, &mut buffer).unwrap();
                seen.frames.push(buffer[..length].to_vec());
            }
            Received::Text(text) => seen.text.extend(text),
            Received::Broken(error) => seen.broken.push(error),
            Received::Overlong(length) => seen.overlong.push(length),
        }
    }
    seen
}

/// What may be on a line.
#[derive(Clone, Debug)]
enum Item {
    Frame(Content),
    /// What a reset leaves of a frame: up to half of it.
    Cut(Content, usize),
    /// A frame with some of its bits flipped, and a delimiter.
    Flipped(Content, Vec<(usize, u8)>),
    /// A frame after other bytes, with no delimiter between.
    Tail(Vec<u8>, Content),
    Noise(Vec<u8>),
}

impl Item {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Frame(content) => content.encoded(),
            Self::Cut(content, at) => {
                let frame = content.encoded();
                frame[..at % (frame.len() / 2)].to_vec()
            }
            Self::Flipped(content, flips) => {
                let mut frame = content.encoded();
                flip(&mut frame, flips);
                frame.push(0);
                frame
            }
            Self::Tail(before, content) => [&[0], &before[..], &content.encoded()[1..]].concat(),
            Self::Noise(bytes) => bytes.clone(),
        }
    }
}

/// Flips one bit for each of the places, an odd number of times in all so that something is flipped.
fn flip(frame: &mut [u8], flips: &[(usize, u8)]) {
    let length = frame.len();
    for (place, bit) in flips {
        frame[place % length] ^= 1 << (bit % 8);
    }
}

fn flips() -> impl Strategy<Value = Vec<(usize, u8)>> {
    vec(any::<(usize, u8)>(), 1..6).prop_filter("an odd number", |flips| flips.len() % 2 == 1)
}

/// Bytes of which many are delimiters, many are text, and some look like the start of a frame.
fn noise() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![any::<u8>(), 0..4_u8, 32..127_u8];
    vec(byte, 0..600)
}

/// How long the slices are in which a stream comes: not all of them empty.
fn lengths() -> impl Strategy<Value = Vec<usize>> {
    let length = prop_oneof![0..4_usize, 0..700_usize];
    (vec(length, 0..8), 1..300_usize).prop_map(|(lengths, last)| [&lengths[..], &[last]].concat())
}

fn item() -> impl Strategy<Value = Item> {
    let before = vec(1..=255_u8, 1..600);
    prop_oneof![
        4 => content().prop_map(Item::Frame),
        1 => (content(), any::<usize>()).prop_map(|(content, at)| Item::Cut(content, at)),
        1 => (content(), flips()).prop_map(|(content, flips)| Item::Flipped(content, flips)),
        1 => (before, content()).prop_map(|(before, content)| Item::Tail(before, content)),
        1 => noise().prop_map(Item::Noise),
        1 => "[ -~\n]{0,300}".prop_map(|text| Item::Noise(text.into())),
    ]
}

proptest! {
    #[test]
    fn a_deframer_splits_alike_however_the_stream_is_cut(stream in vec(noise(), 0..4), lengths in lengths()) {
        let stream = stream.concat();
        for lengths in [&lengths[..], &[1], &[usize::MAX]] {
            prop_assert_eq!(deframe::<1>(&stream, lengths), split::<1>(&stream));
            prop_assert_eq!(deframe::<7>(&stream, lengths), split::<7>(&stream));
            prop_assert_eq!(deframe::<64>(&stream, lengths), split::<64>(&stream));
            prop_assert_eq!(deframe::<256>(&stream, lengths), split::<256>(&stream));
        }
    }

    #[test]
    fn text_lines_split_as_well(
        lines in vec("[ -~é\n]{0,40}", 0..8), ends in vec(0..3_u8, 8), lengths in lengths(),
    ) {
        let stream: Vec<u8> = lines.iter().zip(ends).flat_map(|(line, end)| [line.as_bytes(), &[end]].concat()).collect();
        for lengths in [&lengths[..], &[1], &[usize::MAX]] {
            prop_assert_eq!(deframe::<16>(&stream, lengths), split::<16>(&stream));
        }
    }

    /// Also what is longer than a frame of this version.
    #[test]
    fn stuffing_is_undone_as_the_cobs_crate_does(payload in vec(prop_oneof![200 => 1..=255_u8, 1 => Just(0)], 1..1_200)) {
        let mut stuffed = std::vec![0; cobs::max_encoding_length(payload.len())];
        let length = cobs::encode(&payload, &mut stuffed);
        prop_assert_eq!(unstuff(&mut stuffed[..length]), Some(&payload[..]));
    }

    #[test]
    fn broken_stuffing_is_refused_as_the_cobs_crate_does(
        mut segment in vec(prop_oneof![1..=255_u8, 1..6_u8, Just(u8::MAX)], 1..1_200),
    ) {
        let mut expected = segment.clone();
        let length = cobs::decode_in_place(&mut expected).ok();
        prop_assert_eq!(unstuff(&mut segment), length.map(|length| &expected[..length]));
    }

    /// Every frame that is whole and delimited is received; nothing else is ever taken for one.
    #[test]
    fn exactly_the_frames_are_found_among_anything(items in vec(item(), 0..12)) {
        let stream: Vec<u8> = items.iter().flat_map(Item::bytes).collect();
        let whole = items.iter().filter(|item| matches!(item, Item::Frame(_)));
        prop_assert_eq!(receive(&stream).frames, whole.map(Item::bytes).collect::<Vec<_>>());
    }

    #[test]
    fn text_between_frames_comes_through_unchanged(items in vec((content(), "[ -~é-ÿ\t\n\r\x1b]{0,700}"), 0..6)) {
        let stream: Vec<u8> =
            items.iter().flat_map(|(content, text)| [&content.encoded()[..], text.as_bytes()].concat()).chain([0]).collect();
        let seen = receive(&stream);
        prop_assert_eq!(seen.text, items.iter().map(|(_, text)| text.as_bytes()).collect::<Vec<_>>().concat());
        prop_assert_eq!(seen.frames, items.iter().map(|(content, _)| content.encoded()).collect::<Vec<_>>());
        prop_assert!(seen.broken.is_empty() && seen.overlong.is_empty());
    }

    #[test]
    fn flipped_bits_never_make_another_frame(content in content(), flips in flips()) {
        let mut frame = content.encoded();
        flip(&mut frame, &flips);
        let bounded = [&frame[..], &[0]].concat();
        // What is left is the frame itself, if only its first delimiter was hit, or nothing.
        let seen = receive(&bounded).frames;
        prop_assert!(seen.iter().all(|seen| *seen == content.encoded()));
    }

    #[test]
    fn the_tail_of_an_over_long_segment_is_no_frame(before in vec(1..=255_u8, MAX_ENCODED..900), content in content()) {
        let stream = Item::Tail(before, content.clone()).bytes();
        let seen = receive(&[&stream[..], &content.encoded()].concat());
        prop_assert_eq!(seen.frames, [content.encoded()]);
    }

    #[test]
    fn a_receiver_may_attach_anywhere(first in content(), second in content(), at: usize) {
        let stream = [first.encoded(), second.encoded()].concat();
        let at = 2 + at % (first.encoded().len() - 2);
        prop_assert_eq!(receive(&stream[at..]).frames, [second.encoded()]);
    }
}

#[test]
fn each_fault_is_told_by_its_name() {
    let frame = Content::worst(6).encoded();
    let sealed = &frame[1..frame.len() - 1];
    let mut damaged = sealed.to_vec();
    damaged[2] ^= 2;
    assert_eq!(decode(&mut damaged.clone()), Err(DecodeError::Checksum));
    assert_eq!(decode(&mut [9, 1]), Err(DecodeError::Framing), "the stuffing promises more bytes");
    assert_eq!(decode(&mut [4, 1, 2, 3]), Err(DecodeError::Framing), "shorter than a checksum");
    assert_eq!(decode(&mut []), Err(DecodeError::Framing));
    assert_eq!((unstuff(&mut [0]), unstuff(&mut [1, 0])), (None, None), "a code is never a delimiter");
    assert_eq!(decode(&mut seal(&[])), Err(DecodeError::Malformed), "a checksum of nothing");
    assert_eq!(decode(&mut seal(&[VERSION, 0, 0])), Err(DecodeError::Malformed), "a header cut short");
    let seen = receive(&[&[0][..], &[1; 1000], &[0], &damaged, &[0]].concat());
    assert_eq!((seen.overlong, seen.broken), (std::vec![1000], std::vec![DecodeError::Checksum]));
}
