//! Bytes on the line.

use phasemeter_core::telemetry::{Deframer, MAX_ENCODED, Segment, decode, decode_command, encode, encode_command};

/// The stream gives the same segments however it is cut, and each is a piece of what came.
pub(super) fn deframer(data: &[u8]) {
    let [cut, data @ ..] = data else { return };
    let whole = segments(&[data]);
    let pieces: Vec<_> = data.chunks(1 + usize::from(cut % 67)).collect();
    assert_eq!(segments(&pieces), whole);
    let frames: Vec<_> = data.split(|byte| *byte == 0).collect();
    for (kind, content) in &whole {
        assert!(*kind != 0 || frames.contains(&&**content), "a segment is what stood between two delimiters");
    }
    let given: usize = whole.iter().map(|(_, content)| content.len()).sum();
    assert!(given <= data.len());
}

/// Kind and content; of what was discarded, so many bytes.
fn segments(pieces: &[&[u8]]) -> Vec<(u8, Vec<u8>)> {
    let mut deframer = Deframer::<64>::new();
    let mut found = Vec::new();
    for mut piece in pieces.iter().copied() {
        while let Some(segment) = deframer.take(&mut piece) {
            found.push(match segment {
                Segment::Whole(content) => (0, content.to_vec()),
                Segment::Text(content) => (1, content.to_vec()),
                Segment::Overlong(length) => (2, vec![1; length]),
                _ => (3, Vec::new()),
            });
        }
    }
    found
}

/// What is read can be written, and then reads as the same.
pub(super) fn frame(payload: &[u8]) {
    let mut raw = payload.to_vec();
    let _ = decode(&mut raw);
    let mut segment = sealed(payload);
    let Ok(envelope) = decode(&mut segment) else { return };
    let mut again = [0; MAX_ENCODED];
    // What was written in a longer way than need be may have been too long.
    let Ok(length) = encode(&envelope, &mut again) else { panic!("{envelope:?} cannot be written") };
    assert_eq!(decode(&mut again[1..length - 1]), Ok(envelope));
}

/// As for frames.
pub(super) fn command(payload: &[u8]) {
    let mut raw = payload.to_vec();
    let _ = decode_command(&mut raw);
    let mut segment = sealed(payload);
    let Ok(envelope) = decode_command(&mut segment) else { return };
    let mut again = [0; MAX_ENCODED];
    let Ok(length) = encode_command(&envelope, &mut again) else { panic!("{envelope:?} cannot be written") };
    assert_eq!(decode_command(&mut again[1..length - 1]), Ok(envelope));
}

/// A payload with its checksum, stuffed: what stands between two delimiters. Cut to what a frame can be.
pub(super) fn sealed(payload: &[u8]) -> Vec<u8> {
    let payload = &payload[..payload.len().min(249)];
    let body = [payload, &crc32fast::hash(payload).to_le_bytes()].concat();
    let mut stuffed = Vec::new();
    for group in body.split(|byte| *byte == 0) {
        stuffed.push(u8::try_from(group.len() + 1).expect("a frame is short"));
        stuffed.extend_from_slice(group);
    }
    stuffed
}
