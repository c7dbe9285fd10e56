//! How well the schedule of a phase was kept, and what kept it from being.

use super::model::{ArrivalKind, CountsSummary, Doubt, MetricSummary, Number, PhaseSummary};
use crate::text::number::{per_second, percent, rate};

/// A lag that is less than a tenth of what a user waits for changes no conclusion,
const LATE_PART: f64 = 0.1;
/// and less than a millisecond is what timers and schedulers of any host take: a fast server is no reason to warn of it.
const LATE_MS: f64 = 1.0;
/// A rate that is off by no more than a hundredth is kept.
const OFF_PART: f64 = 0.01;
/// Evenly spaced requests are off by one at either end of the time of sending,
const OFF_EVEN: f64 = 1.5;
/// and random ones by so many standard deviations at most, but once in ten thousand runs.
const OFF_DEVIATIONS: f64 = 4.0;

/// Gaps between requests that are evenly spaced may vary by half of their mean,
const UNEVEN: f64 = 0.5;
/// and those of random ones by this part more or less than all of it; or by so many deviations of chance, each `1 / √n` for
/// the exponential distribution.
const NOT_RANDOM: f64 = 0.15;

/// What is found in a phase of one device.
pub(super) fn findings(phase: &PhaseSummary) -> impl Iterator<Item = (Doubt, String)> {
    let is_open = phase.plan.as_ref().is_none_or(|plan| plan.arrival != ArrivalKind::ClosedLoop);
    let found = phase
        .counts
        .filter(|_| is_open)
        .map(|counts| [late(phase, &counts), off_plan(phase, &counts), off_process(phase)]);
    found.into_iter().flatten().flatten()
}

/// Requests that went out late: was it the load generator?
fn late(phase: &PhaseSummary, counts: &CountsSummary) -> Option<(Doubt, String)> {
    let metric = |name| phase.metrics.get(name);
    let (lag, response) = (p99(metric("schedule_lag")?)?, p99(metric("response_time")?)?);
    if lag <= LATE_MS || lag <= response * LATE_PART {
        return None;
    }
    let late = format!("requests went out late, by {lag:.3} ms at p99");
    // The latest hundredth decides the percentile.
    Some(if counts.held.saturating_mul(100) < counts.sent {
        let words = format!("{late}: the load generator was the cause, and response times include its delay");
        (Doubt::GeneratorLimited, words)
    } else {
        let words = format!(
            "{late}: {} of {} waited for others, as no more could be in flight; response times include the wait",
            counts.held, counts.sent
        );
        (Doubt::InFlightLimited, words)
    })
}

fn p99(metric: &MetricSummary) -> Option<f64> {
    metric.percentiles.get("p99")?.value.map(Number::as_f64)
}

/// A rate that was not kept, by more than chance and the ends of the time of sending explain.
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn off_plan(phase: &PhaseSummary, counts: &CountsSummary) -> Option<(Doubt, String)> {
    let plan = phase.plan.as_ref()?;
    let (planned, sent) = (plan.rate_rps?, phase.achieved_rate_rps?);
    let expected = planned * phase.durations.sending_s?;
    let chance = match plan.arrival {
        ArrivalKind::Poisson => OFF_DEVIATIONS * expected.sqrt(),
        _ => OFF_EVEN,
    };
    let off = (counts.sent as f64 - expected).abs();
    if off <= chance.max(expected * OFF_PART) {
        return None;
    }
    let intended = counts.sent.saturating_add(counts.unsent);
    let unsent = match counts.unsent {
        0 => String::new(),
        unsent => format!(", and {unsent} requests that were due ({}) were not sent", percent(unsent, intended)),
    };
    let part = sent / planned * 100.0;
    let words = format!("{} were planned and {} sent ({part:.2} %){unsent}", rate(planned), per_second(sent));
    Some((Doubt::RateOff, words))
}

/// Requests whose gaps are not those of the planned process: they come in bursts, or are more regular than random ones.
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn off_process(phase: &PhaseSummary) -> Option<(Doubt, String)> {
    let arrival = phase.plan.as_ref()?.arrival;
    let (gaps, variation) = phase.send_gaps.zip(phase.send_gap_cv)?;
    let (is_off, planned, expected) = match arrival {
        ArrivalKind::Constant => (variation > UNEVEN, "evenly spaced", "0 %"),
        ArrivalKind::Poisson => {
            let chance = OFF_DEVIATIONS / (gaps as f64).sqrt();
            ((variation - 1.0).abs() > chance.max(NOT_RANDOM), "at random times", "100 %")
        }
        _ => return None,
    };
    is_off.then(|| {
        let varied = variation * 100.0;
        let words = format!(
            "requests were to be sent {planned}, and the gaps between them varied by {varied:.0} % of their mean in place of {expected}"
        );
        (Doubt::ArrivalsOff, words)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::metric::summary_of;
    use crate::report::model::DurationsSummary;
    use crate::report::{PlanSummary, RunInfo, summarize};
    use crate::session::HostHistogram;
    use crate::session::tests::{device::loaded, session};
    use phasemeter_core::metric::Unit;

    const MS: u64 = 1_000_000;

    fn times(values: impl IntoIterator<Item = u64>) -> MetricSummary {
        let mut histogram = HostHistogram::new();
        values.into_iter().for_each(|value| histogram.record(value));
        summary_of(Some(Unit::Nanoseconds), &histogram, None, histogram.count())
    }

    /// A phase of 1000 requests at 50 a second, with these times of lag and service.
    fn phase(lag: impl Fn(u64) -> u64, service: impl Fn(u64) -> u64) -> PhaseSummary {
        let told = session(&loaded("d", 1, &[vec![500_000; 20]])[0].frames);
        let observed = crate::report::Observed { source: "line", session: &told, failure: None, faults: None };
        let mut phase = summarize(&RunInfo::default(), &[observed]).phases.pop().unwrap();
        phase.metrics = [
            ("response_time", times((0..1_000).map(|place| lag(place) + service(place)))),
            ("service_time", times((0..1_000).map(&service))),
            ("schedule_lag", times((0..1_000).map(&lag))),
        ]
        .map(|(name, metric)| (name.to_owned(), metric))
        .into_iter()
        .collect();
        let counts = CountsSummary { sent: 1_000, completed: 1_000, ..phase.counts.unwrap() };
        phase.counts = Some(counts);
        phase.durations = DurationsSummary { sending_s: Some(20.0), total_s: Some(20.0) };
        phase.achieved_rate_rps = Some(50.0);
        phase.plan = Some(PlanSummary { rate_rps: Some(50.0), ..phase.plan.unwrap() });
        phase
    }

    fn told(phase: &PhaseSummary) -> Vec<(Doubt, String)> {
        findings(phase).collect()
    }

    #[track_caller]
    fn assert_one(phase: &PhaseSummary, doubt: Doubt, part: &str) {
        let told = told(phase);
        assert!(told.len() == 1 && told[0].0 == doubt && told[0].1.contains(part), "{part}: {told:?}");
    }

    const GENERATOR: &str = "the load generator was the cause";
    const HELD: &str = "waited for others, as no more could be in flight";

    #[test]
    fn a_generator_is_told_of_when_it_was_the_cause() {
        // Each hundredth request and the one after are 5 ms late, with a server that takes 1 ms.
        assert_one(&phase(|place| 5 * MS * u64::from(place % 100 < 2), |_| MS), Doubt::GeneratorLimited, GENERATOR);
        assert_one(&phase(|place| 5 * MS * u64::from(place % 100 < 2), |_| MS), Doubt::GeneratorLimited, "by 4.99");
    }

    #[test]
    fn little_lag_is_no_reason() {
        for (lag, service) in [
            // As late as the server takes, and far too little to matter.
            (100_000, 100_000),
            (990_000, 100_000),
            // Less than a tenth of what a user waits for.
            (5 * MS, 60 * MS),
        ] {
            assert_eq!(told(&phase(|_| lag, |_| service)), [], "{lag} {service}");
        }
        // Just above both.
        assert_eq!(told(&phase(|_| 1_100_000, |_| 100_000)).len(), 1);
    }

    #[test]
    fn a_server_that_stopped_is_not_the_generator() {
        let held = |held| {
            let mut phase = phase(|place| 5 * MS * u64::from(place % 100 < 2), |_| MS);
            phase.counts.as_mut().unwrap().held = held;
            phase
        };
        assert_one(&held(10), Doubt::InFlightLimited, HELD);
        assert_one(&held(10), Doubt::InFlightLimited, "10 of 1000");
        assert_one(&held(9), Doubt::GeneratorLimited, GENERATOR);
    }

    #[test]
    fn a_closed_loop_has_no_schedule() {
        let mut closed = phase(|_| 5 * MS, |_| MS);
        assert_eq!(told(&closed).len(), 1);
        let plan = closed.plan.as_mut().unwrap();
        (plan.arrival, plan.rate_rps, plan.concurrency) = (ArrivalKind::ClosedLoop, None, Some(8));
        assert_eq!(told(&closed), []);
    }

    #[test]
    fn a_rate_that_was_not_kept_is_told_beyond_chance() {
        let sent = |arrival, sent: u32, unsent| {
            let mut phase = phase(|_| 0, |_| MS);
            phase.achieved_rate_rps = Some(f64::from(sent) / 20.0);
            let counts = phase.counts.as_mut().unwrap();
            (counts.sent, counts.unsent) = (u64::from(sent), unsent);
            phase.plan.as_mut().unwrap().arrival = arrival;
            phase.send_gap_cv = Some(if arrival == ArrivalKind::Poisson { 1.0 } else { 0.0 });
            told(&phase)
        };
        for (arrival, count, is_told) in [
            (ArrivalKind::Constant, 990, false),
            (ArrivalKind::Constant, 989, true),
            (ArrivalKind::Constant, 1_011, true),
            // Four standard deviations are 126.
            (ArrivalKind::Poisson, 880, false),
            (ArrivalKind::Poisson, 870, true),
        ] {
            assert_eq!(sent(arrival, count, 0).len(), usize::from(is_told), "{arrival:?} {count}");
        }
        assert_eq!(
            sent(ArrivalKind::Constant, 800, 200),
            [(
                Doubt::RateOff,
                "50.00 req/s were planned and 40.00 sent (80.00 %), and 200 requests that were due (20.00 %) were not sent"
                    .to_owned()
            )]
        );
    }

    #[test]
    fn gaps_that_are_not_of_the_planned_process_are_told_beyond_chance() {
        let sent = |arrival, gaps, variation| {
            let mut phase = phase(|_| 0, |_| MS);
            phase.plan.as_mut().unwrap().arrival = arrival;
            (phase.send_gaps, phase.send_gap_cv) = (Some(gaps), variation);
            told(&phase)
        };
        for (arrival, gaps, variation, is_told) in [
            (ArrivalKind::Constant, 999, 0.3, false),
            (ArrivalKind::Constant, 999, 0.6, true),
            (ArrivalKind::Poisson, 999, 1.1, false),
            (ArrivalKind::Poisson, 999, 0.9, false),
            (ArrivalKind::Poisson, 999, 1.2, true),
            (ArrivalKind::Poisson, 999, 0.0, true),
            // Four deviations of a hundred are 0.4.
            (ArrivalKind::Poisson, 100, 1.3, false),
            (ArrivalKind::Poisson, 100, 0.5, true),
            (ArrivalKind::ClosedLoop, 999, 5.0, false),
        ] {
            let told = sent(arrival, gaps, Some(variation));
            assert_eq!(told.len(), usize::from(is_told), "{arrival:?} {variation}: {told:?}");
            assert!(told.iter().all(|(doubt, _)| *doubt == Doubt::ArrivalsOff));
        }
        assert_eq!(sent(ArrivalKind::Poisson, 0, None), []);
        assert_eq!(
            sent(ArrivalKind::Poisson, 999, Some(0.0))[0].1,
            "requests were to be sent at random times, and the gaps between them varied by 0 % of their mean in place of 100 %"
        );
    }

    /// Ten requests in nine seconds are one a second.
    #[test]
    fn the_ends_of_the_time_of_sending_are_no_fault() {
        let mut few = phase(|_| 0, |_| MS);
        few.counts.as_mut().unwrap().sent = 10;
        few.durations.sending_s = Some(9.0);
        few.plan.as_mut().unwrap().rate_rps = Some(1.0);
        few.achieved_rate_rps = Some(10.0 / 9.0);
        assert_eq!(told(&few), []);
    }
}
