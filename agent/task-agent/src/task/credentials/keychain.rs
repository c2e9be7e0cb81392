//! Signing identities and profiles on macOS: a keychain of the task's own, made in its own
//! security session, and deleted with it.

use std::path::{Path, PathBuf};

use russet_protocol::credential::{Content, Credential, file_variable};
use russet_protocol::secret::Secret;
use russet_protocol::supervise::SlotDirs;

use super::files::{self, Place, decode_base64};
use super::{CredentialError, Delivered};
use crate::path_error::PathError;
use russet_platform::command::Tools;
use russet_platform::macos_tools::security::{Keychains, PREFIX};

/// Directory of the user's keychains.
const KEYCHAINS: &str = "Library/Keychains";

/// Directories in which Xcode looks for profiles: up to version 15, and from version 16 on.
const PROFILES: [&str; 2] = [
    "Library/MobileDevice/Provisioning Profiles",
    "Library/Developer/Xcode/UserData/Provisioning Profiles",
];

/// Names the task's keychain.
const VARIABLE: &str = "RUSSET_KEYCHAIN";

fn keychain_path(home: &Path) -> PathBuf {
    home.join(KEYCHAINS).join(format!("{PREFIX}1.keychain-db"))
}

/// Makes the keychain and puts every identity into it.
pub(super) fn deliver(
    credentials: &[Credential],
    place: &Place,
    to: &mut Delivered,
) -> Result<(), CredentialError> {
    let mut identities = Vec::new();
    let mut names = Vec::new();
    for Credential { name, content } in credentials {
        let Content::SigningIdentity { p12, password } = content else { continue };
        let bytes = decode_base64(p12).map_err(CredentialError::of(name))?;
        let file = place.write(&format!("{name}.p12"), &bytes);
        identities.push((file.map_err(CredentialError::of(name))?, password));
        names.push(name.as_str());
    }
    if identities.is_empty() {
        return Ok(());
    }
    place.directory(Path::new(KEYCHAINS))?;
    let keychain = keychain_path(&place.home);
    let made = Keychains::new(Tools::system(), &place.home).make(
        &keychain,
        &random_password()?,
        &identities,
    );
    // They are in the keychain now, or not to be used at all.
    for (file, _) in &identities {
        std::fs::remove_file(file).map_err(PathError::when("remove", file))?;
    }
    let named = names.join(", ");
    let found = made.map_err(CredentialError::of(&named))?;
    to.lines.push(format!("credential {named}: a keychain with {}", found.matching.join(", ")));
    if found.valid < found.matching.len() {
        to.lines.push(format!(
            "{} of these {} identities are valid: the others have expired, or the certificate of \
             their issuer is not on this machine",
            found.valid,
            found.matching.len()
        ));
    }
    let keychain = keychain.to_string_lossy().into_owned();
    for name in names {
        to.name(file_variable(name), keychain.as_str());
    }
    to.name(VARIABLE.to_owned(), keychain);
    Ok(())
}

/// Writes a provisioning profile to where each Xcode looks, under the name that it looks for.
pub(super) fn install_profile(
    place: &Place,
    name: &str,
    extension: &str,
    bytes: &[u8],
) -> Result<PathBuf, CredentialError> {
    let draft = place.write(&format!("{name}.{extension}"), bytes)?;
    let profile = Keychains::new(Tools::system(), &place.home).profile(&draft)?;
    for directory in PROFILES {
        let directory = place.directory(Path::new(directory))?;
        let path = directory.join(format!("{}.{extension}", profile.uuid));
        // The same profile under two names is one.
        if !path.exists() {
            files::write(&path, bytes)?;
        }
    }
    Ok(draft)
}

/// Deletes the task's keychain, which securityd and the search list know as well. Says what could
/// not be deleted.
pub(super) fn remove(dirs: &SlotDirs) -> Vec<String> {
    let keychain = keychain_path(&dirs.home);
    if !keychain.exists() {
        return Vec::new();
    }
    match Keychains::new(Tools::system(), &dirs.home).delete(&keychain) {
        Ok(()) => Vec::new(),
        Err(error) => vec![format!("could not delete {}: {error}", keychain.display())],
    }
}

/// The password of a keychain that lives as long as a task: nobody is told it.
fn random_password() -> Result<Secret, CredentialError> {
    use base64::Engine as _;
    let mut bytes = zeroize::Zeroizing::new([0; 24]);
    getrandom::fill(bytes.as_mut()).map_err(CredentialError::Random)?;
    Ok(Secret::new(base64::engine::general_purpose::STANDARD.encode(bytes.as_slice())))
}
