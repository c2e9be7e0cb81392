//! What the pages list: pipelines by filter and page, alerts, machines and queues; and the forms on them.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use russet_protocol::admin::{ArtifactItem, Items, Pipeline};
use russet_protocol::outcome::Outcome;
use serde_json::json;

use crate::forms::form_of;
use crate::reruns::{report, tests_config};
use crate::support::{CLASS, Harness, LIMIT, ONE_JOB, ok, workflow};
use crate::web::{Browser, place};

/// Submits a pipeline of a project, branch and author.
async fn submit_as(server: &Harness, project: &str, branch: &str, author: &str) -> Pipeline {
    let body = json!({"project": project, "config": ONE_JOB, "branch": branch, "author": author});
    ok(server.as_admin(Method::POST, "/api/v3/pipelines").json(&body)).await.json().await.unwrap()
}

/// Numbers of the pipelines of a page, as they are listed.
fn numbers(page: &str) -> Vec<u64> {
    let list = page.split_once("id=\"list\"").unwrap().1;
    let links = list.split("<b>#").skip(1);
    links.map(|link| link.split_once('<').unwrap().0.parse().unwrap()).collect()
}

/// Address of a link of a page by its id.
fn link(page: &str, id: &str) -> Option<String> {
    let tag = page.split_once(&format!("id=\"{id}\""))?.1.split_once('>')?.0;
    let address = tag.split_once("href=\"")?.1.split_once('"')?.0;
    Some(address.replace("&#38;", "&"))
}

#[tokio::test]
async fn pipelines_are_paged_to_older_ones_and_back_and_the_page_says_when_there_are_more() {
    let server = Harness::start().await;
    server.class().await;
    for _ in 0..103 {
        server.clock.advance(Duration::from_millis(1));
        server.submit(ONE_JOB).await;
    }
    let browser = Browser::logged_in(&server).await;
    let first = browser.page("/pipelines").await;
    assert_eq!(numbers(&first), (54..=103).rev().collect::<Vec<_>>());
    assert!(first.contains("There are more.") && link(&first, "newer").is_none());
    let second = browser.page(&link(&first, "older").unwrap()).await;
    assert_eq!(numbers(&second), (4..=53).rev().collect::<Vec<_>>());
    // What comes meanwhile moves nothing.
    server.submit(ONE_JOB).await;
    let third = browser.page(&link(&second, "older").unwrap()).await;
    assert_eq!(numbers(&third), [3, 2, 1]);
    assert!(third.contains("These are the oldest.") && link(&third, "older").is_none());
    let back = browser.page(&link(&third, "newer").unwrap()).await;
    assert_eq!(numbers(&back), numbers(&second));
    let back = browser.page(&link(&back, "newer").unwrap()).await;
    assert_eq!(numbers(&back)[0], 104);
}

#[tokio::test]
async fn pipelines_are_filtered_by_project_branch_author_state_and_day() {
    let server = Harness::start().await;
    let token = server.class().await;
    let old = submit_as(&server, "acme/app", "main", "anna").await;
    server.claim(&token).await.unwrap().finish(Outcome::Failed).await;
    server.clock.advance(Duration::from_secs(3 * 86_400));
    let new = submit_as(&server, "acme/app", "try & error", "bo").await;
    let other = submit_as(&server, "acme/site", "main", "anna").await;
    let browser = Browser::logged_in(&server).await;
    let day = |pipeline: &Pipeline| {
        let at = i64::try_from(pipeline.created_ms).unwrap();
        let day = jiff::Timestamp::from_millisecond(at).unwrap().to_string();
        day.split_once('T').unwrap().0.to_owned()
    };
    let listed = async |query: &str| {
        let page = browser.page(&format!("/pipelines?{query}")).await;
        let all = [&old, &new, &other].into_iter();
        let list = page.split_once("id=\"list\"").unwrap().1.to_owned();
        all.filter(|one| list.contains(&format!("/pipelines/{}\"", one.id)))
            .map(|one| one.id.clone())
            .collect::<Vec<_>>()
    };
    let ids = |all: &[&Pipeline]| all.iter().map(|one| one.id.clone()).collect::<Vec<_>>();
    // As the form sends it, with its empty fields.
    let empty = "project=&branch=&state=&author=&since=&until=";
    assert_eq!(listed(empty).await, ids(&[&old, &new, &other]));
    assert_eq!(listed("project=acme%2Fapp&branch=").await, ids(&[&old, &new]));
    assert_eq!(listed("branch=try+%26+error").await, ids(&[&new]));
    assert_eq!(listed("author=anna").await, ids(&[&old, &other]));
    assert_eq!(listed("state=failed&author=anna").await, ids(&[&old]));
    assert_eq!(listed("state=queued").await, ids(&[&new, &other]));
    assert_eq!(listed(&format!("until={}", day(&old))).await, ids(&[&old]));
    assert_eq!(listed(&format!("since={}", day(&new))).await, ids(&[&new, &other]));
    let path = format!("/api/v3/pipelines/{}/cancel?as=anna", other.id);
    ok(server.as_admin(Method::POST, &path)).await;
    assert_eq!(listed("state=canceled").await, ids(&[&other]));
    let page = browser.page(&format!("/pipelines/{}", other.id)).await;
    assert!(page.contains("by anna</span>") && page.contains("canceled by anna"), "{page}");
    let asks = "jobs: [hold: {type: approval}, one: {requires: [hold]}]";
    server.submit(&ONE_JOB.replace("jobs: [one]", asks)).await;
    let page = browser.page("/pipelines?state=on_hold").await;
    assert_eq!(numbers(&page).len(), 1);
    assert!(page.contains("<span class=\"quiet\">on hold</span>"), "{page}");
    let page = browser.page("/pipelines?branch=try+%26+error&state=success").await;
    assert!(page.contains("There is none like that."), "{page}");
    assert!(page.contains("value=\"try &#38; error\"") && page.contains("\"success\" selected"));
    for wrong in ["state=lost", "since=yesterday", "page=1%27"] {
        let answer = browser.get(&format!("/pipelines?{wrong}")).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{wrong}");
    }
}

#[tokio::test]
async fn open_alerts_are_on_the_overview_until_they_end() {
    let server = Harness::start().await;
    let token = server.class().await;
    let browser = Browser::logged_in(&server).await;
    assert!(browser.page("/").await.contains("Nothing needs you."));
    let report = server.call(Method::POST, "/api/v3/runner/report").bearer_auth(&token);
    let update = json!({"state": "rolled_back", "version": "1.3.0", "why": "it did not claim"});
    ok(report.json(&json!({"name": "mini-1", "update": update}))).await;
    let shown = async {
        loop {
            server.clock.advance(Duration::from_secs(15));
            let page = browser.page("/").await;
            if page.contains("<h2>Alerts</h2>") {
                return page;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let page = tokio::time::timeout(LIMIT, shown).await.expect("the alert is shown");
    assert!(page.contains("update rolled back"), "{page}");
    assert!(page.contains("acme/mini/mini-1 took version 1.3.0 back: it did not claim"));
    let metrics = ok(server.as_admin(Method::GET, "/metrics")).await.text().await.unwrap();
    let open = "russet_server_alerts_open{kind=\"update_rolled_back\"} 1";
    assert!(metrics.lines().any(|line| line == open), "{metrics}");
    assert!(!page.contains("Nothing needs you."));
}

#[tokio::test]
async fn an_artifact_is_deleted_after_a_question_and_failed_tests_run_again() {
    let server = Harness::start().await;
    let token = server.class().await;
    let pipeline = server.submit(&tests_config("circleci tests run --command=cat")).await;
    let path = format!("/jobs/{}", pipeline.workflows[0].jobs[0].id);
    let browser = Browser::logged_in(&server).await;
    for _task in 0..2 {
        let agent = server.claim(&token).await.unwrap();
        ok(agent.call(Method::PUT, "/api/v3/task/artifacts/dist/a%20%26%23b").body("x")).await;
        report(&agent, &[("a.py", "failure")]).await;
        assert!(!browser.page(&path).await.contains("/ask/delete-artifact"), "it runs");
        agent.finish(Outcome::Failed).await;
    }
    let page = browser.page(&path).await;
    let ask = page.split_once("href=\"/ask/delete-artifact").unwrap().1.split_once('"').unwrap().0;
    let ask = browser.page(&format!("/ask/delete-artifact{}", ask.replace("&#38;", "&"))).await;
    assert!(ask.contains("Delete this artifact?"), "{ask}");
    let form = form_of(&ask, "delete-artifact");
    let answer = browser.send(Method::POST, "/do/delete-artifact", &form).await;
    assert_eq!(place(&answer), format!("{path}?done=delete-artifact"));
    let path_of_job = format!("/api{}/artifacts", path.replace("/jobs", "/v3/jobs"));
    let left: Items<ArtifactItem> = server.get(&path_of_job).await;
    // Each task has its own.
    let left: Vec<_> = left.items.iter().map(|item| item.path.as_str()).collect();
    assert_eq!(left, ["1/dist/a &#b"]);
    let form = form_of(&browser.page(&path).await, "rerun-failed-tests");
    let answer = browser.send(Method::POST, "/do/rerun-failed-tests", &form).await;
    assert_eq!(place(&answer), format!("{path}?done=rerun-failed-tests"));
    let runs = server.pipeline(&pipeline).await.workflows;
    assert_eq!(runs[1].jobs[0].failed_tests_of, Some(pipeline.workflows[0].jobs[0].id.clone()));
}

#[tokio::test]
async fn a_class_is_drained_and_a_machine_has_a_page_whatever_its_name() {
    let server = Harness::start().await;
    let token = server.class().await;
    let machine = json!({"state": "idle", "os": "macOS 15.1", "chip": "Apple M4", "boot_id": "b-1",
        "slots": [{"number": 1, "state": "free"}], "findings": [
            {"name": "clock", "level": "warning", "found": "5 s behind", "hint": "set it"}]});
    let report = server.call(Method::POST, "/api/v3/runner/report").bearer_auth(&token);
    ok(report.json(&json!({"name": "desk(4)", "machine": machine}))).await;
    server.submit(&workflow(&[("waits", &[])])).await;
    let browser = Browser::logged_in(&server).await;
    let page = browser.page("/runners").await;
    assert!(page.contains("href=\"/runners/desk%284%29\""), "{page}");
    let shown = browser.page("/runners/desk%284%29").await;
    for fact in ["macOS 15.1, Apple M4", "b-1", "Slot 1", "5 s behind", "set it", "desk(4)"] {
        assert!(shown.contains(fact), "{fact} in {shown}");
    }
    assert_eq!(browser.get("/runners/other").await.status(), StatusCode::NOT_FOUND);
    // A pause on that page comes back to it.
    let ask = link(&shown, "pause-desk(4)-acme/mini").unwrap();
    let form = form_of(&browser.page(&ask).await, "pause");
    let answer = browser.send(Method::POST, "/do/pause", &(form + "&reason=heat")).await;
    assert_eq!(place(&answer), "/runners/desk%284%29?done=pause");
    assert!(browser.page(place(&answer)).await.contains("paused by the administrator: heat"));
    let ask = browser.page("/ask/drain?back=%2Frunners&class=acme%2Fmini").await;
    let form = form_of(&ask, "drain");
    let answer = browser.send(Method::POST, "/do/drain", &(form + "&reason=moves")).await;
    assert_eq!(place(&answer), "/runners?done=drain");
    let page = browser.page("/runners").await;
    assert!(page.contains("drained with its class by the administrator: moves"), "{page}");
    let queue = page.split_once("id=\"waiting\"").unwrap().1;
    assert!(queue.contains("waits") && queue.contains(&format!("{CLASS} ")), "{queue}");
}

#[tokio::test]
async fn a_pipeline_that_ran_again_stands_in_lists_as_its_last_runs_do() {
    let server = Harness::start().await;
    let token = server.class().await;
    let pipeline = server.submit(ONE_JOB).await;
    server.claim(&token).await.unwrap().finish(Outcome::Failed).await;
    let browser = Browser::logged_in(&server).await;
    assert!(browser.page("/").await.contains("failed"));
    let workflow = &server.pipeline(&pipeline).await.workflows[0].id;
    ok(server.as_admin(Method::POST, &format!("/api/v3/workflows/{workflow}/rerun"))).await;
    server.claim(&token).await.unwrap().finish(Outcome::Success).await;
    let page = browser.page("/").await;
    assert!(page.contains("success") && page.contains("run 2"), "{page}");
    assert!(!page.contains("failed"), "{page}");
}
