//! Names of pipelines, workflows and jobs, wherever an id is taken.

use reqwest::Method;
use russet_protocol::admin::{Job, Page, Pipeline, Workflow};
use russet_protocol::outcome::Outcome;
use serde_json::json;

use crate::support::{Harness, ok, refused, workflow};

fn segment(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

impl Harness {
    async fn submit_to(&self, project: &str) -> Pipeline {
        let config = workflow(&[("a", &[]), ("b", &["a"])]);
        let body = json!({"project": project, "config": config, "author": "Ana"});
        ok(self.as_admin(Method::POST, "/api/v3/pipelines").json(&body)).await.json().await.unwrap()
    }

    async fn named<T: serde::de::DeserializeOwned>(&self, kind: &str, text: &str) -> T {
        self.get(&format!("/api/v3/{kind}/{}", segment(text))).await
    }
}

#[tokio::test]
async fn a_pipeline_is_found_by_number_as_the_latest_and_by_the_beginning_of_its_id() {
    let server = Harness::start().await;
    server.class().await;
    for project in ["acme/app", "c#/tool", "c"] {
        let first = server.submit_to(project).await;
        server.clock.advance(std::time::Duration::from_secs(5));
        let second = server.submit_to(project).await;
        server.clock.advance(std::time::Duration::from_secs(5));
        for (text, expected) in [
            (format!("{project}#1"), &first),
            (format!("{project}#2"), &second),
            (format!("{project}#latest"), &second),
            ("latest".to_owned(), &second),
            (first.id.as_str()[..35].to_owned(), &first),
        ] {
            let found: Pipeline = server.named("pipelines", &text).await;
            assert_eq!(found.id, expected.id, "{text}");
            assert_eq!(found.author.as_deref(), Some("Ana"));
        }
    }
    for unknown in ["acme/app#9", "nobody#1", "zzzz", "abc", "ffffffff"] {
        let path = format!("/api/v3/pipelines/{}", segment(unknown));
        let problem = refused(server.as_admin(Method::GET, &path), 404).await;
        assert!(problem["message"].as_str().unwrap().contains(unknown), "{problem}");
    }
}

#[tokio::test]
async fn lists_are_filtered_and_a_page_names_the_next() {
    let server = Harness::start().await;
    let token = server.class().await;
    let mut ids = Vec::new();
    for (project, branch) in [("a", "main"), ("b", "main"), ("a", "next"), ("a", "main")] {
        let body = json!({"project": project, "branch": branch, "author": project,
            "config": workflow(&[("test", &[])])});
        let request = server.as_admin(Method::POST, "/api/v3/pipelines").json(&body);
        let pipeline: Pipeline = ok(request).await.json().await.unwrap();
        ids.push(pipeline.id.to_string());
    }
    server.claim(&token).await.unwrap().finish(Outcome::Failed).await;
    let _running = server.claim(&token).await.unwrap();
    let list = async |query: &str| {
        let page: Page<Pipeline> = server.get(&format!("/api/v3/pipelines?{query}")).await;
        let places = page
            .items
            .iter()
            .map(|item| ids.iter().position(|id| *id == item.id.as_str()).unwrap());
        (places.collect::<Vec<_>>(), page.next_page_token)
    };
    for (query, expected) in [
        ("", &[3, 2, 1, 0][..]),
        ("project=a", &[3, 2, 0]),
        ("project=a&branch=main", &[3, 0]),
        ("branch=main", &[3, 1, 0]),
        ("author=b", &[1]),
        ("author=a&branch=next", &[2]),
        ("author=a&project=b", &[]),
        ("state=failed", &[0]),
        ("state=running", &[1]),
        ("state=queued&project=a", &[3, 2]),
        ("until=1", &[]),
        ("since=99999999999999", &[]),
    ] {
        assert_eq!(list(query).await, (expected.to_vec(), None), "{query}");
    }
    for filter in ["", "project=a&", "state=queued&", "branch=main&", "author=a&"] {
        let (whole, _) = list(filter).await;
        let (mut all, mut token) = (Vec::new(), String::new());
        loop {
            let (page, next) = list(&format!("{filter}limit=1{token}")).await;
            assert!(page.len() <= 1);
            all.extend(page);
            let Some(next) = next else { break };
            token = format!("&page-token={next}");
        }
        assert_eq!(all, whole, "{filter}");
    }
    for bad in ["limit=0", "limit=201", "state=odd", "page-token=x"] {
        refused(server.as_admin(Method::GET, &format!("/api/v3/pipelines?{bad}")), 400).await;
    }
}

#[tokio::test]
async fn a_beginning_of_several_ids_is_refused_with_those() {
    let server = Harness::start().await;
    server.class().await;
    let (one, two) = (server.submit_to("a").await, server.submit_to("a").await);
    let common = one.id.as_str().bytes().zip(two.id.as_str().bytes()).take_while(|(a, b)| a == b);
    let path = format!("/api/v3/pipelines/{}", &one.id.as_str()[..common.count()]);
    let problem = refused(server.as_admin(Method::GET, &path), 409).await;
    let message = problem["message"].as_str().unwrap();
    assert!(message.contains(one.id.as_str()) && message.contains(two.id.as_str()), "{message}");
}

#[tokio::test]
async fn jobs_and_workflows_are_found_by_name_in_the_last_run() {
    let server = Harness::start().await;
    let token = server.class().await;
    let pipeline = server.submit_to("acme/app").await;
    let first: Job = server.named("jobs", "acme/app#1/a").await;
    assert_eq!(first.id, pipeline.workflows[0].jobs[0].id);
    let same: Job = server.named("jobs", "latest/main/a").await;
    assert_eq!(same.id, first.id);
    let path = format!("/api/v3/jobs/{}", segment("acme/app#1"));
    let problem = refused(server.as_admin(Method::GET, &path), 409).await;
    assert!(problem["message"].as_str().unwrap().contains("main/b"), "{problem}");
    server.claim(&token).await.unwrap().finish(Outcome::Failed).await;
    let rerun = format!("/api/v3/workflows/{}/rerun", segment("acme/app#1/main"));
    let run: Workflow = ok(server.as_admin(Method::POST, &rerun)).await.json().await.unwrap();
    let found: Job = server.named("jobs", "acme/app#1/a").await;
    assert_eq!(found.id, run.jobs[0].id);
    let found: Workflow = server.named("workflows", "latest").await;
    assert_eq!((found.id, found.run), (run.id, 2));
    let cancel = format!("/api/v3/jobs/{}/cancel", segment("acme/app#latest/a"));
    let canceled: Job = ok(server.as_admin(Method::POST, &cancel)).await.json().await.unwrap();
    assert_eq!(canceled.id, found.jobs[0].id);
    assert_eq!(canceled.outcome, Some(Outcome::Canceled));
}
