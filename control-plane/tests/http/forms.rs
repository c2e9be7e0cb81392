//! Forms of the pages: who may send one, what it does, and that it does it once.

use reqwest::{Method, Response, StatusCode};
use russet_control_plane::ManualClock;
use russet_protocol::admin::Pipeline;
use russet_protocol::outcome::{Outcome, Phase};

use crate::support::{Harness, Home, workflow};
use crate::web::{Browser, place};

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
      - hold: {type: approval}
      - build: {requires: [hold]}
      - late: {type: approval, requires: [build]}
";

/// Returns the hidden fields of the form of an action on a page, as a body.
pub(crate) fn form_of(page: &str, action: &str) -> String {
    let begin = page.find(&format!("action=\"/do/{action}\"")).expect("the page has the button");
    let form = &page[begin..begin + page[begin..].find("</form>").unwrap()];
    let fields = form.split("<input type=\"hidden\" name=\"").skip(1).map(|field| {
        let (name, rest) = field.split_once("\" value=\"").unwrap();
        format!("{name}={}", encoded(rest.split_once('"').unwrap().0))
    });
    fields.collect::<Vec<_>>().join("&")
}

/// Returns text of a page as a field of a form.
fn encoded(escaped: &str) -> String {
    let signs = [("&#60;", "<"), ("&#62;", ">"), ("&#34;", "\""), ("&#39;", "'"), ("&#38;", "&")];
    let text = signs.iter().fold(escaped.to_owned(), |text, (from, to)| text.replace(from, to));
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let one = |byte| if plain(byte) { char::from(byte).into() } else { format!("%{byte:02X}") };
    text.bytes().map(one).collect()
}

async fn held(server: &Harness) -> Pipeline {
    server.class().await;
    server.submit(HOLD).await
}

async fn press(browser: &Browser<'_>, action: &str, form: &str) -> Response {
    browser.send(Method::POST, &format!("/do/{action}"), form).await
}

async fn phase_of_hold(server: &Harness, pipeline: &Pipeline) -> Phase {
    server.pipeline(pipeline).await.workflows[0].jobs[0].phase
}

#[tokio::test]
async fn a_button_does_what_the_call_does_and_comes_back_with_words() {
    let server = Harness::start().await;
    let pipeline = held(&server).await;
    let browser = Browser::logged_in(&server).await;
    let path = format!("/pipelines/{}", pipeline.id);
    let form = form_of(&browser.page(&path).await, "approve");
    let answer = press(&browser, "approve", &form).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    assert_eq!(place(&answer), format!("{path}?done=approve"));
    assert!(browser.page(place(&answer)).await.contains("role=\"status\">Approved."));
    assert!(!browser.page(&path).await.contains("Approved."));
    let now = server.pipeline(&pipeline).await;
    assert_eq!(now.workflows[0].jobs[0].outcome, Some(Outcome::Success));
    assert_eq!(now.workflows[0].jobs[1].phase, Phase::Queued);

    let form = form_of(&browser.page(&path).await, "cancel-pipeline");
    assert_eq!(press(&browser, "cancel-pipeline", &form).await.status(), StatusCode::SEE_OTHER);
    assert_eq!(server.pipeline(&pipeline).await.workflows[0].phase, Phase::Ended);
    // There is nothing left to cancel.
    assert!(!browser.page(&path).await.contains("/do/cancel"));
}

#[tokio::test]
async fn a_pipeline_is_pinned_unpinned_and_deleted_after_a_question() {
    let server = Harness::start().await;
    let pipeline = held(&server).await;
    let browser = Browser::logged_in(&server).await;
    let path = format!("/pipelines/{}", pipeline.id);
    for action in ["cancel-pipeline", "pin", "unpin"] {
        let form = form_of(&browser.page(&path).await, action);
        assert_eq!(place(&press(&browser, action, &form).await), format!("{path}?done={action}"));
    }
    let page = browser.page(&path).await;
    let ask = format!("/ask/delete-pipeline?back=%2Fpipelines%2F{0}&id={0}", pipeline.id);
    assert!(page.contains(&ask.replace('&', "&#38;")), "{page}");
    assert!(!page.contains("/do/delete-pipeline"));
    let question = browser.page(&ask).await;
    assert!(question.contains("cannot be taken back"), "{question}");
    let form = form_of(&question, "delete-pipeline");
    let answer = press(&browser, "delete-pipeline", &form).await;
    assert_eq!(place(&answer), "/pipelines?done=delete-pipeline");
    assert_eq!(browser.get(&path).await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_form_that_is_sent_twice_is_done_once() {
    let server = Harness::start().await;
    let pipeline = held(&server).await;
    let browser = Browser::logged_in(&server).await;
    let path = format!("/pipelines/{}", pipeline.id);
    let form = form_of(&browser.page(&path).await, "deny");
    let (first, second) =
        tokio::join!(press(&browser, "deny", &form), press(&browser, "deny", &form));
    let mut places = [place(&first), place(&second)];
    places.sort_unstable();
    assert_eq!(places, [format!("{path}?done=deny"), format!("{path}?done=twice")]);
}

#[tokio::test]
async fn a_refusal_is_shown_in_the_words_of_the_call_and_may_be_tried_again() {
    let server = Harness::start().await;
    let pipeline = held(&server).await;
    let browser = Browser::logged_in(&server).await;
    let page = browser.page(&format!("/pipelines/{}", pipeline.id)).await;
    let [hold, _, late] = [0, 1, 2].map(|n| pipeline.workflows[0].jobs[n].id.to_string());
    let form = form_of(&page, "approve").replace(&hold, &late);
    for _ in 0..2 {
        let refused = press(&browser, "approve", &form).await;
        assert_eq!(refused.status(), StatusCode::CONFLICT);
        let text = refused.text().await.unwrap();
        assert!(text.contains("`late` still waits for the jobs that it requires"), "{text}");
    }
    let nothing = form_of(&page, "approve").replace(&hold, "..%2F..%2Frunner");
    assert_eq!(press(&browser, "approve", &nothing).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(press(&browser, "launch", &form).await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_form_of_another_site_or_session_changes_nothing() {
    let server = Harness::start().await;
    let pipeline = held(&server).await;
    let (browser, other) = (Browser::logged_in(&server).await, Browser::logged_in(&server).await);
    let path = format!("/pipelines/{}", pipeline.id);
    let form = form_of(&browser.page(&path).await, "approve");
    let without = form.split('&').filter(|field| !field.starts_with("csrf=")).collect::<Vec<_>>();
    let foreign = form_of(&other.page(&path).await, "approve");
    for form in [&without.join("&"), &foreign, &format!("csrf=&{}", without.join("&"))] {
        let refused = press(&browser, "approve", form).await;
        assert_eq!(refused.status(), StatusCode::FORBIDDEN);
        assert!(refused.text().await.unwrap().contains("This form was refused"));
    }
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://evil.example"),
        ("origin", "null"),
    ] {
        for path in ["/do/approve", "/logout", "/login"] {
            let request = browser.request(Method::POST, path, &form).header(name, value);
            let refused = request.send().await.unwrap();
            assert_eq!(refused.status(), StatusCode::FORBIDDEN, "{path} {name}: {value}");
        }
    }
    assert_eq!(phase_of_hold(&server, &pipeline).await, Phase::OnHold);
    // A link does nothing, and the page's own form does.
    let answer = browser.get(&format!("/do/approve?{form}")).await;
    assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED);
    let own = browser.request(Method::POST, "/do/approve", &form);
    let own = own.header("origin", &server.url).header("sec-fetch-site", "same-origin");
    assert_eq!(own.send().await.unwrap().status(), StatusCode::SEE_OTHER);
    assert_eq!(phase_of_hold(&server, &pipeline).await, Phase::Ended);
}

#[tokio::test]
async fn a_button_of_a_session_that_has_ended_says_so_and_changes_nothing() {
    let server = Harness::start().await;
    let pipeline = held(&server).await;
    let browser = Browser::logged_in(&server).await;
    let path = format!("/pipelines/{}", pipeline.id);
    let form = form_of(&browser.page(&path).await, "approve");
    browser.send(Method::POST, "/logout", "").await;
    let request = browser.request(Method::POST, "/do/approve", &form);
    let request = request.header("referer", format!("{}{path}", server.url));
    let refused = request.send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    let text = refused.text().await.unwrap();
    assert!(text.contains("Your session has ended") && text.contains("Nothing was changed"));
    assert!(text.contains(&format!("href=\"/login?next={path}\"")), "{text}");
    assert_eq!(phase_of_hold(&server, &pipeline).await, Phase::OnHold);
}

#[tokio::test]
async fn a_cookie_goes_over_tls_alone_where_a_proxy_of_ours_says_so() {
    let server = Harness::start_with(Home::new(), ManualClock::new(), |settings| {
        settings.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
    })
    .await;
    let plain = Harness::start().await;
    for (server, is_secure) in [(&server, true), (&plain, false)] {
        let browser = Browser::new(server);
        let form = format!("token={}", server.admin);
        let request = browser.request(Method::POST, "/login", &form);
        let answer = request.header("x-forwarded-proto", "https").send().await.unwrap();
        let cookie = answer.headers()["set-cookie"].to_str().unwrap();
        assert_eq!(cookie.contains("; Secure"), is_secure, "{cookie}");
    }
}

#[tokio::test]
async fn the_overview_shows_first_what_needs_somebody() {
    let server = Harness::start().await;
    let token = server.class().await;
    let browser = Browser::logged_in(&server).await;
    assert!(browser.page("/").await.contains("Nothing needs you."));
    server.submit(HOLD).await;
    server.submit(&workflow(&[("runs", &[]), ("waits", &[])])).await;
    server.claim(&token).await.unwrap();
    let page = browser.page("/").await;
    let at = |text: &str| page.find(text).unwrap_or_else(|| panic!("{text} in {page}"));
    let order =
        [at("Approvals"), at(">hold<"), at("Waiting"), at(">waits<"), at("Running"), at(">runs<")];
    assert!(order.is_sorted(), "{order:?} in {page}");
    assert!(at("Latest pipelines") > at(">runs<"));
    form_of(&page, "approve");
}
