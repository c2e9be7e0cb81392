//! The agent's bundle: whose code it is.

use std::path::Path;
use std::str::FromStr as _;

use security_framework::os::macos::code_signing::{Flags, SecRequirement, SecStaticCode};

use crate::SignatureError;

/// The team whose signature updates must have, as whoever built this program said. Without it the
/// signature of the manifest is all there is, as for builds that are not signed at all.
const TEAM: Option<&str> = option_env!("RUSSET_TEAM_ID");

/// Checks that a bundle is whole and signed by who may sign it: all architectures and everything
/// inside, with our identifier, by our team, with a certificate of Apple's.
///
/// # Errors
/// The fault of the signature.
pub fn check_code_signature(bundle: &Path) -> Result<(), SignatureError> {
    check_signature_of(bundle, crate::layout::LABEL)
}

/// Checks a bundle or program of another identifier in the same way.
///
/// # Errors
/// As those of [`check_code_signature`].
pub fn check_signature_of(code: &Path, identifier: &str) -> Result<(), SignatureError> {
    let Some(team) = TEAM else { return Ok(()) };
    let url = core_foundation::url::CFURL::from_path(code, code.is_dir())
        .ok_or_else(|| SignatureError("its path cannot be written".into()))?;
    let requirement =
        SecRequirement::from_str(&team_requirement(team, identifier)).map_err(wrong)?;
    let code = SecStaticCode::from_path(&url, Flags::NONE).map_err(wrong)?;
    let strict = Flags::CHECK_ALL_ARCHITECTURES | Flags::STRICT_VALIDATE | Flags::CHECK_NESTED_CODE;
    code.check_validity(strict, &requirement).map_err(wrong)
}

fn wrong(error: security_framework::base::Error) -> SignatureError {
    SignatureError(Box::new(error))
}

/// In Apple's language for requirements: a Developer ID certificate of the team, our identifier.
fn team_requirement(team: &str, identifier: &str) -> String {
    format!(
        "anchor apple generic and identifier \"{identifier}\" and certificate leaf[subject.OU] = \
         \"{team}\" and certificate leaf[field.1.2.840.113635.100.6.1.13] exists"
    )
}
