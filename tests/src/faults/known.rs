//! Devices whose samples are known, value by value.

use std::collections::HashSet;

use phasemeter_core::telemetry::{Frame, MAX_ENCODED, Received, Receiver};

use crate::random::Random;
use crate::{Device, Direct, MonitorDevice, frames};

/// What a boot sent, frame by frame, and what it had measured.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    /// The device's name.
    pub(super) id: &'static str,
    /// Each with the delimiters at both of its ends.
    pub(super) frames: Vec<Vec<u8>>,
    /// Its phases.
    pub(super) phases: Vec<Direct>,
    /// It measures itself, and need not finish.
    pub(super) is_monitor: bool,
    kinds: Vec<Kind>,
}

impl Sent {
    /// A boot that sent these bytes.
    pub(super) fn new(id: &'static str, bytes: &[u8], phases: Vec<Direct>, is_monitor: bool) -> Self {
        let (mut receiver, mut rest) = (Receiver::<MAX_ENCODED>::new(), bytes);
        let mut kinds = Vec::new();
        while let Some(received) = receiver.take(&mut rest) {
            let Received::Frame(envelope) = received else { panic!("{received:?}") };
            kinds.push(match envelope.frame {
                Frame::Metrics(_) => Kind::Names,
                Frame::Finished(_) => Kind::End,
                _ => Kind::Run,
            });
        }
        Self { id, frames: frames(bytes), phases, is_monitor, kinds }
    }

    /// The same run as if these had been its frames.
    pub(super) fn with_frames(self, frames: Vec<Vec<u8>>) -> Self {
        Self { frames, ..self }
    }

    /// A load generator; its boots are told apart by their ids.
    pub(super) fn load(id: &'static str, boot_id: u64, line_bytes: usize) -> Self {
        let mut bytes = Vec::new();
        let device = Device { id, boot_id, seed: boot_id, requests: 25 + boot_id % 20, line_bytes };
        let phases = device.run(|piece| bytes.extend_from_slice(piece)).into();
        Self::new(id, &bytes, phases, false)
    }

    /// A firmware that measures itself.
    pub(super) fn monitor(id: &'static str, boot_id: u64) -> Self {
        let phases = &["boot", "idle", "flash write"];
        let (seed, samples, line_bytes) = (boot_id, 4 + boot_id % 20, 500);
        let device = MonitorDevice { id, boot_id, seed, phases, samples, is_endless: false, line_bytes };
        let mut bytes = Vec::new();
        let phases = device.run(|piece| {
            bytes.extend_from_slice(piece);
            true
        });
        Self::new(id, &bytes, phases, true)
    }

    /// Everything that was sent.
    pub(super) fn bytes(&self) -> Vec<u8> {
        self.frames.concat()
    }

    /// Whether its end is among what came over a line. A monitor has none to tell.
    pub(super) fn has_end_in(&self, line: &[u8]) -> bool {
        self.is_monitor || self.is_any_in(line, |kind| kind == Kind::End)
    }

    /// Whether anything of it that shows a run is among what came over a line.
    pub(super) fn is_seen_in(&self, line: &[u8]) -> bool {
        self.is_any_in(line, |kind| kind != Kind::Names)
    }

    fn is_any_in(&self, line: &[u8], is_meant: fn(Kind) -> bool) -> bool {
        let came: HashSet<_> = line.split(|byte| *byte == 0).collect();
        let mut meant = self.frames.iter().zip(&self.kinds).filter(|(_, kind)| is_meant(**kind));
        meant.any(|(frame, _)| came.contains(&frame[1..frame.len() - 1]))
    }
}

/// What a frame shows of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The names of metrics: nothing.
    Names,
    /// That there is one.
    Run,
    /// That it is over.
    End,
}

/// Devices to take for trials: making them takes longer than a trial does.
#[derive(Debug)]
pub(super) struct Pool {
    loads: Vec<Sent>,
    monitors: Vec<Sent>,
}

impl Pool {
    pub(super) fn new(seed: u64) -> Self {
        let line_bytes = |number: u64| usize::try_from(200 + 100 * number).expect("it is small");
        let boot = |number: u64| seed.wrapping_mul(1_000).wrapping_add(number);
        Self {
            loads: (0..8).map(|number| Sent::load("board-1", boot(number), line_bytes(number))).collect(),
            monitors: (0..6).map(|number| Sent::monitor("logger-1", boot(100 + number))).collect(),
        }
    }

    /// A load generator.
    pub(super) fn load(&self, random: &mut Random) -> &Sent {
        random.pick(&self.loads)
    }

    /// A device of either kind.
    pub(super) fn any(&self, random: &mut Random) -> &Sent {
        let from = if random.below(3) == 0 { &self.monitors } else { &self.loads };
        random.pick(from)
    }

    /// Two boots of one device.
    pub(super) fn two(&self, random: &mut Random) -> [&Sent; 2] {
        let from = if random.below(3) == 0 { &self.monitors } else { &self.loads };
        let first = random.index(from.len());
        let second = (first + 1 + random.index(from.len() - 1)) % from.len();
        [&from[first], &from[second]]
    }
}
