//! Packages through `pkgbuild` and `productbuild`. Only a Mac can run them; what is tested
//! elsewhere is how they are called.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Result;

use super::{component_scripts, distribution, product_resources, script_text};
use crate::bundle::{SIGNED, package_components};
use crate::places::Release;
use crate::process::{command, run_tool};

/// Returns the property list for `pkgbuild` with the bundles in a component: not to be moved, no
/// comparison of versions, and replaced as a whole.
#[must_use]
pub fn component_plist(component: &str) -> String {
    let mut bundles = String::new();
    for signed in SIGNED.iter().filter(|signed| signed.component == component) {
        if !signed.executable.is_empty() {
            let _infallible = write!(
                bundles,
                "\t<dict>\n\t\t<key>RootRelativeBundlePath</key>\n\t\t<string>{}</string>\n\t\t<key>BundleIsRelocatable</key>\n\t\t<false/>\n\t\t<key>BundleIsVersionChecked</key>\n\t\t<false/>\n\t\t<key>BundleHasStrictIdentifier</key>\n\t\t<true/>\n\t\t<key>BundleOverwriteAction</key>\n\t\t<string>upgrade</string>\n\t</dict>\n",
                signed.path
            );
        }
    }
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n<plist version=\"1.0\">\n<array>\n{bundles}</array>\n</plist>\n"
    )
}

/// Arguments of `pkgbuild`.
#[must_use]
pub fn pkgbuild(
    name: &str,
    version: &str,
    root: &Path,
    plist: &Path,
    scripts: Option<&Path>,
    to: &Path,
) -> Vec<String> {
    let path = |path: &Path| path.display().to_string();
    let mut line = vec!["--root".to_owned(), path(root), "--component-plist".to_owned()];
    line.extend([path(plist), "--identifier".to_owned(), format!("dev.russet.{name}.pkg")]);
    line.extend(["--version", version, "--install-location", "/"].map(str::to_owned));
    line.extend(["--ownership", "recommended"].map(str::to_owned));
    if let Some(scripts) = scripts {
        line.extend(["--scripts".to_owned(), path(scripts)]);
    }
    line.push(path(to));
    line
}

/// Arguments of `productbuild`.
#[must_use]
pub fn productbuild(distribution: &Path, resources: &Path, from: &Path, to: &Path) -> Vec<String> {
    let path = |path: &Path| path.display().to_string();
    vec![
        "--distribution".to_owned(),
        path(distribution),
        "--resources".to_owned(),
        path(resources),
        "--package-path".to_owned(),
        path(from),
        path(to),
    ]
}

pub(super) fn make(release: &Release, work: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mut packages = String::new();
    for name in package_components(release) {
        let plist = work.join(format!("{name}.plist"));
        std::fs::write(&plist, component_plist(name))?;
        let folder = work.join(format!("{name}-scripts"));
        let all = component_scripts(name);
        for (script, text) in &all {
            std::fs::create_dir_all(&folder)?;
            let path = folder.join(script);
            std::fs::write(&path, script_text(text, &release.version))?;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
        }
        let folder = (!all.is_empty()).then_some(folder.as_path());
        let root = release.work("sign").join(name);
        let to = work.join(format!("{name}.pkg"));
        let line = pkgbuild(name, &release.version, &root, &plist, folder, &to);
        run_tool(command("/usr/bin/pkgbuild", &[]).args(line))?;
        let _infallible =
            writeln!(packages, "    <pkg-ref id=\"dev.russet.{name}.pkg\">{name}.pkg</pkg-ref>");
    }
    let folder = work.join("resources");
    std::fs::create_dir_all(&folder)?;
    for (name, bytes) in product_resources(release) {
        std::fs::write(folder.join(name), bytes)?;
    }
    let text = distribution::template(&release.version, release.menubar);
    let file = work.join("Distribution.xml");
    std::fs::write(&file, text.replace("@PACKAGES@", &packages))?;
    let product = super::product_path(release);
    run_tool(
        command("/usr/bin/productbuild", &[]).args(productbuild(&file, &folder, work, &product)),
    )
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{component_plist, pkgbuild, productbuild};

    #[test]
    fn pkgbuild_is_told_that_nothing_moves_and_no_version_is_compared() {
        let plist: plist::Value = plist::from_bytes(component_plist("agent").as_bytes()).unwrap();
        let bundles = plist.as_array().unwrap();
        assert_eq!(bundles.len(), 1, "russet-boot is no bundle");
        let bundle = bundles[0].as_dictionary().unwrap();
        assert_eq!(bundle["BundleIsRelocatable"].as_boolean(), Some(false));
        assert_eq!(bundle["BundleIsVersionChecked"].as_boolean(), Some(false));
        assert_eq!(bundle["RootRelativeBundlePath"].as_string(), Some(crate::bundle::AGENT_BUNDLE));
        let path = Path::new("/p");
        let line = pkgbuild("agent", "1.2.3", path, path, Some(path), path).join(" ");
        assert!(line.contains("--identifier dev.russet.agent.pkg --version 1.2.3"), "{line}");
        assert!(line.contains("--ownership recommended --scripts /p"), "{line}");
    }

    #[test]
    fn productbuild_is_told_where_its_parts_are() {
        let paths = ["/d", "/r", "/f", "/t"].map(Path::new);
        let line = productbuild(paths[0], paths[1], paths[2], paths[3]).join(" ");
        assert_eq!(line, "--distribution /d --resources /r --package-path /f /t");
    }
}
