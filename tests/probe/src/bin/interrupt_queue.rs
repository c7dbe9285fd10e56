//! A monitor that an interrupt records to through a queue: a few instructions, and it never waits.
//!
//! What finds the queue full is counted, and the count is a metric as well.

#![no_std]
#![no_main]

use core::cell::Cell;
use core::sync::atomic::{AtomicU32, Ordering};

use cortex_m::Peripherals;
use cortex_m_rt::{entry, exception};
use critical_section::Mutex;
use heapless::spsc::{Consumer, Producer, Queue};
use phasemeter_core::metric::Metric;
use phasemeter_core::monitor::{Monitor, Storage};
use phasemeter_core::telemetry::{Identity, TelemetryConfig};
use phasemeter_probe::bench::{Line, Values, compare, lose, measure, now, start, truth};

const METRICS: [Metric<'static>; 2] = [Metric::time("handler"), Metric::count("queue_full")];
const HANDLER: u8 = 0;
const QUEUE_FULL: usize = 1;

/// A metric, and a value of it.
type Sample = (u8, u32);

/// The interrupt's end of the queue, until it takes it.
static PRODUCER: Mutex<Cell<Option<Producer<'static, Sample>>>> = Mutex::new(Cell::new(None));

/// Values that found the queue full. Only the interrupt writes it, so that a core without compare-and-swap does as well.
static FULL: AtomicU32 = AtomicU32::new(0);

#[exception]
fn SysTick() {
    static mut SAMPLES: Option<Producer<'static, Sample>> = None;

    let took = measure();
    if SAMPLES.is_none() {
        *SAMPLES = critical_section::with(|cs| PRODUCER.borrow(cs).take());
    }
    let Some(samples) = SAMPLES else { return };
    if samples.enqueue((HANDLER, took)).is_err() {
        FULL.store(FULL.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        lose(took);
    }
}

#[entry]
fn main() -> ! {
    static mut STORAGE: Storage<2, 256, 1024> = Storage::new();
    static mut QUEUE: Queue<Sample, 64> = Queue::new();

    let mut log = Monitor::new(STORAGE, Identity::new("logger-1", 1), &METRICS, TelemetryConfig::default());
    let (producer, mut samples) = QUEUE.split();
    critical_section::with(|cs| PRODUCER.borrow(cs).set(Some(producer)));
    let Some(Peripherals { SYST: mut timer, .. }) = Peripherals::take() else { phasemeter_probe::idle() };
    log.open("in time", now()).ok();
    start(&mut timer);

    let (mut line, mut full) = (Line::new(), 0);
    while truth().0.count < 20_000 {
        record(&mut log, &mut samples, &mut full);
        log.poll(now());
        log.drain(&mut line).ok();
    }
    let lost_in_time = truth().1;
    // Now and then the main loop has other work, for longer than the queue lasts.
    while truth().0.count < 40_000 {
        cortex_m::asm::delay(500_000);
        record(&mut log, &mut samples, &mut full);
        log.poll(now());
        log.drain(&mut line).ok();
    }
    timer.disable_interrupt();
    record(&mut log, &mut samples, &mut full);
    log.close(now());
    while !log.is_idle() {
        log.poll(now());
        log.drain(&mut line).ok();
    }

    let (measured, lost) = truth();
    let full = Values { count: line.told(QUEUE_FULL).sum, ..lost };
    let parts = [
        ("handler", measured.without(lost), line.told(HANDLER.into())),
        ("lost while in time", Values::default(), lost_in_time),
        ("queue full", lost, full),
    ];
    compare(&parts, line.is_whole() && lost.count > 0)
}

/// Takes what waits in the queue, and how often it was full since the last time.
fn record(log: &mut Monitor<'_, 2, 256, 1024>, samples: &mut Consumer<'_, Sample>, full: &mut u32) {
    while let Some((metric, value)) = samples.dequeue() {
        log.record(metric.into(), value.into());
    }
    let now_full = FULL.load(Ordering::Relaxed);
    let more = now_full.wrapping_sub(*full);
    if more > 0 {
        log.record(QUEUE_FULL, more.into());
        *full = now_full;
    }
}
