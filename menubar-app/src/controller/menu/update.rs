//! Updates in the menu.

use russet_protocol::local::{Status, Update};

use super::super::words::{self, plain_text};
use super::super::{Choice, Item, Verb};

/// Adds the progress of an update, and its choices. Nothing, where the agent looks for none.
pub(super) fn add_update(status: &Status, menu: &mut Vec<Item>) {
    let Some(update) = &status.update else { return };
    menu.push(Item::Separator);
    menu.extend(in_words(update, &plain_text(&status.agent_version)).into_iter().map(Item::Text));
    let may = status.may_change != Some(false);
    // Neither is of use while one is under way.
    let can_check = !matches!(
        update,
        Update::Downloading { .. } | Update::WaitingForIdle { .. } | Update::Proving { .. }
    );
    let check = Choice::Ask(Verb::CheckUpdate);
    menu.push(Item::choice_if(may && can_check, "Check for Update Now", check));
    if matches!(update, Update::Ready { .. }) {
        let install = Choice::Ask(Verb::InstallUpdate);
        menu.push(Item::choice_if(may, "Install Update When Idle", install));
    }
}

fn in_words(update: &Update, running: &str) -> Vec<String> {
    match update {
        Update::UpToDate => vec![format!("Version {running} is up to date")],
        Update::Downloading { version, percent } => {
            let bar = words::progress_bar(u64::from(*percent));
            vec![format!("Downloading {}  {bar}", plain_text(version))]
        }
        Update::Pinned { to, .. } => {
            vec![format!("Version {running}, pinned to {}", plain_text(to))]
        }
        Update::Ready { version } => vec![format!("Version {} is ready", plain_text(version))],
        Update::WaitingForIdle { version } => {
            vec![format!("Version {} is installed when no task runs", plain_text(version))]
        }
        Update::Proving { version } => {
            vec![format!("Version {} runs and has yet to prove itself", plain_text(version))]
        }
        Update::RolledBack { version, why } => vec![
            format!("Version {} was taken back, {running} runs again", plain_text(version)),
            format!("    It {}", plain_text(why)),
        ],
        Update::Failed { why } => {
            vec![
                format!("Version {running}; there was no update"),
                format!("    {}", plain_text(why)),
            ]
        }
        Update::NotOffered { why } => vec![
            format!("Version {running}; no release is offered"),
            format!("    {}", plain_text(why)),
        ],
        Update::RolloutPending { version } => vec![format!(
            "Version {running}; {} has not been rolled out to this machine yet",
            plain_text(version)
        )],
        Update::Unknown => vec![format!("Version {running}")],
    }
}
