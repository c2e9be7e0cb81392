//! Simulator runtimes that are installed, without a process: `simctl` takes seconds.
//!
//! CoreSimulator keeps the list of downloaded ones in `Images/images.plist` (an array `images`, in
//! each a `runtimeInfo` with `bundleIdentifier` and `build`: read so by XcodesKit and others).
//! Older ones are bundles in `Profiles/Runtimes`.

use std::path::Path;

use serde::Deserialize;

use super::list::read_plist;

const IMAGES: &str = "Library/Developer/CoreSimulator/Images/images.plist";
const PROFILES: &str = "Library/Developer/CoreSimulator/Profiles/Runtimes";

/// Beginning of a runtime's identifier: `com.apple.CoreSimulator.SimRuntime.iOS-18-1`.
const IDENTIFIER: &str = "com.apple.CoreSimulator.SimRuntime.";

/// The most runtimes that are told.
const MAX_RUNTIMES: usize = 64;

#[derive(Default, Deserialize)]
struct Document {
    #[serde(default)]
    images: Vec<Image>,
}

#[derive(Deserialize)]
struct Image {
    #[serde(rename = "runtimeInfo")]
    runtime: Option<RuntimeInfo>,
}

#[derive(Deserialize)]
struct RuntimeInfo {
    #[serde(rename = "bundleIdentifier")]
    identifier: Option<String>,
    build: Option<String>,
}

/// Returns the runtimes of the machine whose files are below `root`: `iOS 18.1 (22B81)`.
#[must_use]
pub fn simulator_runtimes(root: &Path) -> Vec<String> {
    let document: Document = read_plist(&root.join(IMAGES));
    let of_images = document.images.into_iter().filter_map(|image| describe(image.runtime?));
    let bundles = std::fs::read_dir(root.join(PROFILES)).into_iter().flatten().flatten();
    let of_bundles = bundles.filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        name.strip_suffix(".simruntime").map(str::to_owned)
    });
    let mut all: Vec<String> = of_images.chain(of_bundles).collect();
    all.sort_by_key(|text| sort_key(text));
    all.dedup();
    all.truncate(MAX_RUNTIMES);
    all
}

/// `iOS-18-1` as `iOS 18.1`, with its build.
fn describe(runtime: RuntimeInfo) -> Option<String> {
    let identifier = runtime.identifier?;
    let (system, version) = identifier.strip_prefix(IDENTIFIER)?.split_once('-')?;
    let version = version.replace('-', ".");
    Some(match runtime.build {
        Some(build) => format!("{system} {version} ({build})"),
        None => format!("{system} {version}"),
    })
}

/// By system, then by the numbers of the version.
fn sort_key(text: &str) -> (String, Vec<u32>, String) {
    let (system, rest) = text.split_once(' ').unwrap_or((text, ""));
    let version = rest.split(' ').next().unwrap_or_default();
    let numbers = version.split('.').map(|part| part.parse().unwrap_or(0)).collect();
    (system.to_owned(), numbers, text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::simulator_runtimes;

    #[test]
    fn runtimes_are_read_from_the_list_of_images_and_from_bundles_of_old() {
        let root = tempfile::tempdir().unwrap();
        assert!(simulator_runtimes(root.path()).is_empty());
        let simulator = root.path().join("Library/Developer/CoreSimulator");
        std::fs::create_dir_all(simulator.join("Images")).unwrap();
        std::fs::create_dir_all(simulator.join("Profiles/Runtimes/iOS 16.4.simruntime")).unwrap();
        let image = |identifier: &str, build: &str| {
            format!(
                "<dict><key>uuid</key><string>U</string><key>path</key><dict><key>relative</key>\
                 <string>file:///x.dmg</string></dict><key>runtimeInfo</key><dict>\
                 <key>bundleIdentifier</key>\
                 <string>com.apple.CoreSimulator.SimRuntime.{identifier}</string>\
                 <key>build</key><string>{build}</string></dict></dict>"
            )
        };
        let images = [
            image("watchOS-11-1", "22R581"),
            image("iOS-18-1", "22B81"),
            image("iOS-9-3", "13E230"),
        ];
        let text = format!(
            "<plist version=\"1.0\"><dict><key>images</key><array>{}<dict/></array></dict></plist>",
            images.concat()
        );
        std::fs::write(simulator.join("Images/images.plist"), text).unwrap();
        let expected =
            ["iOS 9.3 (13E230)", "iOS 16.4", "iOS 18.1 (22B81)", "watchOS 11.1 (22R581)"];
        assert_eq!(simulator_runtimes(root.path()), expected);
        std::fs::write(simulator.join("Images/images.plist"), "nonsense").unwrap();
        assert_eq!(simulator_runtimes(root.path()), ["iOS 16.4"]);
    }
}
