//! Pages that say why there is no other one, and how a template becomes a page.

use askama::Template;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use crate::api::{Refusal, denial_words};
use crate::people::Denial;
use crate::references::ReferenceError;
use crate::store::StoreError;

/// Reason why there is no page.
#[derive(Debug)]
pub(super) enum PageError {
    NotFound,
    /// A name stands for more than one thing, which it says.
    Ambiguous(String),
    /// There is no session.
    LoggedOut,
    /// The role of the one who is logged in does not allow it.
    Denied(Denial),
    /// A form did not come from a page of ours.
    Foreign,
    Internal(Box<dyn std::error::Error + Send + Sync>),
}

impl From<StoreError> for PageError {
    fn from(error: StoreError) -> Self {
        Self::Internal(Box::new(error))
    }
}

impl From<ReferenceError> for PageError {
    fn from(error: ReferenceError) -> Self {
        match error {
            ReferenceError::Unknown { .. } => Self::NotFound,
            ReferenceError::Ambiguous { .. } | ReferenceError::Short { .. } => {
                Self::Ambiguous(error.to_string())
            }
            ReferenceError::Store(error) => error.into(),
        }
    }
}

/// A page that says why there is no other one.
#[derive(Debug, Template)]
#[template(path = "error.html")]
pub(super) struct ErrorPage {
    status: StatusCode,
    title: String,
    hint: Option<String>,
    /// Details, a line each.
    details: Vec<String>,
    link: String,
    link_words: &'static str,
}

impl ErrorPage {
    fn new(status: StatusCode, title: &str, hint: Option<&str>) -> Self {
        Self {
            status,
            title: title.to_owned(),
            hint: hint.map(str::to_owned),
            details: Vec::new(),
            link: "/".to_owned(),
            link_words: "Overview",
        }
    }

    /// The page for a form of somebody whose session has ended.
    pub(super) fn logged_out(login: String) -> Self {
        let hint = "Nothing was changed. Log in, and press the button again.";
        let page = Self::new(StatusCode::UNAUTHORIZED, "Your session has ended", Some(hint));
        Self { link: login, link_words: "Log in", ..page }
    }

    /// The page for a field of a form that cannot be read.
    pub(super) fn unreadable(words: String, back: String) -> Self {
        let page = Self::new(StatusCode::BAD_REQUEST, "This form cannot be read", Some(&words));
        Self { link: back, link_words: "Back", ..page }
    }

    /// The page for a call that was refused.
    pub(super) fn refused(refusal: Refusal, back: String) -> Self {
        let status = StatusCode::from_u16(refusal.status);
        Self {
            status: status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            title: refusal.problem.message,
            hint: refusal.problem.hint,
            details: refusal.problem.diagnostics,
            link: back,
            link_words: "Back",
        }
    }
}

impl IntoResponse for ErrorPage {
    fn into_response(self) -> Response {
        match render_html(&self) {
            Ok(mut response) => {
                *response.status_mut() = self.status;
                response
            }
            Err(_) => (self.status, self.title).into_response(),
        }
    }
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        let page = match self {
            Self::NotFound => ErrorPage::new(StatusCode::NOT_FOUND, "There is no such page", None),
            Self::Ambiguous(words) => {
                ErrorPage::new(StatusCode::CONFLICT, "This address is not clear", Some(&words))
            }
            Self::Denied(denial) => {
                let (words, hint) = denial_words(denial);
                ErrorPage::new(StatusCode::FORBIDDEN, &words, hint)
            }
            Self::LoggedOut => ErrorPage::logged_out("/login".to_owned()),
            Self::Foreign => {
                let hint = "Nothing was changed. It did not come from a page of this server, or from one of an \
                            earlier session: load the page again, and press the button there.";
                ErrorPage::new(StatusCode::FORBIDDEN, "This form was refused", Some(hint))
            }
            Self::Internal(error) => {
                tracing::error!(
                    error = russet_text::error_chain(&*error),
                    "a page could not be made"
                );
                let title = "The control plane failed";
                let hint = "Its log says why.";
                ErrorPage::new(StatusCode::INTERNAL_SERVER_ERROR, title, Some(hint))
            }
        };
        page.into_response()
    }
}

/// A page of a template.
pub(super) fn render_html(page: &impl Template) -> Result<Response, PageError> {
    let text = page.render().map_err(|error| PageError::Internal(Box::new(error)))?;
    Ok(([(CONTENT_TYPE, "text/html; charset=utf-8")], text).into_response())
}
