//! A data logger without hardware that measures its own flash writes.

use std::io::{Write, stdout};

use phasemeter_core::metric::Metric;
use phasemeter_core::monitor::{Monitor, Storage};
use phasemeter_core::telemetry::{Identity, TelemetryConfig};
use phasemeter_core::time::{Duration, MockClock};

const METRICS: [Metric; 2] = [Metric::time("flash_write"), Metric::count("bytes_written")];

fn main() {
    let (clock, mut storage) = (MockClock::new(), Storage::<2, 256, 1024>::new());
    let mut monitor = Monitor::new(&mut storage, Identity::new("logger-1", 1), &METRICS, TelemetryConfig::default());
    monitor.open("logging", clock.now()).unwrap();
    for block in 0..2_000 {
        let started = clock.now();
        clock.advance(Duration::from_micros(700 + 37 * block % 350)); // a real device writes to its flash
        monitor.record_time(0, clock.now().since(started));
        monitor.record(1, 512);
        monitor.poll(clock.now());
        monitor.sent(stdout().write(monitor.transmit()).unwrap());
    }
    monitor.close(clock.now()); // most devices never do
    while !monitor.is_idle() {
        monitor.poll(clock.now());
        monitor.sent(stdout().write(monitor.transmit()).unwrap());
    }
}
