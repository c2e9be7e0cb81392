//! Undoing what the receipt says, backwards.

use std::path::Path;

use super::act::{self, Machine};
use super::error::InstallError;
use super::files;
use super::receipt::{Entry, Item, Receipt};
use super::report::{Moment, Outcome, Report, Watch, tell_watcher};
use super::run::{installed_program, make_machine, require_root, wait_for_nothing};
use super::slots;
use crate::vault::Vault;
use russet_platform::layout::Layout;
use russet_platform::service::Service;
use russet_platform::users;

/// Files of the state that outlive `--keep-data`: the receipt, and credentials that people stored.
const KEPT_STATE: [&str; 2] = ["receipt.json", "vault"];

/// Options of a removal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removal {
    /// Keep configuration, logs and stored credentials, and the receipt for removing them later.
    pub keep_data: bool,
    /// Cancel tasks that run.
    pub force: bool,
    /// Only say what would be done.
    pub dry_run: bool,
}

/// Removes what was installed. `None`: nothing was.
///
/// Every action is tried, also after one failed: what failed stays in the receipt, and is in the
/// reports.
///
/// # Errors
///
/// Tasks run and `force` does not say that they may be canceled, or the agent cannot be stopped.
pub fn uninstall_agent(
    layout: &Layout,
    program: &Path,
    service: &Service,
    wishes: Removal,
    watch: Watch<'_>,
) -> Result<Option<Vec<Report>>, InstallError> {
    let Removal { keep_data, force, dry_run } = wishes;
    let machine = make_machine(layout, program, service, &wait_for_nothing);
    let Some(mut receipt) = installed_program(layout)? else {
        return sweep_leftovers(layout, dry_run).map(|()| None);
    };
    if !dry_run {
        require_root("uninstall")?;
        refuse_busy(layout, &receipt, force)?;
        if !receipt.entries().iter().any(|entry| entry.item == Item::Job) {
            refuse_running(layout)?;
        }
    }
    let mut undoing = Undoing { machine, keep_data, failed: false, gone: false };
    let mut reports = Vec::new();
    for entry in receipt.entries().iter().rev().cloned().collect::<Vec<_>>() {
        let action = entry.item.undoing();
        let report = if dry_run {
            let kept = keep_data && is_data(&entry.item, layout);
            let outcome = if kept { Outcome::Kept } else { Outcome::Planned };
            Report { action, outcome, notes: Vec::new() }
        } else {
            tell_watcher(watch, Moment::Begins(&action))?;
            let report = undoing.undo(&entry, action, &mut receipt)?;
            tell_watcher(watch, Moment::Acted(&report.action))?;
            report
        };
        tell_watcher(watch, Moment::Over(&report))?;
        reports.push(report);
    }
    if !dry_run && !undoing.gone && receipt.entries().is_empty() {
        let path = layout.receipt();
        files::remove_file(&path).map_err(InstallError::file("remove", &path))?;
    }
    Ok(Some(reports))
}

/// A removal under way.
struct Undoing<'a> {
    machine: Machine<'a>,
    keep_data: bool,
    /// Something could not be undone, and the receipt has to stay.
    failed: bool,
    /// The receipt is gone, and with it the state directory.
    gone: bool,
}

impl Undoing<'_> {
    fn undo(
        &mut self,
        entry: &Entry,
        action: String,
        receipt: &mut Receipt,
    ) -> Result<Report, InstallError> {
        let layout = self.machine.layout;
        let is_state = entry.item.path() == layout.state();
        let kept = self.keep_data && is_data(&entry.item, layout);
        let mut report = Report { action, outcome: Outcome::Done, notes: Vec::new() };
        if kept && !is_state {
            report.outcome = Outcome::Kept;
            return Ok(report);
        }
        let keep: &[&str] = if is_state { &KEPT_STATE } else { &[] };
        if is_state && !kept && !self.failed {
            report.notes = forget_tokens(&layout.state());
        }
        match act::undo_entry(entry, &self.machine, keep) {
            Ok(()) if is_state && (kept || self.failed) => report.outcome = Outcome::Kept,
            Ok(()) if is_state => {
                remove_state(entry, layout)?;
                self.gone = true;
            }
            Ok(()) if self.gone => {}
            // Something else is in it. Where that is ours, the next removal comes back to it.
            Ok(()) if shared_and_there(&entry.item) => {
                report.outcome = Outcome::Kept;
                if !self.keep_data && !self.failed {
                    receipt.forget(&entry.item)?;
                }
            }
            Ok(()) => receipt.forget(&entry.item)?,
            // Nothing else may be removed below an agent that runs.
            Err(error) if entry.item == Item::Job => return Err(error),
            Err(error) => {
                self.failed = true;
                report.outcome = Outcome::Failed;
                report.notes = std::iter::once(error.to_string()).chain(error.hint()).collect();
            }
        }
        Ok(report)
    }
}

/// Takes tokens out of the system's keychain, where they do not go with the state directory. A
/// store that cannot be read keeps nobody from removing the agent; it is said.
fn forget_tokens(state: &Path) -> Vec<String> {
    let read = Vault::open(state).and_then(|vault| Ok((vault.read()?, vault)));
    let (stored, vault) = match read {
        Ok(read) => read,
        Err(error) => {
            return vec![format!("tokens in the system's keychain were not looked for: {error}")];
        }
    };
    let in_keychain = stored.tokens.iter().filter(|(_, token)| token.token.is_none());
    in_keychain.filter_map(|(name, _)| Some(vault.remove_token(name).err()?.to_string())).collect()
}

fn shared_and_there(item: &Item) -> bool {
    matches!(item, Item::SharedDirectory { path } if path.exists())
}

/// Returns true if `--keep-data` keeps an item. The directories that lead there stay since they are
/// not empty.
fn is_data(item: &Item, layout: &Layout) -> bool {
    let path = item.path();
    let config = layout.config();
    path == layout.state()
        || path == layout.logs()
        || path == config
        || path == layout.seal()
        || Some(path) == config.parent()
}

/// The last of the state directory: credentials, the receipt, itself.
fn remove_state(entry: &Entry, layout: &Layout) -> Result<(), InstallError> {
    let state = layout.state();
    let removed = InstallError::file("remove", &state);
    let receipt = layout.receipt();
    if entry.before.is_some() {
        // It was there before us.
        return files::remove_file(&receipt).map_err(removed);
    }
    files::remove_tree_but(&state, &["receipt.json"])
        .and_then(|()| files::remove_file(&files::draft_path(&receipt)))
        .and_then(|()| files::remove_file(&receipt))
        .and_then(|()| std::fs::remove_dir(&state))
        .map_err(removed)
}

/// Removes leftovers of a removal that was killed at its very end, or of an installation at its
/// very beginning.
#[expect(
    clippy::disallowed_methods,
    reason = "the draft lies in the state directory, where only root writes"
)]
fn sweep_leftovers(layout: &Layout, dry_run: bool) -> Result<(), InstallError> {
    let state = layout.state();
    if !dry_run && nix::unistd::geteuid().is_root() {
        drop(std::fs::remove_file(files::draft_path(&layout.receipt())));
        // Not empty, or not there: not ours.
        drop(std::fs::remove_dir(state));
    }
    Ok(())
}

/// Nothing may be removed below an agent that runs. One with a job is stopped on the way.
#[expect(
    clippy::disallowed_methods,
    reason = "the state directory lies below directories of root's; only its lock is taken"
)]
fn refuse_running(layout: &Layout) -> Result<(), InstallError> {
    let state = layout.state();
    let Ok(directory) = std::fs::File::open(&state) else { return Ok(()) };
    match users::lock_state(&directory.into()) {
        Ok(Some(_)) => Ok(()),
        Ok(None) => Err(InstallError::Running),
        Err(error) => Err(InstallError::file("lock", &state)(error)),
    }
}

fn refuse_busy(layout: &Layout, receipt: &Receipt, force: bool) -> Result<(), InstallError> {
    let busy = busy(layout, receipt);
    if busy.is_empty() || force {
        return Ok(());
    }
    let slots = match busy.as_slice() {
        [one] => format!("slot {one}"),
        many => format!("the slots {}", many.join(", ")),
    };
    Err(InstallError::Busy { slots })
}

/// The slots of an installation in which there is a task, by number; none where nothing is
/// installed.
///
/// # Errors
///
/// The receipt cannot be read.
pub fn busy_slots(layout: &Layout) -> Result<Vec<String>, InstallError> {
    Ok(installed_program(layout)?.map(|receipt| busy(layout, &receipt)).unwrap_or_default())
}

fn busy(layout: &Layout, receipt: &Receipt) -> Vec<String> {
    let mut states = vec![layout.state()];
    // Homes are `STATE/slots/N/home`, in another state directory where one was configured.
    states
        .extend(receipt.users().filter_map(|user| Some(user.home.ancestors().nth(3)?.to_owned())));
    states.sort();
    states.dedup();
    states.iter().flat_map(|state| slots::busy_slots(state)).collect()
}
