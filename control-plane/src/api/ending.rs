//! The end of a right while a call that was made with it waits or streams: its token was revoked or
//! expired, or its account has other rights now.

use axum::body::{Body, Bytes, HttpBody as _};
use axum::response::Response;
use futures_util::{StreamExt as _, stream};

use super::error::ApiError;
use crate::browser_session::find_person_of_session;
use crate::credentials::TokenHash;
use crate::people::Person;
use crate::sign_in::find_person;
use crate::signals::Subscription;
use crate::state::App;
use crate::store::StoreError;

/// A right that may end during a call.
#[derive(Debug)]
pub(super) struct Ending {
    app: App,
    person: Person,
    /// Session of a browser.
    session: Option<TokenHash>,
    changes: Subscription,
    /// Something happened that may have ended it, and nobody has looked yet.
    is_doubtful: bool,
}

impl Ending {
    /// The right of somebody with an account, by a token or the session of a browser.
    pub(super) fn of(app: &App, person: Person, session: Option<TokenHash>) -> Self {
        // Before the call reads anything, so that no change is missed.
        let changes = app.bus().people.subscribe(person.id.as_str());
        Self { app: app.clone(), person, session, changes, is_doubtful: false }
    }

    /// Waits for an answer and lets its body through, both until the right ends.
    pub(super) async fn bound(
        mut self,
        answer: impl Future<Output = Response>,
    ) -> Result<Response, ApiError> {
        let answer = tokio::select! {
            biased;
            answer = answer => answer,
            () = self.ended() => {
                return Err(ApiError::NotFound("the token was revoked or has expired".to_owned()));
            }
        };
        // What is made already is sent at once.
        if answer.body().size_hint().exact().is_some() {
            return Ok(answer);
        }
        Ok(answer.map(|body| Body::from_stream(self.cut(body))))
    }

    /// Lets a body through until the right ends, then breaks off.
    fn cut(self, body: Body) -> impl stream::Stream<Item = Result<Bytes, axum::Error>> {
        stream::unfold(Some((self, body.into_data_stream())), async |state| {
            let (mut ending, mut body) = state?;
            // A body that always has more would never let a look come to its end.
            if ending.is_doubtful && ending.check().await {
                return Some((Err(axum::Error::new(Ended)), None));
            }
            tokio::select! {
                biased;
                () = ending.ended() => Some((Err(axum::Error::new(Ended)), None)),
                piece = body.next() => Some((piece?, Some((ending, body)))),
            }
        })
    }

    /// Done when the right has ended.
    pub(super) async fn ended(&mut self) {
        loop {
            if !self.is_doubtful {
                self.doubt().await;
                self.is_doubtful = true;
            }
            if self.check().await {
                return;
            }
        }
    }

    /// Done when something happened that may have ended the right.
    async fn doubt(&mut self) {
        let expires_ms = self.person.token.as_ref().and_then(|token| token.expires_ms);
        let Some(expires_ms) = expires_ms else { return self.changes.changed().await };
        let left_ms = expires_ms.saturating_sub(self.app.clock.wall_ms());
        let end = self.app.clock.steady_ms().saturating_add(left_ms);
        tokio::select! {
            () = self.changes.changed() => {}
            () = self.app.clock.sleep_until(end) => {}
        }
    }

    /// Returns true if the right has ended. A doubt that cannot be cleared ends it.
    async fn check(&mut self) -> bool {
        match self.has_ended().await {
            Ok(has_ended) => {
                self.is_doubtful = has_ended;
                has_ended
            }
            Err(error) => {
                let error = russet_text::error_chain(&error);
                tracing::warn!(error, "cannot look if a token still counts; ending its call");
                true
            }
        }
    }

    async fn has_ended(&self) -> Result<bool, StoreError> {
        let now = match (&self.person.token, &self.session) {
            (Some(token), _) => find_person(&self.app, &token.hash).await?,
            (None, Some(id)) => find_person_of_session(&self.app, id).await?,
            (None, None) => None,
        };
        Ok(now.as_ref() != Some(&self.person))
    }
}

/// The right to a call has ended.
#[derive(Debug, thiserror::Error)]
#[error("the token was revoked or has expired")]
struct Ended;
