//! The admin API of the control plane, as calls.
//!
//! One connection pool, the admin token in a header that is marked sensitive, and one place
//! where answers that are errors become a [`CliError`].

pub(crate) mod agent;
mod alerts;
mod authority;
mod chunks;
mod connected;
mod connection;
mod device_login;
mod direct;
mod keeping;
mod limits;
mod lists;
mod logins;
mod namespaces;
mod notifications;
mod orbs;
mod people;
mod pipelines;
mod retry;
mod runners;
mod schedules;
mod settings;
mod ssh;
mod stream;
mod variables;

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Request, RequestBuilder, Response, StatusCode};
use russet_protocol::problem::Problem;
use russet_protocol::secret::Secret;
use russet_text::{error_chain, root_cause};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) use connection::{ConnectionArgs, read_token};
pub(crate) use lists::{Filter, Listed};
pub(crate) use logins::{Login, Logins};
pub(crate) use settings::Settings;
pub(crate) use stream::{EventStream, Next};
pub(crate) use variables::Owner;

use crate::error::{CliError, Result};
use crate::exit::Exit;
use retry::Answered;

/// Timeout of a connection. Answers may take as long as they need: some are live.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Beginning of the answer to a call that has nothing to do at its path, or has not the right
/// token.
const NOTHING_AT: &str = "there is nothing at ";

/// A control plane, and the right to use it.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    url: String,
    /// Certificates that are trusted beside those of the system.
    ca_file: Option<PathBuf>,
}

impl Client {
    /// A client for the control plane at `url`, as `http://host:port`.
    pub(crate) fn new(url: &str, token: &Secret) -> Result<Self> {
        Self::trusting(url, token, None)
    }

    /// The same, with the file of an authority's certificates that was given for it.
    pub(crate) fn trusting(url: &str, token: &Secret, given: Option<&Path>) -> Result<Self> {
        let mut value = HeaderValue::from_str(token.expose()).map_err(|_| {
            // The value is not shown: it is the token.
            CliError::new(Exit::BadConfig, "the admin token has characters that no token has")
                .hint("is the right file named by --token-file?")
        })?;
        value.set_sensitive(true);
        let header = HeaderName::from_static(russet_protocol::ADMIN_TOKEN_HEADER);
        Self::with_headers(url, HeaderMap::from_iter([(header, value)]), given)
    }

    /// A client of somebody who has no token yet.
    pub(crate) fn without_token(url: &str, given: Option<&Path>) -> Result<Self> {
        Self::with_headers(url, HeaderMap::new(), given)
    }

    fn with_headers(url: &str, headers: HeaderMap, given: Option<&Path>) -> Result<Self> {
        let url = url.trim_end_matches('/').to_owned();
        if !url.starts_with("http://") && !url.starts_with("https://") {
            return Err(bad_url(&url, "it has to begin with http:// or https://"));
        }
        let parsed =
            reqwest::Url::parse(&url).map_err(|error| bad_url(&url, &error.to_string()))?;
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("russet/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            // A redirect would carry the token to wherever the answer says.
            .redirect(reqwest::redirect::Policy::none());
        if russet_platform::http::is_loopback(&parsed) {
            // A proxy cannot reach this machine's own loopback.
            builder = builder.no_proxy();
        }
        let ca_file = authority::ca_file(&url, given)?;
        if let Some(file) = &ca_file {
            let certificates = russet_platform::http::ca_certificates(file).map_err(|error| {
                CliError::new(Exit::BadConfig, error.to_string())
                    .hint("it has to hold certificates in PEM: --ca-file or RUSSET_CA_FILE")
            })?;
            builder = builder.tls_certs_merge(certificates);
        }
        let http = builder
            .build()
            .map_err(|error| CliError::local("could not set up HTTPS", error_chain(&error)))?;
        Ok(Self { http, url, ca_file })
    }

    /// Origin of the control plane.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url))
    }

    /// Sends a request, again where that does no harm (`retry.rs`); an answer other than 2xx is an
    /// error.
    async fn send(&self, request: RequestBuilder) -> Result<Response> {
        let request = Self::built(request)?;
        let is_repeatable = request.method().is_idempotent();
        self.send_again(request, is_repeatable).await
    }

    /// The same for a call that may be made twice, of a method of which that is not known.
    async fn send_repeatable(&self, request: RequestBuilder) -> Result<Response> {
        self.send_again(Self::built(request)?, true).await
    }

    async fn send_again(&self, request: Request, is_repeatable: bool) -> Result<Response> {
        let whole = async |response| Ok(response);
        self.successful(self.call_kept(request, is_repeatable, whole).await?).await
    }

    /// Makes a call whose request is kept, to be made again from it.
    async fn call_kept<T>(
        &self,
        request: Request,
        is_repeatable: bool,
        read: impl AsyncFn(Response) -> reqwest::Result<T>,
    ) -> Result<Answered<T>> {
        let kept = request.try_clone();
        let again = || Ok(kept.as_ref().and_then(Request::try_clone));
        self.call(request, again, is_repeatable, read).await
    }

    /// Sends a request whose body is made anew for each attempt, and may be sent twice.
    async fn send_made(&self, make: impl Fn() -> Result<RequestBuilder>) -> Result<Response> {
        let first = Self::built(make()?)?;
        let again = || make().and_then(Self::built).map(Some);
        let answer = self.call(first, again, true, async |response| Ok(response)).await?;
        self.successful(answer).await
    }

    /// Sends a request once, for whoever tries again by itself.
    async fn send_once(&self, request: RequestBuilder) -> Result<Response> {
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        let asked = russet_platform::http::retry_after(response.headers());
        let answer = Answered { status: response.status(), read: response, is_doubtful: false };
        self.successful(answer).await.map_err(|error| error.retry_after(asked))
    }

    async fn successful(&self, answer: Answered<Response>) -> Result<Response> {
        let Answered { status, read: response, is_doubtful } = answer;
        if status.is_success() {
            return Ok(response);
        }
        let body = response.bytes().await.unwrap_or_default();
        Err(self.refused_after(status, &body, is_doubtful))
    }

    /// Returns status and body of an answer, whatever it is.
    async fn ask(&self, request: Request, is_repeatable: bool) -> Result<Answered<Bytes>> {
        self.call_kept(request, is_repeatable, Response::bytes).await
    }

    async fn fetch<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T> {
        let request = Self::built(request)?;
        let is_repeatable = request.method().is_idempotent();
        self.fetch_again(request, is_repeatable).await
    }

    /// The same for a call that may be made twice, of a method of which that is not known.
    async fn fetch_repeatable<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T> {
        self.fetch_again(Self::built(request)?, true).await
    }

    async fn fetch_again<T: DeserializeOwned>(
        &self,
        request: Request,
        is_repeatable: bool,
    ) -> Result<T> {
        let answer = self.ask(request, is_repeatable).await?;
        if !answer.status.is_success() {
            return Err(self.refused_after(answer.status, &answer.read, answer.is_doubtful));
        }
        self.parsed(&answer.read)
    }

    fn parsed<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T> {
        serde_json::from_slice(body).map_err(|error| {
            let message = format!("{} answered what is not understood: {error}", self.url);
            CliError::new(Exit::ControlPlane, message)
                .hint("is it a Russet control plane, of this or a newer version?")
        })
    }

    async fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, &str)]) -> Result<T> {
        self.fetch(self.request(Method::GET, path).query(query)).await
    }

    async fn post<B: Serialize + Sync, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T> {
        self.fetch(self.request(Method::POST, path).json(body)).await
    }

    async fn delete(&self, path: &str) -> Result<()> {
        self.send(self.request(Method::DELETE, path)).await.map(drop)
    }

    fn unreachable(&self, error: &reqwest::Error) -> CliError {
        let cause = root_cause(error);
        let message = format!("could not reach the control plane at {}: {cause}", self.url);
        let failure = CliError::new(Exit::ControlPlane, message);
        if cause.to_string().contains("certificate") {
            // The same every time, until somebody does something.
            return failure.hint(
                "name the certificates of an authority of your own with --ca-file or \
                 RUSSET_CA_FILE; look at the certificate with `russet server doctor` there",
            );
        }
        failure
            .hint("is `russet server` running there? --url or RUSSET_URL name another one")
            .transient()
    }

    fn refused_after(&self, status: StatusCode, body: &[u8], is_doubtful: bool) -> CliError {
        let error = self.refused(status, body);
        let is_about_state =
            matches!(status, StatusCode::NOT_FOUND | StatusCode::CONFLICT | StatusCode::GONE);
        if is_doubtful && is_about_state {
            return error.hint(
                "the answer to an earlier attempt of this call was lost: that one may have done it",
            );
        }
        error
    }

    fn refused(&self, status: StatusCode, body: &[u8]) -> CliError {
        let problem: Option<Problem> = serde_json::from_slice(body).ok();
        if status == StatusCode::UNPROCESSABLE_ENTITY
            && let Some(problem) = &problem
            && !problem.diagnostics.is_empty()
        {
            return CliError::new(Exit::BadConfig, problem.message.clone())
                .maybe_hint(problem.hint.clone())
                .details(problem.diagnostics.clone());
        }
        let said = problem.as_ref().map_or("", |problem| problem.message.as_str());
        let message = match said {
            "" => format!("the control plane at {} answered {status}", self.url),
            said => {
                format!("the control plane at {} answered {}: {said}", self.url, status.as_u16())
            }
        };
        let hint = match status {
            StatusCode::UNAUTHORIZED => Some(
                "check the admin token: --token-file, RUSSET_TOKEN_FILE or RUSSET_TOKEN".to_owned(),
            ),
            // The server hides even its paths from those without the right token.
            StatusCode::NOT_FOUND if said.is_empty() || said.starts_with(NOTHING_AT) => Some(
                "a wrong token is answered this way too: check it (--token-file, \
                 RUSSET_TOKEN_FILE or RUSSET_TOKEN)"
                    .to_owned(),
            ),
            _ => None,
        };
        let hint = problem.and_then(|problem| problem.hint).or(hint);
        let error = CliError::new(Exit::ControlPlane, message).maybe_hint(hint);
        if russet_platform::http::is_transient(status) { error.transient() } else { error }
    }
}

fn bad_url(url: &str, why: &str) -> CliError {
    CliError::new(Exit::Usage, format!("`{url}` is not the address of a control plane: {why}"))
        .hint("write it as `https://host:port`")
}
