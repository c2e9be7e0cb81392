//! Texts in pages: as text, whatever they hold.
//!
//! Threat: names, messages and paths are what jobs say. Markup in them stays text, as with
//! askama's own escaper; and so do characters that turn the direction of what follows, or that
//! nobody sees: with them a name could look like another one.

use std::fmt::{self, Write};

use askama::filters::{Escaper, Html};

/// The escaper of all pages, which `askama.toml` names.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shown;

fn is_hidden(c: char) -> bool {
    !russet_text::is_printable(c) && !matches!(c, '\t' | '\n' | '\r')
}

impl Escaper for Shown {
    fn write_escaped_str<W: Write>(&self, mut dest: W, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(at) = rest.find(is_hidden) {
            Html.write_escaped_str(&mut dest, &rest[..at])?;
            let hidden = rest[at..].chars().next().unwrap_or_default();
            dest.write_char('\u{fffd}')?;
            rest = &rest[at + hidden.len_utf8()..];
        }
        Html.write_escaped_str(dest, rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_turns_or_hides_text_is_shown() {
        let shown = |text| {
            let mut page = String::new();
            Shown.write_escaped_str(&mut page, text).unwrap();
            page
        };
        assert_eq!(shown("a\u{202e}gnp.exe"), "a\u{fffd}gnp.exe");
        assert_eq!(shown("x\u{200b}\u{1b}[2J"), "x\u{fffd}\u{fffd}[2J");
        assert_eq!(shown("é <b>\n\t✓"), "é &#60;b&#62;\n\t✓");
    }
}
