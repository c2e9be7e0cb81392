//! Printing of diagnostics, in the way of compilers.
//!
//! ```text
//! error: unknown key `comand` in a `run` step
//!   --> .circleci/config.yml:7:11
//!    |
//!  7 |           comand: make
//!    |           ^^^^^^
//!    = hint: did you mean `command`?
//! ```

use std::fmt::Write as _;

use super::{Diagnostic, Severity};
use crate::source::Snippet;

/// The colours in use, or none.
struct Palette {
    strong: &'static str,
    head: &'static str,
    frame: &'static str,
    hint: &'static str,
    end: &'static str,
}

impl Palette {
    fn new(color: bool, severity: Severity) -> Self {
        if !color {
            return Self { strong: "", head: "", frame: "", hint: "", end: "" };
        }
        let head = match severity {
            Severity::Error => "\u{1b}[1;31m",
            Severity::Warning => "\u{1b}[1;33m",
        };
        Self {
            strong: "\u{1b}[1m",
            head,
            frame: "\u{1b}[1;34m",
            hint: "\u{1b}[1;36m",
            end: "\u{1b}[0m",
        }
    }
}

/// Prints a diagnostic.
pub(super) fn render(diagnostic: &Diagnostic, color: bool) -> String {
    let paint = Palette::new(color, diagnostic.severity);
    let Palette { strong, head, frame, hint, end } = paint;
    let title = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let widest = diagnostic.related.as_ref().map_or(0, |related| related.line).max(diagnostic.line);
    let margin = widest.to_string().len() + 1;

    let mut out = String::new();
    let mut lines = || -> std::fmt::Result {
        write!(out, "{head}{title}{end}{strong}: {}{end}", diagnostic.message)?;
        let (file, line, column) = (&diagnostic.file, diagnostic.line, diagnostic.column);
        write!(out, "\n{:margin$}{frame}-->{end} {file}:{line}:{column}", "")?;
        push_snippet(&mut out, line, &diagnostic.snippet, '^', margin, head, &paint)?;
        if let Some(related) = &diagnostic.related {
            let (file, line, column) = (&related.file, related.line, related.column);
            write!(out, "\n{:margin$}{frame}:::{end} {file}:{line}:{column}: ", "")?;
            out.push_str(&related.message);
            push_snippet(&mut out, line, &related.snippet, '-', margin, frame, &paint)?;
        }
        if let Some(note) = &diagnostic.note {
            write!(out, "\n{:margin$} {frame}={end} note: {note}", "")?;
        }
        if let Some(text) = &diagnostic.hint {
            write!(out, "\n{:margin$} {frame}={end} {hint}hint{end}: {text}", "")?;
        }
        Ok(())
    };
    // Writing to a String cannot fail; were it to, what is there is better than nothing.
    let (Ok(()) | Err(_)) = lines();
    out
}

/// Adds a source line with an underline.
fn push_snippet(
    out: &mut String,
    line: usize,
    snippet: &Snippet,
    mark: char,
    margin: usize,
    color: &str,
    paint: &Palette,
) -> std::fmt::Result {
    let Palette { frame, end, .. } = paint;
    write!(out, "\n{:margin$} {frame}|{end}", "")?;
    write!(out, "\n{frame}{line:>margin$} |{end} {}", snippet.text)?;
    let marks = String::from(mark).repeat(snippet.width);
    write!(out, "\n{:margin$} {frame}|{end} {:2$}{color}{marks}{end}", "", "", snippet.offset)
}
