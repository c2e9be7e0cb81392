//! Signing in with a password, links that set one, sessions and what each role sees of the pages.

use reqwest::{Method, Response, StatusCode};
use russet_control_plane::ManualClock;
use russet_protocol::people::SignInLink;
use serde_json::{Value, json};

use crate::support::{Harness, Home, LIMIT, ONE_JOB, ok, refused};
use crate::web::{Browser, place};

pub(crate) const PASSWORD: &str = "correct-horse-battery";

/// Keeps the cookies of an answer.
fn keep_cookies(browser: &mut Browser<'_>, answer: &Response) {
    let set = answer.headers().get_all("set-cookie").iter().map(|value| value.to_str().unwrap());
    let pairs: Vec<&str> = set
        .map(|set| {
            assert!(set.contains("HttpOnly") && set.contains("SameSite=Strict"), "{set}");
            set.split(';').next().unwrap()
        })
        .collect();
    if !pairs.is_empty() {
        browser.cookie = Some(pairs.join("; "));
    }
}

async fn link(server: &Harness, path: &str) -> String {
    let link = ok(server.as_admin(Method::POST, path)).await;
    let link: SignInLink = link.json().await.unwrap();
    link.path.expose().strip_prefix("/link#").unwrap().to_owned()
}

async fn set_password(
    browser: &mut Browser<'_>,
    code: &str,
    name: &str,
    password: &str,
) -> Response {
    let form = format!("code={code}&name={name}&password={password}");
    let answer = browser.send(Method::POST, "/link", &form).await;
    keep_cookies(browser, &answer);
    answer
}

pub(crate) async fn sign_in(browser: &mut Browser<'_>, name: &str, password: &str) -> Response {
    let form = format!("name={name}&password={password}");
    let answer = browser.send(Method::POST, "/login", &form).await;
    keep_cookies(browser, &answer);
    answer
}

/// Adds a person with a password. Returns a browser that is signed in.
pub(crate) async fn person<'a>(
    server: &'a Harness,
    name: &str,
    role: impl Into<Option<&str>>,
) -> Browser<'a> {
    let body = json!({"name": name, "role": role.into()});
    ok(server.as_admin(Method::POST, "/api/v3/users").json(&body)).await;
    let code = link(server, &format!("/api/v3/users/{name}/link")).await;
    let mut browser = Browser::new(server);
    let answer = set_password(&mut browser, &code, "", PASSWORD).await;
    assert_eq!((answer.status(), place(&answer)), (StatusCode::SEE_OTHER, "/"));
    browser
}

#[tokio::test]
async fn a_first_administrator_comes_in_by_a_link_that_counts_once_and_for_an_hour() {
    let server = Harness::start().await;
    let old = link(&server, "/api/v3/admin-links").await;
    let code = link(&server, "/api/v3/admin-links").await;
    let mut browser = Browser::new(&server);
    // An earlier link counts no more, and a short password uses none up.
    for (code, password) in [(&old, PASSWORD), (&code, "short"), (&"rsl_x".to_owned(), PASSWORD)] {
        let answer = set_password(&mut browser, code, "root", password).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    }
    let answer = set_password(&mut browser, &code, "root", PASSWORD).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    assert!(browser.page("/audit").await.contains("POST /link"));
    let again = set_password(&mut Browser::new(&server), &code, "root", PASSWORD).await;
    assert_eq!(again.status(), StatusCode::BAD_REQUEST);
    let late = link(&server, "/api/v3/admin-links").await;
    server.clock.advance(std::time::Duration::from_secs(3601));
    let answer = set_password(&mut Browser::new(&server), &late, "late", PASSWORD).await;
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    // Neither codes nor passwords are stored.
    let bytes = server.dir.stored_bytes();
    for secret in [code.trim_start_matches("rsl_"), PASSWORD] {
        assert!(!bytes.windows(secret.len()).any(|part| part == secret.as_bytes()));
    }
}

#[tokio::test]
async fn a_session_carries_its_person_and_ends_when_it_is_ended() {
    let server = Harness::start().await;
    server.class().await;
    let mut ana = person(&server, "ana", "member").await;
    let pipeline = server.submit(ONE_JOB).await;
    let path = format!("/pipelines/{}", pipeline.id);
    let page = ana.page(&path).await;
    let field = |name: &str| {
        let after = page.split(&format!("name=\"{name}\" value=\"")).nth(1).unwrap();
        after.split('"').next().unwrap().to_owned()
    };
    let form =
        format!("csrf={}&once={}&back={path}&id={}", field("csrf"), field("once"), pipeline.id);
    let pressed = ana.send(Method::POST, "/do/cancel-pipeline", &form).await;
    assert_eq!(pressed.status(), StatusCode::SEE_OTHER);
    let job: Value =
        server.get(&format!("/api/v3/jobs/{}", pipeline.workflows[0].jobs[0].id)).await;
    assert!(job.to_string().contains("ana"), "{job}");
    // A cookie alone changes nothing.
    let cookie = ana.cookie.clone().unwrap();
    let call = server.call(Method::DELETE, "/api/v3/me/sessions").header("cookie", &cookie);
    refused(call, 404).await;
    ok(server.as_admin(Method::DELETE, "/api/v3/users/ana/sessions")).await;
    assert_eq!(ana.get(&path).await.status(), StatusCode::SEE_OTHER);
    assert_eq!(sign_in(&mut ana, "ana", PASSWORD).await.status(), StatusCode::SEE_OTHER);
    ana.page(&path).await;
    let cookie = ana.cookie.clone();
    ana.send(Method::POST, "/logout", "").await;
    ana.cookie = cookie;
    assert_eq!(ana.get(&path).await.status(), StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_viewer_sees_no_button_and_presses_none_and_somebody_without_a_role_sees_nothing() {
    let server = Harness::start().await;
    server.class().await;
    let pipeline = server.submit(ONE_JOB).await;
    let viewer = person(&server, "viewer", "viewer").await;
    let path = format!("/pipelines/{}", pipeline.id);
    let page = viewer.page(&path).await;
    assert!(page.contains("one") && !page.contains("/do/"), "{page}");
    assert!(!viewer.page("/runners").await.contains("/ask/"));
    // The text of the session, as a form of the viewer's own making would have it.
    let ask = viewer.page("/ask/delete-pipeline?back=/").await;
    let csrf = ask.split("name=\"csrf\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    for action in [
        "cancel-pipeline",
        "rerun-pipeline",
        "pin",
        "delete-pipeline",
        "cancel-job",
        "pause",
        "remove",
    ] {
        let form = format!("csrf={csrf}&once=1{action}&id={}&class=acme/mini&back=/", pipeline.id);
        let answer = viewer.send(Method::POST, &format!("/do/{action}"), &form).await;
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert_eq!(status, StatusCode::FORBIDDEN, "{action}: {text}");
    }
    assert_eq!(viewer.get("/audit").await.status(), StatusCode::FORBIDDEN);
    let role = json!({"role": null});
    ok(server.as_admin(Method::PUT, "/api/v3/users/viewer/role").json(&role)).await;
    for path in ["/", "/runners", &path] {
        assert_eq!(viewer.get(path).await.status(), StatusCode::FORBIDDEN, "{path}");
    }
}

#[tokio::test]
async fn brute_force_is_slowed_while_the_owner_of_the_account_still_gets_in() {
    let server = Harness::start_with(Home::new(), ManualClock::new(), |settings| {
        settings.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
    })
    .await;
    let mut ana = person(&server, "ana", "viewer").await;
    let attack = async |address: String, password: &str| {
        let form = format!("name=ana&password={password}");
        let request = Browser::new(&server).request(Method::POST, "/login", &form);
        request.header("x-forwarded-for", address).send().await.unwrap()
    };
    let mut slowed = 0;
    for number in 0..12 {
        let answer = attack(format!("203.0.113.{number}"), "wrong-password").await;
        slowed += u32::from(answer.status() == StatusCode::TOO_MANY_REQUESTS);
    }
    assert!(slowed >= 5, "{slowed}");
    // Not even the right password helps them to find it out meanwhile.
    let answer = attack("203.0.113.99".to_owned(), PASSWORD).await;
    assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(answer.headers().contains_key("retry-after"));
    // The owner's browser is known, and the owner of the machine has the admin token.
    assert_eq!(sign_in(&mut ana, "ana", PASSWORD).await.status(), StatusCode::SEE_OTHER);
    let form = format!("token={}", server.admin);
    let answer = Browser::new(&server).send(Method::POST, "/login", &form).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    // After a while a new browser of the owner comes in too.
    server.clock.advance(std::time::Duration::from_secs(61));
    let answer = attack("203.0.113.100".to_owned(), PASSWORD).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_page_that_follows_ends_with_its_session() {
    let server = Harness::start().await;
    server.class().await;
    let pipeline = server.submit(ONE_JOB).await;
    let ana = person(&server, "ana", "viewer").await;
    let path = format!("/pipelines/{}/changes", pipeline.id);
    let request = ana.request(Method::GET, &path, "").timeout(LIMIT * 2);
    let mut changes = request.send().await.unwrap();
    assert!(changes.chunk().await.unwrap().is_some());
    ok(server.as_admin(Method::DELETE, "/api/v3/users/ana/sessions")).await;
    let ends = async { while let Ok(Some(_)) = changes.chunk().await {} };
    tokio::time::timeout(LIMIT, ends).await.expect("it ends");
}
