//! Sessions of readers: a cookie that a browser got for the admin token.
//!
//! The cookie holds when it ends and a keyed hash of that. The key is derived from the admin
//! token's hash, so sessions outlive a restart, need no table, and end when the token changes.
//! Threats: a script that got into a page can not read it (`HttpOnly`); another site's page can
//! not make a browser send it (`SameSite=Strict`), and would gain nothing, since it only reads.

use axum::extract::{Request, State};
use axum::http::header::COOKIE;
use axum::http::{HeaderMap, Method, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};

use crate::state::App;

/// Name of the cookie.
const NAME: &str = "russet_session";

/// Duration of a login, in seconds: a working day.
const LASTS_S: i64 = 12 * 3600;

/// Says what the derived key is for, so that it is no other one.
const CONTEXT: &str = "russet control plane 2026-11 web session";

fn seal(app: &App, until_s: i64) -> blake3::Hash {
    let key = blake3::derive_key(CONTEXT, app.admin.as_bytes());
    blake3::keyed_hash(&key, &until_s.to_le_bytes())
}

fn now_s(app: &App) -> i64 {
    app.clock.wall_ms() / 1000
}

/// The header that begins a session. A browser sends the cookie back over TLS alone where people
/// come over TLS.
pub(super) fn begin(app: &App) -> String {
    let until = now_s(app) + LASTS_S;
    set(app, &format!("{until}.{}", seal(app, until).to_hex()), LASTS_S)
}

/// The header that ends a session.
pub(super) fn end(app: &App) -> String {
    set(app, "", 0)
}

fn set(app: &App, value: &str, max_age: i64) -> String {
    let encrypted = app.public_url.as_ref().is_some_and(|url| url.starts_with("https://"));
    let secure = if encrypted { "; Secure" } else { "" };
    format!("{NAME}={value}; Path=/; Max-Age={max_age}; HttpOnly; SameSite=Strict{secure}")
}

/// The value of our cookie among those that a browser sent.
fn cookie(headers: &HeaderMap) -> Option<&str> {
    let sent = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = sent.flat_map(|text| text.split(';'));
    pairs.find_map(|pair| pair.trim().strip_prefix(NAME)?.strip_prefix('='))
}

fn is_known(app: &App, headers: &HeaderMap) -> bool {
    let parts = cookie(headers).and_then(|value| value.split_once('.'));
    let Some((until, mac)) = parts else { return false };
    let (Ok(until), Ok(mac)) = (until.parse(), blake3::Hash::from_hex(mac)) else { return false };
    // Comparing hashes takes as long either way.
    seal(app, until) == mac && until > now_s(app)
}

/// Returns true if a request of a browser that is logged in only reads, which is all that a session
/// may.
pub(crate) fn reads(app: &App, request: &Request) -> bool {
    matches!(*request.method(), Method::GET | Method::HEAD) && is_known(app, request.headers())
}

/// Lets only those through who are logged in, and sends others to log in.
pub(super) async fn known_only(State(app): State<App>, request: Request, next: Next) -> Response {
    if reads(&app, &request) {
        return next.run(request).await;
    }
    Redirect::to(&login_for(request.uri())).into_response()
}

/// Returns the login page's address, so that one comes back.
fn login_for(uri: &Uri) -> String {
    let path = uri.path().trim_end_matches("/changes");
    if path == "/" { "/login".to_owned() } else { format!("/login?next={path}") }
}

/// Returns the place to go after the login: one of ours, whatever the query says, so that a link to
/// our login can not lead somewhere else afterwards.
pub(super) fn place(next: Option<&str>) -> &str {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/-_.".contains(c);
    match next {
        Some(path)
            if path.starts_with('/') && !path.starts_with("//") && path.chars().all(plain) =>
        {
            path
        }
        _ => "/",
    }
}

#[cfg(test)]
mod tests {
    use super::place;

    #[test]
    fn a_login_leads_to_a_place_of_ours_only() {
        assert_eq!(place(Some("/jobs/01-ab")), "/jobs/01-ab");
        for elsewhere in
            ["//example.com", "https://example.com", "/\\example.com", "jobs", "/a?b", ""]
        {
            assert_eq!(place(Some(elsewhere)), "/", "{elsewhere}");
        }
        assert_eq!(place(None), "/");
    }
}
