//! A page that is drawn in place: on the terminal's other screen, as pagers do, so that what was
//! there before is there again afterwards.

use console::Term;

use crate::error::Result;
use crate::render;

/// To the other screen, without a cursor; and back.
const OPEN: &str = "\x1b[?1049h\x1b[?25l";
const CLOSE: &str = "\x1b[?25h\x1b[?1049l";

/// The page. Dropped, it gives the terminal back.
#[derive(Debug)]
pub(super) struct Screen(());

impl Screen {
    pub(super) fn open() -> Result<Self> {
        render::print_text(OPEN)?;
        Ok(Self(()))
    }

    /// Draws the page anew, as much of it as there is room for, in one go so that nothing flickers.
    pub(super) fn draw(&self, text: &str) -> Result<()> {
        let (rows, columns) = Term::stdout().size();
        render::print_text(&fit_page(text, rows.into(), columns.into()))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing back.
        drop(render::print_text(CLOSE));
    }
}

/// Home, each line with what is left of the one before removed, and then everything below.
fn fit_page(text: &str, rows: usize, columns: usize) -> String {
    let lines = text.lines().take(rows.saturating_sub(1));
    let lines: Vec<String> =
        lines.map(|line| format!("{}\x1b[K", console::truncate_str(line, columns, "…"))).collect();
    format!("\x1b[H{}\r\n\x1b[J", lines.join("\r\n"))
}

#[cfg(test)]
mod tests {
    use super::fit_page;

    #[test]
    fn a_page_is_cut_to_the_terminal_and_colours_do_not_count() {
        let text = "\x1b[1mlong\x1b[0m line\nsecond\nthird\n";
        assert_eq!(
            fit_page(text, 3, 6),
            "\x1b[H\x1b[1mlong\x1b[0m …\x1b[K\r\nsecond\x1b[K\r\n\x1b[J"
        );
        assert_eq!(fit_page("", 0, 0), "\x1b[H\r\n\x1b[J");
    }
}
