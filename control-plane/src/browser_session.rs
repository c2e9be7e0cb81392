//! Sessions of browsers: a cookie that a browser got for the admin token, or for the password of an
//! account.
//!
//! That of an account is a random text, stored as a hash with its account, so it can be ended by
//! others too. That for the admin token holds when it ends, a random number, the name that its owner gave, and a keyed hash of
//! all. The key is derived from the admin token's hash, so sessions outlive a restart and end when
//! the token changes. Those that were ended by logging out are remembered, in the database and so for
//! all servers of it, until they would have ended by themselves.
//!
//! Threats: a script that got into a page cannot read it (`HttpOnly`); another site's page cannot
//! make a browser send it (`SameSite=Strict`), and would not know the token that each form of ours
//! carries ([`Session::form_token`]); and one that somebody copied is worth nothing any more after
//! its owner logged out.

use std::net::IpAddr;

use axum::http::HeaderMap;
use axum::http::header::COOKIE;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use russet_protocol::ids::UserId;
use russet_text::one_line_within;

use crate::credentials::{NoRandomness, TokenHash, TokenKind, new_token, random_bytes};
use crate::oidc::ATTEMPT_TIMEOUT_S;
use crate::people::{Person, Rights};
use crate::state::App;
use crate::store::{StoreError, sessions, user_sessions};

/// Name of the cookie.
const NAME: &str = "russet_session";

/// Name of the cookie by which a browser is known that somebody signed in with before.
const MARK_NAME: &str = "russet_browser";

/// Time for which that one lasts, in seconds: a year.
const MARK_LASTS_S: i64 = 365 * 24 * 3600;

/// Name of the cookie of an attempt to sign in at a provider.
const ATTEMPT_NAME: &str = "russet_sign_in";

/// Length of a session, in seconds: a working day.
const LASTS_S: i64 = 12 * 3600;

/// The most characters of the name of the one who logged in.
const MAX_NAME_CHARS: usize = 64;

/// Purposes of the derived keys, so that neither is the other one.
const CONTEXT: &str = "russet control plane 2026-11 web session";
const MARK_CONTEXT: &str = "russet control plane 2026-11 known browser";
const FORM_CONTEXT: &str = "russet control plane 2026-11 web form";

/// A session that has not ended.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    until_s: i64,
    id: blake3::Hash,
    form_token: blake3::Hash,
    name: String,
    /// The account that it is of. `None`: the admin token was given, and the name is not proved.
    person: Option<Person>,
    /// Id in the database of a session with an account.
    stored: Option<TokenHash>,
}

impl Session {
    /// Account of the one who is logged in; `None` for the holder of the admin token.
    pub(crate) fn person(&self) -> Option<&Person> {
        self.person.as_ref()
    }

    /// Id in the database of a session with an account.
    pub(crate) fn stored_id(&self) -> Option<TokenHash> {
        self.stored
    }

    /// Rights of the one who is logged in.
    pub(crate) fn rights(&self) -> &Rights {
        self.person.as_ref().map_or(&Rights::Owner, |person| &person.rights)
    }

    /// Key that its calls are counted by.
    pub(crate) fn key(&self, app: &App) -> [u8; 32] {
        self.person.as_ref().map_or_else(|| app.admin.key(), |_| *self.id.as_bytes())
    }

    /// Name of the account, or the one that the holder of the admin token gave, which may be empty and
    /// is not proved.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// End of it, in seconds since 1970.
    pub(crate) fn until_s(&self) -> i64 {
        self.until_s
    }

    /// The text that forms of this session carry, and that no other site can know.
    pub(crate) fn form_token(&self) -> String {
        self.form_token.to_hex().to_string()
    }

    /// Returns true for that text. Takes as long either way.
    pub(crate) fn is_form_token(&self, text: &str) -> bool {
        blake3::Hash::from_hex(text).is_ok_and(|hash| hash == self.form_token)
    }

    /// A hash of what is done in this session.
    pub(crate) fn hash_use(&self, parts: &[&str]) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(self.id.as_bytes());
        for part in parts {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
        }
        hasher.finalize()
    }
}

fn derived_key(app: &App, context: &str) -> [u8; 32] {
    blake3::derive_key(context, &app.admin.key())
}

fn seal_session(app: &App, until_s: i64, nonce: &str, name: &str) -> blake3::Hash {
    let text = format!("{until_s}.{nonce}.{name}");
    blake3::keyed_hash(&derived_key(app, CONTEXT), text.as_bytes())
}

/// Returns a random text that nobody can guess.
pub(crate) fn new_nonce() -> Result<String, NoRandomness> {
    Ok(format!("{:032x}", u128::from_be_bytes(random_bytes()?)))
}

/// Returns the header that begins a session of somebody. A browser sends the cookie back over TLS
/// alone where people come over TLS.
pub(crate) fn begin_cookie(
    app: &App,
    name: &str,
    is_encrypted: bool,
) -> Result<String, NoRandomness> {
    let until_s = app.now_s() + LASTS_S;
    let nonce = new_nonce()?;
    let name = URL_SAFE_NO_PAD.encode(one_line_within(name.trim(), MAX_NAME_CHARS));
    let seal = seal_session(app, until_s, &nonce, &name).to_hex();
    let value = format!("{until_s}.{nonce}.{name}.{seal}");
    Ok(cookie_header(app, &value, LASTS_S, is_encrypted))
}

/// Begins a session of an account. Returns the headers that give the browser its cookie and a mark, by
/// which it is known when somebody signs in with it again.
pub(crate) async fn begin_session(
    app: &App,
    (user, name): (&UserId, &str),
    address: IpAddr,
    is_encrypted: bool,
) -> Result<[String; 2], BeginError> {
    let cookie = new_token(TokenKind::Session)?;
    let id = TokenHash::of(cookie.expose());
    let now_s = app.now_s();
    let mut tx = app.store.write().await?;
    let address = address.to_string();
    user_sessions::begin(&mut tx, &id, user, (now_s, now_s + LASTS_S), &address).await?;
    tx.commit().await?;
    let nonce = new_nonce()?;
    let seal = seal_mark(app, &nonce, name).to_hex();
    let mark = cookie_of(app, MARK_NAME, &format!("{nonce}.{seal}"), MARK_LASTS_S, is_encrypted);
    Ok([cookie_header(app, cookie.expose(), LASTS_S, is_encrypted), mark])
}

/// A session cannot begin.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BeginError {
    #[error(transparent)]
    Random(#[from] NoRandomness),
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn seal_mark(app: &App, nonce: &str, account: &str) -> blake3::Hash {
    let text = format!("{nonce}.{account}");
    blake3::keyed_hash(&derived_key(app, MARK_CONTEXT), text.as_bytes())
}

/// Returns the mark of a browser that an account was signed in with before.
pub(crate) fn mark_of(app: &App, headers: &HeaderMap, account: &str) -> Option<String> {
    let (nonce, seal) = cookie_value(headers, MARK_NAME)?.split_once('.')?;
    let is_ours = blake3::Hash::from_hex(seal).ok()? == seal_mark(app, nonce, account);
    is_ours.then(|| nonce.to_owned())
}

/// Ends a session, here and in the browser. Returns the header that takes the cookie away.
pub(crate) async fn end_cookie(app: &App, session: Option<&Session>) -> Result<String, StoreError> {
    if let Some((id, person)) = session.and_then(|of| of.stored.zip(of.person())) {
        let mut tx = app.store.write().await?;
        user_sessions::end(&mut tx, &id, &person.id).await?;
        tx.commit().await?;
    } else if let Some(session) = session {
        let mut tx = app.store.write().await?;
        sessions::end(&mut tx, session.id.as_bytes(), session.until_s, app.now_s()).await?;
        tx.commit().await?;
    }
    Ok(cookie_header(app, "", 0, false))
}

fn cookie_header(app: &App, value: &str, max_age: i64, is_encrypted: bool) -> String {
    cookie_of(app, NAME, value, max_age, is_encrypted)
}

fn cookie_of(app: &App, name: &str, value: &str, max_age: i64, is_encrypted: bool) -> String {
    let secure = secure_attribute(app, is_encrypted);
    format!("{name}={value}; Path=/; Max-Age={max_age}; HttpOnly; SameSite=Strict{secure}")
}

fn secure_attribute(app: &App, is_encrypted: bool) -> &'static str {
    let by_url = app.public_url.as_ref().is_some_and(|url| url.starts_with("https://"));
    if by_url || is_encrypted { "; Secure" } else { "" }
}

/// Returns the header that notes an attempt to sign in at a provider. Unlike the others it comes along on
/// the way back from there (`web/oidc.rs`).
pub(crate) fn start_attempt_cookie(app: &App, value: &str, is_encrypted: bool) -> String {
    attempt_cookie(app, value, ATTEMPT_TIMEOUT_S, is_encrypted)
}

/// Returns the header that forgets it.
pub(crate) fn end_attempt_cookie(app: &App, is_encrypted: bool) -> String {
    attempt_cookie(app, "", 0, is_encrypted)
}

fn attempt_cookie(app: &App, value: &str, max_age: i64, is_encrypted: bool) -> String {
    let secure = secure_attribute(app, is_encrypted);
    format!(
        "{ATTEMPT_NAME}={value}; Path=/login/oidc; Max-Age={max_age}; HttpOnly; SameSite=Lax{secure}"
    )
}

/// Returns what a browser sends of it.
pub(crate) fn sent_attempt(headers: &HeaderMap) -> Option<&str> {
    cookie_value(headers, ATTEMPT_NAME)
}

/// The value of a cookie of ours among those that a browser sent.
fn cookie_value<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let sent = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = sent.flat_map(|text| text.split(';'));
    pairs.find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
}

fn sealed_session(app: &App, headers: &HeaderMap) -> Option<Session> {
    let mut parts = cookie_value(headers, NAME)?.splitn(4, '.');
    let (until_s, nonce, name) = (parts.next()?, parts.next()?, parts.next()?);
    let mac = blake3::Hash::from_hex(parts.next()?).ok()?;
    let until_s: i64 = until_s.parse().ok()?;
    let id = seal_session(app, until_s, nonce, name);
    // Comparing hashes takes as long either way.
    if id != mac || until_s <= app.now_s() {
        return None;
    }
    let form_token = blake3::keyed_hash(&derived_key(app, FORM_CONTEXT), id.as_bytes());
    let name = String::from_utf8(URL_SAFE_NO_PAD.decode(name).ok()?).ok()?;
    Some(Session { until_s, id, form_token, name, person: None, stored: None })
}

/// Finds the session of a browser.
pub(crate) async fn find_session(
    app: &App,
    headers: &HeaderMap,
) -> Result<Option<Session>, StoreError> {
    // Nobody without a cookie of ours costs a look into the database.
    let Some(cookie) = cookie_value(headers, NAME) else { return Ok(None) };
    if cookie.starts_with(TokenKind::Session.prefix()) {
        return find_stored(app, TokenHash::of(cookie)).await;
    }
    let Some(session) = sealed_session(app, headers) else { return Ok(None) };
    let mut conn = app.store.read().await?;
    let is_ended = sessions::is_ended(&mut conn, session.id.as_bytes()).await?;
    Ok((!is_ended).then_some(session))
}

/// Finds a session of an account.
async fn find_stored(app: &App, id: TokenHash) -> Result<Option<Session>, StoreError> {
    let found = user_sessions::person_of(&mut app.store.read().await?, &id).await?;
    let found = found.filter(|(_, until_s)| *until_s > app.now_s());
    Ok(found.map(|(person, until_s)| Session {
        until_s,
        id: id.hash(),
        form_token: blake3::keyed_hash(&derived_key(app, FORM_CONTEXT), id.as_bytes()),
        name: person.name.clone(),
        person: Some(person),
        stored: Some(id),
    }))
}

/// Finds the one whose session it still is.
pub(crate) async fn find_person_of_session(
    app: &App,
    id: &TokenHash,
) -> Result<Option<Person>, StoreError> {
    Ok(find_stored(app, *id).await?.and_then(|session| session.person))
}
