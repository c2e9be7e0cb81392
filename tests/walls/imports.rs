//! Imports between the modules of a crate, at each level of its folders.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Path of a module or an item below the crate's root.
type Names = Vec<String>;

/// Imports between the modules of one folder, by the module that imports.
pub type Imports = BTreeMap<String, BTreeSet<String>>;

/// Imports of a crate.
#[derive(Debug, Default)]
pub struct CrateImports {
    /// Between the modules of each folder, by its path below `src`.
    pub by_folder: BTreeMap<String, Imports>,
    /// Modules that name an item of the folder that they are in, by its path below `src`.
    pub upwards: BTreeMap<String, BTreeSet<String>>,
}

impl CrateImports {
    /// Reads the imports of sources: path below `src` and text without comments and tests.
    pub fn of_sources(sources: &[(PathBuf, String)]) -> Self {
        let modules: BTreeSet<Names> = sources.iter().map(|(path, _)| module(path)).collect();
        let mut found = Self::default();
        for (path, text) in sources {
            let from = module(path);
            for to in named_paths(text, &from) {
                let known = (0..=to.len()).rev().find(|end| modules.contains(&to[..*end]));
                found.add(&from, &to[..known.unwrap_or_default()]);
            }
        }
        found
    }

    /// Counts an import for the folder that is the last which both are in.
    fn add(&mut self, from: &[String], to: &[String]) {
        let common = from.iter().zip(to).take_while(|(one, other)| one == other).count();
        let folder = from[..common].join("/");
        match (from.get(common), to.get(common)) {
            (Some(from), Some(to)) => {
                let imports = self.by_folder.entry(folder).or_default();
                imports.entry(from.clone()).or_default().insert(to.clone());
            }
            (Some(from), None) => {
                self.upwards.entry(folder).or_default().insert(from.clone());
            }
            _ => {}
        }
    }
}

/// Module that a source file holds. That of `lib.rs` and `main.rs` is the root.
fn module(path: &Path) -> Names {
    let names = path.with_extension("");
    let mut names: Names = names.iter().map(|name| name.to_str().unwrap().to_owned()).collect();
    if matches!(names.last().map(String::as_str), Some("mod" | "lib" | "main")) {
        names.pop();
    }
    names
}

/// Paths within the crate that the text of a module names, groups taken apart.
fn named_paths(text: &str, module: &[String]) -> BTreeSet<Names> {
    let mut found = BTreeSet::new();
    for start in ["crate::", "super::", "self::"] {
        for (at, _) in text.match_indices(start) {
            // `pub(in crate::x)` opens a door and goes through none; `x::super::` is in a group or
            // a path that is read from its start.
            let before = &text[..at];
            if before.ends_with("in ")
                || before.ends_with(|c: char| c.is_alphanumeric() || "_:".contains(c))
            {
                continue;
            }
            found.extend(expand(&text[at..]).into_iter().map(|path| resolve(path, module)));
        }
    }
    found
}

/// Paths that begin with the text: one, or for a group one for each of its parts.
fn expand(text: &str) -> Vec<Names> {
    let text = text.trim_start();
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let (name, rest) = (text[..end].to_owned(), &text[end..]);
    if name.is_empty() {
        return vec![Names::new()];
    }
    let tails = match rest.strip_prefix("::") {
        None => return vec![vec![name]],
        Some(rest) => match rest.strip_prefix('{') {
            Some(group) => parts(group).into_iter().flat_map(expand).collect(),
            None => expand(rest),
        },
    };
    tails.into_iter().map(|tail| [vec![name.clone()], tail].concat()).collect()
}

/// Parts of a group up to its closing brace.
fn parts(group: &str) -> Vec<&str> {
    let (mut found, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                found.push(&group[start..at]);
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                found.push(&group[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    found.retain(|part| !part.trim().is_empty());
    found
}

/// The path from the crate's root that `path` is in a module.
fn resolve(path: Names, module: &[String]) -> Names {
    let mut base = module.to_vec();
    let mut rest = path.into_iter().peekable();
    while let Some(name) = rest.next_if(|name| ["crate", "super", "self"].contains(&&**name)) {
        match name.as_str() {
            "crate" => base.clear(),
            "super" => drop(base.pop()),
            _ => {}
        }
    }
    base.extend(rest);
    base
}

/// Modules that a module reaches by imports, in any number of steps.
pub fn reachable<'a>(imports: &'a Imports, from: &'a str) -> BTreeSet<&'a str> {
    let (mut found, mut open) = (BTreeSet::new(), vec![from]);
    while let Some(module) = open.pop() {
        for next in imports.get(module).into_iter().flatten() {
            if found.insert(next.as_str()) {
                open.push(next);
            }
        }
    }
    found
}

#[test]
fn imports_are_found_alone_and_in_groups_and_at_their_level() {
    let sources = [
        ("lib.rs", "mod a; use crate::a::X;"),
        ("a/mod.rs", "use self::one::{A, two::B}; use crate::{b::{C, D}, c};"),
        ("a/one.rs", "use super::{two::{self, E}, F}; pub(in crate::a) struct A;"),
        ("a/two.rs", "fn f() { super::one::deep::g(); crate::a::one::h(); }"),
        ("a/one/deep.rs", "use super::super::two;"),
        ("b.rs", "use super::c::Z;"),
        ("c.rs", ""),
    ];
    let sources = sources.map(|(path, text)| (PathBuf::from(path), text.to_owned()));
    let found = CrateImports::of_sources(&sources);
    let shown = |folder: &str| {
        let imports = found.by_folder[folder].iter();
        imports
            .map(|(from, to)| format!("{from}: {}", Vec::from_iter(to.clone()).join(" ")))
            .collect::<Vec<_>>()
    };
    assert_eq!(shown(""), ["a: b c", "b: c"]);
    assert_eq!(shown("a"), ["one: two", "two: one"]);
    assert!(reachable(&found.by_folder["a"], "one").contains("one"));
    assert!(!reachable(&found.by_folder[""], "a").contains("a"));
    assert_eq!(found.upwards["a"], BTreeSet::from(["one".to_owned()]));
}
