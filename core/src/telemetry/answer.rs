//! What a device answers to a command, and why it does not obey one.

use core::fmt;

use serde::{Deserialize, Serialize};

/// What became of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Answer {
    /// The command's id.
    pub command: u32,
    /// Names the plan that the device has received whole; 0 while it has none.
    pub plan_hash: u64,
    /// Why the command was not obeyed; [`Reason::OBEYED`] if it was.
    pub reason: Reason,
    /// A number that belongs to the reason.
    pub detail: u16,
}

impl Answer {
    /// Why the command was not obeyed; `None` if it was.
    pub fn refusal(&self) -> Option<Refusal> {
        let Self { reason, detail, .. } = *self;
        (reason != Reason::OBEYED).then_some(Refusal { reason, detail })
    }
}

/// Why a device does not obey a command. A number, so that hosts can read those of newer devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Reason(u8);

impl Reason {
    /// It does.
    pub const OBEYED: Self = Self(0);
    /// The command is of a kind that the device does not know.
    pub const UNSUPPORTED: Self = Self(1);
    /// A run is under way.
    pub const BUSY: Self = Self(2);
    /// The command's fields make no sense to the device.
    pub const MALFORMED: Self = Self(3);
    /// The phase does not follow on those that the device has; the upload goes on at this place.
    pub const OUT_OF_ORDER: Self = Self(4);
    /// The plan came whole, and has another hash than announced: device and host read it differently.
    pub const HASH_MISMATCH: Self = Self(5);
    /// The plan has more phases than the device can hold, which is so many.
    pub const TOO_MANY_PHASES: Self = Self(6);
    /// The phase at this place is none that the device can carry out.
    pub const BAD_PHASE: Self = Self(7);
    /// The target is longer than it may be, which is so many bytes.
    pub const TARGET_TOO_LONG: Self = Self(8);
    /// The device cannot reach such a target.
    pub const BAD_TARGET: Self = Self(9);
    /// There is nothing to start: the device has no plan, or another one.
    pub const NO_PLAN: Self = Self(10);
    /// The plan has no phases, or one that never ends.
    pub const CANNOT_RUN: Self = Self(11);
}

/// A device does not obey a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// A number that belongs to the reason; 0 if none does.
    pub detail: u16,
}

impl Refusal {
    /// A refusal to which this number belongs.
    pub const fn with(reason: Reason, detail: u16) -> Self {
        Self { reason, detail }
    }
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Self { reason, detail: 0 }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reason, detail } = self;
        match *reason {
            Reason::UNSUPPORTED => f.write_str("it does not know this command: update its firmware"),
            Reason::BUSY => f.write_str("a run is under way: stop it first"),
            Reason::MALFORMED => f.write_str(
                "what it received makes no sense to it: use a phasemeter and a firmware of one version, and shorter paths",
            ),
            Reason::OUT_OF_ORDER => write!(f, "it expected the upload to go on at phase {detail}"),
            Reason::HASH_MISMATCH => f.write_str("it reads another plan: use a phasemeter and a firmware of one version"),
            Reason::TOO_MANY_PHASES => write!(f, "a plan may have {detail} phases: leave some out"),
            Reason::BAD_PHASE => write!(
                f,
                "it cannot carry out phase {detail}: its kind is new to it, only a host can make such requests, it has \
                 fewer connections, or the path has spaces or does not begin with /"
            ),
            Reason::TARGET_TOO_LONG => write!(f, "a target may have {detail} bytes"),
            Reason::BAD_TARGET => f.write_str("it cannot reach such a target: give an IPv4 address and a port"),
            Reason::NO_PLAN => f.write_str("it has no plan, or another one: upload it first"),
            Reason::CANNOT_RUN => f.write_str("the plan has no phases, or one that never ends"),
            Reason(code) => write!(f, "for a reason, {code}, that this program does not know: update it"),
        }
    }
}

impl core::error::Error for Refusal {}
