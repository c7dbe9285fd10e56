//! How a recording goes, on standard error: a live line a source on a terminal, a line a transition in a pipe.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use phasemeter_core::meter::Metric;
use phasemeter_core::phase::{PhaseState, PhaseStats};
use phasemeter_core::summary::Percentile;

use crate::record::Watcher;
use crate::run::{Run, SourceState};
use crate::session::{Note, printable};

pub(super) struct Progress {
    names: Vec<String>,
    lines: Option<Lines>,
    /// The phase and state of each source that was told last.
    told: HashMap<usize, (u16, PhaseState)>,
}

struct Lines {
    all: MultiProgress,
    bars: Vec<ProgressBar>,
}

impl Progress {
    /// Progress of sources with these names.
    pub(super) fn new(names: Vec<String>) -> Self {
        let lines = std::io::stderr().is_terminal().then(|| {
            let all = MultiProgress::new();
            let style = ProgressStyle::with_template("{spinner} {prefix}  {wide_msg}")
                .unwrap_or_else(|_| ProgressStyle::default_spinner());
            let bars = names.iter().map(|name| {
                let bar = all.add(ProgressBar::new_spinner().with_style(style.clone()).with_prefix(name.clone()));
                bar.enable_steady_tick(Duration::from_millis(100));
                bar.set_message("waiting for telemetry");
                bar
            });
            let bars = bars.collect();
            Lines { all, bars }
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
            Some(lines) => drop(lines.all.println(text)),
            None => super::say(text),
        }
    }

    fn show(&mut self, number: usize, source: &SourceState) {
        let Some(stats) = source.session.current_phase().and_then(|record| record.stats) else { return };
        let seen = (stats.index, stats.state);
        match &self.lines {
            Some(lines) => {
                if let Some(bar) = lines.bars.get(number) {
                    bar.set_message(live(&stats, source));
                }
            }
            None if self.told.get(&number) != Some(&seen) => {
                self.told.insert(number, seen);
                self.say(number, &live(&stats, source));
            }
            None => {}
        }
    }
}

fn live(stats: &PhaseStats, source: &SourceState) -> String {
    let counts = &stats.counts;
    let mut text = format!(
        "{} {}: sent {}, completed {}, errors {}, in flight {}",
        stats.kind,
        stats.state.name().replace('_', " "),
        counts.sent,
        counts.completed,
        counts.errors,
        counts.in_flight()
    );
    let histogram = source.session.current_phase().and_then(|record| record.metrics[Metric::ResponseTime].histogram());
    if let Some(p50) = histogram.and_then(|histogram| histogram.quantile(Percentile::P50)) {
        let micros = p50.value / 1_000;
        let _ = write!(text, ", response p50 {}.{:03} ms", micros / 1_000, micros % 1_000);
    }
    if source.session.lost_frames() > 0 {
        let _ = write!(text, ", lost frames {}", source.session.lost_frames());
    }
    text
}

impl Watcher for Progress {
    fn note(&mut self, source: u16, note: &Note) {
        let source = usize::from(source);
        match note {
            Note::Text(text) => {
                for line in text.lines() {
                    self.say(source, &format!("| {}", printable(line)));
                }
            }
            Note::Gap(gap) => {
                self.say(source, &format!("lost frames {} from number {}", gap.frames, gap.first_sequence));
            }
            // It is shown with the next tick.
            Note::Phase(..) => {}
            Note::Reset => self.say(source, "the device was reset"),
            Note::Unusable(what) => self.say(source, &format!("{what} (further ones are only counted)")),
        }
    }

    fn tick(&mut self, run: &Run) {
        for (number, source) in run.sources().iter().enumerate() {
            self.show(number, source);
        }
    }
}
