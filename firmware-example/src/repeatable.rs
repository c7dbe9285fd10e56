//! A run that repeats to the last bit: the server is a script within the firmware, at the end of a wire in memory.

use phasemeter_core::time::{Clock as _, Duration, Instant};
use phasemeter_firmware::app::{App, Config};
use phasemeter_firmware::scripted::{Fault, Script, ScriptedPeer, ScriptedStorage};
use phasemeter_firmware::wire::Wire;
use smoltcp::wire::Ipv4Cidr;
use static_cell::ConstStaticCell;

use crate::board::{Board, clock};
use crate::{GATEWAY, STORAGE, poll_and_sleep};

const SCRIPT: Script = Script {
    // At once: a closed loop then does nothing but execute instructions, which can be counted.
    latency: Duration::ZERO,
    first_token: Duration::from_millis(20),
    inter_token: Duration::from_millis(3),
    tokens: 16,
    // Of each hundred requests one fails.
    fault: |number| if number % 100 == 99 { Fault::Status500 } else { Fault::None },
};

static WIRE: ConstStaticCell<Wire> = ConstStaticCell::new(Wire::new());
static PEER: ConstStaticCell<ScriptedStorage> = ConstStaticCell::new(ScriptedStorage::new());

/// Takes the place of the network.
// Its variables are kept out of the frame of `main`, whose stack is measured.
#[inline(never)]
pub(crate) fn run(config: Config, board: Board, exits: bool) -> ! {
    let [near, far] = WIRE.take().ends();
    let address = Ipv4Cidr::new(GATEWAY, 24);
    let mut peer = ScriptedPeer::new(far, address, config.target.port(), SCRIPT, PEER.take());
    let mut now = clock();
    let app = App::new(config, STORAGE.take(), near, board.clock, board.serial);
    let beside = || {
        let due = peer.poll(now.now());
        // What was answered does not wait for the next tick.
        if near.has_frame() { Instant::BOOT } else { due }
    };
    poll_and_sleep(app, beside, board.sleep, exits)
}
