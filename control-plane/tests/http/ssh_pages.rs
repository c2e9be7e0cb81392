//! SSH on the pages: buttons of a job, public keys of one's own, and how both look in a browser.

use reqwest::{Method, StatusCode};
use russet_protocol::admin::{Items, Job, ResourceClassItem};
use russet_protocol::outcome::Outcome;
use russet_protocol::ssh::SshPhase;
use serde_json::json;

use crate::chromium::{self, chromium};
use crate::forms::form_of;
use crate::sign_in::{PASSWORD, person};
use crate::ssh::key;
use crate::support::{Agent, Harness, ONE_JOB, ok};
use crate::web::{Browser, place};

/// Sends a form of one's account, with the text of the session.
async fn send(browser: &Browser<'_>, path: &str, fields: &str) -> reqwest::Response {
    let page = browser.page("/account").await;
    let csrf = page.split("name=\"csrf\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    browser.send(Method::POST, path, &format!("csrf={csrf}&{fields}")).await
}

async fn add_key(browser: &Browser<'_>, kind: &str, name: &str) -> reqwest::Response {
    let key = key(kind).replace('+', "%2B").replace(' ', "+");
    send(browser, "/account/ssh-keys", &format!("key={key}&name={name}")).await
}

/// Presses a button of a page, and gets the page after it.
async fn press(browser: &Browser<'_>, page: &str, action: &str) -> String {
    let form = form_of(page, action);
    let answer = browser.send(Method::POST, &format!("/do/{action}"), &form).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER, "{action}");
    browser.page(place(&answer)).await
}

/// Runs a failed job again with SSH on its page. Returns the further job.
async fn rerun_on_page(server: &Harness, browser: &Browser<'_>, token: &str) -> Job {
    let pipeline = server.submit(ONE_JOB).await;
    server.claim(token).await.unwrap().finish(Outcome::Failed).await;
    let id = &pipeline.workflows[0].jobs[0].id;
    let page = browser.page(&format!("/jobs/{id}")).await;
    assert!(page.contains("Run again with SSH") && !page.contains("/do/rerun-with-ssh"), "{page}");
    let ask = page.split("href=\"/ask/rerun-with-ssh").nth(1).unwrap().split('"').next().unwrap();
    let ask = format!("/ask/rerun-with-ssh{}", ask.replace("&#38;", "&"));
    let question = browser.page(&ask).await;
    assert!(question.contains("Secrets are masked in the output of steps, not in your"));
    let after = press(browser, &question, "rerun-with-ssh").await;
    assert!(after.contains("The job runs again with SSH"), "{after}");
    server.pipeline(&pipeline).await.workflows.last().unwrap().jobs[0].clone()
}

/// Lets a task be reached, and ends its steps.
async fn hold(server: &Harness, token: &str) -> Agent {
    let agent = server.claim_with_ssh(token).await;
    agent.is_ready().await;
    agent.hold(true, 1, 600_000).await;
    agent
}

#[tokio::test]
async fn a_person_reruns_a_job_with_ssh_holds_it_longer_and_ends_it_on_its_page() {
    let server = Harness::start().await;
    let token = server.ssh_class(false).await;
    let ana = person(&server, "ana", "member").await;
    assert_eq!(place(&add_key(&ana, "sk-ed25519", "laptop").await), "/account?done=key-added");
    let job = rerun_on_page(&server, &ana, &token).await;
    let path = format!("/jobs/{}", job.id);
    let page = ana.page(&path).await;
    assert!(page.contains("for <b>ana</b>") && page.contains("cannot be reached yet"), "{page}");
    assert!(!page.contains("/do/extend-ssh") && !page.contains("russet job ssh"), "{page}");

    let agent = hold(&server, &token).await;
    let page = ana.page(&path).await;
    let way = server.ways(&job).await.remove(0);
    for shown in [
        &format!("russet job ssh {}", job.id),
        way.host_fingerprint.as_ref().unwrap(),
        way.keys.first().unwrap(),
        "1 connected",
        "held; its steps have ended",
    ] {
        assert!(page.contains(shown), "{shown}: {page}");
    }
    let page = press(&ana, &page, "extend-ssh").await;
    assert!(page.contains("held for 30 minutes longer"), "{page}");
    let later = server.ways(&job).await.remove(0).ends_ms;
    assert_eq!(later, way.ends_ms.map(|at| at + 1_800_000));
    press(&ana, &page, "end-ssh").await;
    assert!(agent.hold(true, 1, 1).await.end);
    agent.finish(Outcome::Failed).await;
    assert_eq!(server.ways(&job).await[0].phase, SshPhase::Ended);
    let page = ana.page(&path).await;
    assert!(!page.contains("/do/end-ssh") && !page.contains("russet job ssh"), "{page}");
}

#[tokio::test]
async fn nobody_sees_the_button_where_the_class_does_not_allow_it_or_may_only_read() {
    let server = Harness::start().await;
    let token = server.class().await;
    let pipeline = server.submit(ONE_JOB).await;
    server.claim(&token).await.unwrap().finish(Outcome::Failed).await;
    let path = format!("/jobs/{}", pipeline.workflows[0].jobs[0].id);
    let ana = person(&server, "ana", "member").await;
    let ben = person(&server, "ben", "viewer").await;
    assert!(!ana.page(&path).await.contains("with SSH"));
    let class = json!({"allow_ssh": true});
    let classes: Items<ResourceClassItem> =
        server.get("/api/v3/runner/resource?namespace=acme").await;
    let set = format!("/api/v3/runner/resource/{}/ssh", classes.items[0].id);
    ok(server.as_admin(Method::PUT, &set).json(&class)).await;
    assert!(ana.page(&path).await.contains("Run again with SSH"));
    assert!(!ben.page(&path).await.contains("with SSH"), "they may read only");
}

#[tokio::test]
async fn the_page_of_an_account_keeps_and_removes_public_keys_and_says_why_it_refuses_one() {
    let server = Harness::start().await;
    let ana = person(&server, "ana", "member").await;
    assert!(ana.page("/account").await.contains("russet ssh-key add"));
    assert_eq!(place(&add_key(&ana, "rsa-3072", "%3Cb%3Eold").await), "/account?done=key-added");
    let page = ana.page("/account").await;
    assert!(page.contains("&#60;b&#62;old") && page.contains("SHA256:"), "{page}");
    for (kind, why) in [("rsa-2048", "2048 bits"), ("cert", "certificate"), ("rsa-3072", "kept")] {
        let refused = add_key(&ana, kind, "").await;
        assert!(refused.status().is_client_error(), "{kind}");
        let page = refused.text().await.unwrap();
        assert!(page.contains(why) && page.contains("role=\"alert\""), "{kind}: {page}");
    }
    let id = page.split("/account/ssh-keys/remove").nth(1).unwrap();
    let id = id.split("name=\"id\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    let forged = format!("csrf=0&id={id}");
    let forged = ana.send(Method::POST, "/account/ssh-keys/remove", &forged).await;
    assert_eq!(forged.status(), StatusCode::FORBIDDEN);
    let ben = person(&server, "ben", "member").await;
    let of_ben = send(&ben, "/account/ssh-keys/remove", &format!("id={id}")).await;
    assert!(of_ben.status().is_client_error());
    assert!(ana.page("/account").await.contains(id));
    let removed = send(&ana, "/account/ssh-keys/remove", &format!("id={id}")).await;
    assert_eq!(place(&removed), "/account?done=key-removed");
    assert!(!ana.page("/account").await.contains(id));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_fit_a_phone_in_light_and_dark() {
    let Some(program) = chromium() else { return };
    let server = Harness::start().await;
    let token = server.ssh_class(false).await;
    let ana = person(&server, "ana", "member").await;
    add_key(&ana, "ed25519", "laptop").await;
    add_key(&ana, "rsa-3072", "").await;
    let job = rerun_on_page(&server, &ana, &token).await;
    let _agent = hold(&server, &token).await;
    let mut browser = chromium::Browser::start(program).await;
    browser.go(&format!("{}/login", server.url)).await;
    let form = format!("name=ana&password={PASSWORD}");
    let sign_in =
        format!("fetch('/login', {{method: 'POST', body: new URLSearchParams({})}})", json!(form));
    browser.value(&format!("{sign_in}.then((answer) => answer.status)")).await;
    for scheme in ["light", "dark"] {
        let feature = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        browser.call("Emulation.setEmulatedMedia", json!({"features": feature})).await;
        for width in [360, 1200] {
            let size =
                json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false});
            browser.call("Emulation.setDeviceMetricsOverride", size).await;
            for path in ["/account".to_owned(), format!("/jobs/{}", job.id)] {
                browser.go(&format!("{}{path}", server.url)).await;
                browser.wait("document.querySelector('main h2')").await;
                let all =
                    "document.querySelectorAll('details').forEach((it) => { it.open = true })";
                browser.value(all).await;
                let over =
                    "document.documentElement.scrollWidth - document.documentElement.clientWidth";
                assert_eq!(browser.value(over).await, 0, "{path} at {width}");
            }
        }
    }
}
