//! What was planned for a phase, in the words of the summary.

use phasemeter_core::plan::{Arrival, PhasePlan, Rate, Workload};

use super::model::{ArrivalKind, PlanSummary, seconds};
use crate::text::printable;

impl PlanSummary {
    /// That of one run of one device. The text in it is the device's own.
    pub(super) fn of(plan: &PhasePlan) -> Self {
        let (arrival, rate_rps, concurrency) = match plan.arrival {
            Arrival::ClosedLoop { concurrency } => (ArrivalKind::ClosedLoop, None, Some(u64::from(concurrency.max(1)))),
            Arrival::Constant { rate } => (ArrivalKind::Constant, Some(per_second(rate)), None),
            Arrival::Poisson { rate } => (ArrivalKind::Poisson, Some(per_second(rate)), None),
            _ => (ArrivalKind::Unknown, None, None),
        };
        let workload = match &plan.workload {
            Workload::Get { path } => format!("GET {}", printable(path)),
            Workload::Chat { prompt_tokens, output_tokens } => {
                format!("chat, {prompt_tokens} prompt and {output_tokens} output tokens")
            }
            Workload::Host { content } => format!("request {content:016x}"),
            _ => "a request of an unknown kind".to_owned(),
        };
        Self {
            workload,
            arrival,
            rate_rps,
            concurrency,
            stop_requests: plan.stop.requests,
            stop_s: plan.stop.duration.map(seconds),
            grace_s: seconds(plan.grace),
        }
    }

    /// What devices side by side were to do together; `None` if they were to do different things.
    pub(super) fn beside(&self, other: &Self) -> Option<Self> {
        let alone = |plan: &Self| Self { rate_rps: None, concurrency: None, ..plan.clone() };
        (alone(self) == alone(other)).then(|| Self {
            rate_rps: self.rate_rps.zip(other.rate_rps).map(|(one, other)| one + other),
            concurrency: self.concurrency.zip(other.concurrency).map(|(one, other)| one.saturating_add(other)),
            ..self.clone()
        })
    }
}

fn per_second(rate: Rate) -> f64 {
    f64::from(rate.get()) / 1_000.0
}
