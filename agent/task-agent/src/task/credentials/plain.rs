//! Signing identities and profiles where there is no keychain: files, for tools that sign on
//! Linux.

use std::path::PathBuf;

use russet_protocol::credential::{Content, Credential, file_variable};
use russet_protocol::supervise::SlotDirs;

use super::files::{Place, decode_base64};
use super::{CredentialError, Delivered};

/// Writes each identity and its password into files.
pub(super) fn deliver(
    credentials: &[Credential],
    place: &Place,
    to: &mut Delivered,
) -> Result<(), CredentialError> {
    for Credential { name, content } in credentials {
        let Content::SigningIdentity { p12, password } = content else { continue };
        let bytes = decode_base64(p12).map_err(CredentialError::of(name))?;
        let failed = CredentialError::of(name);
        let file = place.write(&format!("{name}.p12"), &bytes).map_err(&failed)?;
        let password = password.expose().as_bytes();
        let password = place.write(&format!("{name}.password"), password).map_err(&failed)?;
        to.lines.push(format!("credential {name}: a .p12 file and one with its password"));
        to.name(file_variable(name), file.to_string_lossy());
        to.name(format!("{}_PASSWORD_FILE", file_variable(name)), password.to_string_lossy());
    }
    Ok(())
}

/// Writes a provisioning profile.
pub(super) fn install_profile(
    place: &Place,
    name: &str,
    extension: &str,
    bytes: &[u8],
) -> Result<PathBuf, CredentialError> {
    Ok(place.write(&format!("{name}.{extension}"), bytes)?)
}

/// Nothing is known to the system here: everything goes with the home.
pub(super) fn remove(_dirs: &SlotDirs) -> Vec<String> {
    Vec::new()
}
