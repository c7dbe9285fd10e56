//! Ctrl-C, SIGTERM and SIGHUP: the first asks to end cleanly, the second ends at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;

/// The exit code of a process that a signal ended, as shells have it for Ctrl-C.
const INTERRUPTED: i32 = 130;

/// Watches for interrupts; `on_first` runs at the first, and the flag is set.
pub(super) fn watch(on_first: impl Fn() + Send + 'static) -> anyhow::Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&flag);
    ctrlc::set_handler(move || {
        if seen.swap(true, Ordering::Relaxed) {
            std::process::exit(INTERRUPTED);
        }
        on_first();
    })
    .context("cannot watch for Ctrl-C")?;
    Ok(flag)
}
