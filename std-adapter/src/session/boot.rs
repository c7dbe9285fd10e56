//! What one boot of a device told.

use std::collections::BTreeMap;

use phasemeter_core::metric::Metric;
use phasemeter_core::name::Name;
use phasemeter_core::telemetry::{Finished, Frame, Hello, Mode};
use phasemeter_core::time::Instant;

use super::host_time::HostWindow;
use super::limits::Room;
use super::missing::{Missing, PhaseLack};
use super::phase::PhaseTelemetry;
use super::problem::Problem;
use super::sequence::{Gap, Sequence};
use super::table::Table;
use crate::text::printable;

/// Who a device said it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// Names the device.
    pub device_id: String,
    /// The firmware's name and version.
    pub firmware: String,
    /// What it does, or did last.
    pub mode: Mode,
    /// Names the plan's content; 0 if there is none.
    pub plan_hash: u64,
    /// How many phases the plan has.
    pub phases: u16,
    /// Values that came outside of any phase, and are in no histogram.
    pub outside: u64,
    /// The names as they came.
    names: [Name; 3],
}

/// What one boot of a device told. Each run of a device is a boot of its own.
#[derive(Debug)]
pub struct Boot {
    id: u32,
    sequence: Sequence,
    info: Option<DeviceInfo>,
    table: Table,
    phases: BTreeMap<u16, Box<PhaseTelemetry>>,
    finished: Option<Finished>,
    has_begun: bool,
    /// How much more than the device's clock the host's shows, in nanoseconds: by the frame that took the least to arrive.
    host_offset: Option<i128>,
    skipped: u64,
    /// The newest count of skipped reports, with the number of its frame.
    last_skipped: Option<(u64, u32)>,
}

impl Boot {
    pub(super) fn new(id: u32, sequence: u32, uptime: Instant) -> Self {
        Self {
            id,
            sequence: Sequence::new(sequence, uptime),
            info: None,
            table: Table::default(),
            phases: BTreeMap::new(),
            finished: None,
            has_begun: false,
            host_offset: None,
            skipped: 0,
            last_skipped: None,
        }
    }

    /// Names it among the boots of its device.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Who the device is; `None` until a hello came.
    pub fn info(&self) -> Option<&DeviceInfo> {
        self.info.as_ref()
    }

    /// Whether it has begun to measure: a boot that only said hello is no run.
    pub fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// Whether the device measures itself, phase by phase, and need not finish.
    pub fn is_monitor(&self) -> bool {
        self.info.as_ref().is_some_and(|info| info.mode == Mode::Monitor)
    }

    /// The end of the run, once it was told.
    pub fn finished(&self) -> Option<&Finished> {
        self.finished.as_ref()
    }

    /// The phase at this place of the run, once anything of it came.
    pub fn phase(&self, index: u16) -> Option<&PhaseTelemetry> {
        self.phases.get(&index).map(|phase| &**phase)
    }

    /// The phases of which anything came, by their place in the run.
    pub fn phases(&self) -> impl DoubleEndedIterator<Item = &PhaseTelemetry> {
        self.phases.values().map(|phase| &**phase)
    }

    /// The metric of this id; `None` until it was named.
    pub fn metric(&self, id: u8) -> Option<Metric<'_>> {
        self.table.get(id)
    }

    /// The id of the metric of this name.
    pub fn metric_id(&self, name: &str) -> Option<u8> {
        self.table.find(name)
    }

    /// How many reports the device had no room for in its queue.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// The stretches of frames that did not arrive: the first thousand.
    pub fn gaps(&self) -> &[Gap] {
        self.sequence.gaps()
    }

    /// How many frames did not arrive, since the first that did.
    pub fn lost_frames(&self) -> u64 {
        self.sequence.lost()
    }

    /// When the phase at this place ran, on the host's clock; `None` if the host's times are not known, or its reports not.
    pub(crate) fn host_window(&self, phase: &PhaseTelemetry) -> Option<HostWindow> {
        phase.host_window(self.host_offset?)
    }

    /// A frame of this device time arrived at this host time.
    pub(super) fn arrived(&mut self, uptime: Instant, at_ns: u64) {
        let offset = i128::from(at_ns) - i128::from(uptime.as_nanos());
        self.host_offset = Some(self.host_offset.map_or(offset, |least| least.min(offset)));
    }

    /// A report of this phase that was news, of this device time, arrived at this host time.
    pub(super) fn told_phase(&mut self, index: u16, uptime: Instant, at_ns: u64) {
        if let Some(phase) = self.phases.get_mut(&index) {
            phase.arrived(uptime, at_ns);
        }
    }

    pub(super) fn sequence_mut(&mut self) -> &mut Sequence {
        &mut self.sequence
    }

    /// A boot in which something is measured has begun: tells whether that is news.
    pub(super) fn begin(&mut self) -> bool {
        !std::mem::replace(&mut self.has_begun, true)
    }

    /// Takes the frame of this number; tells whether it is news of a phase.
    pub(super) fn take(&mut self, number: u64, frame: &Frame<'_>, room: &mut Room) -> Result<bool, Problem> {
        match frame {
            Frame::Hello(hello) => self.take_hello(number, hello).map(|()| false),
            Frame::Metrics(part) => self.table.take(part).map(|()| false),
            Frame::Phase(report) => {
                self.skip(number, report.skipped);
                self.phase_mut(report.stats.index, room)?.take_report(number, report)
            }
            Frame::Failures(report) => {
                self.phase_mut(report.phase, room)?.take_failures(number, &report.failures).map(|()| false)
            }
            Frame::Buckets(buckets) => {
                self.table.check_id(buckets.metric)?;
                self.phase_mut(buckets.phase, room)?;
                let Some(phase) = self.phases.get_mut(&buckets.phase) else { return Ok(false) };
                phase.take_buckets(number, buckets, room).map(|()| false)
            }
            Frame::Totals(part) => {
                self.table.check_id(part.metric)?;
                let unbroken = self.sequence.is_unbroken();
                let phase = self.phase_mut(part.phase, room)?;
                phase.take_totals(number, part, unbroken, room).map(|()| false)
            }
            Frame::PhasePlanned(planned) => {
                self.phase_mut(planned.index, room)?.take_plan(&planned.phase).map(|()| false)
            }
            Frame::FailureDetail(detail) => {
                self.phase_mut(detail.phase, room)?;
                let Some(phase) = self.phases.get_mut(&detail.phase) else { return Ok(false) };
                phase.take_detail(detail, room);
                Ok(false)
            }
            Frame::Finished(finished) => self.take_finished(number, *finished).map(|()| false),
            _ => Ok(false),
        }
    }

    /// Everything that the boot told of has come; the error says what has not.
    pub(super) fn check_whole(&self) -> Result<(), Missing> {
        if self.is_monitor() {
            return self.check_monitor();
        }
        let Some(info) = &self.info else { return Err(Missing::Hello) };
        let Some(finished) = &self.finished else { return Err(Missing::End) };
        if finished.cancelled || self.phases().any(|phase| phase.stats().is_some_and(|stats| stats.cancelled)) {
            return Err(Missing::Cancelled);
        }
        if finished.phases < info.phases {
            return Err(Missing::Phases { planned: info.phases, run: finished.phases });
        }
        if let Some((&beyond, _)) = self.phases.range(info.phases..).next() {
            return Err(Missing::Problem(Problem::PhaseBeyond(beyond)));
        }
        if finished.phases > info.phases {
            return Err(Missing::Problem(Problem::PhaseBeyond(info.phases)));
        }
        self.check_phases(0..=finished.phases.saturating_sub(1), None)
    }

    /// A monitor is asked for what it does while it is listened to: from the first phase that was told of to the last,
    /// which may be open.
    fn check_monitor(&self) -> Result<(), Missing> {
        let (Some((&first, _)), Some((&last, _))) = (self.phases.first_key_value(), self.phases.last_key_value())
        else {
            return Err(Missing::AnyPhase);
        };
        self.check_phases(first..=last, Some(last))
    }

    fn check_phases(&self, indices: std::ops::RangeInclusive<u16>, may_be_open: Option<u16>) -> Result<(), Missing> {
        for index in indices {
            let lack = |lack| Missing::Phase(index, lack);
            let phase = self.phase(index).ok_or(lack(PhaseLack::All))?;
            phase.check(may_be_open == Some(index)).map_err(lack)?;
            for (id, _) in phase.metrics() {
                self.table.check_id(id).map_err(Missing::Problem)?;
                self.metric(id).ok_or(Missing::Name(id))?;
            }
        }
        Ok(())
    }

    fn take_hello(&mut self, number: u64, hello: &Hello<'_>) -> Result<(), Problem> {
        self.skip(number, hello.skipped);
        let Hello { device_id, firmware, firmware_version, mode, plan_hash, phases, outside, .. } = *hello;
        let names = [device_id, firmware, firmware_version].map(Name::cut);
        let Some(info) = &mut self.info else {
            let [device_id, firmware, version] = names.map(|name| printable(name.as_str()));
            let firmware = [firmware, version].join(" ").trim().to_owned();
            self.info = Some(DeviceInfo { device_id, firmware, mode, plan_hash, phases, outside, names });
            return self.table.expect(hello.metrics);
        };
        info.outside = info.outside.max(outside);
        // A device whose run is over has none; what it ran stays. A device that has had none may begin one.
        let same = match (info.mode, mode) {
            (_, Mode::Idle) => true,
            (Mode::Idle, _) => {
                (info.mode, info.plan_hash, info.phases) = (mode, plan_hash, phases);
                true
            }
            (known, _) => (known, info.plan_hash, info.phases) == (mode, plan_hash, phases),
        };
        if !same || info.names != names { Err(Problem::HelloChanged) } else { self.table.expect(hello.metrics) }
    }

    fn take_finished(&mut self, number: u64, finished: Finished) -> Result<(), Problem> {
        self.skip(number, finished.skipped);
        let known = self.finished.get_or_insert(finished);
        let same = (known.phases, known.cancelled) == (finished.phases, finished.cancelled);
        if same { Ok(()) } else { Err(Problem::FinishedChanged) }
    }

    /// The device counts what it skipped in 32 bits, which wrap.
    fn skip(&mut self, number: u64, skipped: u32) {
        let before = match self.last_skipped {
            Some((at, _)) if number <= at => return,
            Some((_, before)) => before,
            None => 0,
        };
        self.skipped = self.skipped.saturating_add(skipped.wrapping_sub(before).into());
        self.last_skipped = Some((number, skipped));
    }

    fn phase_mut(&mut self, index: u16, room: &mut Room) -> Result<&mut PhaseTelemetry, Problem> {
        match self.phases.entry(index) {
            std::collections::btree_map::Entry::Occupied(known) => Ok(known.into_mut()),
            std::collections::btree_map::Entry::Vacant(place) => {
                room.phases = room.phases.checked_sub(1).ok_or(Problem::TooManyPhases)?;
                Ok(place.insert(Box::new(PhaseTelemetry::new(index))))
            }
        }
    }
}
