//! The agent's bundle: whose code it is.

use std::path::Path;
use std::str::FromStr as _;

use security_framework::os::macos::code_signing::{Flags, SecRequirement, SecStaticCode};

/// The team whose signature updates must have, as whoever built this program said. Without it the
/// signature of the manifest is all there is, as for builds that are not signed at all.
const TEAM: Option<&str> = option_env!("RUSSET_TEAM_ID");

/// Returns true if a bundle is whole and signed by who may sign it: all architectures and
/// everything inside, with our identifier, by our team, with a certificate of Apple's.
///
/// # Errors
/// Checks the signature; the error is a sentence.
pub fn code_signature(bundle: &Path) -> Result<(), String> {
    let Some(team) = TEAM else { return Ok(()) };
    let wrong = |error: &dyn std::fmt::Display| {
        format!("the new version is not signed as this one is: {error}")
    };
    let url = core_foundation::url::CFURL::from_path(bundle, true)
        .ok_or_else(|| wrong(&"its path can not be written"))?;
    let requirement =
        SecRequirement::from_str(&requirement(team)).map_err(|error| wrong(&error))?;
    let code = SecStaticCode::from_path(&url, Flags::NONE).map_err(|error| wrong(&error))?;
    let strict = Flags::CHECK_ALL_ARCHITECTURES | Flags::STRICT_VALIDATE | Flags::CHECK_NESTED_CODE;
    code.check_validity(strict, &requirement).map_err(|error| wrong(&error))
}

/// In Apple's language for requirements: a Developer ID certificate of the team, our identifier.
fn requirement(team: &str) -> String {
    format!(
        "anchor apple generic and identifier \"{}\" and certificate leaf[subject.OU] = \"{team}\" \
         and certificate leaf[field.1.2.840.113635.100.6.1.13] exists",
        crate::layout::LABEL
    )
}
