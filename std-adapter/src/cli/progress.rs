//! How a recording goes, on standard error: a live line a source on a terminal, a line a transition in a pipe.

mod echo;
mod live;
mod silence;

use std::cmp::Ordering;
use std::fmt::Write as _;
use std::io::IsTerminal;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use phasemeter_core::metric::LoadMetric;
use phasemeter_core::phase::PhaseState;
use phasemeter_core::plan::PhaseKind;
use phasemeter_core::summary::Percentile;
use terminal_size::{Width, terminal_size_of};

use crate::recorder::RecordingWatcher;
use crate::replay::{RecordedRun, RecordedSource};
use crate::session::{Boot, Gap, Note, PhaseTelemetry, resolved};
use crate::source::ListenNews;
use crate::text::page::{WIDTH, cut, width};
use crate::text::printable;
use echo::{BYTES, LINES};
use live::Live;
use silence::Silence;

pub(super) use echo::{Echo, Shown};

use super::verbosity::{Verbosity, verbosity};

/// How often the live lines are made anew: a percentile takes a walk over a histogram.
const SHOW_EVERY: Duration = Duration::from_millis(100);

/// So many gaps of a source are told one by one.
const GAPS_TOLD: usize = 5;
/// A device's name takes no more of its line.
const NAME_COLUMNS: usize = 20;
/// The spinner and the gaps around the name.
const AROUND_NAME: usize = 4;

/// Tells how a recording goes; nothing if the user wants it quiet.
pub(super) struct RecordingProgress {
    devices: Vec<Device>,
    echo: Echo,
    /// Who comes, if devices are listened for.
    news: Option<Receiver<ListenNews>>,
    lines: Option<Lines>,
}

struct Device {
    /// Its own name, or that of its source as long as it told none.
    name: String,
    live: Live,
    silence: Silence,
    /// The boot, phase and state that was told last.
    told: Option<(u32, u16, PhaseState)>,
    gaps: usize,
}

struct Lines {
    all: MultiProgress,
    /// How many have come, if devices are listened for.
    head: Option<ProgressBar>,
    bars: Vec<ProgressBar>,
    shown: Instant,
}

impl RecordingProgress {
    /// Progress of sources with these names, and of who comes.
    pub(super) fn new(names: Vec<String>, news: Option<Receiver<ListenNews>>) -> Self {
        let is_live = std::io::stderr().is_terminal() && verbosity() != Verbosity::Quiet;
        let lines = is_live.then(|| {
            let all = MultiProgress::new();
            let style = ProgressStyle::with_template("{spinner} {prefix}  {wide_msg}")
                .unwrap_or_else(|_| ProgressStyle::default_spinner());
            let head = news.as_ref().map(|_| all.add(ProgressBar::new_spinner().with_style(style.clone())));
            let bars = names.iter().map(|name| {
                let bar = all.add(ProgressBar::new_spinner().with_style(style.clone()).with_prefix(short(name)));
                bar.enable_steady_tick(SHOW_EVERY);
                bar.set_message("waiting for telemetry");
                bar
            });
            let bars = bars.collect();
            Lines { all, head, bars, shown: Instant::now() }
        });
        let now = Instant::now();
        let device = |name| Device { name, live: Live::default(), silence: Silence::new(now), told: None, gaps: 0 };
        Self { devices: names.into_iter().map(device).collect(), echo: Echo::new(), news, lines }
    }

    /// Clears the live lines, and says what was not shown.
    pub(super) fn finish(&self) {
        if let Some(lines) = &self.lines {
            lines.head.iter().chain(&lines.bars).for_each(ProgressBar::finish_and_clear);
        }
        let withheld = self.echo.withheld();
        if withheld.lines > 0 {
            super::say(format_args!(
                "{} lines of text ({} bytes) were not shown; the capture has them",
                withheld.lines, withheld.bytes
            ));
        }
    }

    /// Shows what a device prints, within bounds.
    fn text(&mut self, source: usize, text: &str) {
        if let Some(device) = self.devices.get_mut(source) {
            device.silence.printed(text);
        }
        for line in text.lines() {
            match self.echo.take(line, Instant::now()) {
                Shown::Yes => self.say(source, &format!("| {line}")),
                Shown::NoMore => self.say(
                    source,
                    &format!("more text than {LINES} lines or {BYTES} bytes a second: the rest is only counted"),
                ),
                Shown::No => {}
            }
        }
    }

    fn say(&self, source: usize, what: &str) {
        let name = self.devices.get(source).map_or("?", |device| device.name.as_str());
        self.say_of_all(&format!("{name}: {what}"));
    }

    fn say_of_all(&self, text: &str) {
        match &self.lines {
            // Fails if standard error is gone, and then nobody reads it.
            Some(lines) => drop(lines.all.println(printable(text))),
            None => super::say(text),
        }
    }

    /// Devices go by their own names; two of one name by that of their sources as well.
    fn name(&mut self, sources: &[RecordedSource]) {
        let id = |source: &RecordedSource| {
            source.session.info().map(|info| info.device_id.clone()).filter(|id| !id.is_empty())
        };
        let ids: Vec<_> = sources.iter().map(id).collect();
        for (number, (device, source)) in self.devices.iter_mut().zip(sources).enumerate() {
            let Some(id) = ids.get(number).cloned().flatten() else { continue };
            let is_one = ids.iter().flatten().filter(|other| **other == id).count() == 1;
            let name = if is_one { id } else { format!("{id} ({})", source.identity) };
            if device.name != name {
                device.name = name;
                if let Some(bar) = self.lines.as_ref().and_then(|lines| lines.bars.get(number)) {
                    bar.set_prefix(short(&device.name));
                }
            }
        }
    }

    fn show(&mut self, number: usize, source: &RecordedSource) {
        let (Some(boot), Some(phase)) = (source.session.current_boot(), source.session.current_phase()) else { return };
        let (Some(stats), Some(device)) = (phase.stats(), self.devices.get_mut(number)) else { return };
        if let Some(bar) = self.lines.as_ref().and_then(|lines| lines.bars.get(number))
            && let Some(line) = device.live.line(boot, phase, source.session.lost_frames(), room(&device.name))
        {
            bar.set_message(line);
        }
        let seen = Some((boot.id(), stats.index, stats.state));
        if device.told != seen {
            device.told = seen;
            if self.lines.is_none() || verbosity() == Verbosity::Verbose {
                self.say(number, &transition(boot, phase, source));
            }
        }
    }
}

/// The columns that a live line has behind the device's name.
fn room(name: &str) -> usize {
    let columns = terminal_size_of(std::io::stderr()).map_or(WIDTH, |(Width(columns), _)| columns.into());
    columns.saturating_sub(width(&short(name)) + AROUND_NAME)
}

fn short(name: &str) -> String {
    cut(&printable(name), NAME_COLUMNS)
}

/// Nanoseconds in milliseconds, to the nearest thousandth.
fn rounded_millis(nanos: u64) -> String {
    let micros = nanos / 1_000 + u64::from(nanos % 1_000 >= 500);
    format!("{}.{:03}", micros / 1_000, micros % 1_000)
}

/// What a phase has come to when its state changes.
fn transition(boot: &Boot, phase: &PhaseTelemetry, source: &RecordedSource) -> String {
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
    if let Some(p50) = histogram.and_then(|histogram| resolved(&histogram, Percentile::P50).ok()) {
        let _ = write!(text, ", response p50 {} ms", rounded_millis(p50.value));
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
            Note::Text(text) => self.text(source, text),
            Note::Gap(gap) => self.gap(source, gap),
            Note::Begin { after_reset } => {
                if let Some(device) = self.devices.get_mut(source) {
                    device.live.begin();
                }
                if *after_reset {
                    self.say(source, "the device was reset");
                }
            }
            Note::Problem(problem) => self.say(source, &problem.to_string()),
            // It is shown with the next tick.
            Note::Phase(stats, at) => {
                if let Some(device) = self.devices.get_mut(source) {
                    device.live.take(stats, *at);
                }
            }
            Note::Unusable(what) => self.say(source, &format!("{what} (further ones are only counted)")),
        }
    }

    fn started(&mut self, devices: usize, spread: Duration) {
        self.say_of_all(&format!("{devices} devices started within {} ms", spread.as_millis() + 1));
    }

    fn tick(&mut self, run: &RecordedRun) {
        if let Some(lines) = &mut self.lines {
            if lines.shown.elapsed() < SHOW_EVERY {
                return;
            }
            lines.shown = Instant::now();
        }
        self.listened(run);
        self.name(run.sources());
        let now = Instant::now();
        for (number, source) in run.sources().iter().enumerate() {
            self.show(number, source);
            self.silence(number, source, now);
        }
    }
}

impl RecordingProgress {
    /// Says who has come, and who was refused; of many strays only some.
    fn listened(&mut self, run: &RecordedRun) {
        let Some(news) = &self.news else { return };
        for news in news.try_iter().collect::<Vec<_>>() {
            let text = news.to_string();
            let is_refusal = matches!(news, ListenNews::Refused { .. });
            if !is_refusal || self.echo.take(&text, Instant::now()) == Shown::Yes {
                self.say_of_all(&text);
            }
        }
        if let Some(head) = self.lines.as_ref().and_then(|lines| lines.head.as_ref()) {
            let sources = run.sources();
            let come = sources.iter().filter(|source| source.session.bytes() > 0).count();
            let finished = sources.iter().filter(|source| source.session.is_finished()).count();
            head.set_message(format!("{come} of {} devices have come, {finished} have finished", sources.len()));
        }
    }

    /// A stall is said when it begins and when it ends, and its length stands in the live line while it lasts.
    fn silence(&mut self, number: usize, source: &RecordedSource, now: Instant) {
        let Some(device) = self.devices.get_mut(number) else { return };
        let told = device.silence.look(source, now);
        if let Some(stalled) = device.silence.stalled_for(now)
            && let Some(bar) = self.lines.as_ref().and_then(|lines| lines.bars.get(number))
        {
            bar.set_message(format!("no frame for {} s", stalled.as_secs()));
        }
        if let Some(told) = told {
            self.say(number, &told);
        }
    }

    /// A line that loses frames all the time is told of a few times, unless the user wants it all.
    fn gap(&mut self, source: usize, gap: &Gap) {
        let Some(device) = self.devices.get_mut(source) else { return };
        device.gaps += 1;
        let behind = match (device.gaps.cmp(&GAPS_TOLD), verbosity()) {
            (_, Verbosity::Verbose) | (Ordering::Less, _) => "",
            (Ordering::Equal, _) => " (further gaps are only counted)",
            (Ordering::Greater, _) => return,
        };
        self.say(source, &format!("lost frames {} from number {}{behind}", gap.frames, gap.first_sequence));
    }
}

#[cfg(test)]
mod tests {
    use super::rounded_millis;

    #[test]
    fn a_time_is_rounded_to_the_nearest() {
        for (nanos, printed) in
            [(0, "0.000"), (1_499, "0.001"), (1_500, "0.002"), (1_999_999, "2.000"), (u64::MAX, "18446744073709.552")]
        {
            assert_eq!(rounded_millis(nanos), printed);
        }
    }
}
