//! The machine that an installation is for.
//!
//! Threat: a cloned disk, and a Mac that Migration Assistant set up from another one or from its
//! backup, have the configuration of another machine with its token: two agents would claim under
//! one name, and the copy would run tasks on a machine that nobody chose. So the installation notes
//! its hardware's id, and an agent on other hardware claims nothing until a person says so.
//!
//! The note lies beside the configuration and not in the state directory: Migration Assistant takes
//! `/Library` along and leaves `/var/db`. An image of a disk that is meant to be copied says so in
//! the note, and each copy then claims under a name of its own.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::files;
use super::receipt::{Item, Receipt};
use crate::config::Config;
use russet_platform::layout::Layout;

/// A note larger than this is none.
const MAX_BYTES: u64 = 4096;

/// Hexadecimal digits that tell the copies of an image apart.
const NAME_DIGITS: usize = 8;

/// The note.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seal {
    /// Version of this document.
    version: u32,
    /// The id of the hardware; none in an image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hardware: Option<String>,
    /// Set if this disk is an image that is copied to many machines.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    image: bool,
}

impl Seal {
    /// The note for one machine.
    #[must_use]
    pub fn of_hardware(id: &str) -> Self {
        Self { version: 1, hardware: Some(id.to_owned()), image: false }
    }

    /// The note for an image.
    #[must_use]
    pub fn of_image() -> Self {
        Self { version: 1, hardware: None, image: true }
    }

    /// The text of its file.
    pub(super) fn text(&self) -> serde_json::Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }
}

/// Relation of this machine to the one that the installation is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is this one.
    Here,
    /// It is any: this is a copy of an image.
    Image,
    /// Nothing was noted yet.
    Unsealed,
    /// The system does not say which hardware this is.
    Unknown,
    /// It is another one.
    Elsewhere {
        /// Its id.
        sealed: String,
        /// The id of this one.
        here: String,
    },
    /// The note cannot be read.
    Broken(String),
}

impl Verdict {
    /// Returns the reason for which no task may be claimed, where there is one.
    #[must_use]
    pub fn obstacle(&self) -> Option<String> {
        match self {
            Self::Elsewhere { sealed, here } => Some(format!(
                "this is other hardware ({here}) than the agent was installed on ({sealed}): a copied \
                 disk or a migrated Mac; `sudo russet agent accept-machine` lets it claim here"
            )),
            Self::Broken(why) => Some(format!(
                "the note of the machine that the agent was installed on cannot be read ({why}); \
                 `sudo russet agent accept-machine` writes it anew for this one"
            )),
            Self::Here | Self::Image | Self::Unsealed | Self::Unknown => None,
        }
    }
}

/// Compares the note with the hardware that this is.
fn judge_seal(seal: io::Result<Option<Seal>>, here: Option<&str>) -> Verdict {
    let seal = match seal {
        Ok(seal) => seal,
        Err(error) => return Verdict::Broken(error.to_string()),
    };
    match (seal, here) {
        (Some(Seal { image: true, .. }), _) => Verdict::Image,
        (_, None) => Verdict::Unknown,
        (None | Some(Seal { hardware: None, .. }), Some(_)) => Verdict::Unsealed,
        (Some(Seal { hardware: Some(sealed), .. }), Some(here)) if sealed == here => Verdict::Here,
        (Some(Seal { hardware: Some(sealed), .. }), Some(here)) => {
            Verdict::Elsewhere { sealed, here: here.to_owned() }
        }
    }
}

/// Returns the name of one copy of an image: that in the configuration, which is in every copy, and
/// some digits that depend on the hardware, so that it is the same after each start.
fn name_of_copy(name: &str, hardware: &str) -> String {
    let hash = blake3::hash(hardware.as_bytes()).to_hex();
    format!("{name}-{}", hash.get(..NAME_DIGITS).unwrap_or_default())
}

/// The note of an installation, and the hardware that it is compared with.
#[derive(Clone, Debug)]
pub struct SealedMachine {
    layout: Layout,
    here: Option<String>,
}

impl SealedMachine {
    /// Looks which hardware this is.
    #[must_use]
    pub fn of(layout: &Layout) -> Self {
        let here = russet_platform::hardware_id(layout.root());
        Self { layout: layout.clone(), here }
    }

    /// Reads the note and compares.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        judge_seal(read_seal(&self.layout.seal()), self.here.as_deref())
    }

    /// The note that a new installation writes; `None`: nothing is known to write.
    pub(super) fn new_seal(&self, is_image: bool) -> Option<Seal> {
        if is_image { Some(Seal::of_image()) } else { self.here.as_deref().map(Seal::of_hardware) }
    }

    /// Notes that the installation is for this machine.
    ///
    /// # Errors
    ///
    /// The system does not say which hardware this is, or the note cannot be written.
    pub fn accept(&self) -> io::Result<()> {
        let unknown = || io::Error::other("the system does not say which hardware this is");
        let seal = Seal::of_hardware(self.here.as_deref().ok_or_else(unknown)?);
        let path = self.layout.seal();
        self.remember(&path).map_err(io::Error::other)?;
        files::write(&path, seal.text()?.as_bytes(), 0o644)
    }

    /// Puts the note into the receipt, where there is one, to be removed with the rest.
    fn remember(&self, path: &Path) -> Result<(), super::InstallError> {
        let Some(mut receipt) = Receipt::read(&self.layout.receipt())? else { return Ok(()) };
        let item = Item::File { path: path.to_owned() };
        if receipt.entry(&item).is_some() { Ok(()) } else { receipt.made(vec![item]) }
    }

    /// Returns the configuration of this machine: in a copy of an image with a name of its own.
    #[must_use]
    pub fn named(&self, config: Config) -> Config {
        match (self.verdict(), &self.here) {
            (Verdict::Image, Some(here)) => {
                let name = name_of_copy(&config.name, here);
                Config { name, ..config }
            }
            _ => config,
        }
    }

    /// Returns the reason for which no task may be claimed here. An installation from before there
    /// were notes is taken to be for the machine that it runs on.
    #[must_use]
    pub fn obstacle(&self) -> Option<String> {
        let verdict = self.verdict();
        match verdict {
            Verdict::Unsealed => {
                if let Err(error) = self.accept() {
                    tracing::warn!(%error, "could not note the machine that this agent is for");
                }
            }
            Verdict::Image if self.here.is_none() => tracing::warn!(
                "this is a copy of an image, and the system does not say which hardware this is: it \
                 claims under the name that every copy has"
            ),
            _ => {}
        }
        verdict.obstacle()
    }

    /// The file of the note.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.layout.seal()
    }
}

/// Reads the note. `None`: there is none.
fn read_seal(path: &Path) -> io::Result<Option<Seal>> {
    let meta = match std::fs::symlink_metadata(path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    // Threat: a note of somebody else that lets a copy claim.
    if !meta.is_file() || ![0, nix::unistd::geteuid().as_raw()].contains(&meta.uid()) {
        return Err(io::Error::other(format!("{} is not a file of root's", path.display())));
    }
    Ok(Some(serde_json::from_str(&files::read(path, MAX_BYTES)?)?))
}

#[cfg(test)]
mod tests {
    use super::{Layout, Seal, SealedMachine, Verdict, judge_seal, name_of_copy, read_seal};

    const MINI: &str = "4c4c4544-0042-3010-8054-b7c04f4e5a31";
    const COPY: &str = "564d1c5b-2a2c-9f5d-6e0f-2b3c4d5e6f70";

    #[test]
    fn only_other_hardware_and_a_note_that_cannot_be_read_are_obstacles() {
        let sealed = || Ok(Some(Seal::of_hardware(MINI)));
        assert_eq!(judge_seal(sealed(), Some(MINI)), Verdict::Here);
        assert_eq!(judge_seal(Ok(None), Some(MINI)), Verdict::Unsealed);
        assert_eq!(judge_seal(Ok(Some(Seal::of_image())), Some(COPY)), Verdict::Image);
        assert_eq!(judge_seal(Ok(Some(Seal::of_image())), None), Verdict::Image);
        assert_eq!(judge_seal(sealed(), None), Verdict::Unknown);
        let elsewhere = judge_seal(sealed(), Some(COPY));
        let obstacle = elsewhere.obstacle().unwrap();
        assert!(obstacle.contains(MINI) && obstacle.contains(COPY), "{obstacle}");
        assert!(obstacle.contains("accept-machine"), "{obstacle}");
        let broken = judge_seal(Err(std::io::Error::other("nonsense")), Some(MINI));
        assert!(broken.obstacle().unwrap().contains("nonsense"));
        for fine in [Verdict::Here, Verdict::Image, Verdict::Unsealed, Verdict::Unknown] {
            assert_eq!(fine.obstacle(), None);
        }
    }

    #[test]
    fn copies_of_an_image_have_names_of_their_own_that_stay() {
        let name = name_of_copy("mini", COPY);
        assert_eq!(name, name_of_copy("mini", COPY));
        assert_ne!(name, name_of_copy("mini", MINI));
        assert!(name.starts_with("mini-") && name.len() == "mini-".len() + 8, "{name}");
    }

    #[test]
    fn a_note_is_read_as_it_was_written_and_that_of_the_first_version_for_ever() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::below(root.path());
        std::fs::create_dir_all(layout.seal().parent().unwrap()).unwrap();
        let machine = SealedMachine { layout: layout.clone(), here: Some(COPY.to_owned()) };
        assert_eq!(machine.verdict(), Verdict::Unsealed);
        let first = format!("{{\"version\": 1, \"hardware\": \"{MINI}\", \"more\": []}}");
        std::fs::write(layout.seal(), first).unwrap();
        assert!(matches!(machine.verdict(), Verdict::Elsewhere { .. }));
        machine.accept().unwrap();
        assert_eq!(machine.verdict(), Verdict::Here);
        assert_eq!(read_seal(&layout.seal()).unwrap(), Some(Seal::of_hardware(COPY)));
        std::fs::write(layout.seal(), "{").unwrap();
        assert!(matches!(machine.verdict(), Verdict::Broken(_)));
        let nameless = SealedMachine { here: None, ..machine };
        assert!(nameless.accept().is_err());
    }
}
