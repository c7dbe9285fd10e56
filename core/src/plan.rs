//! What a run consists of: a list of phases, each with its workload, its arrivals and its stop.
//!
//! A plan is plain data of fixed size. It serialises with serde, and [`RunPlan::content_hash`] names its content, so
//! that a device can echo which plan it runs.

use core::fmt;

use heapless::{String, Vec};
use serde::{Deserialize, Serialize};

use crate::hash::Fnv1a;
use crate::time::Duration;
use crate::wire::{self, Message};

/// The longest request path, in bytes.
pub const MAX_PATH: usize = 64;

/// What a phase is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PhaseKind {
    /// Brings server and connections to a steady state; reported, but not what a run is judged by.
    Warmup,
    /// The measurement.
    Profiling,
    /// Load after the measurement, while other tools finish theirs.
    Cooldown,
    /// A part of a monitored device's life, which no plan has: the firmware names it.
    Monitor,
}

impl PhaseKind {
    /// The name used in plans and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Warmup => "warmup",
            Self::Profiling => "profiling",
            Self::Cooldown => "cooldown",
            Self::Monitor => "monitor",
        }
    }
}

impl fmt::Display for PhaseKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What each request of a phase asks for. The device interprets it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Workload {
    /// A plain request: `GET path`.
    Get {
        /// The path, from its `/` on.
        path: String<MAX_PATH>,
    },
    /// A streaming chat completion, as OpenAI's `POST /v1/chat/completions` with `stream: true`.
    Chat {
        /// The size of the prompt, in tokens.
        prompt_tokens: u16,
        /// How many tokens to ask for.
        output_tokens: u16,
    },
    /// A request that only a host's load generator can make: with a method, headers, a body, TLS or credentials.
    Host {
        /// Names what it asks for, as a hash does, without any secret.
        content: u64,
    },
}

impl Workload {
    /// A plain request for `path`; `None` if it is longer than [`MAX_PATH`] bytes.
    pub fn get(path: &str) -> Option<Self> {
        String::try_from(path).ok().map(|path| Self::Get { path })
    }
}

/// Requests a second, kept as thousandths: 0.001 to 4,294,967 requests a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Rate(u32);

impl Rate {
    /// So many requests a second, saturating. Zero becomes the lowest rate, one request in 1,000 s.
    pub const fn per_second(requests: u32) -> Self {
        Self::per_kilosecond(requests.saturating_mul(1_000))
    }

    /// So many requests in 1,000 seconds. Zero becomes one.
    pub const fn per_kilosecond(requests: u32) -> Self {
        Self(if requests == 0 { 1 } else { requests })
    }

    /// Requests in 1,000 seconds; never zero.
    pub const fn get(self) -> u32 {
        // A deserialised zero is read as the lowest rate.
        if self.0 == 0 { 1 } else { self.0 }
    }
}

/// When requests are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Arrival {
    /// Closed loop: a new request as soon as fewer than `concurrency` are in flight. The server's slowness slows
    /// the load down, so response times hide the waiting that open-loop users would see.
    ClosedLoop {
        /// How many requests are in flight at most; zero means one.
        concurrency: u16,
    },
    /// Open loop: one request every `1 / rate`, whatever the server does.
    Constant {
        /// The rate.
        rate: Rate,
    },
    /// Open loop: independent arrivals, exponential gaps of mean `1 / rate`, drawn from the run's seed.
    Poisson {
        /// The mean rate.
        rate: Rate,
    },
}

impl Arrival {
    /// So many requests a second, evenly spaced.
    pub const fn constant(per_second: u32) -> Self {
        Self::Constant { rate: Rate::per_second(per_second) }
    }

    /// So many requests a second on average, at random times.
    pub const fn poisson(per_second: u32) -> Self {
        Self::Poisson { rate: Rate::per_second(per_second) }
    }
}

/// When a phase stops sending: at so many requests, after so long, or whichever comes first.
///
/// A stop with neither never comes; [`RunPlan::push`] refuses it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Stop {
    /// How many requests are sent at most.
    pub requests: Option<u64>,
    /// For how long requests are sent at most.
    pub duration: Option<Duration>,
}

impl Stop {
    /// Stops once so many requests were sent.
    pub const fn requests(requests: u64) -> Self {
        Self { requests: Some(requests), duration: None }
    }

    /// Stops after so long.
    pub const fn after(duration: Duration) -> Self {
        Self { requests: None, duration: Some(duration) }
    }
}

/// One phase of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct PhasePlan {
    /// What the phase is for.
    pub kind: PhaseKind,
    /// What its requests ask for.
    pub workload: Workload,
    /// When they are sent.
    pub arrival: Arrival,
    /// When sending stops.
    pub stop: Stop,
    /// How long requests in flight may still take after sending stopped; then the phase times out.
    pub grace: Duration,
}

impl PhasePlan {
    /// A measurement whose last requests may take ten seconds.
    pub const fn profiling(workload: Workload, arrival: Arrival, stop: Stop) -> Self {
        Self { kind: PhaseKind::Profiling, workload, arrival, stop, grace: Duration::from_secs(10) }
    }
}

/// Why a phase was not taken into a plan; the phase comes back.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum PlanError {
    /// The plan holds as many phases as it can.
    Full(PhasePlan),
    /// The phase would never end: its stop has neither requests nor duration.
    Endless(PhasePlan),
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(_) => f.write_str("the plan holds as many phases as it can"),
            Self::Endless(_) => {
                f.write_str("the phase would never end: give its stop a number of requests or a duration")
            }
        }
    }
}

impl core::error::Error for PlanError {}

/// A run: at most `P` phases, one after the other, each of which ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct RunPlan<const P: usize> {
    seed: u64,
    phases: Vec<PhasePlan, P>,
}

impl<const P: usize> RunPlan<P> {
    /// A run without phases. `seed` makes its random arrivals repeatable.
    pub const fn new(seed: u64) -> Self {
        const { assert!(P <= u16::MAX as usize, "a phase's place in its run is a u16") };
        Self { seed, phases: Vec::new() }
    }

    /// Adds a phase at the end.
    ///
    /// # Errors
    /// [`PlanError`] gives the phase back if the plan is full or the phase would never end.
    #[expect(clippy::result_large_err, reason = "what was not consumed is given back")]
    pub fn push(&mut self, phase: PhasePlan) -> Result<(), PlanError> {
        if phase.stop == Stop::default() {
            return Err(PlanError::Endless(phase));
        }
        self.phases.push(phase).map_err(PlanError::Full)
    }

    /// Drops all phases for a plan of another seed.
    pub(crate) fn clear(&mut self, seed: u64) {
        self.seed = seed;
        self.phases.clear();
    }

    /// How many phases of the same kind come before the one at place `index`.
    pub fn instance(&self, index: u16) -> u16 {
        let before = self.phases.get(..usize::from(index)).unwrap_or_default();
        let kind = self.phases.get(usize::from(index)).map(|phase| phase.kind);
        // A plan has no more phases than a `u16` counts.
        before.iter().fold(0, |count, phase| count + u16::from(Some(phase.kind) == kind))
    }

    /// The seed of the random arrivals. Each device adds its id to it, so that devices with one plan do not send in step.
    pub const fn seed(&self) -> u64 {
        self.seed
    }

    /// The phases, in order.
    pub fn phases(&self) -> &[PhasePlan] {
        &self.phases
    }

    /// Names the plan's content: 64-bit FNV-1a over its postcard bytes. Equal plans have equal hashes whatever `P` is.
    pub fn content_hash(&self) -> u64 {
        content_hash(self.seed, &self.phases)
    }
}

/// The longest phase in bytes: its kind, a path, an arrival, a stop and a grace period.
const MAX_ENCODED_PHASE: usize = 1 + (2 + MAX_PATH) + (1 + 5) + 2 * (1 + 10) + 10;

fn content_hash(seed: u64, phases: &[PhasePlan]) -> u64 {
    let mut hash = Fnv1a::new();
    add(&mut hash, &(seed, phases.len()));
    for phase in phases {
        add(&mut hash, phase);
    }
    hash.finish()
}

fn add(hash: &mut Fnv1a, part: &dyn Message) {
    let mut buffer = [0; MAX_ENCODED_PHASE];
    // Every part fits.
    let length = wire::write(part, &mut buffer).unwrap_or(0);
    hash.add(buffer.get(..length).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phase(stop: Stop) -> PhasePlan {
        PhasePlan {
            kind: PhaseKind::Warmup,
            workload: Workload::Chat { prompt_tokens: 10, output_tokens: 20 },
            arrival: Arrival::ClosedLoop { concurrency: 4 },
            stop,
            grace: Duration::from_secs(1),
        }
    }

    #[test]
    fn a_phase_that_cannot_be_taken_comes_back() {
        let mut plan = RunPlan::<1>::new(0);
        assert!(matches!(plan.push(phase(Stop::default())), Err(PlanError::Endless(_))));
        plan.push(phase(Stop::requests(1))).unwrap();
        assert_eq!(plan.push(phase(Stop::requests(2))), Err(PlanError::Full(phase(Stop::requests(2)))));
    }

    #[test]
    fn the_hash_names_content_not_capacity() {
        let mut small = RunPlan::<1>::new(3);
        let mut large = RunPlan::<9>::new(3);
        small.push(phase(Stop::requests(1))).unwrap();
        large.push(phase(Stop::requests(1))).unwrap();
        assert_eq!(small.content_hash(), large.content_hash());
        let mut other = RunPlan::<1>::new(4);
        other.push(phase(Stop::requests(1))).unwrap();
        assert_ne!(small.content_hash(), other.content_hash());
    }

    #[test]
    fn the_hash_is_over_the_plans_bytes() {
        let mut plan = RunPlan::<2>::new(u64::MAX);
        let stop = Stop { requests: Some(u64::MAX), duration: Some(Duration::MAX) };
        // The longest phase that there is.
        let workload = Workload::get(&"/".repeat(MAX_PATH)).unwrap();
        let arrival = Arrival::Poisson { rate: Rate::per_kilosecond(u32::MAX) };
        plan.push(PhasePlan { workload, arrival, grace: Duration::MAX, ..phase(stop) }).unwrap();
        plan.push(phase(Stop::requests(1))).unwrap();
        let mut bytes = [0; 512];
        assert_eq!(plan.content_hash(), Fnv1a::of(postcard::to_slice(&plan, &mut bytes).unwrap()));
    }
}
