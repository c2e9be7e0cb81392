//! The calls of a task to the control plane.
//!
//! A call is tried again for as long as its answer may change: the connection fails, the answer
//! is cut off, the server is broken or busy. All calls are made so that a replay does no harm,
//! since a lost answer looks like a lost request. What ends the tries is the time until which
//! the task can be reported at all, and a server that no longer knows the allocation.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder, StatusCode};
use russet_protocol::backoff::Backoff;
use russet_protocol::ids::AllocationId;
use russet_protocol::problem::Problem;
use russet_protocol::secret::Secret;
use russet_protocol::supervise::Assignment;
use russet_protocol::{ALLOCATION_HEADER, UPLOAD_OFFSET_HEADER};
use serde::de::DeserializeOwned;

use russet_platform::clock::{BootTime, Clock};
use russet_platform::http;

/// Timeout of one try of a small call.
const SMALL_CALL: Duration = Duration::from_secs(30);

/// Timeout of one try of a call with a chunk of output.
const CHUNK_CALL: Duration = Duration::from_secs(120);

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Reason why a call has no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum ApiError {
    /// The server no longer knows this allocation.
    #[error("the control plane no longer holds this task for this runner: {0}")]
    Stale(String),
    /// The server understood the call and refuses it.
    #[error("could not {call}: {status}: {message}")]
    Refused {
        /// Call that was tried.
        call: &'static str,
        /// The answer's status.
        status: u16,
        /// Message of the server.
        message: String,
    },
    /// Time is up.
    #[error("could not {call}, and stopped trying: {last}")]
    GaveUp {
        /// Call that was tried.
        call: &'static str,
        /// Error of the last try.
        last: String,
    },
    /// Something on this side.
    #[error("could not {call}: {message}")]
    Local {
        /// Call that was tried.
        call: &'static str,
        /// Fault of the answer.
        message: String,
    },
}

/// An answer that judges the call.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// The committed offset, where the answer has one.
    pub(crate) fn offset(&self) -> Option<u64> {
        self.headers.get(UPLOAD_OFFSET_HEADER)?.to_str().ok()?.trim().parse().ok()
    }

    /// The body, if it is a `T`.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(&self.body).ok()
    }

    /// Returns the server's message, for people.
    pub(crate) fn message(&self) -> String {
        self.json::<Problem>().map_or_else(|| self.status.to_string(), |problem| problem.message)
    }
}

/// The control plane, as one task sees it. Clones share everything.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    client: reqwest::Client,
    base: Arc<str>,
    token: Secret,
    allocation: AllocationId,
    clock: Clock,
    /// Time after which no call is tried again.
    give_up: Arc<AtomicU64>,
    is_loopback: bool,
    /// Certificates that are trusted besides the system's.
    ca_file: Option<Arc<Path>>,
    /// Connections go through the launch agent, to the control plane alone.
    is_relayed: bool,
}

impl Api {
    /// The control plane of an assignment. Calls are tried until `give_up`.
    pub(crate) fn new(
        assignment: &Assignment,
        clock: Clock,
        give_up: BootTime,
    ) -> Result<Self, http::HttpError> {
        let Assignment { api_url, ca_file, relay, .. } = assignment;
        let client = http::api_client(api_url, ca_file.as_deref(), relay.as_deref())?;
        let url = reqwest::Url::parse(&assignment.api_url).ok();
        Ok(Self {
            client,
            base: assignment.api_url.trim_end_matches('/').into(),
            token: assignment.token.clone(),
            allocation: assignment.allocation.clone(),
            clock,
            give_up: Arc::new(AtomicU64::new(give_up.0)),
            is_loopback: url.as_ref().is_some_and(http::is_loopback),
            ca_file: ca_file.as_deref().map(Arc::from),
            is_relayed: relay.is_some(),
        })
    }

    /// The claim that every call is about.
    pub(crate) fn allocation(&self) -> &AllocationId {
        &self.allocation
    }

    /// Calls are tried until then.
    pub(crate) fn set_give_up(&self, at: BootTime) {
        self.give_up.store(at.0, Ordering::Relaxed);
    }

    /// Returns true where an object may be fetched from where the control plane sends a reader to.
    pub(crate) fn may_go_elsewhere(&self) -> bool {
        !self.is_relayed
    }

    /// A request to the server that the control plane sent a reader to, without any credentials. What
    /// comes has to be verified.
    pub(crate) fn elsewhere(&self, url: &str) -> Result<RequestBuilder, String> {
        match http::redirected_client(&self.base, url, self.ca_file.as_deref()) {
            Ok(client) => Ok(client.get(url)),
            Err(error @ http::HttpError::NoTls) => Err(error.to_string()),
            // Not the error itself, which may show the URL.
            Err(_) => Err("the store of objects cannot be asked".to_owned()),
        }
    }

    /// A request with the task's credentials.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client
            .request(method, format!("{}{path}", self.base))
            .bearer_auth(self.token.expose())
            .header(ALLOCATION_HEADER, self.allocation.as_str())
    }

    /// Tries until there is an answer that judges the call: success, conflict, or a refusal as
    /// an error.
    pub(crate) async fn call(
        &self,
        call: &'static str,
        request: impl Fn() -> RequestBuilder,
    ) -> Result<Answer, ApiError> {
        self.call_unless(call, request, || false).await
    }

    /// The same, with a look after each failed try at whether more of them are in vain.
    pub(crate) async fn call_unless(
        &self,
        call: &'static str,
        request: impl Fn() -> RequestBuilder,
        is_in_vain: impl Fn() -> bool,
    ) -> Result<Answer, ApiError> {
        let mut backoff = http::backoff(FIRST_PAUSE, LONGEST_PAUSE);
        loop {
            let (last, asked) = match try_once(request()).await {
                Ok(answer) if http::is_transient(answer.status) => {
                    (answer.message(), http::retry_after(&answer.headers))
                }
                Ok(answer) => return judge(call, answer),
                Err(error) => (describe(&error), None),
            };
            if is_in_vain() {
                return Err(ApiError::GaveUp { call, last });
            }
            self.pause(call, &mut backoff, asked, last).await?;
        }
    }

    /// Waits before the next try, or says that there will be none.
    pub(crate) async fn pause(
        &self,
        call: &'static str,
        backoff: &mut Backoff,
        asked: Option<Duration>,
        last: String,
    ) -> Result<(), ApiError> {
        let pause = http::next_pause(backoff, asked);
        if self.clock.now().after(pause) >= BootTime(self.give_up.load(Ordering::Relaxed)) {
            return Err(ApiError::GaveUp { call, last });
        }
        tracing::debug!(call, last, "trying again");
        self.clock.sleep(pause).await;
        Ok(())
    }

    /// A small call with a JSON answer. An answer that is no such JSON was mangled on the way.
    pub(crate) async fn json<T: DeserializeOwned>(
        &self,
        call: &'static str,
        request: impl Fn() -> RequestBuilder,
    ) -> Result<T, ApiError> {
        let mut backoff = http::backoff(FIRST_PAUSE, LONGEST_PAUSE);
        loop {
            let answer = self.call(call, || request().timeout(SMALL_CALL)).await?;
            if answer.status == StatusCode::CONFLICT {
                return Err(ApiError::Stale(answer.message()));
            }
            if let Some(value) = answer.json() {
                return Ok(value);
            }
            let last = "the answer is not what was asked for".to_owned();
            self.pause(call, &mut backoff, None, last).await?;
        }
    }

    /// A small call whose conflicts mean something to the caller.
    pub(crate) async fn small(
        &self,
        call: &'static str,
        request: impl Fn() -> RequestBuilder,
    ) -> Result<Answer, ApiError> {
        self.call(call, || request().timeout(SMALL_CALL)).await
    }

    /// Appends a chunk of output and returns how much the server has then.
    pub(crate) async fn append(
        &self,
        step: u32,
        offset: u64,
        chunk: Bytes,
    ) -> Result<u64, ApiError> {
        let call = "send output";
        let (body, is_compressed) = self.pack(chunk);
        let answer = self
            .call(call, || {
                let path = format!("/api/v3/task/steps/{step}/output");
                let request = self
                    .request(Method::PATCH, &path)
                    .header(UPLOAD_OFFSET_HEADER, offset)
                    .timeout(CHUNK_CALL);
                let request = if is_compressed {
                    request.header(reqwest::header::CONTENT_ENCODING, "zstd")
                } else {
                    request
                };
                request.body(body.clone())
            })
            .await?;
        // A conflict with an offset says where to go on; one without, that we are too late.
        match answer.offset() {
            Some(offset) => Ok(offset),
            None if answer.status == StatusCode::CONFLICT => Err(ApiError::Stale(answer.message())),
            None => Err(ApiError::Refused {
                call,
                status: answer.status.as_u16(),
                message: "the answer has no committed offset".to_owned(),
            }),
        }
    }

    /// Compresses a chunk, unless it goes nowhere or is too small to gain from it.
    fn pack(&self, chunk: Bytes) -> (Bytes, bool) {
        if self.is_loopback || chunk.len() < 512 {
            return (chunk, false);
        }
        match zstd::bulk::compress(&chunk, 1) {
            Ok(packed) if packed.len() < chunk.len() => (Bytes::from(packed), true),
            _ => (chunk, false),
        }
    }
}

/// One try, with its whole body: an answer that breaks off is none.
async fn try_once(request: RequestBuilder) -> Result<Answer, reqwest::Error> {
    let response = request.send().await?;
    let (status, headers) = (response.status(), response.headers().clone());
    Ok(Answer { status, headers, body: response.bytes().await? })
}

fn judge(call: &'static str, answer: Answer) -> Result<Answer, ApiError> {
    match answer.status {
        status if status.is_success() || status == StatusCode::CONFLICT => Ok(answer),
        StatusCode::NOT_FOUND => Err(ApiError::Stale(answer.message())),
        status => {
            Err(ApiError::Refused { call, status: status.as_u16(), message: answer.message() })
        }
    }
}

/// The causes of an error, or itself where it has none, without the address (it is the same for
/// every call).
pub(crate) fn describe(error: &reqwest::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), russet_text::error_chain)
}

#[cfg(test)]
mod tests {
    use super::Api;
    use crate::task::testing;
    use bytes::Bytes;
    use russet_platform::clock::{BootTime, Clock};

    #[test]
    fn chunks_are_compressed_where_they_have_a_way_to_go() {
        let (mut assignment, _) = testing::assignment_and_config();
        let chunk = Bytes::from(vec![b'x'; 100_000]);
        let near = Api::new(&assignment, Clock::system(), BootTime(0)).unwrap();
        assert_eq!(near.pack(chunk.clone()), (chunk.clone(), false));
        assignment.api_url = "http://ci.example".to_owned();
        let far = Api::new(&assignment, Clock::system(), BootTime(0)).unwrap();
        let (packed, is_compressed) = far.pack(chunk.clone());
        assert!(is_compressed && packed.len() < 1000);
        assert_eq!(zstd::bulk::decompress(&packed, 200_000).unwrap(), chunk);
        let small = Bytes::from_static(b"a few bytes");
        assert_eq!(far.pack(small.clone()), (small, false));
    }
}
