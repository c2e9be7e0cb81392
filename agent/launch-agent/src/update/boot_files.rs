//! Files of `russet-boot`: versions that it went back from, and the probation of the one that runs.
//!
//! They are described in `docs/service.md`, their text is in `russet_protocol::boot_files`.

use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use libc::O_NOFOLLOW;
use russet_protocol::boot_files::{BAD, Bad, PROBATION, Probation, parse_bad};

/// Longest list of `russet-boot` that is read, in bytes.
const MAX_LIST_BYTES: u64 = 64 * 1024;

/// Returns the note that was written when the running version was put in place; `None` once
/// `russet-boot` believes the version.
pub(crate) fn probation(boot_state: &Path) -> Option<Probation> {
    Probation::parse(&read(&boot_state.join(PROBATION)).ok()?)
}

/// Returns true while the version that runs has yet to prove itself.
pub(crate) fn is_in_probation(boot_state: &Path) -> bool {
    boot_state.join(PROBATION).exists()
}

/// Returns true if a version (`1.10.0`) comes after another. A version that is not so written does:
/// it is none of those before.
pub(crate) fn is_newer(version: &str, than: &str) -> bool {
    let numbers = |text: &str| -> Option<Vec<u64>> {
        text.split(['.', '-', '+']).take(3).map(|number| number.parse().ok()).collect()
    };
    match (numbers(version), numbers(than)) {
        (Some(version), Some(than)) => version > than,
        _ => true,
    }
}

/// The versions that `russet-boot` went back from, the newest last; none where nothing says so.
pub(crate) fn bad_versions(boot_state: &Path) -> Vec<Bad> {
    parse_bad(&read(&boot_state.join(BAD)).unwrap_or_default())
}

fn read(path: &Path) -> io::Result<String> {
    let mut options = std::fs::OpenOptions::new();
    let file = options.read(true).custom_flags(O_NOFOLLOW).open(path)?;
    let mut text = String::new();
    file.take(MAX_LIST_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::is_newer;

    #[test]
    fn versions_are_compared_by_their_numbers() {
        assert!(is_newer("1.10.0", "1.9.3"));
        assert!(!is_newer("1.9.3", "1.9.3"));
        assert!(!is_newer("1.9.3-rc1", "1.10.0"));
        assert!(is_newer("unknown", "1.10.0"));
    }
}
