//! Undoing the installation of a control plane, backwards.
//!
//! Data stays unless it is asked for, and with it the user that it belongs to: an id that is given
//! to somebody else later would give them the data too. The receipt stays for a later removal of
//! both.

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use nix::fcntl::{Flock, FlockArg};

use crate::install::error::InstallError;
use crate::install::files;
use crate::install::lock;
use crate::install::receipt::{Entry, Item, Receipt};
use crate::install::report::{Moment, Outcome, Report, Watch, tell_watcher};
use crate::install::run::require_root;
use russet_platform::accounts::Accounts;
use russet_platform::server_layout::ServerLayout;
use russet_platform::service::Service;

/// Name of the receipt in the directory of code.
const RECEIPT: &str = "receipt.json";

/// Options of a removal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServerRemoval {
    /// Remove data, logs and the user too.
    pub purge: bool,
    /// Only say what would be done.
    pub dry_run: bool,
}

/// Removes what was installed. `None`: nothing was.
///
/// # Errors
///
/// The server cannot be stopped, or runs without the service manager; or the first action that
/// fails. What was not undone stays in the receipt.
pub fn uninstall_server(
    layout: &ServerLayout,
    service: &Service,
    wishes: ServerRemoval,
    watch: Watch<'_>,
) -> Result<Option<Vec<Report>>, InstallError> {
    let Some(mut receipt) = Receipt::read(&layout.receipt())? else {
        if !wishes.dry_run {
            sweep_leftovers(layout);
        }
        return Ok(None);
    };
    if !wishes.dry_run {
        require_root("uninstall")?;
    }
    let mut undoing = Undoing { layout, service, purge: wishes.purge, gone: false };
    let mut reports = Vec::new();
    for entry in receipt.entries().iter().rev().cloned().collect::<Vec<_>>() {
        let is_kept = undoing.keeps(&entry.item);
        let mut report =
            Report { action: entry.item.undoing(), outcome: Outcome::Planned, notes: Vec::new() };
        match &entry.item {
            Item::Job => {
                report.action =
                    "stop the server, and let it not start with the system any more".into();
            }
            Item::User { wanted } => {
                report.action = format!("delete the user {} and its group", wanted.name);
            }
            _ => {}
        }
        if wishes.dry_run {
            report.outcome = if is_kept { Outcome::Kept } else { Outcome::Planned };
        } else {
            tell_watcher(watch, Moment::Begins(&report.action))?;
            report.outcome = undoing.undo(&entry, is_kept, &mut receipt)?;
            tell_watcher(watch, Moment::Acted(&report.action))?;
        }
        tell_watcher(watch, Moment::Over(&report))?;
        reports.push(report);
    }
    Ok(Some(reports))
}

/// A removal under way.
struct Undoing<'a> {
    layout: &'a ServerLayout,
    service: &'a Service,
    purge: bool,
    /// The receipt is gone.
    gone: bool,
}

impl Undoing<'_> {
    fn keeps(&self, item: &Item) -> bool {
        !self.purge && matches!(item, Item::OwnedDirectory { .. } | Item::User { .. })
    }

    fn undo(
        &mut self,
        entry: &Entry,
        is_kept: bool,
        receipt: &mut Receipt,
    ) -> Result<Outcome, InstallError> {
        let path = entry.item.path();
        if is_kept {
            return Ok(Outcome::Kept);
        }
        if path == self.layout.code() {
            return self.remove_code(path);
        }
        let removed = InstallError::file("remove", path);
        let mut outcome = Outcome::Done;
        match &entry.item {
            Item::Job => {
                self.service.stop()?;
                self.service.disable()?;
            }
            Item::OwnedDirectory { .. } => {
                refuse_used(path)?;
                let owner = receipt.users().find_map(|user| Some(user.before.as_ref()?.uid));
                files::remove_tree_of(path, owner.unwrap_or_default()).map_err(removed)?;
            }
            Item::User { wanted } => {
                Accounts::system().delete(&wanted.name)?;
            }
            Item::File { .. } | Item::Link { .. } => {
                files::remove_file(&files::draft_path(path))
                    .and_then(|()| files::remove_file(path))
                    .map_err(removed)?;
                if path == self.service.file() {
                    self.service.forget()?;
                }
            }
            Item::SharedDirectory { .. } => {
                // Somebody else has something in it.
                let is_gone = std::fs::remove_dir(path).is_ok() || !path.exists();
                outcome = if is_gone { Outcome::Done } else { Outcome::Kept };
            }
            _ => {}
        }
        // A directory that others use too may be empty at a later removal.
        let comes_back = outcome == Outcome::Kept && !self.purge;
        if !self.gone && !comes_back {
            receipt.forget(&entry.item)?;
        }
        Ok(outcome)
    }

    /// Removes the directory of code; without a purge all of it but the receipt.
    fn remove_code(&mut self, code: &Path) -> Result<Outcome, InstallError> {
        let removed = InstallError::file("remove", code);
        files::remove_tree_but(code, &[RECEIPT]).map_err(removed)?;
        if !self.purge {
            return Ok(Outcome::Kept);
        }
        let removed = InstallError::file("remove", code);
        files::remove_file(&self.layout.receipt())
            .and_then(|()| std::fs::remove_dir(code))
            .map_err(removed)?;
        self.gone = true;
        Ok(Outcome::Done)
    }
}

/// Removes what a removal that was killed at its very end left, or an installation at its very
/// beginning.
fn sweep_leftovers(layout: &ServerLayout) {
    let draft = files::draft_path(&layout.receipt());
    let _absent = files::remove_file(&draft);
    // Our own, without which the directory may be empty.
    let _locked = files::remove_file(&layout.code().join(lock::NAME));
    // Not empty, or not there: not ours.
    let _stays = std::fs::remove_dir(layout.code());
}

/// Nothing is removed below a server that runs: it holds the lock of its data directory.
fn refuse_used(data: &Path) -> Result<(), InstallError> {
    let path = data.join("lock");
    let mut options = std::fs::OpenOptions::new();
    options.read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    let Ok(file) = options.open(&path) else { return Ok(()) };
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(_unlocked) => Ok(()),
        Err((_, nix::Error::EWOULDBLOCK)) => {
            Err(InstallError::ServerRuns { data: data.to_owned() })
        }
        Err((_, error)) => Err(InstallError::file("lock", &path)(error.into())),
    }
}
