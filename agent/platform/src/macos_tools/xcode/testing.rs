//! Bundles that look like Xcodes, for tests.

use std::path::{Path, PathBuf};

/// Contents of such a bundle.
#[derive(Clone, Copy, Debug)]
pub struct FakeXcode<'a> {
    /// `CFBundleShortVersionString`.
    pub version: &'a str,
    /// `ProductBuildVersion`.
    pub build: &'a str,
    /// `licenseType`; `None`: there is no such list.
    pub licence: Option<&'a str>,
    /// `CFBundleIconName`; `None`: there is no `Info.plist`.
    pub icon: Option<&'a str>,
    /// Set if it has command line tools.
    pub has_tools: bool,
}

impl Default for FakeXcode<'_> {
    fn default() -> Self {
        Self {
            version: "16.2",
            build: "16C5032a",
            licence: Some("GM"),
            icon: None,
            has_tools: true,
        }
    }
}

/// Makes a bundle of this name in a directory, and returns its path.
///
/// # Panics
///
/// It cannot be made.
#[expect(clippy::unwrap_used, reason = "a test that cannot write fails")]
pub fn make_xcode(directory: &Path, name: &str, fake: &FakeXcode<'_>) -> PathBuf {
    let app = directory.join(name);
    let contents = app.join("Contents");
    std::fs::create_dir_all(contents.join("Resources")).unwrap();
    std::fs::create_dir_all(contents.join("Developer/usr/bin")).unwrap();
    let write = |path: &str, inner: &str| {
        let text = format!("<plist version=\"1.0\"><dict>{inner}</dict></plist>");
        std::fs::write(contents.join(path), text).unwrap();
    };
    let FakeXcode { version, build, licence, icon, has_tools } = *fake;
    write(
        "version.plist",
        &format!(
            "<key>CFBundleShortVersionString</key><string>{version}</string>\
             <key>ProductBuildVersion</key><string>{build}</string>"
        ),
    );
    if let Some(kind) = licence {
        let inner = format!(
            "<key>licenseID</key><string>EA1</string><key>licenseType</key><string>{kind}</string>"
        );
        write("Resources/LicenseInfo.plist", &inner);
    }
    if let Some(icon) = icon {
        write("Info.plist", &format!("<key>CFBundleIconName</key><string>{icon}</string>"));
    }
    if has_tools {
        std::fs::write(contents.join("Developer/usr/bin/xcodebuild"), "").unwrap();
    }
    app
}
