//! From paths as a configuration writes them to names in an archive, and back.
//!
//! A task's home and working directory lie elsewhere on each slot, so names begin with what they
//! are below: `home`, `work`, `tmp`, and `root` for everything else.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use globset::GlobBuilder;
use russet_protocol::supervise::SlotDirs;

use crate::archive::{Bases, Root};

/// Places that one pattern may stand for.
const MOST_MATCHES: usize = 100_000;

/// Reason why a path of a configuration stands for nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum PatternError {
    #[error("`{}` is not below the root {}", pattern.display(), root.display())]
    Outside { pattern: PathBuf, root: PathBuf },
    #[error("a pattern must be UTF-8")]
    NotUtf8,
    #[error("`{0}` is not a pattern: {1}")]
    Invalid(String, globset::ErrorKind),
    #[error("`{}` stands for too many paths", .0.display())]
    TooManyPaths(PathBuf),
    #[error("there are too many directories in {}", .0.display())]
    TooManyDirectories(PathBuf),
}

/// The one base of a workspace.
const AT: &str = "at";

fn real_path(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// Directories to which the names of a cache lead on this machine.
pub(super) fn cache_bases(dirs: &SlotDirs) -> Bases {
    vec![
        (b"home".to_vec(), real_path(&dirs.home)),
        (b"work".to_vec(), real_path(&dirs.work)),
        (b"tmp".to_vec(), real_path(&dirs.tmp)),
        (b"root".to_vec(), PathBuf::from("/")),
    ]
}

/// Directories to which the names of a workspace lead.
pub(super) fn workspace_bases(at: &Path) -> Bases {
    vec![(AT.into(), real_path(at))]
}

/// A path of a workspace, as its names in messages: without the base.
pub(super) fn shown_name(name: &[u8]) -> String {
    let name = name.strip_prefix(b"at/").unwrap_or(name);
    String::from_utf8_lossy(name).into_owned()
}

/// Lists the contents of a cache: everything that a path stands for which is there.
pub(super) fn of_cache(path: &Path, dirs: &SlotDirs) -> Result<Vec<Root>, PatternError> {
    let bases = cache_bases(dirs);
    let found = expand_pattern(path)?;
    Ok(found.iter().filter_map(|path| named_root(path, &bases)).collect())
}

/// Lists the contents of a workspace: everything below `root` that a pattern stands for.
pub(super) fn of_workspace(root: &Path, pattern: &str) -> Result<Vec<Root>, PatternError> {
    let root = real_path(root);
    let inside = |path: &Path| path.components().all(|part| part != Component::ParentDir);
    let pattern = Path::new(pattern);
    // An absolute path counts where it is below the root.
    let relative = pattern.strip_prefix(&root).unwrap_or(pattern);
    if relative.is_absolute() || !inside(relative) {
        return Err(PatternError::Outside { pattern: pattern.to_owned(), root });
    }
    let found = expand_pattern(&root.join(relative))?;
    let named = found.iter().filter_map(|path| {
        let below = path.strip_prefix(&root).ok()?;
        Some(Root { name: join_name(AT.as_bytes(), below), path: path.clone() })
    });
    Ok(named.collect())
}

/// Drops what lies below another one of them, which it is packed with.
pub(super) fn distinct_roots(mut roots: Vec<Root>) -> Vec<Root> {
    roots.sort_by(|one, other| one.name.cmp(&other.name));
    let mut kept: Vec<Root> = Vec::new();
    for root in roots {
        let is_below = |upper: &Root| {
            root.name
                .strip_prefix(&*upper.name)
                .is_some_and(|rest| matches!(rest.first(), None | Some(b'/')))
        };
        // Names between the two may come from elsewhere, so all are looked at.
        if !kept.iter().any(is_below) {
            kept.push(root);
        }
    }
    kept
}

/// The name of a path that is there: by where it really is, so that it can be put back without a
/// link being followed.
fn named_root(path: &Path, bases: &Bases) -> Option<Root> {
    path.symlink_metadata().ok()?;
    let path = match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => parent.canonicalize().ok()?.join(name),
        _ => path.canonicalize().ok()?,
    };
    let (base, below) =
        bases.iter().find_map(|(base, dir)| Some((base, path.strip_prefix(dir).ok()?)))?;
    Some(Root { name: join_name(base, below), path: path.clone() })
}

fn join_name(base: &[u8], below: &Path) -> Vec<u8> {
    let mut name = base.to_vec();
    for part in below.components() {
        if let Component::Normal(part) = part {
            name.push(b'/');
            name.extend_from_slice(part.as_bytes());
        }
    }
    name
}

/// The paths that a pattern stands for. A path that is there stands for itself, whatever it looks
/// like. `*` and `?` match within a name, `**` any directories.
fn expand_pattern(pattern: &Path) -> Result<Vec<PathBuf>, PatternError> {
    let is_pattern = |part: &OsStr| part.as_bytes().iter().any(|byte| b"*?[".contains(byte));
    if pattern.symlink_metadata().is_ok() {
        return Ok(vec![pattern.to_owned()]);
    }
    let mut found = vec![PathBuf::new()];
    for part in pattern.components() {
        let part = part.as_os_str();
        if !is_pattern(part) {
            for path in &mut found {
                path.push(part);
            }
            continue;
        }
        let mut next = Vec::new();
        if part == "**" {
            for path in &found {
                list_directories(path, &mut next)?;
            }
        } else {
            let text = part.to_str().ok_or(PatternError::NotUtf8)?;
            let glob = GlobBuilder::new(text)
                .literal_separator(true)
                .backslash_escape(true)
                .build()
                .map_err(|error| PatternError::Invalid(text.to_owned(), error.kind().clone()))?
                .compile_matcher();
            for path in &found {
                for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
                    if glob.is_match(entry.file_name()) {
                        next.push(entry.path());
                    }
                }
            }
        }
        if next.len() > MOST_MATCHES {
            return Err(PatternError::TooManyPaths(pattern.to_owned()));
        }
        next.sort();
        found = next;
    }
    found.retain(|path| path.symlink_metadata().is_ok());
    Ok(found)
}

/// A directory and all that are in it, not through links.
fn list_directories(top: &Path, found: &mut Vec<PathBuf>) -> Result<(), PatternError> {
    let mut open = vec![top.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                open.push(entry.path());
            }
        }
        found.push(dir);
        if found.len() > MOST_MATCHES {
            return Err(PatternError::TooManyDirectories(top.to_owned()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{distinct_roots, expand_pattern, of_cache, of_workspace};
    use crate::archive::Root;
    use russet_protocol::supervise::SlotDirs;
    use std::path::Path;

    fn names(roots: &[Root]) -> Vec<String> {
        roots.iter().map(|root| String::from_utf8_lossy(&root.name).into_owned()).collect()
    }

    fn dirs(root: &Path) -> SlotDirs {
        let dirs = SlotDirs {
            root: root.to_owned(),
            home: root.join("home"),
            work: root.join("work"),
            tmp: root.join("tmp"),
            spool: root.join("spool"),
        };
        for dir in [&dirs.home, &dirs.work, &dirs.tmp] {
            std::fs::create_dir_all(dir.join("a/b")).unwrap();
            std::fs::write(dir.join("a/b/f.txt"), "x").unwrap();
        }
        dirs
    }

    #[test]
    fn paths_of_a_cache_are_named_by_what_they_are_below() {
        let root = tempfile::tempdir().unwrap();
        let top = root.path().canonicalize().unwrap();
        let dirs = dirs(&top);
        let of = |path: std::path::PathBuf| names(&of_cache(&path, &dirs).unwrap());
        assert_eq!(of(dirs.home.join("a")), ["home/a"]);
        assert_eq!(of(dirs.home.clone()), ["home"]);
        assert_eq!(of(dirs.work.join("a/../a/b")), ["work/a/b"]);
        assert_eq!(of(dirs.tmp.join("a/*/f*")), ["tmp/a/b/f.txt"]);
        assert_eq!(of(dirs.work.join("**/f.txt")), ["work/a/b/f.txt"]);
        assert!(of(dirs.work.join("none")).is_empty());
        std::fs::create_dir(top.join("other")).unwrap();
        assert_eq!(of(top.join("other")), [format!("root{}/other", top.display())]);
        // A directory on the way that is a link: where it really is.
        std::os::unix::fs::symlink(top.join("other"), dirs.home.join("link")).unwrap();
        std::fs::write(top.join("other/f"), "x").unwrap();
        assert_eq!(of(dirs.home.join("link/f")), [format!("root{}/other/f", top.display())]);
        assert_eq!(of(dirs.home.join("link")), ["home/link"], "the link itself is not followed");
    }

    #[test]
    fn paths_of_a_workspace_stay_below_its_root() {
        let root = tempfile::tempdir().unwrap();
        let dirs = dirs(root.path());
        let of = |pattern: &str| of_workspace(&dirs.work, pattern).map(|roots| names(&roots));
        assert_eq!(of("a").unwrap(), ["at/a"]);
        assert_eq!(of(".").unwrap(), ["at"]);
        assert_eq!(of("*").unwrap(), ["at/a"]);
        assert_eq!(of("a/b/*.txt").unwrap(), ["at/a/b/f.txt"]);
        assert_eq!(of("./a/b").unwrap(), ["at/a/b"]);
        assert!(of("*.txt").unwrap().is_empty());
        for bad in ["..", "../home/a", "a/../../home", "/etc/passwd"] {
            of(bad).unwrap_err();
        }
        assert!(
            expand_pattern(&dirs.work.join("[")).unwrap_err().to_string().contains("not a pattern")
        );
    }

    #[test]
    fn what_lies_in_another_one_is_packed_once() {
        let root = |name: &str| Root { name: name.into(), path: "/x".into() };
        let roots =
            vec![root("at/a/b"), root("at/a"), root("at/a-b"), root("at/a/c"), root("at/a")];
        assert_eq!(names(&distinct_roots(roots)), ["at/a", "at/a-b"]);
    }
}
