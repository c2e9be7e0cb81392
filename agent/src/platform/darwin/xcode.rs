//! Which Xcode a task uses: the one that is selected on the machine, or one that is named.

use std::path::{Path, PathBuf};

/// Where Xcodes are installed.
const APPLICATIONS: &str = "/Applications";

/// The `DEVELOPER_DIR` of the Xcode that `wanted` names: a version, which is looked for under the
/// names that people and tools give (`Xcode-16.2.app`, `Xcode_16.2.app`), or the path of an `.app`.
///
/// # Errors
///
/// There is none: a sentence that names those there are.
pub fn developer_dir(wanted: &str) -> Result<PathBuf, String> {
    find(Path::new(APPLICATIONS), wanted)
}

fn find(applications: &Path, wanted: &str) -> Result<PathBuf, String> {
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
        let installed = installed(applications);
        let installed = if installed.is_empty() { "none".to_owned() } else { installed.join(", ") };
        format!(
            "Xcode {wanted} is not installed\n  hint: installed in {} are: {installed}; `xcode` of \
             the class names a version or the path of an .app",
            applications.display()
        )
    })
}

fn installed(applications: &Path) -> Vec<String> {
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
    use super::find;

    #[test]
    fn an_xcode_is_found_by_its_version_or_its_path_and_a_missing_one_names_the_others() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["Xcode-16.2.app", "Xcode_15.4.app", "Xcode-26.app", "Safari.app"] {
            std::fs::create_dir_all(dir.path().join(name).join("Contents/Developer")).unwrap();
        }
        let found = |wanted: &str| find(dir.path(), wanted);
        let at = |name: &str| Ok(dir.path().join(name).join("Contents/Developer"));
        assert_eq!(found("16.2"), at("Xcode-16.2.app"));
        assert_eq!(found("15.4"), at("Xcode_15.4.app"));
        assert_eq!(found("26.0"), at("Xcode-26.app"));
        let app = dir.path().join("Xcode_15.4.app");
        assert_eq!(found(app.to_str().unwrap()), at("Xcode_15.4.app"));
        let developer = app.join("Contents/Developer");
        assert_eq!(found(developer.to_str().unwrap()), Ok(developer.clone()));
        let error = found("14.1").unwrap_err();
        assert!(error.contains("Xcode 14.1 is not installed"), "{error}");
        assert!(error.contains("Xcode-16.2.app, Xcode-26.app, Xcode_15.4.app;"), "{error}");
        assert!(!error.contains("Safari"), "{error}");
        assert!(find(&dir.path().join("no"), "16.2").unwrap_err().contains("are: none"));
    }
}
