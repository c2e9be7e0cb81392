//! From an archive to a bundle that can take its place: looked at before it is unpacked, and tried
//! before it is used.
//!
//! The archive's hash was signed, so it is as its maker made it. That it is looked at all the same
//! is for the day on which its maker errs, or is robbed of more than a place to put files.

use std::collections::HashSet;
use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use flate2::read::GzDecoder;
use self_update::{ArchiveKind, Compression, Extract};
use tar::EntryType;

use super::UpdateError;
use russet_platform::command::{Command, CommandError};
use russet_platform::layout::Layout;
use russet_platform::replace::sync_directory;

/// The most that a bundle may be, in bytes and in entries.
const LARGEST: u64 = 2 << 30;
const MOST: usize = 10_000;

/// The longest path in an archive, in bytes, and the deepest, in directories.
const MAX_PATH_BYTES: usize = 512;
const MAX_DEPTH: usize = 24;

/// The longest record about an entry, as that of a long name, in bytes.
const MAX_RECORD_BYTES: u64 = 4096;

/// Time that a program has to print its version: one that hangs here would hang later.
const PATIENCE: Duration = Duration::from_secs(20);

/// Unpacks an archive below `into` and answers where its bundle is.
pub(super) fn unpack_archive(
    archive: &Path,
    into: &Path,
    layout: &Layout,
    version: &str,
) -> Result<PathBuf, UpdateError> {
    let (bundle, executable) = (layout.bundle(), layout.executable());
    let name = bundle.file_name().unwrap_or_default();
    let inside = executable.strip_prefix(&bundle).unwrap_or(&executable);
    check_records(archive)?;
    check_entries(archive, Path::new(name), &Path::new(name).join(inside))?;
    crate::files::remove_tree(into).map_err(UpdateError::file("could not remove", into))?;
    let made = std::fs::create_dir(into)
        .and_then(|()| std::fs::set_permissions(into, Permissions::from_mode(0o700)));
    made.map_err(UpdateError::file("could not make", into))?;
    let mut extract = Extract::from_source(archive);
    extract.archive(ArchiveKind::Tar(Some(Compression::Gz))).extract_into(into).map_err(
        |error| {
            // That a disk is full is said by the last cause; what stands before it is the library's.
            let why = russet_text::root_cause(&error);
            UpdateError::Archive(format!("the archive could not be unpacked: {why}"))
        },
    )?;
    let staged = into.join(name);
    sync_tree(&staged).map_err(UpdateError::file("could not settle", &staged))?;
    russet_platform::check_code_signature(&staged)?;
    check_version_output(&staged.join(inside), version)?;
    Ok(staged)
}

/// Looks at the raw records before anybody reads them as names: a long name is read whole into
/// memory, whatever it says its length is, by this library and by others.
#[expect(
    clippy::disallowed_methods,
    reason = "the archive lies in the staging directory, which is root's, 0700"
)]
fn check_records(archive: &Path) -> Result<(), UpdateError> {
    let refused = |what: &str| UpdateError::Archive(format!("the archive holds {what}"));
    let file = File::open(archive).map_err(UpdateError::file("could not open", archive))?;
    let mut archive = tar::Archive::new(GzDecoder::new(file));
    let (mut records, mut bytes) = (0, 0_u64);
    for entry in archive.entries().map_err(broken)?.raw(true) {
        let entry = entry.map_err(broken)?;
        let is_about = matches!(
            entry.header().entry_type(),
            EntryType::GNULongName
                | EntryType::GNULongLink
                | EntryType::XHeader
                | EntryType::XGlobalHeader
        );
        if is_about && entry.size() > MAX_RECORD_BYTES {
            return Err(refused("a name that is longer than any name is"));
        }
        (records, bytes) = (records + 1, bytes.saturating_add(entry.size()));
        if records > 2 * MOST || bytes > LARGEST {
            return Err(refused("more than a bundle does"));
        }
    }
    Ok(())
}

fn broken(error: io::Error) -> UpdateError {
    UpdateError::Archive(format!("the archive is broken: {error}"))
}

/// Looks at every entry before any is written: below the one directory, files and directories
/// alone, each once, and no more than a bundle has.
#[expect(
    clippy::disallowed_methods,
    reason = "the archive lies in the staging directory, which is root's, 0700"
)]
fn check_entries(archive: &Path, name: &Path, program: &Path) -> Result<(), UpdateError> {
    let refused = |path: &Path, why: &str| {
        let path: String = path.to_string_lossy().chars().take(200).collect();
        UpdateError::Archive(format!("the archive holds `{path}`, {why}"))
    };
    let file = File::open(archive).map_err(UpdateError::file("could not open", archive))?;
    let mut archive = tar::Archive::new(GzDecoder::new(file));
    let (mut seen, mut bytes) = (HashSet::new(), 0_u64);
    for entry in archive.entries().map_err(broken)? {
        let entry = entry.map_err(broken)?;
        let path = entry.path().map_err(broken)?.into_owned();
        if path.as_os_str().len() > MAX_PATH_BYTES || path.components().count() > MAX_DEPTH {
            return Err(refused(&path, "a path that is longer or deeper than a bundle's"));
        }
        let mut parts = path.components();
        if parts.next() != Some(Component::Normal(name.as_os_str()))
            || parts.any(|part| !matches!(part, Component::Normal(_)))
        {
            return Err(refused(&path, "which is not below the bundle"));
        }
        if !matches!(entry.header().entry_type(), EntryType::Regular | EntryType::Directory) {
            return Err(refused(&path, "which is neither a file nor a directory"));
        }
        bytes = bytes.saturating_add(entry.size());
        if bytes > LARGEST || seen.len() >= MOST {
            return Err(refused(&path, "beyond 2 GiB or 10,000 files, the limits of a bundle"));
        }
        if !seen.insert(path.clone()) {
            return Err(refused(&path, "twice"));
        }
    }
    if seen.contains(program) {
        return Ok(());
    }
    let why = format!(
        "the archive has no program `{}`; pack the bundle as it lies on this kind of machine",
        program.display()
    );
    Err(UpdateError::Archive(why))
}

/// Makes everything root's own code and puts it on the disk, so that a loss of power after the
/// exchange leaves no bundle with holes.
#[expect(
    clippy::disallowed_methods,
    reason = "the staged bundle is root's, and was unpacked without links to elsewhere"
)]
fn sync_tree(path: &Path) -> io::Result<()> {
    let meta = path.symlink_metadata()?;
    if meta.is_dir() {
        std::fs::set_permissions(path, Permissions::from_mode(0o755))?;
        for entry in std::fs::read_dir(path)? {
            sync_tree(&entry?.path())?;
        }
        return sync_directory(path);
    }
    if !meta.is_file() {
        return Err(io::Error::other("it is neither a file nor a directory"));
    }
    let mode = if meta.permissions().mode() & 0o111 == 0 { 0o644 } else { 0o755 };
    std::fs::set_permissions(path, Permissions::from_mode(mode))?;
    File::open(path)?.sync_all()
}

/// Returns true if the program runs on this machine at all, and is the version that it is meant to
/// be: a wrong architecture, a system that is too old and a mixed-up release show here, where
/// nothing has been exchanged yet.
pub(super) fn check_version_output(executable: &Path, version: &str) -> Result<(), UpdateError> {
    let output =
        Command::new(executable).arg("--version").limit(PATIENCE).output_limit(4096).run_ok();
    let output = output.map_err(|error| {
        // It is there, so what is missing is what it names to be started by.
        let why = match error {
            CommandError::NotFound { .. } => {
                "the loader or interpreter that it names is not here; it was built for another system"
                    .to_owned()
            }
            error => error.to_string(),
        };
        UpdateError::Archive(format!("version {version} does not run on this machine: {why}"))
    })?;
    let said = output.text();
    if said.split_whitespace().any(|word| word == version) {
        return Ok(());
    }
    let said = russet_text::one_line_within(said.trim(), 80);
    Err(UpdateError::Archive(format!("what is meant to be version {version} says `{said}`")))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::path::Path;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use tar::{EntryType, Header};

    use super::{check_entries, check_records, unpack_archive};
    use russet_platform::layout::Layout;

    /// An archive of these entries: path, kind, content or target.
    fn archive(path: &Path, entries: &[(&str, EntryType, &str)]) {
        let mut builder = tar::Builder::new(GzEncoder::new(
            std::fs::File::create(path).unwrap(),
            Compression::fast(),
        ));
        for (name, kind, content) in entries {
            let mut header = Header::new_ustar();
            // As an attacker writes it: the library refuses such names.
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_entry_type(*kind);
            header.set_mode(0o4777);
            if matches!(kind, EntryType::Symlink | EntryType::Link) {
                header.set_link_name(content).unwrap();
                header.set_size(0);
            } else {
                header.set_size(content.len() as u64);
            }
            header.set_cksum();
            let bytes = if header.size().unwrap() == 0 { "" } else { *content };
            builder.append(&header, bytes.as_bytes()).unwrap();
        }
        builder.into_inner().unwrap().finish().unwrap().flush().unwrap();
    }

    const FILE: EntryType = EntryType::Regular;

    #[test]
    fn what_leads_out_or_is_no_file_is_refused_before_anything_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.tar.gz");
        for (entries, why) in [
            (vec![("agent/../../evil", FILE, "x")], "not below"),
            (vec![("../evil", FILE, "x")], "not below"),
            (vec![("/etc/evil", FILE, "x")], "not below"),
            (vec![("other/russet", FILE, "x")], "not below"),
            (vec![("agent/russet", EntryType::Symlink, "/etc/shadow")], "neither"),
            (vec![("agent/russet", EntryType::Link, "/etc/shadow")], "neither"),
            (vec![("agent/russet", EntryType::Char, "")], "neither"),
            (vec![("agent/russet", EntryType::Fifo, "")], "neither"),
            (vec![("agent/russet", FILE, "x"), ("agent/russet", FILE, "y")], "twice"),
        ] {
            archive(&path, &entries);
            let error = check(&path).unwrap_err().to_string();
            assert!(error.contains(why), "{entries:?}: {error}");
        }
        archive(&path, &[("agent/russet", FILE, "x")]);
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        assert!(check(&path).unwrap_err().to_string().contains("broken"));
    }

    fn check(path: &Path) -> Result<(), crate::update::UpdateError> {
        check_records(path)?;
        check_entries(path, Path::new("agent"), Path::new("agent/russet"))
    }

    #[test]
    fn an_archive_without_the_program_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.tar.gz");
        for entries in [vec![], vec![("agent", EntryType::Directory, "")]] {
            archive(&path, &entries);
            let error = check(&path).unwrap_err().to_string();
            assert!(error.contains("no program `agent/russet`"), "{error}");
        }
    }

    #[test]
    fn names_and_depths_are_bounded_before_they_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.tar.gz");
        let with = |kind: EntryType, size: u64, content: &mut dyn std::io::Read| {
            let mut builder = tar::Builder::new(GzEncoder::new(
                std::fs::File::create(&path).unwrap(),
                Compression::fast(),
            ));
            let mut header = Header::new_gnu();
            header.set_path("././@LongLink").unwrap();
            header.set_entry_type(kind);
            header.set_size(size);
            header.set_cksum();
            builder.append(&header, content).unwrap();
            let mut header = Header::new_gnu();
            header.set_path("agent/russet").unwrap();
            header.set_size(1);
            header.set_cksum();
            builder.append(&header, &b"x"[..]).unwrap();
            builder.into_inner().unwrap().finish().unwrap().flush().unwrap();
            check(&path).unwrap_err().to_string()
        };
        let huge = 100 << 20;
        for kind in [EntryType::GNULongName, EntryType::GNULongLink, EntryType::XHeader] {
            let error = with(kind, huge, &mut std::io::Read::take(std::io::repeat(b'a'), huge));
            assert!(error.contains("longer than any name"), "{kind:?}: {error}");
        }
        for deep in
            [format!("agent/{}x", "d/".repeat(1_000)), format!("agent/{}", "n".repeat(3_000))]
        {
            let length = deep.len() as u64;
            let error = with(EntryType::GNULongName, length, &mut deep.as_bytes());
            assert!(error.contains("longer or deeper") && error.len() < 400, "{error}");
        }
    }

    #[test]
    fn a_program_that_does_not_run_here_or_is_another_version_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::below(dir.path());
        let (bundle, executable) = (layout.bundle(), layout.executable());
        let bundle = bundle.file_name().unwrap().to_str().unwrap();
        let inside = executable.strip_prefix(layout.bundle()).unwrap().to_str().unwrap();
        let name = format!("{bundle}/{inside}");
        let (path, into) = (dir.path().join("a.tar.gz"), dir.path().join("staged"));
        let other = "\u{7f}ELF\u{2}\u{1}\u{1} of another machine";
        for (program, why) in [
            ("#!/bin/sh\necho russet 1.2.0\n", None),
            ("#!/bin/sh\necho russet 1.2.1\n", Some("is meant to be version 1.2.0 says")),
            ("#!/bin/sh\nexit 3\n", Some("does not run")),
            ("#!/lib/ld-of-another-system.so\n", Some("loader or interpreter")),
            (other, Some("does not run")),
        ] {
            archive(&path, &[(&name, FILE, program)]);
            let result = unpack_archive(&path, &into, &layout, "1.2.0");
            match why {
                None => {
                    let staged = result.unwrap();
                    let mode = |path: &Path| {
                        std::os::unix::fs::MetadataExt::mode(&path.metadata().unwrap()) & 0o7777
                    };
                    assert_eq!((mode(&into), mode(&staged)), (0o700, 0o755));
                    assert_eq!(mode(&staged.join(inside)), 0o755);
                }
                Some(why) => {
                    let error = result.unwrap_err().to_string();
                    assert!(error.contains(why), "{error}");
                }
            }
        }
    }
}
