//! A simulator runtime: as people ask for one, and as `simctl` lists those that are there.

use std::collections::BTreeMap;

use serde::Deserialize;

/// Platforms that have simulators: the name, simctl's identifier, and the SDK.
const PLATFORMS: [(&str, &str, &str); 4] = [
    ("iOS", "com.apple.platform.iphonesimulator", "iphonesimulator"),
    ("watchOS", "com.apple.platform.watchsimulator", "watchsimulator"),
    ("tvOS", "com.apple.platform.appletvsimulator", "appletvsimulator"),
    ("visionOS", "com.apple.platform.xrsimulator", "xrsimulator"),
];

/// Runtime that somebody wants: `iOS`, `iOS=26.1`, `watchOS=22R350`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedRuntime {
    platform: usize,
    /// Version or build; `None`: the one that fits the SDK.
    pub version: Option<String>,
}

impl WantedRuntime {
    /// Parses `PLATFORM` or `PLATFORM=VERSION`.
    ///
    /// # Errors
    ///
    /// The platform is not known, or the version is no version or build.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (name, version) = match text.split_once('=') {
            Some((name, version)) => (name, Some(version)),
            None => (text, None),
        };
        let platform = PLATFORMS.iter().position(|platform| platform.0.eq_ignore_ascii_case(name));
        let platform = platform.ok_or_else(|| {
            let names: Vec<&str> = PLATFORMS.iter().map(|platform| platform.0).collect();
            format!("`{name}` has no simulators; those that have are {}", names.join(", "))
        })?;
        let is_fit = |version: &&str| {
            !version.is_empty() && version.chars().all(|c| c.is_ascii_alphanumeric() || c == '.')
        };
        if let Some(bad) = version.filter(|version| !is_fit(version)) {
            return Err(format!("`{bad}` is no version such as 26.1, and no build such as 23B80"));
        }
        Ok(Self { platform, version: version.map(str::to_owned) })
    }

    /// Returns the name of its platform.
    #[must_use]
    pub fn platform(&self) -> &'static str {
        PLATFORMS.get(self.platform).map_or("", |platform| platform.0)
    }

    /// Returns the SDK whose version is that of the runtime that fits.
    pub(super) fn sdk(&self) -> &'static str {
        PLATFORMS.get(self.platform).map_or("", |platform| platform.2)
    }

    /// Returns true if this is it, where `version` is wanted: the build, or all components of the
    /// version that are given.
    pub(super) fn is_met_by(&self, runtime: &Runtime, version: &str) -> bool {
        let is_platform =
            PLATFORMS.get(self.platform).is_some_and(|it| it.1 == runtime.platform_identifier);
        let begins = runtime.version.strip_prefix(version);
        let is_version = begins.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        is_platform && (is_version || runtime.build == version)
    }
}

impl std::fmt::Display for WantedRuntime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.version {
            Some(version) => write!(f, "{} {version}", self.platform()),
            None => write!(f, "{} of this Xcode", self.platform()),
        }
    }
}

/// Runtime that is on this Mac, as `simctl runtime list -j` has it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Runtime {
    #[serde(default)]
    pub(super) build: String,
    #[serde(default)]
    pub(super) platform_identifier: String,
    #[serde(default)]
    pub(super) state: String,
    #[serde(default)]
    pub(super) version: String,
}

impl Runtime {
    /// Returns true if simulators can use it.
    pub(super) fn is_ready(&self) -> bool {
        self.state == "Ready"
    }
}

/// The runtimes of a list, in the order of their builds; `None`: it is no such list. An Xcode without
/// any prints an empty array.
pub(super) fn parse_runtimes(text: &str) -> Option<Vec<Runtime>> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum List {
        Some(BTreeMap<String, Runtime>),
        None([(); 0]),
    }
    // Warnings of CoreSimulator may stand before it.
    let begin = text.find(['{', '['])?;
    let mut runtimes: Vec<Runtime> = match serde_json::from_str(text.get(begin..)?).ok()? {
        List::Some(runtimes) => runtimes.into_values().collect(),
        List::None([]) => Vec::new(),
    };
    runtimes.sort_by(|a, b| a.build.cmp(&b.build));
    Some(runtimes)
}

#[cfg(test)]
mod tests {
    use super::{WantedRuntime, parse_runtimes};

    /// After lists that tests of published programs hold: simctl of Xcode 15 (a legacy download),
    /// 16 (a disk image) and 26 (a cryptex).
    const LIST: &str = r#"{
      "C20712BB-6F3A-4658-9C37-114C434C8CC5" : {
        "build" : "17F61", "deletable" : true, "kind" : "Legacy Download",
        "identifier" : "C20712BB-6F3A-4658-9C37-114C434C8CC5",
        "platformIdentifier" : "com.apple.platform.iphonesimulator",
        "runtimeIdentifier" : "com.apple.CoreSimulator.SimRuntime.iOS-13-5",
        "sizeBytes" : 6568505344, "state" : "Ready", "version" : "13.5"
      },
      "67DA9196-7AB6-49E0-80F1-1C9C1D0C90B5" : {
        "build" : "23F77", "deletable" : true, "kind" : "Patchable Cryptex Disk Image",
        "identifier" : "67DA9196-7AB6-49E0-80F1-1C9C1D0C90B5",
        "lastUsedAt" : "2026-05-22T15:40:45Z",
        "mountPath" : "/Library/Developer/CoreSimulator/Volumes/iOS_23F77",
        "platformIdentifier" : "com.apple.platform.iphonesimulator",
        "runtimeIdentifier" : "com.apple.CoreSimulator.SimRuntime.iOS-26-5",
        "signatureState" : "Verified", "sizeBytes" : 10597197700, "state" : "Ready",
        "supportedArchitectures" : [ "x86_64", "arm64" ], "version" : "26.5"
      },
      "R2" : {
        "build" : "21A00", "deletable" : false, "identifier" : "R2",
        "platformIdentifier" : "com.apple.platform.watchsimulator",
        "sizeBytes" : 100, "state" : "Unusable", "version" : "10.0"
      }
    }"#;

    #[test]
    fn a_runtime_is_asked_for_by_platform_version_or_build() {
        let wanted = WantedRuntime::parse("ios=26.5").unwrap();
        assert_eq!((wanted.platform(), wanted.to_string().as_str()), ("iOS", "iOS 26.5"));
        assert_eq!(WantedRuntime::parse("visionOS").unwrap().sdk(), "xrsimulator");
        assert!(WantedRuntime::parse("macOS").unwrap_err().contains("iOS, watchOS"));
        for bad in ["iOS=", "iOS=26.1 beta", "iOS=-x"] {
            assert!(WantedRuntime::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn runtimes_of_several_xcodes_are_listed_and_matched_by_component() {
        let runtimes = parse_runtimes(LIST).unwrap();
        let builds: Vec<&str> = runtimes.iter().map(|runtime| runtime.build.as_str()).collect();
        assert_eq!(builds, ["17F61", "21A00", "23F77"]);
        assert!(!runtimes[1].is_ready());
        let ios = WantedRuntime::parse("iOS").unwrap();
        let met = |version| runtimes.iter().filter(|one| ios.is_met_by(one, version)).count();
        assert_eq!([met("26.5"), met("26"), met("23F77"), met("2"), met("10.0")], [1, 1, 1, 0, 0]);
        assert_eq!(parse_runtimes("[]"), Some(Vec::new()));
        assert_eq!(parse_runtimes("CoreSimulator says hello\n{}"), Some(Vec::new()));
        assert_eq!(parse_runtimes("nonsense"), None);
    }
}
