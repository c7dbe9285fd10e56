//! A monitor in an async firmware: an interrupt sends what it measures, a task records it, and another task reports.
//!
//! All tasks run on one executor, in thread mode, and none holds the monitor across an `await`: no two are in it at once.
//! The time is that of the bench's interrupt; with `embassy-time`, the reporting task waits for `Timer::at` of what `poll`
//! says instead.

#![no_std]
#![no_main]

use core::cell::RefCell;

use cortex_m::Peripherals;
use cortex_m::peripheral::SYST;
use cortex_m_rt::exception;
use embassy_executor::Spawner;
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::channel::Channel;
use embassy_sync::signal::Signal;
use phasemeter_core::metric::Metric;
use phasemeter_core::monitor::{Monitor, Storage};
use phasemeter_core::telemetry::{Identity, TelemetryConfig};
use phasemeter_core::time::{Duration, Instant};
use phasemeter_probe::bench::{Line, compare, lose, measure, now, start, truth};

const METRICS: [Metric<'static>; 2] = [Metric::time("handler"), Metric::count("samples_per_wake")];
const HANDLER: usize = 0;
const SAMPLES_PER_WAKE: usize = 1;

type Log = Monitor<'static, 2, 256, 1024>;

static SAMPLES: Channel<CriticalSectionRawMutex, u32, 64> = Channel::new();
static TICK: Signal<CriticalSectionRawMutex, Instant> = Signal::new();

#[exception]
fn SysTick() {
    let took = measure();
    if SAMPLES.try_send(took).is_err() {
        lose(took);
    }
    TICK.signal(now());
}

/// Records what the interrupt sends, and how much of it waited.
#[embassy_executor::task]
async fn record(log: &'static RefCell<Log>) {
    loop {
        let first = SAMPLES.receive().await;
        record_all(&mut log.borrow_mut(), first);
    }
}

fn record_all(log: &mut Log, first: u32) {
    let (mut next, mut samples) = (Some(first), 0);
    while let Some(took) = next {
        log.record(HANDLER, took.into());
        samples += 1;
        next = SAMPLES.try_receive().ok();
    }
    log.record(SAMPLES_PER_WAKE, samples);
}

/// Reports, and goes to another phase each second.
#[embassy_executor::task]
async fn report(log: &'static RefCell<Log>, mut timer: SYST) {
    let mut line = Line::new();
    for next in [Some("idle"), Some("busy"), None] {
        let (mut due, end) = (Instant::BOOT, now().saturating_add(Duration::from_secs(1)));
        loop {
            let now = TICK.wait().await;
            if now >= end {
                break;
            }
            if now >= due {
                due = log.borrow_mut().poll(now);
            }
            log.borrow_mut().drain(&mut line).ok();
        }
        let mut log = log.borrow_mut();
        if next.is_none() {
            timer.disable_interrupt();
            if let Ok(first) = SAMPLES.try_receive() {
                record_all(&mut log, first);
            }
        }
        log.close(now());
        while !log.is_idle() {
            log.poll(now());
            log.drain(&mut line).ok();
        }
        if let Some(name) = next {
            log.open(name, now()).expect("the phase before is reported");
        }
    }
    let (measured, lost) = truth();
    compare(&[("handler", measured.without(lost), line.told(HANDLER))], line.is_whole())
}

#[embassy_executor::main]
async fn main(spawner: Spawner) {
    let storage = cortex_m::singleton!(STORAGE: Storage<2, 256, 1024> = Storage::new()).expect("there is one main");
    let mut log = Monitor::new(storage, Identity::new("logger-1", 1), &METRICS, TelemetryConfig::default());
    log.open("boot", now()).expect("it is the first phase");
    let log = cortex_m::singleton!(LOG: RefCell<Log> = RefCell::new(log)).expect("there is one main");
    let mut timer = Peripherals::take().expect("nobody has taken them before").SYST;
    start(&mut timer);
    spawner.spawn(record(log).expect("there is one such task"));
    spawner.spawn(report(log, timer).expect("there is one such task"));
}
