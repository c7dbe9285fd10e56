//! The bytes on the line are a promise: the files in `golden/` are what devices in the field send.
//!
//! `PHASEMETER_WRITE_GOLDEN=1` makes the files that are missing. It never changes one.

#[path = "golden/independent.rs"]
mod independent;
#[path = "golden/streams.rs"]
mod streams;
#[path = "golden/text.rs"]
mod text;
#[path = "golden/values.rs"]
mod values;

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::PathBuf;

use phasemeter_core::telemetry::{
    COMMAND_VERSION, CommandEnvelope, Envelope, Frame, MAX_ENCODED, Received, Receiver, decode, decode_command, encode,
    encode_command,
};

use values::{BUCKETS, FIRST_COMMAND, TEXTS, commands, frames, histogram};

fn encoded(envelope: &Envelope<'_>) -> Vec<u8> {
    let mut buffer = [0; MAX_ENCODED];
    let length = encode(envelope, &mut buffer).unwrap();
    buffer[..length].to_vec()
}

/// What a host sends.
fn commands_encoded() -> Vec<u8> {
    let numbered = (FIRST_COMMAND..).zip(commands());
    let encoded = numbered.map(|(id, command)| {
        let mut buffer = [0; MAX_ENCODED];
        let envelope = CommandEnvelope { version: COMMAND_VERSION, id, command };
        let length = encode_command(&envelope, &mut buffer).unwrap();
        buffer[..length].to_vec()
    });
    encoded.collect::<Vec<_>>().concat()
}

/// One of each frame, numbered as a device does, with text in between.
fn session() -> Vec<u8> {
    let mut bytes = TEXTS[0].as_bytes().to_vec();
    for (sequence, (name, envelope)) in (0..).zip(frames()) {
        bytes.extend(encoded(&Envelope { sequence, ..envelope }));
        if name == "phase.bin" {
            bytes.extend(TEXTS[1].as_bytes());
        }
    }
    bytes.extend(TEXTS[2].as_bytes());
    bytes.push(0);
    bytes
}

/// Every golden file that this version makes again: its name and its bytes.
fn files() -> Vec<(&'static str, Vec<u8>)> {
    let frames = frames().into_iter().map(|(name, envelope)| (name, encoded(&envelope)));
    frames.chain([("session.bin", session()), ("commands.bin", commands_encoded())]).collect()
}

fn path(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "golden", "v1", name].iter().collect()
}

fn golden(name: &str) -> Vec<u8> {
    fs::read(path(name)).unwrap_or_else(|error| panic!("{}: {error}", path(name).display()))
}

/// Writes a file that is missing, if that is asked for.
fn may_write(name: &str, made: impl FnOnce() -> Vec<u8>) {
    if std::env::var("PHASEMETER_WRITE_GOLDEN").is_ok_and(|value| value == "1") {
        match File::create_new(path(name)) {
            Ok(mut file) => file.write_all(&made()).unwrap(),
            Err(error) => assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{name}"),
        }
    }
}

#[test]
fn encoding_yields_the_golden_bytes() {
    for (name, made) in files() {
        may_write(name, || made.clone());
        assert!(golden(name) == made, "{name} differs: {made:02x?}");
    }
}

#[test]
fn golden_bytes_decode_to_the_values() {
    for (name, envelope) in frames() {
        let mut bytes = golden(name);
        let inner = 1..bytes.len() - 1;
        assert_eq!(decode(&mut bytes[inner]), Ok(envelope), "{name}");
    }
}

#[test]
fn golden_commands_decode_to_the_values() {
    let mut bytes = golden("commands.bin");
    let segments = bytes.split_mut(|byte| *byte == 0).filter(|segment| !segment.is_empty());
    let decoded: Vec<_> = segments.map(|segment| decode_command(segment).unwrap()).collect();
    let expected = (FIRST_COMMAND..).zip(commands());
    let expected = expected.map(|(id, command)| CommandEnvelope { version: COMMAND_VERSION, id, command });
    assert!(decoded.into_iter().eq(expected));
}

#[test]
fn the_golden_session_is_frames_and_text() {
    let mut receiver = Receiver::<MAX_ENCODED>::new();
    let (mut sequences, mut texts) = (Vec::new(), String::new());
    let (mut sum, mut totals) = (0, None);
    let session = golden("session.bin");
    let mut bytes = &session[..];
    while let Some(received) = receiver.take(&mut bytes) {
        match received {
            Received::Frame(envelope) => {
                sequences.push(envelope.sequence);
                match envelope.frame {
                    Frame::Buckets(buckets) => buckets.for_each(|_, count| sum += count).unwrap(),
                    Frame::Totals(frame) => totals = Some(frame.totals),
                    _ => {}
                }
            }
            Received::Text(text) => texts.push_str(std::str::from_utf8(text).unwrap()),
            other => panic!("{other:?}"),
        }
    }
    assert!(sequences.into_iter().eq(0..11));
    assert_eq!(texts, TEXTS.concat());
    let totals = totals.unwrap();
    assert_eq!(totals.zero + sum, totals.count, "the snapshot is whole");
    assert!(histogram().buckets().map(|bucket| (bucket.index, bucket.count)).eq(BUCKETS[2..].iter().copied()));
}
