//! The one place where this firmware touches memory that is not Rust's.

use core::ptr;

/// The 32-bit registers of a peripheral, by number: the offset in the data sheet, divided by four.
#[derive(Clone, Copy)]
pub(super) struct Registers(usize);

impl Registers {
    /// The registers from this address on.
    ///
    /// # Safety
    /// From `base` on there are 1 KB of device registers: aligned, with no memory of Rust's among them, and a read or
    /// write of any of them leaves Rust's memory alone.
    pub(super) const unsafe fn at(base: usize) -> Self {
        Self(base)
    }

    pub(super) fn read(self, number: u8) -> u32 {
        // SAFETY: the address is aligned and within the 1 KB of registers that `at` was promised.
        unsafe { ptr::read_volatile(self.address(number)) }
    }

    pub(super) fn write(self, number: u8, value: u32) {
        // SAFETY: as for `read`.
        unsafe { ptr::write_volatile(self.address(number), value) }
    }

    const fn address(self, number: u8) -> *mut u32 {
        (self.0 + 4 * number as usize) as *mut u32
    }
}
