//! The frames on the line: what a device says, byte by byte.
//!
//! A device streams its state as *frames* over any byte stream, at best-effort pace. Everything is cumulative: a lost
//! frame costs time resolution, never totals. This page is the protocol; a decoder can be written from it alone, and
//! `tests/golden/` of the repository has frames as bytes to check one against.
//!
//! # Framing
//!
//! ```text
//! 0x00  COBS( payload ‖ CRC-32 )  0x00
//! ```
//!
//! - *Payload*: an [`Envelope`] in [postcard](https://postcard.jamesmunns.com/wire-format)'s wire format, at most
//!   [`MAX_PAYLOAD`] bytes. Bytes behind the last field make the frame malformed.
//! - *CRC-32*: CRC-32/ISO-HDLC (polynomial 0x04C11DB7 reflected, initial value and final xor 0xFFFFFFFF; "123456789"
//!   has 0xCBF43926) of the payload, least significant byte first.
//! - *COBS*: Consistent Overhead Byte Stuffing (Cheshire and Baker, 1999), so that 0x00 is free to delimit.
//! - A frame has a delimiter on both sides, so that text which another part of the firmware printed in between ends
//!   where the frame begins. Empty segments mean nothing.
//!
//! A receiver splits the stream at 0x00. A segment longer than the receiver's buffer is discarded up to the next 0x00:
//! no part of it is taken for a frame. A segment of printable UTF-8 (with tab, line feed, carriage return and escape)
//! is text and not an error; no frame looks like that, because its second byte is the protocol version, 0x01.
//!
//! # Envelope
//!
//! postcard's integers: `u8` is one byte; `u16`, `u32`, `u64` and `u128` are LEB128 varints; `i8` is one byte, two's
//! complement; `bool` is 0 or 1; strings and byte strings are a varint length and the bytes; an `Option` is 0, or 1
//! and the value; a list is a varint length and the elements; an enum is its number as `u32`, and the fields of that
//! variant; fields follow each other in the order given.
//!
//! | field | type | meaning |
//! |---|---|---|
//! | version | `u8` | [`VERSION`]: 1 |
//! | boot | `u32` | names the boot that the frame belongs to, among those of its device |
//! | sequence | `u32` | counts the frames of a boot from 0; a jump tells how many were lost. It wraps |
//! | uptime | `u64` | nanoseconds since boot when the frame was made |
//! | kind | `u32` | which frame follows, below |
//! | body | | the frame's fields |
//!
//! The first five fields keep their place and type in every version to come. A receiver that meets a newer version
//! or an unknown kind counts the frame as received, says so, and goes on. Versions from 0x80 up are those of commands.
//!
//! # Boots
//!
//! Each start of the device is a boot, and so is each run after it: the device draws another number for each, such that
//! two boots of one device have one number once in 2³² times. **A frame belongs to the boot that it names, whenever it
//! comes**: late, twice, or between those of another boot. A frame is late if its sequence number lies behind the
//! highest one received of its boot, by less than 2³¹ and modulo 2³²; it counts as received, and is no sign of a reset. A
//! boot that had begun a run, and has not finished it when frames of another boot with a run come, was cut by a reset.
//! The same boot on two lines is one device heard twice.
//!
//! | kind | frame | when |
//! |---|---|---|
//! | 0 | [`Hello`] | at boot and about once a second: who speaks, and how to read the rest |
//! | 1 | [`MetricTable`] | behind each hello: names and units of the metrics |
//! | 2 | [`PhaseReport`] | at each transition and a few times a second: a phase's states, times and counts |
//! | 3 | [`FailureReport`] | before the report of a phase that has failed requests: how many for which cause |
//! | 4 | [`Buckets`] | a part of a histogram: absolute counts of some of its buckets |
//! | 5 | [`MetricTotals`] | what is kept of a metric beside its buckets; ends a snapshot |
//! | 6 | [`Finished`] | after the last phase: the run is over |
//! | 7 | [`Answer`] | after a command: what became of it |
//! | 8 | [`PhasePlanned`] | behind the first report of a phase of a plan, and behind each hello: what was planned for it |
//! | 9 | [`FailureDetail`] | after the first failure of a kind: what it said of itself |
//!
//! ## 0: Hello
//! `device_id` string, `firmware` string, `firmware_version` string (each at most 32 bytes), `clock_hz` `u32`, `mode` `u32`
//! (0 idle: waits for a plan; 1 load: runs a plan, which ends; 2 monitor: measures itself, maybe without end), `plan_hash`
//! `u64` ([`RunPlan::content_hash`](crate::plan::RunPlan::content_hash); 0 unless it runs a plan), `phases` `u16` (of that
//! plan), `capacity` `u16` (buckets of a histogram), `counter_bits` `u8`, `metrics` `u8` (how many there are), `outside`
//! `u64` (values that came outside of any phase and are in no histogram), `skipped` `u32`.
//!
//! `skipped` counts the reports that were due and found no room in the transmit queue. They are not in the sequence. A
//! device whose run is over says hello in the boot of that run, with mode idle.
//!
//! ## 1: Metric table
//! `first` `u8` (a metric's id), then a list of metrics from that one on: `name` string (at most 32 bytes), `unit` `u32`
//! (0 nanoseconds, 1 a plain number). A metric's id is its place in the table. The whole table follows each hello, in as
//! many frames as it takes, and does not change within a boot. The first five metrics of a load generator are those of
//! [`LoadMetric`](crate::metric::LoadMetric); a receiver goes by the names all the same.
//!
//! ## 2: Phase report
//! `index` `u16` (place in the run), `kind` `u32` (0 warmup, 1 profiling, 2 cooldown, 3 monitor), `label` string (what the
//! firmware calls a monitored phase; else empty), `instance` `u16` (phases of the same kind before this one in the plan; of
//! a monitored phase its place), `state` `u32` (0 created, 1 started, 2 sending complete, 3 complete), `timed_out` `bool`,
//! `cancelled` `bool`, `started_at`, `sending_complete_at`, `completed_at` each `Option<u64>` (nanoseconds since boot),
//! `sent`, `completed`, `errors`, `cancelled`, `unsent` each `u64`, `unsent_at_least` `bool` (there may be more unsent
//! requests: they are still counted, or a cancelled run has left off), `held` `u64` (sent after they had waited for one in
//! flight), then [`Sends`](crate::phase::Sends): `first` and `last` each `u64` (when the first and the last request was sent,
//! nanoseconds since boot; 0 if none was) and `squared_gaps` `u128` (the sum of the squared times between one request and the
//! next, in square nanoseconds), then `samples` `u64` (how many values the histograms of all metrics hold together), `skipped` `u32`.
//!
//! Boot and index identify a phase; kind, label and instance never change. States only advance and counts only grow: a
//! report that says less than one before it is late. Once sending is complete `sent` does not change any more, nor does
//! `unsent` once it is exact; of a phase that is complete nothing does.
//!
//! ## 3: Failure report
//! `phase` `u16` (its index), `not_connected`, `timed_out`, `broken`, `malformed` each `u64`, `statuses` a list of (`u16`
//! status code, `u64` count), `other_statuses` `u64`. Together they are the `errors` of the phase report that follows.
//! At most six codes are counted apart, the first that occur.
//!
//! ## 4: Buckets
//! `phase` `u16`, `metric` `u8` (id), `scale` `i8`, `counts` byte string: a list of runs until its end, each
//!
//! - `start`: varint of the zigzagged bucket index at which the run starts ([`histogram`](crate::histogram) has the grid),
//! - `length`: varint, how many buckets; the runs of a frame have at most [`BUCKETS_PER_FRAME`] together, 256,
//! - the counts of those buckets in index order, as tokens. A token is a varint of the zigzagged difference to the
//!   count before it (0 before the first), both taken modulo 2⁶⁴; a difference of zero is followed by a varint that tells
//!   how many further counts are equal, which are no more than the run has left.
//!
//! Zigzag maps 0, −1, 1, −2, … to 0, 1, 2, 3, …
//!
//! ## 5: Metric totals
//! `phase` `u16`, `metric` `u8` (id), then [`Totals`](crate::histogram::Totals): `scale` `i8`, `count` `u64` (samples,
//! zeros included), `zero` `u64` (samples of 0, which are in no bucket), `min` and `max` each `u64` (0
//! if there is no sample), `min_exact` and `max_exact` each `bool` (1: it was itself recorded; 0: it is a bound),
//! `sum` `u128`, `sum_of_squares` `u128`, `saturation` `u8`: the sum of 1 if a bucket, 2 if `count` or `zero`, 4 if `sum`, 8
//! if `sum_of_squares` is at the largest number of its type and so only a lower bound. Other bits are not used.
//!
//! Then [`Lag1`](crate::autocorrelation::Lag1), of the same values in the order in which they were recorded: `products`
//! `u128` (the sum of the products of each value and the next one), `first` and `last` each `u64` (0 if there is no
//! sample). `products` is modulo 2¹²⁸ and of no use once `count`, `sum` or `sum_of_squares` is saturated.
//!
//! ## 6: Finished
//! `phases` `u16` (how many were run), `cancelled` `bool`, `skipped` `u32`.
//!
//! ## 7: Answer
//! `command` `u32` (the id of the command), `plan_hash` `u64` (of the plan that the device has received whole, 0 if it
//! has none), `reason` `u8`, `detail` `u16`. The reason is 0 if the command is obeyed; else it tells why not: 1 unsupported,
//! 2 busy, 3 malformed, 4 out of order (detail: the phase to go on at), 5 hash mismatch, 6 too many phases (the limit),
//! 7 bad phase (its index), 8 target too long (the limit), 9 bad target, 10 no plan, 11 cannot run.
//!
//! ## 8: Phase planned
//! `index` `u16` (place in the run), then the phase as it stands in the plan: see [Commands](#commands).
//!
//! It comes behind the first report of the phase, and again behind each hello and its table while the phase is the current
//! one. It never changes. A run without it is whole all the same: the plan's hash names what was run.
//!
//! ## 9: Failure detail
//! `phase` `u16` (its index), `failure` `u32` (0 not connected, 1 timed out, 2 status: `u16` its code, 3 broken, 4
//! malformed), `detail` string (at most [`MAX_DETAIL`] bytes, 160).
//!
//! What the first failure of its kind in that phase said: the body of an error, or an operating system's words. It is said
//! once, if there is room for it, and is not needed for anything.
//!
//! # Putting a histogram together
//!
//! Keep a count per bucket for each (boot, phase, metric), all zero at first. A `Buckets` frame raises the counts that it
//! names to absolute values; a smaller value than the kept one is late and changes nothing. When it or a `MetricTotals`
//! has a lower scale than what is kept, add the kept counts up first: the bucket index at the lower scale is the index
//! shifted right arithmetically by the difference of scales. When it has a higher scale, it is late: pass it over.
//! At each `MetricTotals`, the snapshot is whole if `zero + Σ counts = count`; else frames are missing, and a later
//! snapshot repairs that, since every phase ends with all buckets sent again. A histogram without samples is not sent.
//!
//! Why that test suffices: counts only grow, so each kept count is at most the true one, and sums are equal only if every
//! count is. For the same reason a complete phase was received whole when the counts of its whole snapshots add up to the
//! `samples` of its last report. Once something is saturated (flags 1 or 2) the sums need not agree, and only the
//! numbering of the frames tells whether any is missing.
//!
//! A run of a plan was received whole when `Finished` came, its `phases` is that of the hello, and each of them is complete
//! and whole. A monitor's run has no such end: what is open is as good as its last whole snapshot.
//!
//! # Limits
//!
//! A receiver may refuse what no device needs. This project's takes histograms of up to 4,096 used buckets, 32 metrics,
//! and a bounded number of boots and phases of a device; what is beyond is counted, and makes the run incomplete.
//!
//! # Commands
//!
//! On a line with two directions, a host talks back: framing as above, with this payload. A device that no host talks
//! to needs none of it.
//!
//! | field | type | meaning |
//! |---|---|---|
//! | version | `u8` | [`COMMAND_VERSION`]: 0x81, so that an echo is no frame and a frame no command |
//! | id | `u32` | names the command in its answer; a host starts anywhere and counts |
//! | kind | `u32` | which command follows, below |
//! | body | | the command's fields |
//!
//! | kind | command | fields | answered |
//! |---|---|---|---|
//! | 0 | identify: send a hello | | yes |
//! | 1 | prepare for a plan | `plan_hash` `u64`, `seed` `u64`, `phases` `u16`, `target` string | yes |
//! | 2 | the next phase of it | `index` `u16`, then the phase | yes |
//! | 3 | start the plan | `plan_hash` `u64` | yes |
//! | 4 | stop: cancel the run | | yes |
//! | 5 | acknowledge the end of a phase, or of the run | `boot` `u32`, `phase` `Option<u16>` | no |
//! | 6 | send all buckets again | | no |
//!
//! A host sends one command at a time, and sends it again with the same id until it is answered: the device obeys it
//! once. The phases follow each other from 0; the answer to the last one echoes the plan's hash if the device has
//! understood the same plan.
//!
//! A phase is `kind` `u32` (as in the phase report), `workload` `u32` (0: `path` string; 1: `prompt_tokens` `u16`,
//! `output_tokens` `u16`; 2: `content` `u64`, which names a request that no device can make, only a host), `arrival` `u32` (0 closed loop: `concurrency` `u16`; 1 constant, 2 Poisson: requests in 1,000 s
//! `u32`), the stop as `requests` `Option<u64>` and `duration` `Option<u64>` (nanoseconds), and `grace` `u64` (nanoseconds).
//! The plan's hash is 64-bit FNV-1a over `seed` `u64` and the list of its phases.
//!
//! Once a host has started a run, the device sends the end of each phase and of the run until it is acknowledged, a
//! bounded number of times.

mod answer;
mod frame;
mod checksum;
mod deframe;
mod decode;
mod encode;
mod queue;
mod command;
mod control;
mod snapshot;
mod config;
mod reporter;
mod uplink;

#[cfg(test)]
pub(crate) mod tests;

pub use answer::{Answer, Reason, Refusal};
pub use command::{
    COMMAND_VERSION, Command, CommandEnvelope, CommandError, MAX_TARGET, decode_command, encode_command,
};
pub use config::{Identity, TelemetryConfig};
pub(crate) use control::{Control, Request};
pub use decode::{DecodeError, Received, Receiver, decode};
pub use deframe::{Deframer, Segment};
pub use encode::{EncodeError, encode};
pub use frame::{
    BUCKETS_PER_FRAME, Buckets, BucketsError, Envelope, FailureDetail, FailureReport, Finished, Frame, Hello,
    MAX_DETAIL, MAX_ENCODED, MAX_PAYLOAD, METRICS_PER_FRAME, MetricTable, MetricTotals, Mode, PhasePlanned,
    PhaseReport, VERSION,
};
pub(crate) use queue::TxQueue;
pub(crate) use reporter::{LINE_RETRY, RunFacts};
pub use uplink::DrainError;
pub(crate) use uplink::Uplink;
