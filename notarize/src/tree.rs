//! Contents of a package: a directory as a list, with the owners and modes that it will have.

use std::collections::VecDeque;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

/// The directory that everything but the companion's launchd job is installed into.
pub const INCOMING: &str = "opt/russet/incoming";

/// Mode of that directory: nobody but root looks into what root is about to run.
pub const INCOMING_MODE: u16 = 0o700;

/// Type of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A file with this content.
    File(Vec<u8>),
    /// A symbolic link to this path.
    Link(String),
}

/// One path of a package. Its owner is root, its group wheel: nothing in `/opt/russet` may be
/// changed by anybody else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Relative to where the package is installed; `.` is that place itself.
    pub path: String,
    /// Type.
    pub kind: Kind,
    /// Permissions, without the type.
    pub mode: u16,
}

impl Node {
    /// Permissions with the type, as `stat` has them.
    #[must_use]
    pub fn full_mode(&self) -> u16 {
        let kind = match self.kind {
            Kind::Directory => 0o040_000,
            Kind::File(_) => 0o100_000,
            Kind::Link(_) => 0o120_000,
        };
        kind | self.mode
    }

    /// The bytes that an archive holds for it: the content, or where a link leads.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match &self.kind {
            Kind::Directory => &[],
            Kind::File(bytes) => bytes,
            Kind::Link(target) => target.as_bytes(),
        }
    }

    /// The path of the directory that it lies in; `None` for the root.
    #[must_use]
    pub fn parent(&self) -> Option<&str> {
        match (self.path.as_str(), self.path.rsplit_once('/')) {
            (".", _) => None,
            (_, Some((parent, _))) => Some(parent),
            (_, None) => Some("."),
        }
    }

    /// The last part of its path.
    #[must_use]
    pub fn name(&self) -> &str {
        self.path.rsplit_once('/').map_or(self.path.as_str(), |(_, name)| name)
    }
}

/// Everything below `root`, itself included: a directory before what is in it, one level after the
/// other, each sorted. Modes are made those of code: 0755 for directories and what can be
/// executed, 0644 for the rest; `incoming` is closed to others.
///
/// # Errors
///
/// Something cannot be read, or is neither a directory, a file nor a link.
pub fn read(root: &Path) -> Result<Vec<Node>> {
    let mut nodes = Vec::new();
    let mut waiting = VecDeque::from([(".".to_owned(), root.to_owned())]);
    while let Some((path, place)) = waiting.pop_front() {
        let meta = std::fs::symlink_metadata(&place)
            .with_context(|| format!("could not look at {}", place.display()))?;
        let read = || format!("could not read {}", place.display());
        let (kind, mode) = if meta.is_dir() {
            let mut names = std::fs::read_dir(&place)
                .with_context(read)?
                .map(|entry| Ok(entry?.file_name()))
                .collect::<std::io::Result<Vec<_>>>()
                .with_context(read)?;
            names.sort();
            for name in names {
                let Some(text) = name.to_str() else {
                    bail!("the name {name:?} in {} is no text", place.display());
                };
                let below = if path == "." { text.to_owned() } else { format!("{path}/{text}") };
                waiting.push_back((below, place.join(text)));
            }
            let is_incoming = path == INCOMING;
            (Kind::Directory, if is_incoming { INCOMING_MODE } else { 0o755 })
        } else if meta.is_symlink() {
            let target = std::fs::read_link(&place).with_context(read)?;
            let Some(target) = target.to_str() else {
                bail!("the link {} leads to no text", place.display());
            };
            (Kind::Link(target.to_owned()), 0o755)
        } else if meta.is_file() {
            let executable = meta.permissions().mode() & 0o111 != 0;
            let mode = if executable { 0o755 } else { 0o644 };
            (Kind::File(std::fs::read(&place).with_context(read)?), mode)
        } else {
            bail!("{} is neither a directory, a file nor a link", place.display());
        };
        nodes.push(Node { path, kind, mode });
    }
    Ok(nodes)
}
