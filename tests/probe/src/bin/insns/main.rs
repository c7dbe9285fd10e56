//! Counts executed instructions and stack bytes under QEMU and prints each as `name number` over semihosting.
//!
//! Run it on the machine mps2-an386 with `-icount shift=6`.

#![no_std]
#![no_main]

mod latencies;
mod run;
mod stack;
mod timer;

use core::fmt;
use core::hint::black_box;

use cortex_m_rt::entry;
use cortex_m_semihosting::debug::{self, EXIT_FAILURE, EXIT_SUCCESS};
use cortex_m_semihosting::hio::{self, HostStream};
use phasemeter_core::histogram::{Counter, HistogramView, LatencyHistogram, bucket_bounds};
use phasemeter_probe::{N, SEVEN, frame, print};

use latencies::Latencies;
use timer::instructions;

#[entry]
fn main() -> ! {
    let outcome = match hio::hstdout() {
        Ok(mut out) if timer::is_exact() => measure(&mut out),
        _ => Err(fmt::Error),
    };
    debug::exit(if outcome.is_ok() { EXIT_SUCCESS } else { EXIT_FAILURE });
    phasemeter_probe::idle()
}

fn measure(out: &mut HostStream) -> fmt::Result {
    let latencies = Latencies::new();
    put(out, "record u16 insns", record::<u16>(&latencies))?;
    put(out, "record u32 insns", record::<u32>(&latencies))?;
    put(out, "record u64 insns", record::<u64>(&latencies))?;
    put(out, "record worst insns", worst_record())?;

    let one = recorded(&latencies);
    let mut sum = one.clone();
    put(out, "merge insns", instructions(|| merge(black_box(&mut sum), black_box(&one))))?;
    put(out, "7 quantiles insns", instructions(|| quantiles(black_box(&one))))?;
    let mut bytes = [0; LatencyHistogram::<N>::max_encoded_len()];
    put(out, "encode insns", instructions(|| encode(black_box(&one), black_box(&mut bytes))))?;
    put(out, "encode wire bytes", one.encode(&mut bytes).map_or(0, as_u32))?;

    let costs = run::costs(&latencies).ok_or(fmt::Error)?;
    put(out, "plain request insns", costs.request)?;
    put(out, "idle poll insns", costs.idle)?;
    put(out, "report of a histogram insns", costs.report)?;
    put(out, "monitor record insns", run::monitor_record(&latencies).ok_or(fmt::Error)?)?;

    put(out, "record stack bytes", stack::used(|| black_box(&mut sum).record(black_box(1))))?;
    put(out, "merge stack bytes", stack::used(|| merge(black_box(&mut sum), black_box(&one))))?;
    put(out, "7 quantiles stack bytes", stack::used(|| quantiles(black_box(&one))))?;
    put(out, "encode stack bytes", stack::used(|| encode(black_box(&one), black_box(&mut bytes))))?;
    put(out, "frame encode stack bytes", stack::used(|| frame(black_box(&one))))?;
    put(out, "report of a histogram stack bytes", costs.report_stack)
}

fn put(out: &mut HostStream, name: &str, number: u32) -> fmt::Result {
    print::put(out, &[name, " "], number.into())
}

/// The mean of a call, without the loop around it and without the call and the return.
fn record<C: Counter>(latencies: &Latencies) -> u32 {
    let mut histogram = LatencyHistogram::<N, C>::new();
    latencies.each(|value| record_call(&mut histogram, value));
    let all = instructions(|| latencies.each(|value| record_call(black_box(&mut histogram), value)));
    let overhead = instructions(|| latencies.each(|value| empty_call(black_box(&mut histogram), value)));
    all.saturating_sub(overhead).div_ceil(as_u32(latencies::COUNT))
}

/// The most expensive record that was found: it makes room in a histogram without an unused bucket.
fn worst_record() -> u32 {
    let mut worst = 0;
    let mut histogram = LatencyHistogram::<N>::new();
    // Four octaves fill all buckets of the finest scale; where they start tells where the buckets lie in memory.
    for first in (-7680..7680 - 1024).step_by(331) {
        let below = bucket_bounds(8, first - 1).1.max(1);
        let above = bucket_bounds(8, first + 1024).1;
        for value in [1, below, above, u64::MAX] {
            histogram.reset();
            for index in first..first + 1024 {
                let (lower, upper) = bucket_bounds(8, index);
                if lower <= upper {
                    histogram.record(upper);
                }
            }
            worst = worst.max(instructions(|| record_call(black_box(&mut histogram), black_box(value))));
        }
    }
    worst
}

fn recorded(latencies: &Latencies) -> LatencyHistogram<N> {
    let mut histogram = LatencyHistogram::new();
    latencies.each(|value| histogram.record(value));
    histogram
}

#[inline(never)]
fn record_call<C: Counter>(histogram: &mut HistogramView<C>, value: u64) {
    histogram.record(value);
}

#[inline(never)]
fn empty_call<C: Counter>(_: &mut HistogramView<C>, _: u64) {
    black_box(());
}

#[inline(never)]
fn merge(sum: &mut HistogramView, other: &HistogramView) {
    sum.merge(other);
}

#[inline(never)]
fn quantiles(histogram: &HistogramView) {
    black_box(histogram.quantiles(SEVEN));
}

#[inline(never)]
fn encode(histogram: &HistogramView, bytes: &mut [u8]) {
    black_box(histogram.encode(bytes)).ok();
}

/// A count that is known to be small.
fn as_u32(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
