//! Directories of orbs: what `--orb-path` names, and `.circleci/orbs` of a project.
//!
//! An orb `namespace/name` of version 1.2.3 is at `DIR/namespace/name@1.2.3.yml`, or at
//! `DIR/namespace/name/1.2.3.yml`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use russet_pipeline::{MAX_BYTES, OrbSource, Orbs, is_orb_name, is_orb_version};

/// Directories in which orbs are looked for, in this order.
#[derive(Debug)]
struct Directories(Vec<PathBuf>);

/// Directory of orbs in a project.
pub(crate) const DIRECTORY: &str = ".circleci/orbs";

/// The directories that there are of some, then the one of a project.
pub(super) fn of_project(paths: &[PathBuf], project: Option<&Path>) -> Vec<PathBuf> {
    let kept = project.map(|directory| directory.join(DIRECTORY));
    paths.iter().cloned().chain(kept).filter(|path| path.is_dir()).collect()
}

/// The directory of the project that a configuration is of, which is where `.circleci` is.
pub(crate) fn project_of(config: &Path) -> Option<PathBuf> {
    let folder = config.canonicalize().ok()?;
    let folder = folder.ancestors().find(|folder| folder.ends_with(".circleci"))?;
    folder.parent().map(Path::to_owned)
}

/// The orbs of some directories.
pub(super) fn in_directories(paths: Vec<PathBuf>) -> Orbs {
    if paths.is_empty() { Orbs(None) } else { Orbs(Some(Arc::new(Directories(paths)))) }
}

/// All orbs below a directory: name, version and file.
pub(crate) fn all(path: &Path) -> Vec<(String, String, PathBuf)> {
    let directories = |path: &Path| {
        let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries
            .filter(|entry| entry.path().is_dir())
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        names.sort();
        names
    };
    let mut found = Vec::new();
    for namespace in directories(path) {
        let folder = path.join(&namespace);
        for (stem, file) in listed(&folder) {
            if let Some((name, version)) = stem.split_once('@') {
                found.push((format!("{namespace}/{name}"), version.to_owned(), file));
            }
        }
        for name in directories(&folder) {
            for (version, file) in listed(&folder.join(&name)) {
                found.push((format!("{namespace}/{name}"), version, file));
            }
        }
    }
    found.retain(|(name, version, _)| is_orb_name(name) && is_orb_version(version));
    found
}

/// The text of a file. One that is too long comes one byte longer than may be, and is refused by
/// its length, whatever else is in it.
fn read(file: &Path) -> Option<String> {
    let limit = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    let mut text = String::new();
    let opened = std::fs::File::open(file).ok()?;
    std::io::Read::read_to_string(&mut std::io::Read::take(opened, limit), &mut text).ok()?;
    Some(text)
}

impl OrbSource for Directories {
    fn versions(&self, orb: &str) -> Vec<String> {
        self.0.iter().flat_map(|path| versions(path, orb)).map(|(version, _)| version).collect()
    }

    fn text(&self, orb: &str, version: &str) -> Option<String> {
        read(&self.file(orb, version)?)
    }

    fn place(&self, orb: &str, version: &str) -> String {
        let file = self.file(orb, version);
        file.map_or_else(|| format!("{orb}@{version}"), |file| file.display().to_string())
    }
}

impl Directories {
    fn file(&self, orb: &str, version: &str) -> Option<PathBuf> {
        let mut all = self.0.iter().flat_map(|path| versions(path, orb));
        all.find(|(known, _)| known == version).map(|(_, file)| file)
    }
}

/// The versions of an orb below a directory, and their files. The compiler asks for no name that
/// leads elsewhere; still, only what a directory lists is opened.
fn versions(path: &Path, orb: &str) -> Vec<(String, PathBuf)> {
    let Some((namespace, name)) = orb.split_once('/') else { return Vec::new() };
    let prefix = format!("{name}@");
    let beside = listed(&path.join(namespace)).into_iter().filter_map(|(stem, file)| {
        stem.strip_prefix(&prefix).map(|version| (version.to_owned(), file))
    });
    beside.chain(listed(&path.join(namespace).join(name))).collect()
}

/// The YAML files of a directory, without their endings.
fn listed(directory: &Path) -> Vec<(String, PathBuf)> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let files = entries.filter_map(|entry| {
        let file = entry.ok()?.path();
        let is_yaml = file.extension().is_some_and(|end| end == "yml" || end == "yaml");
        let stem = file.file_stem()?.to_str()?.to_owned();
        (is_yaml && file.is_file()).then_some((stem, file))
    });
    let mut files: Vec<(String, PathBuf)> = files.collect();
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::in_directories;

    #[test]
    fn orbs_are_found_in_both_layouts() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("acme/tools")).unwrap();
        std::fs::write(dir.path().join("acme/tools@1.2.3.yml"), "one").unwrap();
        std::fs::write(dir.path().join("acme/tools/2.0.0.yml"), "two").unwrap();
        std::fs::write(dir.path().join("acme/tools/notes.txt"), "no").unwrap();
        let orbs = in_directories(vec![dir.path().to_owned()]).0.unwrap();
        assert_eq!(orbs.versions("acme/tools"), ["1.2.3", "2.0.0"]);
        assert_eq!(orbs.text("acme/tools", "2.0.0").as_deref(), Some("two"));
        assert_eq!(orbs.text("acme/tools", "3.0.0"), None);
        assert!(orbs.place("acme/tools", "1.2.3").ends_with("acme/tools@1.2.3.yml"));
        assert!(orbs.versions("acme/other").is_empty());
        assert!(in_directories(Vec::new()).0.is_none());
    }
}
