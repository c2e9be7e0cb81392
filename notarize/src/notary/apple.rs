//! Notarization through `notarytool`, with a profile in a keychain.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::{Submission, check_verdict};
use crate::places::Release;
use crate::process::{command, tool_output};

/// The profile that `notarytool store-credentials` made, where that is to be used.
pub(super) fn keychain_profile(release: &Release) -> Option<String> {
    release.apple.then(|| std::env::var("RUSSET_NOTARY_PROFILE").ok()).flatten()
}

/// Arguments that submit a package and wait for the verdict.
#[must_use]
pub fn notarytool_submit(profile: &str, package: &Path, wait: Duration) -> Vec<String> {
    let path = package.display().to_string();
    let timeout = format!("{}s", wait.as_secs());
    let words = ["notarytool", "submit", &path, "--keychain-profile", profile, "--wait"];
    let more = ["--timeout", &timeout, "--output-format", "json"];
    [words.map(str::to_owned).to_vec(), more.map(str::to_owned).to_vec()].concat()
}

/// Arguments that print a log.
#[must_use]
pub fn notarytool_log(profile: &str, id: &str) -> Vec<String> {
    ["notarytool", "log", id, "--keychain-profile", profile].map(str::to_owned).to_vec()
}

/// Id and status out of what `notarytool` prints. Its exit status says nothing about them.
///
/// # Errors
///
/// It printed something else.
pub fn read_verdict(printed: &str) -> Result<(String, String)> {
    let value: Value = serde_json::from_str(printed).context("notarytool printed no JSON")?;
    let text = |name: &str| {
        let text = value[name].as_str().map(str::to_owned);
        text.with_context(|| format!("notarytool named no {name}"))
    };
    Ok((text("id")?, text("status")?))
}

pub(super) fn submit_with_notarytool(
    release: &Release,
    profile: &str,
    package: &Path,
    sha256: String,
    work: &Path,
) -> Result<String> {
    let arguments = notarytool_submit(profile, package, release.services.wait);
    let (_, printed) = tool_output(command("/usr/bin/xcrun", &[]).args(arguments))?;
    let (id, status) = read_verdict(&printed)?;
    let (_, log) = tool_output(command("/usr/bin/xcrun", &[]).args(notarytool_log(profile, &id)))?;
    std::fs::write(work.join("log.json"), &log)?;
    let submission = Submission { sha256, id: Some(id), status: Some(status) };
    submission.write(work)?;
    check_verdict(&submission, Some(&log), work)
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::{notarytool_submit, read_verdict};

    #[test]
    fn notarytool_is_told_to_wait_and_to_answer_in_json_and_no_secret() {
        let line = notarytool_submit("russet", Path::new("/a.pkg"), Duration::from_secs(60));
        assert_eq!(
            line.join(" "),
            "notarytool submit /a.pkg --keychain-profile russet --wait --timeout 60s --output-format json"
        );
    }

    #[test]
    fn the_status_is_read_from_what_is_printed() {
        let printed =
            r#"{"id": "2efe2717", "status": "Invalid", "message": "Processing complete"}"#;
        assert_eq!(read_verdict(printed).unwrap(), ("2efe2717".to_owned(), "Invalid".to_owned()));
        assert!(read_verdict("Conducting pre-submission checks").is_err());
    }
}
