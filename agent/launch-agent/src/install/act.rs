//! Each action: is it done, do it, undo it.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::bundle;
use super::developer;
use super::error::InstallError;
use super::files;
use super::owned;
use super::plan::{How, Step};
use super::receipt::{Before, Check, Entry, Item, Receipt};
use super::slots;
use russet_platform::accounts::{Accounts, SHELL};
use russet_platform::command::Tools;
use russet_platform::layout::Layout;
use russet_platform::macos_tools::{backups, package};
use russet_platform::service::Service;

/// Context that actions need.
pub(super) struct Machine<'a> {
    pub(super) layout: &'a Layout,
    /// The executable that empties slots.
    pub(super) program: &'a Path,
    pub(super) service: &'a Service,
    pub(super) accounts: Accounts,
    /// The directory of the receipt, which is made before it.
    pub(super) records: PathBuf,
    /// Waits until what was started works. Returns what is to be said of it.
    pub(super) wait: &'a Wait<'a>,
}

/// Waits until a job that was started works.
pub(super) type Wait<'a> = dyn Fn() -> Result<Vec<String>, InstallError> + 'a;

impl std::fmt::Debug for Machine<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Machine").field("records", &self.records).finish_non_exhaustive()
    }
}

/// Looks how it stands.
#[expect(
    clippy::disallowed_methods,
    reason = "the path lies below directories that only root can change, which is checked first"
)]
pub(super) fn check_step(step: &Step, machine: &Machine<'_>) -> Result<Check, InstallError> {
    let path = step.item.path();
    match &step.how {
        How::Directory { mode, is_backed_up } => {
            check_directory(path, *mode, *is_backed_up, &step.item)
        }
        How::OwnedDirectory { mode, user } => {
            owned::check_directory(path, *mode, user, &machine.accounts)
        }
        // A configuration is its owner's once it is there.
        How::Text { keep: true, .. } if path.exists() => Ok(Check::Same),
        How::Text { text, mode, .. } => {
            check_file(path, *mode, |path| Ok(std::fs::read(path)? == text.as_bytes()))
        }
        // What a machine is, is decided once: `agent install` on a copy of it changes nothing.
        How::Seal { is_image: false, .. } if path.exists() => Ok(Check::Same),
        How::Seal { text, .. } => {
            check_file(path, 0o644, |path| Ok(std::fs::read(path)? == text.as_bytes()))
        }
        How::Developer => developer::check_item(&step.item, &Tools::system()),
        How::Program { from } => {
            check_file(path, 0o755, |path| files::have_same_content(path, from))
        }
        How::Bundle { from } => bundle::check_bundle(machine.layout, from),
        How::Packaged => Ok(Check::Same),
        How::Link { to } => Ok(match std::fs::read_link(path) {
            Ok(target) if target == *to => Check::Same,
            Ok(_) => Check::Different(None),
            Err(_) if path.symlink_metadata().is_ok() => {
                let what = "is there already, and is no link".to_owned();
                return Err(InstallError::InTheWay { path: path.to_owned(), what });
            }
            Err(_) => Check::Absent,
        }),
        How::User => {
            let Item::User { wanted } = &step.item else { return Ok(Check::Absent) };
            Ok(match machine.accounts.find(&wanted.name)? {
                None => Check::Absent,
                Some(account) if account.faults(wanted, SHELL).is_empty() => Check::Same,
                Some(_) => Check::Different(None),
            })
        }
        How::Job | How::ServerJob => {
            let state = machine.service.state()?;
            let runs = state.loaded && state.enabled && state.pid.is_some();
            Ok(if runs { Check::Same } else { Check::Absent })
        }
    }
}

fn check_directory(
    path: &Path,
    mode: u32,
    is_backed_up: bool,
    item: &Item,
) -> Result<Check, InstallError> {
    let meta = match std::fs::symlink_metadata(path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Check::Absent),
        Err(error) => return Err(InstallError::file("look at", path)(error)),
    };
    let shared = matches!(item, Item::SharedDirectory { .. });
    // `/var` and `/etc` are links on macOS.
    if shared && path.is_dir() {
        return Ok(Check::Same);
    }
    if !meta.is_dir() {
        let what = "is there already, and is no directory".to_owned();
        return Err(InstallError::InTheWay { path: path.to_owned(), what });
    }
    let before = Before { uid: meta.uid(), mode: meta.mode() & 0o7777 };
    let is_left_in = !is_backed_up && is_in_backups(path);
    Ok(if before == (Before { uid: 0, mode }) && !is_left_in {
        Check::Same
    } else {
        Check::Different(Some(before))
    })
}

/// Returns true if Time Machine copies a directory that it could leave out.
fn is_in_backups(path: &Path) -> bool {
    cfg!(target_os = "macos") && backups::is_excluded(path).is_ok_and(|is_excluded| !is_excluded)
}

/// Leaves a directory out of Time Machine. That this fails is no reason to fail.
fn leave_out_of_backups(path: &Path) -> Vec<String> {
    if !cfg!(target_os = "macos") {
        return Vec::new();
    }
    let failed = backups::exclude_directory(path).err();
    let note = |error| format!("Time Machine could not be told to leave it out: {error}");
    failed.map(note).into_iter().collect()
}

fn check_file(
    path: &Path,
    mode: u32,
    same: impl FnOnce(&Path) -> std::io::Result<bool>,
) -> Result<Check, InstallError> {
    let meta = match std::fs::symlink_metadata(path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Check::Absent),
        Err(error) => return Err(InstallError::file("look at", path)(error)),
    };
    if !meta.is_file() {
        let what = "is there already, and is no file".to_owned();
        return Err(InstallError::InTheWay { path: path.to_owned(), what });
    }
    let attributes = meta.uid() == 0 && meta.mode() & 0o7777 == mode;
    let same = attributes && same(path).map_err(InstallError::file("compare", path))?;
    Ok(if same { Check::Same } else { Check::Different(None) })
}

/// Does it. Whatever a killed run left of it does not matter.
pub(super) fn perform_step(
    step: &Step,
    machine: &Machine<'_>,
    receipt: &mut Receipt,
    restart: bool,
) -> Result<Vec<String>, InstallError> {
    let path = step.item.path();
    if step.in_place() {
        // Threat: a package that was unpacked by somebody else, who can still write to it.
        if !path.as_os_str().is_empty() {
            files::check_trusted(path)?;
        }
        if check_step(step, machine)? != Check::Same {
            let what = "belongs to somebody other than root, or others can write to it".to_owned();
            return Err(InstallError::InTheWay { path: path.to_owned(), what });
        }
        return Ok(Vec::new());
    }
    // `/var/run` is writable by the group `daemon` on macOS (TheFox/cmus-control#4), which is
    // Apple's choice to trust. Nothing that lies there is run or believed.
    if !path.as_os_str().is_empty() && path != machine.layout.sockets() {
        files::check_trusted(path)?;
    }
    let wrote = InstallError::file("write", path);
    match &step.how {
        How::Directory { mode, is_backed_up } => {
            files::make_directory(path, *mode).map_err(wrote)?;
            if !is_backed_up {
                return Ok(leave_out_of_backups(path));
            }
        }
        How::OwnedDirectory { mode, user } => {
            owned::make_directory(path, *mode, user, &machine.accounts)?;
        }
        How::Seal { text, .. } => files::write(path, text.as_bytes(), 0o644).map_err(wrote)?,
        How::Developer => developer::set_item(&step.item, &Tools::system(), true)?,
        How::Text { text, mode, .. } => {
            files::write(path, text.as_bytes(), *mode).map_err(wrote)?
        }
        How::Program { from } => files::copy_file(from, path, 0o755).map_err(wrote)?,
        How::Bundle { from } => bundle::install_bundle(machine.layout, from)?,
        How::Link { to } => {
            let draft = files::draft_path(path);
            files::remove_file(&draft)
                .and_then(|()| std::os::unix::fs::symlink(to, &draft))
                .and_then(|()| std::fs::rename(&draft, path))
                .map_err(wrote)?;
        }
        How::Packaged => {}
        How::User => {
            // With the ids that the receipt knows from before.
            let known = receipt.entry(&step.item).map_or(&step.item, |entry| &entry.item).clone();
            let Item::User { wanted } = known else { return Ok(Vec::new()) };
            let (account, done) = machine.accounts.ensure(&wanted)?;
            receipt.has_ids(&wanted.name, &account.ids)?;
            return Ok(done);
        }
        How::Job | How::ServerJob => {
            machine.service.available()?;
            machine.service.enable()?;
            if !restart {
                machine.service.start()?;
                return Ok(Vec::new());
            }
            machine.service.restart()?;
            if matches!(step.how, How::ServerJob) {
                return Ok(Vec::new());
            }
            return Ok(slots::adopted_note(&slots::busy_slots(&machine.layout.state())));
        }
    }
    Ok(Vec::new())
}

/// Undoes it. What is gone is undone.
pub(super) fn undo_entry(
    entry: &Entry,
    machine: &Machine<'_>,
    keep: &[&str],
) -> Result<(), InstallError> {
    let path = entry.item.path();
    let removed = InstallError::file("remove", path);
    match (&entry.item, entry.before) {
        (Item::SharedDirectory { .. }, _) => match std::fs::remove_dir(path) {
            // Somebody else has something in it, or has removed it.
            Err(error)
                if !matches!(
                    error.kind(),
                    std::io::ErrorKind::NotFound | std::io::ErrorKind::DirectoryNotEmpty
                ) =>
            {
                return Err(removed(error));
            }
            _ => {}
        },
        // Only a server's receipt has one, and it undoes that itself.
        (Item::OwnedDirectory { .. }, _) => {}
        (Item::Directory { .. }, None) => {
            slots::empty_all(&path.join("slots"), machine.program)?;
            slots::empty_kept(path, machine.program)?;
            files::remove_tree_but(path, keep).map_err(removed)?;
        }
        (Item::Directory { .. }, Some(before)) => {
            restore_directory(path, before).map_err(removed)?
        }
        (Item::File { .. } | Item::Link { .. }, _) => {
            files::remove_file(&files::draft_path(path))
                .and_then(|()| files::remove_file(path))
                .map_err(removed)?;
            if path == machine.service.file() {
                machine.service.forget()?;
            }
            if path == machine.layout.menubar_plist() {
                package::stop_menubars(&Tools::system());
            }
        }
        (Item::Bundle { .. }, _) => bundle::remove_bundle(machine.layout).map_err(removed)?,
        (Item::User { wanted }, _) => {
            if let Some(slot) = wanted.home.parent() {
                slots::empty_slot(slot, machine.program)?;
            }
            machine.accounts.delete(&wanted.name)?;
            if let Some(ids) = &wanted.before {
                let lock = Path::new(russet_platform::LOCK_DIRECTORY);
                let lock = lock.join(format!("uid-{}", ids.uid));
                files::remove_file(&lock).map_err(InstallError::file("remove", &lock))?;
            }
        }
        (Item::Package { identifier }, _) => {
            package::forget_receipt(&Tools::system(), identifier).map_err(|source| {
                InstallError::Package { identifier: identifier.clone(), source }
            })?;
        }
        (Item::DeveloperMode | Item::Member { .. }, _) => {
            developer::set_item(&entry.item, &Tools::system(), false)?;
        }
        (Item::Job, _) => {
            machine.service.stop()?;
            machine.service.disable()?;
        }
    }
    Ok(())
}

fn restore_directory(path: &Path, before: Before) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    if !path.exists() {
        return Ok(());
    }
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(before.mode))?;
    std::os::unix::fs::chown(path, Some(before.uid), None)
}
