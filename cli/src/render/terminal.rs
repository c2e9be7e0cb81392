//! Turns the raw output of a step into lines that a terminal can be trusted with.
//!
//! A job's output is bytes of somebody else. Sent to a terminal as they are, escape codes could
//! clear the screen, set the title, write the clipboard or fake our own lines. So colours and
//! text attributes (SGR) pass where colour is on, and everything else that is not text goes:
//! other escape sequences, NUL, BEL, backspace. Invalid UTF-8 becomes U+FFFD. A carriage return
//! starts its line anew, as on a screen, so that of a progress bar the last state remains.

/// A line this long is passed on in pieces, so that a line of 10 MB does not have to be held.
const PIECE: usize = 64 * 1024;

/// Longest parameter list of an SGR sequence that is passed on.
const LONGEST_SGR: usize = 64;

/// A part of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Clean text without a line feed.
    pub(crate) text: String,
    /// Set if the line ends here.
    pub(crate) ends_line: bool,
}

#[derive(Debug, Default)]
enum State {
    /// Text.
    #[default]
    Text,
    /// After ESC.
    Escape,
    /// In a control sequence; what came after `ESC [`.
    Csi(Vec<u8>),
    /// In a string (OSC, DCS, APC, PM, SOS), which BEL or ST ends.
    String,
    /// After ESC within a string.
    StringEscape,
    /// Between ESC and the final byte of a sequence with intermediates (character sets).
    Intermediate,
}

/// Cleans the output of one step. Feed it chunks; it keeps what is incomplete.
#[derive(Debug)]
pub(crate) struct Cleaner {
    colors: bool,
    state: State,
    /// The line so far, clean but for its encoding.
    line: Vec<u8>,
    /// A carriage return came; unless a line feed follows, the line starts anew.
    returned: bool,
    /// An SGR sequence was passed on that is not reset yet.
    styled: bool,
    /// Pieces of the current line were passed on already.
    split: bool,
}

impl Cleaner {
    /// A cleaner that passes colours on, or not.
    pub(crate) fn new(colors: bool) -> Self {
        let line = Vec::new();
        Self { colors, state: State::Text, line, returned: false, styled: false, split: false }
    }

    /// Takes the next bytes and hands over the lines that are complete, and pieces of very long
    /// ones.
    pub(crate) fn feed(&mut self, bytes: &[u8], mut emit: impl FnMut(Piece)) {
        let mut rest = bytes;
        while let Some((&byte, tail)) = rest.split_first() {
            if matches!(self.state, State::Text) && is_plain(byte) {
                let run = rest.iter().position(|&b| !is_plain(b)).unwrap_or(rest.len());
                let (plain, after) = rest.split_at(run.min(PIECE));
                self.take_text(plain, &mut emit);
                rest = after;
            } else {
                self.take_control(byte, &mut emit);
                rest = tail;
            }
        }
    }

    /// Hands over what is left of an unfinished line. The step has ended.
    pub(crate) fn finish(&mut self, mut emit: impl FnMut(Piece)) {
        if !self.line.is_empty() || self.split {
            self.end_line(&mut emit);
        }
        self.state = State::Text;
        self.returned = false;
    }

    fn take_text(&mut self, plain: &[u8], emit: &mut impl FnMut(Piece)) {
        if std::mem::take(&mut self.returned) {
            self.line.clear();
        }
        self.line.extend_from_slice(plain);
        if self.line.len() >= PIECE {
            // A character that is cut in two stays whole for the next piece.
            let tail = self.line.split_off(whole_characters(&self.line));
            let text = decode(&std::mem::replace(&mut self.line, tail));
            self.split = true;
            emit(Piece { text, ends_line: false });
        }
    }

    fn take_control(&mut self, byte: u8, emit: &mut impl FnMut(Piece)) {
        self.state = match std::mem::take(&mut self.state) {
            State::Text => match byte {
                b'\n' => {
                    self.end_line(emit);
                    State::Text
                }
                b'\r' => {
                    self.returned = true;
                    State::Text
                }
                0x1b => State::Escape,
                _ => State::Text,
            },
            State::Escape => match byte {
                b'[' => State::Csi(Vec::new()),
                b']' | b'P' | b'X' | b'^' | b'_' => State::String,
                0x20..=0x2f => State::Intermediate,
                _ => State::Text,
            },
            State::Csi(mut parameters) => match byte {
                0x40..=0x7e => {
                    self.end_sequence(byte, &parameters);
                    State::Text
                }
                0x20..=0x3f => {
                    if parameters.len() <= LONGEST_SGR {
                        parameters.push(byte);
                    }
                    State::Csi(parameters)
                }
                0x1b => State::Escape,
                b'\n' => {
                    self.end_line(emit);
                    State::Text
                }
                _ => State::Text,
            },
            State::String => match byte {
                0x07 => State::Text,
                0x1b => State::StringEscape,
                _ => State::String,
            },
            State::StringEscape => {
                if byte == b'\\' {
                    State::Text
                } else {
                    State::String
                }
            }
            State::Intermediate => {
                if (0x20..=0x2f).contains(&byte) {
                    State::Intermediate
                } else {
                    State::Text
                }
            }
        };
    }

    fn end_sequence(&mut self, last: u8, parameters: &[u8]) {
        let is_sgr = last == b'm'
            && parameters.len() <= LONGEST_SGR
            && parameters.iter().all(|b| b.is_ascii_digit() || matches!(b, b';' | b':'));
        if self.colors && is_sgr {
            self.line.extend_from_slice(b"\x1b[");
            self.line.extend_from_slice(parameters);
            self.line.push(b'm');
            self.styled = !matches!(parameters, b"" | b"0" | b"00");
        }
    }

    fn end_line(&mut self, emit: &mut impl FnMut(Piece)) {
        self.returned = false;
        self.split = false;
        let mut text = decode(&std::mem::take(&mut self.line));
        if std::mem::take(&mut self.styled) {
            text.push_str("\x1b[0m");
        }
        emit(Piece { text, ends_line: true });
    }
}

/// Text and tabs: what is taken in runs.
fn is_plain(byte: u8) -> bool {
    byte == b'\t' || (byte >= 0x20 && byte != 0x7f)
}

/// Decodes leniently and drops the C1 controls, which some terminals take for escape codes.
fn decode(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    if text.contains(|c: char| ('\u{80}'..='\u{9f}').contains(&c)) {
        return text.chars().filter(|c| !('\u{80}'..='\u{9f}').contains(c)).collect();
    }
    text.into_owned()
}

/// Length of `bytes` without a character that is cut off at the end.
fn whole_characters(bytes: &[u8]) -> usize {
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        // Invalid in the middle: look at the end only.
        _ => {
            let cut = bytes.iter().rev().take(3).position(|&b| b >= 0xc0).map_or(0, |at| at + 1);
            let tail = bytes.get(bytes.len() - cut..).unwrap_or_default();
            match std::str::from_utf8(tail) {
                Err(error) if error.error_len().is_none() => bytes.len() - cut,
                _ => bytes.len(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Cleaner, PIECE};

    fn clean(colors: bool, chunks: &[&[u8]]) -> Vec<String> {
        let mut lines = vec![String::new()];
        let mut cleaner = Cleaner::new(colors);
        let mut emit = |piece: super::Piece| {
            lines.last_mut().unwrap().push_str(&piece.text);
            if piece.ends_line {
                lines.push(String::new());
            }
        };
        for chunk in chunks {
            cleaner.feed(chunk, &mut emit);
        }
        cleaner.finish(&mut emit);
        if lines.last().is_some_and(String::is_empty) {
            lines.pop();
        }
        lines
    }

    #[test]
    fn lines_that_come_in_pieces_are_put_together() {
        assert_eq!(clean(false, &[b"one\ntw", b"o\r", b"\nthr", b"ee"]), ["one", "two", "three"]);
    }

    #[test]
    fn of_a_progress_bar_the_last_state_remains() {
        assert_eq!(clean(false, &[b"10%\r50%\r100%\ndone\r\n"]), ["100%", "done"]);
    }

    #[test]
    fn escape_codes_other_than_colours_are_dropped() {
        let hostile: &[u8] =
            b"\x1b[2J\x1b]52;c;aGk=\x07a\x1b[31mred\x1b[0m\x1b[?25l\x1b(B\x00\x07!";
        assert_eq!(clean(true, &[hostile]), ["a\x1b[31mred\x1b[0m!"]);
        assert_eq!(clean(false, &[hostile]), ["ared!"]);
    }

    #[test]
    fn colours_do_not_leak_into_the_next_line() {
        assert_eq!(clean(true, &[b"\x1b[31mred\nplain\n"]), ["\x1b[31mred\x1b[0m", "plain"]);
    }

    #[test]
    fn an_escape_code_cut_in_two_is_still_one() {
        assert_eq!(clean(false, &[b"a\x1b", b"[3", b"1mb"]), ["ab"]);
    }

    #[test]
    fn invalid_utf8_and_c1_controls_are_harmless() {
        assert_eq!(
            clean(false, &[b"a\xffb \xc2\x9b31m c\xf0\x9f\x8d", b"\x8e"]),
            ["a\u{fffd}b 31m c\u{1f34e}"]
        );
    }

    #[test]
    fn a_very_long_line_is_passed_on_in_pieces_and_stays_whole() {
        let text = "ä".repeat(PIECE);
        let chunks: Vec<&[u8]> = text.as_bytes().chunks(1000).collect();
        assert_eq!(clean(false, &chunks), std::slice::from_ref(&text));
    }
}
