//! Stage `notarize`: Apple looks at the package, and says what it thinks of it.
//!
//! The verdict is read here: `notarytool submit --wait` ends with 0 for a package that was found
//! invalid (Santa shipped around that). Whatever the verdict, the log is fetched and kept.

mod apple;
mod client;
mod jwt;
mod s3;

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

use crate::hash;
use crate::places::Release;

pub use crate::choices::Services;
pub use apple::{notarytool_log, notarytool_submit, read_verdict};
pub use client::{Http, Notary};
pub use jwt::sign_token;
pub use s3::{Storage, sign_upload};

/// State of a submission; `notarize/result.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submission {
    /// The package.
    pub sha256: String,
    /// The service's id. `None`: it was not submitted.
    pub id: Option<String>,
    /// `Accepted`, or what else the service said last.
    pub status: Option<String>,
}

impl Submission {
    /// Returns true if there are tickets for it.
    #[must_use]
    pub fn accepted(&self) -> bool {
        self.status.as_deref() == Some("Accepted")
    }

    /// The one of this release.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn read(release: &Release) -> Result<Self> {
        let path = release.work("notarize").join("result.json");
        let text =
            std::fs::read(&path).with_context(|| format!("could not read {}", path.display()))?;
        serde_json::from_slice(&text).with_context(|| path.display().to_string())
    }

    fn write(&self, directory: &Path) -> Result<()> {
        let path = directory.join("result.json");
        std::fs::write(&path, serde_json::to_vec_pretty(self)?)
            .with_context(|| format!("could not write {}", path.display()))
    }
}

/// Returns a text that changes with the submitting key.
///
/// # Errors
///
/// The credential cannot be read.
pub fn submitter_label(release: &Release) -> Result<String> {
    if let Some(profile) = apple::keychain_profile(release) {
        return Ok(profile);
    }
    Ok(release.credentials.notary()?.map(|key| key.key_id).unwrap_or_default())
}

/// Submits the signed package, waits for the verdict and fetches the log.
///
/// # Errors
///
/// The verdict is not `Accepted`, or the service does not answer.
pub fn notarize_package(release: &Release) -> Result<String> {
    let work = release.work("notarize");
    std::fs::create_dir_all(&work)?;
    let package = release.work("sign-package").join(release.package_name());
    let sha256 = hash::hash_tree(&package)?;
    if let Some(profile) = apple::keychain_profile(release) {
        return apple::submit_with_notarytool(release, &profile, &package, sha256, &work);
    }
    let Some(key) = release.credentials.notary()? else {
        Submission { sha256, id: None, status: None }.write(&work)?;
        return Ok("not submitted, for testing: no key of App Store Connect was given".to_owned());
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let notary = Notary::new(&release.services, key)?;
        let id = submit_package(release, &notary, &package, &sha256, &work).await?;
        let status = notary.wait(&id).await?;
        let submission = Submission { sha256, id: Some(id.clone()), status: Some(status.clone()) };
        let log = notary.log(&id).await;
        if let Ok(log) = &log {
            let path = work.join("log.json");
            std::fs::write(&path, log)
                .with_context(|| format!("could not write {}", path.display()))?;
        }
        submission.write(&work)?;
        check_verdict(&submission, log.ok().as_deref(), &work)
    })
}

/// Uploads the package, unless an earlier run did and was only not there for the verdict.
async fn submit_package(
    release: &Release,
    notary: &Notary,
    package: &Path,
    sha256: &str,
    work: &Path,
) -> Result<String> {
    if let Ok(Submission { sha256: before, id: Some(id), status: None }) = Submission::read(release)
        && before == sha256
    {
        return Ok(id);
    }
    let bytes =
        std::fs::read(package).with_context(|| format!("could not read {}", package.display()))?;
    let id = notary.submit(&release.package_name(), sha256, bytes).await?;
    let submission = Submission { sha256: sha256.to_owned(), id: Some(id.clone()), status: None };
    submission.write(work)?;
    Ok(id)
}

/// The verdict as a result of the stage.
fn check_verdict(submission: &Submission, log: Option<&str>, work: &Path) -> Result<String> {
    let id = submission.id.as_deref().unwrap_or_default();
    if submission.accepted() {
        return Ok(format!("accepted (submission {id})"));
    }
    let status = submission.status.as_deref().unwrap_or("nothing");
    let issues = log.map(list_issues).unwrap_or_default();
    bail!(
        "the verdict on submission {id} is {status}{issues}\n  hint: the whole log is {}",
        work.join("log.json").display()
    )
}

/// Lists the complaints in Apple's log, a line each.
fn list_issues(log: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(log).unwrap_or_default();
    let issues = value["issues"].as_array().cloned().unwrap_or_default();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or("?").to_owned();
    issues
        .iter()
        .map(|issue| format!("\n  {}: {}", text(&issue["path"]), text(&issue["message"])))
        .collect()
}
