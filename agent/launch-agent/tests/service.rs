//! The files that launchd and systemd read: that they say what the code says, in words that those
//! understand.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed step of a test is its failure")]
#![expect(clippy::disallowed_methods, reason = "files of the checkout are read")]

#[path = "service/launchd.rs"]
mod launchd;
#[path = "service/systemd.rs"]
mod systemd;

/// A file of the checkout.
fn file(name: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name)
}

/// Every key has a line in a table of the README: `| `Key` | …`, by itself or with others that have
/// the same reason.
fn assert_explained(readme: &str, key: &str) {
    let text = std::fs::read_to_string(file(readme)).unwrap();
    let quoted = format!("`{key}`");
    let mut cells = text.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
    assert!(cells.any(|cell| cell.contains(&quoted)), "{readme} has no line for {key}");
}
