//! Settings that every stage needs: the version, output paths, and the tools to use.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::choices::{Services, UpdateChoices};
use crate::credentials::{Credentials, Purpose};
use crate::hash::{hex, sha256};

/// Apple's tools, or what works without a Mac.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Tools {
    /// Apple's on a Mac, the others elsewhere.
    Auto,
    /// codesign, pkgbuild, productbuild, productsign, notarytool, stapler.
    Apple,
    /// apple-codesign, and what is written here.
    Rust,
}

/// The architectures of a release: what cargo calls them, what Apple does, and the oldest macOS.
pub const ARCHITECTURES: [(&str, &str, (u32, u32)); 2] =
    [("x86_64", "x86_64", (10, 15)), ("aarch64", "arm64", (11, 0))];

/// Everything that is known about a release from the start.
#[derive(Debug)]
pub struct Release {
    /// `X.Y.Z`.
    pub version: String,
    /// Output directory.
    pub out: PathBuf,
    /// The checkout.
    pub checkout: PathBuf,
    /// Set if Apple's tools are used.
    pub apple: bool,
    /// The profile of cargo.
    pub profile: String,
    /// Executables that are there already: `DIR/TARGET/PROFILE/NAME`.
    pub binaries: Option<PathBuf>,
    /// Set if the menubar companion is a part.
    pub menubar: bool,
    /// Identities that sign and submit.
    pub credentials: Credentials,
    /// Address of a server of timestamps; `None`: without.
    pub timestamp: Option<String>,
    /// Addresses of Apple's services; others in tests.
    pub services: Services,
    /// Choices for the manifest of the update.
    pub update: UpdateChoices,
    /// Seconds since 1970 that everything made is dated with.
    pub time: i64,
}

impl Release {
    /// A directory of a stage, for what is not the result.
    #[must_use]
    pub fn work(&self, stage: &str) -> PathBuf {
        self.out.join(".state").join("work").join(stage)
    }

    /// The executables of this release.
    #[must_use]
    pub fn programs(&self) -> Vec<&'static str> {
        let mut programs = vec!["russet", "russet-boot"];
        if self.menubar {
            programs.push("russet-menubar");
        }
        programs
    }

    /// Returns a text that changes with the signing identity of a purpose. It holds no secret.
    ///
    /// # Errors
    ///
    /// A credential cannot be used.
    pub fn signer(&self, purpose: Purpose) -> Result<String> {
        if self.apple {
            let variable = match purpose {
                Purpose::Application => "RUSSET_APPLICATION_IDENTITY",
                Purpose::Installer => "RUSSET_INSTALLER_IDENTITY",
            };
            return Ok(std::env::var(variable).unwrap_or_default());
        }
        let identity = self.credentials.identity(purpose)?;
        let certificate = identity.map(|identity| identity.certificate.encode_der());
        Ok(certificate.transpose()?.map(|der| hex(&sha256(&der))).unwrap_or_default())
    }

    /// Returns the package's file name.
    #[must_use]
    pub fn package_name(&self) -> String {
        format!("Russet-{}.pkg", self.version)
    }

    /// The result: the package that users install.
    #[must_use]
    pub fn package(&self) -> PathBuf {
        self.out.join(self.package_name())
    }

    /// The result: what an agent updates itself with.
    #[must_use]
    pub fn archive(&self) -> PathBuf {
        self.out.join(format!("russet-{}-macos-universal.tar.gz", self.version))
    }

    /// The bundle that goes into the update archive, with its ticket.
    #[must_use]
    pub fn stapled_bundle(&self) -> PathBuf {
        self.work("staple").join("RussetAgent.app")
    }

    /// The date as package formats have it; a date out of their range becomes its nearest.
    #[must_use]
    pub fn time_u32(&self) -> u32 {
        u32::try_from(self.time.max(0)).unwrap_or(u32::MAX)
    }

    /// The date as RFC 3339, UTC.
    #[must_use]
    pub fn time_text(&self) -> String {
        jiff::Timestamp::from_second(self.time).unwrap_or_default().to_string()
    }
}

/// Removes a directory, if it is there, and makes it anew.
///
/// # Errors
///
/// The file system refuses.
pub fn fresh(path: &Path) -> Result<()> {
    use anyhow::Context as _;
    let failed = || format!("could not make {} anew", path.display());
    if path.exists() {
        std::fs::remove_dir_all(path).with_context(failed)?;
    }
    std::fs::create_dir_all(path).with_context(failed)
}

/// Copies a directory with what is in it; links stay links.
///
/// # Errors
///
/// The file system refuses.
pub fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    use anyhow::Context as _;
    use std::os::unix::fs::PermissionsExt as _;
    for node in crate::tree::read(from)? {
        let target = if node.path == "." { to.to_owned() } else { to.join(&node.path) };
        let failed = || format!("could not write {}", target.display());
        match &node.kind {
            crate::tree::Kind::Directory => {
                std::fs::create_dir_all(&target).with_context(failed)?;
            }
            crate::tree::Kind::Link(link) => {
                std::os::unix::fs::symlink(link, &target).with_context(failed)?;
            }
            crate::tree::Kind::File(bytes) => {
                std::fs::write(&target, bytes).with_context(failed)?;
                let mode = std::fs::Permissions::from_mode(u32::from(node.mode));
                std::fs::set_permissions(&target, mode).with_context(failed)?;
            }
        }
    }
    Ok(())
}
