//! Events from reports: what a recorder makes of the phases that a device tells of.

use phasemeter_core::hook::{PhaseEvent, PhaseHook};
use phasemeter_core::phase::{PhaseCounts, PhaseState, PhaseStats};
use phasemeter_core::time::Instant;

use crate::session::Note;

/// Compares each report of a device with the one before, and tells a hook what happened in between.
///
/// The hook is told in the order of its contract, whatever was lost: an event whose own report did not come is told
/// with the next one that did, at the time that this one gives for it. A start that is told late has a
/// [`PhaseStats::state`] beyond [`PhaseState::Started`]. A report that comes twice is told once. A phase whose end was
/// lost for good has no end here either.
///
/// Two things are not in a report as they were: at the end of sending and before, counts other than `sent` are those
/// of the report; at a time-out, those requests count as in flight that were cancelled since the last report.
///
/// `now` is the device's clock, and begins anew after [`PhaseWatch::reset`].
#[derive(Clone, Debug, Default)]
pub struct PhaseWatch {
    /// The last report that was told.
    last: Option<PhaseStats>,
    now: Instant,
}

impl PhaseWatch {
    /// A watch that may begin in mid-run.
    pub fn new() -> Self {
        Self::default()
    }

    /// The device started anew: its phases repeat.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// Tells `hook` what is new in what a session noted.
    pub fn note<H: PhaseHook + ?Sized>(&mut self, note: &Note, hook: &mut H) {
        match note {
            Note::Begin { .. } => self.reset(),
            Note::Phase(report, uptime) => self.see(report, *uptime, hook),
            _ => {}
        }
    }

    /// Tells `hook` what is new in a report that the device sent at `uptime`.
    pub fn see<H: PhaseHook + ?Sized>(&mut self, report: &PhaseStats, uptime: Instant, hook: &mut H) {
        let last = self.last.filter(|last| last.index == report.index);
        let known = last.map_or(PhaseState::Created, |last| last.state);
        if self.last.is_some_and(|last| (last.index, last.state) > (report.index, report.state)) {
            return;
        }
        if known == report.state {
            if matches!(known, PhaseState::Started | PhaseState::SendingComplete) {
                self.tell(PhaseEvent::Progress, report, Some(uptime), hook);
            }
        } else {
            if known < PhaseState::Started {
                self.tell(PhaseEvent::Start, report, report.started_at, hook);
            }
            if known < PhaseState::SendingComplete && report.state >= PhaseState::SendingComplete {
                self.tell(PhaseEvent::SendingComplete, report, report.sending_complete_at, hook);
            }
            if report.state == PhaseState::Complete {
                if report.timed_out {
                    let before = last.map_or(0, |last| last.counts.cancelled).min(report.counts.cancelled);
                    let phase = PhaseStats {
                        state: PhaseState::SendingComplete,
                        completed_at: None,
                        counts: PhaseCounts { cancelled: before, ..report.counts },
                        ..*report
                    };
                    self.tell(PhaseEvent::Timeout, &phase, report.completed_at, hook);
                }
                self.tell(PhaseEvent::Complete, report, report.completed_at, hook);
            }
        }
        self.last = Some(*report);
    }

    fn tell<H: PhaseHook + ?Sized>(
        &mut self,
        event: PhaseEvent,
        phase: &PhaseStats,
        at: Option<Instant>,
        hook: &mut H,
    ) {
        self.now = self.now.max(at.unwrap_or_default());
        hook.on_event(event, phase, self.now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hook::event::tests::PHASE;
    use PhaseEvent::{Complete, Progress, SendingComplete, Start, Timeout};

    #[derive(Default)]
    struct Told(Vec<(PhaseEvent, PhaseStats, Instant)>);

    impl PhaseHook for Told {
        fn on_event(&mut self, event: PhaseEvent, phase: &PhaseStats, now: Instant) {
            self.0.push((event, *phase, now));
        }
    }

    impl Told {
        fn events(&mut self) -> Vec<(PhaseEvent, u16)> {
            self.0.drain(..).map(|(event, phase, _)| (event, phase.index)).collect()
        }
    }

    fn report(index: u16, state: PhaseState) -> PhaseStats {
        let cancelled = if state == PhaseState::Complete { PHASE.counts.cancelled } else { 0 };
        PhaseStats {
            index,
            state,
            sending_complete_at: PHASE.sending_complete_at.filter(|_| state >= PhaseState::SendingComplete),
            completed_at: PHASE.completed_at.filter(|_| state == PhaseState::Complete),
            counts: PhaseCounts { cancelled, ..PHASE.counts },
            ..PHASE
        }
    }

    const STATES: [PhaseState; 4] =
        [PhaseState::Created, PhaseState::Started, PhaseState::SendingComplete, PhaseState::Complete];

    #[test]
    fn each_event_is_told_once_however_often_it_is_reported() {
        let (mut watch, mut told) = (PhaseWatch::new(), Told::default());
        for index in 0..2 {
            for state in STATES {
                (0..3).for_each(|_| watch.see(&report(index, state), Instant::BOOT, &mut told));
            }
        }
        // A frame that comes late.
        watch.see(&report(0, PhaseState::Complete), Instant::BOOT, &mut told);
        let life = |index| {
            [Start, Progress, Progress, SendingComplete, Progress, Progress, Complete].map(|event| (event, index))
        };
        assert_eq!(told.events(), [life(0), life(1)].concat());
        watch.reset();
        watch.see(&report(0, PhaseState::Started), Instant::BOOT, &mut told);
        assert_eq!(told.events(), [(Start, 0)], "a new boot");
    }

    #[test]
    fn whatever_reports_are_lost_the_order_is_that_of_the_contract() {
        // Each subset of the reports of two phases.
        for received in 0_u32..256 {
            let (mut watch, mut told) = (PhaseWatch::new(), Told::default());
            let mut expected = Vec::new();
            for index in 0..2_u16 {
                let mut furthest = PhaseState::Created;
                for (place, state) in STATES.into_iter().enumerate() {
                    if received & (1 << (usize::from(index) * 4 + place)) != 0 {
                        watch.see(&report(index, state), Instant::BOOT, &mut told);
                        furthest = state;
                    }
                }
                expected.extend(
                    [Start, SendingComplete, Complete][..furthest as usize].iter().map(|event| (*event, index)),
                );
            }
            assert_eq!(told.events(), expected, "{received:08b}");
        }
    }

    #[test]
    fn an_event_has_its_own_time_and_a_late_start_can_be_told() {
        let (mut watch, mut told) = (PhaseWatch::new(), Told::default());
        let complete = PhaseStats { timed_out: true, ..PHASE };
        watch.see(&complete, Instant::from_nanos(1_000_000_000_000), &mut told);
        let seen: Vec<_> = told.0.iter().map(|(event, phase, now)| (*event, phase.state, Some(*now))).collect();
        assert_eq!(
            seen,
            [
                (Start, PhaseState::Complete, PHASE.started_at),
                (SendingComplete, PhaseState::Complete, PHASE.sending_complete_at),
                (Timeout, PhaseState::SendingComplete, PHASE.completed_at),
                (Complete, PhaseState::Complete, PHASE.completed_at),
            ]
        );
        assert_eq!(told.0[2].1.counts.in_flight(), 10);
    }

    #[test]
    fn time_does_not_go_backwards_whatever_a_device_says() {
        let (mut watch, mut told) = (PhaseWatch::new(), Told::default());
        watch.see(&report(0, PhaseState::Started), Instant::BOOT, &mut told);
        watch.see(&report(0, PhaseState::Started), Instant::MAX, &mut told);
        watch.see(&report(0, PhaseState::Complete), Instant::BOOT, &mut told);
        assert!(told.0.iter().map(|(_, _, now)| *now).is_sorted());
        assert_eq!(told.events().len(), 4);
    }
}
