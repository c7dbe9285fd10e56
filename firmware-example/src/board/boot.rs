//! Tells boots apart, without flash or a clock that survives.

use core::mem::MaybeUninit;
use core::ptr;

/// Stands in memory while the count beside it is valid.
const MAGIC: u64 = 0x7068_6173_6562_6f6f;

/// The start-up code leaves this section alone, so that it survives a reset; after power-up it holds noise.
#[unsafe(link_section = ".uninit.boot")]
static mut BOOT: MaybeUninit<[u64; 2]> = MaybeUninit::uninit();

/// A number that differs from boot to boot: boots are counted as long as the power is on, from what the memory held
/// when it came on. `salt` is mixed in: what else is known to differ, or zero.
///
/// Call it once, at boot.
pub(crate) fn id(salt: u64) -> u64 {
    let place = (&raw mut BOOT).cast::<[u64; 2]>();
    // SAFETY: the place is aligned and nothing else refers to it; any bits are a number, and a volatile read takes
    // memory as it is.
    let [magic, count] = unsafe { ptr::read_volatile(place) };
    let count = if magic == MAGIC { count.wrapping_add(1) } else { mix(magic ^ mix(count)) };
    // SAFETY: as above.
    unsafe { ptr::write_volatile(place, [MAGIC, count]) };
    mix(count ^ mix(salt))
}

/// `SplitMix64`'s finalizer (Steele, Lea, Flood 2014): close numbers become distant ones.
fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
