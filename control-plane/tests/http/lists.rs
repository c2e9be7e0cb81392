//! Lists of pipelines, workflows and jobs: filters, both orders, pages.

use reqwest::Method;
use russet_protocol::admin::{JobItem, Page, Pipeline, WorkflowItem};
use russet_protocol::outcome::Outcome;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::support::{Harness, ok, refused, workflow};

/// Reads a list over pages of some length, each element as a text.
async fn whole<T: DeserializeOwned>(
    server: &Harness,
    list: &str,
    query: &str,
    text: fn(&T) -> String,
) -> Vec<String> {
    let (mut all, mut token) = (Vec::new(), String::new());
    loop {
        let page: Page<T> = server.get(&format!("/api/v3/{list}?{query}{token}")).await;
        all.extend(page.items.iter().map(text));
        let Some(next) = page.next_page_token else { return all };
        token = format!("&page-token={next}");
    }
}

async fn jobs(server: &Harness, query: &str) -> Vec<String> {
    let text = |item: &JobItem| {
        format!("{}#{}/{}", item.pipeline.project, item.pipeline.number, item.name)
    };
    whole(server, "jobs", query, text).await
}

async fn workflows(server: &Harness, query: &str) -> Vec<String> {
    let text = |item: &WorkflowItem| {
        format!("{}#{} {} of {}", item.pipeline.project, item.pipeline.number, item.run, item.jobs)
    };
    whole(server, "workflows", query, text).await
}

async fn pipelines(server: &Harness, query: &str) -> Vec<String> {
    whole(server, "pipelines", query, |item: &Pipeline| format!("{}#{}", item.project, item.number))
        .await
}

async fn submit(server: &Harness, project: &str, branch: &str) {
    let body = json!({"project": project, "branch": branch, "author": project,
        "config": workflow(&[("one", &[]), ("two", &["one"])])});
    ok(server.as_admin(Method::POST, "/api/v3/pipelines").json(&body)).await;
    server.clock.advance(std::time::Duration::from_secs(5));
}

#[tokio::test]
async fn jobs_and_workflows_are_listed_across_pipelines_in_both_orders_page_by_page() {
    let server = Harness::start().await;
    let token = server.class().await;
    for (project, branch) in [("a", "main"), ("b", "main"), ("a", "next")] {
        submit(&server, project, branch).await;
    }
    server.claim(&token).await.unwrap().finish(Outcome::Failed).await;
    let _running = server.claim(&token).await.unwrap();
    for (query, expected) in [
        ("", &["a#2/two", "a#2/one", "b#1/two", "b#1/one", "a#1/two", "a#1/one"][..]),
        ("sort=oldest", &["a#1/one", "a#1/two", "b#1/one", "b#1/two", "a#2/one", "a#2/two"]),
        ("project=a", &["a#2/two", "a#2/one", "a#1/two", "a#1/one"]),
        ("project=a&branch=main", &["a#1/two", "a#1/one"]),
        ("branch=next&sort=oldest", &["a#2/one", "a#2/two"]),
        ("author=b", &["b#1/two", "b#1/one"]),
        ("state=failed", &["a#1/one"]),
        ("state=running", &["b#1/one"]),
        ("state=queued", &["a#2/one"]),
        ("state=blocked&sort=oldest", &["b#1/two", "a#2/two"]),
        ("since=99999999999999", &[]),
        ("until=1", &[]),
    ] {
        for limit in ["", "&limit=1", "&limit=2", "&limit=3"] {
            assert_eq!(jobs(&server, &format!("{query}{limit}")).await, expected, "{query}{limit}");
        }
    }
    for (query, expected) in [
        ("", &["a#2 1 of 2", "b#1 1 of 2", "a#1 1 of 2"][..]),
        ("sort=oldest", &["a#1 1 of 2", "b#1 1 of 2", "a#2 1 of 2"]),
        ("state=failed", &["a#1 1 of 2"]),
        ("state=running", &["b#1 1 of 2"]),
    ] {
        for limit in ["", "&limit=1"] {
            assert_eq!(workflows(&server, &format!("{query}{limit}")).await, expected, "{query}");
        }
    }
    for limit in ["", "&limit=1"] {
        let oldest = pipelines(&server, &format!("sort=oldest{limit}")).await;
        assert_eq!(oldest, ["a#1", "b#1", "a#2"]);
        let of_a = pipelines(&server, &format!("sort=oldest&project=a{limit}")).await;
        assert_eq!(of_a, ["a#1", "a#2"]);
        assert_eq!(pipelines(&server, &format!("sort=newest&author=b{limit}")).await, ["b#1"]);
    }
}

#[tokio::test]
async fn a_rerun_lists_what_ran_again_and_not_what_it_kept() {
    let server = Harness::start().await;
    let token = server.class().await;
    submit(&server, "a", "main").await;
    server.claim(&token).await.unwrap().finish(Outcome::Success).await;
    server.claim(&token).await.unwrap().finish(Outcome::Failed).await;
    let rerun = "/api/v3/pipelines/a%231/rerun?from_failed=true";
    ok(server.as_admin(Method::POST, rerun)).await;
    assert_eq!(jobs(&server, "sort=oldest").await, ["a#1/one", "a#1/two", "a#1/two"]);
    assert_eq!(workflows(&server, "").await, ["a#1 2 of 2", "a#1 1 of 2"]);
    let page: Page<WorkflowItem> = server.get("/api/v3/workflows?state=failed").await;
    let failed = &page.items[0];
    assert!(failed.started_ms.is_some() && failed.ended_ms >= failed.started_ms, "{failed:?}");
}

#[tokio::test]
async fn what_a_list_cannot_do_is_refused() {
    let server = Harness::start().await;
    for (list, bad, said) in [
        ("jobs", "sort=duration", "sort: newest or oldest"),
        ("pipelines", "sort=name", "sort: newest or oldest"),
        ("workflows", "state=blocked", "state: one of"),
        ("jobs", "state=timed_out", "timedout"),
        ("jobs", "limit=0", "limit"),
        ("workflows", "page-token=17.a", "page-token"),
    ] {
        let path = format!("/api/v3/{list}?{bad}");
        let problem = refused(server.as_admin(Method::GET, &path), 400).await;
        assert!(problem["message"].as_str().unwrap().contains(said), "{problem}");
    }
    assert_eq!(pipelines(&server, "state=timedout").await, [""; 0]);
}
