//! Tokens in a `text/event-stream` (WHATWG, "Server-sent events"), found in fixed memory however the stream is cut.
//!
//! No event is kept. Its data is looked at byte by byte: a chunk of a chat is a JSON object with `choices`, and holds a
//! token if one of them has a `content` (or, of reasoning models, a `reasoning_content`) that is not empty.

/// What a stream of events has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A chunk with a token.
    Token,
    /// `[DONE]`: the answer is whole.
    Done,
}

/// The data of an event is no chunk of a chat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotAChunk;

/// Where in its line the next byte is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// So many bytes of `data:` have matched.
    Field(usize),
    /// The value may begin with one space, which is not part of it.
    Value,
    Data,
    /// A comment, or a field of no interest.
    Ignored,
}

/// Cuts a stream into events.
#[derive(Debug)]
pub(crate) struct SseParser {
    place: Place,
    after_cr: bool,
    event: Chunk,
}

const FIELD: &[u8] = b"data:";

impl SseParser {
    pub(crate) const fn new() -> Self {
        Self { place: Place::Field(0), after_cr: false, event: Chunk::new() }
    }

    /// Takes the next byte, and gives the event that it ends.
    pub(crate) fn push(&mut self, byte: u8) -> Result<Option<Event>, NotAChunk> {
        let is_second_half = core::mem::replace(&mut self.after_cr, byte == b'\r') && byte == b'\n';
        match byte {
            b'\n' if is_second_half => Ok(None),
            b'\n' | b'\r' => self.end_line(),
            _ => {
                self.place = match self.place {
                    Place::Field(matched) if FIELD.get(matched) == Some(&byte) => match matched + 1 {
                        all if all == FIELD.len() => Place::Value,
                        part => Place::Field(part),
                    },
                    Place::Field(_) | Place::Ignored => Place::Ignored,
                    Place::Value if byte == b' ' => Place::Data,
                    Place::Value | Place::Data => {
                        self.event.push(byte);
                        Place::Data
                    }
                };
                Ok(None)
            }
        }
    }

    fn end_line(&mut self) -> Result<Option<Event>, NotAChunk> {
        let is_blank = self.place == Place::Field(0);
        if matches!(self.place, Place::Value | Place::Data) {
            // The lines of an event's data are joined by this.
            self.event.push(b'\n');
        }
        self.place = Place::Field(0);
        if is_blank { core::mem::replace(&mut self.event, Chunk::new()).end() } else { Ok(None) }
    }
}

/// The longest key of interest: `reasoning_content`.
const MAX_KEY: usize = 17;
const DONE: &[u8] = b"[DONE]\n";

/// The data of one event, as far as it has come.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent of each other")]
struct Chunk {
    length: usize,
    is_done: bool,
    /// Open braces and brackets.
    depth: u32,
    in_string: bool,
    escaped: bool,
    /// The last string, if it is short enough to be a key of interest.
    key: [u8; MAX_KEY],
    key_length: usize,
    /// What the string that ended last turns out to be.
    after: After,
    has_choices: bool,
    has_token: bool,
    is_broken: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    Nothing,
    /// A string: a key if a colon follows.
    String,
    /// The colon of a key that holds content.
    ContentKey,
    /// The quote that begins content.
    Content,
}

impl Chunk {
    const fn new() -> Self {
        Self {
            length: 0,
            is_done: true,
            depth: 0,
            in_string: false,
            escaped: false,
            key: [0; MAX_KEY],
            key_length: 0,
            after: After::Nothing,
            has_choices: false,
            has_token: false,
            is_broken: false,
        }
    }

    fn push(&mut self, byte: u8) {
        self.is_done &= DONE.get(self.length) == Some(&byte);
        self.length = self.length.saturating_add(1);
        if self.in_string {
            self.push_in_string(byte);
            return;
        }
        match byte {
            b' ' | b'\t' | b'\n' => return,
            b'"' => {
                self.in_string = true;
                self.key_length = 0;
                self.after = if self.after == After::ContentKey { After::Content } else { After::Nothing };
                return;
            }
            b':' if self.after == After::String => {
                self.after = self.key_found();
                return;
            }
            b'{' | b'[' => self.depth = self.depth.saturating_add(1),
            b'}' | b']' => match self.depth.checked_sub(1) {
                Some(depth) => self.depth = depth,
                None => self.is_broken = true,
            },
            _ => {}
        }
        // A chunk is one object.
        self.is_broken |= self.depth == 0 && !matches!(byte, b'}');
        self.after = After::Nothing;
    }

    fn push_in_string(&mut self, byte: u8) {
        if self.after == After::Content && byte != b'"' {
            self.has_token = true;
        }
        if core::mem::take(&mut self.escaped) {
            // No key of interest has an escape.
            self.key_length = MAX_KEY + 1;
        } else if byte == b'\\' {
            self.escaped = true;
        } else if byte == b'"' {
            self.in_string = false;
            self.is_broken |= self.depth == 0;
            self.after = if self.after == After::Content { After::Nothing } else { After::String };
        } else {
            if let Some(place) = self.key.get_mut(self.key_length) {
                *place = byte;
            }
            self.key_length = (self.key_length + 1).min(MAX_KEY + 1);
        }
    }

    /// The key before a colon.
    fn key_found(&mut self) -> After {
        match self.key.get(..self.key_length) {
            Some(b"content" | b"reasoning_content") => return After::ContentKey,
            Some(b"choices") if self.depth == 1 => self.has_choices = true,
            _ => {}
        }
        After::Nothing
    }

    fn end(&self) -> Result<Option<Event>, NotAChunk> {
        match *self {
            Self { length: 0, .. } => Ok(None),
            Self { is_done: true, length, .. } if length == DONE.len() => Ok(Some(Event::Done)),
            Self { is_broken: true, .. } | Self { in_string: true, .. } | Self { has_choices: false, .. } => {
                Err(NotAChunk)
            }
            Self { depth: 1.., .. } => Err(NotAChunk),
            Self { has_token, .. } => Ok(has_token.then_some(Event::Token)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    fn events(stream: &[u8]) -> Vec<Result<Event, NotAChunk>> {
        let mut parser = SseParser::new();
        stream.iter().filter_map(|byte| parser.push(*byte).transpose()).collect()
    }

    #[test]
    fn tokens_are_counted_by_event() {
        let stream = b": ping\n\ndata: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n\
            data: {\"choices\":[{\"delta\":{\"content\":\"a\"}},{\"delta\":{\"content\":\"b\"}}]}\r\n\r\n\
            event: x\rdata:{\"choices\" : [ {\"delta\":{ \"reasoning_content\" : \"\\\"\" } } ]}\r\rid: 7\n\n\
            data: {\"choices\":[{\"delta\":\rdata: {\"content\":null}}]}\n\ndata: [DONE]\n\ndata: cut";
        assert_eq!(events(stream), [Ok(Event::Token), Ok(Event::Token), Ok(Event::Done)]);
    }

    #[test]
    fn text_is_not_taken_for_keys() {
        for text in [r#""\"content\":\"x\"""#, r#"["content","x"]"#, r#"{"contents":"x"}"#, r#"{"\u0063content":"x"}"#]
        {
            let event = std::format!("data: {{\"choices\":{text}}}\n\n");
            assert_eq!(events(event.as_bytes()), [], "{text}");
        }
    }

    #[test]
    fn what_is_no_chunk_is_refused() {
        for data in [
            "x",
            "[DONE",
            "[DONE]]",
            "{",
            "}",
            "{\"choices\":[]",
            "{\"choices\":\"",
            "{}",
            "{\"error\":{}}",
            "\"choices\"",
        ] {
            let event = std::format!("data: {data}\n\n");
            assert_eq!(events(event.as_bytes()), [Err(NotAChunk)], "{data}");
        }
    }

    proptest! {
        #[test]
        fn any_content_is_a_token_unless_empty(content: std::string::String, role: std::string::String) {
            let chunk = serde_json::json!({"choices": [{"delta": {"role": role, "content": content}}]});
            let expected = if content.is_empty() { std::vec![] } else { std::vec![Ok(Event::Token)] };
            prop_assert_eq!(events(std::format!("data: {chunk}\n\n").as_bytes()), expected);
        }
    }
}
