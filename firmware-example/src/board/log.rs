//! defmt's logger, on a serial line of its own.

use core::cell::UnsafeCell;

use defmt::{Encoder, Logger, global_logger};
use embedded_io::{Write as _, WriteReady as _};

use super::mps2;
use super::uart::Uart;

/// Polls for room before a byte is dropped: a log that nobody reads must not stop the load. At 921,600 bits a second
/// there is room after 11 µs, which is 50 polls.
const PATIENCE: u32 = 1_000;

struct SerialLogger(UnsafeCell<Encoder>);

// SAFETY: the firmware has one thread and no interrupt handler, so that nothing is ever shared.
unsafe impl Sync for SerialLogger {}

static ENCODER: SerialLogger = SerialLogger(UnsafeCell::new(Encoder::new()));

#[global_logger]
struct Log;

/// Lets `change` at the encoder.
fn with_encoder(change: impl FnOnce(&mut Encoder)) {
    // SAFETY: there is one thread, and what is done to the encoder only writes bytes: it never comes back here.
    change(unsafe { &mut *ENCODER.0.get() });
}

/// A byte that finds no room is lost; the decoder picks up at the next frame.
fn put(bytes: &[u8]) {
    let mut line: Uart = mps2::log_line();
    for byte in bytes {
        if (0..PATIENCE).any(|_| line.write_ready().unwrap_or(true)) {
            let Ok(_) = line.write(core::slice::from_ref(byte));
        }
    }
}

// SAFETY: there is one thread and no interrupt handler, so that acquiring cannot fail and needs no lock.
unsafe impl Logger for Log {
    fn acquire() {
        with_encoder(|encoder| encoder.start_frame(put));
    }

    unsafe fn flush() {}

    unsafe fn release() {
        with_encoder(|encoder| encoder.end_frame(put));
    }

    unsafe fn write(bytes: &[u8]) {
        with_encoder(|encoder| encoder.write(bytes, put));
    }
}
