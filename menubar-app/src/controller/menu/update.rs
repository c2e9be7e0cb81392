//! Updates in the menu.

use russet_protocol::local::{Status, Update};

use super::super::words::{self, plain};
use super::super::{Choice, Item, Verb};

/// How far an update is, and what can be done about it. Nothing, where the agent looks for none.
pub(super) fn update(status: &Status, menu: &mut Vec<Item>) {
    let Some(update) = &status.update else { return };
    menu.push(Item::Separator);
    menu.extend(in_words(update, &plain(&status.agent_version)).into_iter().map(Item::Text));
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
            let bar = words::bar(u64::from(*percent));
            vec![format!("Downloading {}  {bar}", plain(version))]
        }
        Update::Pinned { to, .. } => vec![format!("Version {running}, pinned to {}", plain(to))],
        Update::Ready { version } => vec![format!("Version {} is ready", plain(version))],
        Update::WaitingForIdle { version } => {
            vec![format!("Version {} is installed when no task runs", plain(version))]
        }
        Update::Proving { version } => {
            vec![format!("Version {} runs and has yet to prove itself", plain(version))]
        }
        Update::RolledBack { version, why } => vec![
            format!("Version {} was taken back, {running} runs again", plain(version)),
            format!("    It {}", plain(why)),
        ],
        Update::Failed { why } => {
            vec![format!("Version {running}; there was no update"), format!("    {}", plain(why))]
        }
        Update::Unknown => vec![format!("Version {running}")],
    }
}
