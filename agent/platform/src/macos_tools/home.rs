//! Directories of a fresh home.

/// Directories that macOS makes in a home (createhomedir(1), from `/System/Library/User Template`)
/// with their modes, of those of `Library` the ones that tools do not make themselves; each after the
/// one that it lies in.
///
/// Without `Library/Preferences` `security` stores neither search list nor default keychain, and
/// exits with 0 (Security, `DLDBListCFPref.cpp`).
pub const DIRECTORIES: [(&str, u32); 14] = [
    ("Library", 0o700),
    ("Library/Application Support", 0o700),
    ("Library/Caches", 0o700),
    ("Library/Keychains", 0o700),
    ("Library/Logs", 0o700),
    ("Library/Preferences", 0o700),
    ("Desktop", 0o700),
    ("Documents", 0o700),
    ("Downloads", 0o700),
    ("Movies", 0o700),
    ("Music", 0o700),
    ("Pictures", 0o700),
    // For others, who do not get into a home of a slot all the same.
    ("Public", 0o755),
    ("Public/Drop Box", 0o733),
];
