//! The text of a configuration, and places in it.
//!
//! A line that is shown may hold anything: tabs, characters that take two columns, control
//! characters meant for the reader's terminal, a megabyte without a line break. What leaves this
//! module is safe to print and its underline stands under the text that is meant.

use std::borrow::Cow;

use unicode_width::UnicodeWidthChar;

/// Columns of a source line that are shown at most.
const SHOWN_COLUMNS: usize = 120;

/// Columns that are shown before the underlined text where a line is cut.
const LEAD_COLUMNS: usize = 40;

/// A part of the texts: bytes from `start` up to `end`, counted through all of them. Either may
/// lie within a character or behind the end; reading is lenient, since a place is never worth a
/// panic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// Byte behind the last.
    pub end: usize,
}

impl Span {
    /// A span of these bytes.
    #[must_use]
    pub fn new(start: usize, end: usize) -> Self {
        Self { start, end: end.max(start) }
    }
}

/// A text that is read, and what its first byte counts as in a span.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text<'a> {
    pub(crate) text: &'a str,
    pub(crate) base: usize,
}

/// A line of the text in a form that can be printed, and which part of it is meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snippet {
    /// The line: tabs expanded, control characters replaced, long lines cut.
    pub text: String,
    /// Columns of the terminal before the part that is meant.
    pub offset: usize,
    /// Columns that the part takes, at least one.
    pub width: usize,
}

/// A configuration's text, and those of the orbs that it uses.
#[derive(Debug)]
pub struct Source<'a> {
    files: Vec<File<'a>>,
}

/// One text.
#[derive(Debug)]
struct File<'a> {
    name: Cow<'a, str>,
    text: Cow<'a, str>,
    /// Position of its first byte in a span.
    base: usize,
    /// Byte at which each line starts.
    lines: Vec<usize>,
}

/// A place as people count it, with the line to show.
#[derive(Debug)]
pub struct Place {
    /// Name of the text.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The line and what of it is meant.
    pub snippet: Snippet,
}

impl<'a> Source<'a> {
    /// A configuration.
    pub fn new(file: &'a str, text: &'a str) -> Self {
        let mut source = Self { files: Vec::new() };
        source.add(file, text);
        source
    }

    /// Adds another text. Answers what its first byte counts as.
    pub fn add(&mut self, name: impl Into<Cow<'a, str>>, text: impl Into<Cow<'a, str>>) -> usize {
        let (name, text) = (name.into(), text.into());
        // One more than its length, so that the end of a text is a place in it.
        let base = self.files.last().map_or(0, |file| file.base + file.text.len() + 1);
        let mut lines = vec![0];
        lines.extend(text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(i, _)| i + 1));
        self.files.push(File { name, text, base, lines });
        base
    }

    /// Returns true if a place is in the configuration itself.
    pub fn is_main(&self, span: Span) -> bool {
        self.files.get(1).is_none_or(|second| span.start < second.base)
    }

    /// Returns the text at a span.
    pub fn written(&self, span: Span) -> &str {
        let Some(file) = self.file(span.start) else { return "" };
        file.text.get(span.start - file.base..span.end.saturating_sub(file.base)).unwrap_or("")
    }

    /// The text that a byte is in.
    fn file(&self, byte: usize) -> Option<&File<'a>> {
        let after = self.files.partition_point(|file| file.base <= byte);
        self.files.get(after.saturating_sub(1))
    }

    /// Line of a byte in its text, from 1.
    pub fn line(&self, byte: usize) -> usize {
        let Some(file) = self.file(byte) else { return 1 };
        file.lines.partition_point(|start| *start <= byte - file.base).max(1)
    }

    /// Returns line and column of a span, both from 1; the column is in characters.
    #[must_use]
    pub fn position(&self, span: Span) -> (usize, usize) {
        let Some(file) = self.file(span.start) else { return (1, 1) };
        let at = span.start.saturating_sub(file.base).min(file.text.len());
        let line = self.line(file.base + at);
        let start = file.lines.get(line - 1).copied().unwrap_or(0);
        let before = file.text.get(start..file.text.floor_char_boundary(at)).unwrap_or_default();
        (line, before.chars().count() + 1)
    }

    /// The place of a span.
    pub fn place(&self, span: Span) -> Place {
        let Some(file) = self.file(span.start) else {
            let snippet = cut_snippet("", 0, 0);
            return Place { file: String::new(), line: 1, column: 1, snippet };
        };
        let at = |byte: usize| byte.saturating_sub(file.base).min(file.text.len());
        let line = self.line(file.base + at(span.start));
        let start = file.lines.get(line - 1).copied().unwrap_or(0);
        let end = file.lines.get(line).copied().unwrap_or(file.text.len());
        let text = file.text.get(start..end).unwrap_or("").trim_end_matches(['\n', '\r']);
        let (from, to) = (at(span.start).saturating_sub(start), at(span.end).saturating_sub(start));
        let column = text.char_indices().take_while(|(at, _)| *at < from).count() + 1;
        Place { file: file.name.to_string(), line, column, snippet: cut_snippet(text, from, to) }
    }
}

/// Makes a line printable. `from` and `to` are bytes within the line.
fn cut_snippet(line: &str, from: usize, to: usize) -> Snippet {
    let (from, to) = (from.min(line.len()), to.min(line.len()));
    let mut before = 0;
    for (at, c) in line.char_indices() {
        if at >= from {
            break;
        }
        before += shown_char(c, before).1;
    }
    let cut = if before + LEAD_COLUMNS > SHOWN_COLUMNS { before - LEAD_COLUMNS } else { 0 };

    let mut snippet = Snippet::default();
    let mut column = 0;
    let (mut offset, mut end) = (None, None);
    if cut > 0 {
        snippet.text.push('…');
    }
    let lead = usize::from(cut > 0);
    for (at, c) in line.char_indices() {
        let (text, width) = shown_char(c, column);
        let here = (column + lead).saturating_sub(cut);
        if at >= from {
            offset.get_or_insert(here);
        }
        if at >= to {
            end.get_or_insert(here);
        }
        if column >= cut {
            if here + width > SHOWN_COLUMNS {
                snippet.text.push('…');
                offset.get_or_insert(here);
                end.get_or_insert(here + 1);
                break;
            }
            text.push_to(&mut snippet.text);
        }
        column += width;
    }
    let here = (column + lead).saturating_sub(cut);
    snippet.offset = offset.unwrap_or(here);
    snippet.width = end.unwrap_or(here).saturating_sub(snippet.offset).max(1);
    snippet
}

/// Display of a character.
enum Shown {
    Spaces(usize),
    Char(char),
}

impl Shown {
    fn push_to(self, text: &mut String) {
        match self {
            Self::Spaces(count) => text.extend(std::iter::repeat_n(' ', count)),
            Self::Char(c) => text.push(c),
        }
    }
}

/// Returns the display of a character at a column, and its width in columns. Control characters and
/// those that turn the direction of writing are replaced: a configuration must not be able to
/// move the cursor of the terminal it is shown on, or to look like another text.
fn shown_char(c: char, column: usize) -> (Shown, usize) {
    match c {
        '\t' => {
            let spaces = 4 - column % 4;
            (Shown::Spaces(spaces), spaces)
        }
        c if !russet_text::is_printable(c) => (Shown::Char('\u{fffd}'), 1),
        c => (Shown::Char(c), c.width().unwrap_or(1)),
    }
}

/// `an` before what is spoken with a vowel, else `a`.
pub fn article(word: &str) -> &'static str {
    if word.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" }
}

/// A text that came from a configuration, for use within a message: one line, printable, short.
pub fn quoted(text: &str) -> String {
    const LONGEST: usize = 80;
    let mut out = String::new();
    for (count, c) in text.chars().enumerate() {
        if count == LONGEST {
            out.push('…');
            break;
        }
        match c {
            '\n' | '\r' => out.push('⏎'),
            c => shown_char(c, 3).0.push_to(&mut out),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{Snippet, Source, Span};

    fn snippet(line: &str, part: &str) -> Snippet {
        let start = line.find(part).unwrap();
        Source::new("f", line).place(Span::new(start, start + part.len())).snippet
    }

    #[test]
    fn an_underline_stands_under_its_text_behind_tabs_and_wide_characters() {
        let tab = snippet("\tab: cd", "cd");
        assert_eq!((tab.text.as_str(), tab.offset, tab.width), ("    ab: cd", 8, 2));
        let wide = snippet("名前: 値段", "値段");
        assert_eq!((wide.offset, wide.width), (6, 4));
        let combined = snippet("e\u{301}: x", "x");
        assert_eq!(combined.offset, 3);
    }

    #[test]
    fn a_long_line_is_cut_around_the_underline() {
        let line = format!("{}HERE{}", "a".repeat(100_000), "b".repeat(100_000));
        let cut = snippet(&line, "HERE");
        assert!(cut.text.chars().count() <= 121, "{}", cut.text.chars().count());
        assert_eq!(cut.text.chars().skip(cut.offset).take(cut.width).collect::<String>(), "HERE");
        let long = snippet(&line, &line);
        assert_eq!((long.offset, long.width), (0, 121));
    }

    #[test]
    fn control_characters_never_reach_the_terminal() {
        let bad = snippet("a\u{1b}[2J\u{202e}: b\r", "b");
        assert!(!bad.text.contains(['\u{1b}', '\u{202e}']), "{bad:?}");
        assert_eq!(super::quoted("a\u{7}b\nc"), "a\u{fffd}b⏎c");
    }

    #[test]
    fn columns_count_characters_and_places_behind_the_end_are_the_end() {
        let source = Source::new("f", "ä: ö\nb");
        let place = source.place(Span::new(4, 6));
        assert_eq!((place.line, place.column), (1, 4));
        let behind = source.place(Span::new(400, 600));
        assert_eq!((behind.line, behind.column, behind.snippet.text.as_str()), (2, 2, "b"));
    }
}
