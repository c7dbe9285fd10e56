//! Measures the histogram and its peers, and prints one number a line: subject, quantity and value, separated by tabs.

mod memory;

use std::process::ExitCode;

use phasemeter_bench::accuracy::Truth;
use phasemeter_bench::timing::{Times, median, median_ratio, time};
use phasemeter_bench::{Sketch, Visitor, data, decode, each, instructions};

/// The one that is compared with every other.
const SUBJECT: &str = "phasemeter N=1024";

fn main() -> ExitCode {
    let mode = std::env::args().nth(1);
    match mode.as_deref() {
        Some("measure") => measure(1_000_000, 9),
        Some("measure-quick") => measure(200_000, 5),
        Some("decode") => time_receiver(21),
        Some("instructions-peers") => {
            instructions::peers(&data::log_normal(instructions::NEEDED)).lines().for_each(|line| println!("{line}"));
        }
        Some("instructions-ours") => {
            instructions::ours(&data::log_normal(instructions::NEEDED)).lines().for_each(|line| println!("{line}"));
        }
        _ => {
            eprintln!("usage: phasemeter-bench measure|measure-quick|decode|instructions-peers|instructions-ours");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn measure(count: usize, rounds: usize) {
    let nanos = data::log_normal(count);
    let times = time(&nanos, rounds);
    let subject = times.iter().find(|times| times.name == SUBJECT).expect("it is one of them");
    for peer in &times {
        print_times(subject, peer);
    }
    each(&mut Sizes { nanos, truths: data::sets(count).into_iter().map(Truth::of).collect() });
    memory::print_capacities();
}

/// The best of interleaved rounds.
fn time_receiver(rounds: usize) {
    let lines = decode::lines();
    let mut best = lines.each_ref().map(|_| 0.0_f64);
    for _ in 0..rounds {
        for (line, best) in lines.iter().zip(&mut best) {
            *best = best.max(decode::megabytes_a_second(&line.bytes));
        }
    }
    for (line, best) in lines.iter().zip(best) {
        print(line.name, "decode MB/s", best);
    }
}

fn print_times(subject: &Times, peer: &Times) {
    print(peer.name, "loop ns", median(peer.record_loop.iter().copied()));
    print(peer.name, "call ns", median(peer.record_call.iter().copied()));
    print(peer.name, "rising ns", median(peer.record_rising.iter().copied()));
    print(peer.name, "falling ns", median(peer.record_falling.iter().copied()));
    print(peer.name, "percentiles ns", median(peer.quantiles.iter().copied()));
    if !peer.merge.is_empty() {
        print(peer.name, "merge ns", median(peer.merge.iter().copied()));
    }
    print(peer.name, "loop ratio", median_ratio(&subject.record_loop, &peer.record_loop));
    print(peer.name, "call ratio", median_ratio(&subject.record_call, &peer.record_call));
    print(peer.name, "rising ratio", median_ratio(&peer.record_rising, &peer.record_loop));
    print(peer.name, "falling ratio", median_ratio(&peer.record_falling, &peer.record_loop));
}

fn print(subject: &str, quantity: &str, value: impl std::fmt::Display) {
    println!("{subject}\t{quantity}\t{value}");
}

/// What needs no clock.
struct Sizes {
    nanos: Vec<u64>,
    truths: Vec<Truth>,
}

impl Visitor for Sizes {
    fn visit<S: Sketch>(&mut self) {
        print(S::NAME, "bytes", memory::bytes::<S>(&self.nanos));
        let errors = self.truths.iter().map(Truth::worst_error::<S>);
        print(S::NAME, "worst error", errors.fold(0.0, f64::max));
        let mut sketch = S::new();
        self.nanos.iter().for_each(|nanos| sketch.record(*nanos));
        sketch.settle();
        for (format, bytes) in sketch.wire() {
            print(S::NAME, &format!("wire {format}"), bytes.len());
        }
    }
}
