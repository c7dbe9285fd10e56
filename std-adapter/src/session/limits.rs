//! What a session keeps at most, whatever the line says.

use phasemeter_core::histogram::LatencyHistogram;

/// The most buckets between the first and the last used one of a histogram.
pub(super) const MAX_BUCKETS: u32 = 4096;

/// The host's histogram: takes any device's of up to 4,096 buckets at the device's own resolution.
pub type HostHistogram = LatencyHistogram<{ MAX_BUCKETS as usize }, u64>;

/// All histograms of a device together may have so many buckets,
pub(super) const MAX_ALL_BUCKETS: usize = 4 << 20;
/// and all its boots so many phases.
pub(super) const MAX_PHASES: usize = 16_384;
/// Of each phase so many kinds of failure are kept with what they said,
pub(super) const MAX_PHASE_DETAILS: usize = 16;
/// and so many of all phases.
const MAX_ALL_DETAILS: usize = 16_384;
/// Of each histogram so many earlier states are kept,
pub(super) const MAX_CHECKPOINTS: usize = 16;
/// and so many buckets of those of all. Beyond, the course of later phases is not known, and nothing else depends on it.
const MAX_CHECKPOINT_BUCKETS: usize = 1 << 20;
/// Of a device that runs more often, the runs before the last one are forgotten, but for the first ones.
pub(super) const MAX_BOOTS: usize = 64;

/// How much more a session keeps. Nothing is given back but by checkpoints, which grow rarer: a device cannot have a host forget and begin anew for ever.
#[derive(Debug)]
pub(super) struct Room {
    /// Buckets of all histograms.
    pub(super) buckets: usize,
    /// Phases of all boots.
    pub(super) phases: usize,
    /// Words of failures, of all phases.
    pub(super) details: usize,
    /// Buckets of checkpoints.
    pub(super) checkpoints: usize,
    /// The counts of neighbouring buckets that are being read: memory that is used again.
    pub(super) run: Vec<u64>,
}

impl Default for Room {
    fn default() -> Self {
        Self {
            buckets: MAX_ALL_BUCKETS,
            phases: MAX_PHASES,
            details: MAX_ALL_DETAILS,
            checkpoints: MAX_CHECKPOINT_BUCKETS,
            run: Vec::new(),
        }
    }
}
