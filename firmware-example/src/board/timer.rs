//! The counter behind the clock: an Arm CMSDK timer, 32 bits, at the rate of the processor.
//!
//! The processor's own cycle counter is not used: QEMU's never counts, and hardware's stops while the processor sleeps.

use super::register::Registers;

const CONTROL: u8 = 0;
const VALUE: u8 = 1;
const RELOAD: u8 = 2;

const ENABLE: u32 = 1;

/// More reads than a counter at the processor's rate can stand still for.
const READS: u32 = 1_000;

/// Starts the timer, and proves that it counts: with a clock that stands still, every latency would be zero.
pub(super) fn start(registers: Registers) -> Option<()> {
    registers.write(RELOAD, u32::MAX);
    registers.write(VALUE, u32::MAX);
    registers.write(CONTROL, ENABLE);
    let first = ticks(registers);
    (0..READS).any(|_| ticks(registers) != first).then_some(())
}

/// How many ticks have passed, wrapping. The timer counts down.
pub(super) fn ticks(registers: Registers) -> u32 {
    !registers.read(VALUE)
}
