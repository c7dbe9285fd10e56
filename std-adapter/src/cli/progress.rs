//! How a recording goes, on standard error: a live line a source on a terminal, a line a transition in a pipe.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use phasemeter_core::metric::LoadMetric;
use phasemeter_core::phase::PhaseState;
use phasemeter_core::plan::PhaseKind;
use phasemeter_core::summary::Percentile;

use crate::recorder::RecordingWatcher;
use crate::replay::{RecordedRun, RecordedSource};
use crate::session::{Boot, Note, PhaseTelemetry};
use crate::text::printable;

/// How often the live lines are made anew: a percentile takes a walk over a histogram.
const SHOW_EVERY: Duration = Duration::from_millis(100);

pub(super) struct RecordingProgress {
    names: Vec<String>,
    lines: Option<Lines>,
    /// The boot, phase and state of each source that was told last.
    told: HashMap<usize, (u32, u16, PhaseState)>,
}

struct Lines {
    all: MultiProgress,
    bars: Vec<ProgressBar>,
    shown: Instant,
}

impl RecordingProgress {
    /// Progress of sources with these names.
    pub(super) fn new(names: Vec<String>) -> Self {
        let lines = std::io::stderr().is_terminal().then(|| {
            let all = MultiProgress::new();
            let style = ProgressStyle::with_template("{spinner} {prefix}  {wide_msg}")
                .unwrap_or_else(|_| ProgressStyle::default_spinner());
            let bars = names.iter().map(|name| {
                let bar = all.add(ProgressBar::new_spinner().with_style(style.clone()).with_prefix(printable(name)));
                bar.enable_steady_tick(SHOW_EVERY);
                bar.set_message("waiting for telemetry");
                bar
            });
            let bars = bars.collect();
            Lines { all, bars, shown: Instant::now() }
        });
        Self { names, lines, told: HashMap::new() }
    }

    /// Clears the live lines.
    pub(super) fn finish(&self) {
        if let Some(lines) = &self.lines {
            lines.bars.iter().for_each(ProgressBar::finish_and_clear);
        }
    }

    fn say(&self, source: usize, what: &str) {
        let name = self.names.get(source).map_or("?", String::as_str);
        let text = format!("{name}: {what}");
        match &self.lines {
            // Fails if standard error is gone, and then nobody reads it.
            Some(lines) => drop(lines.all.println(printable(&text))),
            None => super::say(text),
        }
    }

    fn show(&mut self, number: usize, source: &RecordedSource) {
        let (Some(boot), Some(phase)) = (source.session.current_boot(), source.session.current_phase()) else { return };
        let Some(stats) = phase.stats() else { return };
        let seen = (boot.id(), stats.index, stats.state);
        match &self.lines {
            Some(lines) => {
                if let Some(bar) = lines.bars.get(number) {
                    bar.set_message(live(boot, phase, source));
                }
            }
            None if self.told.get(&number) != Some(&seen) => {
                self.told.insert(number, seen);
                self.say(number, &live(boot, phase, source));
            }
            None => {}
        }
    }
}

fn live(boot: &Boot, phase: &PhaseTelemetry, source: &RecordedSource) -> String {
    let mut text = phase.name().into_owned();
    if let Some(stats) = phase.stats() {
        let _ = write!(text, " {}: ", stats.state.name().replace('_', " "));
        let counts = &stats.counts;
        let _ = if stats.kind == PhaseKind::Monitor {
            write!(text, "samples {}", phase.observed())
        } else {
            let (sent, completed, in_flight) = (counts.sent, counts.completed, counts.in_flight());
            write!(text, "sent {sent}, completed {completed}, errors {}, in flight {in_flight}", counts.errors)
        };
    }
    let histogram = boot.metric_id(LoadMetric::ResponseTime.name()).and_then(|metric| phase.histogram(metric));
    if let Some(p50) = histogram.and_then(|histogram| histogram.quantile(Percentile::P50)) {
        let micros = p50.value / 1_000;
        let _ = write!(text, ", response p50 {}.{:03} ms", micros / 1_000, micros % 1_000);
    }
    if source.session.lost_frames() > 0 {
        let _ = write!(text, ", lost frames {}", source.session.lost_frames());
    }
    text
}

impl RecordingWatcher for RecordingProgress {
    fn note(&mut self, source: u16, note: &Note) {
        let source = usize::from(source);
        match note {
            Note::Text(text) => {
                for line in text.lines() {
                    self.say(source, &format!("| {line}"));
                }
            }
            Note::Gap(gap) => {
                self.say(source, &format!("lost frames {} from number {}", gap.frames, gap.first_sequence));
            }
            Note::Begin { after_reset: true } => self.say(source, "the device was reset"),
            Note::Problem(problem) => self.say(source, &problem.to_string()),
            // They are shown with the next tick.
            Note::Begin { .. } | Note::Phase(..) => {}
            Note::Unusable(what) => self.say(source, &format!("{what} (further ones are only counted)")),
        }
    }

    fn tick(&mut self, run: &RecordedRun) {
        if let Some(lines) = &mut self.lines {
            if lines.shown.elapsed() < SHOW_EVERY {
                return;
            }
            lines.shown = Instant::now();
        }
        for (number, source) in run.sources().iter().enumerate() {
            self.show(number, source);
        }
    }
}
