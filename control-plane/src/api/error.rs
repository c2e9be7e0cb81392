//! Errors of calls: every answer that is an error is a [`Problem`].

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use russet_protocol::UPLOAD_OFFSET_HEADER;
use russet_protocol::problem::Problem;
use russet_protocol::runner::{EventsResponse, FinishMissing};

use super::denial::denial_words;
use crate::contention::MayContend;
use crate::credentials::NoRandomness;
use crate::lacks::Lack;
use crate::listen::is_out_of_descriptors;
use crate::objects::ObjectError;
use crate::people::Denial;
use crate::state::App;
use crate::store::StoreError;

/// Reason why a call is refused or failed.
#[derive(Debug)]
pub(crate) enum ApiError {
    /// 400: what was sent is not what the call takes.
    Bad(String),
    /// 401: only for a claim, whose caller has to know that its token was revoked.
    Token,
    /// 401: the token expired at this time, in milliseconds since 1970.
    TokenExpired(i64),
    /// 403: the caller may not make this call of ours, and is told why.
    Denied(Denial),
    /// 404: it is not there, or the caller may not see it. What is not there cannot be told from
    /// what is hidden, so that nobody learns names by asking.
    NotFound(String),
    /// 405.
    Method(String),
    /// 409: it contradicts what is.
    Conflict(String),
    /// 409 to an append that does not begin where the stored bytes end: here is where.
    Offset(u64),
    /// 409 to events with a gap before them: up to here all are stored.
    Gap(EventsResponse),
    /// 409 to a finish before everything has come.
    Missing(FinishMissing),
    /// 410: it was there, and has to be sent again.
    Gone(String),
    /// 408: the body did not come in time.
    Slow,
    /// 413.
    TooLarge(String),
    /// 416.
    Range(u64),
    /// 422: a configuration that cannot be run.
    Unprocessable(Problem),
    /// 429: too many calls of one token or address at the same time.
    TooMany,
    /// 429: too many attempts failed; the seconds to wait.
    Slowed(u64),
    /// 503: others take all that there is, or a part of the server is away. Nothing has happened.
    Busy(Lack),
    /// 503: it cannot be had yet, for a reason that passes.
    Unavailable(String),
    /// 503, if it stays so: the database took a transaction back for another's sake.
    Contended,
    /// 503, and nobody knows whether what was asked for has happened: the database went away during
    /// its commit.
    Doubtful,
    /// 503: the bucket of the objects does not answer, or refuses.
    Objects,
    /// 507: the data directory is full.
    NoSpace,
    /// 500: ours. The cause is for the log, not for the caller.
    Internal(Box<dyn std::error::Error + Send + Sync>),
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        if error.is_contended() {
            return Self::Contended;
        }
        if let Some(lack) = error.lack() {
            tracing::debug!(error = russet_text::error_chain(&error), "a call is put off");
            return Self::Busy(lack);
        }
        if error.is_doubtful() {
            tracing::error!(error = russet_text::error_chain(&error), "a call may have been done");
            return Self::Doubtful;
        }
        if error.is_conflict() {
            let message = "somebody else made or removed the same at the same time; try again";
            return Self::Conflict(message.to_owned());
        }
        if error.is_too_long() {
            return Self::Bad("a name or path is longer than the database can look up".to_owned());
        }
        Self::internal(error)
    }
}

impl MayContend for ApiError {
    fn is_contended(&self) -> bool {
        matches!(self, Self::Contended)
    }
}

impl ApiError {
    /// An error of ours. That of a full disk is told from others: its owner can do something.
    pub(crate) fn internal(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        if crate::space::is_full(&error) {
            tracing::error!(error = russet_text::error_chain(&error), "the data directory is full");
            return Self::NoSpace;
        }
        if has_no_descriptors(&error) {
            return Self::Busy(Lack::Descriptors);
        }
        Self::Internal(Box::new(error))
    }
}

/// Returns true where an error, or one of its causes, is that there are no descriptors left.
fn has_no_descriptors(error: &(dyn std::error::Error + 'static)) -> bool {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.filter_map(|error| error.downcast_ref()).any(is_out_of_descriptors)
}

impl App {
    /// Refuses an object that would take from the reserve of the disk. One that goes to a bucket
    /// takes nothing there.
    ///
    /// # Errors
    /// 507, until there is room again.
    pub(crate) fn check_room_for_objects(&self) -> Result<(), ApiError> {
        if !self.objects.is_shared() && self.space.is_short() {
            return Err(ApiError::NoSpace);
        }
        Ok(())
    }
}

impl From<NoRandomness> for ApiError {
    fn from(error: NoRandomness) -> Self {
        Self::Internal(Box::new(error))
    }
}

impl From<ObjectError> for ApiError {
    fn from(error: ObjectError) -> Self {
        match error {
            ObjectError::TooLarge(limit) => {
                Self::TooLarge(format!("the body is larger than {limit} bytes"))
            }
            ObjectError::Body(_) => Self::Bad("the body broke off".to_owned()),
            ObjectError::OtherHash(hash) => Self::Bad(format!("the bytes have the hash {hash}")),
            ObjectError::Busy => Self::Busy(Lack::Uploads),
            error @ ObjectError::Unavailable { .. } => {
                tracing::error!(error = russet_text::error_chain(&error), "a call is put off");
                Self::Objects
            }
            error @ (ObjectError::Store(_) | ObjectError::NotKept) => Self::internal(error),
        }
    }
}

/// A refusal that passes, after which nothing has happened. It carries what it is for, which is counted
/// on the way out.
fn later(status: StatusCode, lack: Lack, message: &str, hint: Option<&str>) -> Response {
    let mut response = problem_response(status, message, hint);
    response.extensions_mut().insert(lack);
    response.headers_mut().insert(axum::http::header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

fn busy(lack: Lack) -> Response {
    let status = StatusCode::SERVICE_UNAVAILABLE;
    later(status, lack, "the control plane is busy; try again", None)
}

/// Counts answers that put a call off, by what there was too little of.
pub(super) async fn count_lack(State(app): State<App>, response: Response) -> Response {
    if let Some(lack) = response.extensions().get::<Lack>() {
        app.gate.lacks.note(*lack);
    }
    response
}

fn problem_response(
    status: StatusCode,
    message: impl Into<String>,
    hint: Option<&str>,
) -> Response {
    let problem =
        Problem { message: message.into(), hint: hint.map(str::to_owned), diagnostics: Vec::new() };
    (status, Json(problem)).into_response()
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        match self {
            Self::Bad(message) => problem_response(StatusCode::BAD_REQUEST, message, None),
            Self::Token => problem_response(
                StatusCode::UNAUTHORIZED,
                "the runner token is unknown or was revoked",
                Some(
                    "make a new one with `russet token create` and put it into the agent's config",
                ),
            ),
            Self::TokenExpired(at_ms) => problem_response(
                StatusCode::UNAUTHORIZED,
                format!("the runner token expired at {}", crate::text::rfc3339(at_ms)),
                Some(
                    "make a new one with `russet token create` and put it into the agent's config",
                ),
            ),
            Self::Denied(denial) => {
                let (message, hint) = denial_words(denial);
                problem_response(StatusCode::FORBIDDEN, message, hint)
            }
            Self::NotFound(message) => problem_response(StatusCode::NOT_FOUND, message, None),
            Self::Method(message) => {
                problem_response(StatusCode::METHOD_NOT_ALLOWED, message, None)
            }
            Self::Conflict(message) => problem_response(StatusCode::CONFLICT, message, None),
            Self::Offset(committed) => {
                let mut response = problem_response(
                    StatusCode::CONFLICT,
                    format!("{committed} bytes of this output are stored; go on from there"),
                    None,
                );
                response.headers_mut().insert(
                    HeaderName::from_static(UPLOAD_OFFSET_HEADER),
                    HeaderValue::from(committed),
                );
                response
            }
            Self::Gap(have) => (StatusCode::CONFLICT, Json(have)).into_response(),
            Self::Missing(missing) => (StatusCode::CONFLICT, Json(missing)).into_response(),
            Self::Gone(message) => problem_response(StatusCode::GONE, message, None),
            Self::TooLarge(message) => {
                problem_response(StatusCode::PAYLOAD_TOO_LARGE, message, None)
            }
            Self::Slow => {
                problem_response(StatusCode::REQUEST_TIMEOUT, "the body did not come in time", None)
            }
            Self::TooMany => later(
                StatusCode::TOO_MANY_REQUESTS,
                Lack::Calls,
                "too many calls at the same time; try again",
                None,
            ),
            Self::Slowed(wait_s) => {
                let message = format!("too many attempts failed; try again in {wait_s} s");
                let mut response = problem_response(StatusCode::TOO_MANY_REQUESTS, message, None);
                let headers = response.headers_mut();
                headers.insert(axum::http::header::RETRY_AFTER, HeaderValue::from(wait_s));
                response
            }
            Self::Unavailable(message) => {
                problem_response(StatusCode::SERVICE_UNAVAILABLE, message, None)
            }
            Self::Busy(lack) => busy(lack),
            Self::Contended => busy(Lack::Contention),
            Self::Doubtful => {
                // Without `Retry-After`: that says that nothing has happened.
                let mut response = problem_response(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "the database of the control plane went away during the call, which may have been \
                     done",
                    Some("look whether it was done before you try again"),
                );
                response.extensions_mut().insert(Lack::Database);
                response
            }
            Self::Objects => later(
                StatusCode::SERVICE_UNAVAILABLE,
                Lack::Objects,
                "the object store of the control plane does not answer; try again",
                Some("the control plane's log says what its store answers"),
            ),
            Self::NoSpace => later(
                StatusCode::INSUFFICIENT_STORAGE,
                Lack::Disk,
                "the data directory of the control plane is full",
                Some(
                    "make room on its disk, or let caches go with --cache-limit and \
                     --cache-retention of `russet server`",
                ),
            ),
            Self::Range(length) => {
                let mut response = problem_response(
                    StatusCode::RANGE_NOT_SATISFIABLE,
                    format!("there are {length} bytes"),
                    None,
                );
                if let Ok(value) = HeaderValue::try_from(format!("bytes */{length}")) {
                    response.headers_mut().insert(axum::http::header::CONTENT_RANGE, value);
                }
                response
            }
            Self::Unprocessable(problem) => {
                (StatusCode::UNPROCESSABLE_ENTITY, Json(problem)).into_response()
            }
            Self::Internal(error) => {
                tracing::error!(error = russet_text::error_chain(&*error), "a call failed");
                problem_response(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "the control plane failed; its log says why",
                    None,
                )
            }
        }
    }
}
