//! The host behind a debugger, or QEMU: parameters, text, and an end.

use core::cell::Cell;
use core::fmt::Arguments;
use core::fmt::Write as _;

use cortex_m_semihosting::debug::{EXIT_FAILURE, EXIT_SUCCESS};
use cortex_m_semihosting::{debug, hio, nr, syscall, syscall1};

/// The command line, as far as it is UTF-8 and fits.
pub(crate) fn command_line(buffer: &mut [u8]) -> Option<&str> {
    let block = [Cell::new(buffer.as_mut_ptr() as usize), Cell::new(buffer.len())];
    // SAFETY: the host writes no more into the buffer than its length, which it gets, and its answer into the cells.
    let status = unsafe { syscall(nr::GET_CMDLINE, &block) };
    let [_, length] = block.map(Cell::into_inner);
    let line = buffer.get(..length).filter(|_| status == 0)?;
    str::from_utf8(line).ok().map(|line| line.trim_end_matches('\0'))
}

/// The host's time in seconds since 1970.
pub(crate) fn seconds() -> u64 {
    // SAFETY: the call takes no argument and touches no memory.
    let seconds = unsafe { syscall1(nr::TIME, 0) };
    seconds as u64
}

/// Prints a line on the host's standard output.
pub(crate) fn print(line: Arguments<'_>) {
    if let Ok(mut output) = hio::hstdout() {
        // Without a host that listens, there is nobody to tell.
        let _ = writeln!(output, "{line}");
    }
}

/// Ends QEMU, with status 0 or 1. A debugger may let the firmware go on instead.
pub(crate) fn exit(is_success: bool) {
    debug::exit(if is_success { EXIT_SUCCESS } else { EXIT_FAILURE });
}
