//! What HTTP/1.1 and HTTP/2 have in common: the head of an answer, and why there is none.

/// The part of an answer's head that matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) is_event_stream: bool,
}

/// Why an answer is not whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The connection ended, or failed, before anything of the answer came.
    Unanswered(String),
    /// The connection ended, or failed, in mid-answer.
    Broken(String),
    /// What came is no HTTP.
    Malformed(String),
}

/// Whether a media type is that of server-sent events.
pub(super) fn is_event_stream(media_type: &[u8]) -> bool {
    const NAME: &[u8] = b"text/event-stream";
    media_type.get(..NAME.len()).is_some_and(|start| start.eq_ignore_ascii_case(NAME))
}
