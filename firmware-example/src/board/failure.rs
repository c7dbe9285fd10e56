//! What happens when the firmware cannot go on: it says why, and starts again.
//!
//! The host sees a new boot, and reports the run as incomplete. Under an emulator with semihosting the emulator ends.

use core::fmt::Arguments;
use core::panic::PanicInfo;

use cortex_m::peripheral::SCB;
use cortex_m_rt::{ExceptionFrame, exception};

/// Says why, and ends or restarts.
pub(crate) fn stop(why: Arguments<'_>) -> ! {
    #[cfg(feature = "semihosting")]
    {
        super::semihosting::print(why);
        super::semihosting::exit(false);
    }
    #[cfg(feature = "defmt")]
    defmt::error!("{}", defmt::Display2Format(&why));
    #[cfg(not(any(feature = "semihosting", feature = "defmt")))]
    let _ = why;
    SCB::sys_reset()
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    stop(format_args!("{info}"))
}

// SAFETY: the handler only says why; it relies on nothing that the fault may have broken, and does not return.
#[exception]
unsafe fn HardFault(frame: &ExceptionFrame) -> ! {
    stop(format_args!("the processor faults at {:#010x}", frame.pc()))
}
