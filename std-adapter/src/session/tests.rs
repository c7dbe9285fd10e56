//! A session against devices that are in order, lines that are not, and devices that are not either.

mod boots;
pub(crate) mod device;
mod histograms;
pub(crate) mod script;
mod whole;

use phasemeter_core::histogram::{MAX_SCALE, Totals};

use super::{HostHistogram, Note, Session};
use device::DeviceHistogram;

/// A session that has heard these frames.
pub(crate) fn session<'a>(frames: impl IntoIterator<Item = &'a Vec<u8>>) -> Session {
    let mut session = Session::new();
    frames.into_iter().for_each(|frame| session.feed(frame, |_| {}));
    session
}

/// The same, heard by a host whose clock shows so much more than the device's, without delay.
pub(crate) fn session_at<'a>(offset_ns: u64, frames: impl IntoIterator<Item = &'a Vec<u8>>) -> Session {
    let mut session = Session::new();
    for frame in frames {
        session.feed_at(offset_ns + device::uptime_of(frame).as_nanos(), frame, |_| {});
    }
    session
}

/// The same, heard in so many nanoseconds from this one on, whatever the device's clock says.
pub(crate) fn session_within(start_ns: u64, length_ns: u64, frames: &[Vec<u8>]) -> Session {
    let mut session = Session::new();
    for (place, frame) in (0..).zip(frames) {
        session.feed_at(start_ns + length_ns / frames.len() as u64 * place, frame, |_| {});
    }
    session
}

/// What it told while it heard them.
fn notes<'a>(session: &mut Session, frames: impl IntoIterator<Item = &'a Vec<u8>>) -> Vec<Note> {
    let mut notes = Vec::new();
    frames.into_iter().for_each(|frame| session.feed(frame, |note| notes.push(note)));
    notes
}

/// Whether a host's histogram is a device's, though perhaps at a lower resolution.
fn is_of(host: &HostHistogram, device: &DeviceHistogram) -> bool {
    let halvings = device.scale() - host.scale();
    let mut buckets = std::collections::BTreeMap::<i32, u64>::new();
    for bucket in device.buckets() {
        *buckets.entry(bucket.index >> halvings.max(0)).or_default() += bucket.count;
    }
    let scale = if buckets.is_empty() { MAX_SCALE } else { host.scale() };
    let lowered = HostHistogram::from_parts(&Totals { scale, ..device.totals() }, buckets);
    (halvings >= 0 || buckets_are_none(device)) && lowered.as_ref() == Ok(host)
}

fn buckets_are_none(histogram: &DeviceHistogram) -> bool {
    histogram.count() == histogram.zero_count()
}

/// Fails unless a session has all of what a device measured.
fn assert_has(session: &Session, boot: usize, told: &device::Told) {
    let boot = &session.boots()[boot];
    assert_eq!(boot.phases().count(), told.phases.len());
    for (phase, measured) in boot.phases().zip(&told.phases) {
        assert_eq!(phase.stats(), Some(&measured.stats));
        for (id, device) in (0_u8..).zip(&measured.histograms) {
            match phase.histogram(id) {
                Some(host) => assert!(is_of(&host, device), "metric {id}: {host:?} is not {device:?}"),
                None => assert!(device.is_empty(), "metric {id} is missing: {device:?}"),
            }
        }
    }
}
