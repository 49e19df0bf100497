//! An incremental parser of server-sent events.
//!
//! Bytes come in as the network cuts them: inside a character, between `\r` and `\n`, a thousand
//! events at once. What comes out depends on the bytes alone, never on the cuts. Bytes that are no
//! UTF-8 become U+FFFD, as the standard asks; nothing that a server sends makes this panic, and a
//! server that never ends a line or an event meets a limit.
//!
//! `id` and `retry` are ignored: Letta sends neither, and resumes by its own sequence numbers.
//!
//! Source: <https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation>

/// The longest line, in bytes without its end.
pub const LINE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The longest data of one event, in bytes over all its lines.
pub const EVENT_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The mark that may open a stream, and means nothing.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SseEvent {
    /// Its type; empty if the stream names none, which the standard reads as `message`.
    pub event: String,
    /// Its data, lines joined by `\n`.
    pub data: String,
}

/// Why a stream cannot be read on. A parser that has failed stays failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SseError {
    /// A line is longer than [`LINE_BYTES_MAX`].
    #[error("a line of the event stream is longer than {LINE_BYTES_MAX} bytes")]
    LineTooLong,
    /// The data of one event is longer than [`EVENT_BYTES_MAX`].
    #[error("an event of the event stream is longer than {EVENT_BYTES_MAX} bytes")]
    EventTooLong,
}

/// The parser. One per connection: a new connection begins a new stream.
#[derive(Debug, Default)]
pub struct SseParser {
    /// The line that has begun and not ended.
    line: Vec<u8>,
    /// The last byte was `\r`: a `\n` right after it belongs to the same line end.
    after_cr: bool,
    /// The first line, which may open with a mark, is over.
    past_first_line: bool,
    event: SseEvent,
    /// Whether the event has a `data` line: `data:` alone makes an event, no `data` at all does not.
    has_data: bool,
    failed: Option<SseError>,
}

impl SseParser {
    /// A parser at the beginning of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes and appends every event that they complete to `events`, also those
    /// before an error.
    pub fn push(&mut self, bytes: &[u8], events: &mut Vec<SseEvent>) -> Result<(), SseError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let result = self.take(bytes, events);
        if let Err(error) = result {
            self.failed = Some(error);
            self.line = Vec::new();
            self.event = SseEvent::default();
        }
        result
    }

    fn take(&mut self, mut bytes: &[u8], events: &mut Vec<SseEvent>) -> Result<(), SseError> {
        while let Some(&first) = bytes.first() {
            if std::mem::take(&mut self.after_cr) && first == b'\n' {
                bytes = &bytes[1..];
                continue;
            }
            let end = bytes.iter().position(|b| matches!(b, b'\r' | b'\n'));
            let part = &bytes[..end.unwrap_or(bytes.len())];
            if self.line.len() + part.len() > LINE_BYTES_MAX {
                return Err(SseError::LineTooLong);
            }
            self.line.extend_from_slice(part);
            let Some(end) = end else { return Ok(()) };
            self.after_cr = bytes[end] == b'\r';
            bytes = &bytes[end + 1..];
            let line = std::mem::take(&mut self.line);
            self.end_line(&line, events)?;
        }
        Ok(())
    }

    fn end_line(&mut self, line: &[u8], events: &mut Vec<SseEvent>) -> Result<(), SseError> {
        let line = match line.strip_prefix(BYTE_ORDER_MARK) {
            Some(rest) if !self.past_first_line => rest,
            _ => line,
        };
        self.past_first_line = true;
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            if std::mem::take(&mut self.has_data) {
                events.push(event);
            }
            return Ok(());
        }
        let (name, value) = match line.iter().position(|&b| b == b':') {
            Some(colon) => {
                let value = &line[colon + 1..];
                (&line[..colon], value.strip_prefix(b" ").unwrap_or(value))
            }
            None => (line, &[][..]),
        };
        match name {
            b"data" => self.data_line(&String::from_utf8_lossy(value)),
            b"event" => {
                self.event.event = String::from_utf8_lossy(value).into_owned();
                Ok(())
            }
            // A comment (its name is empty), `id`, `retry`, or a field of the future.
            _ => Ok(()),
        }
    }

    fn data_line(&mut self, value: &str) -> Result<(), SseError> {
        if self.event.data.len() + value.len() + 1 > EVENT_BYTES_MAX {
            return Err(SseError::EventTooLong);
        }
        if self.has_data {
            self.event.data.push('\n');
        }
        self.has_data = true;
        self.event.data.push_str(value);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(chunks: &[&[u8]]) -> Vec<SseEvent> {
        let mut parser = SseParser::new();
        let mut events = Vec::new();
        for chunk in chunks {
            parser.push(chunk, &mut events).unwrap();
        }
        events
    }

    fn event(event: &str, data: &str) -> SseEvent {
        SseEvent {
            event: event.into(),
            data: data.into(),
        }
    }

    #[test]
    fn an_event_is_complete_at_its_empty_line_and_not_before() {
        assert_eq!(parse(&[b"data: {}\n"]), []);
        assert_eq!(parse(&[b"data: {}\n", b"\n"]), [event("", "{}")]);
    }

    #[test]
    fn every_kind_of_line_end_counts() {
        for bytes in [
            &b"event: e\ndata: 1\n\n"[..],
            b"event: e\rdata: 1\r\r",
            b"event: e\r\ndata: 1\r\n\r\n",
        ] {
            assert_eq!(parse(&[bytes]), [event("e", "1")]);
        }
    }

    #[test]
    fn a_line_end_cut_in_two_is_one_line_end() {
        assert_eq!(
            parse(&[b"data: 1\r", b"\ndata: 2\r", b"\n\r", b"\n"]),
            [event("", "1\n2")]
        );
    }

    #[test]
    fn a_character_cut_in_two_is_whole_again() {
        assert_eq!(parse(&[b"data: \xE2\x82", b"\xAC\n\n"]), [event("", "€")]);
    }

    #[test]
    fn what_is_not_an_event_is_passed_over() {
        let bytes =
            b"\xEF\xBB\xBF: hello\nid: 7\nretry: 10\nevent: lonely\n\nfoo\ndata\ndata:x\n\n";
        assert_eq!(parse(&[bytes]), [event("", "\nx")]);
    }

    #[test]
    fn only_one_space_after_the_colon_is_layout() {
        assert_eq!(parse(&[b"data:  two\n\n"]), [event("", " two")]);
    }

    #[test]
    fn a_line_without_end_meets_the_limit_and_the_parser_stays_failed() {
        let mut parser = SseParser::new();
        let mut events = Vec::new();
        parser.push(b"data: before\n\n", &mut events).unwrap();
        let chunk = vec![b'a'; LINE_BYTES_MAX];
        parser.push(&chunk, &mut events).unwrap();
        assert_eq!(parser.push(b"a", &mut events), Err(SseError::LineTooLong));
        assert_eq!(
            parser.push(b"\n\ndata: 1\n\n", &mut events),
            Err(SseError::LineTooLong)
        );
        assert_eq!(events, [event("", "before")]);
    }

    #[test]
    fn an_event_without_end_meets_the_limit() {
        let mut parser = SseParser::new();
        let mut line = b"data: ".to_vec();
        line.extend(vec![b'a'; EVENT_BYTES_MAX / 2]);
        line.push(b'\n');
        parser.push(&line, &mut Vec::new()).unwrap();
        assert_eq!(
            parser.push(&line, &mut Vec::new()),
            Err(SseError::EventTooLong)
        );
    }

    /// Bytes that look like a stream more often than noise does.
    fn stream_like() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            Just(b"data: ".to_vec()),
            Just(b"event: error".to_vec()),
            Just(b"\n".to_vec()),
            Just(b"\r".to_vec()),
            Just(b"\r\n".to_vec()),
            Just(b"\n\n".to_vec()),
            Just(b": comment".to_vec()),
            Just("{\"content\":\"grüße 🦀\"}".as_bytes().to_vec()),
            Just(BYTE_ORDER_MARK.to_vec()),
            prop::collection::vec(any::<u8>(), 0..8),
        ];
        prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn cuts_change_nothing(bytes in stream_like(), cuts in prop::collection::vec(1usize..9, 1..80)) {
            let mut chunks = Vec::new();
            let mut rest = &bytes[..];
            for cut in cuts.iter().cycle() {
                if rest.is_empty() { break; }
                let (chunk, tail) = rest.split_at((*cut).min(rest.len()));
                chunks.push(chunk);
                rest = tail;
            }
            prop_assert_eq!(parse(&chunks), parse(&[&bytes]));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..4096)) {
            let mut events = Vec::new();
            let _ = SseParser::new().push(&bytes, &mut events);
            prop_assert!(events.len() <= bytes.len());
        }
    }
}
