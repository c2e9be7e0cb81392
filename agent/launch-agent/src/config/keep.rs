//! Directories of homes that outlive tasks.

use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use super::Session;
use super::build::Build;
use super::error::ConfigError;
use super::read::Values;

/// Paths of a class, at most: each costs a look at every task.
const MAX_PATHS: usize = 64;

/// Prefix of a path whose contents fit one slot alone.
const BY_SLOT: &str = "slot:";

/// Directories of the home that outlive tasks of a class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keep {
    /// The directories.
    pub paths: KeptPaths,
    /// Branches whose tasks write what tasks of all branches read, with `*`.
    pub branches: Vec<String>,
    /// Limit for one project and kind of branch, in bytes.
    pub max_bytes: u64,
}

/// Directories of a home, relative to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeptPaths {
    /// Those whose contents fit the home of any slot.
    pub anywhere: Vec<PathBuf>,
    /// Those whose contents hold absolute paths of one slot.
    pub by_slot: Vec<PathBuf>,
}

impl KeptPaths {
    /// Returns true if no path is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.anywhere.is_empty() && self.by_slot.is_empty()
    }
}

impl Default for Keep {
    fn default() -> Self {
        let branches = ["main", "master"].map(str::to_owned).to_vec();
        Self { paths: KeptPaths::default(), branches, max_bytes: 20_000_000_000 }
    }
}

/// Limits of the directories of all classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepLimits {
    /// Bytes of all of them.
    pub max_bytes: u64,
    /// Those that were not used for longer go.
    pub max_age: Duration,
}

impl Default for KeepLimits {
    fn default() -> Self {
        Self { max_bytes: 100_000_000_000, max_age: Duration::from_secs(14 * 24 * 3600) }
    }
}

/// Returns the directories of a name for them, and true if their contents hold absolute paths.
///
/// `org.swift.swiftpm` has clones of repositories and artifacts, and CocoaPods' directories have
/// specifications and downloads; both keep to the same place on Linux. What SwiftPM and Xcode check
/// out for a build lies in DerivedData or in the work directory.
fn directories_of(name: &str, is_mac: bool) -> Option<(&'static [&'static str], bool)> {
    Some(match (name, is_mac) {
        ("derived-data", _) => (&["Library/Developer/Xcode/DerivedData"], true),
        ("swiftpm", true) => (&["Library/Caches/org.swift.swiftpm"], false),
        ("swiftpm", false) => (&[".cache/org.swift.swiftpm"], false),
        ("cocoapods", _) => (&["Library/Caches/CocoaPods", ".cocoapods/repos"], false),
        ("gradle", _) => (&[".gradle/caches", ".gradle/wrapper"], false),
        ("homebrew", true) => (&["Library/Caches/Homebrew"], false),
        ("homebrew", false) => (&[".cache/Homebrew"], false),
        _ => return None,
    })
}

/// Reads the words of the owner. An error is the word and what is wrong with it.
fn read_paths(words: &[String], is_mac: bool) -> Result<KeptPaths, (String, &'static str)> {
    let mut paths = KeptPaths::default();
    for word in words {
        if let Some((directories, by_slot)) = directories_of(word, is_mac) {
            let list = if by_slot { &mut paths.by_slot } else { &mut paths.anywhere };
            list.extend(directories.iter().map(PathBuf::from));
            continue;
        }
        let (list, text) = match word.strip_prefix(BY_SLOT) {
            Some(text) => (&mut paths.by_slot, text),
            None => (&mut paths.anywhere, word.as_str()),
        };
        let below = text.strip_prefix("~/").map(Path::new);
        let is_plain = |path: &&Path| {
            path.components().all(|part| matches!(part, Component::Normal(_)))
                && path.components().next().is_some()
        };
        match below.filter(is_plain) {
            Some(path) => list.push(path.components().collect()),
            None => return Err((word.clone(), "is neither a directory below `~/` nor a name")),
        }
    }
    let all: Vec<&PathBuf> = paths.anywhere.iter().chain(&paths.by_slot).collect();
    let is_inside = |index: usize, path: &Path| {
        all.iter().enumerate().any(|(other, outer)| other != index && path.starts_with(outer))
    };
    let inside = all.iter().enumerate().find(|(index, path)| is_inside(*index, path));
    if let Some((_, path)) = inside {
        return Err((format!("~/{}", path.display()), "is the same as another, or lies in it"));
    }
    if all.len() > MAX_PATHS { Err(("keep.paths".to_owned(), "has too many")) } else { Ok(paths) }
}

impl Build<'_> {
    pub(super) fn keep(
        &self,
        values: &Values,
        is_external: bool,
        session: &Session,
    ) -> Result<Keep, ConfigError> {
        let wrong = |key: &str, message: &str, hint: &str| {
            Err(values.error(self.file, key, message, Some(hint)))
        };
        let words = values.words("keep.paths").unwrap_or_default();
        let paths = match read_paths(&words, cfg!(target_os = "macos")) {
            Ok(paths) => paths,
            Err((word, what)) => {
                let hint = "write `~/PATH`, `slot:~/PATH`, or derived-data, swiftpm, cocoapods, gradle, \
                            homebrew";
                return wrong("keep.paths", &format!("has `{word}`, which {what}"), hint);
            }
        };
        if !paths.is_empty() && is_external {
            let hint = "remove `task_agent`, or the paths";
            return wrong("keep.paths", "cannot be kept by an external task agent", hint);
        }
        if !paths.is_empty() && *session != Session::Background {
            let message = "is not needed in a session at the screen, whose account has one home for all \
                           tasks";
            return wrong("keep.paths", message, "remove the paths");
        }
        let usual = Keep::default();
        Ok(Keep {
            paths,
            branches: values.words("keep.branches").unwrap_or(usual.branches),
            max_bytes: values.number("keep.limit").unwrap_or(usual.max_bytes),
        })
    }

    pub(super) fn keep_limits(&self) -> Result<KeepLimits, ConfigError> {
        let usual = KeepLimits::default();
        let max_age = self.values.duration("runner.keep.max_age").unwrap_or(usual.max_age);
        if max_age < Duration::from_secs(3600) {
            let message = "must be an hour or longer";
            return Err(self.values.error(self.file, "runner.keep.max_age", message, None));
        }
        let max_bytes = self.values.number("runner.keep.limit").unwrap_or(usual.max_bytes);
        Ok(KeepLimits { max_bytes, max_age })
    }
}

#[cfg(test)]
mod tests {
    use super::{KeptPaths, read_paths};
    use std::path::PathBuf;

    fn read(words: &[&str], is_mac: bool) -> Result<KeptPaths, (String, &'static str)> {
        read_paths(&words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>(), is_mac)
    }

    #[test]
    fn names_stand_for_directories_and_what_holds_absolute_paths_is_kept_by_slot() {
        let paths = read(&["derived-data", "swiftpm", "~/.npm/", "slot:~/build"], true).unwrap();
        let of = |texts: &[&str]| texts.iter().map(PathBuf::from).collect::<Vec<_>>();
        assert_eq!(paths.by_slot, of(&["Library/Developer/Xcode/DerivedData", "build"]));
        assert_eq!(paths.anywhere, of(&["Library/Caches/org.swift.swiftpm", ".npm"]));
        let paths = read(&["swiftpm", "homebrew", "gradle", "cocoapods"], false).unwrap();
        assert_eq!(paths.anywhere.len(), 6);
        assert!(read(&[], true).unwrap().is_empty());
    }

    #[test]
    fn what_leads_elsewhere_or_lies_in_another_is_refused() {
        for word in ["~", "~/", "/etc", "~/../x", "~/a/../b", "cargo", "slot:/x", "slot:gradle", ""]
        {
            assert!(read(&[word], true).is_err(), "{word}");
        }
        for words in [["~/a", "~/a/b"], ["~/a", "slot:~/a"], ["gradle", "~/.gradle/caches/x"]] {
            let (word, what) = read(&words, true).unwrap_err();
            assert!(word.starts_with("~/") && what.contains("lies in it"), "{words:?}: {word}");
        }
        assert!(read(&["~/a", "~/ab"], true).is_ok());
    }
}
