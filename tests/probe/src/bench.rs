//! What an interrupt is tested on: a timer that raises it, what it measured, and the other end of the telemetry line.

use core::cell::Cell;
use core::convert::Infallible;

use cortex_m::peripheral::SYST;
use cortex_m::peripheral::syst::SystClkSource;
use cortex_m_semihosting::debug::{self, EXIT_FAILURE, EXIT_SUCCESS};
use cortex_m_semihosting::hio;
use critical_section::Mutex;
use phasemeter_core::embedded_io::{ErrorType, Write, WriteReady};
use phasemeter_core::telemetry::{Frame, MAX_ENCODED, Received, Receiver};
use phasemeter_core::time::{Duration, Instant};

use crate::print::put;

/// Between two interrupts, at the 25 MHz of the machine mps2-an386.
const CYCLES: u32 = 2_500;
const PERIOD: Duration = Duration::from_micros(100);

/// Values, as their number and their sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Values {
    /// How many.
    pub count: u64,
    /// All of them together.
    pub sum: u64,
}

impl Values {
    const NONE: Self = Self { count: 0, sum: 0 };

    /// These and one more.
    fn and(self, value: u32) -> Self {
        Self { count: self.count.wrapping_add(1), sum: self.sum.wrapping_add(value.into()) }
    }

    /// These without those.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self { count: self.count.wrapping_sub(other.count), sum: self.sum.wrapping_sub(other.sum) }
    }
}

static MEASURED: Mutex<Cell<Values>> = Mutex::new(Cell::new(Values::NONE));
static LOST: Mutex<Cell<Values>> = Mutex::new(Cell::new(Values::NONE));
static NUMBER: Mutex<Cell<u32>> = Mutex::new(Cell::new(1));

/// Stands for what an interrupt measures: a value that nothing else knows of.
pub fn measure() -> u32 {
    critical_section::with(|cs| {
        // Knuth's linear congruential generator; the upper bits are the better ones.
        let number = NUMBER.borrow(cs).get().wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        NUMBER.borrow(cs).set(number);
        let (value, measured) = (number >> 12, MEASURED.borrow(cs));
        measured.set(measured.get().and(value));
        value
    })
}

/// There was no room for a value that was measured.
pub fn lose(value: u32) {
    critical_section::with(|cs| {
        let lost = LOST.borrow(cs);
        lost.set(lost.get().and(value));
    });
}

/// All that was measured, and what of it was lost.
pub fn truth() -> (Values, Values) {
    critical_section::with(|cs| (MEASURED.borrow(cs).get(), LOST.borrow(cs).get()))
}

/// The time since boot, at the resolution of the interrupt.
pub fn now() -> Instant {
    let ticks = truth().0.count;
    Instant::BOOT.saturating_add(Duration::from_nanos(ticks.saturating_mul(PERIOD.as_nanos())))
}

/// Has the interrupt come from now on.
pub fn start(timer: &mut SYST) {
    timer.set_clock_source(SystClkSource::Core);
    timer.set_reload(CYCLES - 1);
    timer.clear_current();
    timer.enable_counter();
    timer.enable_interrupt();
}

/// The other end of the telemetry line, as a host hears it. In a firmware this is a serial port.
#[derive(Debug)]
pub struct Line {
    receiver: Receiver<MAX_ENCODED>,
    /// Of each metric in the phase under way, and in those that are complete.
    told: [(Values, Values); METRICS],
    /// How many values all phases had that are complete.
    samples: u64,
    /// The first phase that is not.
    phase: u16,
    broken: u32,
}

/// How many metrics the host takes.
const METRICS: usize = 3;

impl Line {
    /// A line over which nothing came.
    pub const fn new() -> Self {
        let told = [(Values::NONE, Values::NONE); METRICS];
        Self { receiver: Receiver::new(), told, samples: 0, phase: 0, broken: 0 }
    }

    /// What was told of a metric in all phases that are complete.
    pub fn told(&self, metric: usize) -> Values {
        self.told.get(metric).map_or(Values::NONE, |(_, complete)| *complete)
    }

    /// Whether every frame was whole, and as many values were told of each metric as of all together.
    pub fn is_whole(&self) -> bool {
        let sum = self.told.iter().fold(0_u64, |sum, (_, complete)| sum.wrapping_add(complete.count));
        self.broken == 0 && self.samples == sum
    }

    fn hear(&mut self, byte: u8) {
        match self.receiver.take(&mut &[byte][..]) {
            Some(Received::Frame(envelope)) => match envelope.frame {
                Frame::Totals(totals) if totals.phase == self.phase => {
                    if let Some((live, _)) = self.told.get_mut(usize::from(totals.metric)) {
                        *live = Values {
                            count: totals.totals.count,
                            sum: u64::try_from(totals.totals.sum).unwrap_or(u64::MAX),
                        };
                    }
                }
                // The end of each is told more than once.
                Frame::Phase(report) if report.stats.index == self.phase && report.stats.completed_at.is_some() => {
                    let live = self.told.iter().fold(0_u64, |sum, (live, _)| sum.wrapping_add(live.count));
                    if live == report.samples {
                        self.samples = self.samples.wrapping_add(live);
                        self.phase = self.phase.wrapping_add(1);
                        for (live, complete) in &mut self.told {
                            complete.count = complete.count.wrapping_add(live.count);
                            complete.sum = complete.sum.wrapping_add(live.sum);
                            *live = Values::NONE;
                        }
                    }
                }
                _ => {}
            },
            None => {}
            Some(_) => self.broken = self.broken.wrapping_add(1),
        }
    }
}

impl Default for Line {
    fn default() -> Self {
        Self::new()
    }
}

impl ErrorType for Line {
    type Error = Infallible;
}

impl WriteReady for Line {
    fn write_ready(&mut self) -> Result<bool, Infallible> {
        Ok(true)
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        for byte in bytes {
            self.hear(*byte);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// Prints what was compared, and ends the machine: well if all of it is equal.
pub fn compare(parts: &[(&str, Values, Values)], is_whole: bool) -> ! {
    let mut all_equal = is_whole;
    let mut out = hio::hstdout();
    for (name, truth, told) in parts {
        all_equal &= truth == told;
        for (what, values) in [(" measured", truth), (" told", told)] {
            if let Ok(out) = &mut out {
                let _ = put(out, &[name, what, " count "], values.count);
                let _ = put(out, &[name, what, " sum "], values.sum);
            }
        }
    }
    debug::exit(if all_equal { EXIT_SUCCESS } else { EXIT_FAILURE });
    crate::idle()
}
