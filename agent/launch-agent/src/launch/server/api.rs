//! The launch agent's calls to the control plane: claim with the class token; heartbeat, unclaim
//! and fail with the token of a task; and one without a token, whether it is there.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use reqwest::StatusCode;
use russet_protocol::ids::{AllocationId, TaskId};
use russet_protocol::machine::{PAUSE_HEADER, RunnerOrders};
use russet_protocol::problem::Problem;
use russet_protocol::runner::{
    ClaimRequest, ClaimResponse, FailRequest, HeartbeatFrom, HeartbeatRequest, HeartbeatResponse,
    REPORT_PATH, UnclaimCause, UnclaimRequest,
};
use russet_protocol::secret::Secret;

use crate::health::clock::Skew;

/// Time for which our server holds a claim, in seconds.
pub(in crate::launch) const LONG_POLL_SECONDS: u64 = 25;

/// Timeout of an answer to a claim.
const CLAIM_TIMEOUT: Duration = Duration::from_secs(LONG_POLL_SECONDS + 20);

/// Timeout of other answers.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);

/// An answer longer than this is none of a control plane.
const MAX_ANSWER: usize = 1 << 20;

/// The control plane, as the launch agent calls it.
#[derive(Clone, Debug)]
pub(in crate::launch) struct Api {
    client: reqwest::Client,
    origin: String,
    skew: Arc<Skew>,
}

/// Answer to a claim.
#[derive(Debug)]
pub(in crate::launch) enum ClaimAnswer {
    /// A task.
    Task(Box<ClaimResponse>),
    /// There is no work; with the id of the control plane's pause, where it says one.
    NoWork(Option<String>),
    /// The token is not accepted.
    Denied(String),
    /// The server asks to come later.
    Busy(Option<Duration>),
    /// The server is broken, has no room, or cannot be reached; with the pause that it asks for.
    Offline(String, Option<Duration>),
    /// The server understood and refuses.
    Refused(String),
}

/// Result of a call for a task.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::launch) enum Answer<T> {
    /// As meant.
    Done(T),
    /// The server does not know the task, or not as ours (404, 409).
    Gone(StatusCode),
    /// The server understood and refuses, or knows no such call: asking again is in vain.
    Refused(String),
    /// The server is broken, busy or away: it may be otherwise the next time.
    Failed(String),
}

impl Api {
    /// Calls go to `origin`.
    pub(in crate::launch) fn new(client: reqwest::Client, origin: &str) -> Self {
        Self { client, origin: origin.to_owned(), skew: Arc::default() }
    }

    /// Returns the offset of this clock from the control plane's.
    pub(in crate::launch) fn skew(&self) -> Arc<Skew> {
        Arc::clone(&self.skew)
    }

    /// Returns true if there is an answer at all, to a call without any token.
    pub(in crate::launch) async fn answers(&self) -> bool {
        self.client.get(&self.origin).timeout(CALL_TIMEOUT).send().await.is_ok()
    }

    /// Claims a task; the server may wait up to `wait_seconds` for one.
    pub(in crate::launch) async fn claim(
        &self,
        token: &Secret,
        request: &ClaimRequest,
        known_pause: &str,
        wait_seconds: u64,
    ) -> ClaimAnswer {
        let sent = self
            .client
            .post(format!("{}/api/v3/runner/claim", self.origin))
            .bearer_auth(token.expose())
            .header("prefer", format!("wait={wait_seconds}"))
            .header(PAUSE_HEADER, known_pause)
            .timeout(CLAIM_TIMEOUT)
            .json(request)
            .send()
            .await;
        let response = match sent {
            Ok(response) => response,
            Err(error) => return ClaimAnswer::Offline(reason(error), None),
        };
        self.skew.heard(response.headers());
        let status = response.status();
        match status {
            StatusCode::NO_CONTENT => {
                let pause = response.headers().get(PAUSE_HEADER).and_then(|id| id.to_str().ok());
                ClaimAnswer::NoWork(pause.map(str::to_owned))
            }
            StatusCode::OK => match read_bounded(response).await {
                Ok(body) => match serde_json::from_slice(&body) {
                    Ok(task) => ClaimAnswer::Task(Box::new(task)),
                    // The text is not shown: it holds a token.
                    Err(error) => ClaimAnswer::Refused(format!(
                        "its answer is no claimed task (line {}, column {})",
                        error.line(),
                        error.column()
                    )),
                },
                Err(error) => ClaimAnswer::Offline(error.to_string(), None),
            },
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => {
                ClaimAnswer::Denied(read_problem(response).await)
            }
            StatusCode::TOO_MANY_REQUESTS => {
                ClaimAnswer::Busy(russet_platform::http::retry_after(response.headers()))
            }
            status if russet_platform::http::is_transient(status) => {
                let asked = russet_platform::http::retry_after(response.headers());
                ClaimAnswer::Offline(read_problem(response).await, asked)
            }
            _ => ClaimAnswer::Refused(read_problem(response).await),
        }
    }

    /// Says how this runner is, and claims nothing. A server that is not ours knows no such call.
    pub(in crate::launch) async fn report(
        &self,
        token: &Secret,
        request: &ClaimRequest,
    ) -> Answer<RunnerOrders> {
        let url = format!("{}{REPORT_PATH}", self.origin);
        let call = self.client.post(url).bearer_auth(token.expose()).json(request);
        // One of before says nothing.
        self.send_call(call).await.map(|body| serde_json::from_slice(&body).unwrap_or_default())
    }

    /// Says that the task is in hand.
    pub(in crate::launch) async fn heartbeat(
        &self,
        token: &Secret,
        allocation: &AllocationId,
        peer_silent: Option<Duration>,
    ) -> Answer<HeartbeatResponse> {
        let request = HeartbeatRequest {
            allocation: allocation.clone(),
            from: HeartbeatFrom::LaunchAgent,
            peer_silent_ms: peer_silent.map(russet_platform::clock::whole_millis),
        };
        let url = format!("{}/api/v3/task/heartbeat", self.origin);
        let call = self
            .client
            .post(url)
            .bearer_auth(token.expose())
            .header(russet_protocol::ALLOCATION_HEADER, allocation.as_str())
            .json(&request);
        match self.send_call(call).await {
            Answer::Done(body) => match serde_json::from_slice(&body) {
                Ok(answer) => Answer::Done(answer),
                Err(error) => Answer::Failed(error.to_string()),
            },
            Answer::Gone(status) => Answer::Gone(status),
            Answer::Refused(reason) | Answer::Failed(reason) => Answer::Failed(reason),
        }
    }

    /// Gives a task back. The token in the body is what authorizes it.
    pub(in crate::launch) async fn unclaim(
        &self,
        task_id: &TaskId,
        token: &Secret,
        cause: UnclaimCause,
    ) -> Answer<()> {
        let (task_id, task_token) = (task_id.clone(), token.clone());
        let request = UnclaimRequest { task_id, task_token, cause: Some(cause) };
        let url = format!("{}/api/v3/runner/unclaim", self.origin);
        let call = self.client.post(url).bearer_auth(token.expose()).json(&request);
        self.send_call(call).await.map(drop)
    }

    /// Says that the runner failed, not the job.
    pub(in crate::launch) async fn fail(
        &self,
        token: &Secret,
        allocation: &AllocationId,
        timestamp: u64,
        message: &str,
    ) -> Answer<()> {
        let request = FailRequest {
            allocation: allocation.clone(),
            timestamp,
            message: encode_message(message),
        };
        let url = format!("{}/api/v2/task/event/fail", self.origin);
        let call = self
            .client
            .post(url)
            .bearer_auth(token.expose())
            .header(russet_protocol::ALLOCATION_HEADER, allocation.as_str())
            .json(&request);
        self.send_call(call).await.map(drop)
    }

    async fn send_call(&self, call: reqwest::RequestBuilder) -> Answer<Vec<u8>> {
        let response = match call.timeout(CALL_TIMEOUT).send().await {
            Ok(response) => response,
            Err(error) => return Answer::Failed(reason(error)),
        };
        // A machine that is held for its clock claims nothing, and hears so that it is right again.
        self.skew.heard(response.headers());
        match response.status() {
            status if status.is_success() => match read_bounded(response).await {
                Ok(body) => Answer::Done(body),
                Err(error) => Answer::Failed(error.to_string()),
            },
            status @ (StatusCode::NOT_FOUND | StatusCode::CONFLICT) => Answer::Gone(status),
            status if status.is_client_error() && !russet_platform::http::is_transient(status) => {
                Answer::Refused(read_problem(response).await)
            }
            _ => Answer::Failed(read_problem(response).await),
        }
    }
}

impl<T> Answer<T> {
    fn map<U>(self, change: impl FnOnce(T) -> U) -> Answer<U> {
        match self {
            Self::Done(value) => Answer::Done(change(value)),
            Self::Gone(status) => Answer::Gone(status),
            Self::Refused(reason) => Answer::Refused(reason),
            Self::Failed(reason) => Answer::Failed(reason),
        }
    }
}

/// The message as the fail call takes it: in base64, without what could be markup where it is
/// shown.
fn encode_message(message: &str) -> String {
    let plain: String = message.chars().filter(|c| !"<>&'\"".contains(*c)).collect();
    base64::engine::general_purpose::STANDARD.encode(plain)
}

/// The error for the body of an answer.
#[derive(Debug, thiserror::Error)]
enum BodyError {
    /// It is longer than an answer of a control plane is.
    #[error("the answer is longer than 1 MiB")]
    TooLong,
    /// The connection broke.
    #[error("{0}")]
    Broken(String),
}

async fn read_bounded(mut response: reqwest::Response) -> Result<Vec<u8>, BodyError> {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(None) => return Ok(body),
            Ok(Some(chunk)) if body.len() + chunk.len() <= MAX_ANSWER => {
                body.extend_from_slice(&chunk);
            }
            Ok(Some(_)) => return Err(BodyError::TooLong),
            Err(error) => return Err(BodyError::Broken(reason(error))),
        }
    }
}

async fn read_problem(response: reqwest::Response) -> String {
    let status = response.status();
    let body = read_bounded(response).await.unwrap_or_default();
    match serde_json::from_slice::<Problem>(&body) {
        Ok(problem) if !problem.message.is_empty() => format!("{status}: {}", problem.message),
        _ => status.to_string(),
    }
}

/// The whole chain of causes: reqwest's own text alone does not say `connection refused`.
fn reason(error: reqwest::Error) -> String {
    russet_text::error_chain(&error.without_url())
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;

    #[test]
    fn failure_messages_are_base64_without_markup() {
        let encoded = super::encode_message("exit <80>: \"a\" & 'b'");
        let plain = base64::engine::general_purpose::STANDARD.decode(encoded).unwrap();
        assert_eq!(String::from_utf8(plain).unwrap(), "exit 80: a  b");
    }
}
