//! Progress of each action of `install`, `uninstall` and their like.

use std::ops::ControlFlow;

use russet_launch_agent::install::{InstallError, Moment, Outcome, Report};

use crate::color::Paint;
use crate::error::CliError;
use crate::exit::Exit;
use crate::render::{self, Format};

/// Watches a run, and prints each of its actions once it is over; nothing where people want JSON.
pub(crate) fn print_actions(format: Format) -> impl FnMut(Moment<'_>) -> ControlFlow<()> {
    move |moment| {
        if let (Moment::Over(report), Format::Text) = (moment, format) {
            print_report(report);
        }
        ControlFlow::Continue(())
    }
}

/// Prints an action as a line, and what is to be said about it below.
pub(crate) fn print_report(report: &Report) {
    let paint = Paint::stderr();
    let (sign, words) = match report.outcome {
        Outcome::Planned => (paint.note("→"), String::new()),
        Outcome::Unchanged => (paint.dim("="), paint.dim(" (is so already)")),
        Outcome::Done => (paint.good("✓"), String::new()),
        Outcome::Kept => (paint.dim("="), paint.dim(" (kept)")),
        Outcome::Failed => (paint.bad("✗"), paint.bad(" (failed)")),
    };
    render::print_note(format_args!("{sign} {}{words}", report.action));
    for note in &report.notes {
        render::print_note(format_args!("    {note}"));
    }
}

/// Counts the actions that were done, or would be.
pub(crate) fn count_done(reports: &[Report]) -> usize {
    let did = |report: &&Report| matches!(report.outcome, Outcome::Done | Outcome::Planned);
    reports.iter().filter(did).count()
}

/// An error of an installation, as the command's.
pub(crate) fn install_failure(error: InstallError) -> CliError {
    let exit = match &error {
        InstallError::Config(_) | InstallError::NoConfig { .. } => Exit::BadConfig,
        _ => Exit::Infrastructure,
    };
    let hint = error.hint();
    CliError::new(exit, russet_text::error_chain(&error)).maybe_hint(hint)
}
