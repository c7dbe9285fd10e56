//! Bytes in memory: on the stack by size, on the heap by counting.

use std::alloc::System;

use phasemeter_bench::Sketch;
use phasemeter_core::histogram::LatencyHistogram;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// What a sketch occupies after it has recorded these latencies.
pub(crate) fn bytes<S: Sketch>(nanos: &[u64]) -> usize {
    let region = Region::new(ALLOCATOR);
    let mut sketch = S::new();
    for value in nanos {
        sketch.record(*value);
    }
    let change = region.change();
    size_of_val(&sketch) + change.bytes_allocated.saturating_sub(change.bytes_deallocated)
}

/// For each useful capacity, its bytes.
pub(crate) fn print_capacities() {
    macro_rules! print {
        ($($buckets:literal)*) => {
            $(println!("N={}\tbytes\t{}", $buckets, size_of::<LatencyHistogram<$buckets>>());)*
        };
    }
    print!(64 128 256 512 1024 2048 4096);
}
