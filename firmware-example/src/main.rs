//! The load generator on a board: where it is, what it is asked, and a loop that polls and sleeps.

#![no_std]
#![no_main]
#![deny(unsafe_code)]

#[allow(unsafe_code, reason = "hardware is reached through addresses; each use says why it is sound")]
mod board;
#[cfg(feature = "semihosting")]
mod repeatable;

use core::net::{Ipv4Addr, SocketAddrV4};

use cortex_m_rt::entry;
use phasemeter_core::telemetry::Identity;
use phasemeter_core::time::{Duration, Instant};
use phasemeter_firmware::app::{App, Config, Storage};
use phasemeter_firmware::net::Place;
use phasemeter_firmware::parameters::Parameters;
use smoltcp::phy::Device;
use smoltcp::wire::Ipv4Cidr;
use static_cell::ConstStaticCell;

use board::{Board, BoardClock, CLOCK_HZ, Sleep, Uart};

/// Locally administered: of no maker.
const MAC: [u8; 6] = [0x02, 0x00, 0x00, 0x50, 0x4d, 0x01];
/// Where QEMU's user network has its guest; `GATEWAY` is the host.
const ADDRESS: Ipv4Cidr = Ipv4Cidr::new(Ipv4Addr::new(10, 0, 2, 15), 24);
const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
/// The server, unless the host names one.
const TARGET: SocketAddrV4 = SocketAddrV4::new(GATEWAY, 8080);

/// Who has not heard from a host by then runs the built-in plan.
const BUILT_IN_AT: Instant = Instant::BOOT.saturating_add(Duration::from_secs(10));

static STORAGE: ConstStaticCell<Storage> = ConstStaticCell::new(Storage::new());

#[entry]
fn main() -> ! {
    let mut line = [0; 512];
    let parameters = parameters(&mut line);
    let board = match Board::start(MAC) {
        Ok(board) => board,
        Err(error) => board::failure::stop(format_args!("the board does not start: {error}")),
    };
    let config = Config {
        identity: Identity {
            device_id: "mps2-an386",
            boot_id: boot_id(&parameters),
            firmware: env!("CARGO_PKG_NAME"),
            firmware_version: env!("CARGO_PKG_VERSION"),
            clock_hz: CLOCK_HZ,
        },
        place: Place { mac: MAC, address: ADDRESS, gateway: Some(GATEWAY) },
        target: parameters.target.unwrap_or(TARGET),
        built_in_at: Some(if parameters.starts { Instant::BOOT } else { BUILT_IN_AT }),
        metering: parameters.metering,
    };
    #[cfg(feature = "semihosting")]
    if parameters.is_scripted {
        repeatable::run(config, board, parameters.exits);
    }
    let Board { clock, network, serial, sleep } = board;
    let app = App::new(config, STORAGE.take(), network, clock, serial);
    poll_and_sleep(app, || Instant::MAX, sleep, parameters.exits)
}

/// The loop. `beside` does what else there is to do, and tells when it has to be called again.
fn poll_and_sleep<D: Device>(
    mut app: App<D, BoardClock, Uart>,
    mut beside: impl FnMut() -> Instant,
    mut sleep: Sleep,
    exits: bool,
) -> ! {
    loop {
        let until = app.poll();
        if exits && app.is_over() {
            finish(&mut sleep);
        }
        sleep.until(until.min(beside()));
    }
}

/// What the person who started the firmware asks for.
#[cfg(feature = "semihosting")]
fn parameters(line: &mut [u8]) -> Parameters {
    let Some(line) = board::semihosting::command_line(line) else {
        board::failure::stop(format_args!("the command line is too long"));
    };
    match Parameters::parse(line) {
        Ok(parameters) => parameters,
        Err(error) => board::failure::stop(format_args!("{error}")),
    }
}

#[cfg(not(feature = "semihosting"))]
fn parameters(_: &mut [u8]) -> Parameters {
    Parameters::default()
}

/// Scripted runs repeat to the last bit.
#[cfg(feature = "semihosting")]
fn boot_id(parameters: &Parameters) -> u64 {
    board::boot::id(if parameters.is_scripted { 0 } else { board::semihosting::seconds() })
}

#[cfg(not(feature = "semihosting"))]
fn boot_id(_: &Parameters) -> u64 {
    board::boot::id(0)
}

/// Says what the run took, and ends the emulator.
#[cfg(feature = "semihosting")]
fn finish(sleep: &mut board::Sleep) {
    let (slept, up) = sleep.statistics();
    let percent = slept.as_nanos() * 100 / up.as_nanos().max(1);
    board::semihosting::print(format_args!("stack: {} bytes", board::stack::high_water()));
    board::semihosting::print(format_args!("asleep: {percent} %"));
    board::semihosting::exit(true);
}

#[cfg(not(feature = "semihosting"))]
fn finish(_: &mut board::Sleep) {}
