//! Lines that take little, nothing, or fail.

use std::vec::Vec;

use embedded_io::{ErrorKind, ErrorType};
use proptest::prelude::*;

use super::*;
use crate::telemetry::Reason;
use crate::telemetry::tests::IDENTITY;
use crate::time::Duration;

const SIZE: usize = 300;

/// A line that takes at most `chunk` bytes at once and `room` in all, and fails or is stuck after that when told to.
struct Line {
    taken: Vec<u8>,
    chunk: usize,
    room: usize,
    end: End,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    NotReady,
    Fails,
    Stuck,
}

impl ErrorType for Line {
    type Error = ErrorKind;
}

impl WriteReady for Line {
    fn write_ready(&mut self) -> Result<bool, ErrorKind> {
        Ok(self.room > 0 || self.end != End::NotReady)
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        if self.room == 0 && self.end == End::Fails {
            return Err(ErrorKind::BrokenPipe);
        }
        let takes = bytes.len().min(self.chunk).min(self.room);
        self.taken.extend(&bytes[..takes]);
        self.room -= takes;
        Ok(takes)
    }

    fn flush(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
}

fn uplink(queue: &mut TxQueue<SIZE>) -> Uplink<'_, 1, SIZE> {
    Uplink::new(queue, IDENTITY, [&[], &[]], TelemetryConfig::default())
}

/// Puts so many frames in, as far as they fit.
fn fill(uplink: &mut Uplink<'_, 1, SIZE>, frames: u8) {
    for command in 0..frames {
        let answer = Answer { command: command.into(), plan_hash: u64::MAX, reason: Reason::BUSY, detail: 7 };
        uplink.answer(Instant::MAX, answer);
    }
}

proptest! {
    #[test]
    fn a_line_gets_what_waits_in_order(
        (first, sent, more) in (0..12_u8, 0..SIZE, 0..12_u8),
        (chunk, room) in (1..99_usize, 0..SIZE),
        end in prop_oneof![Just(End::NotReady), Just(End::Fails), Just(End::Stuck)],
    ) {
        let mut queues = [TxQueue::new(), TxQueue::new()];
        let [mut drained, mut model] = queues.each_mut().map(|queue| {
            let mut uplink = uplink(queue);
            fill(&mut uplink, first);
            uplink.sent(sent);
            fill(&mut uplink, more);
            uplink
        });
        let mut waits = Vec::new();
        while !model.is_empty() {
            let length = model.transmit().len();
            waits.extend(model.transmit());
            model.sent(length);
        }
        let mut line = Line { taken: Vec::new(), chunk, room, end };
        let expected = match end {
            _ if waits.len() <= room => Ok(waits.len()),
            End::NotReady => Ok(room),
            End::Fails => Err(DrainError::Line(ErrorKind::BrokenPipe)),
            End::Stuck => Err(DrainError::Stuck),
        };
        prop_assert_eq!(drained.drain(&mut line), expected);
        prop_assert_eq!(&line.taken, &waits[..room.min(waits.len())]);
        prop_assert_eq!(drained.is_empty(), waits.len() <= room);
    }
}

#[test]
fn a_line_is_stuck_once_it_took_nothing_for_long_while_something_waited() {
    let mut queue = TxQueue::new();
    let mut uplink = uplink(&mut queue);
    let patience = TelemetryConfig::default().line_patience;
    let mut now = Instant::BOOT;
    let mut later = |uplink: &mut Uplink<'_, 1, SIZE>| {
        now = now.saturating_add(patience);
        let is_stuck = uplink.is_stuck(now);
        uplink.watch_line(now);
        (is_stuck, uplink.is_stuck(now))
    };
    assert!(!later(&mut uplink).1, "nothing waits");
    fill(&mut uplink, 3);
    assert!(later(&mut uplink).1);
    uplink.sent(1);
    assert_eq!(later(&mut uplink), (true, false), "it moved");
    assert!(later(&mut uplink).1);
    uplink.give_up();
    assert!(uplink.has_lost() && uplink.is_empty());
    assert!(!later(&mut uplink).1);
    assert!(now.since(Instant::BOOT) == Duration::from_secs(50));
}
