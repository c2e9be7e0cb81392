//! Extended attributes that go with a file into an archive or a copy. Pure.

/// Attributes of macOS that only root and the system set, so that setting them again fails for each
/// file (fclones#333, restic#21972), and the time at which somebody opened it here.
const OF_THIS_MAC: [&str; 5] = [
    // On everything that a child of a notarized program writes, from macOS 13 on.
    "com.apple.provenance",
    "com.apple.rootless",
    "com.apple.macl",
    "com.apple.system.",
    "com.apple.lastuseddate#",
];

/// Returns true if an extended attribute is stored, and set again. On Linux `security.*` gives
/// privileges and `system.*` is about users of this machine.
pub(crate) fn is_kept(name: &str) -> bool {
    is_kept_by(name, cfg!(target_os = "macos"))
}

/// On macOS code signatures of scripts (`com.apple.cs.*`), resource forks and what Finder shows are
/// the file's own.
fn is_kept_by(name: &str, is_mac: bool) -> bool {
    let is_own = if is_mac {
        !OF_THIS_MAC.iter().any(|start| name.starts_with(start))
    } else {
        name.starts_with("user.")
    };
    is_own && !name.contains(['=', '\0', '\n'])
}

#[cfg(test)]
mod tests {
    use super::is_kept_by;

    #[test]
    fn signatures_and_forks_are_kept_and_what_only_the_system_sets_is_not() {
        for name in [
            "com.apple.cs.CodeDirectory",
            "com.apple.cs.CodeSignature",
            "com.apple.cs.CodeRequirements",
            "com.apple.cs.CodeEntitlements",
            "com.apple.ResourceFork",
            "com.apple.FinderInfo",
            "com.apple.metadata:_kMDItemUserTags",
            "com.apple.TextEncoding",
            "com.apple.quarantine",
            "org.example.mine",
            "user.mine",
        ] {
            assert!(is_kept_by(name, true), "{name}");
        }
        for name in [
            "com.apple.provenance",
            "com.apple.macl",
            "com.apple.lastuseddate#PS",
            "com.apple.rootless",
            "com.apple.system.Security",
        ] {
            assert!(!is_kept_by(name, true), "{name}");
        }
    }

    #[test]
    fn a_name_that_an_archive_cannot_hold_is_not_kept() {
        for is_mac in [false, true] {
            assert!(is_kept_by("user.a", is_mac));
            assert!(!is_kept_by("user.a=b", is_mac) && !is_kept_by("user.a\nb", is_mac));
        }
        assert!(!is_kept_by("security.capability", false));
    }
}
