//! Counting the starts of a launch agent on a state directory: between two looks of Prometheus an
//! agent can crash several times, and only a count that outlives it shows that.

use std::path::Path;

use russet_platform::replace;

/// Name of the file.
const NAME: &str = "starts";

/// Counts one more start, and returns their number. What cannot be read begins anew, and what
/// cannot be written is done without: it is no more than a number.
#[expect(
    clippy::disallowed_methods,
    reason = "the file lies in the state directory, where only root writes; it holds a number"
)]
pub(in crate::launch) fn count_start(state: &Path) -> u64 {
    let path = state.join(NAME);
    let before = std::fs::read_to_string(&path).ok().and_then(|text| text.trim().parse().ok());
    let starts = before.unwrap_or(0_u64).saturating_add(1);
    if let Err(error) = replace::write(&path, format!("{starts}\n").as_bytes(), 0o600) {
        tracing::debug!(file = %path.display(), %error, "could not count this start");
    }
    starts
}

#[cfg(test)]
mod tests {
    #[test]
    fn starts_are_counted_and_nonsense_begins_anew() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(super::count_start(dir.path()), 1);
        assert_eq!(super::count_start(dir.path()), 2);
        std::fs::write(dir.path().join("starts"), "many").unwrap();
        assert_eq!(super::count_start(dir.path()), 1);
    }
}
