//! The same operations under criterion, for those who want its statistics: `cargo bench --bench peers`.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use phasemeter_bench::timing::{record_calls, record_loop};
use phasemeter_bench::{Sketch, Visitor, data, each};

const VALUES: usize = 10_000;

struct Benches<'a> {
    criterion: &'a mut Criterion,
    nanos: Vec<u64>,
}

impl Visitor for Benches<'_> {
    fn visit<S: Sketch>(&mut self) {
        let mut sketch = S::new();
        let mut records = self.criterion.benchmark_group("record");
        records.throughput(Throughput::Elements(VALUES as u64));
        records.bench_function(format!("{} loop", S::NAME), |bencher| {
            bencher.iter(|| record_loop(&mut sketch, &self.nanos));
        });
        // Counters of 32 bits would be full after too many values.
        sketch = S::new();
        records.bench_function(format!("{} call", S::NAME), |bencher| {
            bencher.iter(|| record_calls(&mut sketch, &self.nanos));
        });
        records.finish();

        sketch = S::new();
        record_loop(&mut sketch, &self.nanos);
        sketch.settle();
        self.criterion.bench_function(&format!("7 percentiles/{}", S::NAME), |bencher| {
            bencher.iter(|| black_box(&sketch).quantiles());
        });
    }
}

fn peers(criterion: &mut Criterion) {
    let nanos = data::log_normal(VALUES);
    each(&mut Benches { criterion, nanos });
}

criterion_group! {
    name = all;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(600));
    targets = peers
}
criterion_main!(all);
