//! Plans: what the load generator of a host runs, and plan files, which are YAML.
//!
//! A device runs the part of a plan that core knows ([`Plan::run`]): plain GETs and chats. A host's load generator knows
//! more of each phase's requests ([`Plan::requests`]): methods, headers, bodies, prompts, keys.
//!
//! ```
//! let plan = phasemeter::plan::parse("plan.yaml", "
//! seed: 42                             # makes random arrivals repeatable; 0 unless given
//! phases:
//!   - kind: warmup                     # warmup, profiling or cooldown
//!     workload: {get: {path: /}}       # a plain request
//!     arrival: {constant: {rate: 50}}  # requests a second, whatever the server does
//!     stop: {duration: 2s}             # duration, requests or both: whichever comes first
//!     grace: 5s                        # for requests in flight at the end; 30s unless given
//!   - kind: profiling
//!     workload: {chat: {prompt_tokens: 128, output_tokens: 32}}
//!     arrival: {poisson: {rate: 12.5}} # or closed_loop: {concurrency: 8}
//!     stop: {requests: 1000, duration: 1m}
//!   - kind: profiling
//!     workload:                        # for a host's load generator alone
//!       request:
//!         method: POST
//!         path: /search?q=a
//!         headers: {Content-Type: application/json}
//!         body: '{\"limit\": 10}'        # or body_file: FILE, or body_lines: FILE (one in each request)
//!         api_key_env: SEARCH_KEY      # the variable with a key, sent as `Authorization: Bearer`
//!     arrival: {closed_loop: {concurrency: 8}}
//!     stop: {requests: 1000}
//! ")?;
//! assert_eq!(plan.run().phases().len(), 3);
//! # Ok::<(), phasemeter::plan::PlanFileError>(())
//! ```
//!
//! `chat` also takes `model`, `api_key_env`, `headers`, `extra` (fields of the request's body; a null takes one away) and
//! `prompts` (a file of JSON Lines: texts, or objects with `text`, `prompt` or `messages`), `order` being `in_turn` or
//! `random`. Files are looked for beside the plan file.

pub(crate) mod secret;
#[cfg(feature = "load")]
pub(crate) mod secrets;
mod request;
mod lines;
mod file;

use phasemeter_core::plan::{PhasePlan, PlanError, RunPlan};
use serde_json::{Value, json};

use crate::yaml::YamlError;

pub use file::{load, parse, rate};
pub use lines::{body_file, body_lines, prompts};
pub use request::{Body, ChatRequest, Order, PlainRequest, RequestSpec, check_header};

/// The most phases that a plan can have.
pub const MAX_PHASES: usize = 32;

/// What a host's load generator runs: a list of phases, and what the requests of each ask for.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    run: RunPlan<MAX_PHASES>,
    requests: Vec<RequestSpec>,
}

impl Plan {
    /// A plan without phases. `seed` makes what is random repeatable: arrivals, prompts, the order of bodies.
    pub fn new(seed: u64) -> Self {
        Self { run: RunPlan::new(seed), requests: Vec::new() }
    }

    /// Adds a phase at the end, whose requests ask for `request`; the phase's own workload is made from that.
    ///
    /// # Errors
    /// [`PlanError`] gives the phase back if the plan is full or the phase would never end.
    #[expect(clippy::result_large_err, reason = "what was not consumed is given back")]
    pub fn push(&mut self, request: RequestSpec, mut phase: PhasePlan) -> Result<(), PlanError> {
        phase.workload = request.workload();
        self.run.push(phase)?;
        self.requests.push(request);
        Ok(())
    }

    /// What core knows of it, and a device can run.
    pub fn run(&self) -> &RunPlan<MAX_PHASES> {
        &self.run
    }

    /// What the requests of each phase ask for, by the phase's place.
    pub fn requests(&self) -> &[RequestSpec] {
        &self.requests
    }

    /// The plan as JSON, for people and tools that read a run later; without secrets.
    pub fn describe(&self) -> Value {
        let phases: Vec<_> = self.run.phases().iter().zip(&self.requests).map(file::describe_phase).collect();
        let hash = format!("{:016x}", self.run.content_hash());
        json!({ "hash": hash, "seed": self.run.seed(), "phases": phases })
    }
}

/// Why a plan file was refused.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {message}")]
pub struct PlanFileError {
    /// The file; with line and column if the fault lies in its content.
    pub place: String,
    /// What is wrong.
    pub message: String,
}

impl From<YamlError> for PlanFileError {
    fn from(YamlError { place, message }: YamlError) -> Self {
        Self { place, message }
    }
}

#[cfg(test)]
mod tests;
