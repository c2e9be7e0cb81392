//! The time before each line of output.

use bytes::Bytes;

use crate::output_reader::Piece;

/// Stands where the time of a line is not known: output of earlier versions.
const UNKNOWN: &str = "????-??-??T??:??:??.???Z";

/// Writes the time of its first byte before each line, as `2026-11-30T07:12:44.123Z` and a space.
#[derive(Debug)]
pub(super) struct LineTimes {
    is_line_start: bool,
}

impl LineTimes {
    pub(super) fn new() -> Self {
        Self { is_line_start: true }
    }

    /// Returns a piece with the times of the lines that begin in it.
    pub(super) fn write(&mut self, piece: &Piece) -> Bytes {
        let mut text = Vec::with_capacity(piece.bytes.len() * 3 / 2);
        let mut at = 0;
        let mut times = piece.times.iter().peekable();
        let mut now = None;
        // Many lines have the same time, which is written down once.
        let mut shown = (None, UNKNOWN.to_owned());
        for line in piece.bytes.split_inclusive(|byte| *byte == b'\n') {
            while let Some((_, ms)) = times.next_if(|(offset, _)| *offset <= at) {
                now = Some(*ms);
            }
            if self.is_line_start {
                if shown.0 != now {
                    shown = (now, time_text(now));
                }
                text.extend_from_slice(shown.1.as_bytes());
                text.push(b' ');
            }
            text.extend_from_slice(line);
            self.is_line_start = line.ends_with(b"\n");
            at += line.len() as u64;
        }
        text.into()
    }
}

fn time_text(ms: Option<i64>) -> String {
    let time = ms.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    time.map_or_else(|| UNKNOWN.to_owned(), |time| format!("{time:.3}"))
}

#[cfg(test)]
mod tests {
    use super::{LineTimes, Piece, UNKNOWN};

    fn piece(text: &'static str, times: &[(u64, i64)]) -> Piece {
        Piece { bytes: text.as_bytes().into(), times: times.to_vec() }
    }

    #[test]
    fn a_line_has_the_time_of_its_first_byte_however_it_came() {
        let mut lines = LineTimes::new();
        let mut text = Vec::new();
        for piece in [
            piece("one\ntw", &[(0, 1000), (4, 2000)]),
            // The rest of a line has no time of its own, and times within a line are not shown.
            piece("o\nthree", &[(0, 3000), (4, 4000)]),
            piece("\n", &[(0, 5000)]),
            piece("old\n", &[]),
        ] {
            text.extend_from_slice(&lines.write(&piece));
        }
        let expected = format!(
            "1970-01-01T00:00:01.000Z one\n1970-01-01T00:00:02.000Z two\n\
             1970-01-01T00:00:03.000Z three\n{UNKNOWN} old\n"
        );
        assert_eq!(String::from_utf8(text).unwrap(), expected);
        assert_eq!(UNKNOWN.len(), "1970-01-01T00:00:01.000Z".len());
    }
}
