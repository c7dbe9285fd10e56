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
//!   [`MAX_PAYLOAD`] bytes.
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
//! and the value; a list is a varint length and the elements; fields follow each other in the order given.
//!
//! | field | type | meaning |
//! |---|---|---|
//! | version | `u8` | [`VERSION`]: 1 |
//! | sequence | `u32` | counts the frames of a boot from 0; a jump tells how many were lost |
//! | uptime | `u64` | nanoseconds since boot when the frame was made |
//! | kind | `u32` | which frame follows, below |
//! | body | | the frame's fields |
//!
//! The first four fields keep their place and type in every version to come. A receiver that meets a newer version
//! or an unknown kind counts the frame as received, says so, and goes on. Versions from 0x80 up are those of commands.
//!
//! | kind | frame | when |
//! |---|---|---|
//! | 0 | [`Hello`] | at boot and about once a second: who speaks, and how to read the rest |
//! | 1 | [`PhaseReport`] | at each transition and a few times a second: a phase's states, times and counts |
//! | 2 | [`Buckets`] | a part of a histogram: absolute counts of some of its buckets |
//! | 3 | [`MetricTotals`] | what a histogram keeps beside its buckets; ends a snapshot |
//! | 4 | [`Finished`] | after the last phase: the run is over |
//! | 5 | [`Answer`] | after a command: what became of it |
//!
//! ## 0: Hello
//! `device_id` string, `boot_id` `u64`, `firmware` string, `firmware_version` string, `clock_hz` `u32`, `plan_hash`
//! `u64` ([`RunPlan::content_hash`](crate::plan::RunPlan::content_hash)), `phases` `u16`, `capacity` `u16` (buckets of
//! a histogram), `counter_bits` `u8`, `metrics` list of strings (a metric's id is its place), `skipped` `u32`.
//!
//! `skipped` counts the reports that were due and found no room in the transmit queue. They are not in the sequence.
//!
//! ## 1: Phase report
//! `index` `u16` (place in the plan), `kind` `u32` (0 warmup, 1 profiling, 2 cooldown), `state` `u32` (0 created,
//! 1 started, 2 sending complete, 3 complete), `timed_out` `bool`, `cancelled` `bool`, `started_at`,
//! `sending_complete_at`, `completed_at` each `Option<u64>` (nanoseconds since boot), `sent`, `completed`, `errors`,
//! `cancelled`, `unsent` each `u64`, `samples` list of `u64` (how many samples the histogram of each metric holds), `skipped` `u32`.
//!
//! ## 2: Buckets
//! `phase` `u16`, `metric` `u8` (id), `scale` `i8`, `counts` byte string: a list of runs until its end, each
//!
//! - `start`: varint of the zigzagged bucket index at which the run starts ([`histogram`](crate::histogram) has the grid),
//! - `length`: varint, how many buckets,
//! - the counts of those buckets in index order, as tokens. A token is a varint of the zigzagged difference to the
//!   count before it (0 before the first); a difference of zero is followed by a varint that tells how many further
//!   counts are equal.
//!
//! Zigzag maps 0, −1, 1, −2, … to 0, 1, 2, 3, …
//!
//! ## 3: Metric totals
//! `phase` `u16`, `metric` `u8` (id), then [`Totals`](crate::histogram::Totals): `scale` `i8`, `count` `u64` (samples,
//! zeros included), `zero` `u64` (samples of 0 ns, which are in no bucket), `min` and `max` each `u64` (nanoseconds; 0
//! if there is no sample), `min_exact` and `max_exact` each `bool` (1: it was itself recorded; 0: it is a bound),
//! `sum` `u128` (nanoseconds), `sum_of_squares` `u128` (square nanoseconds), `saturation` `u8`: the sum of 1 if a
//! bucket, 2 if `count` or `zero`, 4 if `sum`, 8 if `sum_of_squares` is at the largest number of its type and so only a
//! lower bound. Other bits are not used.
//!
//! ## 4: Finished
//! `phases` `u16` (how many were run), `cancelled` `bool`, `skipped` `u32`.
//!
//! ## 5: Answer
//! `command` `u32` (the id of the command), `plan_hash` `u64` (of the plan that the device has received whole, 0 if it
//! has none), `reason` `u8`, `detail` `u16`. The reason is 0 if the command is obeyed; else it tells why not: 1 unsupported,
//! 2 busy, 3 job too long (detail: the limit), 4 out of order (the offset to go on at), 5 malformed, 6 hash mismatch,
//! 7 too many phases (the limit), 8 bad phase (its index), 9 target too long (the limit), 10 bad target, 11 no plan,
//! 12 cannot run.
//!
//! # Putting a histogram together
//!
//! Keep a count per bucket for each (boot, phase, metric), all zero at first. A `Buckets` frame sets the counts that it
//! names, to absolute values. When it or a `MetricTotals` has a lower scale than what is kept, add the kept counts up
//! first: the bucket index at the lower scale is the index shifted right arithmetically by the difference of scales.
//! At each `MetricTotals`, the snapshot is whole if `zero + Σ counts = count`; else frames are missing, and a later
//! snapshot repairs that, since every phase ends with all buckets sent again.
//!
//! Why that test suffices: counts only grow, so each kept count is at most the true one, and sums are equal only if every
//! count is. Once something is saturated (flags 1 or 2) the sums need not agree, and only the numbering of the frames
//! tells whether any is missing.
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
//! | 1 | upload a part of a job | `plan_hash` `u64`, `length` `u16` (of the job), `offset` `u16` (of this part), `part` byte string | yes |
//! | 2 | start the uploaded plan | `plan_hash` `u64` | yes |
//! | 3 | stop: cancel the run | | yes |
//! | 4 | acknowledge the end of a phase, or of the run | `phase` `Option<u16>` | no |
//! | 5 | send all buckets again | | no |
//!
//! The numbers of a command have no superfluous bytes. A host sends one command at a time, and sends it again with the
//! same id until it is answered: the device obeys it once. An upload begins at offset 0 and goes on where the last part
//! ended; the answer to the last part says whether the device takes the plan, and echoes its hash.
//!
//! A job is `target` string, then the plan: `seed` `u64` and a list of phases, each `kind` `u32` (as in the phase
//! report), `workload` `u32` (0: `path` string; 1: `prompt_tokens` `u16`, `output_tokens` `u16`), `arrival` `u32` (0 closed
//! loop: `concurrency` `u16`; 1 constant, 2 Poisson: requests in 1,000 s `u32`), the stop as `requests` `Option<u64>` and
//! `duration` `Option<u64>` (nanoseconds), and `grace` `u64` (nanoseconds). The plan's hash is 64-bit FNV-1a over its bytes.
//!
//! While no run is under way, the hello has zero phases and the plan hash 0. Once a host has started a run, the device
//! sends the end of each phase and of the run until it is acknowledged, a bounded number of times. Each run has a boot
//! id of its own.

mod frame;
mod checksum;
mod deframe;
mod decode;
mod encode;
mod queue;
mod command;
mod control;
mod snapshot;
mod reporter;

#[cfg(test)]
mod tests;

pub use command::{Command, CommandEnvelope, Job, MAX_PART, MAX_TARGET, decode_command, encode_command};
pub use control::{Control, Request};
pub use decode::{DecodeError, Received, Receiver, decode};
pub use deframe::{Deframer, Segment};
pub use encode::{EncodeError, encode};
pub use frame::{
    Answer, Buckets, BucketsError, COMMAND_VERSION, Envelope, Finished, Frame, Hello, MAX_ENCODED, MAX_ID, MAX_METRICS,
    MAX_PAYLOAD, MetricTotals, PhaseReport, Refusal, VERSION,
};
pub use queue::{DrainError, TxQueue};
pub use reporter::{Identity, Reporter, ReporterConfig};
