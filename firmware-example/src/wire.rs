//! An Ethernet wire in memory: for tests of the application without a network, and for runs that repeat exactly.

use core::cell::RefCell;

use heapless::{Deque, Vec};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;

/// The longest frame, without its checksum.
const FRAME: usize = 1_514;
/// How many frames can be under way in each direction; a sender with more waits.
const FRAMES: usize = 8;

type Lane = RefCell<Deque<Vec<u8, FRAME>, FRAMES>>;

/// A wire, 24 KB of it.
#[derive(Debug)]
pub struct Wire {
    lanes: [Lane; 2],
}

impl Wire {
    /// A wire with nothing on it.
    #[expect(clippy::large_stack_arrays, reason = "it is for static memory")]
    pub const fn new() -> Self {
        Self { lanes: [RefCell::new(Deque::new()), RefCell::new(Deque::new())] }
    }

    /// Both its ends.
    pub const fn ends(&self) -> [End<'_>; 2] {
        let [there, back] = &self.lanes;
        [End { out: there, back }, End { out: back, back: there }]
    }
}

impl Default for Wire {
    fn default() -> Self {
        Self::new()
    }
}

/// One end of a wire.
#[derive(Clone, Copy, Debug)]
pub struct End<'w> {
    out: &'w Lane,
    back: &'w Lane,
}

impl End<'_> {
    /// Whether a frame is here to be taken.
    pub fn has_frame(&self) -> bool {
        !self.back.borrow().is_empty()
    }
}

impl Device for End<'_> {
    type RxToken<'t>
        = Lanes<'t>
    where
        Self: 't;
    type TxToken<'t>
        = Lanes<'t>
    where
        Self: 't;

    fn receive(&mut self, _: Instant) -> Option<(Lanes<'_>, Lanes<'_>)> {
        (self.has_frame() && !self.out.borrow().is_full()).then_some((Lanes(self.back), Lanes(self.out)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Lanes<'_>> {
        (!self.out.borrow().is_full()).then_some(Lanes(self.out))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = FRAME;
        capabilities
    }
}

/// The right to take one frame from a lane, or to put one in.
#[derive(Debug)]
pub struct Lanes<'w>(&'w Lane);

impl RxToken for Lanes<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, take: F) -> R {
        let frame = self.0.borrow_mut().pop_front().unwrap_or_default();
        take(&frame)
    }
}

impl TxToken for Lanes<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, fill: F) -> R {
        let mut frame = Vec::new();
        // The stack keeps to the longest frame that it was told of.
        let _ = frame.resize(length.min(FRAME), 0);
        let result = fill(&mut frame);
        // There was room when the right was given.
        let _ = self.0.borrow_mut().push_back(frame);
        result
    }
}
