//! What the fuzzers in `tests/fuzz` do with their input, and what they hold it against. It runs on stable as well, over the
//! corpus there.

mod wire;
mod host;
mod text;

/// What is done with an input; it panics if something does not hold.
pub type Body = fn(&[u8]);

/// The targets by name.
pub const TARGETS: [(&str, Body); 8] = [
    ("deframer", wire::deframer),
    ("frame", wire::frame),
    ("command", wire::command),
    ("session", host::session),
    ("capture", host::capture),
    ("plan", text::plan),
    ("registry", text::registry),
    ("records", text::records),
];

/// Runs the target of this name.
pub fn run(target: &str, data: &[u8]) {
    let (_, body) = TARGETS.iter().find(|(name, _)| *name == target).expect("the target is one of these");
    body(data);
}
