//! Tokens of classes in the System keychain.
//!
//! An item there trusts the program that made it, known by its signature, and asks a person about
//! every other. A program with no signature, or one made on the spot (ad hoc), cannot be known
//! again after it was built anew: it would ask, and nobody would answer. Such builds keep tokens
//! in the agent's own store (`crate::vault`) instead.
//!
//! Threat: jobs run this same signed program. It opens the keychain for euid 0 alone: the callers
//! come through `Vault::open`, and this module asks once more.

use russet_protocol::secret::Secret;
use security_framework::os::macos::code_signing::{Flags, SecCode, SecRequirement};
use security_framework::os::macos::keychain::SecKeychain;

use crate::KeychainError;

/// Keychain of the whole machine.
const KEYCHAIN: &str = "/Library/Keychains/System.keychain";

/// The service of every item of ours; the account is the token's name.
const SERVICE: &str = crate::layout::LABEL;

/// Requirement that a signature with a certificate from Apple fulfils, and an ad-hoc one does not.
const SIGNED: &str = "anchor apple generic";

/// Returns true if tokens are kept in the system's keychain.
#[must_use]
pub fn holds_tokens() -> bool {
    let Ok(signed) = SIGNED.parse::<SecRequirement>() else { return false };
    SecCode::for_self(Flags::NONE)
        .and_then(|code| code.check_validity(Flags::NONE, &signed))
        .is_ok()
}

/// Stores a token under its name, in place of one that was there.
///
/// # Errors
///
/// The keychain is locked, or belongs to another program's item.
pub fn put_token(name: &str, token: &Secret) -> Result<(), KeychainError> {
    with_keychain(|keychain| {
        keychain.set_generic_password(SERVICE, name, token.expose().as_bytes())
    })
}

/// Returns the token of this name.
///
/// # Errors
///
/// There is none, or the keychain does not give it to this program.
pub fn get_token(name: &str) -> Result<Secret, KeychainError> {
    let (password, _) = with_keychain(|keychain| keychain.find_generic_password(SERVICE, name))?;
    let text = std::str::from_utf8(password.as_ref()).map_err(|_| KeychainError::NotText)?;
    Ok(Secret::new(text))
}

/// Removes the token of this name.
///
/// # Errors
///
/// There is none, or the keychain cannot be changed.
pub fn remove_token(name: &str) -> Result<(), KeychainError> {
    let (_, item) = with_keychain(|keychain| keychain.find_generic_password(SERVICE, name))?;
    item.delete();
    Ok(())
}

fn with_keychain<T>(
    work: impl FnOnce(&SecKeychain) -> security_framework::base::Result<T>,
) -> Result<T, KeychainError> {
    if !nix::unistd::geteuid().is_root() {
        return Err(KeychainError::NotRoot);
    }
    // A question would wait for ever: a daemon has no screen. With this it is an error (-25308).
    let _quiet = SecKeychain::disable_user_interaction().map_err(refused)?;
    let keychain = SecKeychain::open(KEYCHAIN).map_err(refused)?;
    work(&keychain).map_err(refused)
}

fn refused(error: security_framework::base::Error) -> KeychainError {
    KeychainError::Refused(format!("{error} ({})", error.code()).into())
}
