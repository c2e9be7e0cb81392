//! Access to the pages: those who are logged in pass, others are sent to log in. Nothing that another
//! site's page makes a browser send is done.

use axum::extract::{Request, State};
use axum::http::header::{HOST, ORIGIN, REFERER};
use axum::http::{HeaderMap, Method, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};

use russet_protocol::people::Permission;

use super::errors::{ErrorPage, PageError};
use super::visit::Visit;
use crate::api::Caller;
use crate::people::{Denial, Needs, Person, decide};
use crate::state::App;

/// Lets only those through who are logged in, and sends others to log in. A form of somebody whose
/// session has ended is refused in words, since what was asked for is not done after a login.
pub(super) async fn known_only(request: Request, next: Next) -> Response {
    if let Some(Caller::Browser(session)) = request.extensions().get::<Caller>() {
        return match decide(session.rights(), Needs::Anywhere(Permission::Read)) {
            Ok(()) => next.run(request).await,
            Err(denial) => PageError::Denied(denial).into_response(),
        };
    }
    if request.method() == Method::POST {
        let login = format!("/login?next={}", page_before(request.headers()));
        return ErrorPage::logged_out(login).into_response();
    }
    Redirect::to(&login_for(request.uri())).into_response()
}

/// Refuses forms that another site's page sent.
///
/// Threat: a browser sends cookies along with what any page makes it send. `SameSite=Strict` and the
/// text of the session that each form carries are two walls; this is the one before both, and the
/// only one for the login, which has no session yet.
pub(super) async fn refuse_foreign(
    State(app): State<App>,
    request: Request,
    next: Next,
) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if reads || !is_foreign(request.headers(), app.public_url.as_deref()) {
        return next.run(request).await;
    }
    tracing::warn!(path = request.uri().path(), "refused a form of another site");
    PageError::Foreign.into_response()
}

/// Returns true where a browser says that the page of another site sent a request.
fn is_foreign(headers: &HeaderMap, public_url: Option<&str>) -> bool {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or(""));
    if let Some(site) = text("sec-fetch-site".parse().unwrap_or(ORIGIN)) {
        // `none` is what a person typed.
        return !matches!(site, "same-origin" | "none");
    }
    let Some(origin) = text(ORIGIN) else { return false };
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    let is_ours = public_url == Some(origin) || (authority.is_some() && authority == text(HOST));
    !is_ours
}

/// Returns the login page's address, so that one comes back.
pub(super) fn login_for(uri: &Uri) -> String {
    let path = uri.path().trim_end_matches("/changes");
    if path == "/" { "/login".to_owned() } else { format!("/login?next={path}") }
}

/// Returns the account of the one who looks.
///
/// # Errors
///
/// It is the holder of the admin token, which is nobody's account.
pub(super) fn check_account(visit: &Visit) -> Result<&Person, PageError> {
    visit.session.person().ok_or(PageError::Denied(Denial::NoAccount))
}

/// Returns the path of the page that a form was on.
fn page_before(headers: &HeaderMap) -> String {
    let referer = headers.get(REFERER).and_then(|value| value.to_str().ok());
    let uri = referer.and_then(|text| text.parse::<Uri>().ok());
    return_place(uri.as_ref().map(Uri::path)).to_owned()
}

/// Returns the place to go after the login: one of ours, whatever the query says, so that a link to
/// our login cannot lead somewhere else afterwards.
pub(super) fn return_place(next: Option<&str>) -> &str {
    // A percent sign stands before what a name has that is not plain; it is read as part of a path.
    let plain = |c: char| c.is_ascii_alphanumeric() || "/-_.%~".contains(c);
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
    use axum::http::{HeaderMap, HeaderName, HeaderValue};

    use super::{is_foreign, return_place};

    #[test]
    fn a_login_leads_to_a_place_of_ours_only() {
        assert_eq!(return_place(Some("/jobs/01-ab")), "/jobs/01-ab");
        assert_eq!(return_place(Some("/runners/desk%204")), "/runners/desk%204");
        for elsewhere in
            ["//example.com", "https://example.com", "/\\example.com", "jobs", "/a?b", "/\n", ""]
        {
            assert_eq!(return_place(Some(elsewhere)), "/", "{elsewhere}");
        }
        assert_eq!(return_place(None), "/");
    }

    #[test]
    fn a_form_is_ours_if_the_browser_says_so_or_says_nothing() {
        let foreign = |pairs: &[(&'static str, &'static str)]| {
            let pairs = pairs.iter().map(|(name, value)| {
                (HeaderName::from_static(name), HeaderValue::from_static(value))
            });
            is_foreign(&pairs.collect::<HeaderMap>(), Some("https://ci.example.com"))
        };
        let host = ("host", "ci.local:8080");
        assert!(!foreign(&[]));
        assert!(!foreign(&[
            ("sec-fetch-site", "same-origin"),
            ("origin", "https://other.example")
        ]));
        assert!(!foreign(&[host, ("origin", "http://ci.local:8080")]));
        assert!(!foreign(&[host, ("origin", "https://ci.example.com")]));
        for site in ["cross-site", "same-site", ""] {
            assert!(foreign(&[("sec-fetch-site", site)]), "{site}");
        }
        for origin in ["null", "https://evil.example", "http://ci.local", "https://ci.example.com."]
        {
            assert!(foreign(&[host, ("origin", origin)]), "{origin}");
        }
        assert!(foreign(&[("origin", "http://ci.local:8080")]));
    }
}
