//! The orbs that are sent along with a pipeline: those that it uses, not the library that they
//! are in.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use russet_orbs::{Lock, Shelf};
use russet_pipeline::{Options, OrbSource as _};
use russet_protocol::admin::{Orb, OrbPin};

use super::Local;
use super::directories::{DIRECTORY, all};
use crate::error::{CliError, Result};
use crate::exit::Exit;
use crate::project::read_config;
use crate::render;

/// Largest size of the orbs that are sent with a pipeline, together, in bytes.
const MAX_SENT: usize = 6 * 1024 * 1024;

/// Configurations beside the one of a setup that are looked through for orbs.
const MAX_CONFIGS: usize = 100;

/// Orbs and pins for a control plane.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    /// Orbs with their sources.
    pub(crate) orbs: Vec<Orb>,
    /// Pins of the project, and of what a registry gave.
    pub(crate) pins: Vec<OrbPin>,
}

/// The orbs by name and version.
type Chosen = BTreeMap<(String, String), String>;

/// Chooses what is sent with a configuration. What a setup goes on with is only known when it has
/// run: with one, everything is sent, or, where that is too much, what the configurations beside
/// it use.
///
/// # Errors
/// It is more than may be sent.
pub(crate) fn sent(
    local: &Local,
    shelf: &Shelf,
    text: &str,
    options: &Options,
    is_setup: bool,
) -> Result<Sent> {
    let mut chosen = used(local, shelf, text, options);
    if is_setup {
        let everything = with_everything(local, &chosen)?;
        match everything {
            Some(everything) => chosen = everything,
            None => {
                for file in configs(local.project()) {
                    let Ok(text) = read_config(&file) else { continue };
                    chosen.extend(used(local, shelf, &text, options));
                }
                render::print_note(format_args!(
                    "Of the orbs, only those that configurations in .circleci use go along: \
                     together they are larger than {}. A continuation that uses others needs \
                     them on the control plane.",
                    russet_text::format_size(MAX_SENT as u64)
                ));
            }
        }
    }
    let size: usize = chosen.values().map(String::len).sum();
    if size > MAX_SENT {
        let [size, most] = [size, MAX_SENT].map(|bytes| russet_text::format_size(bytes as u64));
        let message = format!("the orbs of the project have {size}, and {most} may be sent");
        return Err(CliError::new(Exit::BadConfig, message).hint(
            "give those that several projects use to the server: `russet config orb add --server`",
        ));
    }
    let orb = |((name, version), source)| Orb { name, version, source };
    Ok(Sent { orbs: chosen.into_iter().map(orb).collect(), pins: pins(local.lock(), shelf) })
}

/// Orbs in use by a configuration that are here or came from a registry.
fn used(local: &Local, shelf: &Shelf, text: &str, options: &Options) -> Chosen {
    let own = local.unpinned();
    let is_here = |name: &str, version: &str| {
        let is_own = own.0.as_ref().is_some_and(|own| own.text(name, version).is_some());
        is_own || shelf.has_fetched(name, version)
    };
    let options = Options { orbs: shelf.orbs(), ..options.clone() };
    let found = russet_pipeline::orbs(text, &options).into_iter().filter_map(|orb| {
        let version = orb.version.filter(|version| is_here(&orb.name, version))?;
        let source = shelf.text(&orb.name, &version)?;
        Some(((orb.name, version), source))
    });
    found.collect()
}

/// All orbs that are here, unless they are too many.
fn with_everything(local: &Local, chosen: &Chosen) -> Result<Option<Chosen>> {
    let mut everything = chosen.clone();
    let mut size: usize = chosen.values().map(String::len).sum();
    for directory in local.directories() {
        for (name, version, file) in all(directory) {
            let key = (name, version);
            if everything.contains_key(&key) {
                continue;
            }
            let length = std::fs::metadata(&file).map_or(0, |meta| meta.len());
            size = size.saturating_add(usize::try_from(length).unwrap_or(usize::MAX));
            if size > MAX_SENT {
                return Ok(None);
            }
            everything.insert(key, read_config(&file)?);
        }
    }
    Ok(Some(everything))
}

/// The YAML files of a project's `.circleci`, but for its orbs.
fn configs(project: Option<&Path>) -> Vec<PathBuf> {
    let Some(project) = project else { return Vec::new() };
    let orbs = project.join(DIRECTORY);
    let walk = ignore::WalkBuilder::new(project.join(".circleci"))
        .hidden(false)
        .git_ignore(false)
        .max_depth(Some(4))
        .filter_entry(move |entry| entry.path() != orbs)
        .build();
    let files = walk.filter_map(|entry| Some(entry.ok()?.into_path())).filter(|file| {
        file.is_file() && file.extension().is_some_and(|end| end == "yml" || end == "yaml")
    });
    files.take(MAX_CONFIGS).collect()
}

/// The pins of the project, and of what came from a registry now.
fn pins(lock: &Lock, shelf: &Shelf) -> Vec<OrbPin> {
    let mut lock = lock.clone();
    for orb in shelf.fetched() {
        lock.set(orb.name, orb.wanted, orb.version, orb.source);
    }
    lock.pins
}
