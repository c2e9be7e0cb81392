//! Events as text, for people.

use russet_protocol::outcome::Outcome;
use russet_text::one_line_within;

use super::event::CompletedEvent;

/// Most characters of a line. Names come from configurations.
const MAX_CHARS: usize = 300;

/// Characters of a commit that people are shown.
const COMMIT_CHARS: usize = 12;

/// Returns the subject of a mail.
pub(crate) fn subject(event: &CompletedEvent) -> String {
    let name = event.job.as_ref().map_or(&event.workflow.name, |job| &job.name);
    let text = format!("{}: {name} {}", pipeline_name(event), outcome_words(event.russet.outcome));
    format!("[russet] {}", one_line_within(&text, 120))
}

/// Returns the text of a message.
pub(crate) fn body(event: &CompletedEvent) -> String {
    let of = match &event.job {
        Some(job) => format!("the job `{}` of `{}`", job.name, event.workflow.name),
        None => format!("the workflow `{}`", event.workflow.name),
    };
    let before = event.russet.previous.as_deref().and_then(outcome_named);
    let before = before.map(|outcome| format!("; before, it {}", outcome_words(outcome)));
    let text = format!(
        "{}: {of} {}{}.",
        pipeline_name(event),
        outcome_words(event.russet.outcome),
        before.unwrap_or_default()
    );
    let mut lines = vec![one_line_within(&text, MAX_CHARS)];
    let commit = event.pipeline.vcs.revision.as_deref();
    let commit = commit.map(|revision| {
        format!("commit {}", revision.chars().take(COMMIT_CHARS).collect::<String>())
    });
    let author = event.russet.author.as_deref().map(|name| format!("by {name}"));
    let about: Vec<String> = [commit, author].into_iter().flatten().collect();
    if !about.is_empty() {
        lines.push(one_line_within(&about.join(", "), MAX_CHARS));
    }
    if event.workflow.url.contains("://") {
        lines.push(event.workflow.url.clone());
    }
    lines.join("\n")
}

/// Returns the text of a test message.
pub(crate) fn ping_text(label: &str) -> String {
    let label = one_line_within(label, MAX_CHARS);
    format!("This is a test: notifications reach the target {label}.")
}

fn pipeline_name(event: &CompletedEvent) -> String {
    let vcs = &event.pipeline.vcs;
    let on = vcs.branch.as_ref().or(vcs.tag.as_ref()).map(|name| format!(" on {name}"));
    format!("{}#{}{}", event.russet.project, event.pipeline.number, on.unwrap_or_default())
}

fn outcome_named(name: &str) -> Option<Outcome> {
    serde_json::from_value(name.into()).ok()
}

fn outcome_words(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Success => "succeeded",
        Outcome::Failed => "failed",
        Outcome::Canceled => "was canceled",
        Outcome::TimedOut => "ran for too long",
        Outcome::InfrastructureFail => "failed with its infrastructure",
        Outcome::NotRun => "was not run",
        Outcome::Unauthorized => "was not allowed to run",
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::tests::facts;
    use super::*;

    #[test]
    fn a_message_says_what_ended_how_and_where() {
        let previous = Some("success".to_owned());
        let event = CompletedEvent::of(&facts(), ("t", "hook"), previous, 9);
        assert_eq!(subject(&event), "[russet] acme/app#12 on main: build ran for too long");
        assert_eq!(
            body(&event),
            "acme/app#12 on main: the workflow `build` ran for too long; before, it succeeded.\n\
             commit 1dc6aa69429b, by ada"
        );
    }

    #[test]
    fn a_name_makes_no_lines_of_its_own() {
        let facts = super::super::Facts { workflow_name: "a\nb".to_owned(), ..facts() };
        let event = CompletedEvent::of(&facts, ("t", "hook"), None, 9);
        assert_eq!(body(&event).lines().count(), 2);
        assert!(!subject(&event).contains('\n'));
    }
}
