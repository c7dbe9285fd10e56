//! What is sent: the bytes of one request, written piece by piece into whatever room there is.

use core::fmt::Write as _;

use heapless::String;
use phasemeter_core::plan::{MAX_PATH, Workload};
use phasemeter_core::telemetry::MAX_TARGET;

/// One token of a prompt.
const WORD: &str = "hello ";
const BODY_START: &str = r#"{"model":"default","stream":true,"max_tokens":"#;
const BODY_MIDDLE: &str = r#","messages":[{"role":"user","content":""#;
const BODY_END: &str = r#""}]}"#;
/// The longest `max_tokens`, in digits.
const MAX_DIGITS: usize = 5;

/// The longest head: request line, `Host` and what a chat adds.
const MAX_HEAD: usize = 64 + MAX_PATH + MAX_TARGET + 80;
const MAX_START: usize = MAX_HEAD + BODY_START.len() + MAX_DIGITS + BODY_MIDDLE.len();

/// The bytes of a request. All requests of a phase are the same.
///
/// A prompt is longer than any buffer here, so it is made up as it is written.
#[derive(Debug)]
pub struct Request {
    /// The head, and a body as far as its prompt.
    start: String<MAX_START>,
    /// Bytes of the prompt: whole words.
    prompt: usize,
    end: &'static str,
}

impl Request {
    /// The request that `workload` asks for, to be sent to `host`, of at most [`MAX_TARGET`] bytes. `None` for a workload that this firmware does not
    /// know, and for what is no path.
    pub fn new(workload: &Workload, host: &str) -> Option<Self> {
        match workload {
            Workload::Get { path } if is_path(path) => Some(Self::get(path, host)),
            Workload::Chat { prompt_tokens, output_tokens } => Some(Self::chat(*prompt_tokens, *output_tokens, host)),
            _ => None,
        }
    }

    /// `GET path`.
    fn get(path: &str, host: &str) -> Self {
        let mut start = String::new();
        // The buffer is sized for the longest path and host.
        let _ = write!(start, "GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        Self { start, prompt: 0, end: "" }
    }

    /// A streaming chat completion as OpenAI's API has it, with a prompt of so many words.
    fn chat(prompt_tokens: u16, output_tokens: u16, host: &str) -> Self {
        let prompt = usize::from(prompt_tokens) * WORD.len();
        let mut tokens = String::<MAX_DIGITS>::new();
        let _ = write!(tokens, "{output_tokens}");
        let length = BODY_START.len() + tokens.len() + BODY_MIDDLE.len() + prompt + BODY_END.len();
        let mut start = String::new();
        let _ = write!(
            start,
            "POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{BODY_START}{tokens}{BODY_MIDDLE}"
        );
        Self { start, prompt, end: BODY_END }
    }

    /// How many bytes it has.
    pub fn length(&self) -> usize {
        self.start.len() + self.prompt + self.end.len()
    }

    /// Writes as much as `room` takes from byte `from` on, and tells how many bytes that is.
    pub fn write(&self, from: usize, room: &mut [u8]) -> usize {
        let mut count = 0;
        while let Some(piece) = self.piece(from.saturating_add(count))
            && let Some(free) = room.get_mut(count..).filter(|free| !free.is_empty())
        {
            for (to, from) in free.iter_mut().zip(piece) {
                *to = *from;
            }
            count += piece.len().min(free.len());
        }
        count
    }

    /// What begins at byte `from`, up to a boundary; `None` at the end.
    fn piece(&self, from: usize) -> Option<&[u8]> {
        let piece = match from.checked_sub(self.start.len()) {
            None => self.start.as_bytes().get(from..)?,
            Some(in_body) => match in_body.checked_sub(self.prompt) {
                None => WORD.as_bytes().get(in_body % WORD.len()..)?,
                Some(in_end) => self.end.as_bytes().get(in_end..)?,
            },
        };
        (!piece.is_empty()).then_some(piece)
    }
}

/// Whether it can stand in a request line: nothing in it ends the line, or the path.
fn is_path(path: &str) -> bool {
    path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use std::string::String;
    use std::vec::Vec;

    use super::*;

    const LONGEST_HOST: &str = "a-host-name-of-64-bytes-which-is-as-long-as-a-target-may-be:65535";

    fn written(request: &Request, room: usize) -> String {
        let mut bytes = Vec::new();
        while bytes.len() < request.length() {
            let mut buffer = std::vec![0; room];
            let count = request.write(bytes.len(), &mut buffer);
            assert_eq!(count, room.min(request.length() - bytes.len()));
            bytes.extend_from_slice(&buffer[..count]);
        }
        assert_eq!(request.write(bytes.len(), &mut [0; 8]), 0);
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_get_is_one_head() {
        let text = written(&Request::get("/a", "10.0.2.2:80"), 100);
        assert_eq!(text, "GET /a HTTP/1.1\r\nHost: 10.0.2.2:80\r\n\r\n");
    }

    #[test]
    fn what_is_no_path_is_not_asked_for() {
        for path in ["", "a", "/a b", "/ HTTP/1.1\r\nX: y", "/\u{e9}"] {
            assert!(Request::new(&Workload::get(path).unwrap(), "10.0.2.2:80").is_none(), "{path}");
        }
    }

    #[test]
    fn a_chat_has_its_length_and_its_words_whatever_the_room() {
        for tokens in [0, 1, 7, u16::MAX] {
            let whole = written(&Request::chat(tokens, u16::MAX, &LONGEST_HOST[..MAX_TARGET]), 1 << 20);
            let (head, body) = whole.split_once("\r\n\r\n").unwrap();
            assert!(head.ends_with(&std::format!("\nContent-Length: {}", body.len()) as &str), "{head}");
            assert_eq!(body.matches(WORD).count(), usize::from(tokens));
            assert!(
                body.starts_with(r#"{"model":"#) && body.ends_with(r#""}]}"#) && body.contains(":65535,"),
                "{body:.80}"
            );
            if tokens < 100 {
                for room in 1..80 {
                    assert_eq!(written(&Request::chat(tokens, u16::MAX, &LONGEST_HOST[..MAX_TARGET]), room), whole);
                }
            }
        }
    }

    #[test]
    fn the_longest_path_fits() {
        let path = std::format!("/{}", "p".repeat(MAX_PATH - 1));
        let text = written(&Request::get(&path, &LONGEST_HOST[..MAX_TARGET]), 33);
        assert!(text.contains(&path as &str) && text.ends_with("\r\n\r\n"), "{text}");
    }
}
