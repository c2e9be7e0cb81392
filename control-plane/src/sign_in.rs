//! Finding out who calls: by a personal token, or by a name and a password, which is set with a link.

use std::net::IpAddr;

use russet_protocol::ids::UserId;
use russet_protocol::people::{ChangePassword, Role, UserKind};
use russet_protocol::secret::Secret;

use crate::credentials::TokenHash;
use crate::people::{
    Counted, PasswordError, Person, check_user_name, counted_for, hash_password, matches_password,
    refuse_password,
};
use crate::state::App;
use crate::store::users::StoredUser;
use crate::store::{StoreError, WriteTx, user_sessions, user_tokens, users};

/// Longest name that is looked up, in bytes.
const MAX_NAME_BYTES: usize = 64;

/// Reason why somebody is not signed in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignInError {
    #[error("the name or the password is wrong")]
    Wrong,
    /// Too many failures of late: the seconds to wait.
    #[error("too many attempts failed; try again in {0} s")]
    TooMany(u64),
    #[error("{0}")]
    Refused(String),
    #[error("the link was used before, or has expired; ask for another one")]
    Link,
    #[error("the account has no password: an administrator gives out a link, `russet user invite`")]
    NoPassword,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Password(#[from] PasswordError),
}

/// Finds the owner of a personal token: `None` for one that is unknown, was revoked or has expired.
pub(crate) async fn find_person(app: &App, hash: &TokenHash) -> Result<Option<Person>, StoreError> {
    let person = user_tokens::owner_of(&mut app.store.read().await?, hash).await?;
    let now_ms = app.clock.wall_ms();
    Ok(person.filter(|person| {
        let expires_ms = person.token.as_ref().and_then(|token| token.expires_ms);
        expires_ms.is_none_or(|expires_ms| now_ms < expires_ms)
    }))
}

/// Signs somebody in with a name and a password. `mark` is that of a browser which the account was
/// signed in with before.
pub(crate) async fn sign_in(
    app: &App,
    sent: (&str, Secret),
    address: IpAddr,
    mark: Option<String>,
) -> Result<(UserId, String), SignInError> {
    let signed_in = check_password(app, sent, address, mark).await;
    match &signed_in {
        Ok(_) => app.sign_ins.succeeded.inc(),
        Err(SignInError::Wrong) => app.sign_ins.failed.inc(),
        Err(SignInError::TooMany(_)) => app.sign_ins.slowed.inc(),
        Err(_) => 0,
    };
    signed_in
}

async fn check_password(
    app: &App,
    (name, password): (&str, Secret),
    address: IpAddr,
    mark: Option<String>,
) -> Result<(UserId, String), SignInError> {
    let name: String = name.trim().chars().take(MAX_NAME_BYTES).collect();
    let counted = counted_for(&name, address, mark);
    begin_attempt(app, &counted, &name, address)?;
    let found = users::with_password(&mut app.store.read().await?, &name).await?;
    let hash = found.as_ref().map(|(_, hash)| hash.clone());
    let is_right = matches_password(password, hash).await?;
    match found {
        Some((id, _)) if is_right => {
            app.attempts.with(|attempts| attempts.succeed(&counted));
            tracing::info!(account = name, %address, "somebody signed in");
            Ok((id, name))
        }
        _ => {
            let account = russet_text::one_line(&name);
            tracing::warn!(account, %address, "somebody tried to sign in with a wrong password");
            Err(SignInError::Wrong)
        }
    }
}

/// Sets a password with a link, which is used up. A link for no account makes `name` an
/// administrator. All sessions of the account end.
pub(crate) async fn set_password(
    app: &App,
    code: &Secret,
    name: &str,
    password: Secret,
) -> Result<(UserId, String), SignInError> {
    let id = TokenHash::of(code.expose().trim());
    let now_s = app.now_s();
    // A hash is made for those alone who have a link.
    let link = user_sessions::link(&mut app.store.read().await?, &id, now_s).await?;
    let user = link.ok_or(SignInError::Link)?;
    if let Some(words) = refuse_password(&password) {
        return Err(SignInError::Refused(words));
    }
    let hash = hash_password(password).await?;
    let mut tx = app.store.write().await?;
    if !user_sessions::use_link(&mut tx, &id).await? {
        return Err(SignInError::Link);
    }
    let user = match user {
        Some(user) => users::get(&mut tx, &user).await?.ok_or(SignInError::Link)?,
        None => make_administrator(app, &mut tx, name.trim()).await?,
    };
    users::set_password(&mut tx, &user.id, &hash).await?;
    user_sessions::end_all(&mut tx, &user.id, None).await?;
    tx.commit().await?;
    Ok((user.id, user.item.name))
}

/// Changes the password of somebody who knows the present one. All other sessions of the account end.
///
/// Threat: whoever finds a session or a token of somebody tries passwords with it. Attempts are slowed, and
/// counted apart from those of the sign-in, so that nobody is kept out by them.
pub(crate) async fn change_password(
    app: &App,
    person: &Person,
    session: Option<TokenHash>,
    address: IpAddr,
    change: ChangePassword,
) -> Result<(), SignInError> {
    let account = &person.name;
    let counted = [Counted::Guess("present password", person.id.to_string())];
    begin_attempt(app, &counted, account, address)?;
    let found = users::with_password(&mut app.store.read().await?, account).await?;
    let (_, hash) = found.ok_or(SignInError::NoPassword)?;
    if !matches_password(change.present, Some(hash)).await? {
        tracing::warn!(account, %address, "a present password was wrong");
        return Err(SignInError::Wrong);
    }
    app.attempts.with(|attempts| attempts.succeed(&counted));
    if let Some(words) = refuse_password(&change.new) {
        return Err(SignInError::Refused(words));
    }
    let hash = hash_password(change.new).await?;
    let mut tx = app.store.write().await?;
    users::set_password(&mut tx, &person.id, &hash).await?;
    user_sessions::end_all(&mut tx, &person.id, session.as_ref()).await?;
    tx.commit().await?;
    tracing::info!(account, %address, "a password was changed");
    Ok(())
}

/// Counts an attempt, which is refused where too many failed of late.
fn begin_attempt(
    app: &App,
    counted: &[Counted],
    account: &str,
    address: IpAddr,
) -> Result<(), SignInError> {
    let now_ms = app.clock.steady_ms();
    app.attempts.with(|attempts| attempts.begin(counted, now_ms)).map_err(|wait_ms| {
        let wait_s = u64::try_from(wait_ms).unwrap_or(0).div_ceil(1000);
        let account = russet_text::one_line(account);
        tracing::warn!(account, %address, wait_s, "slowed attempts at a password");
        SignInError::TooMany(wait_s)
    })
}

async fn make_administrator(
    app: &App,
    tx: &mut WriteTx,
    name: &str,
) -> Result<StoredUser, SignInError> {
    check_user_name(name).map_err(SignInError::Refused)?;
    let role = Some(Role::Admin);
    if let Some(found) = users::find(tx, name).await? {
        if found.item.kind == UserKind::Service {
            return Err(SignInError::Refused(format!("`{name}` is a service account")));
        }
        users::set_role(tx, &found.id, role).await?;
        return Ok(found);
    }
    let new = StoredUser::new(name.to_owned(), UserKind::Person, role, app.now_ms());
    users::insert(tx, &new).await?;
    Ok(new)
}
