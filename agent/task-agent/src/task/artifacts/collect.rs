//! Which files are artifacts, and what they are called.
//!
//! The tree is the job's, so nothing in it is believed: links are not followed into directories
//! (they may go in circles or out of the tree), FIFOs, sockets and devices are left out, and
//! what is left out is said.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use crate::bundle;
use crate::mask::Masks;
use crate::path_error::PathError;

/// A file to store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct File {
    /// Path of the file.
    pub(super) path: PathBuf,
    /// Name among the job's artifacts.
    pub(super) name: String,
    /// Set for a directory that is stored as one archive.
    pub(super) is_bundle: bool,
}

impl File {
    fn new(path: PathBuf, name: String) -> Self {
        Self { path, name, is_bundle: false }
    }

    fn bundle(path: PathBuf, prefix: &str, own: &str) -> Self {
        Self { path, name: bundle::archive_name(prefix, own), is_bundle: true }
    }
}

/// Files that were found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) files: Vec<File>,
    /// Files that were left out, with reasons.
    pub(super) notes: Vec<String>,
}

/// More would be a mistake, like the root directory.
const MOST_FILES: usize = 100_000;

/// Reason why the files of a step were not collected.
#[derive(Debug, thiserror::Error)]
pub(super) enum CollectError {
    #[error(
        "`{}` is not a destination: `..` would lead out of the job's artifacts",
        .0.escape_debug()
    )]
    Destination(String),
    #[error(transparent)]
    File(#[from] PathError),
    #[error("there are more than {MOST_FILES} files in {}", .0.display())]
    TooMany(PathBuf),
}

/// Returns the prefix of the names of `root`'s artifacts: the destination, or the path below the
/// working directory, the home or the root directory.
pub(super) fn name_prefix(
    root: &Path,
    destination: Option<&str>,
    work: &Path,
    home: &Path,
) -> Result<String, CollectError> {
    if let Some(written) = destination {
        return clean_path(Path::new(written))
            .ok_or_else(|| CollectError::Destination(written.to_owned()));
    }
    // `..` in the path itself may be meant; the name then is of where it leads.
    let real = root.canonicalize().unwrap_or_else(|_| root.to_owned());
    let below = [work, home].into_iter().find_map(|base| {
        let base = base.canonicalize().unwrap_or_else(|_| base.to_owned());
        root.strip_prefix(&base).or_else(|_| real.strip_prefix(&base)).ok().map(Path::to_owned)
    });
    Ok(clean_path(&below.unwrap_or(real)).unwrap_or_default())
}

/// A path as a name: relative, without `.`; `None` where it has `..`.
fn clean_path(path: &Path) -> Option<String> {
    let mut parts = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(part) => parts.push(part.to_string_lossy().into_owned()),
            Component::CurDir | Component::RootDir => {}
            Component::ParentDir | Component::Prefix(_) => return None,
        }
    }
    Some(parts.join("/"))
}

/// Finds the files at `root`. A root that is not there has none. A root that is itself a link is
/// followed, with the rights of the slot's user.
pub(super) fn find_files(root: &Path, prefix: &str) -> Result<Found, CollectError> {
    let mut found = Found::default();
    let real = match root.canonicalize() {
        Ok(real) => real,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(found),
        Err(error) => return Err(PathError::when("look at", root)(error).into()),
    };
    let metadata = std::fs::symlink_metadata(&real).map_err(PathError::when("look at", root))?;
    let own =
        root.file_name().or(real.file_name()).unwrap_or_default().to_string_lossy().into_owned();
    if metadata.is_file() {
        // `destination: .` names the directory of a file; without a name it could not be stored.
        let name = if prefix.is_empty() { own } else { prefix.to_owned() };
        found.files.push(File::new(real, name));
    } else if metadata.is_dir() && bundle::is_bundle(&own) {
        found.files.push(File::bundle(real, prefix, &own));
    } else if metadata.is_dir() {
        walk_directory(&real, prefix, &mut found)?;
    } else {
        found.notes.push(format!("{} is no file and was left out", root.display()));
    }
    found.files.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(found)
}

fn walk_directory(root: &Path, prefix: &str, found: &mut Found) -> Result<(), CollectError> {
    let mut open = vec![(root.to_owned(), prefix.to_owned())];
    while let Some((dir, prefix)) = open.pop() {
        let entries = match std::fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) => {
                found.notes.push(format!("{} cannot be read: {error}", dir.display()));
                continue;
            }
        };
        for entry in entries.flatten() {
            let path = entry.path();
            let own = entry.file_name().to_string_lossy().into_owned();
            let name = join_name(&prefix, &own);
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && bundle::is_bundle(&own) => {
                    found.files.push(File::bundle(path, &name, &own));
                }
                Ok(kind) if kind.is_dir() => open.push((path, name)),
                Ok(kind) if kind.is_file() => found.files.push(File::new(path, name)),
                Ok(kind) if kind.is_symlink() => follow_link(root, &path, name, found),
                _ => found.notes.push(format!("{name} is no file and was left out")),
            }
            if found.files.len() > MOST_FILES {
                return Err(CollectError::TooMany(root.to_owned()));
            }
        }
    }
    Ok(())
}

/// A link counts as the file that it leads to, if that is in the tree as well.
fn follow_link(root: &Path, link: &Path, name: String, found: &mut Found) {
    match link.canonicalize() {
        Ok(path) if path.starts_with(root) && path.is_file() => {
            found.files.push(File::new(path, name));
        }
        _ => found.notes.push(format!(
            "{name} is a link that does not lead to a file of the same directory, and was left out"
        )),
    }
}

/// Takes secrets out of the names: they are kept and shown like output. Names that are the same
/// without them get a number, so that no file takes another one's place.
pub(super) fn mask_names(files: &mut [File], masks: &Masks) {
    let mut taken: BTreeSet<String> = files.iter().map(|file| file.name.clone()).collect();
    for file in files {
        let masked = masks.apply(&file.name);
        if masked == file.name {
            continue;
        }
        let mut name = masked.clone();
        let mut number = 2;
        while !taken.insert(name.clone()) {
            name = format!("{masked}-{number}");
            number += 1;
        }
        file.name = name;
    }
}

fn join_name(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") }
}

#[cfg(test)]
mod tests {
    use super::{File, find_files, mask_names, name_prefix};
    use crate::mask::Masks;
    use russet_protocol::secret::Secret;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    #[test]
    fn names_are_relative_to_where_people_think_from() {
        let prefix = |root: &str, destination| {
            name_prefix(Path::new(root), destination, Path::new("/s/work"), Path::new("/s/home"))
        };
        assert_eq!(prefix("/s/work/out", None).unwrap(), "out");
        assert_eq!(prefix("/s/work", None).unwrap(), "");
        assert_eq!(prefix("/s/home/x/y", None).unwrap(), "x/y");
        assert_eq!(prefix("/var/nothing/log", None).unwrap(), "var/nothing/log");
        assert_eq!(prefix("/s/work/out", Some("/a//b/./c/")).unwrap(), "a/b/c");
        for bad in ["..", "../x", "a/../../b"] {
            assert!(prefix("/s/work/out", Some(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_show_no_secret_and_stay_different() {
        let masks = Masks::new(&[Secret::new("hunter2"), Secret::new("letmein")]).unwrap();
        let names = ["a", "log-hunter2", "log-letmein", "x/hunter2/y", "log-****-2"];
        let file = |name: &str| File::new(name.into(), name.to_owned());
        let mut files = names.map(file);
        mask_names(&mut files, &masks);
        let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(names, ["a", "log-****", "log-****-3", "x/****/y", "log-****-2"]);
    }

    #[test]
    fn a_bundle_is_one_artifact_also_as_the_path_itself() {
        let dir = tempfile::tempdir().unwrap();
        let app = dir.path().join("out/Demo.app");
        std::fs::create_dir_all(app.join("Contents/Frameworks/Kit.framework")).unwrap();
        std::fs::write(app.join("Contents/Info.plist"), "x").unwrap();
        std::fs::write(dir.path().join("out/Other.app"), "a file").unwrap();
        std::fs::write(dir.path().join("out/log"), "x").unwrap();
        let found = |root: &Path, prefix: &str| -> Vec<(String, bool)> {
            let files = find_files(root, prefix).unwrap().files.into_iter();
            files.map(|file| (file.name, file.is_bundle)).collect()
        };
        let bundle = |name: &str| (name.to_owned(), true);
        let file = |name: &str| (name.to_owned(), false);
        let out = found(&dir.path().join("out"), "p");
        assert_eq!(out, [bundle("p/Demo.app.zip"), file("p/Other.app"), file("p/log")]);
        assert_eq!(found(&app, "out/Demo.app"), [bundle("out/Demo.app.zip")]);
        assert_eq!(found(&app, ""), [bundle("Demo.app.zip")]);
        assert_eq!(found(&app, "builds/nightly"), [bundle("builds/nightly/Demo.app.zip")]);
        assert_eq!(found(&app, "Named.app.zip"), [bundle("Named.app.zip")]);
        // Asked for by name, its files are files.
        let inside = found(&app.join("Contents"), "c");
        assert_eq!(inside, [bundle("c/Frameworks/Kit.framework.zip"), file("c/Info.plist")]);
    }

    #[test]
    fn only_files_of_the_tree_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("out");
        std::fs::create_dir_all(root.join("sub")).unwrap();
        std::fs::write(root.join("sub/b"), b"b").unwrap();
        std::fs::write(root.join("a"), b"a").unwrap();
        std::fs::write(dir.path().join("outside"), b"o").unwrap();
        symlink("sub/b", root.join("inside-link")).unwrap();
        symlink("../outside", root.join("outside-link")).unwrap();
        symlink("/etc/shadow", root.join("shadow")).unwrap();
        symlink(".", root.join("circle")).unwrap();
        nix::unistd::mkfifo(&root.join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let found = find_files(&root, "p").unwrap();
        let names: Vec<&str> = found.files.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(names, ["p/a", "p/inside-link", "p/sub/b"]);
        assert_eq!(found.notes.len(), 4, "{:?}", found.notes);
        assert!(find_files(&root.join("none"), "p").unwrap().files.is_empty());
        let one = find_files(&root.join("a"), "").unwrap();
        assert_eq!(one.files[0].name, "a", "no artifact is without a name");
        let fifo = find_files(&root.join("fifo"), "p").unwrap();
        assert!(fifo.files.is_empty() && fifo.notes.len() == 1);
    }
}
