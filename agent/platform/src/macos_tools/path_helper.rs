//! The PATH that path_helper(8) makes: the lines of `/etc/paths`, then those of the files in
//! `/etc/paths.d` in its own order, then what its caller's PATH has besides, each once.
//!
//! The tool itself is not run: it prints a line of shell. Its order is read from its source
//! (shell_cmds, `path_helper.c`): regular files one level deep, by their numbers where both names
//! begin with one, else by the bytes of their names.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// Reads `/etc/paths` and `/etc/paths.d` below `root`. What cannot be read is left out, and so is
/// a line that is no absolute path, or would be two.
#[must_use]
pub fn helper_path(root: &Path) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let texts = texts(root);
    texts
        .iter()
        .flat_map(|text| text.lines())
        .map(str::trim)
        .filter(|line| line.starts_with('/') && !line.contains(':'))
        .filter(|line| seen.insert((*line).to_owned()))
        .map(str::to_owned)
        .collect()
}

/// Returns the PATH that a login shell has after `/etc/profile`, where its caller's was `path`.
#[must_use]
pub fn after_login(root: &Path, path: &str) -> String {
    let mut all = String::new();
    let texts = texts(root);
    for segment in texts.iter().flat_map(|text| text.split('\n')).chain(path.split(':')) {
        let is_known = format!(":{all}:").contains(&format!(":{segment}:"));
        if segment.is_empty() || is_known {
            continue;
        }
        if !all.is_empty() {
            all.push(':');
        }
        all.push_str(segment);
    }
    all
}

/// The contents of the files, in their order.
fn texts(root: &Path) -> Vec<String> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(root.join("etc/paths.d"))
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
        .map(|entry| entry.path())
        .collect();
    let name = |path: &PathBuf| path.file_name().unwrap_or_default().to_owned();
    files.sort_by(|one, other| compare(&name(one), &name(other)));
    std::iter::once(root.join("etc/paths"))
        .chain(files)
        .map(|path| std::fs::read_to_string(path).unwrap_or_default())
        .collect()
}

/// Compares two names as path_helper does.
fn compare(one: &OsStr, other: &OsStr) -> Ordering {
    match (number(one.as_bytes()), number(other.as_bytes())) {
        (Some((first, rest)), Some((second, tail))) => first.cmp(&second).then(rest.cmp(tail)),
        _ => one.as_bytes().cmp(other.as_bytes()),
    }
}

/// The number that a name begins with, and what follows it. As strtol(3), one that is too large is
/// the largest.
fn number(name: &[u8]) -> Option<(i64, &[u8])> {
    let digits = name.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, rest) = name.split_at_checked(digits).filter(|(number, _)| !number.is_empty())?;
    let number = std::str::from_utf8(number).ok()?;
    Some((number.parse().unwrap_or(i64::MAX), rest))
}

#[cfg(test)]
mod tests {
    use super::{after_login, helper_path};

    /// A system with the files of macOS 14, and more in `paths.d`.
    fn system(more: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let etc = root.path().join("etc");
        std::fs::create_dir_all(etc.join("paths.d")).unwrap();
        let standard = "/usr/local/bin\n/System/Cryptexes/App/usr/bin\n/usr/bin\n/bin\n";
        std::fs::write(etc.join("paths"), format!("{standard}/usr/sbin\n/sbin\n")).unwrap();
        for (name, text) in more {
            std::fs::write(etc.join("paths.d").join(name), text).unwrap();
        }
        root
    }

    #[test]
    fn etc_paths_come_first_and_files_by_their_numbers() {
        let root = system(&[
            ("russet", "/opt/russet/bin\n"),
            ("100-rvictl", "/Library/Apple/usr/bin\n"),
            ("9-nine", "/nine"),
            ("10-cryptex", "/var/run/codex.system/bootstrap/usr/bin\n/usr/bin\n"),
        ]);
        let elsewhere = root.path().join("elsewhere");
        std::fs::write(&elsewhere, "/from/a/link\n").unwrap();
        std::os::unix::fs::symlink(elsewhere, root.path().join("etc/paths.d/1-link")).unwrap();
        std::fs::create_dir(root.path().join("etc/paths.d/directory")).unwrap();
        std::fs::write(root.path().join("etc/paths.d/directory/file"), "/deep\n").unwrap();
        assert_eq!(
            helper_path(root.path()),
            [
                "/usr/local/bin",
                "/System/Cryptexes/App/usr/bin",
                "/usr/bin",
                "/bin",
                "/usr/sbin",
                "/sbin",
                "/nine",
                "/var/run/codex.system/bootstrap/usr/bin",
                "/Library/Apple/usr/bin",
                "/opt/russet/bin",
            ]
        );
        assert!(helper_path(&root.path().join("nowhere")).is_empty());
    }

    #[test]
    fn lines_that_are_no_directory_are_left_out() {
        let root = system(&[("x", "\n  /a b \nrelative\n/x:/y\n~/bin\n/a b\n")]);
        assert_eq!(helper_path(root.path()).last().map(String::as_str), Some("/a b"));
    }

    #[test]
    fn a_login_shell_has_the_systems_directories_first_and_the_others_behind() {
        let root = system(&[("10-x", "/x\n/x:/y\n")]);
        let standard = "/usr/local/bin:/System/Cryptexes/App/usr/bin:/usr/bin:/bin:/usr/sbin:/sbin";
        assert_eq!(
            after_login(root.path(), "/opt/homebrew/bin::/usr/bin:/opt/homebrew/bin:/bin"),
            format!("{standard}:/x:/x:/y:/opt/homebrew/bin")
        );
        assert_eq!(after_login(&root.path().join("nowhere"), "/a:/b"), "/a:/b");
    }
}
