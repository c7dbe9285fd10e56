//! An incremental parser for `text/event-stream` (the WHATWG "Server-sent events" format), in bounded memory.

/// No event of a chat stream comes near this many bytes; a stream that does is not one.
const MAX_EVENT: usize = 1024 * 1024;

/// Cuts a byte stream into events, wherever the stream was split. Only the `data` field is kept.
#[derive(Debug, Default)]
pub(super) struct SseParser {
    /// The line so far, when it did not arrive in one piece.
    line: Vec<u8>,
    /// The `data` of the event so far: its lines, each with a `\n` behind it.
    data: Vec<u8>,
    /// The last byte was `\r`: a `\n` now belongs to it.
    after_cr: bool,
}

/// An event or a line is longer than [`MAX_EVENT`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooLong;

impl SseParser {
    /// Takes the next bytes and calls `on_event` with the data of each event that they complete.
    pub(super) fn feed(&mut self, mut bytes: &[u8], mut on_event: impl FnMut(&[u8])) -> Result<(), TooLong> {
        if self.after_cr && !bytes.is_empty() {
            self.after_cr = false;
            bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
        }
        while let Some(end) = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            self.keep(&bytes[..end])?;
            self.end_line(&mut on_event)?;
            let rest = &bytes[end + 1..];
            let cr = bytes[end] == b'\r';
            self.after_cr = cr && rest.is_empty();
            bytes = if cr { rest.strip_prefix(b"\n").unwrap_or(rest) } else { rest };
        }
        self.keep(bytes)
    }

    fn keep(&mut self, part: &[u8]) -> Result<(), TooLong> {
        if self.line.len() + part.len() > MAX_EVENT {
            return Err(TooLong);
        }
        self.line.extend_from_slice(part);
        Ok(())
    }

    fn end_line(&mut self, on_event: &mut impl FnMut(&[u8])) -> Result<(), TooLong> {
        if self.line.is_empty() {
            // A blank line ends the event; the last line's `\n` is not part of its data.
            if let Some((_, data)) = self.data.split_last() {
                on_event(data);
            }
            self.data.clear();
            return Ok(());
        }
        let (field, value) = match self.line.iter().position(|byte| *byte == b':') {
            Some(colon) => (&self.line[..colon], &self.line[colon + 1..]),
            None => (&self.line[..], &[][..]),
        };
        if field == b"data" {
            let value = value.strip_prefix(b" ").unwrap_or(value);
            if self.data.len() + value.len() >= MAX_EVENT {
                return Err(TooLong);
            }
            self.data.extend_from_slice(value);
            self.data.push(b'\n');
        }
        self.line.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STREAM: &[u8] = b": ping\n\ndata: {\"a\":1}\n\nevent: x\r\ndata:two\r\ndata\r\ndata:  lines\r\n\r\nid: 7\rdata: [DONE]\r\rdata: cut";
    const EVENTS: [&[u8]; 3] = [b"{\"a\":1}", b"two\n\n lines", b"[DONE]"];

    fn events<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
        let mut parser = SseParser::default();
        let mut events = Vec::new();
        for part in parts {
            parser.feed(part, |event| events.push(event.to_vec())).unwrap();
        }
        events
    }

    #[test]
    fn splits_at_every_byte_change_nothing() {
        for cut in 0..=STREAM.len() {
            let (head, tail) = STREAM.split_at(cut);
            assert_eq!(events([head, tail]), EVENTS, "cut at {cut}");
        }
        assert_eq!(events(STREAM.chunks(1)), EVENTS);
    }

    #[test]
    fn empty_reads_change_nothing() {
        let parts = STREAM.chunks(1).flat_map(|byte| [byte, &[]]);
        assert_eq!(events(parts), EVENTS);
    }

    #[test]
    fn a_line_without_end_is_refused() {
        let mut parser = SseParser::default();
        let refused = (0..=MAX_EVENT / 1000).find(|_| parser.feed(&[b'x'; 1000], |_| ()).is_err());
        assert_eq!(refused, Some(MAX_EVENT / 1000));
    }

    #[test]
    fn an_event_without_end_is_refused() {
        let mut parser = SseParser::default();
        let refused = (0..=MAX_EVENT).find(|_| parser.feed(b"data: 1234567\n", |_| ()).is_err());
        assert_eq!(refused, Some(MAX_EVENT / 8));
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_split_give_the_same_events(
            text in "[d:\\r\\n a]{0,40}(data: ?[a-c\\r\\n]{0,20}){0,4}",
            size in 1_usize..16,
        ) {
            prop_assert_eq!(events([text.as_bytes()]), events(text.as_bytes().chunks(size)));
        }
    }
}
