//! The admin API of the control plane, as calls.
//!
//! One connection pool, the admin token in a header that is marked sensitive, and one place
//! where answers that are errors become a [`CliError`].

pub(crate) mod agent;
mod alerts;
mod chunks;
mod connection;
mod keeping;
mod orbs;
mod pipelines;
mod runners;
mod settings;
mod stream;
mod variables;

use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use russet_protocol::problem::Problem;
use russet_protocol::secret::Secret;
use russet_text::{error_chain, root_cause};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) use connection::ConnectionArgs;
pub(crate) use pipelines::PipelineFilter;
pub(crate) use settings::Settings;
pub(crate) use stream::{EventStream, Next};
pub(crate) use variables::Owner;

use crate::error::{CliError, Result};
use crate::exit::Exit;

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
}

impl Client {
    /// A client for the control plane at `url`, as `http://host:port`.
    pub(crate) fn new(url: &str, token: &Secret) -> Result<Self> {
        let url = url.trim_end_matches('/').to_owned();
        if !url.starts_with("http://") && !url.starts_with("https://") {
            return Err(bad_url(&url, "it has to begin with http:// or https://"));
        }
        let parsed =
            reqwest::Url::parse(&url).map_err(|error| bad_url(&url, &error.to_string()))?;
        let mut value = HeaderValue::from_str(token.expose()).map_err(|_| {
            // The value is not shown: it is the token.
            CliError::new(Exit::BadConfig, "the admin token has characters that no token has")
                .hint("is the right file named by --token-file?")
        })?;
        value.set_sensitive(true);
        let header = HeaderName::from_static(russet_protocol::ADMIN_TOKEN_HEADER);
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("russet/", env!("CARGO_PKG_VERSION")))
            .default_headers(HeaderMap::from_iter([(header, value)]))
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            // A redirect would carry the token to wherever the answer says.
            .redirect(reqwest::redirect::Policy::none());
        if is_loopback(&parsed) {
            // A proxy cannot reach this machine's own loopback.
            builder = builder.no_proxy();
        }
        let http = builder
            .build()
            .map_err(|error| CliError::local("could not set up HTTPS", error_chain(&error)))?;
        Ok(Self { http, url })
    }

    /// Origin of the control plane.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url))
    }

    /// Sends a request; an answer other than 2xx is an error.
    async fn send(&self, request: RequestBuilder) -> Result<Response> {
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let body = response.bytes().await.unwrap_or_default();
        Err(self.refused(status, &body))
    }

    async fn fetch<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T> {
        let response = self.send(request).await?;
        let body = response.bytes().await.map_err(|error| self.unreachable(&error))?;
        serde_json::from_slice(&body).map_err(|error| {
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
        CliError::new(Exit::ControlPlane, message)
            .hint("is `russet server` running there? --url or RUSSET_URL name another one")
            .transient()
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
        if status.is_server_error() { error.transient() } else { error }
    }
}

fn bad_url(url: &str, why: &str) -> CliError {
    CliError::new(Exit::Usage, format!("`{url}` is not the address of a control plane: {why}"))
        .hint("write it as `https://host:port`")
}

fn is_loopback(url: &reqwest::Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost"
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}
