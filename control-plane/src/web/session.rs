//! Access to the pages: those who are logged in pass, others are sent to log in.

use axum::extract::Request;
use axum::http::Uri;
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};

use crate::api::Caller;

/// Lets only those through who are logged in, and sends others to log in.
pub(super) async fn known_only(request: Request, next: Next) -> Response {
    let caller = request.extensions().get::<Caller>();
    if matches!(caller, Some(Caller::Browser))
        && caller.is_some_and(|c| c.may_read(request.method()))
    {
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
/// our login cannot lead somewhere else afterwards.
pub(super) fn return_place(next: Option<&str>) -> &str {
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
    use super::return_place;

    #[test]
    fn a_login_leads_to_a_place_of_ours_only() {
        assert_eq!(return_place(Some("/jobs/01-ab")), "/jobs/01-ab");
        for elsewhere in
            ["//example.com", "https://example.com", "/\\example.com", "jobs", "/a?b", ""]
        {
            assert_eq!(return_place(Some(elsewhere)), "/", "{elsewhere}");
        }
        assert_eq!(return_place(None), "/");
    }
}
