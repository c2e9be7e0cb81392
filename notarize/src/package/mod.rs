//! Stage `package`: component packages, and the product that holds them.
//!
//! No crate writes packages, so the writers of the three formats are here: cpio (through
//! cpio-archive), Bom and xar. With Apple's tools, `pkgbuild` and `productbuild` do it.

mod apple;
pub mod bom;
pub mod cpio;
pub mod distribution;

pub mod xar;

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::bundle::package_components;
use crate::places::{Release, fresh};
use crate::tree;
use distribution::Component;
use xar::Member;

pub use apple::{component_plist, pkgbuild, productbuild};

/// The scripts of a component: only the agent's has any.
#[must_use]
pub fn component_scripts(component: &str) -> Vec<(&'static str, &'static str)> {
    if component == "agent" {
        vec![
            ("preinstall", include_str!("../../../pkg-scripts/preinstall")),
            ("postinstall", include_str!("../../../pkg-scripts/postinstall")),
        ]
    } else {
        Vec::new()
    }
}

/// The version is in the scripts, which compare it with what is installed.
#[must_use]
pub fn script_text(text: &str, version: &str) -> String {
    text.replace("'@VERSION@'", &format!("'{version}'"))
}

/// Makes `package/Russet-X.Y.Z.pkg` from `sign/`.
///
/// # Errors
///
/// Something cannot be read or written, or a tool refuses.
pub fn make(release: &Release) -> Result<String> {
    let work = release.work("package");
    fresh(&work)?;
    if release.apple {
        apple::make(release, &work)?;
    } else {
        let (mut packages, mut members) = (Vec::new(), Vec::new());
        for name in package_components(release) {
            let (package, files) = build_component(release, name)?;
            std::fs::write(
                work.join(format!("{name}.pkg")),
                xar::write(&files, &release.time_text())?,
            )?;
            members.push(Member::Directory(format!("{name}.pkg"), files));
            packages.push(package);
        }
        let text = distribution::distribution(&release.version, &packages);
        members.insert(0, Member::File("Distribution".to_owned(), text.into_bytes()));
        let resources = product_resources(release)
            .into_iter()
            .map(|(name, bytes)| Member::File(name.to_owned(), bytes))
            .collect();
        members.insert(1, Member::Directory("Resources".to_owned(), resources));
        let product = xar::write(&members, &release.time_text())?;
        std::fs::write(work.join(release.package_name()), product)
            .context("could not write the package")?;
    }
    Ok(package_components(release).join(" and "))
}

/// The pages that Installer shows.
#[must_use]
pub fn product_resources(release: &Release) -> Vec<(&'static str, Vec<u8>)> {
    let welcome = include_str!("../../../pkg-scripts/resources/welcome.html");
    let license = include_str!("../../../LICENSE");
    vec![
        ("welcome.html", welcome.replace("@VERSION@", &release.version).into_bytes()),
        ("LICENSE.txt", license.as_bytes().to_vec()),
    ]
}

/// One component package: what the product says of it, and its files.
fn build_component(release: &Release, name: &'static str) -> Result<(Component, Vec<Member>)> {
    let time = release.time_u32();
    let nodes = tree::read(&release.work("sign").join(name))?;
    let package = Component::of(name, &nodes);
    let info =
        distribution::package_info(&release.version, &package, !component_scripts(name).is_empty());
    let mut files = vec![
        Member::File("Bom".to_owned(), bom::write(&nodes, time)?),
        Member::File("Payload".to_owned(), cpio::write(&nodes, time)?),
    ];
    let scripts: Vec<tree::Node> = component_scripts(name)
        .into_iter()
        .map(|(name, text)| tree::Node {
            path: name.to_owned(),
            kind: tree::Kind::File(script_text(text, &release.version).into_bytes()),
            mode: 0o755,
        })
        .collect();
    if !scripts.is_empty() {
        let root = tree::Node { path: ".".to_owned(), kind: tree::Kind::Directory, mode: 0o755 };
        let all = [vec![root], scripts].concat();
        files.push(Member::File("Scripts".to_owned(), cpio::write(&all, time)?));
    }
    files.push(Member::File("PackageInfo".to_owned(), info.into_bytes()));
    Ok((package, files))
}

/// Returns the path of the unsigned product.
#[must_use]
pub fn product_path(release: &Release) -> PathBuf {
    release.work("package").join(release.package_name())
}
