//! Progress of a transfer: a bar at terminals, else a line for each part that is done.

use std::io::IsTerminal as _;
use std::sync::Mutex;

use indicatif::{ProgressBar, ProgressStyle};
use russet_control_plane::moving::Step;

use crate::render;

/// Least number of rows of a table that is worth a line.
const MIN_ROWS: u64 = 10_000;

/// Progress of a copy: a bar at a terminal, lines elsewhere.
#[derive(Debug)]
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    /// Last line, so that none comes twice.
    last: Mutex<String>,
}

impl Default for Progress {
    fn default() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(0);
            let style = ProgressStyle::with_template("{msg:28} {wide_bar} {pos}/{len} {eta}");
            match style {
                Ok(style) => bar.with_style(style),
                Err(_) => bar,
            }
        });
        Self { bar, last: Mutex::default() }
    }
}

impl Progress {
    /// Shows a step.
    pub(super) fn tell(&self, step: Step<'_>) {
        let (what, done, total) = match step {
            Step::Rows { table, done, total } => (format!("rows of {table}"), done, total),
            Step::Objects { done, total, .. } => ("objects".to_owned(), done, total),
        };
        match &self.bar {
            Some(bar) => {
                bar.set_message(what);
                bar.set_length(total);
                bar.set_position(done);
            }
            None => {
                if let Some(line) = plain_line(step) {
                    self.print_once(line);
                }
            }
        }
    }

    fn print_once(&self, line: String) {
        if let Ok(mut last) = self.last.lock()
            && *last != line
        {
            render::print_note(&line);
            *last = line;
        }
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Returns the line of a part that is done and was worth waiting for.
fn plain_line(step: Step<'_>) -> Option<String> {
    match step {
        Step::Rows { table, done, total } => (done == total && total >= MIN_ROWS)
            .then(|| format!("{total} rows of {table} compared")),
        Step::Objects { done, total, bytes } => (done == total && total > 0)
            .then(|| format!("{total} objects, {} copied", russet_text::format_size(bytes))),
    }
}

#[cfg(test)]
mod tests {
    use super::{Step, plain_line};

    #[test]
    fn in_a_pipe_only_what_took_time_has_a_line_and_only_at_its_end() {
        let rows = |done, total| plain_line(Step::Rows { table: "jobs", done, total });
        assert_eq!(rows(3, 3), None);
        assert_eq!(rows(4096, 20_000), None);
        assert_eq!(rows(20_000, 20_000).as_deref(), Some("20000 rows of jobs compared"));
        assert_eq!(plain_line(Step::Objects { done: 0, total: 0, bytes: 0 }), None);
    }
}
