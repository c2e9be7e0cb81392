//! `tests glob`: files by patterns.
//!
//! Patterns are taken apart first, into alternatives without braces and those into names, so that
//! only folders are read that can hold a match.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};

use super::error::HelperError;
use crate::stderr::print_to_stderr;

/// Alternatives of one pattern at most: braces multiply.
const MOST_ALTERNATIVES: usize = 4096;

/// A part of a pattern, between two slashes.
#[derive(Debug)]
enum Part {
    /// `**`: any number of folders.
    Folders,
    /// A name as it is.
    Name(PathBuf),
    Pattern(GlobMatcher),
}

/// The files that match, one a line: sorted for each pattern, none twice.
pub(super) fn glob(patterns: &[OsString]) -> Result<Vec<u8>, HelperError> {
    let mut out = Vec::new();
    let mut seen = BTreeSet::new();
    for pattern in patterns {
        let mut found = BTreeSet::new();
        for alternative in alternatives(pattern)? {
            let parts = parts(&alternative)?;
            let start = if alternative.as_bytes().starts_with(b"/") { "/" } else { "" };
            let mut matches = BTreeSet::new();
            walk(Path::new(start), &parts, &mut matches);
            // `**` looks for files: a folder would bring in what is in it a second time.
            if parts.iter().any(|part| matches!(part, Part::Folders)) {
                matches.retain(|path| !path.is_dir());
            }
            found.append(&mut matches);
        }
        if found.is_empty() {
            print_to_stderr(&format!("note: nothing matches {}", pattern.display()));
        }
        for path in found {
            let path = path.into_os_string();
            if seen.insert(path.clone()) {
                out.extend_from_slice(path.as_bytes());
                out.push(b'\n');
            }
        }
    }
    Ok(out)
}

/// The pattern once for each choice that its braces leave. Braces that are not closed mean
/// themselves, as in a shell.
fn alternatives(pattern: &OsStr) -> Result<Vec<OsString>, HelperError> {
    let mut open = vec![pattern.as_bytes().to_vec()];
    let mut done = Vec::new();
    while let Some(text) = open.pop() {
        if open.len() + done.len() > MOST_ALTERNATIVES {
            let pattern = PathBuf::from(pattern);
            return Err(HelperError::Alternatives { pattern, limit: MOST_ALTERNATIVES });
        }
        let Some((start, end, commas)) = braces(&text) else {
            done.push(OsString::from_vec(text));
            continue;
        };
        let bounds: Vec<usize> =
            std::iter::once(start).chain(commas).chain(std::iter::once(end)).collect();
        let choices = bounds.windows(2).map(|pair| &text[pair[0] + 1..pair[1]]);
        let filled = choices.map(|choice| [&text[..start], choice, &text[end + 1..]].concat());
        open.extend(filled.collect::<Vec<_>>().into_iter().rev());
    }
    Ok(done)
}

/// The first braces with their commas, those of braces within left out.
fn braces(text: &[u8]) -> Option<(usize, usize, Vec<usize>)> {
    let mut from = 0;
    while let Some(start) = find_open(text, from) {
        let (mut depth, mut commas, mut at) = (1_usize, Vec::new(), start + 1);
        while let Some(byte) = text.get(at) {
            match byte {
                b'\\' => at += 1,
                b'{' => depth += 1,
                b'}' if depth == 1 => return Some((start, at, commas)),
                b'}' => depth -= 1,
                b',' if depth == 1 => commas.push(at),
                _ => {}
            }
            at += 1;
        }
        from = start + 1;
    }
    None
}

fn find_open(text: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while let Some(byte) = text.get(at) {
        match byte {
            b'\\' => at += 1,
            b'{' => return Some(at),
            _ => {}
        }
        at += 1;
    }
    None
}

fn parts(pattern: &OsStr) -> Result<Vec<Part>, HelperError> {
    let names = pattern.as_bytes().split(|byte| *byte == b'/').filter(|name| !name.is_empty());
    names.filter(|name| *name != b".").map(part).collect()
}

fn part(name: &[u8]) -> Result<Part, HelperError> {
    if name == b"**" {
        return Ok(Part::Folders);
    }
    if !name.iter().any(|byte| b"*?[{\\".contains(byte)) {
        return Ok(Part::Name(PathBuf::from(OsString::from_vec(name.to_vec()))));
    }
    let text = without_braces(&String::from_utf8_lossy(name));
    GlobBuilder::new(&text)
        .literal_separator(true)
        .build()
        .map(|glob| Part::Pattern(glob.compile_matcher()))
        .map_err(|error| HelperError::Pattern { pattern: text.clone(), kind: error.kind().clone() })
}

/// Escapes braces that were not closed: they mean themselves.
fn without_braces(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                out.push(c);
                out.extend(chars.next());
            }
            '{' | '}' => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    out
}

/// Finds what matches below a folder. A folder that cannot be read holds nothing.
fn walk(at: &Path, parts: &[Part], found: &mut BTreeSet<PathBuf>) {
    let Some((part, rest)) = parts.split_first() else { return };
    match part {
        Part::Name(name) => step(at.join(name), rest, found),
        Part::Pattern(pattern) => {
            for entry in entries(at) {
                if pattern.is_match(entry.file_name()) {
                    step(at.join(entry.file_name()), rest, found);
                }
            }
        }
        Part::Folders => {
            // As `**/*` at the end: all files below, and no folders.
            if rest.is_empty() {
                return files_below(at, found);
            }
            walk(at, rest, found);
            for folder in folders(at) {
                walk(&folder, parts, found);
            }
        }
    }
}

fn step(path: PathBuf, rest: &[Part], found: &mut BTreeSet<PathBuf>) {
    if rest.is_empty() {
        if path.symlink_metadata().is_ok() {
            found.insert(path);
        }
    } else {
        walk(&path, rest, found);
    }
}

fn files_below(at: &Path, found: &mut BTreeSet<PathBuf>) {
    for entry in entries(at) {
        let path = at.join(entry.file_name());
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => files_below(&path, found),
            _ => {
                found.insert(path);
            }
        }
    }
}

/// Folders within a folder. Links are not followed: they may lead back.
fn folders(at: &Path) -> impl Iterator<Item = PathBuf> {
    let is_folder = |entry: &std::fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    let folders = entries(at).filter(is_folder).map(|entry| at.join(entry.file_name()));
    folders.collect::<Vec<_>>().into_iter()
}

fn entries(at: &Path) -> impl Iterator<Item = std::fs::DirEntry> {
    let at = if at.as_os_str().is_empty() { Path::new(".") } else { at };
    std::fs::read_dir(at).into_iter().flatten().flatten()
}

#[cfg(test)]
mod tests {
    use super::{alternatives, glob};
    use proptest::prelude::*;
    use std::path::Path;

    fn found(dir: &Path, patterns: &[&str]) -> Vec<String> {
        let full: Vec<_> = patterns.iter().map(|text| dir.join(text).into_os_string()).collect();
        let text = String::from_utf8(glob(&full).unwrap()).unwrap();
        let prefix = format!("{}/", dir.display());
        text.lines().map(|line| line.strip_prefix(&prefix).unwrap().to_owned()).collect()
    }

    #[test]
    fn patterns_match_as_on_circleci() {
        let dir = tempfile::tempdir().unwrap();
        let files = [
            "a.js",
            "b.test.js",
            "src/c.js",
            "src/deep/er/d.js",
            "src/deep/e.ts",
            ".hidden/f.js",
            "[x].js",
            "src/deep/er/{y}.js",
        ];
        for file in files {
            let path = dir.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        std::os::unix::fs::symlink("..", dir.path().join("src/loop")).unwrap();
        let found = |patterns: &[&str]| found(dir.path(), patterns);
        assert_eq!(found(&["*.js"]), ["[x].js", "a.js", "b.test.js"]);
        assert_eq!(
            found(&["**/*.js"]),
            [
                ".hidden/f.js",
                "[x].js",
                "a.js",
                "b.test.js",
                "src/c.js",
                "src/deep/er/d.js",
                "src/deep/er/{y}.js",
            ]
        );
        assert_eq!(found(&["src/**/*.{js,ts}"]).len(), 4);
        assert_eq!(found(&["src/**/d.js", "**/d.js"]), ["src/deep/er/d.js"]);
        assert_eq!(found(&["src/**"]).len(), 4);
        assert_eq!(found(&["**/deep"]).len(), 0, "folders are not what `**` looks for");
        assert_eq!(found(&["src/*"]), ["src/c.js", "src/deep", "src/loop"]);
        assert_eq!(found(&["{src,.hidden}/{c,f}.js"]), [".hidden/f.js", "src/c.js"]);
        assert_eq!(found(&["[ab].js", "?.js"]), ["a.js"]);
        assert_eq!(found(&[r"\[x\].js", r"src/deep/er/\{y\}.js"]).len(), 2);
        assert_eq!(found(&["src/{deep/{er/d,e},c}.{js,ts}"]).len(), 3);
        assert!(found(&["none/**/*", "none"]).is_empty());
    }

    #[test]
    fn braces_multiply_up_to_a_limit() {
        let of = |text: &str| alternatives(text.as_ref()).map(|all| all.len());
        assert_eq!(of("{a,b{c,d}}{,e}").unwrap(), 6);
        assert_eq!(of("{a,b").unwrap(), 1);
        assert_eq!(of(r"\{a,b}").unwrap(), 1);
        assert!(of(&"{a,b}".repeat(20)).is_err());
    }

    proptest! {
        #[test]
        fn no_pattern_makes_it_panic(text in r"[a*?\[\]{},\\!/.-]{0,20}") {
            let dir = tempfile::tempdir().unwrap();
            drop(glob(&[dir.path().join(text.trim_start_matches('/')).into_os_string()]));
        }
    }
}
