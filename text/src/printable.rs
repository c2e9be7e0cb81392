//! Text from elsewhere, made safe to print.
//!
//! Names and messages come from projects, jobs and servers. A control character in one drives the
//! reader's terminal, a bidirectional override makes it read as another text, an invisible
//! character makes two names look the same. None of these is passed on: each is shown as `�`, so
//! that the reader sees that something stands there.

/// Shown for a character that is not printed.
const REPLACEMENT: char = '\u{fffd}';

/// Set for characters that are shown as themselves wherever the text is looked at. Joiners
/// (U+200C, U+200D) are: scripts and emoji need them.
#[must_use]
pub fn is_printable(c: char) -> bool {
    let is_hidden = matches!(
        c,
        // Soft hyphen, Arabic letter mark, Mongolian vowel separator.
        '\u{ad}' | '\u{61c}' | '\u{180e}'
        // Zero-width space; left-to-right and right-to-left marks.
        | '\u{200b}' | '\u{200e}' | '\u{200f}'
        // Separators of lines and paragraphs; embeddings and overrides of direction.
        | '\u{2028}'..='\u{202e}'
        // Invisible operators; isolates of direction; deprecated format characters.
        | '\u{2060}'..='\u{206f}'
        // Byte order mark, annotations, noncharacters.
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}'
        // Tags.
        | '\u{e0000}'..='\u{e007f}'
    );
    !c.is_control() && !is_hidden
}

/// Makes a text printable on one line: line breaks and tabs become spaces.
#[must_use]
pub fn one_line(text: &str) -> String {
    text.chars().map(on_one_line).collect()
}

/// As [`one_line`], with at most `max_chars` characters; a longer text ends in `…`.
#[must_use]
pub fn one_line_within(text: &str, max_chars: usize) -> String {
    let mut chars = text.chars().map(on_one_line);
    let mut line: String = chars.by_ref().take(max_chars).collect();
    if chars.next().is_some() {
        line.pop();
        line.push('…');
    }
    line
}

/// Makes a text of several lines printable. Line feeds and tabs stay; CR LF becomes LF, and a CR
/// alone, with which a terminal would write over the line, is replaced.
#[must_use]
pub fn printable_lines(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' | '\t' => c,
        c if is_printable(c) => c,
        _ => REPLACEMENT,
    };
    text.replace("\r\n", "\n").chars().map(shown).collect()
}

fn on_one_line(c: char) -> char {
    match c {
        '\n' | '\r' | '\t' => ' ',
        c if is_printable(c) => c,
        _ => REPLACEMENT,
    }
}

#[cfg(test)]
mod tests {
    use super::{one_line, one_line_within, printable_lines};

    #[test]
    fn control_characters_and_changes_of_direction_are_shown_and_not_obeyed() {
        assert_eq!(one_line("a\u{1b}[2J\u{202e}b\nc\td"), "a\u{fffd}[2J\u{fffd}b c d");
        assert_eq!(one_line("\u{2066}x\u{2069}\u{200f}"), "\u{fffd}x\u{fffd}\u{fffd}");
        assert_eq!(one_line("名前 👩\u{200d}💻"), "名前 👩\u{200d}💻");
    }

    #[test]
    fn a_long_text_is_cut_and_says_so() {
        assert_eq!(one_line_within("abcdef", 6), "abcdef");
        assert_eq!(one_line_within("abcdefg", 6), "abcde…");
    }

    #[test]
    fn lines_stay_lines() {
        assert_eq!(printable_lines("a\r\nb\rc\td\u{7}"), "a\nb\u{fffd}c\td\u{fffd}");
    }
}
