//! Sessions to summary.

use phasemeter_core::telemetry::Mode;
use phasemeter_core::time::{Duration, Instant};

use super::model::{
    Coverage, CoverageCounts, DeviceMode, DeviceSummary, GapSummary, LineSummary, PERCENTILE_RULE, PhaseSummary,
    RunSummary, SCHEMA, Summary, seconds,
};
use super::phases::{Phases, Runs, phases};
use super::verdict::{Judgement, Thresholds, judged};
use crate::capture::EndReason;
use crate::session::{Boot, PhaseTelemetry, Session, seen_twice};

/// So many stretches of lost frames of a device are listed.
const MAX_GAPS: usize = 1_000;

/// Why nothing is known of a device that was listened for.
const NEVER_CAME: &str = "it never came";

/// What is known of a run beside its sessions.
#[derive(Clone, Debug, Default)]
pub struct RunInfo {
    /// Names the run.
    pub id: String,
    /// When recording began, in nanoseconds since 1970.
    pub started_unix_ns: u64,
    /// Why recording ended, and how many nanoseconds after it began; `None` if the capture has no end.
    pub end: Option<(EndReason, u64)>,
    /// What it is judged by.
    pub thresholds: Thresholds,
}

/// One source of a run, as far as it was observed.
#[derive(Clone, Copy, Debug)]
pub struct Observed<'a> {
    /// Names the source.
    pub source: &'a str,
    /// What it told.
    pub session: &'a Session,
    /// Why reading it failed, if it did.
    pub failure: Option<&'a str>,
    /// The faults that were injected into it on purpose.
    pub faults: Option<&'a str>,
}

/// Merges what was observed of all sources into one summary.
pub fn summarize(run: &RunInfo, sources: &[Observed<'_>]) -> Summary {
    let mut devices: Vec<_> = sources.iter().map(device).collect();
    let runs = runs(sources, &mut devices);
    let mut warnings: Vec<_> = same_ids(&mut devices).into_iter().chain(different_plans(&devices)).collect();
    warnings.extend(sources.iter().zip(&devices).filter_map(injected));
    warnings.extend(sources.iter().zip(&devices).filter_map(several_plans));
    warnings.extend(devices.iter().flat_map(of_device));
    let Phases { summaries: phases, validity, mixed } = phases(&runs, &devices);
    warnings.extend(mixed);
    for (Observed { session, .. }, device) in sources.iter().zip(&mut devices) {
        let own = phases.iter().filter(|phase| phase.device.as_ref() == Some(&device.id));
        let samples = CoverageCounts::sum(own.map(|phase| phase.coverage));
        let is_final = samples.ratio.is_some() && (device.complete || saw_every_end(session));
        device.coverage = CoverageCounts::of(samples.observed, samples.expected, is_final);
    }
    let partial_reason = partial_reason(run, &devices, &phases);
    let Judgement { verdict, reasons, .. } = run.thresholds.judge(judged(&phases), partial_reason.is_none());
    let mut plans: Vec<_> = devices.iter().map(|device| device.plan_hash.clone()).collect();
    plans.dedup();
    Summary {
        schema: SCHEMA.to_owned(),
        percentile_rule: PERCENTILE_RULE.to_owned(),
        run: RunSummary {
            id: run.id.clone(),
            started: rfc3339(run.started_unix_ns),
            recorded_s: run.end.map(|(_, nanos)| seconds(Duration::from_nanos(nanos))),
            endless: devices.iter().any(|device| device.mode == Some(DeviceMode::Monitor)),
            complete: partial_reason.is_none(),
            partial_reason,
            verdict,
            failure_reasons: reasons,
            max_error_rate: f64::from(run.thresholds.max_error_rate_ppm) / 1e6,
            plan_hash: if plans.len() == 1 { plans.pop().flatten() } else { None },
            warnings,
        },
        coverage: coverage(sources, &devices),
        devices,
        phases,
        validity,
    }
}

fn rfc3339(unix_ns: u64) -> String {
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_nanos(unix_ns);
    humantime::format_rfc3339_millis(time).to_string()
}

/// Why the run is incomplete: a recording that ended early is no reason if everything that was told of has come.
fn partial_reason(run: &RunInfo, devices: &[DeviceSummary], phases: &[PhaseSummary]) -> Option<String> {
    let absent = devices.iter().filter(|device| device.partial_reason.as_deref() == Some(NEVER_CAME)).count();
    let absent = (absent > 0).then(|| format!("{absent} of {} devices never came", devices.len()));
    let of_devices = devices
        .iter()
        .filter(|device| device.same_as.is_none())
        .filter_map(|device| Some((device, device.partial_reason.as_deref().filter(|reason| *reason != NEVER_CAME)?)))
        .map(|(device, reason)| format!("{}: {reason}", device.id));
    let of_devices: Vec<_> = absent.into_iter().chain(of_devices).collect();
    let of_recording = match run.end {
        None => Some("the capture has no end: the recorder was killed, could write no more, or is still running"),
        _ if of_devices.is_empty() => None,
        Some((EndReason::Finished, _)) => None,
        Some((EndReason::Interrupted, _)) => Some("recording was interrupted"),
        Some((EndReason::TimedOut, _)) => Some("the time set for recording had passed"),
    };
    let of_all = devices.is_empty().then_some("no source was recorded");
    let of_phases =
        timed_out_whole(phases).then_some("every phase timed out, and no request of it was seen to its end");
    let of_run = [of_all, of_phases].into_iter().flatten().map(str::to_owned);
    let reasons: Vec<_> = of_recording.into_iter().map(str::to_owned).chain(of_devices).chain(of_run).collect();
    (!reasons.is_empty()).then(|| reasons.join("; "))
}

/// Whether all that was sent was given up: then nothing is known of how long it would have taken.
fn timed_out_whole(phases: &[PhaseSummary]) -> bool {
    let mut with_requests = phases.iter().filter_map(|phase| Some((phase, phase.counts?))).peekable();
    with_requests.peek().is_some()
        && with_requests.all(|(phase, counts)| phase.timed_out && counts.sent > 0 && counts.completed == 0)
}

fn device(observed: &Observed<'_>) -> DeviceSummary {
    let Observed { source, session, failure, .. } = *observed;
    let info = session.info();
    let never_came = session.bytes() == 0 && source.starts_with("tcp-listen:");
    let missing = session.check_whole().err().map(|missing| missing.to_string());
    let missing = if never_came { Some(NEVER_CAME.to_owned()) } else { missing };
    let partial_reason = match (missing, failure) {
        (Some(missing), Some(failure)) => Some(format!("{missing} ({failure})")),
        // A monitor has no end of its own: a line that broke is not what was asked for.
        (None, Some(failure)) if session.is_endless() => Some(failure.to_owned()),
        (missing, _) => missing,
    };
    let runs = session.boots().iter().filter(|boot| boot.has_begun());
    DeviceSummary {
        id: info.map(|info| info.device_id.clone()).filter(|id| !id.is_empty()).unwrap_or_else(|| source.to_owned()),
        source: source.to_owned(),
        firmware: info.map(|info| info.firmware.clone()).filter(|firmware| !firmware.is_empty()),
        mode: info.map(|info| match info.mode {
            Mode::Idle => DeviceMode::Idle,
            Mode::Load => DeviceMode::Load,
            Mode::Monitor => DeviceMode::Monitor,
        }),
        boots: runs.clone().count() as u64,
        plan_hash: info.map(|info| info.plan_hash).filter(|hash| *hash != 0).map(|hash| format!("{hash:016x}")),
        outside: runs.filter_map(Boot::info).map(|info| info.outside).max().unwrap_or(0),
        complete: partial_reason.is_none(),
        partial_reason,
        coverage: CoverageCounts::default(),
        same_as: None,
        problems: session.problems().iter().map(ToString::to_string).collect(),
    }
}

/// The runs of each source that count: one that several sources show does so once.
fn runs<'a>(sources: &[Observed<'a>], devices: &mut [DeviceSummary]) -> Vec<Runs<'a>> {
    let sessions: Vec<_> = sources.iter().map(|observed| observed.session).collect();
    let twice = seen_twice(&sessions);
    let mut runs = Vec::new();
    for (place, session) in sessions.iter().enumerate() {
        let left_out = |boot: usize| twice.iter().find(|twice| (twice.session, twice.boot) == (place, boot));
        let counted = session.boots().iter().enumerate().filter(|(_, boot)| boot.has_begun());
        let boots: Vec<_> = counted.filter(|(boot, _)| left_out(*boot).is_none()).map(|(_, boot)| boot).collect();
        let kept = twice.iter().find(|twice| twice.session == place).and_then(|twice| sources.get(twice.kept));
        if let (Some(device), Some(kept)) = (devices.get_mut(place), kept.filter(|_| boots.is_empty())) {
            device.same_as = Some(kept.source.to_owned());
        }
        runs.push(Runs { boots, settled: devices.get(place).is_some_and(|device| device.complete) });
    }
    runs
}

/// Two devices of one name are told apart by their sources.
fn same_ids(devices: &mut [DeviceSummary]) -> Option<String> {
    let ids: Vec<_> = devices.iter().map(|device| device.id.clone()).collect();
    let mut warning = None;
    for device in devices {
        if ids.iter().filter(|id| **id == device.id).count() > 1 {
            if device.same_as.is_none() {
                warning = Some(format!("several devices call themselves {}: each is named with its source", device.id));
            }
            device.id = format!("{} ({})", device.id, device.source);
        }
    }
    warning
}

fn different_plans(devices: &[DeviceSummary]) -> Option<String> {
    let mut plans: Vec<_> = devices.iter().filter_map(|device| device.plan_hash.as_deref()).collect();
    plans.dedup();
    (plans.len() > 1).then(|| "the devices run different plans, and \"all devices\" mixes them".to_owned())
}

fn injected((Observed { faults, .. }, device): (&Observed<'_>, &DeviceSummary)) -> Option<String> {
    let faults = (*faults)?;
    Some(format!(
        "{}: faults were injected into its line on purpose ({faults}): this is a test, not a measurement",
        device.id
    ))
}

fn several_plans((Observed { session, .. }, device): (&Observed<'_>, &DeviceSummary)) -> Option<String> {
    let mut plans =
        session.boots().iter().filter(|boot| boot.has_begun()).filter_map(Boot::info).map(|of| of.plan_hash);
    let first = plans.next()?;
    plans.any(|plan| plan != first).then(|| format!("{} ran different plans, and its phases mix them", device.id))
}

/// What a reader has to know of a device.
fn of_device(device: &DeviceSummary) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(source) = &device.same_as {
        warnings.push(format!("{} is the device on {source} seen twice: it counts once", device.id));
    }
    if device.outside > 0 {
        warnings.push(format!(
            "{}: {} values came outside of any phase, and are in no histogram",
            device.id, device.outside
        ));
    }
    warnings.extend(device.problems.iter().map(|problem| format!("{}: {problem}", device.id)));
    warnings
}

fn coverage(sources: &[Observed<'_>], devices: &[DeviceSummary]) -> Coverage {
    let counted = devices.iter().filter(|device| device.same_as.is_none());
    let mut coverage = Coverage {
        samples: CoverageCounts::sum(counted.map(|device| device.coverage)),
        gaps: Vec::new(),
        lost_frames: 0,
        crc_errors: 0,
        resets: 0,
        device_dropped: 0,
        line: LineSummary::default(),
    };
    for (Observed { session, .. }, device) in sources.iter().zip(devices) {
        let errors = session.errors();
        let boots = session.boots().iter().enumerate();
        let gaps = boots.flat_map(|(boot, of)| of.gaps().iter().map(move |gap| (boot, gap)));
        coverage.gaps.extend(gaps.take(MAX_GAPS).map(|(boot, gap)| GapSummary {
            device: device.id.clone(),
            boot,
            first_sequence: gap.first_sequence,
            frames: gap.frames,
            at_s: seconds(gap.at.since(Instant::BOOT)),
        }));
        coverage.lost_frames = coverage.lost_frames.saturating_add(session.lost_frames());
        coverage.crc_errors += errors.crc_errors;
        coverage.resets += session.resets();
        let skipped = session.boots().iter().map(Boot::skipped).fold(0, u64::saturating_add);
        coverage.device_dropped = coverage.device_dropped.saturating_add(skipped);
        let line = &mut coverage.line;
        line.frames += session.frames();
        line.noise += errors.noise;
        line.overlong += errors.overlong;
        line.malformed += errors.malformed;
        line.newer_version += errors.newer_version;
        line.unknown_kind += errors.unknown_kind;
        line.echoes += errors.echoes;
        line.text += errors.text;
    }
    coverage
}

/// Whether the end of every phase of every run was seen, so that what is expected is known.
fn saw_every_end(session: &Session) -> bool {
    let is_seen = |boot: &Boot| {
        let planned = boot.info().map_or(0, |info| info.phases);
        boot.finished().is_some_and(|finished| {
            (0..finished.phases.max(planned)).all(|index| boot.phase(index).is_some_and(PhaseTelemetry::is_over))
        })
    };
    let mut runs = session.boots().iter().filter(|boot| boot.has_begun()).peekable();
    runs.peek().is_some() && runs.all(is_seen)
}
