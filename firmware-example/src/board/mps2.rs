//! Arm's MPS2 with the AN386 image, as QEMU emulates it (`-machine mps2-an386`): where its devices are.

use core::fmt;

use cortex_m::Peripherals;
use cortex_m::interrupt::InterruptNumber;
use cortex_m::peripheral::NVIC;
use phasemeter_core::time::TickClock;
use static_cell::ConstStaticCell;

use super::lan9118::{Buffers, Lan9118};
use super::register::Registers;
use super::sleep::Sleep;
use super::timer;
use super::uart::Uart;

/// The rate of the processor, the timers and the serial ports.
pub(crate) const CLOCK_HZ: u32 = 25_000_000;

/// The clock that latencies are measured with; it has to be read once in 171 s.
pub(crate) type BoardClock = TickClock<fn() -> u32, CLOCK_HZ>;

const BITS_PER_SECOND: u32 = 921_600;
const DIVIDER: u32 = CLOCK_HZ / BITS_PER_SECOND;

// SAFETY: CMSDK timer 0 by the board's memory map; it writes no memory.
const TIMER: Registers = unsafe { Registers::at(0x4000_0000) };
// SAFETY: CMSDK UART 1 by the board's memory map; it writes no memory.
const TELEMETRY: Registers = unsafe { Registers::at(0x4000_5000) };
// SAFETY: CMSDK UART 2 by the board's memory map; it writes no memory.
#[cfg(feature = "defmt")]
const LOG: Registers = unsafe { Registers::at(0x4000_6000) };
// SAFETY: the LAN9118 by the board's memory map; it has no access to memory.
const NETWORK: Registers = unsafe { Registers::at(0x4020_0000) };

static FRAMES: ConstStaticCell<Buffers> = ConstStaticCell::new(Buffers::new());

/// What ends a sleep.
#[derive(Clone, Copy)]
pub(super) enum Interrupt {
    SerialReceived,
    SerialSent,
    Network,
}

impl Interrupt {
    pub(super) const ALL: [Self; 3] = [Self::SerialReceived, Self::SerialSent, Self::Network];
}

// SAFETY: these are the interrupts' numbers on the board; no two are the same.
unsafe impl InterruptNumber for Interrupt {
    fn number(self) -> u16 {
        match self {
            Self::SerialReceived => 2,
            Self::SerialSent => 3,
            Self::Network => 13,
        }
    }
}

/// Why the board does not come up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BoardError {
    /// It was taken before.
    Taken,
    /// The clock does not advance.
    ClockStands,
    /// No network device answers.
    NoNetwork,
}

impl fmt::Display for BoardError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Taken => "the board was taken before",
            Self::ClockStands => "the clock does not advance",
            Self::NoNetwork => "no LAN9118 answers: start QEMU with -nic user,model=lan9118",
        })
    }
}

/// The devices, ready for use.
pub(crate) struct Board {
    /// The clock.
    pub(crate) clock: BoardClock,
    /// The network device.
    pub(crate) network: Lan9118,
    /// The line to the host.
    pub(crate) serial: Uart,
    /// Waits for the others.
    pub(crate) sleep: Sleep,
}

impl Board {
    /// Starts everything; interrupts are off from here on.
    ///
    /// # Errors
    /// [`BoardError`] when a device does not work.
    pub(crate) fn start(mac: [u8; 6]) -> Result<Self, BoardError> {
        cortex_m::interrupt::disable();
        let core = Peripherals::take().ok_or(BoardError::Taken)?;
        timer::start(TIMER).ok_or(BoardError::ClockStands)?;
        #[cfg(feature = "defmt")]
        Uart::start(LOG, DIVIDER, false);
        let network = Lan9118::start(NETWORK, FRAMES.take(), mac).ok_or(BoardError::NoNetwork)?;
        let serial = Uart::start(TELEMETRY, DIVIDER, true);
        for interrupt in Interrupt::ALL {
            // SAFETY: interrupts are off for good, so that no critical section is broken and no handler is entered.
            unsafe { NVIC::unmask(interrupt) };
        }
        // The sleeper's clock starts first: it may wake up a little early, and never late.
        let sleep = Sleep::new(core.SYST, clock(), network.signal(), serial);
        Ok(Self { clock: clock(), network, serial, sleep })
    }
}

/// A clock that counts from now on. All clocks are one counter.
pub(crate) fn clock() -> BoardClock {
    TickClock::new(|| timer::ticks(TIMER))
}

/// The line that logs go to.
#[cfg(feature = "defmt")]
pub(super) fn log_line() -> Uart {
    Uart::new(LOG)
}
