//! The network device: an SMSC LAN9118, as smoltcp sees it.
//!
//! Frames go through two FIFOs of 32-bit words. The chip's fast-forward, which skips a frame, is not used: QEMU's model
//! leaks room with it, so that unwanted frames are read out like the others.

use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;

use super::register::Registers;

const RX_DATA: u8 = 0;
const TX_DATA: u8 = 0x20 / 4;
const RX_STATUS: u8 = 0x40 / 4;
const TX_STATUS: u8 = 0x48 / 4;
const IRQ_CFG: u8 = 0x54 / 4;
const INT_STS: u8 = 0x58 / 4;
const INT_EN: u8 = 0x5c / 4;
const BYTE_TEST: u8 = 0x64 / 4;
const FIFO_INT: u8 = 0x68 / 4;
const RX_CFG: u8 = 0x6c / 4;
const TX_CFG: u8 = 0x70 / 4;
const HW_CFG: u8 = 0x74 / 4;
const RX_FIFO_INF: u8 = 0x7c / 4;
const TX_FIFO_INF: u8 = 0x80 / 4;
const MAC_CSR_CMD: u8 = 0xa4 / 4;
const MAC_CSR_DATA: u8 = 0xa8 / 4;

/// What `BYTE_TEST` always reads.
const SIGNATURE: u32 = 0x8765_4321;
const SOFT_RESET: u32 = 1;
/// Of 16 KB of FIFO, 5 for sending; the high bit must be one.
const FIFO_SIZES: u32 = 1 << 20 | 5 << 16;
const TX_ON: u32 = 1 << 1;
/// Enabled, active high, push-pull.
const IRQ_ENABLED: u32 = 0x111;
/// The receive status FIFO is above its level, which is zero: a frame has come.
const FRAME_RECEIVED: u32 = 1 << 3;

const MAC_BUSY: u32 = 1 << 31;
const MAC_CR: u32 = 1;
const ADDRH: u32 = 2;
const ADDRL: u32 = 3;
const MAC_TX_ENABLE: u32 = 1 << 3;
const MAC_RX_ENABLE: u32 = 1 << 2;

const RX_ERROR: u32 = 1 << 15;
const FIRST_AND_LAST_SEGMENT: u32 = 1 << 13 | 1 << 12;

/// The longest frame, without its check sequence.
const MTU: usize = 1514;
/// The longest frame with its check sequence, in whole words.
const BUFFER: usize = 1520;
const CHECK_SEQUENCE: usize = 4;

/// More polls than a reset or an access to the MAC takes.
const PATIENCE: u32 = 1_000_000;

/// A buffer for one frame in each direction.
pub(super) struct Buffers {
    received: [u8; BUFFER],
    sent: [u8; BUFFER],
}

impl Buffers {
    pub(super) const fn new() -> Self {
        Self { received: [0; BUFFER], sent: [0; BUFFER] }
    }
}

/// The chip.
pub(crate) struct Lan9118 {
    registers: Registers,
    buffers: &'static mut Buffers,
}

/// What is needed to wait for a frame while the network stack has the device.
#[derive(Clone, Copy)]
pub(super) struct FrameSignal(Registers);

impl FrameSignal {
    /// Whether a frame waits to be read.
    pub(super) fn has_frame(self) -> bool {
        has_frame(self.0)
    }

    /// Lowers the interrupt line; the next frame raises it again.
    pub(super) fn acknowledge(self) {
        self.0.write(INT_STS, FRAME_RECEIVED);
    }
}

impl Lan9118 {
    /// Resets the chip and starts sending and receiving; `None` if there is no such chip or it does not come up.
    pub(super) fn start(registers: Registers, buffers: &'static mut Buffers, mac: [u8; 6]) -> Option<Self> {
        wait_until(|| registers.read(BYTE_TEST) == SIGNATURE)?;
        registers.write(HW_CFG, SOFT_RESET);
        wait_until(|| registers.read(HW_CFG) & SOFT_RESET == 0)?;
        registers.write(HW_CFG, FIFO_SIZES);
        let [low @ .., fifth, sixth] = mac;
        set_mac(registers, ADDRL, u32::from_le_bytes(low))?;
        set_mac(registers, ADDRH, u32::from_le_bytes([fifth, sixth, 0, 0]))?;
        registers.write(RX_CFG, 0);
        registers.write(TX_CFG, TX_ON);
        registers.write(FIFO_INT, 0);
        registers.write(INT_STS, u32::MAX);
        registers.write(INT_EN, FRAME_RECEIVED);
        registers.write(IRQ_CFG, IRQ_ENABLED);
        set_mac(registers, MAC_CR, MAC_TX_ENABLE | MAC_RX_ENABLE)?;
        Some(Self { registers, buffers })
    }

    /// What the board waits with.
    pub(super) fn signal(&self) -> FrameSignal {
        FrameSignal(self.registers)
    }

    /// Takes the next whole frame out of the chip, and gives its length without the check sequence.
    fn take_frame(&mut self) -> Option<usize> {
        while has_frame(self.registers) {
            let status = self.registers.read(RX_STATUS);
            let length = (status >> 16 & 0x3fff) as usize;
            let mut places = self.buffers.received.chunks_exact_mut(4);
            for _ in 0..length.div_ceil(4) {
                let word = self.registers.read(RX_DATA).to_le_bytes();
                if let Some(place) = places.next() {
                    place.copy_from_slice(&word);
                }
            }
            if status & RX_ERROR == 0 && (CHECK_SEQUENCE..=BUFFER).contains(&length) {
                return Some(length - CHECK_SEQUENCE);
            }
        }
        None
    }

    /// Whether the chip takes one more frame. What it says about the frames before is read, or it would stop sending.
    fn has_room(&self) -> bool {
        let fifo = self.registers.read(TX_FIFO_INF);
        for _ in 0..(fifo >> 16 & 0xff) {
            self.registers.read(TX_STATUS);
        }
        // Two words of command come before a frame.
        (fifo & 0xffff) as usize >= BUFFER + 8
    }

    fn split(&mut self, length: usize) -> (Received<'_>, ToSend<'_>) {
        let frame = self.buffers.received.get(..length).unwrap_or_default();
        (Received(frame), ToSend { registers: self.registers, buffer: &mut self.buffers.sent })
    }
}

fn has_frame(registers: Registers) -> bool {
    registers.read(RX_FIFO_INF) >> 16 & 0xff != 0
}

fn set_mac(registers: Registers, register: u32, value: u32) -> Option<()> {
    registers.write(MAC_CSR_DATA, value);
    registers.write(MAC_CSR_CMD, MAC_BUSY | register);
    wait_until(|| registers.read(MAC_CSR_CMD) & MAC_BUSY == 0)
}

fn wait_until(mut is_done: impl FnMut() -> bool) -> Option<()> {
    (0..PATIENCE).any(|_| is_done()).then_some(())
}

impl Device for Lan9118 {
    type RxToken<'a> = Received<'a>;
    type TxToken<'a> = ToSend<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Received<'_>, ToSend<'_>)> {
        // A frame is taken only when its answer has room: both tokens are given together.
        if !self.has_room() {
            return None;
        }
        self.take_frame().map(|length| self.split(length))
    }

    fn transmit(&mut self, _: Instant) -> Option<ToSend<'_>> {
        self.has_room().then_some(ToSend { registers: self.registers, buffer: &mut self.buffers.sent })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = MTU;
        capabilities
    }
}

/// A received frame.
pub(crate) struct Received<'a>(&'a [u8]);

impl RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

/// Room for a frame to send.
pub(crate) struct ToSend<'a> {
    registers: Registers,
    buffer: &'a mut [u8; BUFFER],
}

impl TxToken for ToSend<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, f: F) -> R {
        // smoltcp asks for no more than the transmission unit.
        let (frame, _) = self.buffer.split_at_mut(length.min(MTU));
        let result = f(frame);
        #[expect(clippy::cast_possible_truncation, reason = "at most the transmission unit")]
        let length = frame.len() as u32;
        self.registers.write(TX_DATA, FIRST_AND_LAST_SEGMENT | length);
        self.registers.write(TX_DATA, length);
        for chunk in self.buffer.chunks_exact(4).take(length.div_ceil(4) as usize) {
            if let &[a, b, c, d] = chunk {
                self.registers.write(TX_DATA, u32::from_le_bytes([a, b, c, d]));
            }
        }
        result
    }
}
