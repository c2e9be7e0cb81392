//! Failures of calls to hosts: what is done about each, and the next step for people. Pure.

use axum::http::HeaderMap;
use serde::Deserialize;

use super::answer::HostAnswer;
use super::app_key::AppKeyError;
use crate::git::AddressError;
use crate::outgoing::CallError;

/// Shortest pause where a host says that calls come too often, and nothing more, in milliseconds
/// (<https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api>).
const LIMIT_PAUSE_MS: i64 = 60_000;

/// Longest pause that a host may ask for, in milliseconds: its limits are counted by the hour.
const MAX_PAUSE_MS: i64 = 2 * 3_600_000;

/// Most of a host's own words that are kept, in characters.
const MAX_SAID: usize = 300;

/// A call to a host failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HostError {
    #[error(transparent)]
    Address(#[from] AddressError),
    /// Nothing of the call has reached the host.
    #[error("{host} cannot be reached: {why}")]
    Unreachable { host: String, why: String },
    /// The call may have reached the host.
    #[error("{host} gave no whole answer: {why}")]
    Broken { host: String, why: String },
    /// The host refused.
    #[error("{host} answered {status} to {call}{}", said_text(.said))]
    Status {
        host: String,
        call: &'static str,
        status: u16,
        said: String,
        failing: Failing,
        /// Permissions that the call takes, as GitHub names them.
        needed: Option<String>,
    },
    #[error("the answer of {host} to {call} is not what its documentation says: {why}")]
    Form { host: String, call: &'static str, why: String },
    #[error("the GitHub App is not installed on this repository")]
    NotInstalled,
    #[error("the address of the repository does not say `owner/name`")]
    NoName,
    #[error(transparent)]
    Key(#[from] AppKeyError),
}

/// Kind of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failing {
    /// It may work later, and may have been done already.
    Uncertain,
    /// It was not done, and may work later.
    Passing,
    /// Calls came too often: none before this time, in milliseconds since 1970.
    Limited(i64),
    /// The same, and it may have been done already.
    Overloaded(i64),
    /// The credential is not valid any more.
    Unauthorized,
    /// It will not work as it is.
    Final,
}

fn said_text(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!(": {said}") }
}

impl HostError {
    pub(crate) fn failing(&self) -> Failing {
        match self {
            Self::Address(AddressError::Unknown(_)) | Self::Unreachable { .. } => Failing::Passing,
            Self::Broken { .. } => Failing::Uncertain,
            Self::Status { failing, .. } => *failing,
            Self::Form { .. } => Failing::Passing,
            Self::Address(_) | Self::NotInstalled | Self::NoName | Self::Key(_) => Failing::Final,
        }
    }

    pub(super) fn status(&self) -> Option<u16> {
        match self {
            Self::Status { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Makes the failure of a call that had no answer, or none to its end.
    pub(super) fn of_call(host: &str, error: CallError) -> Self {
        let host = host.to_owned();
        match error {
            CallError::Connect(why) => Self::Unreachable { host, why },
            error => Self::Broken { host, why: error.to_string() },
        }
    }

    /// Makes the failure of a call that was refused.
    pub(super) fn of_answer(
        host: &str,
        call: &'static str,
        answer: &HostAnswer,
        now_ms: i64,
    ) -> Self {
        let said = said_by(&answer.body);
        let needed = header(&answer.headers, "x-accepted-github-permissions");
        Self::Status {
            failing: failing_of(answer, &said, now_ms),
            host: host.to_owned(),
            call,
            status: answer.status,
            said,
            needed: needed.map(|text| text.chars().take(MAX_SAID).collect()),
        }
    }

    /// Returns the next step for the owner of the project.
    pub(crate) fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Address(AddressError::Refused { .. }) => {
                "start the server with --allow-git-to ADDRESS/BITS if that is meant"
            }
            Self::Address(AddressError::Unknown(_)) => {
                "check the host in the URL, and the server's own name resolution"
            }
            Self::Unreachable { .. } | Self::Broken { .. } => {
                "check that the server reaches the host's API; --api-url names another address"
            }
            Self::NotInstalled => {
                "install the App on the repository: its settings at GitHub, \"Install App\""
            }
            Self::NoName => "write the URL as https://HOST/OWNER/NAME",
            Self::Form { .. } => {
                "check that --host and --api-url are those of the repository's host"
            }
            Self::Key(_) => {
                "generate a private key in the App's settings, and connect the project again"
            }
            Self::Status { failing: Failing::Limited(_), .. } => {
                "nothing is to be done: it goes on later"
            }
            Self::Status { needed: Some(needed), status: 403 | 404, .. } => {
                return Some(format!(
                    "let the credential do that; GitHub asks for the permission {needed}"
                ));
            }
            Self::Status { status, .. } => status_hint(*status)?,
        };
        Some(text.to_owned())
    }
}

fn status_hint(status: u16) -> Option<&'static str> {
    Some(match status {
        301 | 302 | 307 | 308 => {
            "the repository was renamed or moved: connect the project again with its new address"
        }
        401 => {
            "the token has expired or was revoked: connect the project again with a new one: \
             russet project add URL --git-token-file -"
        }
        403 => {
            "a fine-grained token of GitHub takes the permission \"Commit statuses: write\", a classic one \
             the scope repo:status, one of Gitea write:repository; its owner has to be allowed to push"
        }
        404 => {
            "check the repository's address, and that the token reaches it and may write statuses: hosts \
             answer so too where a token may not see something"
        }
        422 => "the host does not take it: the commit may be gone from the repository",
        _ => return None,
    })
}

/// Returns what follows from a refusal.
fn failing_of(answer: &HostAnswer, said: &str, now_ms: i64) -> Failing {
    let number = |name: &str| header(&answer.headers, name)?.trim().parse::<i64>().ok();
    let later_by = |pause_ms: i64| now_ms + pause_ms.clamp(1_000, MAX_PAUSE_MS);
    let within = |pause_ms: i64| Failing::Limited(later_by(pause_ms));
    let retry_after = number("retry-after").map(|seconds| seconds.saturating_mul(1_000));
    if matches!(answer.status, 403 | 429) {
        if let Some(pause_ms) = retry_after {
            return within(pause_ms);
        }
        if number("x-ratelimit-remaining") == Some(0) {
            let reset_ms = number("x-ratelimit-reset").map(|seconds| seconds.saturating_mul(1_000));
            return within(reset_ms.map_or(LIMIT_PAUSE_MS, |at| at.saturating_sub(now_ms)));
        }
        if answer.status == 429 || said.to_ascii_lowercase().contains("rate limit") {
            return within(LIMIT_PAUSE_MS);
        }
    }
    match (answer.status, retry_after) {
        (503, Some(pause_ms)) => Failing::Overloaded(later_by(pause_ms)),
        (500..=599, _) => Failing::Uncertain,
        (401, _) => Failing::Unauthorized,
        (408 | 409 | 425, _) => Failing::Passing,
        _ => Failing::Final,
    }
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    message: String,
    #[serde(default)]
    errors: serde_json::Value,
}

/// Returns the words of an answer, printable and short.
fn said_by(body: &[u8]) -> String {
    let Ok(said) = serde_json::from_slice::<Said>(body) else { return String::new() };
    let all = match &said.errors {
        serde_json::Value::Null => said.message,
        errors => format!("{} {errors}", said.message),
    };
    all.chars().filter(|c| !c.is_control()).take(MAX_SAID).collect()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderMap;

    use super::*;

    const NOW_MS: i64 = 1_800_000_000_000;

    fn of(status: u16, headers: &[(&'static str, &str)], body: &str) -> HostError {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
        let answer = HostAnswer { status, headers, body: body.into() };
        HostError::of_answer("api.example", "a call", &answer, NOW_MS)
    }

    #[test]
    fn limits_are_kept_as_their_headers_say_and_for_a_minute_where_they_say_nothing() {
        let failing = |status, headers: &[_], body| of(status, headers, body).failing();
        assert_eq!(failing(429, &[("retry-after", "30")], ""), Failing::Limited(NOW_MS + 30_000));
        let reset = ((NOW_MS / 1_000) + 600).to_string();
        let used_up = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", reset.as_str())];
        assert_eq!(failing(403, &used_up, ""), Failing::Limited(NOW_MS + 600_000));
        let secondary = r#"{"message":"You have exceeded a secondary rate limit. Please wait."}"#;
        assert_eq!(failing(403, &[], secondary), Failing::Limited(NOW_MS + LIMIT_PAUSE_MS));
        // Neither the past nor next year.
        let past = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1")];
        assert_eq!(failing(403, &past, ""), Failing::Limited(NOW_MS + 1_000));
        let odd = [("retry-after", "99999999999999999")];
        assert_eq!(failing(429, &odd, ""), Failing::Limited(NOW_MS + MAX_PAUSE_MS));
        let busy = [("retry-after", "5")];
        assert_eq!(failing(503, &busy, ""), Failing::Overloaded(NOW_MS + 5_000));
    }

    #[test]
    fn a_refusal_for_lack_of_rights_is_final_and_names_the_permission() {
        let error = of(
            403,
            &[
                ("x-accepted-github-permissions", "statuses=write"),
                ("x-ratelimit-remaining", "4999"),
            ],
            r#"{"message":"Resource not accessible by personal access token"}"#,
        );
        assert_eq!(error.failing(), Failing::Final);
        assert!(error.hint().unwrap().contains("statuses=write"));
        assert_eq!(
            error.to_string(),
            "api.example answered 403 to a call: Resource not accessible by personal access token"
        );
    }

    #[test]
    fn what_may_have_been_done_is_told_from_what_was_not() {
        let failing = |status| of(status, &[], "").failing();
        assert_eq!([500, 502, 504].map(failing), [Failing::Uncertain; 3]);
        assert_eq!([404, 422, 301].map(failing), [Failing::Final; 3]);
        assert_eq!((failing(401), failing(409)), (Failing::Unauthorized, Failing::Passing));
        let validation = r#"{"message":"Validation Failed","errors":[{"message":"x"}]}"#;
        assert!(of(422, &[], validation).to_string().ends_with("Failed [{\"message\":\"x\"}]"));
    }
}
