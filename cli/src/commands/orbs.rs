//! Directories of orbs: what `--orb-path` names, and `.circleci/orbs` of a project.
//!
//! An orb `namespace/name` of version 1.2.3 is at `DIR/namespace/name@1.2.3.yml`, or at
//! `DIR/namespace/name/1.2.3.yml`. Nothing is fetched from anybody.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use russet_pipeline::{MAX_BYTES, Options, OrbSource, Orbs, is_orb_name, is_orb_version};
use russet_protocol::admin::Orb;

use crate::client::Client;
use crate::error::{CliError, Result};
use crate::exit::Exit;

/// Directories in which orbs are looked for, in this order.
#[derive(Debug)]
struct Directories(Vec<PathBuf>);

/// Directory of orbs in a project.
pub(crate) const DIRECTORY: &str = ".circleci/orbs";

/// Bytes of orbs that are sent with a pipeline, together.
const MOST_BYTES: usize = 6 * 1024 * 1024;

/// The orbs of some directories, then those that a project keeps.
pub(crate) fn of_project(paths: &[PathBuf], project: Option<PathBuf>) -> Orbs {
    let kept = project.map(|directory| directory.join(DIRECTORY));
    in_directories(paths.iter().cloned().chain(kept).filter(|path| path.is_dir()).collect())
}

/// The directory of the project that a configuration is of, which is where `.circleci` is.
pub(crate) fn project_of(config: &Path) -> Option<PathBuf> {
    let folder = config.canonicalize().ok()?;
    let folder = folder.ancestors().find(|folder| folder.ends_with(".circleci"))?;
    folder.parent().map(Path::to_owned)
}

/// The orbs that a configuration is compiled with, then those of a control plane, as it has them
/// when a pipeline is submitted. Of the latter only what the configuration uses is fetched.
pub(crate) async fn with_server(client: &Client, text: &str, options: &Options) -> Result<Orbs> {
    let mut shelves = Shelves { own: options.orbs.clone(), ..Shelves::default() };
    for item in client.orbs().await? {
        shelves.known.push((item.name, item.version));
    }
    // An orb that is there may use others, so what is used is only known at the end.
    loop {
        let orbs = Orbs(Some(Arc::new(shelves.clone())));
        let options = Options { orbs: orbs.clone(), ..options.clone() };
        let used = russet_pipeline::orbs(text, &options).into_iter();
        let used = used.filter_map(|orb| Some((orb.name, orb.version?)));
        let lacking: Vec<(String, String)> = used.filter(|orb| shelves.lacks(orb)).collect();
        if lacking.is_empty() {
            return Ok(orbs);
        }
        for (name, version) in lacking {
            let source = client.orb(&name, &version).await?.source;
            shelves.fetched.insert((name, version), source);
        }
    }
}

/// Orbs of a project, and what was fetched of those of a control plane.
#[derive(Clone, Default)]
struct Shelves {
    own: Orbs,
    /// Names and versions of those of the control plane.
    known: Vec<(String, String)>,
    /// Their sources.
    fetched: BTreeMap<(String, String), String>,
}

impl Shelves {
    /// The versions that the project itself has.
    fn own_versions(&self, orb: &str) -> Vec<String> {
        self.own.0.as_ref().map(|own| own.versions(orb)).unwrap_or_default()
    }

    /// Returns true if the project itself has an orb in this version.
    fn has_own(&self, orb: &str, version: &str) -> bool {
        self.own_versions(orb).iter().any(|own| own == version)
    }

    /// Returns true if an orb is still to be fetched.
    fn lacks(&self, orb: &(String, String)) -> bool {
        !self.fetched.contains_key(orb) && !self.has_own(&orb.0, &orb.1)
    }
}

impl OrbSource for Shelves {
    fn versions(&self, orb: &str) -> Vec<String> {
        let known = self.known.iter().filter(|(name, _)| name == orb);
        self.own_versions(orb)
            .into_iter()
            .chain(known.map(|(_, version)| version.clone()))
            .collect()
    }

    fn text(&self, orb: &str, version: &str) -> Option<String> {
        let own = self.own.0.as_ref().and_then(|own| own.text(orb, version));
        own.or_else(|| self.fetched.get(&(orb.to_owned(), version.to_owned())).cloned())
    }

    fn place(&self, orb: &str, version: &str) -> String {
        match self.own.0.as_ref().filter(|_| self.has_own(orb, version)) {
            Some(own) => own.place(orb, version),
            None => format!("{orb}@{version}"),
        }
    }
}

/// The orbs of some directories.
fn in_directories(paths: Vec<PathBuf>) -> Orbs {
    if paths.is_empty() { Orbs(None) } else { Orbs(Some(Arc::new(Directories(paths)))) }
}

/// All orbs of some directories and of a project, to be sent along with it: what its configuration
/// uses, and what a setup of it goes on with, is only known there.
pub(crate) fn brought(paths: &[PathBuf], project: &Path) -> Result<Vec<Orb>> {
    let kept = project.join(DIRECTORY);
    let mut found: BTreeMap<(String, String), Orb> = BTreeMap::new();
    let mut size = 0;
    for directory in paths.iter().chain([&kept]) {
        for (name, version, file) in all(directory) {
            let key = (name.clone(), version.clone());
            if found.contains_key(&key) {
                continue;
            }
            let source = read(&file).ok_or_else(|| {
                CliError::new(Exit::BadConfig, format!("could not read {}", file.display()))
            })?;
            size += source.len();
            found.insert(key, Orb { name, version, source });
        }
    }
    if size > MOST_BYTES {
        let (size, most) =
            (russet_text::format_size(size as u64), russet_text::format_size(MOST_BYTES as u64));
        let message = format!("the orbs of the project have {size}, and {most} may be sent");
        return Err(CliError::new(Exit::BadConfig, message).hint(
            "give those that several projects use to the server: `russet config orb add --server`",
        ));
    }
    Ok(found.into_values().collect())
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
