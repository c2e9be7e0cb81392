//! Refusals of macOS that only somebody who knows sessions understands, told in the log of the step
//! that met one.
//!
//! Without a session at the screen there is no `testmanagerd` for tests of macOS, which launchd
//! starts in such sessions alone, and LaunchServices has no domain to open an application in. Both
//! say so in words that name neither. Looked for only in the end of a step's output that failed, so
//! a step that goes well pays nothing.

use aho_corasick::AhoCorasick;

/// Bytes at the end of a failed step's output that are looked at: xcodebuild says it in its last
/// lines, above a back trace.
pub(super) const TAIL_BYTES: usize = 256 * 1024;

/// Bytes after a sentence that belong to it.
const SENTENCE_BYTES: usize = 200;

/// Words of `xcodebuild test` for macOS without `testmanagerd` (wraithbox X06 on macOS 27.0.1;
/// flutter/flutter #132975 and #108560; maplibre-native #981).
const NO_TEST_MANAGER: &str = "com.apple.testmanagerd.control was invalidated";

/// The same sentence where a sandbox keeps the process from it, which no session changes.
const SANDBOX: &str = "Sandbox restriction";

/// Words of `open` and `launchctl` without the domain `gui/UID` (launchctl's error 125).
const NO_DOMAIN: &str = "Domain does not support specified action";

/// Words of a UI test where the screen is locked or asleep, or automation mode needs a password
/// (actions/runner-images #7621, flutter/flutter #166011).
const NO_AUTOMATION: &str = "Timed out while enabling automation mode";

/// Returns what to do about a refusal in the last output of a step, in a task with a session at the
/// screen or without one.
pub(super) fn hint_about(tail: &[u8], has_screen: bool) -> Option<&'static str> {
    let finder = AhoCorasick::new([NO_TEST_MANAGER, NO_DOMAIN, NO_AUTOMATION]).ok()?;
    finder.find_iter(tail).find_map(|found| match (found.pattern().as_usize(), has_screen) {
        (0, false) if !is_followed_by(tail, found.end(), SANDBOX) => Some(
            "hint: this class has no session at the screen, and `xcodebuild test` for macOS needs \
             one, also for unit tests and packages: use a class with `session: gui`, or `swift \
             test` for a package (docs/sessions.md)",
        ),
        (1, false) => Some(
            "hint: this class has no session at the screen, so macOS opens no application and has \
             no launchd domain `gui/…` here: use a class with `session: gui` (docs/sessions.md)",
        ),
        (2, false) => Some(
            "hint: this class has no session at the screen, which UI tests of macOS need: use a \
             class with `session: gui` (docs/sessions.md)",
        ),
        (2, true) => Some(
            "hint: the screen is locked or asleep, or automation mode asks for a password: `sudo \
             russet agent gui setup` on the runner's machine, and `russet agent doctor` says what \
             is in the way",
        ),
        _ => None,
    })
}

/// Returns true if the rest of a sentence has `text` in it.
fn is_followed_by(tail: &[u8], end: usize, text: &str) -> bool {
    let rest = tail.get(end..).unwrap_or_default();
    let rest = rest.get(..SENTENCE_BYTES).unwrap_or(rest);
    rest.windows(text.len()).any(|window| window == text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::hint_about;

    /// As xcodebuild printed it in published logs.
    const REFUSED: &str = "2026-10-08 10:00:00.000 xcodebuild[1:2] Error Domain=NSCocoaErrorDomain \
        Code=4099 \"The connection to service named com.apple.testmanagerd.control was invalidated: \
        Connection init failed at lookup with error 3 - No such process.\"";

    #[test]
    fn a_refused_session_is_told_with_the_way_out() {
        let hint = |text: &str, has_screen| hint_about(text.as_bytes(), has_screen);
        let told = hint(REFUSED, false).unwrap();
        assert!(told.contains("`session: gui`") && told.contains("`swift test`"), "{told}");
        assert_eq!(hint(REFUSED, true), None);
        let open = "_LSOpenURLsWithCompletionHandler() failed with error -10810: Domain does not \
                    support specified action";
        assert!(hint(open, false).unwrap().contains("opens no application"));
        let late = "Failed to initialize for UI testing: Timed out while enabling automation mode.";
        assert!(hint(late, true).unwrap().contains("russet agent gui setup"));
        assert!(hint(late, false).unwrap().contains("`session: gui`"));
    }

    #[test]
    fn other_failures_get_no_hint() {
        let sandboxed =
            REFUSED.replace("error 3 - No such process", "error 159 - Sandbox restriction");
        for text in ["", "** TEST FAILED **", "testmanagerd is fine", sandboxed.as_str()] {
            assert_eq!(hint_about(text.as_bytes(), false), None, "{text}");
        }
        let both = format!("{sandboxed}\n{}{REFUSED}", "x".repeat(300));
        assert!(hint_about(both.as_bytes(), false).is_some());
    }
}
