//! A serial port: an Arm CMSDK UART, which has room for one byte in each direction.

use core::convert::Infallible;

use embedded_io::{ErrorType, Read, ReadReady, Write, WriteReady};

use super::register::Registers;

const DATA: u8 = 0;
const STATE: u8 = 1;
const CONTROL: u8 = 2;
const INTERRUPT: u8 = 3;
const DIVIDER: u8 = 4;

const TX_FULL: u32 = 1;
const RX_FULL: u32 = 1 << 1;

const TX_ENABLE: u32 = 1;
const RX_ENABLE: u32 = 1 << 1;
const TX_INTERRUPT: u32 = 1 << 2;
const RX_INTERRUPT: u32 = 1 << 3;

/// A serial port, polled: a byte is written only when there is room, so that none is lost.
#[derive(Clone, Copy)]
pub(crate) struct Uart(Registers);

impl Uart {
    /// Enables the port, and its interrupts where the processor has to wake up for it.
    ///
    /// `divider` is the processor's clock divided by the bits a second.
    pub(super) fn start(registers: Registers, divider: u32, wakes: bool) -> Self {
        registers.write(DIVIDER, divider);
        let interrupts = if wakes { TX_INTERRUPT | RX_INTERRUPT } else { 0 };
        registers.write(CONTROL, TX_ENABLE | RX_ENABLE | interrupts);
        Self(registers)
    }

    /// A port that was started before.
    #[cfg(feature = "defmt")]
    pub(super) fn new(registers: Registers) -> Self {
        Self(registers)
    }

    /// Whether a byte waits to be read.
    pub(super) fn has_byte(self) -> bool {
        self.0.read(STATE) & RX_FULL != 0
    }

    fn has_room(self) -> bool {
        self.0.read(STATE) & TX_FULL == 0
    }

    /// Lowers the interrupt lines; the next byte that comes or goes raises them again.
    pub(super) fn acknowledge(self) {
        self.0.write(INTERRUPT, self.0.read(INTERRUPT));
    }
}

impl ErrorType for Uart {
    type Error = Infallible;
}

impl ReadReady for Uart {
    fn read_ready(&mut self) -> Result<bool, Infallible> {
        Ok(self.has_byte())
    }
}

impl Read for Uart {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
        while !self.has_byte() && !buffer.is_empty() {}
        let mut length = 0;
        for place in buffer {
            if !self.has_byte() {
                break;
            }
            // The register's other bits are reserved.
            *place = (self.0.read(DATA) & 0xff) as u8;
            length += 1;
        }
        Ok(length)
    }
}

impl WriteReady for Uart {
    fn write_ready(&mut self) -> Result<bool, Infallible> {
        Ok(self.has_room())
    }
}

impl Write for Uart {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        while !self.has_room() && !bytes.is_empty() {}
        let mut length = 0;
        for byte in bytes {
            if !self.has_room() {
                break;
            }
            self.0.write(DATA, u32::from(*byte));
            length += 1;
        }
        Ok(length)
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        while !self.has_room() {}
        Ok(())
    }
}
