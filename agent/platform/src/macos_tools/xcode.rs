//! Finding the Xcode that a task uses where it is not the one that is selected on the machine.

use std::path::{Path, PathBuf};

/// Directory in which Xcodes are installed.
const APPLICATIONS: &str = "/Applications";

/// The `DEVELOPER_DIR` of the Xcode that `wanted` names: a version, which is looked for under the
/// names that people and tools give (`Xcode-16.2.app`, `Xcode_16.2.app`), or the path of an `.app`.
///
/// # Errors
///
/// It is not installed.
pub fn find_developer_dir(wanted: &str) -> Result<PathBuf, XcodeError> {
    find_in(Path::new(APPLICATIONS), wanted)
}

/// The error for an Xcode that is not installed. It names those that are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "Xcode {wanted} is not installed\n  hint: installed in {} are: {installed}; `xcode` of the \
     class names a version or the path of an .app",
    applications.display()
)]
pub struct XcodeError {
    wanted: String,
    applications: PathBuf,
    installed: String,
}

fn find_in(applications: &Path, wanted: &str) -> Result<PathBuf, XcodeError> {
    let candidates = if wanted.starts_with('/') {
        vec![PathBuf::from(wanted)]
    } else {
        // `16.0` is often installed as `16`.
        let short = wanted.strip_suffix(".0");
        std::iter::once(wanted)
            .chain(short)
            .flat_map(|version| [format!("Xcode-{version}.app"), format!("Xcode_{version}.app")])
            .map(|name| applications.join(name))
            .collect()
    };
    let developer = |app: PathBuf| match app.ends_with("Contents/Developer") {
        true => app,
        false => app.join("Contents/Developer"),
    };
    candidates.into_iter().map(developer).find(|path| path.is_dir()).ok_or_else(|| {
        let installed = installed_apps(applications);
        let installed = if installed.is_empty() { "none".to_owned() } else { installed.join(", ") };
        let applications = applications.to_owned();
        XcodeError { wanted: wanted.to_owned(), applications, installed }
    })
}

/// The versions of the Xcodes that are installed, the oldest first: `16.2 (16C5032a)`. The keys of
/// `version.plist` are those that scripts read with `defaults`.
#[must_use]
pub fn xcode_versions(applications: &Path) -> Vec<String> {
    let app = |name: String| applications.join(name).join("Contents/version.plist");
    let mut versions: Vec<_> = installed_apps(applications)
        .into_iter()
        .map(app)
        .filter_map(|path| bundle_version(&path))
        .collect();
    versions.sort();
    versions.dedup();
    versions.into_iter().map(|(_, text)| text).collect()
}

/// One version: its numbers, by which versions are ordered, and as people write it.
fn bundle_version(plist: &Path) -> Option<(Vec<u32>, String)> {
    let plist = plist::Value::from_file(plist).ok()?;
    let text = |key| plist.as_dictionary()?.get(key)?.as_string();
    let short = text("CFBundleShortVersionString")?;
    let numbers = short.split('.').map(|part| part.parse().unwrap_or(0)).collect();
    let build = text("ProductBuildVersion");
    Some((numbers, build.map_or_else(|| short.to_owned(), |build| format!("{short} ({build})"))))
}

fn installed_apps(applications: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(applications).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.starts_with("Xcode") && name.ends_with(".app"))
        .collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::{find_in, xcode_versions};

    /// assumed: a version.plist with the keys that scripts read.
    #[test]
    fn the_versions_of_installed_ones_are_told_and_what_is_broken_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        for (name, inner) in [
            (
                "Xcode.app",
                "<key>CFBundleShortVersionString</key><string>26.0</string>\
                 <key>ProductBuildVersion</key><string>17A324</string>",
            ),
            ("Xcode-9.4.app", "<key>CFBundleShortVersionString</key><string>9.4</string>"),
            ("Xcode-beta.app", "<key>other</key><true/>"),
        ] {
            let contents = dir.path().join(name).join("Contents");
            std::fs::create_dir_all(&contents).unwrap();
            let text = format!("<plist version=\"1.0\"><dict>{inner}</dict></plist>");
            std::fs::write(contents.join("version.plist"), text).unwrap();
        }
        std::fs::create_dir(dir.path().join("Xcode-none.app")).unwrap();
        assert_eq!(xcode_versions(dir.path()), ["9.4", "26.0 (17A324)"]);
        assert!(xcode_versions(&dir.path().join("no")).is_empty());
    }

    #[test]
    fn an_xcode_is_found_by_its_version_or_its_path_and_a_missing_one_names_the_others() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["Xcode-16.2.app", "Xcode_15.4.app", "Xcode-26.app", "Safari.app"] {
            std::fs::create_dir_all(dir.path().join(name).join("Contents/Developer")).unwrap();
        }
        let found = |wanted: &str| find_in(dir.path(), wanted);
        let at = |name: &str| Ok(dir.path().join(name).join("Contents/Developer"));
        assert_eq!(found("16.2"), at("Xcode-16.2.app"));
        assert_eq!(found("15.4"), at("Xcode_15.4.app"));
        assert_eq!(found("26.0"), at("Xcode-26.app"));
        let app = dir.path().join("Xcode_15.4.app");
        assert_eq!(found(app.to_str().unwrap()), at("Xcode_15.4.app"));
        let developer = app.join("Contents/Developer");
        assert_eq!(found(developer.to_str().unwrap()), Ok(developer.clone()));
        let error = found("14.1").unwrap_err().to_string();
        assert!(error.contains("Xcode 14.1 is not installed"), "{error}");
        assert!(error.contains("Xcode-16.2.app, Xcode-26.app, Xcode_15.4.app;"), "{error}");
        assert!(!error.contains("Safari"), "{error}");
        assert!(
            find_in(&dir.path().join("no"), "16.2").unwrap_err().to_string().contains("are: none")
        );
    }
}
