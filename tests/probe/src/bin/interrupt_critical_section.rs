//! A monitor that an interrupt records to: both sides reach it in a critical section.
//!
//! The interrupt waits while the main loop makes a report. Where that is too long, let it go through a queue, as in
//! `interrupt_queue.rs`.

#![no_std]
#![no_main]

use core::cell::RefCell;

use cortex_m::Peripherals;
use cortex_m_rt::{entry, exception};
use critical_section::Mutex;
use phasemeter_core::metric::Metric;
use phasemeter_core::monitor::{Monitor, Storage};
use phasemeter_core::telemetry::{Identity, TelemetryConfig};
use phasemeter_core::time::Duration;
use phasemeter_probe::bench::{Line, compare, measure, now, start, truth};

const METRICS: [Metric<'static>; 1] = [Metric::time("handler")];
const HANDLER: usize = 0;

type Log = Monitor<'static, 1, 256, 1024>;

static LOG: Mutex<RefCell<Option<Log>>> = Mutex::new(RefCell::new(None));

/// Does something with the monitor while no interrupt can.
fn with_log<R>(work: impl FnOnce(&mut Log) -> R) -> Option<R> {
    critical_section::with(|cs| {
        // Nobody has borrowed it: that is only done here, and ends before another can begin.
        let mut log = LOG.borrow(cs).try_borrow_mut().ok()?;
        log.as_mut().map(work)
    })
}

#[exception]
fn SysTick() {
    let took = Duration::from_nanos(measure().into());
    with_log(|log| log.record_time(HANDLER, took));
}

#[entry]
fn main() -> ! {
    static mut STORAGE: Storage<1, 256, 1024> = Storage::new();

    let mut log = Monitor::new(STORAGE, Identity::new("logger-1", 1), &METRICS, TelemetryConfig::default());
    log.open("sampling", now()).ok();
    critical_section::with(|cs| {
        if let Ok(mut slot) = LOG.borrow(cs).try_borrow_mut() {
            *slot = Some(log);
        }
    });
    let Some(Peripherals { SYST: mut timer, .. }) = Peripherals::take() else { phasemeter_probe::idle() };
    start(&mut timer);

    let mut line = Line::new();
    while truth().0.count < 20_000 {
        with_log(|log| log.poll(now()));
        // A little at a time: the interrupt is not to wait for the line.
        with_log(|log| log.drain(&mut line));
        // A firmware does its work here, or sleeps until the next interrupt.
    }
    timer.disable_interrupt();
    with_log(|log| log.close(now()));
    while with_log(|log| log.is_idle()) == Some(false) {
        with_log(|log| log.poll(now()));
        with_log(|log| log.drain(&mut line));
    }
    compare(&[("handler", truth().0, line.told(HANDLER))], line.is_whole())
}
