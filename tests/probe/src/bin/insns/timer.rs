//! Executed instructions, from timer 0 of the machine mps2-an386.
//!
//! With `-icount shift=6` an instruction takes 64 ns of the machine's time, and the timer counts every 40 ns.

use core::{arch, ptr};

const CONTROL: *mut u32 = 0x4000_0000 as *mut u32;
const VALUE: *mut u32 = 0x4000_0004 as *mut u32;
const RELOAD: *mut u32 = 0x4000_0008 as *mut u32;

const ENABLE: u32 = 1;
const NANOS_PER_TICK: u64 = 40;
const NANOS_PER_INSTRUCTION: u64 = 64;

/// How many instructions `work` executes, without the reading of the timer.
pub fn instructions(work: impl FnOnce()) -> u32 {
    start();
    let nothing = ticks(|| ());
    let ticks = u64::from(ticks(work).saturating_sub(nothing));
    u32::try_from((ticks * NANOS_PER_TICK).div_ceil(NANOS_PER_INSTRUCTION)).unwrap_or(u32::MAX)
}

/// Whether a thousand instructions are counted as a thousand: not without `-icount shift=6`.
pub fn is_exact() -> bool {
    // SAFETY: this does nothing, a thousand times.
    instructions(|| unsafe { arch::asm!(".rept 1000", "nop", ".endr") }).abs_diff(1000) <= 1
}

fn ticks(work: impl FnOnce()) -> u32 {
    let before = value();
    work();
    // It counts down, and wraps after 171 s.
    before.wrapping_sub(value())
}

fn start() {
    // SAFETY: these are registers of the machine that this image is for, and nothing else uses them.
    unsafe {
        ptr::write_volatile(RELOAD, u32::MAX);
        ptr::write_volatile(VALUE, u32::MAX);
        ptr::write_volatile(CONTROL, ENABLE);
    }
}

#[inline(never)]
fn value() -> u32 {
    // SAFETY: reading this register has no effect.
    unsafe { ptr::read_volatile(VALUE) }
}
