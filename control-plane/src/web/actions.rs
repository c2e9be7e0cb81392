//! Buttons of the pages: the words of each, and the question before some of them. Pure.

use russet_protocol::people::Permission;

/// Name, in addresses, of an answer to a form that was sent twice.
pub(super) const TWICE: &str = "twice";

/// An act that somebody asks for with a button.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    CancelPipeline,
    RerunPipeline,
    RerunFailedOfPipeline,
    PinPipeline,
    UnpinPipeline,
    DeletePipeline,
    RerunWorkflow,
    RerunFailedOfWorkflow,
    CancelJob,
    RerunJob,
    RerunFailedTests,
    RerunWithSsh,
    ExtendSsh,
    EndSsh,
    DeleteArtifact,
    ApproveJob,
    DenyJob,
    PauseRunner,
    DrainRunner,
    ResumeRunner,
    RenameRunner,
    RemoveRunner,
}

/// All actions.
pub(super) const ALL: [Action; 22] = [
    Action::CancelPipeline,
    Action::RerunPipeline,
    Action::RerunFailedOfPipeline,
    Action::PinPipeline,
    Action::UnpinPipeline,
    Action::DeletePipeline,
    Action::RerunWorkflow,
    Action::RerunFailedOfWorkflow,
    Action::CancelJob,
    Action::RerunJob,
    Action::RerunFailedTests,
    Action::RerunWithSsh,
    Action::ExtendSsh,
    Action::EndSsh,
    Action::DeleteArtifact,
    Action::ApproveJob,
    Action::DenyJob,
    Action::PauseRunner,
    Action::DrainRunner,
    Action::ResumeRunner,
    Action::RenameRunner,
    Action::RemoveRunner,
];

/// A field of a form that a person fills in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) name: &'static str,
    pub(super) label: &'static str,
    pub(super) hint: &'static str,
    pub(super) is_required: bool,
}

/// Contents of the page that asks before something is done.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question {
    pub(super) words: &'static str,
    pub(super) fields: &'static [Asked],
}

const REASON: Asked = Asked {
    name: "reason",
    label: "Reason",
    hint: "Shown wherever somebody asks why nothing runs there. May be empty.",
    is_required: false,
};

const UNTIL: Asked = Asked {
    name: "for",
    label: "For how long",
    hint: "As 30m, 2h or 3d. Empty: until somebody lifts it.",
    is_required: false,
};

const NEW_NAME: Asked = Asked {
    name: "to",
    label: "New name",
    hint: "Its agent goes on as it is configured; here it has this name.",
    is_required: true,
};

impl Action {
    /// Finds an action by its name in addresses.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        ALL.into_iter().find(|action| action.name() == name)
    }

    /// The name in addresses.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::CancelPipeline => "cancel-pipeline",
            Self::RerunPipeline => "rerun-pipeline",
            Self::RerunFailedOfPipeline => "rerun-pipeline-from-failed",
            Self::PinPipeline => "pin",
            Self::UnpinPipeline => "unpin",
            Self::DeletePipeline => "delete-pipeline",
            Self::RerunWorkflow => "rerun-workflow",
            Self::RerunFailedOfWorkflow => "rerun-workflow-from-failed",
            Self::CancelJob => "cancel-job",
            Self::RerunJob => "rerun-job",
            Self::RerunFailedTests => "rerun-failed-tests",
            Self::RerunWithSsh => "rerun-with-ssh",
            Self::ExtendSsh => "extend-ssh",
            Self::EndSsh => "end-ssh",
            Self::DeleteArtifact => "delete-artifact",
            Self::ApproveJob => "approve",
            Self::DenyJob => "deny",
            Self::PauseRunner => "pause",
            Self::DrainRunner => "drain",
            Self::ResumeRunner => "resume",
            Self::RenameRunner => "rename",
            Self::RemoveRunner => "remove",
        }
    }

    /// Permission that its call needs.
    pub(super) fn permission(self) -> Permission {
        match self {
            Self::DeletePipeline
            | Self::DeleteArtifact
            | Self::PauseRunner
            | Self::DrainRunner
            | Self::ResumeRunner
            | Self::RenameRunner
            | Self::RemoveRunner => Permission::Operate,
            _ => Permission::Submit,
        }
    }

    /// The words on the button.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::CancelPipeline => "Cancel pipeline",
            Self::RerunPipeline => "Run all again",
            Self::RerunFailedOfPipeline | Self::RerunFailedOfWorkflow => "Run failed again",
            Self::PinPipeline => "Pin",
            Self::UnpinPipeline => "Unpin",
            Self::DeletePipeline | Self::DeleteArtifact => "Delete",
            Self::RerunFailedTests => "Run failed tests again",
            Self::RerunWorkflow | Self::RerunJob => "Run again",
            Self::RerunWithSsh => "Run again with SSH",
            Self::ExtendSsh => "Hold 30 minutes longer",
            Self::EndSsh => "End the hold",
            Self::CancelJob => "Cancel",
            Self::ApproveJob => "Approve",
            Self::DenyJob => "Deny",
            Self::PauseRunner => "Pause",
            Self::DrainRunner => "Drain",
            Self::ResumeRunner => "Resume",
            Self::RenameRunner => "Rename",
            Self::RemoveRunner => "Remove",
        }
    }

    /// Words for when it is done.
    fn done(self) -> &'static str {
        match self {
            Self::CancelPipeline => {
                "The pipeline is canceled. Jobs that run end as soon as their machines hear of it."
            }
            Self::CancelJob => {
                "The job is canceled. If it runs, it ends as soon as its machine hears of it."
            }
            Self::RerunPipeline | Self::RerunFailedOfPipeline => {
                "The pipeline runs again. Earlier runs stay below."
            }
            Self::RerunWorkflow | Self::RerunFailedOfWorkflow => {
                "The workflow runs again. Earlier runs stay readable."
            }
            Self::RerunJob => "The job runs again, in a further run of its workflow.",
            Self::RerunFailedTests => {
                "The job runs again with the tests that failed, in a further run of its workflow."
            }
            Self::RerunWithSsh => {
                "The job runs again with SSH, in a further run of its workflow; its page says how to get in."
            }
            Self::ExtendSsh => "Its tasks are held for 30 minutes longer.",
            Self::EndSsh => "The hold ends as soon as the tasks' machines hear of it.",
            Self::DeleteArtifact => "The artifact is deleted.",
            Self::PinPipeline => "Pinned: it stays until somebody unpins it.",
            Self::UnpinPipeline => "Unpinned: it stays for as long as others do.",
            Self::DeletePipeline => "The pipeline is deleted.",
            Self::ApproveJob => "Approved.",
            Self::DenyJob => "Denied.",
            Self::PauseRunner => "Paused. What runs goes on.",
            Self::DrainRunner => "Draining: what runs goes on, and nothing more begins.",
            Self::ResumeRunner => "Resumed.",
            Self::RenameRunner => "Renamed.",
            Self::RemoveRunner => "The runner is forgotten.",
        }
    }

    /// Class of the style sheet.
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::ApproveJob => "main",
            Self::DeletePipeline | Self::DeleteArtifact | Self::RemoveRunner => "danger",
            _ => "plain",
        }
    }

    /// The question before it is done, for what cannot be taken back or needs more words.
    pub(super) fn question(self) -> Option<Question> {
        let (words, fields): (_, &[Asked]) = match self {
            Self::DeletePipeline => (
                "Delete this pipeline with its output, artifacts and test results? This cannot be \
                 taken back.",
                &[],
            ),
            Self::DeleteArtifact => ("Delete this artifact? This cannot be taken back.", &[]),
            Self::RemoveRunner => (
                "Forget this runner, its state and its pauses? One that claims again is a new one.",
                &[],
            ),
            Self::RerunWithSsh => (
                "Run this job again, and hold its tasks afterwards for you to look at? Your kept keys \
                 may log in (russet ssh-key add). Secrets are masked in the output of steps, not in your \
                 own terminal.",
                &[],
            ),
            Self::PauseRunner => ("Give no more tasks?", &[REASON, UNTIL]),
            Self::DrainRunner => ("Take this out of service once what runs has ended?", &[REASON]),
            Self::RenameRunner => ("Rename this runner?", &[NEW_NAME]),
            _ => return None,
        };
        Some(Question { words, fields })
    }
}

/// Returns the words about what was done, by its name in an address.
pub(super) fn notice_of(name: &str) -> Option<&'static str> {
    if name == TWICE {
        return Some("This form was sent before: it was done once.");
    }
    Action::from_name(name).map(Action::done)
}

#[cfg(test)]
mod tests {
    use super::{ALL, Action, notice_of};

    #[test]
    fn each_action_is_found_by_its_name_and_says_what_was_done() {
        for action in ALL {
            assert_eq!(Action::from_name(action.name()), Some(action));
            assert!(notice_of(action.name()).is_some_and(|words| !words.is_empty()));
        }
        assert_eq!(Action::from_name("twice"), None);
        assert_eq!(notice_of("<script>"), None);
    }
}
