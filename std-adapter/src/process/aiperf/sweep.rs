//! Time-weighted metrics: what was in flight, and at what rate tokens went through, at every moment of a phase.

use super::weighted::{Held, Span, Step, each_stretch, sum_up, weighted_statistics};
use super::{Derived, Metrics, Request, double, nanos};
use crate::process::Window;

/// Rates are tokens per nanosecond, and are told per second.
const PER_SECOND: f64 = 1e9;

/// A request's times in nanoseconds since 1970, and its tokens. What is missing is NaN, which fails every comparison.
#[derive(Clone, Copy, Debug)]
struct Times {
    start: f64,
    first_token: f64,
    end: f64,
    input_tokens: f64,
    output_tokens: f64,
    /// Where its gaps end in [`Sweep::gaps_ns`]; they begin where those of the request before end.
    gaps_end: usize,
}

/// The requests of one phase.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    requests: Vec<Times>,
    /// Every gap between chunks, of one request after the other.
    gaps_ns: Vec<u64>,
}

impl Sweep {
    pub(super) fn add(&mut self, request: &Request<'_>) {
        let (Some(start_ns), Some(end_ns)) = (request.start_ns, request.end_ns) else { return };
        let first_token = request.time_to_first_token_ms.map(|ms| double(start_ns.saturating_add(nanos(ms))));
        self.gaps_ns.extend(request.inter_chunk_latency_ms.iter().map(|ms| nanos(*ms)));
        self.requests.push(Times {
            start: double(start_ns),
            first_token: first_token.unwrap_or(f64::NAN),
            end: double(end_ns),
            input_tokens: request.input_sequence_length.unwrap_or(f64::NAN),
            output_tokens: request.output_sequence_length.unwrap_or(f64::NAN),
            gaps_end: self.gaps_ns.len(),
        });
    }

    pub(super) fn finish(self, window: Option<Window>, levels: &[f64], metrics: &mut Metrics) {
        let has_gaps = !self.gaps_ns.is_empty();
        let concurrency = self.steps(|request, _, changes| hold(request.start, request.end, 1.0, changes));
        let (Some(first), Some(last)) = (concurrency.first(), concurrency.last()) else { return };
        let span = window.map_or(Span { start: first.at, end: last.at }, Span::from);
        let mut weigh = Weigh { span, levels, metrics, held: Vec::new() };

        weigh.effective("effective_concurrency", "requests", 1.0, &concurrency);
        let throughput = self.steps(|request, _, changes| {
            request.prefill(changes);
            request.decode(changes);
        });
        weigh.effective("effective_total_throughput", "tokens/sec", PER_SECOND, &throughput);
        weigh.active("active_total_throughput", &throughput, &concurrency);

        let concurrency = self.steps(|request, _, changes| hold(request.start, request.first_token, 1.0, changes));
        weigh.effective("effective_prefill_concurrency", "requests", 1.0, &concurrency);
        let throughput = self.steps(|request, _, changes| request.prefill(changes));
        weigh.effective("effective_prefill_throughput", "tokens/sec", PER_SECOND, &throughput);
        weigh.active("active_prefill_throughput", &throughput, &concurrency);
        weigh.per_user(
            ["effective_prefill_throughput_per_user", "active_prefill_throughput_per_user"],
            &throughput,
            &concurrency,
        );

        let concurrency = self.steps(|request, _, changes| hold(request.first_token, request.end, 1.0, changes));
        weigh.effective("effective_decode_concurrency", "requests", 1.0, &concurrency);
        let throughput = self.steps(
            |request, gaps, changes| {
                if has_gaps { request.chunks(gaps, changes) } else { request.decode(changes) }
            },
        );
        weigh.effective("effective_decode_throughput", "tokens/sec", PER_SECOND, &throughput);
        weigh.active("active_decode_throughput", &throughput, &concurrency);
        weigh.per_user(
            ["effective_decode_throughput_per_user", "active_decode_throughput_per_user"],
            &throughput,
            &concurrency,
        );
        drop((throughput, concurrency));

        let tokens = self.steps(|request, gaps, changes| request.tokens(has_gaps.then_some(gaps), changes));
        weigh.effective("tokens_in_flight", "tokens", 1.0, &tokens);
    }

    /// A step function, given the changes that one request with its gaps makes.
    fn steps(&self, mut changes_of: impl FnMut(&Times, &[u64], &mut Vec<Step>)) -> Vec<Step> {
        let (mut changes, mut gaps_start) = (Vec::new(), 0);
        for request in &self.requests {
            let gaps = self.gaps_ns.get(gaps_start..request.gaps_end).unwrap_or_default();
            gaps_start = request.gaps_end;
            changes_of(request, gaps, &mut changes);
        }
        sum_up(changes)
    }
}

impl Times {
    fn has_prefill(&self) -> bool {
        self.first_token > self.start && !self.input_tokens.is_nan()
    }

    fn has_output(&self) -> bool {
        self.output_tokens >= 1.0 && !self.first_token.is_nan()
    }

    /// Input tokens at an even rate from the start to the first token.
    fn prefill(&self, changes: &mut Vec<Step>) {
        if self.has_prefill() {
            hold(self.start, self.first_token, self.input_tokens / (self.first_token - self.start), changes);
        }
    }

    /// All output tokens but the first at an even rate from the first to the end.
    fn decode(&self, changes: &mut Vec<Step>) {
        if self.has_output() && self.end > self.first_token {
            hold(self.first_token, self.end, (self.output_tokens - 1.0) / (self.end - self.first_token), changes);
        }
    }

    /// The first chunk's token comes in no time; each gap that is not 0 carries an equal share of the others.
    fn chunks(&self, gaps: &[u64], changes: &mut Vec<Step>) {
        if !self.has_output() {
            return;
        }
        let carrying = double(gaps.iter().filter(|gap| **gap > 0).count() as u64);
        let tokens = (self.output_tokens - 1.0) / carrying;
        let mut since_first = 0_u64;
        for gap in gaps {
            since_first = since_first.saturating_add(*gap);
            if *gap > 0 {
                let (until, gap) = (self.first_token + double(since_first), double(*gap));
                hold(until - gap, until, tokens / gap, changes);
            }
        }
    }

    /// Tokens that a server has to hold; without `gaps`, all output tokens from the first on.
    fn tokens(&self, gaps: Option<&[u64]>, changes: &mut Vec<Step>) {
        let mut held = 0.0;
        let mut take = |at, tokens| {
            changes.push(Step { at, value: tokens });
            held += tokens;
        };
        if self.has_prefill() {
            take(self.start, self.input_tokens);
        }
        match gaps {
            None if self.end > self.first_token && !self.output_tokens.is_nan() => {
                take(self.first_token, self.output_tokens);
            }
            Some(gaps) if !gaps.is_empty() && self.has_output() => {
                take(self.first_token, 1.0);
                let tokens = (self.output_tokens - 1.0) / double(gaps.len() as u64);
                // The clocks of chunks and of the end differ: no chunk may come after its tokens were given back.
                let last = self.end.next_down();
                let mut since_first = 0_u64;
                for gap in gaps {
                    since_first = since_first.saturating_add(*gap);
                    take((self.first_token + double(since_first)).min(last), tokens);
                }
            }
            _ => {}
        }
        changes.push(Step { at: self.end, value: -held });
    }
}

/// An amount that holds from one time until another, if both are known.
fn hold(from: f64, until: f64, amount: f64, changes: &mut Vec<Step>) {
    if !from.is_nan() && !until.is_nan() {
        changes.extend([Step { at: from, value: amount }, Step { at: until, value: -amount }]);
    }
}

/// Weighs step functions by time, and keeps what comes out.
struct Weigh<'a> {
    span: Span,
    levels: &'a [f64],
    metrics: &'a mut Metrics,
    /// Reused, as it is the largest.
    held: Vec<Held>,
}

impl Weigh<'_> {
    /// Over the whole span.
    fn effective(&mut self, name: &'static str, unit: &'static str, scale: f64, steps: &[Step]) {
        self.weigh(name, unit, scale, [steps, &[]], |value, _| Some(value));
    }

    /// While a request was in the phase of interest.
    fn active(&mut self, name: &'static str, throughput: &[Step], concurrency: &[Step]) {
        self.weigh(name, "tokens/sec", PER_SECOND, [throughput, concurrency], |rate, users| {
            (users > 0.0).then_some(rate)
        });
    }

    /// The effective and the active throughput of each request.
    fn per_user(&mut self, [effective, active]: [&'static str; 2], throughput: &[Step], concurrency: &[Step]) {
        let unit = "tokens/sec/user";
        let steps = [throughput, concurrency];
        let per_user = |rate: f64, users: f64| (users > 0.0).then(|| rate / users);
        self.weigh(effective, unit, PER_SECOND, steps, |rate, users| Some(per_user(rate, users).unwrap_or(0.0)));
        self.weigh(active, unit, PER_SECOND, steps, per_user);
    }

    fn weigh(
        &mut self,
        name: &'static str,
        unit: &'static str,
        scale: f64,
        [a, b]: [&[Step]; 2],
        value: impl Fn(f64, f64) -> Option<f64>,
    ) {
        let held = &mut self.held;
        held.clear();
        let mut total = 0.0;
        each_stretch(a, b, self.span, |a, b, duration| {
            if let Some(value) = value(a, b) {
                total += duration;
                held.push(Held { value, duration });
            }
        });
        let found = weighted_statistics(unit, held, total, self.levels, scale);
        self.metrics.insert(name, Derived::Statistics(found));
    }
}
