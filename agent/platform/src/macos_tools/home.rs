//! Directories of a fresh home.

/// Directories that macOS makes in a home (createhomedir(1), from `/System/Library/User Template`),
/// of those that tools do not make themselves, each after the one that it lies in.
///
/// Without `Library/Preferences` `security` stores neither search list nor default keychain, and
/// exits with 0 (Security, `DLDBListCFPref.cpp`).
pub const DIRECTORIES: [&str; 9] = [
    "Library",
    "Library/Application Support",
    "Library/Caches",
    "Library/Keychains",
    "Library/Logs",
    "Library/Preferences",
    "Desktop",
    "Documents",
    "Downloads",
];
