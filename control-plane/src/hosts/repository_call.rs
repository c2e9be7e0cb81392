//! Calls for one repository. GitHub's paths are Gitea's and Forgejo's too.

use reqwest::Method;
use russet_protocol::projects::HostKind;
use serde_json::Value;

use super::access::HostAccess;
use super::answer::HostAnswer;
use super::client::{HostCall, HostRoom};
use super::error::HostError;
use super::headers::{GITHUB, PLAIN};

/// Makes a call for a repository; `rest` is what follows its name in the path. With the token of an App that is
/// refused, it is made once more with a new one.
pub(super) async fn call(
    room: &HostRoom,
    of: &HostAccess,
    method: Method,
    rest: &str,
    body: Option<Value>,
) -> Result<HostAnswer, HostError> {
    let (owner, name) = of.owner_and_name()?;
    let url = format!("{}/repos/{owner}/{name}{rest}", of.api);
    let headers: &[_] = if of.kind == HostKind::Github { &GITHUB } else { &PLAIN };
    for is_last in [false, true] {
        let proof = of.proof(room).await?;
        let (method, url, body) = (method.clone(), url.clone(), body.clone());
        let answer = room.call(HostCall { method, url, headers, proof, body }).await?;
        if answer.status != 401 || is_last || !of.forget_token(room) {
            return Ok(answer);
        }
    }
    Err(HostError::NotInstalled)
}
