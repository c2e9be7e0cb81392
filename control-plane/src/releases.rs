//! The releases that runners are updated from: a directory for each, with a manifest and the
//! archives that it names, as the release tool makes it.
//!
//! They are looked at anew for each question, so that putting one there is all there is to do. They
//! are not verified: a runner believes the signature and not this server, whose administrator can
//! hold releases back and choose among signed ones, and nothing else.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use russet_protocol::admin::Pin;
use russet_protocol::manifest::{
    Artifact, Envelope, FILE_NAME, LARGEST, Manifest, Platform, STABLE, is_name,
};
use semver::Version;

/// Directory of releases.
#[derive(Debug)]
pub(crate) struct Releases {
    directory: PathBuf,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Release {
    pub(crate) version: Version,
    channel: String,
    counter: u64,
    /// The archives that may be asked for, by platform.
    artifacts: BTreeMap<String, Artifact>,
    directory: PathBuf,
}

impl Release {
    /// Returns the path of a file of it, if it is one.
    pub(crate) fn file(&self, name: &str) -> Option<PathBuf> {
        let is_ours =
            name == FILE_NAME || self.artifacts.values().any(|artifact| artifact.file == name);
        is_ours.then(|| self.directory.join(name))
    }

    /// Returns the archive for a platform.
    pub(crate) fn artifact(&self, platform: Platform) -> Option<&Artifact> {
        self.artifacts.get(platform.as_str())
    }
}

impl Releases {
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// All that can be read. It takes a read of each manifest, so not from an async thread.
    pub(crate) fn list(&self) -> Vec<Release> {
        let entries = match std::fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(error) => {
                if error.kind() != std::io::ErrorKind::NotFound {
                    let directory = self.directory.display();
                    tracing::warn!(%directory, %error, "releases cannot be listed");
                }
                return Vec::new();
            }
        };
        let read = |entry: std::fs::DirEntry| read(&entry.path());
        entries.flatten().filter_map(read).collect()
    }
}

/// The release of a directory. One that is just being copied, and anything else, is none.
fn read(directory: &Path) -> Option<Release> {
    let path = directory.join(FILE_NAME);
    let meta = path.metadata().ok()?;
    let parsed = if meta.is_file() && meta.len() <= LARGEST {
        std::fs::read(&path).map_err(InvalidManifest::from).and_then(|text| parse_manifest(&text))
    } else {
        Err(InvalidManifest::NotAManifest)
    };
    match parsed {
        Ok((manifest, version)) => {
            let mut artifacts = manifest.artifacts;
            artifacts.retain(|_, artifact| is_name(&artifact.file));
            Some(Release {
                version,
                channel: manifest.channel,
                counter: manifest.counter,
                artifacts,
                directory: directory.to_owned(),
            })
        }
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "this is not the manifest of a release");
            None
        }
    }
}

/// Reasons why a file is not the manifest of a release.
#[derive(Debug, thiserror::Error)]
enum InvalidManifest {
    #[error("it is not a file of the size of a manifest")]
    NotAManifest,
    #[error(transparent)]
    File(#[from] std::io::Error),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    Version(#[from] semver::Error),
}

fn parse_manifest(text: &[u8]) -> Result<(Manifest, Version), InvalidManifest> {
    let envelope: Envelope = serde_json::from_slice(text)?;
    let manifest: Manifest = serde_json::from_str(&envelope.payload)?;
    let version = Version::parse(&manifest.version)?;
    Ok((manifest, version))
}

/// Returns the release for the runners of a class.
pub(crate) fn of_class<'a>(releases: &'a [Release], pin: Option<&Pin>) -> Option<&'a Release> {
    let fits = |release: &&Release| match pin {
        Some(Pin::Version(version)) => release.version.to_string() == *version,
        Some(Pin::Channel(channel)) => release.channel == *channel,
        None => release.channel == STABLE,
    };
    releases.iter().filter(fits).max_by_key(|release| (&release.version, release.counter))
}

/// Returns the release for a runner: of those that its classes are to run, the oldest. So a pin of
/// one class is not undone by another one, and a class that is to run what is not here gets
/// nothing. And the pin that decided that, if one did.
pub(crate) fn of_runner<'a>(
    releases: &'a [Release],
    pins: &'a [Option<Pin>],
) -> (Option<&'a Release>, Option<&'a Pin>) {
    let offers = pins.iter().map(|pin| (of_class(releases, pin.as_ref()), pin.as_ref()));
    // Nothing comes before the oldest, and of two that say the same the pin is told.
    let rank = |(release, pin): &(Option<&'a Release>, Option<&'a Pin>)| {
        (release.map(|release| release.version.clone()), pin.is_none())
    };
    offers.min_by_key(rank).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use russet_protocol::admin::Pin;
    use russet_protocol::manifest::Artifact;
    use semver::Version;

    use super::{Release, of_runner};

    fn release(version: &str, channel: &str) -> Release {
        let (file, sha256) = ("a.tar.gz".to_owned(), String::new());
        let artifact = Artifact { file, size: 1, sha256, minimum_os: BTreeMap::new() };
        Release {
            version: Version::parse(version).unwrap(),
            channel: channel.to_owned(),
            counter: 1,
            artifacts: [("linux-x86_64".to_owned(), artifact)].into(),
            directory: version.into(),
        }
    }

    fn offered(pins: &[Option<Pin>]) -> Option<String> {
        let releases = [
            release("1.9.0", "stable"),
            release("1.10.0", "stable"),
            release("1.2.0", "stable"),
            release("2.0.0-rc.1", "beta"),
        ];
        of_runner(&releases, pins).0.map(|release| release.version.to_string())
    }

    #[test]
    fn the_pin_that_decided_is_told() {
        let releases = [release("1.9.0", "stable"), release("2.0.0-rc.1", "beta")];
        let version = Some(Pin::Version("1.9.0".to_owned()));
        let missing = Some(Pin::Version("1.0.0".to_owned()));
        let beta = Some(Pin::Channel("beta".to_owned()));
        let told = |pins: &[Option<Pin>]| of_runner(&releases, pins).1.cloned();
        assert_eq!(told(&[None]), None);
        assert_eq!(told(&[None, version.clone()]), version);
        assert_eq!(told(&[None, beta.clone()]), None, "stable has the older one");
        assert_eq!(told(std::slice::from_ref(&beta)), beta);
        assert_eq!(told(&[beta, missing.clone(), version]), missing);
    }

    #[test]
    fn the_newest_is_offered_unless_a_class_says_otherwise() {
        let version = |text: &str| Some(Pin::Version(text.to_owned()));
        let channel = |text: &str| Some(Pin::Channel(text.to_owned()));
        assert_eq!(offered(&[None]).as_deref(), Some("1.10.0"));
        assert_eq!(offered(&[version("1.9.0")]).as_deref(), Some("1.9.0"));
        assert_eq!(offered(&[channel("beta")]).as_deref(), Some("2.0.0-rc.1"));
        for nothing in [version("1.8.0"), channel("nightly")] {
            assert_eq!(offered(std::slice::from_ref(&nothing)), None);
            assert_eq!(offered(&[None, nothing]), None);
        }
        assert_eq!(offered(&[]), None, "a runner that nobody knows");
    }

    #[test]
    fn of_several_classes_the_most_cautious_decides() {
        let (old, beta) =
            (Some(Pin::Version("1.2.0".to_owned())), Some(Pin::Channel("beta".to_owned())));
        assert_eq!(offered(&[None, old.clone(), beta.clone()]).as_deref(), Some("1.2.0"));
        assert_eq!(offered(&[beta, None]).as_deref(), Some("1.10.0"));
    }

    #[test]
    fn only_what_a_manifest_names_is_a_file_of_a_release() {
        let release = release("1.2.0", "stable");
        assert!(release.file("manifest.json").is_some() && release.file("a.tar.gz").is_some());
        for other in ["", ".", "..", "../a.tar.gz", "b.tar.gz", "private.key"] {
            assert!(release.file(other).is_none(), "{other}");
        }
    }
}
