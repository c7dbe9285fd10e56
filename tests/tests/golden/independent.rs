//! A decoder from the protocol's text alone (`telemetry`'s documentation): nothing of the library is used.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};

/// What phases of a plan are for.
const KINDS: [&str; 3] = ["warmup", "profiling", "cooldown"];

pub(crate) struct Fields(std::vec::IntoIter<u8>);

impl Fields {
    /// The payload between two delimiters, its stuffing undone and its checksum checked.
    pub(crate) fn of_frame(bytes: &[u8]) -> Self {
        let [0, stuffed @ .., 0] = bytes else { panic!("no delimiters") };
        Self::of_segment(stuffed).expect("the frame is whole")
    }

    /// The payload of what stood between two delimiters, unless that is no frame.
    pub(crate) fn of_segment(stuffed: &[u8]) -> Option<Self> {
        let mut payload = unstuff(stuffed)?;
        let checksum = payload.split_off(payload.len().checked_sub(4)?);
        (crc32(&payload).to_le_bytes() == checksum[..]).then(|| Self(payload.into_iter()))
    }

    /// All that is yet to be read.
    pub(crate) fn rest(&self) -> Vec<u8> {
        self.0.as_slice().to_vec()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.0.next().expect("the payload is too short")
    }

    pub(crate) fn signed(&mut self) -> i8 {
        i8::from_le_bytes([self.byte()])
    }

    pub(crate) fn number(&mut self) -> u128 {
        let mut value = 0;
        for shift in (0..).step_by(7) {
            let byte = self.byte();
            value |= u128::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        value
    }

    pub(crate) fn bytes(&mut self) -> Vec<u8> {
        (0..self.number()).map(|_| self.byte()).collect()
    }

    pub(crate) fn string(&mut self) -> String {
        String::from_utf8(self.bytes()).expect("strings are UTF-8")
    }

    /// A phase of a plan, in words.
    pub(crate) fn phase(&mut self) -> String {
        let kind = KINDS[usize::try_from(self.number()).expect("a kind of phase")];
        let workload = match self.number() {
            0 => format!("GET {}", self.string()),
            1 => format!("chat of {} and {} tokens", self.number(), self.number()),
            2 => format!("for a host, {:016x}", self.number()),
            workload => panic!("no workload {workload} is expected"),
        };
        let arrival = match self.number() {
            0 => format!("{} at a time", self.number()),
            1 => format!("constant, {} in 1000 s", self.number()),
            2 => format!("random, {} in 1000 s", self.number()),
            arrival => panic!("no arrival {arrival} is expected"),
        };
        let mut words = format!("{kind}: {workload}; {arrival}");
        if self.byte() == 1 {
            write!(words, "; {} requests", self.number()).expect("a string takes any text");
        }
        if self.byte() == 1 {
            write!(words, "; for {} ns", self.number()).expect("a string takes any text");
        }
        words + &format!("; grace {} ns", self.number())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.as_slice().is_empty()
    }

    fn zigzag(&mut self) -> i64 {
        let token = u64::try_from(self.number()).expect("a token of 64 bits");
        let half = i64::try_from(token / 2).expect("half of 64 bits");
        if token.is_multiple_of(2) { half } else { -half - 1 }
    }
}

/// Index and count of each bucket in the runs.
pub(crate) fn runs(bytes: &[u8]) -> Vec<(i64, u64)> {
    let mut fields = Fields(Vec::from(bytes).into_iter());
    let mut buckets = Vec::new();
    while !fields.is_empty() {
        let start = fields.zigzag();
        let length = i64::try_from(fields.number()).expect("a length");
        let (mut index, mut count) = (start, 0_u64);
        while index < start + length {
            let difference = fields.zigzag();
            count = count.wrapping_add_signed(difference);
            let further = if difference == 0 { fields.number() } else { 0 };
            for _ in 0..=further {
                buckets.push((index, count));
                index += 1;
            }
        }
    }
    buckets
}

fn unstuff(mut stuffed: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    while let [code, rest @ ..] = stuffed {
        let (group, rest) = rest.split_at_checked(usize::from(*code).checked_sub(1)?)?;
        bytes.extend(group);
        if *code < 0xff && !rest.is_empty() {
            bytes.push(0);
        }
        stuffed = rest;
    }
    Some(bytes)
}

pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    let mut register = u32::MAX;
    for byte in bytes {
        register ^= u32::from(*byte);
        for _ in 0..8 {
            // 0x04C11DB7 with its bits in reverse order.
            register = (register >> 1) ^ if register & 1 == 1 { 0xedb8_8320 } else { 0 };
        }
    }
    !register
}

pub(crate) fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// What a host keeps, put together as the text says.
#[derive(Default)]
pub(crate) struct Host {
    /// In the order in which their first frames came.
    pub(crate) boots: Vec<Boot>,
}

#[derive(Default)]
pub(crate) struct Boot {
    name: u128,
    pub(crate) device: String,
    /// 0 idle, 1 load, 2 monitor.
    pub(crate) modes: Vec<u128>,
    table: BTreeMap<u8, (String, u128)>,
    phases: BTreeMap<u128, Phase>,
    /// How many phases were run, and whether the run was cancelled.
    pub(crate) finished: Option<(u128, bool)>,
}

#[derive(Default)]
struct Phase {
    name: String,
    planned: Option<String>,
    is_complete: bool,
    samples: u128,
    errors: u128,
    failures: u128,
    metrics: BTreeMap<u8, Metric>,
}

#[derive(Default)]
struct Metric {
    scale: Option<i8>,
    counts: BTreeMap<i64, u64>,
    whole: Option<Totals>,
}

struct Totals {
    count: u128,
    zero: u128,
    min: u128,
    max: u128,
    sum: u128,
    products: u128,
    first: u128,
    last: u128,
}

impl Host {
    /// Takes all frames of a stream; text and what is broken is passed over.
    pub(crate) fn of(stream: &[u8]) -> Self {
        let mut host = Self::default();
        for mut fields in stream.split(|byte| *byte == 0).filter_map(Fields::of_segment) {
            let (version, boot) = (fields.byte(), fields.number());
            assert_eq!(version, 1);
            let place = host.boots.iter().position(|known| known.name == boot).unwrap_or_else(|| {
                host.boots.push(Boot { name: boot, ..Boot::default() });
                host.boots.len() - 1
            });
            let (_sequence, _uptime) = (fields.number(), fields.number());
            host.boots[place].take(&mut fields);
            assert!(fields.is_empty());
        }
        host
    }

    /// What was planned for each phase, of all boots.
    pub(crate) fn plans(&self) -> Vec<&str> {
        let phases = self.boots.iter().flat_map(|boot| boot.phases.values());
        phases.filter_map(|phase| phase.planned.as_deref()).collect()
    }

    /// A line for each metric of each phase that was received whole.
    pub(crate) fn lines(&self) -> String {
        let mut lines = String::new();
        for (boot, known) in (1..).zip(&self.boots) {
            for phase in known.phases.values().filter(|phase| phase.is_whole()) {
                assert_eq!(phase.failures, phase.errors);
                for (id, metric) in &phase.metrics {
                    let (Some(totals), (name, unit)) = (&metric.whole, &known.table[id]) else { continue };
                    let Totals { count, zero, min, max, sum, products, first, last } = totals;
                    let buckets = metric.counts.iter().filter(|(_, count)| **count > 0);
                    let buckets: Vec<_> = buckets.map(|(index, count)| format!("{index}:{count}")).collect();
                    lines +=
                        &line(boot, &phase.name, name, *unit == 0, [count, zero, min, max, sum, products, first, last]);
                    let scale = metric.scale.unwrap_or(0);
                    writeln!(lines, "  scale {scale}, buckets {}", buckets.join(" ")).expect("a string takes any text");
                }
            }
        }
        lines
    }
}

/// What the files of truth say of a metric.
pub(crate) fn line<T: Display>(boot: u32, phase: &str, metric: &str, is_time: bool, numbers: [T; 8]) -> String {
    let [count, zero, min, max, sum, products, first, last] = numbers;
    let unit = if is_time { "ns" } else { "plain" };
    format!(
        "boot {boot}, {phase}, {metric}, {unit}: count {count}, zero {zero}, min {min}, max {max}, sum {sum}, \
         products {products}, first {first}, last {last}\n"
    )
}

impl Boot {
    fn take(&mut self, fields: &mut Fields) {
        match fields.number() {
            0 => {
                self.device = fields.string();
                let _firmware = [fields.string(), fields.string()];
                let _clock = fields.number();
                self.modes.push(fields.number());
                let _plan = (fields.number(), fields.number());
                let _histograms = (fields.number(), fields.byte(), fields.byte());
                let _counts = (fields.number(), fields.number());
            }
            1 => {
                let first = fields.byte();
                for id in (first..).take(usize::try_from(fields.number()).unwrap()) {
                    self.table.insert(id, (fields.string(), fields.number()));
                }
            }
            2 => self.phase(fields),
            3 => {
                let phase = self.phases.entry(fields.number()).or_default();
                let causes = [(); 4].map(|()| fields.number());
                let statuses = (0..fields.number()).map(|_| (fields.number(), fields.number()).1).sum::<u128>();
                phase.failures = causes.iter().sum::<u128>() + statuses + fields.number();
            }
            4 => {
                let (phase, metric, scale) = (fields.number(), fields.byte(), fields.signed());
                let metric = self.phases.entry(phase).or_default().metrics.entry(metric).or_default();
                let counts = fields.bytes();
                if metric.lower(scale) {
                    for (index, count) in runs(&counts) {
                        let kept = metric.counts.entry(index).or_default();
                        *kept = count.max(*kept);
                    }
                }
            }
            5 => {
                let (phase, metric, scale) = (fields.number(), fields.byte(), fields.signed());
                let metric = self.phases.entry(phase).or_default().metrics.entry(metric).or_default();
                let [count, zero, min, max] = [(); 4].map(|()| fields.number());
                let _exact = [fields.byte(), fields.byte()];
                let (sum, _squares) = (fields.number(), fields.number());
                assert_eq!(fields.byte(), 0, "nothing is saturated");
                let [products, first, last] = [(); 3].map(|()| fields.number());
                let kept = metric.counts.values().map(|count| u128::from(*count)).sum::<u128>();
                if metric.lower(scale) && zero + kept == count {
                    metric.whole = Some(Totals { count, zero, min, max, sum, products, first, last });
                }
            }
            6 => {
                self.finished = Some((fields.number(), fields.byte() == 1));
                let _skipped = fields.number();
            }
            8 => {
                let phase = self.phases.entry(fields.number()).or_default();
                let planned = fields.phase();
                assert_eq!(*phase.planned.get_or_insert_with(|| planned.clone()), planned, "it never changes");
            }
            9 => {
                let _phase = fields.number();
                if fields.number() == 2 {
                    let _code = fields.number();
                }
                assert!(fields.bytes().len() <= 160);
            }
            kind => panic!("no frame of kind {kind} is expected"),
        }
    }

    fn phase(&mut self, fields: &mut Fields) {
        let phase = self.phases.entry(fields.number()).or_default();
        let (kind, label, _instance) = (fields.number(), fields.string(), fields.number());
        phase.name = KINDS.get(usize::try_from(kind).unwrap()).map_or(label, |kind| (*kind).to_owned());
        // A report that says less than one before it is late.
        phase.is_complete |= fields.number() == 3;
        let _flags = [fields.byte(), fields.byte()];
        for _time in 0..3 {
            if fields.byte() == 1 {
                let _nanoseconds = fields.number();
            }
        }
        let [_sent, _completed, errors, _cancelled, _unsent] = [(); 5].map(|()| fields.number());
        let (_at_least, _held) = (fields.byte(), fields.number());
        let _sends = [(); 3].map(|()| fields.number());
        let (samples, _skipped) = (fields.number(), fields.number());
        phase.errors = errors.max(phase.errors);
        phase.samples = samples.max(phase.samples);
    }
}

impl Phase {
    fn is_whole(&self) -> bool {
        let samples = self.metrics.values().filter_map(|metric| metric.whole.as_ref()).map(|totals| totals.count);
        self.is_complete && samples.sum::<u128>() == self.samples
    }
}

impl Metric {
    /// Adds what is kept up for a lower scale; tells whether what is of this scale is to be taken.
    fn lower(&mut self, scale: i8) -> bool {
        let kept = *self.scale.get_or_insert(scale);
        if scale < kept {
            for (index, count) in std::mem::take(&mut self.counts) {
                *self.counts.entry(index >> (kept - scale)).or_default() += count;
            }
            self.scale = Some(scale);
        }
        scale <= kept
    }
}
