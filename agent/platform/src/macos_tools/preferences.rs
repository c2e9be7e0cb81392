//! Settings in macOS's property lists that everybody may read: automatic login, updates that it
//! has found, its own version.

use std::path::Path;

use serde::Deserialize;

const LOGIN: &str = "Library/Preferences/com.apple.loginwindow.plist";
const UPDATES: &str = "Library/Preferences/com.apple.SoftwareUpdate.plist";
const STORE: &str = "Library/Preferences/com.apple.commerce.plist";
const VERSION: &str = "System/Library/CoreServices/SystemVersion.plist";

/// The account that is logged in at the screen by itself when the Mac starts.
#[must_use]
pub fn automatic_login(root: &Path) -> Option<String> {
    #[derive(Deserialize)]
    struct Login {
        #[serde(rename = "autoLoginUser")]
        user: Option<String>,
    }
    read::<Login>(&root.join(LOGIN))?.user
}

/// Updates of macOS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Updates {
    /// Names of those that macOS has found and not installed. It looks in the background, so that
    /// an empty list proves nothing.
    pub found: Vec<String>,
    /// Set if macOS installs them, and restarts, by itself.
    pub automatic: Option<bool>,
    /// Set if macOS installs security responses by itself, some of which restart it.
    pub critical: Option<bool>,
}

/// Returns macOS's own record of its updates; `None`: nothing.
#[must_use]
pub fn updates(root: &Path) -> Option<Updates> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Document {
        #[serde(default)]
        recommended_updates: Vec<Found>,
        #[serde(rename = "AutomaticallyInstallMacOSUpdates")]
        automatic: Option<bool>,
        #[serde(rename = "CriticalUpdateInstall")]
        critical: Option<bool>,
    }
    #[derive(Deserialize)]
    struct Found {
        #[serde(rename = "Display Name")]
        name: Option<String>,
        #[serde(rename = "Display Version")]
        version: Option<String>,
    }
    let document: Document = read(&root.join(UPDATES))?;
    let named = |found: Found| {
        let name = found.name.unwrap_or_else(|| "an update".to_owned());
        found
            .version
            .filter(|version| !name.contains(version.as_str()))
            .map_or_else(|| name.clone(), |version| format!("{name} {version}"))
    };
    let found = document.recommended_updates.into_iter().map(named).collect();
    Some(Updates { found, automatic: document.automatic, critical: document.critical })
}

/// Set if the App Store exchanges its applications by itself, an Xcode of its own among them. An
/// application of the App Store has a receipt.
#[must_use]
pub fn store_updates(root: &Path) -> Option<bool> {
    #[derive(Deserialize)]
    struct Store {
        #[serde(rename = "AutoUpdate")]
        automatic: Option<bool>,
    }
    read::<Store>(&root.join(STORE))?.automatic
}

/// Returns true if there is an Xcode that came from the App Store.
#[must_use]
pub fn has_store_xcode(root: &Path) -> bool {
    root.join("Applications/Xcode.app/Contents/_MASReceipt/receipt").exists()
}

/// The version of macOS and its build, as `15.6.1 (24G90)`.
#[must_use]
pub fn system_version(root: &Path) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Version {
        product_version: String,
        product_build_version: Option<String>,
    }
    let Version { product_version, product_build_version } = read(&root.join(VERSION))?;
    Some(match product_build_version {
        Some(build) => format!("{product_version} ({build})"),
        None => product_version,
    })
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Option<T> {
    plist::from_file(path).ok()
}

#[cfg(test)]
mod tests {
    use super::{
        Updates, automatic_login, has_store_xcode, store_updates, system_version, updates,
    };
    use std::path::Path;

    fn write(root: &Path, path: &str, inner: &str) {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let text = format!("<plist version=\"1.0\"><dict>{inner}</dict></plist>");
        std::fs::write(path, text).unwrap();
    }

    /// The keys are those that other tools read (`RecommendedUpdates` in
    /// /Library/Preferences/com.apple.SoftwareUpdate.plist, `autoLoginUser`); values are assumed.
    #[test]
    fn preferences_are_read_and_missing_ones_say_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        assert_eq!(
            (automatic_login(root), updates(root), system_version(root)),
            (None, None, None)
        );
        write(root, super::LOGIN, "<key>autoLoginUser</key><string>ci</string>");
        write(
            root,
            super::VERSION,
            "<key>ProductBuildVersion</key><string>24G90</string><key>ProductVersion</key>\
                                     <string>15.6.1</string>",
        );
        write(
            root,
            super::UPDATES,
            "<key>AutomaticallyInstallMacOSUpdates</key><true/><key>RecommendedUpdates</key><array>\
             <dict><key>Display Name</key><string>macOS Sequoia 15.7</string>\
             <key>Display Version</key><string>15.7</string></dict>\
             <dict><key>Display Name</key><string>Safari</string>\
             <key>Display Version</key><string>26.0</string></dict></array>",
        );
        assert_eq!(automatic_login(root).as_deref(), Some("ci"));
        assert_eq!(system_version(root).as_deref(), Some("15.6.1 (24G90)"));
        let found = vec!["macOS Sequoia 15.7".to_owned(), "Safari 26.0".to_owned()];
        assert_eq!(updates(root), Some(Updates { found, automatic: Some(true), critical: None }));
        assert_eq!((store_updates(root), has_store_xcode(root)), (None, false));
        write(root, super::STORE, "<key>AutoUpdate</key><true/>");
        write(root, "Applications/Xcode.app/Contents/_MASReceipt/receipt", "");
        assert_eq!((store_updates(root), has_store_xcode(root)), (Some(true), true));
        std::fs::write(root.join(super::LOGIN), "garbage").unwrap();
        assert_eq!(automatic_login(root), None);
    }
}
