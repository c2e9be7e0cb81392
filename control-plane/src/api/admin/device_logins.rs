//! `/api/v3/device-logins`: a command line asks for a token that somebody allows in a browser, and polls
//! for it. Callers have no token yet; `device_login.rs` names the threats.

use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json as JsonAnswer};
use russet_protocol::people::{
    DEVICE_LOGIN_PAGE, DeviceLogin, DeviceLoginRefusal, FetchDeviceToken, NewPersonalToken,
};

use crate::api::ClientAddress;
use crate::api::body::{Json, SMALL};
use crate::api::error::ApiError;
use crate::audit;
use crate::device_login::{
    CODES_TIMEOUT_S, DeviceError, POLL_INTERVAL_S, begin_device_login, poll_device_login,
};
use crate::people::shown_user_code;
use crate::state::App;

/// Path of the call that fetches a token.
const FETCH: &str = "/api/v3/device-logins/token";

impl From<DeviceError> for ApiError {
    fn from(error: DeviceError) -> Self {
        let words = error.to_string();
        match error {
            DeviceError::TooMany => Self::Slowed(60),
            DeviceError::Slowed(wait_s) => Self::Slowed(wait_s),
            DeviceError::Unknown => Self::NotFound(words),
            DeviceError::Service | DeviceError::Beyond(_) | DeviceError::Poll(_) => {
                Self::Bad(words)
            }
            DeviceError::Token(error) => error.into(),
            DeviceError::Random(error) => error.into(),
            DeviceError::Store(error) => error.into(),
        }
    }
}

/// Begins the login of a command line. Somebody who is signed in types `user_code` into the page, and
/// allows it.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/v3/device-logins", tag = "people", operation_id = "begin_device_login",
    request_body = russet_protocol::people::NewPersonalToken,
    responses((status = 201, description = "The codes, shown this once", body = russet_protocol::people::DeviceLogin), (status = 400, description = "The scopes are refused", body = russet_protocol::problem::Problem), (status = 429, description = "Too many logins were begun", body = russet_protocol::problem::Problem))
))]
pub(super) async fn begin(
    State(app): State<App>,
    Extension(address): Extension<ClientAddress>,
    Json(request): Json<NewPersonalToken, SMALL>,
) -> Result<Response, ApiError> {
    let begun = begin_device_login(&app, address.0, request).await?;
    let login = DeviceLogin {
        device_code: begun.device_code,
        user_code: shown_user_code(&begun.user_code),
        verification_path: DEVICE_LOGIN_PAGE.to_owned(),
        verification_uri: app.public_url.as_ref().map(|url| format!("{url}{DEVICE_LOGIN_PAGE}")),
        expires_in: u64::try_from(CODES_TIMEOUT_S).unwrap_or_default(),
        interval: u64::try_from(POLL_INTERVAL_S).unwrap_or_default(),
    };
    Ok(uncached((StatusCode::CREATED, JsonAnswer(login)).into_response()))
}

/// Fetches the token of a login that was allowed, once. Until then the answer is 400 with the `error`
/// of RFC 8628, section 3.5.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/v3/device-logins/token", tag = "people", operation_id = "fetch_device_token",
    request_body = russet_protocol::people::FetchDeviceToken,
    responses((status = 200, description = "The token, shown this once", body = russet_protocol::people::PersonalTokenItem), (status = 400, description = "There is no token, or none yet", body = russet_protocol::people::DeviceLoginRefusal), (status = 404, description = "The account of the one who allowed it was removed", body = russet_protocol::problem::Problem), (status = 409, description = "The account of the one who allowed it has too many tokens", body = russet_protocol::problem::Problem))
))]
pub(super) async fn fetch(
    State(app): State<App>,
    Extension(address): Extension<ClientAddress>,
    Json(request): Json<FetchDeviceToken, SMALL>,
) -> Result<Response, ApiError> {
    // Written with the token alone: its transaction finds out whose it is.
    let who = ("", "login with a code");
    let event = audit::new_event(&app, who, Some(address.0), &format!("POST {FETCH}"), FETCH);
    match poll_device_login(&app, &request.device_code, event).await {
        Ok(item) => Ok(uncached(JsonAnswer(item).into_response())),
        Err(DeviceError::Poll(error)) => {
            let message = DeviceError::Poll(error).to_string();
            let refusal = JsonAnswer(DeviceLoginRefusal { error, message });
            Ok(uncached((StatusCode::BAD_REQUEST, refusal).into_response()))
        }
        Err(error) => Err(error.into()),
    }
}

/// Has no cache keep an answer with a secret.
fn uncached(mut answer: Response) -> Response {
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
