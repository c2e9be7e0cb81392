//! A look at a page: who looks, and what its forms carry.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use russet_protocol::people::Permission;
use std::sync::Arc;

use super::actions::notice_of;
use super::buttons::Button;
use super::errors::PageError;
use crate::api::{Caller, ClientAddress};
use crate::browser_session::{Session, new_nonce};
use crate::people::{Reach, decide_in, namespace_of};
use crate::state::App;

/// A look at a page within a session.
#[derive(Clone, Debug)]
pub(super) struct Visit {
    pub(super) session: Arc<Session>,
    /// Address of the browser.
    pub(super) address: ClientAddress,
    /// Text of the session that forms carry.
    pub(super) csrf: String,
    /// Number of this page, by which a form of it that is sent twice is known.
    pub(super) once: String,
    /// Path of the page, to come back to.
    pub(super) path: String,
    /// Words about what was just done.
    pub(super) notice: Option<&'static str>,
}

impl Visit {
    /// Refuses a form without the text of the session, which no other site can know.
    pub(super) fn check_form(&self, csrf: &str) -> Result<(), PageError> {
        if self.session.is_form_token(csrf) {
            return Ok(());
        }
        tracing::warn!(path = self.path, "refused a form without the text of its session");
        Err(PageError::Foreign)
    }

    /// Returns true where the one who looks may press a button.
    pub(super) fn may(&self, button: &Button) -> bool {
        let namespace = namespace_of(&button.name);
        let permission = button.action.permission();
        decide_in(self.session.rights(), permission, namespace.as_deref()).is_ok()
    }

    /// Returns the namespaces that the one who looks may see.
    pub(super) fn sight(&self) -> Reach {
        Reach::of(self.session.rights(), Permission::Read)
    }

    /// Finds out whether a page about a project, a class or another thing in a namespace is shown.
    ///
    /// # Errors
    ///
    /// The one who looks may not see it: it is as if it were not there.
    pub(super) fn check_name(&self, name: &str) -> Result<(), PageError> {
        if self.sight().covers_name(name) { Ok(()) } else { Err(PageError::NotFound) }
    }
}

impl FromRequestParts<App> for Visit {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, _app: &App) -> Result<Self, PageError> {
        let Some(Caller::Browser(session)) = parts.extensions.get::<Caller>() else {
            return Err(PageError::LoggedOut);
        };
        let address =
            parts.extensions.get::<ClientAddress>().copied().ok_or(PageError::LoggedOut)?;
        let once = new_nonce().map_err(|error| PageError::Internal(Box::new(error)))?;
        let mut query = parts.uri.query().into_iter().flat_map(|query| query.split('&'));
        let done = query.find_map(|pair| pair.strip_prefix("done="));
        Ok(Self {
            session: Arc::clone(session),
            address,
            csrf: session.form_token(),
            once,
            path: parts.uri.path().to_owned(),
            notice: done.and_then(notice_of),
        })
    }
}
