//! The transmit queue against a queue without bounds.

use std::collections::VecDeque;

use embedded_io::{ErrorKind, ErrorType, Write, WriteReady};

use super::stream::{IDENTITY, open_loop};
use super::*;
use crate::plan::RunPlan;
use crate::runner::{self, Outcome, Runner};

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

#[derive(Clone, Debug)]
enum Step {
    Push(Content),
    Consume(usize),
    Drain { chunk: usize, room: usize, end: End },
}

fn step() -> impl Strategy<Value = Step> {
    let end = prop_oneof![Just(End::NotReady), Just(End::Fails), Just(End::Stuck)];
    prop_oneof![
        3 => content().prop_map(Step::Push),
        1 => (0..SIZE + 9).prop_map(Step::Consume),
        2 => (1..99_usize, 0..SIZE, end).prop_map(|(chunk, room, end)| Step::Drain { chunk, room, end }),
    ]
}

proptest! {
    #[test]
    fn the_queue_is_a_queue(steps in vec(step(), 0..30)) {
        let mut queue = TxQueue::<SIZE>::new();
        let mut model = VecDeque::new();
        for step in steps {
            match step {
                Step::Push(content) => {
                    let frame = content.encoded();
                    let fits = model.len() + frame.len() <= SIZE;
                    prop_assert_eq!(queue.push(&content.envelope()), fits);
                    if fits {
                        model.extend(frame);
                    }
                }
                Step::Consume(sent) => {
                    queue.consume(sent);
                    model.drain(..sent.min(model.len()));
                }
                Step::Drain { chunk, room, end } => {
                    let mut line = Line { taken: Vec::new(), chunk, room, end };
                    let drained = queue.drain(&mut line);
                    let took = line.taken.len();
                    let expected = match end {
                        _ if model.len() <= room => Ok(model.len()),
                        End::NotReady => Ok(room),
                        End::Fails => Err(DrainError::Line(ErrorKind::BrokenPipe)),
                        End::Stuck => Err(DrainError::Stuck),
                    };
                    prop_assert_eq!(drained, expected);
                    prop_assert_eq!(took, room.min(model.len()));
                    prop_assert!(line.taken.into_iter().eq(model.drain(..took)));
                }
            }
            prop_assert_eq!((queue.len(), queue.free()), (model.len(), SIZE - model.len()));
            prop_assert_eq!(queue.is_empty(), model.is_empty());
            let front = queue.front();
            prop_assert_eq!(front.is_empty(), model.is_empty());
            prop_assert!(front.iter().eq(model.iter().take(front.len())));
        }
    }
}

/// The load waits for no more than one metric's part of a snapshot.
#[test]
fn a_snapshot_takes_a_poll_for_each_metric() {
    let mut plan = RunPlan::<1>::new(0);
    plan.push(open_loop(1_000, 1_000)).unwrap();
    let mut runner = Runner::<64, 1>::new(plan, ()).unwrap();
    let mut reporter = Reporter::new(IDENTITY, ReporterConfig::default());
    let mut queue = TxQueue::<4096>::new();
    let mut now = Nanos::ZERO;
    let mut totals = Vec::new();
    for _ in 0..30 {
        if let runner::Step::Send(mut ticket) = runner.poll(now, true) {
            for token in [5, 9] {
                ticket.mark_token(now.saturating_add(Nanos::new(token)));
            }
            runner.finish(&ticket, now.saturating_add(Nanos::new(20)), Outcome::Success).unwrap();
        }
        queue.consume(queue.len());
        reporter.poll(now, &mut runner, &mut queue);
        let frames = queue.front().split(|byte| *byte == 0).filter(|frame| !frame.is_empty());
        let is_totals = |frame: &&[u8]| matches!(decode(&mut frame.to_vec()).unwrap().frame, Frame::Totals(_));
        totals.push(frames.filter(is_totals).count());
        now = now.saturating_add(Nanos::from_millis(1));
    }
    assert_eq!((totals.iter().max(), totals.iter().sum()), (Some(&1), METRICS), "{totals:?}");
}
