//! A firmware without hardware that measures itself: core's monitor on a clock that the script moves.

use phasemeter_core::metric::Metric;
use phasemeter_core::monitor::{Monitor, Storage};
use phasemeter_core::telemetry::{Identity, TelemetryConfig};
use phasemeter_core::time::{Duration, MockClock};

use crate::direct::{BUCKETS, Direct};
use crate::random::Random;

/// How many metrics a [`MonitorDevice`] has.
const METRICS: usize = 16;

/// Half of them times, half of them plain numbers, with names as long as names may be.
const TABLE: [Metric<'static>; METRICS] = [
    Metric::time("flash_write_of_a_block_of_4_KiB."),
    Metric::count("flash_retries_of_a_single_block."),
    Metric::time("sensor_read_over_i2c_at_400_kHz."),
    Metric::count("sensor_bytes_of_a_single_reading"),
    Metric::time("radio_send_of_a_single_packet..."),
    Metric::count("radio_retransmissions_per_packet"),
    Metric::time("interrupt_latency_of_the_timer.."),
    Metric::count("interrupts_since_the_last_wakeup"),
    Metric::time("main_loop_of_a_single_iteration."),
    Metric::count("main_loop_events_per_iteration.."),
    Metric::time("display_update_of_the_whole_page"),
    Metric::count("display_pixels_of_a_whole_update"),
    Metric::time("motor_control_step_in_the_timer."),
    Metric::count("motor_steps_of_a_single_command."),
    Metric::time("log_line_from_format_to_the_uart"),
    Metric::count("log_bytes_of_a_single_line_sent."),
];

/// A device that opens and closes phases by name, and records its own metrics in them.
#[derive(Clone, Copy, Debug)]
pub struct MonitorDevice {
    /// Its name; also names its line.
    pub id: &'static str,
    /// The boot.
    pub boot_id: u64,
    /// The seed of its values.
    pub seed: u64,
    /// What its phases are called.
    pub phases: &'static [&'static str],
    /// How often each phase records each of its metrics, one of them each millisecond.
    pub samples: u64,
    /// The last phase is never closed: it goes on until the line ends.
    pub is_endless: bool,
    /// How many bytes the line takes each millisecond.
    pub line_bytes: usize,
}

impl MonitorDevice {
    /// Everything that the device sends, if it has an end.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.run(|piece| {
            bytes.extend_from_slice(piece);
            true
        });
        bytes
    }

    /// Runs all phases, hands what the device sends in each millisecond to `line` for as long as that is true, and tells what
    /// was recorded directly.
    pub fn run(&self, mut line: impl FnMut(&[u8]) -> bool) -> Vec<Direct> {
        let identity =
            Identity { firmware: "self-watch", firmware_version: "3.0", ..Identity::new(self.id, self.boot_id) };
        let mut storage = Box::new(Storage::<METRICS, BUCKETS, 4096>::new());
        let mut monitor = Monitor::new(&mut storage, identity, &TABLE, TelemetryConfig::default());
        let (clock, mut random, mut direct) = (MockClock::new(), Random::new(self.seed), Vec::new());
        // A millisecond of the device; tells whether the line is still there.
        let mut pass = |monitor: &mut Monitor<'_, METRICS, BUCKETS, 4096>| {
            monitor.poll(clock.now());
            let sent = monitor.transmit().len().min(self.line_bytes);
            let goes_on = line(&monitor.transmit()[..sent]);
            monitor.sent(sent);
            clock.advance(Duration::from_millis(1));
            goes_on
        };
        for (index, name) in self.phases.iter().enumerate() {
            while monitor.open(name, clock.now()).is_err() {
                if !pass(&mut monitor) {
                    return direct;
                }
            }
            direct.push(Direct::new(name, &TABLE));
            let is_endless = self.is_endless && index + 1 == self.phases.len();
            let mut sample = 0;
            while is_endless || sample < self.samples * METRICS as u64 {
                let place = usize::try_from(sample % METRICS as u64).expect("there are few metrics");
                // Times of microseconds and more, small numbers, and now and then nothing at all.
                let value = match random.below(50) {
                    0 => 0,
                    _ if place.is_multiple_of(2) => random.spread(10, 14),
                    _ => random.below(20),
                };
                assert!(monitor.record(place, value), "a phase is open");
                direct[index].record(place, value);
                sample += 1;
                if !pass(&mut monitor) {
                    return direct;
                }
            }
            monitor.close(clock.now());
        }
        while !monitor.is_idle() && pass(&mut monitor) {}
        direct
    }
}
