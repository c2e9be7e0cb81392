//! Names of runners.

use super::error::ApiError;

/// The longest that a runner's name may be, in bytes.
const NAME_LIMIT: usize = 255;

/// The characters that CircleCI allows in names of runners.
pub(in crate::api) fn check_name(name: &str) -> Result<(), ApiError> {
    let allowed = |c: char| c.is_alphanumeric() || ".()-_ ".contains(c);
    if name.is_empty() || name.len() > NAME_LIMIT || !name.chars().all(allowed) {
        return Err(ApiError::Bad(format!(
            "name: `{}` is not a runner's name: letters, digits and `.()-_`, {NAME_LIMIT} at most",
            name.chars().take(NAME_LIMIT).collect::<String>().escape_debug(),
        )));
    }
    Ok(())
}
