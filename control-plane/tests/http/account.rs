//! One's own account, by pages and calls: tokens, sessions, the password.

use std::time::Duration;

use reqwest::{Method, Response, StatusCode};
use russet_protocol::admin::Items;
use russet_protocol::people::{AuditItem, PersonalTokenItem, SessionItem};
use serde_json::json;

use crate::sign_in::{PASSWORD, person, sign_in};
use crate::support::{Harness, LIMIT, ONE_JOB, ok, refused};
use crate::web::{Browser, place};

/// Sends a form of the page, with the text of the session.
async fn send(browser: &Browser<'_>, path: &str, fields: &str) -> Response {
    let page = browser.page("/account").await;
    let csrf = page.split("name=\"csrf\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    browser.send(Method::POST, path, &format!("csrf={csrf}&{fields}")).await
}

async fn sessions(server: &Harness, user: &str) -> Vec<SessionItem> {
    let list: Items<SessionItem> = server.get(&format!("/api/v3/users/{user}/sessions")).await;
    list.items
}

async fn tokens(server: &Harness, user: &str) -> Vec<PersonalTokenItem> {
    let list: Items<PersonalTokenItem> = server.get(&format!("/api/v3/users/{user}/tokens")).await;
    list.items
}

/// Makes a token on the page. Returns it.
async fn make_token(browser: &Browser<'_>, description: &str) -> String {
    let form = format!("description={description}&expires=2d&read=on&submit=on");
    let page = send(browser, "/account/tokens", &form).await;
    assert_eq!(page.status(), StatusCode::OK);
    let page = page.text().await.unwrap();
    let token = page.split("<code id=\"made\">").nth(1).unwrap().split('<').next().unwrap();
    assert!(token.starts_with("rsp_"), "{page}");
    token.to_owned()
}

#[tokio::test]
async fn somebody_without_a_role_still_sees_the_own_account_and_makes_a_token_there() {
    let server = Harness::start().await;
    let ana = person(&server, "ana", "member").await;
    ok(server.as_admin(Method::PUT, "/api/v3/users/ana/role").json(&json!({"role": null}))).await;
    assert_eq!(ana.get("/").await.status(), StatusCode::FORBIDDEN);
    let token = make_token(&ana, "%3Cb%3Elaptop").await;
    let page = ana.page("/account").await;
    assert!(!page.contains(&token) && page.contains("&#60;b&#62;laptop"), "{page}");
    let made = &tokens(&server, "ana").await[0];
    assert_eq!(made.expires_ms.unwrap() - made.created_ms, 2 * 24 * 3_600_000);
    assert_eq!(made.scopes.len(), 2);
    ok(server.with_token(&token, Method::GET, "/api/v3/me")).await;
    for (form, words) in [
        ("read=on&expires=soon", "write numbers with their units"),
        ("expires=1d", "at least one scope"),
    ] {
        let refused = send(&ana, "/account/tokens", form).await;
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
        let page = refused.text().await.unwrap();
        assert!(page.contains(words) && page.contains("role=\"alert\""), "{page}");
    }
    let revoked = send(&ana, "/account/tokens/revoke", &format!("id={}", made.id)).await;
    assert_eq!(place(&revoked), "/account?done=revoked");
    refused(server.with_token(&token, Method::GET, "/api/v3/me"), 404).await;
    // Nobody else, and no form of another site.
    let owner = Browser::logged_in(&server).await;
    assert_eq!(owner.get("/account").await.status(), StatusCode::FORBIDDEN);
    let nobody = Browser::new(&server).get("/account").await;
    assert_eq!(place(&nobody), "/login?next=/account");
    for path in ["tokens", "tokens/revoke", "sessions/end"] {
        let forged = ana.send(Method::POST, &format!("/account/{path}"), "csrf=0&read=on").await;
        assert_eq!(forged.status(), StatusCode::FORBIDDEN, "{path}");
    }
}

#[tokio::test]
async fn a_token_that_is_revoked_takes_along_those_that_were_made_with_it() {
    let server = Harness::start().await;
    server.class().await;
    let pipeline = server.submit(ONE_JOB).await;
    let ana = person(&server, "ana", "admin").await;
    let laptop = make_token(&ana, "laptop").await;
    let make = async |token: &str, path: &str| {
        let new = json!({"scopes": ["read"], "description": "made", "expires_in_s": 3600});
        let made = ok(server.with_token(token, Method::POST, path).json(&new)).await;
        let made: PersonalTokenItem = made.json().await.unwrap();
        (made.parent.clone().unwrap(), made.token.unwrap().expose().to_owned())
    };
    let (parent, child) = make(&laptop, "/api/v3/me/tokens").await;
    let (_, grandchild) = make(&child, "/api/v3/me/tokens").await;
    let kept = make_token(&ana, "kept").await;
    assert!(ana.page("/account").await.contains("made with laptop"));
    // Something waits with the last of them.
    let path = format!("/api/v3/pipelines/{}/stream", pipeline.id);
    let call = server.with_token(&grandchild, Method::GET, &path).timeout(LIMIT * 2);
    let mut stream = ok(call).await;
    assert!(stream.chunk().await.unwrap().is_some());
    ok(server.as_admin(Method::DELETE, &format!("/api/v3/users/ana/tokens/{parent}"))).await;
    let ends = async { while let Ok(Some(_)) = stream.chunk().await {} };
    tokio::time::timeout(LIMIT, ends).await.expect("the stream ends");
    for token in [&laptop, &child, &grandchild] {
        refused(server.with_token(token, Method::GET, "/api/v3/me"), 404).await;
    }
    ok(server.with_token(&kept, Method::GET, "/api/v3/me")).await;
    let log: Items<AuditItem> = server.get("/api/v3/audit?operation=DELETE").await;
    assert_eq!(log.items[0].after.as_ref().unwrap()["revoked_with_it"], 2);
    // Also of another account, and with the account of the one who made it.
    ok(server
        .as_admin(Method::POST, "/api/v3/users")
        .json(&json!({"name": "bot", "kind": "service"})))
    .await;
    let form = "description=all&expires=2d&read=on&admin=on";
    let page = send(&ana, "/account/tokens", form).await.text().await.unwrap();
    let all = page.split("<code id=\"made\">").nth(1).unwrap().split('<').next().unwrap();
    let (_, of_bot) = make(all, "/api/v3/users/bot/tokens").await;
    ok(server.with_token(&of_bot, Method::GET, "/api/v3/me")).await;
    ok(server.as_admin(Method::DELETE, "/api/v3/users/ana")).await;
    refused(server.with_token(&of_bot, Method::GET, "/api/v3/me"), 404).await;
}

#[tokio::test]
async fn sessions_are_listed_one_by_one_and_ended_one_by_one_or_all_others() {
    let server = Harness::start().await;
    let ana = person(&server, "ana", "viewer").await;
    let mut phone = Browser::new(&server);
    sign_in(&mut phone, "ana", PASSWORD).await;
    let mut desk = Browser::new(&server);
    sign_in(&mut desk, "ana", PASSWORD).await;
    let page = ana.page("/account").await;
    assert_eq!(page.matches("this one").count(), 1, "{page}");
    assert_eq!(page.matches("action=\"/account/sessions/end\"").count(), 4, "{page}");
    let path = "/api/v3/me/sessions";
    let cookie = |browser: &Browser<'_>| browser.cookie.clone().unwrap();
    let own = async |browser: &Browser<'_>| {
        let list = ok(server.call(Method::GET, path).header("cookie", cookie(browser))).await;
        let list: Items<SessionItem> = list.json().await.unwrap();
        list.items.into_iter().find(|session| session.is_current).unwrap()
    };
    let of_phone = own(&phone).await;
    assert_eq!(of_phone.address, "127.0.0.1");
    // The last use is written, to about a minute.
    desk.page("/").await;
    server.clock.advance(Duration::from_secs(61));
    let used = async {
        while sessions(&server, "ana").await.iter().any(|session| session.used_ms.is_none()) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, used).await.expect("the uses are written");
    let ended = send(&ana, "/account/sessions/end", &format!("id={}", of_phone.id)).await;
    assert_eq!(place(&ended), "/account?done=ended");
    assert_eq!(phone.get("/").await.status(), StatusCode::SEE_OTHER);
    desk.page("/").await;
    let ended = send(&ana, "/account/sessions/end", "").await;
    assert_eq!(place(&ended), "/account?done=ended-others");
    assert_eq!(desk.get("/").await.status(), StatusCode::SEE_OTHER);
    let left = sessions(&server, "ana").await;
    assert_eq!(left.len(), 1);
    // Of others only administrators, and no session of somebody else by its id.
    let eve = person(&server, "eve", "operator").await;
    let of_ana = &left[0].id;
    let stolen = send(&eve, "/account/sessions/end", &format!("id={of_ana}")).await;
    assert_eq!(stolen.status(), StatusCode::NOT_FOUND);
    ana.page("/").await;
    let path = format!("/api/v3/users/ana/sessions/{of_ana}");
    ok(server.as_admin(Method::DELETE, &path)).await;
    refused(server.as_admin(Method::DELETE, &path), 404).await;
    assert_eq!(ana.get("/").await.status(), StatusCode::SEE_OTHER);
    let log: Items<AuditItem> = server.get("/api/v3/audit?operation=/sessions/").await;
    let operations: Vec<_> = log.items.iter().map(|item| item.operation.as_str()).collect();
    let of_users = "DELETE /api/v3/users/{name}/sessions/{id}";
    assert_eq!(operations, [of_users, "DELETE /api/v3/me/sessions/{id}"]);
}

#[tokio::test]
async fn a_password_is_changed_with_the_present_one_and_other_sessions_end() {
    let server = Harness::start().await;
    let ana = person(&server, "ana", "viewer").await;
    let mut phone = Browser::new(&server);
    sign_in(&mut phone, "ana", PASSWORD).await;
    let change = async |present: &str, new: &str, again: &str| {
        let form = format!("present={present}&new={new}&again={again}");
        let answer = send(&ana, "/account/password", &form).await;
        (answer.status(), answer)
    };
    let new = "another-horse-battery";
    for (present, new, again) in
        [("wrong-password", new, new), (PASSWORD, "short", "short"), (PASSWORD, new, "other")]
    {
        assert_eq!(change(present, new, again).await.0, StatusCode::BAD_REQUEST);
    }
    phone.page("/").await;
    let (status, answer) = change(PASSWORD, new, new).await;
    assert_eq!((status, place(&answer)), (StatusCode::SEE_OTHER, "/account?done=password"));
    ana.page("/account").await;
    assert_eq!(phone.get("/").await.status(), StatusCode::SEE_OTHER);
    let mut browser = Browser::new(&server);
    assert_eq!(sign_in(&mut browser, "ana", PASSWORD).await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(sign_in(&mut browser, "ana", new).await.status(), StatusCode::SEE_OTHER);
    let log: Items<AuditItem> = server.get("/api/v3/audit?target=/me/password").await;
    assert_eq!((log.items.len(), log.items[0].who.as_str()), (1, "ana"));
    let text = serde_json::to_string(&log.items).unwrap();
    assert!(!text.contains(new) && !text.contains(PASSWORD));
    // Who has found a session guesses slowly, and keeps nobody from signing in.
    for _ in 0..6 {
        assert_eq!(change("wrong-password", new, new).await.0, StatusCode::BAD_REQUEST);
    }
    let (status, answer) = change(new, PASSWORD, PASSWORD).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    assert!(answer.text().await.unwrap().contains("too many attempts failed; try again in"));
    assert_eq!(sign_in(&mut browser, "ana", new).await.status(), StatusCode::SEE_OTHER);
    // None of these guesses is a sign-in.
    let metrics = ok(server.as_admin(Method::GET, "/metrics")).await.text().await.unwrap();
    for sample in ["{result=\"failed\"} 1", "{result=\"slowed\"} 0"] {
        let sample = format!("russet_server_sign_ins_total{sample}");
        assert!(metrics.lines().any(|line| line == sample), "{sample} in {metrics}");
    }
    // A token has no password to give, and a service account has none at all.
    let bot = server.account("bot", Some("admin"), &["read", "submit", "operate", "admin"]).await;
    let body = json!({"present": "any-password", "new": new});
    let call = server.with_token(&bot, Method::PUT, "/api/v3/me/password").json(&body);
    refused(call, 409).await;
}
