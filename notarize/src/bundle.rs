//! Stage `bundle`: what the two component packages install, not signed yet.
//!
//! ```text
//! agent/opt/russet/incoming/agent/RussetAgent.app   russet, with its Info.plist
//! agent/opt/russet/incoming/agent/russet-boot       beside it: no update brings another one
//! agent/opt/russet/incoming/agent/uninstall.sh
//! menubar/opt/russet/incoming/menubar/Russet.app
//! menubar/Library/LaunchAgents/dev.russet.menubar.plist
//! ```
//!
//! Nothing is installed to the place that it runs from: the agent puts it there when no task runs
//! (`update::package` of the launch agent says who does what). `incoming` is root's alone.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::places::{Release, fresh};
use crate::tree::{INCOMING, INCOMING_MODE};

/// The agent's Info.plist, which `russet agent install` writes too.
const AGENT_PLIST: &str = include_str!("../../agent/launch-agent/src/install/Info.plist");

/// launchd job that starts the companion at a login.
const MENUBAR_JOB: &str = include_str!("../../launchd/dev.russet.menubar.plist");

/// Script that removes everything.
const UNINSTALL: &str = include_str!("../../pkg-scripts/uninstall.sh");

/// Path of the agent's bundle in its component.
pub const AGENT_BUNDLE: &str = "opt/russet/incoming/agent/RussetAgent.app";

/// Something that is signed by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signed {
    /// The component package that it is in.
    pub component: &'static str,
    /// Its path in that.
    pub path: &'static str,
    /// Its executable, relative to it; empty if it is one.
    pub executable: &'static str,
    /// The identifier of its signature. It never changes: permissions hang on it.
    pub identifier: &'static str,
    /// Its entitlements.
    pub entitlements: &'static str,
}

/// Everything that is signed, what is inside before what is around it. (Nothing is inside of
/// another yet.)
pub const SIGNED: [Signed; 3] = [
    Signed {
        component: "agent",
        path: "opt/russet/incoming/agent/russet-boot",
        executable: "",
        identifier: "dev.russet.boot",
        entitlements: include_str!("../entitlements/boot.plist"),
    },
    Signed {
        component: "agent",
        path: "opt/russet/incoming/agent/RussetAgent.app",
        executable: "Contents/MacOS/russet",
        identifier: "dev.russet.agent",
        entitlements: include_str!("../entitlements/agent.plist"),
    },
    Signed {
        component: "menubar",
        path: "opt/russet/incoming/menubar/Russet.app",
        executable: russet_menubar_bundle::EXECUTABLE,
        identifier: russet_menubar_bundle::IDENTIFIER,
        entitlements: include_str!("../entitlements/menubar.plist"),
    },
];

/// Returns the items of [`SIGNED`] that are in this release.
pub fn signed_items(release: &Release) -> impl Iterator<Item = &'static Signed> {
    SIGNED.iter().filter(|signed| release.menubar || signed.component != "menubar")
}

/// The component packages of this release, in the order in which they are installed: the agent's
/// `postinstall` starts the companion, which has to be there.
#[must_use]
pub fn package_components(release: &Release) -> Vec<&'static str> {
    if release.menubar { vec!["menubar", "agent"] } else { vec!["agent"] }
}

/// Assembles everything from `universal/`.
///
/// # Errors
///
/// A file is missing or cannot be written.
pub fn assemble_bundles(release: &Release) -> Result<String> {
    let (from, work) = (release.work("universal"), release.work("bundle"));
    fresh(&work)?;
    let code = work.join("agent").join(INCOMING).join("agent");
    let app = code.join("RussetAgent.app/Contents");
    put(&app.join("Info.plist"), agent_plist(&release.version).as_bytes(), 0o644)?;
    put(&app.join("PkgInfo"), b"APPL????", 0o644)?;
    copy_program(&from.join("russet"), &app.join("MacOS/russet"))?;
    copy_program(&from.join("russet-boot"), &code.join("russet-boot"))?;
    put(&code.join("uninstall.sh"), UNINSTALL.as_bytes(), 0o755)?;
    if release.menubar {
        let root = work.join("menubar");
        let app = root.join(INCOMING).join("menubar").join(russet_menubar_bundle::NAME);
        let files = russet_menubar_bundle::bundle_files(&release.version).context("Russet.app")?;
        for (path, bytes) in files {
            put(&app.join(path), &bytes, 0o644)?;
        }
        copy_program(&from.join("russet-menubar"), &app.join(russet_menubar_bundle::EXECUTABLE))?;
        let job = root.join("Library/LaunchAgents/dev.russet.menubar.plist");
        put(&job, MENUBAR_JOB.as_bytes(), 0o644)?;
    }
    for component in package_components(release) {
        close_incoming(&work.join(component))?;
    }
    Ok(package_components(release).join(" and "))
}

/// Closes `incoming` to others: `pkgbuild` takes modes as they are.
fn close_incoming(component: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let path = component.join(INCOMING);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(INCOMING_MODE.into()))
        .with_context(|| format!("could not close {}", path.display()))
}

/// The agent's Info.plist of a version.
#[must_use]
pub fn agent_plist(version: &str) -> String {
    AGENT_PLIST.replace("<string>@VERSION@<", &format!("<string>{version}<"))
}

fn copy_program(from: &Path, to: &Path) -> Result<()> {
    let bytes =
        std::fs::read(from).with_context(|| format!("could not read {}", from.display()))?;
    put(to, &bytes, 0o755)
}

fn put(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let failed = || format!("could not write {}", path.display());
    let directory = path.parent().map(PathBuf::from).unwrap_or_default();
    std::fs::create_dir_all(directory).with_context(failed)?;
    std::fs::write(path, bytes).with_context(failed)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).with_context(failed)
}
