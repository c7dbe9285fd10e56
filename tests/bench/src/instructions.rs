//! What callgrind counts. It is told to start anew before [`measured_section`] and to write a profile before
//! [`section_is_over`], so the profiles come in the order of the sections, whose names the program prints.

use std::hint::black_box;

use phasemeter_core::histogram::{LatencyHistogram, bucket_bounds};

use crate::data;
use crate::ours::{OUR_PERCENTILES, Ours};
use crate::sketch::{Sketch, Visitor, each};
use crate::timing::{record_call, record_calls, record_loop};

/// Recorded before what is measured, so that the resolution has settled.
const WARM: usize = 10_000;
/// What is measured: few enough for callgrind to be quick, many enough to average over the values.
const MEASURED: usize = 20_000;

/// How many latencies are needed.
pub const NEEDED: usize = WARM + MEASURED;

/// The section that callgrind looks at.
#[inline(never)]
pub fn measured_section(work: &mut dyn FnMut()) {
    work();
    section_is_over();
}

/// The end of the section.
#[inline(never)]
fn section_is_over() {
    black_box(());
}

/// Sections that were measured, in order.
#[derive(Default)]
pub struct Sections(Vec<(&'static str, &'static str, usize)>);

impl Sections {
    fn measure(&mut self, name: &'static str, what: &'static str, times: usize, mut work: impl FnMut()) {
        measured_section(&mut work);
        self.0.push((name, what, times));
    }

    /// One line for each: the subject, what it did, and how many times, separated by tabs.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|(name, what, times)| format!("{name}\t{what}\t{times}"))
    }
}

/// Recording with all sketches, in a loop and through a call.
pub fn peers(nanos: &[u64]) -> Sections {
    let mut recorder = Recorder { nanos, sections: Sections::default() };
    each(&mut recorder);
    recorder.sections
}

struct Recorder<'a> {
    nanos: &'a [u64],
    sections: Sections,
}

impl Visitor for Recorder<'_> {
    fn visit<S: Sketch>(&mut self) {
        let (warm, measured) = self.nanos.split_at(WARM);
        let mut sketch = S::new();
        record_loop(&mut sketch, warm);
        self.sections.measure(S::NAME, "loop", measured.len(), || record_loop(&mut sketch, measured));
        self.sections.measure(S::NAME, "call", measured.len(), || record_calls(&mut sketch, measured));
    }
}

/// Everything that the histogram does, at N = 1024.
///
/// # Panics
/// When the histogram fails to do it.
pub fn ours(nanos: &[u64]) -> Sections {
    type Subject = Ours<1024>;
    const NAME: &str = <Subject as Sketch>::NAME;
    let mut sections = Sections::default();
    let mut record = |what, nanos: &[u64]| {
        let (warm, measured) = nanos.split_at(WARM);
        let mut histogram = Subject::new();
        record_loop(&mut histogram, warm);
        sections.measure(NAME, what, measured.len(), || record_calls(&mut histogram, measured));
        histogram
    };
    record("record, each a new maximum", &data::rising(NEEDED));
    record("record, each a new minimum", &data::falling(NEEDED));
    let mut histogram = record("record", nanos);

    let mut worst = widest();
    let scale = worst.scale();
    sections.measure(NAME, "worst record", 1, || record_call(&mut worst, u64::MAX));
    assert!(scale == 8 && worst.scale() < scale, "the resolution was to be halved");

    let other = histogram.clone();
    sections.measure(NAME, "merge", 1, || Sketch::merge(black_box(&mut histogram), black_box(&other)));
    sections.measure(NAME, "7 percentiles", 1, || {
        black_box((**black_box(&histogram)).quantiles(OUR_PERCENTILES));
    });
    let mut bytes = vec![0; Subject::max_encoded_len()];
    let mut length = 0;
    sections.measure(NAME, "encode", 1, || {
        length = black_box(&histogram).encode(&mut bytes).expect("the buffer is always enough");
    });
    let mut decoded = None;
    sections.measure(NAME, "decode", 1, || decoded = Subject::decode(black_box(&bytes[..length])).ok());
    assert!(decoded.is_some_and(|decoded| decoded == histogram), "what was encoded is decoded");
    sections
}

/// Every bucket of the finest scale used, from 1 ns on up where no bucket is without integers: the next value that lies
/// far off makes all of them move.
fn widest() -> LatencyHistogram<1024> {
    const LOWEST: i32 = -512;
    let mut histogram = LatencyHistogram::new();
    for index in LOWEST..LOWEST + 1024 {
        histogram.record(bucket_bounds(8, index).1);
    }
    histogram
}
