//! Sessions of browsers: a cookie that a browser got for the admin token.
//!
//! The cookie holds when it ends, a random number, and a keyed hash of both. The key is derived
//! from the admin token's hash, so sessions outlive a restart and end when the token changes. Those
//! that were ended by logging out are remembered until they would have ended by themselves.
//! Threats: a script that got into a page cannot read it (`HttpOnly`); another site's page cannot
//! make a browser send it (`SameSite=Strict`), and would gain nothing, since it only reads; and one
//! that somebody copied is worth nothing any more after its owner logged out.

use axum::http::HeaderMap;
use axum::http::header::COOKIE;

use crate::credentials::NoRandomness;
use crate::state::App;
use crate::store::{StoreError, sessions};

/// Name of the cookie.
const NAME: &str = "russet_session";

/// Length of a session, in seconds: a working day.
const LASTS_S: i64 = 12 * 3600;

/// Purpose of the derived key, so that it is no other one.
const CONTEXT: &str = "russet control plane 2026-11 web session";

/// A session that has not ended.
#[derive(Debug)]
struct Session {
    until_s: i64,
    id: blake3::Hash,
}

fn seal_session(app: &App, until_s: i64, nonce: &str) -> blake3::Hash {
    let key = blake3::derive_key(CONTEXT, &app.admin.key());
    blake3::keyed_hash(&key, format!("{until_s}.{nonce}").as_bytes())
}

fn now_s(app: &App) -> i64 {
    app.clock.wall_ms() / 1000
}

/// Returns the header that begins a session. A browser sends the cookie back over TLS alone where
/// people come over TLS.
pub(crate) fn begin_cookie(app: &App) -> Result<String, NoRandomness> {
    let until_s = now_s(app) + LASTS_S;
    let mut nonce = [0; 16];
    getrandom::fill(&mut nonce).map_err(NoRandomness)?;
    let nonce = format!("{:032x}", u128::from_be_bytes(nonce));
    let value = format!("{until_s}.{nonce}.{}", seal_session(app, until_s, &nonce).to_hex());
    Ok(cookie_header(app, &value, LASTS_S))
}

/// Ends the session of a browser, here and there. Returns the header that takes the cookie away.
pub(crate) async fn end_cookie(app: &App, headers: &HeaderMap) -> Result<String, StoreError> {
    if let Some(Session { until_s, id }) = session(app, headers) {
        let mut tx = app.store.write().await?;
        sessions::end(&mut tx, id.as_bytes(), until_s, now_s(app)).await?;
        tx.commit().await?;
        app.ended_sessions.insert(id.as_bytes(), until_s, now_s(app));
    }
    Ok(cookie_header(app, "", 0))
}

fn cookie_header(app: &App, value: &str, max_age: i64) -> String {
    let encrypted = app.public_url.as_ref().is_some_and(|url| url.starts_with("https://"));
    let secure = if encrypted { "; Secure" } else { "" };
    format!("{NAME}={value}; Path=/; Max-Age={max_age}; HttpOnly; SameSite=Strict{secure}")
}

/// The value of our cookie among those that a browser sent.
fn session_cookie(headers: &HeaderMap) -> Option<&str> {
    let sent = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = sent.flat_map(|text| text.split(';'));
    pairs.find_map(|pair| pair.trim().strip_prefix(NAME)?.strip_prefix('='))
}

fn session(app: &App, headers: &HeaderMap) -> Option<Session> {
    let mut parts = session_cookie(headers)?.splitn(3, '.');
    let (until_s, nonce, mac) = (parts.next()?, parts.next()?, parts.next()?);
    let until_s: i64 = until_s.parse().ok()?;
    let mac = blake3::Hash::from_hex(mac).ok()?;
    let id = seal_session(app, until_s, nonce);
    // Comparing hashes takes as long either way.
    let holds = id == mac && until_s > now_s(app) && !app.ended_sessions.contains(id.as_bytes());
    holds.then_some(Session { until_s, id })
}

/// Returns true for a browser that the administrator logged in with.
pub(crate) fn is_logged_in(app: &App, headers: &HeaderMap) -> bool {
    session(app, headers).is_some()
}
