//! Logging in a command line with a code: it asks for a token, somebody who is signed in allows that in
//! a browser, and it fetches the token (RFC 8628).
//!
//! | threat | what is against it |
//! |---|---|
//! | a copy of the database | both codes are kept as hashes, that of people with a key that is not in the database; the token is made when it is fetched, and so is nowhere before |
//! | codes of others are guessed | 20^8 codes, a thousand at a time at most, for ten minutes; only who is signed in can try, and is slowed after five failures |
//! | somebody is sent a code and talked into allowing it | the page says which address asks for what, and to compare the code with that on one's own terminal; no address carries a code |
//! | a token is fetched by two | the first poll uses the login up, in the transaction that makes the token |
//! | the database is filled | 20 logins of an address in ten minutes, a thousand in all |

use std::net::IpAddr;

use russet_protocol::people::{
    AuditItem, DeviceLoginError, NewPersonalToken, Permission, PersonalTokenItem, UserKind,
};
use russet_protocol::secret::Secret;

use crate::audit;
use crate::credentials::{NoRandomness, TokenHash, TokenKind, new_token, random_bytes};
use crate::people::{
    Counted, Denial, DeviceState, DeviceTimes, Person, Rights, SLOWED_BY_S, answer_poll,
    counted_source, plain_user_code, user_code_from,
};
use crate::personal_tokens::{NewTokenError, insert_token, normalize_request};
use crate::state::App;
use crate::store::device_logins::StoredDeviceLogin;
use crate::store::{StoreError, device_logins, users};

/// Time for which codes count, in seconds.
pub(crate) const CODES_TIMEOUT_S: i64 = 600;

/// Shortest time between two polls, in seconds.
pub(crate) const POLL_INTERVAL_S: i64 = 3;

/// The most logins of an address in [`CODES_TIMEOUT_S`].
const MAX_OF_SOURCE: i64 = 20;

/// The most logins at a time.
const MAX_LOGINS: i64 = 1000;

/// Purpose of the key that codes of people are hashed with.
const CODE_CONTEXT: &str = "russet control plane 2026-11 device user code";

/// Reason why a login does not go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeviceError {
    #[error("too many logins were begun; try again in some minutes, or log in with a token")]
    TooMany,
    /// Wrong codes of late: the seconds to wait.
    #[error("too many codes were wrong; try again in {0} s")]
    Slowed(u64),
    #[error(
        "there is no login with this code: it may have expired, or somebody has decided. Compare \
         it with your terminal, or begin again there"
    )]
    Unknown,
    #[error("a service account allows nobody a token")]
    Service,
    /// Not even the one who is asked has this permission.
    #[error("the permission `{}` is beyond your session", .0.as_str())]
    Beyond(Permission),
    /// A poll that brings no token.
    #[error("{}", poll_words(*.0))]
    Poll(DeviceLoginError),
    #[error(transparent)]
    Token(#[from] NewTokenError),
    #[error(transparent)]
    Random(#[from] NoRandomness),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Returns the answer to a poll in words.
fn poll_words(error: DeviceLoginError) -> &'static str {
    match error {
        DeviceLoginError::AuthorizationPending => "nobody has decided yet",
        DeviceLoginError::SlowDown => "the polls come too fast",
        DeviceLoginError::AccessDenied => "the login was denied in the browser",
        DeviceLoginError::ExpiredToken => "the code has expired",
        DeviceLoginError::InvalidGrant => "the code is unknown, or its token was fetched before",
    }
}

/// Login that was begun.
#[derive(Debug)]
pub(crate) struct Begun {
    pub(crate) device_code: Secret,
    /// Code for people, without its hyphen.
    pub(crate) user_code: String,
}

fn hash_user_code(app: &App, code: &str) -> blake3::Hash {
    blake3::keyed_hash(&blake3::derive_key(CODE_CONTEXT, &app.admin.key()), code.as_bytes())
}

fn new_user_code() -> Result<String, NoRandomness> {
    loop {
        let random: [u8; 32] = random_bytes()?;
        // Of 32 bytes there are nearly always enough.
        if let Some(code) = user_code_from(&random) {
            return Ok(code);
        }
    }
}

/// Begins the login of a command line.
pub(crate) async fn begin_device_login(
    app: &App,
    address: IpAddr,
    request: NewPersonalToken,
) -> Result<Begun, DeviceError> {
    let request = normalize_request(request)?;
    let device_code = new_token(TokenKind::Device)?;
    let user_code = new_user_code()?;
    let now_ms = app.clock.wall_ms();
    let until_ms = now_ms.saturating_add(CODES_TIMEOUT_S.saturating_mul(1000));
    let login = StoredDeviceLogin {
        id: TokenHash::of(device_code.expose()),
        user_code: hash_user_code(app, &user_code),
        address: address.to_string(),
        request,
        state: DeviceState::Waiting,
        times: DeviceTimes { until_ms, interval_s: POLL_INTERVAL_S, polled_ms: None },
        user: None,
    };
    let source = counted_source(address);
    let mut tx = app.store.write().await?;
    let (of_source, all) = device_logins::count(&mut tx, &source, now_ms).await?;
    if of_source >= MAX_OF_SOURCE || all >= MAX_LOGINS {
        tracing::warn!(%address, of_source, all, "refused to begin the login of a command line");
        return Err(DeviceError::TooMany);
    }
    device_logins::insert(&mut tx, &login, &source).await?;
    tx.commit().await?;
    tracing::info!(%address, "a command line asks for a token");
    Ok(Begun { device_code, user_code })
}

/// Finds the login that a person has typed the code of. Failures slow the next attempts.
pub(crate) async fn find_device_login(
    app: &App,
    person: &Person,
    typed: &str,
) -> Result<StoredDeviceLogin, DeviceError> {
    if person.kind == UserKind::Service {
        return Err(DeviceError::Service);
    }
    let counted = [Counted::Guess("device code", person.id.to_string())];
    let begun = app.attempts.with(|all| all.begin(&counted, app.clock.steady_ms()));
    if let Err(wait_ms) = begun {
        let wait_s = u64::try_from(wait_ms).unwrap_or(0).div_ceil(1000);
        tracing::warn!(account = person.name, wait_s, "slowed who types codes of logins");
        return Err(DeviceError::Slowed(wait_s));
    }
    let code = plain_user_code(typed).ok_or(DeviceError::Unknown)?;
    let hash = hash_user_code(app, &code);
    let now_ms = app.clock.wall_ms();
    let found = device_logins::find_waiting(&mut app.store.read().await?, &hash, now_ms).await?;
    let found = found.ok_or(DeviceError::Unknown)?;
    app.attempts.with(|all| all.succeed(&counted));
    Ok(found)
}

/// Allows or denies the login that a person has typed the code of.
pub(crate) async fn decide_device_login(
    app: &App,
    person: &Person,
    typed: &str,
    is_allowed: bool,
) -> Result<(), DeviceError> {
    let login = find_device_login(app, person, typed).await?;
    if is_allowed {
        check_within(&person.rights, &login.request)?;
    }
    let state = if is_allowed { DeviceState::Allowed } else { DeviceState::Denied };
    audit::note_after(&serde_json::json!({
        "decision": state.as_str(),
        "address": login.address,
        "token": login.request,
    }));
    let mut tx = app.store.write().await?;
    if !device_logins::decide(&mut tx, &login.id, state, &person.id).await? {
        return Err(DeviceError::Unknown);
    }
    tx.commit().await?;
    let (account, decision) = (&person.name, state.as_str());
    tracing::info!(
        account,
        address = login.address,
        decision,
        "decided the login of a command line"
    );
    Ok(())
}

/// Refuses a token that may do more than the session that allows it.
fn check_within(rights: &Rights, request: &NewPersonalToken) -> Result<(), DeviceError> {
    match request.scopes.iter().find(|scope| !rights.covers(&[**scope])) {
        Some(scope) => Err(DeviceError::Beyond(*scope)),
        None => Ok(()),
    }
}

/// Answers the poll of a command line. The token is made here, once, and `event` is written with it.
pub(crate) async fn poll_device_login(
    app: &App,
    device_code: &Secret,
    event: AuditItem,
) -> Result<PersonalTokenItem, DeviceError> {
    let id = TokenHash::of(device_code.expose().trim());
    // Who guesses writes nothing.
    let login = device_logins::get(&mut app.store.read().await?, &id).await?;
    let login = login.ok_or(DeviceError::Poll(DeviceLoginError::InvalidGrant))?;
    let now_ms = app.clock.wall_ms();
    match answer_poll(login.state, login.times, now_ms) {
        Ok(()) => audit::with_event(event, fetch_token(app, login)).await.0,
        Err(error) => {
            let interval_s = match error {
                DeviceLoginError::AuthorizationPending => login.times.interval_s,
                DeviceLoginError::SlowDown => login.times.interval_s.saturating_add(SLOWED_BY_S),
                _ => return Err(DeviceError::Poll(error)),
            };
            let mut tx = app.store.write().await?;
            device_logins::note_poll(&mut tx, &id, now_ms, interval_s).await?;
            tx.commit().await?;
            Err(DeviceError::Poll(error))
        }
    }
}

async fn fetch_token(
    app: &App,
    login: StoredDeviceLogin,
) -> Result<PersonalTokenItem, DeviceError> {
    let unknown = || DeviceError::Poll(DeviceLoginError::InvalidGrant);
    let mut tx = app.store.write().await?;
    if !device_logins::fetch(&mut tx, &login.id).await? {
        return Err(unknown());
    }
    let user = login.user.ok_or_else(unknown)?;
    let user = users::get(&mut tx, &user).await?.ok_or_else(unknown)?;
    audit::note_who(&user.item.name);
    let owner = (&user.id, user.item.name.as_str());
    let made = insert_token(&mut tx, owner, login.request, None, app.now_ms()).await?;
    tx.commit().await?;
    tracing::info!(account = user.item.name, token = %made.id, "a command line fetched its token");
    Ok(made)
}

impl DeviceError {
    /// Returns the denial that it is, for a page.
    pub(crate) fn denial(&self) -> Option<Denial> {
        match self {
            Self::Beyond(scope) => Some(Denial::Scope(*scope)),
            _ => None,
        }
    }
}
