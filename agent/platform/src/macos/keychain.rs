//! Tokens of classes in the System keychain.
//!
//! An item there trusts the program that made it, known by its signature, and asks a person about
//! every other. A program with no signature, or one made on the spot (ad hoc), can not be known
//! again after it was built anew: it would ask, and nobody would answer. Such builds keep tokens
//! in the agent's own store (`crate::vault`) instead.
//!
//! Threat: jobs run this same signed program. It opens the keychain for euid 0 alone: the callers
//! come through `Vault::open`, and this module asks once more.

use russet_protocol::secret::Secret;
use security_framework::os::macos::code_signing::{Flags, SecCode, SecRequirement};
use security_framework::os::macos::keychain::SecKeychain;

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
pub fn put(name: &str, token: &Secret) -> Result<(), String> {
    with(|keychain| keychain.set_generic_password(SERVICE, name, token.expose().as_bytes()))
}

/// The token of this name.
///
/// # Errors
///
/// There is none, or the keychain does not give it to this program.
pub fn get(name: &str) -> Result<Secret, String> {
    let (password, _) = with(|keychain| keychain.find_generic_password(SERVICE, name))?;
    let text = std::str::from_utf8(password.as_ref())
        .map_err(|_| "the keychain's item is no token".to_owned())?;
    Ok(Secret::new(text))
}

/// Removes the token of this name.
///
/// # Errors
///
/// There is none, or the keychain can not be changed.
pub fn remove(name: &str) -> Result<(), String> {
    let (_, item) = with(|keychain| keychain.find_generic_password(SERVICE, name))?;
    item.delete();
    Ok(())
}

fn with<T>(
    work: impl FnOnce(&SecKeychain) -> security_framework::base::Result<T>,
) -> Result<T, String> {
    if !nix::unistd::geteuid().is_root() {
        return Err("tokens in the System keychain are root's alone".to_owned());
    }
    // A question would wait for ever: a daemon has no screen. With this it is an error (-25308).
    let _quiet = SecKeychain::disable_user_interaction().map_err(|error| error.to_string())?;
    let keychain = SecKeychain::open(KEYCHAIN).map_err(|error| error.to_string())?;
    work(&keychain).map_err(|error| format!("the System keychain: {error} ({})", error.code()))
}
