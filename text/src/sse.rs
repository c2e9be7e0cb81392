//! Server-sent events, read in whatever pieces they arrive.
//!
//! The reader takes what the standard (HTML, "Server-sent events") calls the event stream and
//! returns the data of its events; names, ids and retry times are not used by any of our servers
//! and are passed over, as comments are. The crates for this have no limit on the length of an
//! event, so that a server could fill a client's memory with one.

/// An event is longer than the reader accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server sent an event that is longer than {max_bytes} bytes")]
pub struct EventTooLong {
    /// The limit.
    pub max_bytes: usize,
}

/// Reads events from the bytes of a stream.
#[derive(Debug)]
pub struct EventReader {
    /// Bytes that arrived; the first `taken` of them are used up.
    buffer: Vec<u8>,
    taken: usize,
    /// Length of the part of the buffer that is known to hold no further end of a line.
    searched: usize,
    /// Data of the event whose end has not arrived.
    data: Option<Vec<u8>>,
    /// Set when the last line ended in CR: a LF that follows belongs to it.
    after_cr: bool,
    max_bytes: usize,
}

impl EventReader {
    /// Creates a reader for events of at most `max_bytes` bytes.
    #[must_use]
    pub fn new(max_bytes: usize) -> Self {
        Self { buffer: Vec::new(), taken: 0, searched: 0, data: None, after_cr: false, max_bytes }
    }

    /// Adds bytes that arrived. Take all events with [`Self::next_event`] before the next call.
    ///
    /// # Errors
    ///
    /// An event is longer than the limit. The stream cannot be read on.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), EventTooLong> {
        self.buffer.drain(..self.taken);
        self.searched = self.searched.saturating_sub(self.taken);
        self.taken = 0;
        self.buffer.extend_from_slice(bytes);
        let pending = self.buffer.len() + self.data.as_ref().map_or(0, Vec::len);
        if pending > self.max_bytes {
            return Err(EventTooLong { max_bytes: self.max_bytes });
        }
        Ok(())
    }

    /// Returns the data of the next event that has arrived whole. An event without data is none.
    pub fn next_event(&mut self) -> Option<Vec<u8>> {
        while let Some((start, end)) = self.next_line() {
            let line = self.buffer.get(start..end).unwrap_or_default();
            if line.is_empty() {
                if let Some(data) = self.data.take() {
                    return Some(data);
                }
            } else if let Some(value) = data_of(line) {
                match &mut self.data {
                    None => self.data = Some(value.to_vec()),
                    Some(data) => {
                        data.push(b'\n');
                        data.extend_from_slice(value);
                    }
                }
            }
        }
        None
    }

    /// Takes the next whole line: where it starts and ends in the buffer.
    fn next_line(&mut self) -> Option<(usize, usize)> {
        if self.after_cr && self.taken < self.buffer.len() {
            self.after_cr = false;
            if self.buffer.get(self.taken) == Some(&b'\n') {
                self.taken += 1;
            }
        }
        let start = self.taken;
        let from = self.searched.max(start);
        let unsearched = self.buffer.get(from..).unwrap_or_default();
        let Some(at) = unsearched.iter().position(|byte| matches!(byte, b'\n' | b'\r')) else {
            self.searched = self.buffer.len();
            return None;
        };
        let end = from + at;
        self.after_cr = self.buffer.get(end) == Some(&b'\r');
        self.taken = end + 1;
        self.searched = self.taken;
        Some((start, end))
    }
}

/// The value of a line of the field `data`.
fn data_of(line: &[u8]) -> Option<&[u8]> {
    let rest = line.strip_prefix(b"data")?;
    match rest {
        [] => Some(rest),
        [b':', b' ', value @ ..] | [b':', value @ ..] => Some(value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{EventReader, EventTooLong};

    fn read(text: &str, piece: usize) -> Vec<String> {
        let mut reader = EventReader::new(1000);
        let mut events = Vec::new();
        for piece in text.as_bytes().chunks(piece) {
            reader.push(piece).unwrap();
            while let Some(event) = reader.next_event() {
                events.push(String::from_utf8(event).unwrap());
            }
        }
        events
    }

    #[test]
    fn events_are_read_in_whatever_pieces_they_arrive() {
        let text = ": hello\n\ndata: one\n\nevent: x\nid: 7\n\n\
                    data:two\r\ndata:  lines\r\n\r\ndata: three\r\rdatum: no\n\ndata\n\ndata: cut";
        for piece in [1, 2, 3, 7, 1000] {
            assert_eq!(read(text, piece), ["one", "two\n lines", "three", ""], "{piece}");
        }
    }

    #[test]
    fn an_event_without_an_end_is_refused_and_does_not_fill_the_memory() {
        let mut reader = EventReader::new(100);
        for _ in 0..9 {
            reader.push(b"data: abcd\n").unwrap();
            assert_eq!(reader.next_event(), None);
        }
        let refused = (0..20).map(|_| {
            let pushed = reader.push(b"data: abcd\n");
            assert_eq!(reader.next_event(), None);
            pushed
        });
        assert!(refused.collect::<Vec<_>>().contains(&Err(EventTooLong { max_bytes: 100 })));
        assert!(EventReader::new(100).push(&[b'x'; 101]).is_err());
    }
}
