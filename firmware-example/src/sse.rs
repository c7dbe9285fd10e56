//! Tokens in a `text/event-stream` (WHATWG, "Server-sent events"), found in fixed memory however the stream is cut.
//!
//! No event is kept. Its data is looked at byte by byte: a chunk of a chat is a JSON object with `choices`, and holds a
//! token if the `delta` of one of them has a `content` (or, of reasoning models, a `reasoning_content`) that is not empty.

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
        // A field without a colon has an empty value.
        let has_no_colon = self.place == Place::Field(FIELD.len() - 1);
        if has_no_colon || matches!(self.place, Place::Value | Place::Data) {
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
    /// The last key of the object itself was `choices`,
    in_choices: bool,
    /// and that of a choice `delta`.
    in_delta: bool,
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
            in_choices: false,
            in_delta: false,
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

    /// The key before a colon. Only `choices[i].delta.content` counts: what a chunk quotes may have a `content` too.
    fn key_found(&mut self) -> After {
        // One that is too long is none of interest.
        let key = self.key.get(..self.key_length).unwrap_or_default();
        match self.depth {
            1 => {
                self.in_choices = key == b"choices";
                self.has_choices |= self.in_choices;
            }
            3 => self.in_delta = key == b"delta",
            4 if self.in_choices && self.in_delta && matches!(key, b"content" | b"reasoning_content") => {
                return After::ContentKey;
            }
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
    use serde_json::Value;

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
    fn only_the_content_of_a_delta_is_a_token() {
        for choices in [
            r#"[{"delta":"\"content\":\"x\""}]"#,
            r#"[{"delta":["content","x"]}]"#,
            r#"[{"delta":{"contents":"x"}}]"#,
            r#"[{"delta":{"\u0063content":"x"}}]"#,
            r#"[{"delta":{"annotations":[{"url_citation":{"content":"x"}}]}}]"#,
            r#"[{"delta":{},"logprobs":{"content":[{"token":"x"}]}}]"#,
            r#"[{"delta":{},"message":{"content":"x"}}]"#,
            r#"[],"sources":[{"delta":{"content":"x"}}]"#,
        ] {
            let event = std::format!("data: {{\"choices\":{choices}}}\n\n");
            assert_eq!(events(event.as_bytes()), [], "{choices}");
        }
    }

    #[test]
    fn a_field_without_a_colon_is_an_empty_one() {
        assert_eq!(events(b"data\n\ndata: {\"choices\":[\ndata\ndata: ]}\n\n"), [Err(NotAChunk)]);
        assert_eq!(events(b"dat\n\ndatum\n\ndata2\n\n"), []);
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

    /// Words that matter to the scanner, in places where they may or may not.
    fn word() -> impl Strategy<Value = std::string::String> {
        prop_oneof![
            "choices|delta|content|reasoning_content|role".prop_map(Into::into),
            Just(r#""content":"x""#.into()),
            "[\"\\\\{}\\[\\]:,a\u{e9}\n]{0,6}".prop_map(Into::into),
        ]
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![Just(Value::Null), any::<i32>().prop_map(Into::into), word().prop_map(Value::String)];
        leaf.prop_recursive(5, 40, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
                proptest::collection::vec((word(), inner), 0..4)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    fn with(value: Value, key: &str, field: Value) -> Value {
        let mut object = match value {
            Value::Object(object) => object,
            _ => serde_json::Map::new(),
        };
        object.insert(key.into(), field);
        Value::Object(object)
    }

    fn has_content(choice: &Value) -> bool {
        ["content", "reasoning_content"]
            .iter()
            .any(|key| choice["delta"][key].as_str().is_some_and(|text| !text.is_empty()))
    }

    proptest! {
        #[test]
        fn a_whole_parser_finds_the_same_tokens(
            chunk in json(),
            choices in proptest::collection::vec((json(), json(), proptest::option::of(word())), 0..3),
            pretty: bool,
        ) {
            let choices: Vec<Value> = choices
                .into_iter()
                .map(|(choice, delta, content)| {
                    let delta = content.into_iter().fold(delta, |delta, text| with(delta, "content", text.into()));
                    with(choice, "delta", delta)
                })
                .collect();
            let expected = choices.iter().any(has_content).then_some(Ok(Event::Token));
            let chunk = with(chunk, "choices", choices.into());
            let text = if pretty { serde_json::to_string_pretty(&chunk) } else { serde_json::to_string(&chunk) }.unwrap();
            // The lines of the data are joined again.
            let event = text.replace('\n', "\ndata: ");
            prop_assert_eq!(events(std::format!("data: {event}\n\n").as_bytes()), Vec::from_iter(expected), "{}", text);
        }

        #[test]
        fn any_bytes_are_read_without_harm(bytes: Vec<u8>) {
            prop_assert!(events(&bytes).len() <= bytes.len());
            let chunk = [&b"data:{\"choices\":[{\"delta\":{\"content\":"[..], &bytes, b"\n\n"].concat();
            prop_assert!(events(&chunk).len() <= chunk.len());
        }

        #[test]
        fn any_content_is_a_token_unless_empty(content: std::string::String, role: std::string::String) {
            let chunk = serde_json::json!({"choices": [{"delta": {"role": role, "content": content}}]});
            let expected = if content.is_empty() { std::vec![] } else { std::vec![Ok(Event::Token)] };
            prop_assert_eq!(events(std::format!("data: {chunk}\n\n").as_bytes()), expected);
        }
    }
}
