//! Sleep until there is something to do.

use cortex_m::asm;
use cortex_m::peripheral::syst::SystClkSource;
use cortex_m::peripheral::{NVIC, SCB, SYST};
use phasemeter_core::time::{Clock, Duration, Instant};

use super::lan9118::FrameSignal;
use super::mps2::{BoardClock, CLOCK_HZ, Interrupt};
use super::uart::Uart;

/// The longest sleep. Time has to pass often for QEMU to look at its network and its serial lines.
const LONGEST: Duration = Duration::from_millis(1);
/// Shorter than it takes to fall asleep and to wake up.
const SHORTEST: Duration = Duration::from_micros(2);

/// Puts the processor to sleep, and wakes it for the network, the serial line and the time.
///
/// No interrupt handler ever runs. Interrupts stay off, and one that becomes pending ends the sleep nevertheless, even
/// when it came just before: nothing is lost between a last look and falling asleep.
pub(crate) struct Sleep {
    timer: SYST,
    clock: BoardClock,
    network: FrameSignal,
    serial: Uart,
    slept: Duration,
}

impl Sleep {
    pub(super) fn new(timer: SYST, clock: BoardClock, network: FrameSignal, serial: Uart) -> Self {
        Self { timer, clock, network, serial, slept: Duration::ZERO }
    }

    /// Sleeps until `until` at the longest, or until a frame or a byte has come or a byte has gone. May end early.
    pub(crate) fn until(&mut self, until: Instant) {
        let now = self.clock.now();
        let rest = until.since(now).min(LONGEST);
        if rest > SHORTEST && !self.network.has_frame() && !self.serial.has_byte() {
            self.arm(rest);
            asm::dsb();
            asm::wfi();
            self.slept = self.slept.saturating_add(self.clock.now().since(now));
        }
        // Before the work is looked at, not after: what comes from now on ends the next sleep.
        self.network.acknowledge();
        self.serial.acknowledge();
        for interrupt in Interrupt::ALL {
            NVIC::unpend(interrupt);
        }
        SCB::clear_pendst();
    }

    /// How long the processor has slept, and how long it has been up.
    #[cfg(feature = "semihosting")]
    pub(crate) fn statistics(&mut self) -> (Duration, Duration) {
        (self.slept, self.clock.now().since(Instant::BOOT))
    }

    fn arm(&mut self, rest: Duration) {
        // At most a millisecond: 25,000.
        let ticks = rest.as_nanos() * u64::from(CLOCK_HZ) / 1_000_000_000;
        self.timer.set_reload(u32::try_from(ticks).unwrap_or(u32::MAX));
        self.timer.clear_current();
        self.timer.set_clock_source(SystClkSource::Core);
        self.timer.enable_interrupt();
        self.timer.enable_counter();
    }
}
