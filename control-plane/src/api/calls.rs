//! Calls that a page makes in the name of the one who is logged in.
//!
//! They go through the very routes that tools call, so a button does nothing that a call cannot do,
//! and nothing in another way.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Method, Uri};
use axum::response::Response;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use russet_protocol::problem::Problem;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::caller::{Caller, ClientAddress};
use crate::browser_session::Session;

/// The most bytes of an answer that are read.
const MAX_ANSWER_BYTES: usize = 256 * 1024;

/// The most bytes of a refusal that are read.
const MAX_PROBLEM_BYTES: usize = 64 * 1024;

/// A call of the administrator's API.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Call {
    pub(crate) method: Method,
    /// Path and query, encoded.
    pub(crate) path: String,
    /// The document; null for none.
    pub(crate) body: Value,
}

/// The routes of the administrator's API.
#[derive(Clone, Debug)]
pub(crate) struct Calls(Router);

impl Calls {
    pub(super) fn new(routes: Router) -> Self {
        Self(routes)
    }

    /// Makes a call in the name of somebody whose form was checked.
    ///
    /// # Errors
    ///
    /// The answer's problem, where the call was refused or failed.
    pub(crate) async fn make(
        &self,
        call: Call,
        session: Arc<Session>,
        address: ClientAddress,
    ) -> Result<(), Refusal> {
        self.answer(call, session, address).await.map(drop)
    }

    /// The same for a call whose answer is read.
    ///
    /// # Errors
    ///
    /// The answer's problem, where the call was refused or failed.
    pub(crate) async fn fetch<T: DeserializeOwned>(
        &self,
        call: Call,
        session: Arc<Session>,
        address: ClientAddress,
    ) -> Result<T, Refusal> {
        let answer = self.answer(call, session, address).await?;
        let body = axum::body::to_bytes(answer.into_body(), MAX_ANSWER_BYTES).await;
        let read = body.ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        read.ok_or_else(|| Refusal {
            status: 500,
            problem: Problem {
                message: "the answer of the control plane cannot be read".to_owned(),
                hint: None,
                diagnostics: Vec::new(),
            },
        })
    }

    async fn answer(
        &self,
        call: Call,
        session: Arc<Session>,
        address: ClientAddress,
    ) -> Result<Response, Refusal> {
        let answer = self.send(call, session, address).await;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let body = axum::body::to_bytes(answer.into_body(), MAX_PROBLEM_BYTES).await;
        let problem = body.ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let problem = problem.unwrap_or_else(|| Problem {
            message: format!("the control plane answered {status}"),
            hint: None,
            diagnostics: Vec::new(),
        });
        Err(Refusal { status: status.as_u16(), problem })
    }

    async fn send(&self, call: Call, session: Arc<Session>, address: ClientAddress) -> Response {
        let body = match call.body {
            Value::Null => Body::empty(),
            document => Body::from(document.to_string()),
        };
        let mut request = Request::new(body);
        *request.method_mut() = call.method;
        // A path that is none leads nowhere: 404.
        *request.uri_mut() = call.path.parse().unwrap_or_else(|_| Uri::from_static("/"));
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        request.extensions_mut().insert(Caller::Page(session));
        request.extensions_mut().insert(address);
        let answer = TowerToHyperService::new(self.0.clone()).call(request).await;
        answer.unwrap_or_else(|never| match never {})
    }
}

/// A refused call.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// Status of the answer.
    pub(crate) status: u16,
    pub(crate) problem: Problem,
}

impl Refusal {
    /// A form that is refused before a call is made.
    pub(crate) fn of_form(message: String) -> Self {
        Self { status: 400, problem: Problem { message, hint: None, diagnostics: Vec::new() } }
    }

    /// Returns the problem in one line.
    pub(crate) fn words(&self) -> String {
        match &self.problem.hint {
            Some(hint) => format!("{}; {hint}", self.problem.message),
            None => self.problem.message.clone(),
        }
    }
}
