//! Signing in with an identity at a provider: its account is found, linked, or made.

use russet_protocol::ids::UserId;
use russet_protocol::people::{AuditItem, UserKind};
use serde_json::json;

use crate::audit;
use crate::browser_session::BeginError;
use crate::oidc::{
    Attempt, Claims, OidcSettings, Provider, ProviderError, Refused, check_claims, wanted_name,
};
use crate::state::App;
use crate::store::users::StoredUser;
use crate::store::{StoreError, WriteTx, identities, sessions, users};

/// Longest subject that is kept, in bytes: 255 characters, says OpenID Connect Core, section 2.
const MAX_SUBJECT_BYTES: usize = 255;

/// Reason why nobody is signed in with an identity.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IdentityError {
    #[error("this browser has begun no sign-in, or more than ten minutes ago")]
    NoAttempt,
    #[error("this answer is not to the sign-in that this browser has begun last")]
    OtherState,
    #[error("this answer was used before")]
    Used,
    #[error("the answer comes from another provider: {0}")]
    OtherIssuer(String),
    #[error("the provider refuses: {0}")]
    Denied(String),
    #[error("the provider's answer has neither a code nor a reason")]
    NoCode,
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// The provider knows somebody who does not come in here.
    #[error("{refused}")]
    Refused {
        /// Reason.
        refused: Refused,
        /// Subject at the provider.
        subject: String,
    },
    #[error("the provider's name for somebody is empty, or longer than {MAX_SUBJECT_BYTES} bytes")]
    Subject,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Begin(#[from] BeginError),
}

impl IdentityError {
    /// Returns what to do.
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            Self::NoAttempt | Self::OtherState | Self::Used | Self::NoCode => {
                "begin again, in one tab"
            }
            Self::Denied(_) => "begin again, or ask the one who runs the provider",
            Self::Refused { refused, .. } => refused.hint(),
            Self::OtherIssuer(_)
            | Self::Provider(_)
            | Self::Subject
            | Self::Store(_)
            | Self::Begin(_) => "tell an administrator: the server's log says more",
        }
    }

    /// Returns true where the fault is the provider's or ours.
    pub(crate) fn is_fault(&self) -> bool {
        matches!(self, Self::Provider(_) | Self::Subject | Self::Store(_) | Self::Begin(_))
    }
}

/// Answer of a provider, as a browser brings it.
#[derive(Debug, Default, serde::Deserialize)]
pub(crate) struct Answer {
    pub(crate) code: Option<String>,
    pub(crate) state: Option<String>,
    pub(crate) error: Option<String>,
    pub(crate) error_description: Option<String>,
    /// RFC 9207.
    pub(crate) iss: Option<String>,
}

/// Signs somebody in with the answer of a provider. Returns the account and its name. `event` is written
/// where an identity is linked with an account.
pub(crate) async fn sign_in_with_identity(
    app: &App,
    provider: &Provider,
    attempt: Option<&Attempt>,
    answer: Answer,
    event: AuditItem,
) -> Result<(UserId, String), IdentityError> {
    let attempt = attempt.ok_or(IdentityError::NoAttempt)?;
    if !answer.state.as_deref().is_some_and(|state| attempt.is_state(state)) {
        return Err(IdentityError::OtherState);
    }
    // Before anything else happens with the answer: it counts once.
    use_attempt(app, attempt).await?;
    let issuer = provider.settings.issuer();
    if let Some(other) = answer.iss.filter(|iss| iss != issuer) {
        return Err(IdentityError::OtherIssuer(russet_text::one_line(&other)));
    }
    if let Some(error) = answer.error {
        let more = answer.error_description.map(|more| format!(": {more}")).unwrap_or_default();
        return Err(IdentityError::Denied(russet_text::one_line_within(&(error + &more), 200)));
    }
    let code = answer.code.ok_or(IdentityError::NoCode)?;
    let claims = provider.redeem(&*app.clock, attempt, code).await?;
    if claims.subject.is_empty() || claims.subject.len() > MAX_SUBJECT_BYTES {
        return Err(IdentityError::Subject);
    }
    audit::with_event(event, find_account(app, &provider.settings, &claims)).await.0
}

async fn use_attempt(app: &App, attempt: &Attempt) -> Result<(), IdentityError> {
    let mut tx = app.store.write().await?;
    let id = attempt.id();
    let is_new = sessions::use_form(&mut tx, id.as_bytes(), attempt.until_s, app.now_s()).await?;
    tx.commit().await?;
    if is_new { Ok(()) } else { Err(IdentityError::Used) }
}

/// Finds the account of somebody whom the provider knows; links it with the identity, or makes one.
async fn find_account(
    app: &App,
    settings: &OidcSettings,
    claims: &Claims,
) -> Result<(UserId, String), IdentityError> {
    let subject = || claims.subject.clone();
    let refuse = |refused| IdentityError::Refused { refused, subject: subject() };
    check_claims(settings, claims).map_err(refuse)?;
    let mut tx = app.store.write().await?;
    let known = identities::find_user(&mut tx, settings.issuer(), &claims.subject).await?;
    if let Some(user) = known {
        let user = users::get(&mut tx, &user).await?;
        let name = user.ok_or_else(|| refuse(Refused::NoAccount(subject())))?;
        return Ok((name.id, name.item.name));
    }
    let name = wanted_name(settings, claims).map_err(refuse)?;
    let user = match users::find(&mut tx, &name).await? {
        Some(user) => user,
        None => make_account(app, settings, &mut tx, &name).await?.map_err(refuse)?,
    };
    if user.item.kind == UserKind::Service {
        return Err(refuse(Refused::Service(name)));
    }
    if identities::has_identity(&mut tx, &user.id, settings.issuer()).await? {
        return Err(refuse(Refused::Taken(name)));
    }
    let identity = (settings.issuer(), claims.subject.as_str());
    identities::insert(&mut tx, identity, &user.id, app.clock.wall_ms()).await?;
    let linked = json!({"account": user.item, "issuer": identity.0, "subject": identity.1});
    audit::note_who(&name);
    audit::note_after(&linked);
    tx.commit().await?;
    tracing::info!(account = name, subject = identity.1, "linked an identity with an account");
    Ok((user.id, user.item.name))
}

async fn make_account(
    app: &App,
    settings: &OidcSettings,
    tx: &mut WriteTx,
    name: &str,
) -> Result<Result<StoredUser, Refused>, StoreError> {
    let Some(role) = settings.create_role else {
        return Ok(Err(Refused::NoAccount(name.to_owned())));
    };
    let user = StoredUser::new(name.to_owned(), UserKind::Person, Some(role), app.now_ms());
    users::insert(tx, &user).await?;
    Ok(Ok(user))
}
