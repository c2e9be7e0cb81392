//! Signatures through Apple's tools, with identities of a keychain. Only a Mac can run them; what
//! is tested elsewhere is how they are called.

use std::path::Path;

use anyhow::{Context as _, Result};

use crate::bundle::{Signed, signed_items};
use crate::places::Release;
use crate::process::{command, run_tool};

/// Arguments of `codesign` for one thing. `-` as identity is ad hoc.
#[must_use]
pub fn codesign(item: &Signed, identity: &str, entitlements: &Path, path: &Path) -> Vec<String> {
    // Apple's server of timestamps signs for certificates alone.
    let timestamp = if identity == "-" { "--timestamp=none" } else { "--timestamp" };
    let words = ["--force", "--options", "runtime", timestamp, "--identifier", item.identifier];
    let mut arguments: Vec<String> = words.map(str::to_owned).to_vec();
    arguments.extend(["--entitlements".to_owned(), entitlements.display().to_string()]);
    arguments.extend(["--sign".to_owned(), identity.to_owned(), path.display().to_string()]);
    arguments
}

/// Arguments of `productsign`.
#[must_use]
pub fn productsign(identity: &str, from: &Path, to: &Path) -> Vec<String> {
    let words = ["--timestamp", "--sign", identity].map(str::to_owned).to_vec();
    [words, vec![from.display().to_string(), to.display().to_string()]].concat()
}

pub(super) fn sign_with_codesign(release: &Release, work: &Path) -> Result<String> {
    let identity = std::env::var("RUSSET_APPLICATION_IDENTITY");
    let identity = identity.unwrap_or_else(|_| "-".to_owned());
    for item in signed_items(release) {
        let entitlements = work.join("entitlements.plist");
        std::fs::write(&entitlements, item.entitlements)?;
        let path = work.join(item.component).join(item.path);
        let arguments = codesign(item, &identity, &entitlements, &path);
        run_tool(command("/usr/bin/codesign", &[]).args(arguments))
            .with_context(|| format!("could not sign {}", item.path))?;
        std::fs::remove_file(&entitlements)?;
    }
    Ok(if identity == "-" {
        "ad hoc, for testing: RUSSET_APPLICATION_IDENTITY names no certificate".to_owned()
    } else {
        format!("by {identity}")
    })
}

pub(super) fn package(from: &Path, to: &Path) -> Result<String> {
    match std::env::var("RUSSET_INSTALLER_IDENTITY") {
        Ok(identity) => {
            run_tool(command("/usr/bin/productsign", &[]).args(productsign(&identity, from, to)))?;
            Ok(format!("by {identity}"))
        }
        Err(_) => {
            std::fs::copy(from, to)?;
            Ok("not signed, for testing: RUSSET_INSTALLER_IDENTITY names no certificate".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{codesign, productsign};
    use crate::bundle::SIGNED;

    #[test]
    fn codesign_is_told_the_hardened_runtime_the_identifier_and_a_timestamp() {
        let path = Path::new("/w/RussetAgent.app");
        let line = codesign(&SIGNED[1], "Developer ID Application: A (B)", Path::new("/e"), path);
        assert_eq!(
            line,
            [
                "--force",
                "--options",
                "runtime",
                "--timestamp",
                "--identifier",
                "dev.russet.agent",
                "--entitlements",
                "/e",
                "--sign",
                "Developer ID Application: A (B)",
                "/w/RussetAgent.app",
            ]
        );
        assert!(codesign(&SIGNED[0], "-", path, path).contains(&"--timestamp=none".to_owned()));
    }

    #[test]
    fn productsign_is_told_the_identity_and_a_timestamp() {
        assert_eq!(
            productsign("I", Path::new("/a"), Path::new("/b")),
            ["--timestamp", "--sign", "I", "/a", "/b"]
        );
    }
}
