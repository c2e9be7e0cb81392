//! Signatures through the crate apple-codesign.

use std::fs::File;
use std::path::Path;

use anyhow::{Context as _, Result};
use apple_codesign::{CodeSignatureFlags, SettingsScope, SigningSettings, UnifiedSigner};

use crate::bundle::Signed;
use crate::credentials::Identity;
use crate::places::Release;

/// Signs one thing in place.
pub(super) fn sign_code(
    release: &Release,
    item: &Signed,
    identity: Option<&Identity>,
    work: &Path,
) -> Result<()> {
    let mut settings = settings(release, identity)?;
    settings.set_binary_identifier(SettingsScope::Main, item.identifier);
    settings.set_code_signature_flags(SettingsScope::Main, CodeSignatureFlags::RUNTIME);
    settings.set_entitlements_xml(SettingsScope::Main, item.entitlements)?;
    if let Some(team) = identity.and_then(Identity::team) {
        settings.set_team_id(team);
    }
    let path = work.join(item.component).join(item.path);
    let draft = path.with_extension("signing");
    UnifiedSigner::new(settings).sign_path(&path, &draft)?;
    if path.is_dir() {
        std::fs::remove_dir_all(&path)?;
    }
    std::fs::rename(&draft, &path)?;
    Ok(())
}

/// Signs a package.
pub(super) fn sign_package(
    release: &Release,
    identity: &Identity,
    from: &Path,
    to: &Path,
) -> Result<()> {
    // Read before it is written: the signer leaves half a file where it fails.
    drop(File::open(from).with_context(|| format!("could not read {}", from.display()))?);
    UnifiedSigner::new(settings(release, Some(identity))?).sign_xar(from, to)?;
    let mut package = std::fs::read(to)?;
    super::classic::replace_signature(&mut package, identity)?;
    std::fs::write(to, package).with_context(|| format!("could not write {}", to.display()))
}

fn settings<'a>(release: &Release, identity: Option<&'a Identity>) -> Result<SigningSettings<'a>> {
    let mut settings = SigningSettings::default();
    let Some(identity) = identity else { return Ok(settings) };
    settings.set_signing_key(identity.key.as_ref(), identity.certificate.clone());
    for certificate in &identity.chain {
        settings.chain_certificate(certificate.clone());
    }
    if let Some(address) = &release.timestamp {
        settings.set_time_stamp_url(address)?;
    }
    Ok(settings)
}
