//! The live line of one device: what matters first, as a narrow terminal cuts the rest.

use phasemeter_core::histogram::HistogramView;
use phasemeter_core::metric::{LoadMetric, Metric, Unit};
use phasemeter_core::phase::{PhaseState, PhaseStats};
use phasemeter_core::plan::{Arrival, PhaseKind, PhasePlan};
use phasemeter_core::summary::Percentile;
use phasemeter_core::time::{Duration, Instant};

use crate::session::{Boot, HostHistogram, PhaseTelemetry};
use crate::text::number::{Printed, Scale, percent};
use crate::text::page::width;

/// Rates and percentiles are those of the last second, on the device's clock.
const WINDOW: Duration = Duration::from_secs(1);

/// What one device is at.
#[derive(Debug, Default)]
pub(super) struct Live {
    /// The newest report of the phase that is furthest on, and the device's time then.
    report: Option<(PhaseStats, Instant)>,
    /// The run, the phase, and when the last window began.
    window: Option<Window>,
    /// What the last whole window told.
    rate: Option<f64>,
    percentiles: Vec<String>,
}

#[derive(Debug)]
struct Window {
    boot: u32,
    phase: u16,
    start: Instant,
    done: u64,
    histogram: Box<HostHistogram>,
}

impl Live {
    /// Another run begins.
    pub(super) fn begin(&mut self) {
        *self = Self::default();
    }

    /// Takes a report, and the device's time when it was made.
    pub(super) fn take(&mut self, stats: &PhaseStats, at: Instant) {
        if self.report.is_none_or(|(known, known_at)| (known.index, known_at) <= (stats.index, at)) {
            self.report = Some((*stats, at));
        }
    }

    /// The line in so many columns, without the device's name: as many of its parts as fit, the first at least. `None` if
    /// nothing was reported.
    pub(super) fn line(
        &mut self,
        boot: &Boot,
        phase: &PhaseTelemetry,
        lost_frames: u64,
        columns: usize,
    ) -> Option<String> {
        let mut parts = self.parts(boot, phase, lost_frames)?.into_iter();
        let mut line = parts.next()?;
        for part in parts {
            if width(&line) + 2 + width(&part) > columns {
                break;
            }
            line = line + "  " + &part;
        }
        Some(line)
    }

    fn parts(&mut self, boot: &Boot, phase: &PhaseTelemetry, lost_frames: u64) -> Option<Vec<String>> {
        let (stats, at) = self.report.filter(|(stats, _)| stats.index == phase.index())?;
        self.look(boot, phase, &stats, at);
        let elapsed = at.since(stats.started_at?);
        let mut parts = vec![format!("{} {}", phase.name(), minutes(elapsed))];
        let counts = &stats.counts;
        match stats.state {
            PhaseState::SendingComplete => parts.push(format!("waits for {}", counts.in_flight())),
            PhaseState::Complete => parts.push("complete".to_owned()),
            _ => parts.extend(
                self.rate.map(|rate| if rate < 100.0 { format!("{rate:.1}/s") } else { format!("{rate:.0}/s") }),
            ),
        }
        if stats.kind == PhaseKind::Monitor {
            parts.push(format!("samples {}", phase.observed()));
        } else {
            let ended = counts.completed.saturating_add(counts.cancelled);
            parts.push(format!("ok {}", percent(counts.successful(), ended).replace(' ', "")));
        }
        parts.extend(self.percentiles.iter().cloned());
        if lost_frames > 0 {
            parts.push(format!("lost frames {lost_frames}"));
        }
        let total = phase.plan().and_then(|plan| total(plan, &stats, elapsed));
        if let Some(total) = total.filter(|_| stats.state == PhaseState::Started) {
            let left = Duration::from_nanos(total.as_nanos().saturating_sub(elapsed.as_nanos()));
            parts.push(format!("of {}  ETA {}", minutes(total), minutes(left)));
        }
        if stats.kind != PhaseKind::Monitor {
            parts.push(format!("sent {}  errors {}  in flight {}", counts.sent, counts.errors, counts.in_flight()));
        }
        Some(parts)
    }

    /// Ends a window if it has been long enough, and begins another.
    #[expect(clippy::cast_precision_loss, reason = "a rate for display")]
    fn look(&mut self, boot: &Boot, phase: &PhaseTelemetry, stats: &PhaseStats, at: Instant) {
        let is_same = |window: &Window| (window.boot, window.phase) == (boot.id(), stats.index);
        if !self.window.as_ref().is_some_and(is_same) {
            let start = stats.started_at.unwrap_or(at);
            (self.rate, self.percentiles) = (None, Vec::new());
            self.window =
                Some(Window { boot: boot.id(), phase: stats.index, start, done: 0, histogram: Box::default() });
        }
        let Some(window) = &mut self.window else { return };
        let passed = at.since(window.start);
        if passed < WINDOW {
            return;
        }
        let done = if stats.kind == PhaseKind::Monitor { phase.observed() } else { stats.counts.sent };
        self.rate = Some(done.saturating_sub(window.done) as f64 / (passed.as_nanos() as f64 / 1e9));
        (window.start, window.done) = (at, done);
        let Some((id, metric)) = shown_metric(boot, phase) else { return };
        let Some(histogram) = phase.histogram(id) else { return };
        // Without news since the last window, what it told stays.
        if let Ok(interval) = histogram.since(&window.histogram)
            && !interval.is_empty()
        {
            self.percentiles = percentiles(&metric, &interval);
        }
        window.histogram = histogram;
    }
}

/// The response time, or else the first metric of a device that has its own.
fn shown_metric<'b>(boot: &'b Boot, phase: &PhaseTelemetry) -> Option<(u8, Metric<'b>)> {
    let response = boot.metric_id(LoadMetric::ResponseTime.name());
    let first = phase.metrics().find(|(_, mirror)| mirror.observed() > 0).map(|(id, _)| id);
    let id = response.or(first)?;
    Some((id, boot.metric(id)?))
}

/// Those of the interval; of a metric of the device's own, with its name.
fn percentiles(metric: &Metric<'_>, interval: &HistogramView<u64>) -> Vec<String> {
    /// Three digits: a line that changes every second need not be exact.
    const ROOM: usize = 4;
    let told = |percentile| {
        let value = interval.quantile(percentile)?.value;
        let printed = match metric.unit {
            Unit::Nanoseconds => Scale::of_times(value, &[value], ROOM).and_then(|scale| scale.print(value, ROOM)),
            _ => Scale::PLAIN.print(value, 20),
        };
        Some(format!("{percentile} {}", printed.map_or_else(|| "-".to_owned(), Printed::with_unit)))
    };
    let mut told: Vec<_> = [Percentile::P99, Percentile::P50].into_iter().filter_map(told).collect();
    if metric.name != LoadMetric::ResponseTime.name() {
        told = vec![format!("{} {}", metric.name.replace('_', " "), told.join("  "))];
    }
    told
}

/// How long requests will have been sent, as far as that is known.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "an estimate")]
fn total(plan: &PhasePlan, stats: &PhaseStats, elapsed: Duration) -> Option<Duration> {
    let by_requests = plan.stop.requests.and_then(|requests| {
        let seconds = match plan.arrival {
            Arrival::Constant { rate } | Arrival::Poisson { rate } => requests as f64 * 1e3 / f64::from(rate.get()),
            _ if stats.counts.sent > 0 => elapsed.as_nanos() as f64 / 1e9 * requests as f64 / stats.counts.sent as f64,
            _ => return None,
        };
        Some(Duration::from_nanos((seconds * 1e9) as u64))
    });
    [plan.stop.duration, by_requests].into_iter().flatten().min()
}

/// `0:12`, `1:02:03`.
fn minutes(length: Duration) -> String {
    let seconds = length.as_nanos() / 1_000_000_000;
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::tests::device::{loaded, monitored};
    use crate::session::{Note, Session};

    /// What the line says after each frame.
    fn lines(frames: &[Vec<u8>], columns: usize) -> Vec<String> {
        let (mut session, mut live, mut lines) = (Session::new(), Live::default(), Vec::new());
        for frame in frames {
            session.feed(frame, |note| match note {
                Note::Phase(stats, at) => live.take(&stats, at),
                Note::Begin { .. } => live.begin(),
                _ => {}
            });
            if let (Some(boot), Some(phase)) = (session.current_boot(), session.current_phase()) {
                lines.extend(live.line(boot, phase, 0, columns));
            }
        }
        lines
    }

    #[test]
    fn the_line_of_a_load_says_what_matters_in_45_columns() {
        // Five seconds of 500 requests a second, one in ten of which fails.
        let latencies: Vec<_> = (0..2_500).map(|place| if place % 10 == 3 { 0 } else { 1_500_000 }).collect();
        let frames = &loaded("d", 1, &[latencies])[0].frames;
        let narrow = lines(frames, 45);
        assert!(narrow.contains(&"profiling 0:03  500/s  ok 90.01%  p99 1.50 ms".to_owned()), "{narrow:#?}");
        assert!(narrow.iter().all(|line| width(line) <= 45), "{narrow:#?}");
        let lines = lines(frames, 200);
        let line = lines.iter().find(|line| line.starts_with("profiling 0:03  ")).unwrap();
        assert!(line.contains("  p99 1.50 ms  p50 1.50 ms  of 0:05  ETA 0:01"), "{line}");
        assert!(lines.last().unwrap().starts_with("profiling 0:04  complete  ok 90.00%"), "{:?}", lines.last());
    }

    #[test]
    fn the_line_of_a_monitor_has_its_own_metric() {
        let values: Vec<_> = (0..2_500).map(|value| (usize::from(value % 2 == 0), 3_000_000)).collect();
        let lines = lines(&monitored(1, &[values]).frames, 200);
        let last = lines.last().unwrap();
        assert!(
            last.starts_with("boot 0:01  ") && last.contains("  samples 2500  flash write p99 3.00 ms  p50 3.00 ms"),
            "{last}"
        );
        assert!(!last.contains("sent"), "{last}");
    }

    #[test]
    fn times_are_clocks() {
        let told = [0, 59, 61, 3_600, 36_061].map(|seconds| minutes(Duration::from_secs(seconds)));
        assert_eq!(told, ["0:00", "0:59", "1:01", "1:00:00", "10:01:01"]);
    }
}
