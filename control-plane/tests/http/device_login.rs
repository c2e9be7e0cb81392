//! Logging in a command line with a code that somebody allows in a browser.

use std::time::Duration;

use reqwest::{Method, Response, StatusCode};
use russet_control_plane::ManualClock;
use russet_protocol::admin::Items;
use russet_protocol::people::{
    AuditItem, DeviceLogin, DeviceLoginError, DeviceLoginRefusal, PersonalTokenItem,
};
use russet_protocol::secret::Secret;
use serde_json::json;

use crate::sign_in::person;
use crate::support::{Harness, Home, ok, refused};
use crate::web::{Browser, place};

async fn begin(server: &Harness, scopes: &[&str]) -> DeviceLogin {
    let wanted = json!({"description": "laptop", "scopes": scopes, "expires_in_s": 86400});
    let call = server.call(Method::POST, "/api/v3/device-logins").json(&wanted);
    ok(call).await.json().await.unwrap()
}

async fn poll(
    server: &Harness,
    login: &DeviceLogin,
) -> Result<PersonalTokenItem, DeviceLoginError> {
    let body = json!({"device_code": login.device_code});
    let call = server.call(Method::POST, "/api/v3/device-logins/token").json(&body);
    let answer = call.send().await.unwrap();
    assert_eq!(answer.headers()["cache-control"], "no-store");
    if answer.status() == StatusCode::BAD_REQUEST {
        let refusal: DeviceLoginRefusal = answer.json().await.unwrap();
        return Err(refusal.error);
    }
    assert_eq!(answer.status(), StatusCode::OK);
    Ok(answer.json().await.unwrap())
}

/// Sends a form of the page, with the text of the session.
async fn send(browser: &Browser<'_>, fields: &str) -> Response {
    let page = browser.page("/login/device").await;
    let csrf = page.split("name=\"csrf\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    browser.send(Method::POST, "/login/device", &format!("csrf={csrf}&{fields}")).await
}

async fn events(server: &Harness, target: &str) -> Vec<AuditItem> {
    let list: Items<AuditItem> = server.get(&format!("/api/v3/audit?target={target}")).await;
    list.items
}

#[tokio::test]
async fn a_command_line_gets_its_token_once_after_somebody_has_allowed_it() {
    let server = Harness::start().await;
    let ana = person(&server, "ana", "member").await;
    let login = begin(&server, &["read", "submit"]).await;
    assert_eq!(poll(&server, &login).await.unwrap_err(), DeviceLoginError::AuthorizationPending);
    // Small letters and no hyphen are as good.
    let typed = login.user_code.replace('-', "").to_ascii_lowercase();
    let shown = send(&ana, &format!("code={typed}")).await.text().await.unwrap();
    for words in [&login.user_code, "127.0.0.1", "read, submit", "laptop", "a day", "<b>ana</b>"] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    let done = send(&ana, &format!("code={typed}&decision=allow")).await.text().await.unwrap();
    assert!(done.contains("Allowed"), "{done}");
    // Nobody decides twice.
    let again = send(&ana, &format!("code={typed}&decision=deny")).await;
    assert_eq!(again.status(), StatusCode::BAD_REQUEST);
    let item = poll(&server, &login).await.unwrap();
    assert_eq!((item.user.as_str(), item.description.as_str()), ("ana", "laptop"));
    let token = item.token.unwrap().expose().to_owned();
    ok(server.with_token(&token, Method::GET, "/api/v3/pipelines")).await;
    assert_eq!(poll(&server, &login).await.unwrap_err(), DeviceLoginError::InvalidGrant);
    let bytes = server.dir.stored_bytes();
    let secrets = [&token[4..], &login.device_code.expose()[4..], typed.as_str()];
    for secret in secrets {
        assert!(!bytes.windows(secret.len()).any(|part| part == secret.as_bytes()));
    }
    let decided = events(&server, "/login/device").await;
    assert_eq!((decided.len(), decided[0].who.as_str()), (1, "ana"));
    assert_eq!(decided[0].after.as_ref().unwrap()["decision"], "allowed");
    let made = events(&server, "/api/v3/device-logins/token").await;
    assert_eq!((made.len(), made[0].who.as_str()), (1, "ana"));
    assert_eq!(made[0].after.as_ref().unwrap()["id"], item.id.as_str());
}

#[tokio::test]
async fn two_polls_at_the_same_time_make_one_token() {
    let server = Harness::start().await;
    let ana = person(&server, "ana", "viewer").await;
    let login = begin(&server, &["read"]).await;
    send(&ana, &format!("code={}&decision=allow", login.user_code)).await;
    let polls = futures_util::future::join_all((0..8).map(|_| poll(&server, &login))).await;
    assert_eq!(polls.iter().filter(|answer| answer.is_ok()).count(), 1);
    let all: Items<PersonalTokenItem> = server.get("/api/v3/users/ana/tokens").await;
    assert_eq!(all.items.len(), 1);
}

#[tokio::test]
async fn polls_are_slowed_denied_and_end_as_the_rfc_says() {
    let server = Harness::start().await;
    let ana = person(&server, "ana", "viewer").await;
    let login = begin(&server, &["read"]).await;
    let interval = Duration::from_secs(login.interval);
    assert_eq!(poll(&server, &login).await.unwrap_err(), DeviceLoginError::AuthorizationPending);
    assert_eq!(poll(&server, &login).await.unwrap_err(), DeviceLoginError::SlowDown);
    server.clock.advance(interval);
    assert_eq!(poll(&server, &login).await.unwrap_err(), DeviceLoginError::SlowDown);
    server.clock.advance(interval + Duration::from_secs(10));
    assert_eq!(poll(&server, &login).await.unwrap_err(), DeviceLoginError::AuthorizationPending);
    send(&ana, &format!("code={}&decision=deny", login.user_code)).await;
    assert_eq!(poll(&server, &login).await.unwrap_err(), DeviceLoginError::AccessDenied);
    let late = begin(&server, &["read"]).await;
    send(&ana, &format!("code={}&decision=allow", late.user_code)).await;
    server.clock.advance(Duration::from_secs(late.expires_in));
    assert_eq!(poll(&server, &late).await.unwrap_err(), DeviceLoginError::ExpiredToken);
    let expired = send(&ana, &format!("code={}", late.user_code)).await;
    assert_eq!(expired.status(), StatusCode::BAD_REQUEST);
    let unknown = DeviceLogin { device_code: Secret::new("rsd_x"), ..late };
    assert_eq!(poll(&server, &unknown).await.unwrap_err(), DeviceLoginError::InvalidGrant);
}

#[tokio::test]
async fn what_somebody_allowed_counts_no_more_once_all_sessions_of_the_account_are_ended() {
    let server = Harness::start().await;
    let ana = person(&server, "ana", "viewer").await;
    let login = begin(&server, &["read"]).await;
    send(&ana, &format!("code={}&decision=allow", login.user_code)).await;
    ok(server.as_admin(Method::DELETE, "/api/v3/users/ana/sessions")).await;
    assert_eq!(poll(&server, &login).await.unwrap_err(), DeviceLoginError::AccessDenied);
}

#[tokio::test]
async fn who_guesses_codes_is_slowed_and_nobody_fills_the_table() {
    let server = Harness::start_with(Home::new(), ManualClock::new(), |settings| {
        settings.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
    })
    .await;
    let ana = person(&server, "ana", "viewer").await;
    let login = begin(&server, &["read"]).await;
    for _ in 0..6 {
        let wrong = send(&ana, "code=BCDF-GHJK").await;
        assert_eq!(wrong.status(), StatusCode::BAD_REQUEST);
    }
    let right = send(&ana, &format!("code={}", login.user_code)).await;
    assert_eq!(right.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(right.headers().contains_key("retry-after"));
    server.clock.advance(Duration::from_secs(61));
    let right = send(&ana, &format!("code={}", login.user_code)).await;
    assert_eq!(right.status(), StatusCode::OK);
    let from = |address: &str| {
        let call = server.call(Method::POST, "/api/v3/device-logins");
        call.header("x-forwarded-for", address).json(&json!({"scopes": ["read"]}))
    };
    // One network of IPv6 is one caller.
    for number in 0..20 {
        ok(from(&format!("2001:db8::{number}"))).await;
    }
    refused(from("2001:db8::ffff"), 429).await;
    ok(from("2001:db8:0:1::1")).await;
    server.clock.advance(Duration::from_secs(600));
    ok(from("2001:db8::1")).await;
}

#[tokio::test]
async fn only_an_account_that_is_signed_in_allows_a_token_with_a_form_of_ours() {
    let server = Harness::start().await;
    let login = begin(&server, &["read"]).await;
    let nobody = Browser::new(&server);
    let answer = nobody.get("/login/device").await;
    assert_eq!(place(&answer), "/login?next=/login/device");
    // The admin token is nobody's account.
    let owner = Browser::logged_in(&server).await;
    assert_eq!(owner.get("/login/device").await.status(), StatusCode::FORBIDDEN);
    let ana = person(&server, "ana", "viewer").await;
    let form = format!("csrf=0&code={}&decision=allow", login.user_code);
    let forged = ana.send(Method::POST, "/login/device", &form).await;
    assert_eq!(forged.status(), StatusCode::FORBIDDEN);
    let request = ana.request(Method::POST, "/login/device", &form);
    let foreign = request.header("sec-fetch-site", "cross-site").send().await.unwrap();
    assert_eq!(foreign.status(), StatusCode::FORBIDDEN);
    assert_eq!(poll(&server, &login).await.unwrap_err(), DeviceLoginError::AuthorizationPending);
    refused(server.call(Method::POST, "/api/v3/device-logins").json(&json!({"scopes": []})), 400)
        .await;
}
