//! Printing to the machine that runs QEMU, without the panics of [`core::fmt`].

use core::fmt::{Error, Result, Write as _};

use cortex_m_semihosting::hio::HostStream;

/// Prints a line of text that ends in a number.
///
/// # Errors
/// When it cannot be printed.
pub fn put(out: &mut HostStream, text: &[&str], number: u64) -> Result {
    let mut digits = [0; 20];
    let mut rest = number;
    let mut first = digits.len();
    for (place, digit) in digits.iter_mut().enumerate().rev() {
        *digit = b'0' + (rest % 10) as u8;
        (rest, first) = (rest / 10, place);
        if rest == 0 {
            break;
        }
    }
    let number = digits.get(first..).and_then(|digits| str::from_utf8(digits).ok()).ok_or(Error)?;
    for part in text.iter().chain([&number, &"\n"]) {
        out.write_str(part)?;
    }
    Ok(())
}
