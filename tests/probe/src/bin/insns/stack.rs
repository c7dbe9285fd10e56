//! Stack high-water marks: the free stack is painted, and then searched for the deepest word that lost its paint.

use core::ptr;

use cortex_m::register::msp;

const PAINT: u32 = 0xa5a5_a5a5;
/// How much is painted, in bytes.
const DEPTH: usize = 65_536;

/// The bytes of stack that `work` needs.
pub fn used(work: impl FnOnce()) -> u32 {
    deepest(work).saturating_sub(deepest(|| ()))
}

#[inline(never)]
fn deepest(work: impl FnOnce()) -> u32 {
    let top = msp::read() as usize as *mut u32;
    let words = DEPTH / size_of::<u32>();
    let mut down = words;
    while down > 0 {
        // SAFETY: the stack grows down to the end of 4 MB of memory, so that this is memory, and nothing is in it:
        // interrupts are off, the frame of this function ends above, and no function is called here.
        unsafe { ptr::write_volatile(top.wrapping_sub(down), PAINT) };
        down -= 1;
    }
    call(work);
    let mut untouched = 0;
    // SAFETY: as above.
    while untouched < words && unsafe { ptr::read_volatile(top.wrapping_sub(words - untouched)) } == PAINT {
        untouched += 1;
    }
    u32::try_from(size_of::<u32>() * (words - untouched)).unwrap_or(u32::MAX)
}

/// Keeps the variables of `work` out of the caller's frame, where they would not be seen.
#[inline(never)]
fn call(work: impl FnOnce()) {
    work();
}
