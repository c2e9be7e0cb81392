//! Progress and end of commands that set this machine up, step by step.

use russet_launch_agent::setup::{Moment, Outcome, Report};
use serde_json::json;

use crate::color::Paint;
use crate::error::{CliError, Result};
use crate::exit::Exit;
use crate::render::{self, Format, plain};

/// Refuses to set up anything but a Mac.
pub(super) fn require_mac(why: &str) -> Result<()> {
    if cfg!(target_os = "macos") {
        return Ok(());
    }
    let message = format!("this needs a Mac: {why}");
    Err(CliError::new(Exit::Usage, message).hint("run it on the Mac that is to run tasks"))
}

/// Shows a moment of a set-up to people.
pub(super) fn print_moment(moment: &Moment<'_>, format: Format) {
    let paint = Paint::stderr();
    match moment {
        _ if format == Format::Json => {}
        Moment::Begins(title) => render::print_note(format_args!("{} {title} …", paint.note("→"))),
        Moment::Over(report) => render::print_note(report_text(report, paint)),
    }
}

fn report_text(report: &Report, paint: Paint) -> String {
    let (sign, words) = match report.outcome {
        Outcome::Ready => (paint.dim("="), "is so already"),
        Outcome::Planned => (paint.note("→"), "would be done"),
        Outcome::Done => (paint.good("✓"), "done; it was"),
        Outcome::ByHand => (paint.warn("!"), "is left to you"),
        Outcome::Failed => (paint.bad("✗"), "failed"),
    };
    let mut text = format!("{sign} {} ({words}: {})", report.step, plain(&report.found));
    if let Some(hint) = &report.hint {
        text.push_str(&format!("\n    {}", paint.dim(&format!("→ {}", plain(hint)))));
    }
    text
}

/// Prints how a set-up ended, and returns the exit code.
pub(super) fn print_reports(reports: &[Report], dry_run: bool, format: Format) -> Result<Exit> {
    let count = |outcome| reports.iter().filter(|report| report.outcome == outcome).count();
    let (failed, by_hand) = (count(Outcome::Failed), count(Outcome::ByHand));
    let exit = match (failed, by_hand) {
        (0, 0) => Exit::Success,
        (0, _) => Exit::Attention,
        _ => Exit::Infrastructure,
    };
    if format == Format::Json {
        render::print_json(&json!({ "dry_run": dry_run, "steps": reports }))?;
        return Ok(exit);
    }
    let changed = count(Outcome::Done) + count(Outcome::Planned);
    let done = match (dry_run, changed) {
        (_, 0) => "There was nothing to change".to_owned(),
        (true, count) => format!("{count} steps would be done"),
        (false, count) => format!("{count} steps were done"),
    };
    let left = match (failed, by_hand) {
        (0, 0) => String::new(),
        (0, count) => format!("; left to you: {count}"),
        (count, by_hand) => format!("; failed: {count}; left to you: {by_hand}"),
    };
    render::print_line(format_args!("{done}{left}."))?;
    Ok(exit)
}

#[cfg(test)]
mod tests {
    use super::{print_reports, report_text};
    use crate::color::Paint;
    use crate::exit::Exit;
    use crate::render::Format;
    use russet_launch_agent::setup::{Outcome, Report};

    fn report(outcome: Outcome) -> Report {
        Report {
            step: "turn the screen lock of ci-gui off".to_owned(),
            outcome,
            found: "locked 300 s after".to_owned(),
            hint: (outcome == Outcome::Failed).then(|| "log ci-gui in".to_owned()),
        }
    }

    #[test]
    fn a_step_is_a_line_and_what_is_left_to_do_stands_below() {
        let text = |outcome| report_text(&report(outcome), Paint::PLAIN);
        assert_eq!(
            text(Outcome::Done),
            "✓ turn the screen lock of ci-gui off (done; it was: locked 300 s after)"
        );
        assert!(text(Outcome::Failed).ends_with("\n    → log ci-gui in"));
    }

    #[test]
    fn the_exit_code_says_if_something_is_left_to_do() {
        let exit = |outcomes: &[Outcome]| {
            let reports: Vec<Report> = outcomes.iter().copied().map(report).collect();
            print_reports(&reports, false, Format::Json).unwrap()
        };
        assert_eq!(exit(&[Outcome::Ready, Outcome::Done]), Exit::Success);
        assert_eq!(exit(&[Outcome::Ready, Outcome::ByHand]), Exit::Attention);
        assert_eq!(exit(&[Outcome::Failed, Outcome::ByHand]), Exit::Infrastructure);
    }
}
