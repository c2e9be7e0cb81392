//! Reading what Xcodes there are: bundles whose names begin with `Xcode`, by their property lists.
//!
//! - `Contents/version.plist`: `CFBundleShortVersionString` and `ProductBuildVersion`;
//! - `Contents/Resources/LicenseInfo.plist`: `licenseType`, `GM` or `Beta` (macops.ca, 2015-11-26).
//!   The letters of a build do not tell: the release 16.2 is 16C5032a;
//! - `Contents/Info.plist`: `CFBundleIconName` is `XcodeBeta` for a beta (xcodes), where the licence
//!   says nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use russet_protocol::xcode::{WrittenVersion, Xcode};
use serde::Deserialize;

/// Longest property list of a bundle that is read, in bytes.
const MAX_PLIST_BYTES: u64 = 1 << 20;

/// The most bundles of a directory that are looked at.
const MAX_BUNDLES: usize = 64;

/// An Xcode that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// Its bundle, with links resolved.
    pub app: PathBuf,
    /// Its version, as far as that can be told.
    pub xcode: Xcode,
    /// Missing part; `None`: it is whole.
    pub flaw: Option<Flaw>,
}

impl Installed {
    /// Its `DEVELOPER_DIR`.
    #[must_use]
    pub fn developer_dir(&self) -> PathBuf {
        self.app.join("Contents/Developer")
    }

    /// Its version and its bundle, for people.
    #[must_use]
    pub fn title(&self) -> String {
        let name = self.app.file_name().unwrap_or_default().to_string_lossy();
        format!("{} in {name}", self.xcode)
    }
}

/// Missing part of a bundle that is being copied, or was copied in part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Its version.
    Version,
    /// Its command line tools.
    Tools,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Version => "Contents/version.plist is missing or has no version",
            Self::Tools => "Contents/Developer/usr/bin/xcodebuild is missing",
        })
    }
}

/// Returns the Xcodes in these directories, in the order of their names, each once however many
/// links lead to it. What is called so and is none (`Xcodes.app`) is left out.
#[must_use]
pub fn list_xcodes(directories: &[PathBuf]) -> Vec<Installed> {
    let mut by_app: BTreeMap<PathBuf, usize> = BTreeMap::new();
    let mut all: Vec<Installed> = Vec::new();
    for path in directories.iter().flat_map(|directory| bundles_in(directory)) {
        let Ok(app) = path.canonicalize() else { continue };
        match by_app.get(&app).and_then(|at| all.get_mut(*at)) {
            Some(known) => known.xcode.names.extend(bundle_name(&path)),
            None => {
                by_app.insert(app, all.len());
                all.push(inspect_app(&path));
            }
        }
    }
    all
}

/// The paths in a directory that may be an Xcode, by name.
fn bundles_in(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| bundle_name(path).is_some_and(|name| is_called_xcode(&name)))
        .filter(|path| path.join("Contents").is_dir())
        .collect();
    paths.sort();
    paths.truncate(MAX_BUNDLES);
    paths
}

/// The name of a bundle without `.app`.
fn bundle_name(path: &Path) -> Option<String> {
    path.file_name()?.to_str()?.strip_suffix(".app").map(str::to_owned)
}

/// Returns true for `Xcode`, `Xcode-beta` and `Xcode16.2`, not for `Xcodes`.
fn is_called_xcode(name: &str) -> bool {
    name.strip_prefix("Xcode").is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphabetic()))
}

#[derive(Debug, Default, Deserialize)]
struct VersionList {
    #[serde(rename = "CFBundleShortVersionString")]
    version: Option<String>,
    #[serde(rename = "ProductBuildVersion")]
    build: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct LicenceList {
    #[serde(rename = "licenseType")]
    kind: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct InfoList {
    #[serde(rename = "CFBundleIconName")]
    icon: Option<String>,
}

/// Looks into a bundle.
#[must_use]
pub fn inspect_app(app: &Path) -> Installed {
    let contents = app.join("Contents");
    let name = bundle_name(app);
    let named = name.as_deref().and_then(version_in_name);
    let list: VersionList = read_plist(&contents.join("version.plist"));
    // A text that is no version is none: everything else depends on its numbers.
    let version = list.version.filter(|text| WrittenVersion::parse(text).is_some());
    let flaw = match &version {
        None => Some(Flaw::Version),
        Some(_) if !contents.join("Developer/usr/bin/xcodebuild").exists() => Some(Flaw::Tools),
        Some(_) => None,
    };
    let is_beta = is_beta(&contents, name.as_deref());
    let version = version.or_else(|| named.as_ref().map(join_numbers)).unwrap_or_default();
    let beta_number = named.filter(|_| is_beta).and_then(|named| named.beta_number);
    let xcode = Xcode {
        version,
        build: list.build,
        is_beta,
        beta_number,
        names: name.into_iter().collect(),
    };
    Installed { app: app.canonicalize().unwrap_or_else(|_| app.to_owned()), xcode, flaw }
}

fn is_beta(contents: &Path, name: Option<&str>) -> bool {
    let licence: LicenceList = read_plist(&contents.join("Resources/LicenseInfo.plist"));
    if let Some(kind) = licence.kind {
        return kind.eq_ignore_ascii_case("beta");
    }
    let info: InfoList = read_plist(&contents.join("Info.plist"));
    if let Some(icon) = info.icon {
        return icon == "XcodeBeta";
    }
    name.is_some_and(|name| name.to_ascii_lowercase().contains("beta"))
}

/// The version in the name of a bundle: `Xcode-26.1.0-Beta.3`.
fn version_in_name(name: &str) -> Option<WrittenVersion> {
    WrittenVersion::parse(name.strip_prefix("Xcode")?.trim_start_matches([' ', '-', '_']))
}

fn join_numbers(version: &WrittenVersion) -> String {
    version.numbers.iter().map(u32::to_string).collect::<Vec<_>>().join(".")
}

/// Reads a property list; everything is absent from one that cannot be read.
pub(super) fn read_plist<T: serde::de::DeserializeOwned + Default>(path: &Path) -> T {
    let is_short =
        std::fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.len() <= MAX_PLIST_BYTES);
    if !is_short {
        return T::default();
    }
    plist::from_file(path).unwrap_or_default()
}
