//! `summary.json` as types. `schema/summary-1.schema.json` of this crate describes it for other languages.

mod metrics;
mod validity;

use std::collections::BTreeMap;

use phasemeter_core::phase::PhaseState;
use phasemeter_core::plan::PhaseKind;
use phasemeter_core::time::Duration;
use serde::{Deserialize, Serialize};

pub use crate::session::CoverageCounts;
pub use metrics::{IntervalSummary, MetricMap, MetricSummary, Number, PercentileSummary};
pub use validity::{Doubt, Finding};

/// The version of the summary's form. Keys are only ever added to it.
pub const SCHEMA: &str = "phasemeter.summary/1";

/// How percentiles are chosen among the samples: the `⌈p · count⌉`-th smallest, as post-processors have it by default.
pub const PERCENTILE_RULE: &str = "nearest_rank";

/// Everything that is known of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// [`SCHEMA`].
    pub schema: String,
    /// [`PERCENTILE_RULE`].
    pub percentile_rule: String,
    /// The run as a whole.
    pub run: RunSummary,
    /// How much of it was observed.
    pub coverage: Coverage,
    /// The devices that took part, in the order of their sources.
    pub devices: Vec<DeviceSummary>,
    /// One entry for each phase merged over devices, followed by one for each device.
    pub phases: Vec<PhaseSummary>,
    /// What speaks against taking the numbers for those of the system measured, phase by phase; empty if nothing was found.
    pub validity: Vec<Finding>,
}

/// The run as a whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunSummary {
    /// Names the run.
    pub id: String,
    /// When recording began, RFC 3339 in UTC.
    pub started: String,
    /// How long was recorded, in seconds; `None` if the capture has no end.
    pub recorded_s: Option<f64>,
    /// Whether a device monitors itself, without an end: then what was recorded is a part of its run.
    pub endless: bool,
    /// Whether everything that was asked for has come: every device finished, or was listened to for as long as was
    /// wanted, and every sample that it told of was observed.
    pub complete: bool,
    /// Why not.
    pub partial_reason: Option<String>,
    /// Whether it passed; `None` without requests, and as long as nothing failed and not all was observed.
    pub verdict: Option<Verdict>,
    /// Why it failed, a sentence each.
    pub failure_reasons: Vec<String>,
    /// The part of its requests that was allowed to fail or to be cancelled.
    pub max_error_rate: f64,
    /// Names the plan's content; `None` if no device told, or they run different plans.
    pub plan_hash: Option<String>,
    /// What a reader of the numbers has to know, a sentence each.
    pub warnings: Vec<String>,
}

/// Whether a run passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// All was observed, and nothing failed.
    Passed,
    /// No request succeeded, or a threshold was exceeded.
    Failed,
}

/// How much of the run was observed, and what the lines lost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Coverage {
    /// Samples over all phases and metrics.
    #[serde(flatten)]
    pub samples: CoverageCounts,
    /// Stretches of lost frames, at most a thousand a device.
    pub gaps: Vec<GapSummary>,
    /// Frames lost in all gaps.
    pub lost_frames: u64,
    /// Frames whose checksum did not match.
    pub crc_errors: u64,
    /// Times that a device started anew in mid-run.
    pub resets: u64,
    /// Reports that devices had no room for in their transmit queue.
    pub device_dropped: u64,
    /// What else came over the lines.
    pub line: LineSummary,
}

/// What came over the lines beside frames of this version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LineSummary {
    /// Usable frames.
    pub frames: u64,
    /// Segments that were no frames.
    pub noise: u64,
    /// Segments longer than any frame.
    pub overlong: u64,
    /// Whole frames whose content made no sense, or contradicted what was told before.
    pub malformed: u64,
    /// Frames of a newer protocol version.
    pub newer_version: u64,
    /// Frames of an unknown kind.
    pub unknown_kind: u64,
    /// Commands of this host that came back.
    pub echoes: u64,
    /// Pieces of text.
    pub text: u64,
}

/// A stretch of lost frames.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GapSummary {
    /// The device.
    pub device: String,
    /// The device's boot, from 0.
    pub boot: usize,
    /// The first frame that is missing.
    pub first_sequence: u32,
    /// How many are missing.
    pub frames: u32,
    /// Device time after the gap, in seconds since boot.
    pub at_s: f64,
}

/// One device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeviceSummary {
    /// Names the device; the source's name if it never introduced itself.
    pub id: String,
    /// Where its telemetry came from.
    pub source: String,
    /// The firmware's name and version, once told.
    pub firmware: Option<String>,
    /// What it does.
    pub mode: Option<DeviceMode>,
    /// How many boots measured something: one, unless it was reset or ran several times.
    pub boots: u64,
    /// Names the content of its plan; `None` if that was not told, or there is none.
    pub plan_hash: Option<String>,
    /// Values that came outside of any phase, and are in no histogram.
    pub outside: u64,
    /// Whether its run was received whole.
    pub complete: bool,
    /// Why not.
    pub partial_reason: Option<String>,
    /// Observed of expected samples in all its phases.
    pub coverage: CoverageCounts,
    /// The source that shows the same device, and counts in place of this one.
    pub same_as: Option<String>,
    /// What it said that is not believed, or not kept: a sentence each.
    pub problems: Vec<String>,
}

/// What a device does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceMode {
    /// It waits for a plan.
    Idle,
    /// It runs a plan.
    Load,
    /// It measures itself.
    Monitor,
}

/// One phase, of one device or of all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PhaseSummary {
    /// What it is called: its kind, or the firmware's name for it; `phase #3` if that was not received.
    pub phase: String,
    /// What it is for; `None` if that was not received.
    pub kind: Option<PhaseKind>,
    /// Its place in the run, from 0.
    pub index: u16,
    /// How many phases of the same kind the run has before it; for a monitored phase, its place.
    pub instance: u16,
    /// The device; `None` for all of them together.
    pub device: Option<String>,
    /// How many parts were merged: one, unless devices are merged or the device was reset.
    pub parts: u32,
    /// Of several parts, that of the least advanced; `None` if one was not received.
    pub state: Option<PhaseState>,
    /// Whether the grace period ran out on any device.
    pub timed_out: bool,
    /// Whether any device's run was cancelled in this phase.
    pub cancelled: bool,
    /// Request counts; a monitored phase has none.
    pub counts: Option<CountsSummary>,
    /// How its requests failed; a monitored phase has none.
    pub failures: Option<FailuresSummary>,
    /// Whether the devices ran it at the same time; `None` for a single device.
    pub overlap: Option<OverlapSummary>,
    /// What was planned; `None` if it was not received, there is no plan, the parts have different ones, or devices are not known
    /// to have run side by side.
    pub plan: Option<PlanSummary>,
    /// How long it took.
    pub durations: DurationsSummary,
    /// Requests sent a second while requests were sent; over devices that are known to have run
    /// side by side the sum, over others `None`. `None` until all were sent.
    pub achieved_rate_rps: Option<f64>,
    /// Gaps between one request sent and the next, so far: one less than the requests of each part, or none if those were all
    /// sent at once. A monitored phase has none.
    pub send_gaps: Option<u64>,
    /// The coefficient of variation of those gaps: the deviation over the mean, which is that of its part. 0 if requests are
    /// evenly spaced, 1 if they come at independent random times. `None` without gaps.
    pub send_gap_cv: Option<f64>,
    /// Successful requests a second over the total duration; over devices as above. `None` until
    /// complete.
    pub throughput_rps: Option<f64>,
    /// Successful of ended requests, failed and cancelled ones included. `None` if none ended.
    pub success_rate: Option<f64>,
    /// Observed of expected samples in this phase.
    pub coverage: CoverageCounts,
    /// The metrics that have samples, by name, in the order of the device's table; of several devices, in the order in
    /// which they have them. `metric 3 (unnamed)` if the name was not received.
    pub metrics: MetricMap,
}

impl PhaseSummary {
    /// Whether it is the one that a monitored device has open.
    pub(super) fn is_open(&self) -> bool {
        self.kind == Some(PhaseKind::Monitor) && self.state != Some(PhaseState::Complete)
    }
}

/// Whether the devices ran a phase at the same time, from the host's times at which its reports arrived.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct OverlapSummary {
    /// Whether there was a time at which all of them ran it; `None` if the arrivals do not tell: what comes from files
    /// arrives all at once.
    pub concurrent: Option<bool>,
    /// For how long all of them ran it, at least, in seconds; `None` unless they did.
    pub at_least_s: Option<f64>,
}

/// Request counts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CountsSummary {
    /// Requests sent.
    pub sent: u64,
    /// Requests that came back, successful or not.
    pub completed: u64,
    /// Completed requests that failed.
    pub errors: u64,
    /// Requests given up.
    pub cancelled: u64,
    /// Requests that were due when sending ended and had not been sent,
    pub unsent: u64,
    /// or at least so many.
    pub unsent_at_least: bool,
    /// Requests sent that had waited for one in flight, as no more could be.
    pub held: u64,
    /// Requests that neither came back nor were given up.
    pub in_flight: u64,
}

impl CountsSummary {
    /// Requests that came back and did not fail.
    pub fn successful(&self) -> u64 {
        self.completed.saturating_sub(self.errors)
    }

    /// Requests that came back or were given up.
    pub fn ended(&self) -> u64 {
        self.completed.saturating_add(self.cancelled)
    }
}

/// Failed requests by cause; together they are the errors.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FailuresSummary {
    /// No connection could be opened.
    pub not_connected: u64,
    /// The response did not come in time.
    pub timed_out: u64,
    /// The connection broke before the response was whole.
    pub broken: u64,
    /// The response made no sense.
    pub malformed: u64,
    /// By the status code that the server answered with.
    pub statuses: BTreeMap<u16, u64>,
    /// Of status codes beyond those that a device counts apart.
    pub other_statuses: u64,
    /// Their cause was not received.
    pub unknown: u64,
    /// What failures said of themselves: the first of each cause, as far as the device told.
    pub messages: Vec<FailureMessage>,
}

/// What a failure said of itself: the body of an error, or the operating system's words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureMessage {
    /// The cause: `not_connected`, `timed_out`, `broken`, `malformed`, or a status code such as `status_503`.
    pub cause: String,
    /// Its words, in one printable line.
    pub message: String,
}

/// What was planned for a phase: on each device, but for what is said to be of all together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlanSummary {
    /// What each request asks for, in words.
    pub workload: String,
    /// When requests were to be sent.
    pub arrival: ArrivalKind,
    /// Requests a second, of all devices together; `None` in a closed loop.
    pub rate_rps: Option<f64>,
    /// Requests in flight at most, of all devices together; `None` in an open loop.
    pub concurrency: Option<u64>,
    /// After how many requests sending stops.
    pub stop_requests: Option<u64>,
    /// After how long sending stops, in seconds; with both, whichever comes first.
    pub stop_s: Option<f64>,
    /// How long requests in flight may take after that, in seconds.
    pub grace_s: f64,
}

/// When requests are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArrivalKind {
    /// As soon as fewer are in flight than the concurrency.
    ClosedLoop,
    /// Evenly spaced.
    Constant,
    /// At independent random times.
    Poisson,
    /// In a way that this version does not know.
    Unknown,
}

/// How long a phase took, in seconds on the device's clock; of several devices, the longest.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct DurationsSummary {
    /// From the start to the last send.
    pub sending_s: Option<f64>,
    /// From the start to the end.
    pub total_s: Option<f64>,
}

#[expect(clippy::cast_precision_loss, reason = "exact up to 104 days")]
pub(super) fn seconds(length: Duration) -> f64 {
    length.as_nanos() as f64 / 1e9
}
