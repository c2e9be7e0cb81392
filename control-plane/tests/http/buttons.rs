//! What a person does with the pages, in a real browser: buttons, and pages of others that press them.

use reqwest::Method;
use russet_protocol::admin::Pipeline;
use russet_protocol::outcome::{Outcome, Phase};
use russet_protocol::runner::EventKind;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::chromium::{Browser, chromium};
use crate::support::{Harness, ok, workflow};

const HOLD: &str = "
version: 2.1
jobs:
  build:
    machine: true
    resource_class: acme/mini
    steps: [run: 'true']
workflows:
  main:
    jobs:
      - ask someone: {type: approval}
      - build: {requires: [ask someone]}
";

async fn phase_of(server: &Harness, pipeline: &Pipeline, job: usize) -> Phase {
    server.pipeline(pipeline).await.workflows[0].jobs[job].phase
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_approves_a_job_and_cancels_what_follows() {
    let Some(program) = chromium() else { return };
    let server = Harness::start().await;
    server.class().await;
    let pipeline = server.submit(HOLD).await;
    let mut browser = Browser::start(program).await;
    browser.open(&server, &format!("/pipelines/{}", pipeline.id)).await;
    browser.press("Approve").await;
    browser.wait_for_text("Approved.").await;
    let now = server.pipeline(&pipeline).await;
    assert_eq!(now.workflows[0].jobs[0].outcome, Some(Outcome::Success));
    assert_eq!(now.workflows[0].jobs[1].phase, Phase::Queued);
    browser.press("Cancel pipeline").await;
    browser.wait_for_text("The pipeline is canceled.").await;
    assert_eq!(phase_of(&server, &pipeline, 1).await, Phase::Ended);
    browser.wait("document.querySelectorAll('main button[id^=cancel]').length === 0").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_runs_what_failed_again() {
    let Some(program) = chromium() else { return };
    let server = Harness::start().await;
    let token = server.class().await;
    let pipeline = server.submit(&workflow(&[("breaks", &[])])).await;
    server.claim(&token).await.unwrap().finish(Outcome::Failed).await;
    let mut browser = Browser::start(program).await;
    browser.open(&server, &format!("/pipelines/{}", pipeline.id)).await;
    browser.press("Run failed again").await;
    browser.wait_for_text("The pipeline runs again.").await;
    browser.wait_for_text("run 2").await;
    server.claim(&token).await.unwrap().finish(Outcome::Success).await;
    browser.wait("document.querySelectorAll('h2 .state.success').length === 1").await;
    assert_eq!(browser.value("document.querySelectorAll('h2 .state.failed').length").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_page_gets_its_buttons_when_they_are_of_use_and_keeps_the_focus() {
    let Some(program) = chromium() else { return };
    let server = Harness::start().await;
    let token = server.class().await;
    let jobs = workflow(&[("first", &[]), ("second", &[])]);
    let pipeline = server.submit(&jobs).await;
    let mut browser = Browser::start(program).await;
    browser.open(&server, &format!("/pipelines/{}", pipeline.id)).await;
    let focused = format!("cancel-job-{}", pipeline.workflows[0].jobs[1].id);
    browser.value(&format!("document.getElementById({}).focus()", json!(focused))).await;
    server.claim(&token).await.unwrap().finish(Outcome::Failed).await;
    browser.wait("document.querySelectorAll('.state.failed').length > 0").await;
    assert_eq!(browser.value("document.activeElement.id").await, focused);
    server.claim(&token).await.unwrap().finish(Outcome::Success).await;
    browser.wait("document.querySelectorAll('td.act button[id^=cancel]').length === 0").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_says_why_it_waits_and_a_broken_machine_is_seen_first() {
    let Some(program) = chromium() else { return };
    let server = Harness::start().await;
    let token = server.class().await;
    server.submit(&workflow(&[("waits", &[])])).await;
    let report = server
        .call(Method::POST, "/api/v3/runner/report")
        .bearer_auth(&token)
        .json(&json!({"name": "mini-1", "hostname": "mini", "holds": ["disk: 2 GB are free"]}));
    ok(report).await;
    let mut browser = Browser::start(program).await;
    browser.open(&server, "/").await;
    browser.wait_for_text("mini-1").await;
    browser.wait_for_text("disk: 2 GB are free").await;
    let first = "document.querySelector('main h2').innerText";
    assert_eq!(browser.value(first).await, "Machines");
    let reason = "document.querySelector('#waiting tbody').innerText.includes('mini-1: disk: 2 GB are free')";
    browser.wait(reason).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_is_paused_with_a_reason_and_resumed() {
    let Some(program) = chromium() else { return };
    let server = Harness::start().await;
    let token = server.class().await;
    assert!(server.claim(&token).await.is_none());
    let pipeline = server.submit(&workflow(&[("waits", &[])])).await;
    let mut browser = Browser::start(program).await;
    browser.open(&server, "/runners").await;
    let row = "[...document.querySelectorAll('main section:nth-of-type(2) .act a')]";
    browser.wait(&format!("{row}.length > 0")).await;
    browser.value(&format!("{row}.find((a) => a.innerText.startsWith('Pause')).click()")).await;
    browser.wait("document.querySelector('#reason')").await;
    browser.value("document.querySelector('#reason').value = 'a new disk'").await;
    browser.value("document.querySelector('#for').value = 'soon'").await;
    browser.press("Pause").await;
    browser.wait_for_text("This form cannot be read").await;
    browser.value("history.back()").await;
    browser.wait("document.querySelector('#for')").await;
    browser.value("document.querySelector('#for').value = '2h'").await;
    browser.value("document.querySelector('#reason').value = 'a new disk'").await;
    browser.press("Pause").await;
    browser.wait_for_text("Paused. What runs goes on.").await;
    browser.wait_for_text("paused by the administrator: a new disk").await;
    let job = server.job(&pipeline).await;
    assert!(job.message.is_some_and(|why| why.contains("a new disk")));
    let resume = "[...document.querySelectorAll('main section:nth-of-type(2) .act button')]\
                  .find((button) => button.innerText.startsWith('Resume')).click()";
    browser.value(resume).await;
    browser.wait_for_text("Resumed.").await;
    assert!(server.claim(&token).await.is_some());
}

/// A page of somebody else's that sends a form as soon as it is opened. Returns its port.
async fn attack_page(action: String, fields: &[(&str, &str)]) -> u16 {
    let inputs = fields.iter().map(|(name, value)| format!("<input name={name} value='{value}'>"));
    let page = format!(
        "<!doctype html><form method=post action='{action}'>{}</form>\
         <script>document.forms[0].submit()</script>",
        inputs.collect::<String>()
    );
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n{page}",
        page.len()
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = answer.clone();
            // A browser also opens connections that it may never use.
            tokio::spawn(async move {
                let mut request = [0; 4096];
                let _read = stream.read(&mut request).await;
                let _sent = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_site_presses_nothing() {
    let Some(program) = chromium() else { return };
    let server = Harness::start().await;
    server.class().await;
    let pipeline = server.submit(HOLD).await;
    let mut browser = Browser::start(program).await;
    let path = format!("/pipelines/{}", pipeline.id);
    browser.open(&server, &path).await;
    let csrf = "document.querySelector('input[name=csrf]').value";
    let csrf = browser.value(csrf).await.as_str().unwrap().to_owned();
    let id = pipeline.workflows[0].jobs[0].id.to_string();
    // Even one that knows the text of the session. From another port of the same host the cookie is
    // sent along; from another host it is not.
    let fields = [("csrf", csrf.as_str()), ("once", "1"), ("id", id.as_str())];
    let port = attack_page(format!("{}/do/approve", server.url), &fields).await;
    for (host, words) in
        [("127.0.0.1", "This form was refused"), ("localhost", "This form was refused")]
    {
        let url = json!({"url": format!("http://{host}:{port}/")});
        browser.call("Page.navigate", url).await;
        browser.wait("location.pathname === '/do/approve'").await;
        browser.wait_for_text(words).await;
        assert_eq!(phase_of(&server, &pipeline, 0).await, Phase::OnHold, "{host}");
    }
    // The page itself still works.
    browser.go(&format!("{}{path}", server.url)).await;
    browser.press("Deny").await;
    browser.wait_for_text("Denied.").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_button_of_a_session_that_ended_leads_to_the_login_and_back() {
    let Some(program) = chromium() else { return };
    let server = Harness::start().await;
    let token = server.class().await;
    server.submit(&workflow(&[("waits", &[])])).await;
    let mut browser = Browser::start(program).await;
    browser.open(&server, "/runners").await;
    // A page that does not follow what happens, so that it does not go to the login by itself.
    browser.go(&format!("{}/ask/pause?back=%2Frunners&class=acme%2Fmini", server.url)).await;
    server.clock.advance(std::time::Duration::from_secs(12 * 3600));
    browser.press("Pause").await;
    browser.wait_for_text("Your session has ended").await;
    assert!(server.claim(&token).await.is_some(), "the class is not paused");
    browser.press("Log in").await;
    browser.wait("location.pathname === '/login'").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_filters_and_turns_pages_without_scripts() {
    let Some(program) = chromium() else { return };
    let server = Harness::start().await;
    server.class().await;
    for _ in 0..51 {
        server.clock.advance(std::time::Duration::from_millis(1));
        server.submit(HOLD).await;
    }
    let mut browser = Browser::start(program).await;
    browser.open(&server, "/pipelines").await;
    browser.call("Emulation.setScriptExecutionDisabled", json!({"value": true})).await;
    browser.go(&format!("{}/pipelines", server.url)).await;
    browser.wait_for_text("There are more.").await;
    browser.press("Older").await;
    browser.wait_for_text("These are the oldest.").await;
    assert_eq!(browser.value("document.querySelectorAll('#list tbody tr').length").await, 1);
    browser.press("← Newer").await;
    browser.wait("document.querySelectorAll('#list tbody tr').length === 50").await;
    browser.value("document.querySelector('select[name=state]').value = 'failed'").await;
    browser.press("Show").await;
    browser.wait_for_text("There is none like that.").await;
    browser.press("All").await;
    browser.wait("document.querySelectorAll('#list tbody tr').length === 50").await;
    browser.value("document.querySelector('#list tbody a').click()").await;
    browser.press("Cancel pipeline").await;
    browser.wait_for_text("The pipeline is canceled.").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_page_is_wider_than_a_phone_and_pipelines_show_their_state_and_age() {
    let Some(program) = chromium() else { return };
    let server = Harness::start().await;
    let token = server.class().await;
    let pipeline = server.submit(&workflow(&[("a-job-with-a-long-name", &[])])).await;
    let mut agent = server.claim(&token).await.unwrap();
    let name = "./gradlew --no-daemon ".repeat(12) + &"x".repeat(200);
    let kind = EventKind::StepStarted { step: 1, name, background: false, detail: None };
    agent.event(kind).await;
    let body = json!({"name": "n".repeat(100), "hostname": "h".repeat(100),
        "holds": ["disk: 2 GB are free ".repeat(10)]});
    ok(server.call(Method::POST, "/api/v3/runner/report").bearer_auth(&token).json(&body)).await;
    server.submit(HOLD).await;
    let mut browser = Browser::start(program).await;
    let phone = json!({"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": true});
    browser.call("Emulation.setDeviceMetricsOverride", phone).await;
    browser.open(&server, "/").await;
    let job = &pipeline.workflows[0].jobs[0].id;
    for path in [
        "/".to_owned(),
        "/pipelines".to_owned(),
        format!("/pipelines/{}", pipeline.id),
        format!("/jobs/{job}"),
        "/runners".to_owned(),
        format!("/runners/{}", "n".repeat(100)),
        "/ask/pause?class=acme%2Fmini".to_owned(),
    ] {
        browser.go(&format!("{}{path}", server.url)).await;
        let wide = "[...document.querySelectorAll('body *')].filter((part) => \
                    !part.closest('.unseen, .skip, thead') && !part.closest('pre') && \
                    part.getBoundingClientRect().right > 361).map((part) => part.outerHTML.slice(0, 120))";
        assert_eq!(browser.value(wide).await, json!([]), "{path}");
        assert_eq!(browser.value("document.documentElement.scrollWidth").await, 360, "{path}");
    }
    browser.go(&format!("{}/pipelines", server.url)).await;
    for part in [".states .state", ".age time"] {
        let place = format!(
            "(() => {{ const box = document.querySelector('#list tbody tr {part}').getBoundingClientRect(); \
             return box.width > 20 && box.height > 8 && box.left >= 0 && box.right <= 360; }})()"
        );
        assert_eq!(browser.value(&place).await, true, "{part}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_deletes_an_artifact_after_a_question() {
    let Some(program) = chromium() else { return };
    let server = Harness::start().await;
    let token = server.class().await;
    let pipeline = server.submit(&workflow(&[("builds", &[])])).await;
    let agent = server.claim(&token).await.unwrap();
    ok(agent.call(Method::PUT, "/api/v3/task/artifacts/dist/app.zip").body("x")).await;
    agent.finish(Outcome::Success).await;
    let mut browser = Browser::start(program).await;
    browser.open(&server, &format!("/jobs/{}", pipeline.workflows[0].jobs[0].id)).await;
    browser.press("Delete…").await;
    browser.wait_for_text("Delete this artifact?").await;
    browser.press("Delete").await;
    browser.wait_for_text("The artifact is deleted.").await;
    assert_eq!(server.job(&pipeline).await.artifacts, 0);
    browser.wait("!document.querySelector('.files')").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_drains_a_class_and_renames_and_forgets_a_machine() {
    let Some(program) = chromium() else { return };
    let server = Harness::start().await;
    let token = server.class().await;
    let report = async |machine: serde_json::Value| {
        let body = json!({"name": "mini-1", "machine": machine});
        let call = server.call(Method::POST, "/api/v3/runner/report").bearer_auth(&token);
        ok(call.json(&body)).await;
    };
    report(json!({"state": "idle"})).await;
    server.submit(&workflow(&[("waits", &[])])).await;
    let mut browser = Browser::start(program).await;
    browser.open(&server, "/runners").await;
    browser.press("Drain…").await;
    browser.wait("document.querySelector('#reason')").await;
    browser.value("document.querySelector('#reason').value = 'moving house'").await;
    browser.press("Drain").await;
    browser.wait_for_text("drained with its class by the administrator: moving house").await;
    browser
        .wait_for_text("is drained with its class by the administrator: moving house (since")
        .await;
    browser.press("Resume").await;
    browser.wait_for_text("Resumed.").await;
    browser.go(&format!("{}/runners/mini-1", server.url)).await;
    browser.press("Rename…").await;
    browser.wait("document.querySelector('#to')").await;
    browser.value("document.querySelector('#to').value = 'desk 4'").await;
    browser.press("Rename").await;
    browser.wait("location.pathname === '/runners/desk%204'").await;
    browser.wait_for_text("Renamed.").await;
    report(json!({"state": "idle", "is_leaving": true})).await;
    browser.press("Remove…").await;
    browser.wait_for_text("Forget this runner").await;
    browser.press("Remove").await;
    browser.wait("location.pathname === '/runners'").await;
    browser.wait_for_text("The runner is forgotten.").await;
}
