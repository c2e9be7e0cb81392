//! The XML of packages: `PackageInfo` of a component, `Distribution` of the product.
//!
//! All of them have in common: not relocatable (Spotlight would have Installer put the agent
//! where somebody once moved a bundle of its identifier), no comparison of bundle versions (a
//! downgrade is for `preinstall` to refuse, and to allow), owner and modes as in the package.

use std::fmt::Write as _;

use crate::tree::{Kind, Node};

/// Facts about a component package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Component {
    /// `agent` or `menubar`.
    pub name: &'static str,
    /// Number of paths that it installs.
    pub paths: usize,
    /// Size of the files that it installs, KiB.
    pub kilobytes: u64,
    /// Its bundles: where, and with which identifier.
    bundles: Vec<(String, &'static str)>,
}

impl Component {
    /// Of these nodes.
    #[must_use]
    pub fn of(name: &'static str, nodes: &[Node]) -> Self {
        let bytes: u64 = nodes.iter().map(|node| node.bytes().len() as u64).sum();
        let bundles = crate::bundle::SIGNED
            .iter()
            .filter(|signed| signed.component == name && !signed.executable.is_empty())
            .filter(|signed| {
                nodes.iter().any(|node| node.path == signed.path && node.kind == Kind::Directory)
            })
            .map(|signed| (signed.path.to_owned(), signed.identifier))
            .collect();
        Self { name, paths: nodes.len(), kilobytes: bytes.div_ceil(1024), bundles }
    }

    /// Its identifier, which its receipt on a Mac has.
    #[must_use]
    pub fn identifier(&self) -> String {
        format!("dev.russet.{}.pkg", self.name)
    }
}

/// Seconds after which Installer ends `preinstall`, which waits for nothing. macOS 15 and later
/// honour it; without it they give 600, as `pkgbuild` writes (deploymenttheory/macospkg).
const PREINSTALL_TIMEOUT_S: u32 = 120;

/// Seconds after which Installer ends `postinstall`. It takes seconds where an agent runs; the first
/// time it makes users and waits for the agent, on a Mac that may be busy.
const POSTINSTALL_TIMEOUT_S: u32 = 600;

/// `PackageInfo`.
#[must_use]
pub fn package_info(version: &str, component: &Component, scripts: bool) -> String {
    let (mut bundles, mut references) = (String::new(), String::new());
    for (path, identifier) in &component.bundles {
        let _infallible = writeln!(
            bundles,
            "    <bundle path=\"./{path}\" id=\"{identifier}\" CFBundleShortVersionString=\"{version}\" CFBundleVersion=\"{version}\"/>"
        );
        let _infallible = write!(references, "<bundle id=\"{identifier}\"/>");
    }
    let scripts = if scripts {
        format!(
            "    <scripts>\n        <preinstall file=\"./preinstall\" timeout=\"{PREINSTALL_TIMEOUT_S}\"/>\n        <postinstall file=\"./postinstall\" timeout=\"{POSTINSTALL_TIMEOUT_S}\"/>\n    </scripts>\n"
        )
    } else {
        String::new()
    };
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>
<pkg-info overwrite-permissions=\"true\" relocatable=\"false\" identifier=\"{id}\" postinstall-action=\"none\" version=\"{version}\" format-version=\"2\" install-location=\"/\" auth=\"root\">
    <payload numberOfFiles=\"{paths}\" installKBytes=\"{kilobytes}\"/>
{bundles}    <bundle-version/>
    <upgrade-bundle>{references}</upgrade-bundle>
    <update-bundle/>
    <atomic-update-bundle/>
    <strict-identifier>{references}</strict-identifier>
    <relocate/>
{scripts}</pkg-info>
",
        id = component.identifier(),
        paths = component.paths,
        kilobytes = component.kilobytes,
    )
}

/// `Distribution`, with these components in it.
#[must_use]
pub fn distribution(version: &str, components: &[Component]) -> String {
    let mut packages = String::new();
    for component in components {
        let (id, name) = (component.identifier(), component.name);
        let _infallible = writeln!(
            packages,
            "    <pkg-ref id=\"{id}\" version=\"{version}\" installKBytes=\"{}\" auth=\"root\" onConclusion=\"none\">#{name}.pkg</pkg-ref>",
            component.kilobytes
        );
    }
    let menubar = components.iter().any(|component| component.name == "menubar");
    template(version, menubar).replace("@PACKAGES@", &packages)
}

/// The template with everything but the packages, which `productbuild` adds itself.
#[must_use]
pub fn template(version: &str, menubar: bool) -> String {
    let (line, choice) = if menubar {
        (
            "        <line choice=\"menubar\"/>\n",
            "\n    <choice id=\"menubar\" title=\"Menu bar item\" description=\"Shows people who are logged in what the agent does.\">\n        <pkg-ref id=\"dev.russet.menubar.pkg\"/>\n    </choice>",
        )
    } else {
        ("", "")
    };
    include_str!("../../../pkg-scripts/Distribution.xml")
        .replace("@MENUBAR_LINE@", line)
        .replace("@MENUBAR_CHOICE@", choice)
        .replace("@VERSION@", version)
}
