//! Who the device is, and how often it reports.

use crate::time::Duration;

/// Who the device is. Names beyond [`MAX_NAME`](crate::name::MAX_NAME) bytes are cut.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Identity<'a> {
    /// Names the device; the same after every boot.
    pub device_id: &'a str,
    /// Differs from boot to boot: random, or a counter in flash.
    pub boot_id: u64,
    /// The firmware's name.
    pub firmware: &'a str,
    /// The firmware's version.
    pub firmware_version: &'a str,
    /// The resolution of the device's clock, in ticks a second.
    pub clock_hz: u32,
}

impl<'a> Identity<'a> {
    /// A device of this name with an unnamed firmware, and a clock that counts nanoseconds.
    pub const fn new(device_id: &'a str, boot_id: u64) -> Self {
        Self { device_id, boot_id, firmware: "", firmware_version: "", clock_hz: 1_000_000_000 }
    }
}

/// How often what is reported. The defaults suit a line of 115,200 baud.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct TelemetryConfig {
    /// Between two hellos, each with the metric table.
    pub hello_every: Duration,
    /// Between two reports of a phase, apart from its transitions.
    pub report_every: Duration,
    /// Between two snapshots of the histograms: what changed since the last.
    pub snapshot_every: Duration,
    /// Each so many snapshots, all buckets are sent and not only what changed.
    pub keyframe_every: u16,
    /// How often the final snapshot of a phase, and the end of the run, are sent; zero means once. On a lossless line
    /// once suffices.
    pub final_repeats: u8,
    /// With a host that acknowledges the end of each phase and of the run: how often it is sent at most,
    pub final_attempts: u8,
    /// and how long after it was sent it is sent again.
    pub acknowledge_within: Duration,
    /// How long the line may take nothing while a run has to wait for it, between phases and at the end; then the run
    /// goes on, and what was not sent is lost.
    pub line_patience: Duration,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self {
            hello_every: Duration::from_secs(1),
            report_every: Duration::from_millis(250),
            snapshot_every: Duration::from_millis(500),
            keyframe_every: 16,
            final_repeats: 2,
            final_attempts: 8,
            acknowledge_within: Duration::from_millis(500),
            line_patience: Duration::from_secs(10),
        }
    }
}

/// Names a run among the boots of its device: counters of boots that are near each other are far apart here.
///
/// Source: the mixing step of Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014.
#[inline(never)]
pub(super) fn nonce(boot_id: u64, run: u16) -> u32 {
    let z = boot_id.wrapping_add(u64::from(run).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    u32::try_from(z >> 32).unwrap_or(0)
}
