//! How much stack was used: the runtime paints it before `main`, and use takes the paint off.

use core::ptr;

use cortex_m_rt::STACK_PAINT_VALUE;

unsafe extern "C" {
    /// The lowest word of the stack. The linker's: it has an address and no value.
    static _stack_end: u32;
    /// The first word above the stack.
    static _stack_start: u32;
}

/// The most bytes of stack that were ever in use since boot.
pub(crate) fn high_water() -> usize {
    let (mut word, start) = (&raw const _stack_end, &raw const _stack_start);
    // SAFETY: from the one symbol to the other there is memory, aligned, which only the stack uses; a word that changes
    // meanwhile is in use, and its neighbours below are the ones that matter.
    while word < start && unsafe { ptr::read_volatile(word) } == STACK_PAINT_VALUE {
        word = word.wrapping_add(1);
    }
    start.addr() - word.addr()
}
