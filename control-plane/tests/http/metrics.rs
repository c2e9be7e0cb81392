//! `/metrics`: what is counted, and what asking costs.

use std::collections::BTreeMap;

use reqwest::Method;
use russet_protocol::outcome::Outcome;
use serde_json::json;

use crate::support::{CLASS, Harness, ONE_JOB, ok};
use crate::web::Browser;

async fn text(server: &Harness) -> String {
    ok(server.as_admin(Method::GET, "/metrics")).await.text().await.unwrap()
}

/// All samples by name and labels.
async fn samples(server: &Harness) -> BTreeMap<String, f64> {
    let text = text(server).await;
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let sample = |line: &str| {
        let (name, value) = line.rsplit_once(' ').unwrap();
        (name.to_owned(), value.parse().unwrap())
    };
    lines.map(sample).collect()
}

#[track_caller]
fn value(samples: &BTreeMap<String, f64>, name: &str) -> f64 {
    *samples.get(name).unwrap_or_else(|| panic!("no {name} in {samples:#?}"))
}

fn of_class(name: &str, more: &str) -> String {
    format!("russet_server_{name}{{class=\"{CLASS}\"{more}}}")
}

#[tokio::test]
async fn what_a_pipeline_does_is_counted_once_it_is_stored() {
    let server = Harness::start().await;
    let token = server.class().await;
    server.submit(ONE_JOB).await;
    server.clock.advance(std::time::Duration::from_secs(40));
    let before = samples(&server).await;
    assert_eq!(value(&before, &of_class("tasks_queued", "")), 1.0);
    assert_eq!(value(&before, &of_class("queue_oldest_wait_seconds", "")), 40.0);
    assert_eq!(value(&before, "russet_server_pipelines_submitted_total"), 1.0);

    let mut agent = server.claim(&token).await.unwrap();
    let claimed = samples(&server).await;
    assert_eq!(value(&claimed, &of_class("queue_wait_seconds_sum", "")), 40.0);
    // Before the first, so that the first is seen.
    assert_eq!(value(&claimed, &of_class("tasks_total", ",outcome=\"failed\"")), 0.0);
    assert!(!claimed.contains_key(&of_class("tasks_queued", "")));

    agent.start_step(0).await;
    ok(agent.append(0, 0, b"hello\n".to_vec())).await;
    // The same again is refused, and counted no more than what is refused.
    assert_eq!(agent.append(0, 0, b"hello\n".to_vec()).send().await.unwrap().status(), 409);
    agent.end_step(0, 6).await;
    ok(agent.finish_request(Outcome::Failed, &[(0, 6)])).await;
    let after = samples(&server).await;
    assert_eq!(value(&after, &of_class("tasks_total", ",outcome=\"failed\"")), 1.0);
    assert_eq!(value(&after, "russet_server_events_total"), 2.0);
    assert_eq!(value(&after, "russet_server_output_bytes_total"), 6.0);
    let finish = "russet_server_http_requests_total{method=\"POST\",route=\"/api/v3/task/finish\",status=\"2xx\"}";
    assert_eq!(value(&after, finish), 1.0);
    let refused = "russet_server_http_requests_total{method=\"PATCH\",route=\"/api/v3/task/steps/{step}/output\",status=\"4xx\"}";
    assert_eq!(value(&after, refused), 1.0);
    assert_eq!(value(&after, "russet_server_ready{check=\"database\"}"), 1.0);
    assert!(value(&after, "process_open_fds") > 0.0);
}

#[tokio::test]
async fn failures_that_are_no_jobs_are_counted_by_reason_and_a_restart_begins_anew() {
    let server = Harness::start().await;
    let token = server.class().await;
    server.submit(ONE_JOB).await;
    let agent = server.claim(&token).await.unwrap();
    agent.finish(Outcome::InfrastructureFail).await;
    let reported = "russet_server_infrastructure_failures_total{reason=\"reported\"}";
    let lapsed = "russet_server_infrastructure_failures_total{reason=\"lease_lapsed\"}";
    let samples_now = samples(&server).await;
    assert_eq!(value(&samples_now, reported), 1.0);
    assert_eq!(value(&samples_now, lapsed), 0.0);
    let server = server.restart().await;
    assert_eq!(value(&samples(&server).await, reported), 0.0);
}

#[tokio::test]
async fn words_of_callers_make_no_numbers_and_no_name_is_told() {
    let server = Harness::start().await;
    let _token = server.class().await;
    server.submit(ONE_JOB).await;
    let before = text(&server).await.lines().count();
    for number in 0..20 {
        let path = format!("/nothing/{number}");
        assert_eq!(server.as_admin(Method::GET, &path).send().await.unwrap().status(), 404);
        let method = Method::from_bytes(format!("BREW{number}").as_bytes()).unwrap();
        let _answer = server.as_admin(method, "/api/v3/pipelines").send().await.unwrap();
    }
    let after = text(&server).await;
    // Two routes at most with their buckets, and the one of metrics.
    assert!(after.lines().count() < before + 50, "{after}");
    assert!(!after.contains("acme/app") && !after.contains("BREW"), "{after}");
}

#[tokio::test]
async fn asking_costs_as_many_statements_however_many_pipelines_there_are() {
    let server = Harness::start().await;
    let token = server.class().await;
    let machine = json!({"name": "well", "machine": {"state": "idle"}});
    let call = server.call(Method::POST, "/api/v3/runner/report").bearer_auth(&token);
    ok(call.json(&machine)).await;
    // The least of a few: servers on PostgreSQL do something beside.
    let cost = async || {
        let mut least = f64::MAX;
        for _ in 0..5 {
            let name = "russet_server_statements_total";
            let before = value(&samples(&server).await, name);
            least = least.min(value(&samples(&server).await, name) - before);
        }
        least
    };
    server.submit(ONE_JOB).await;
    let before = cost().await;
    for _ in 0..30 {
        server.submit(ONE_JOB).await;
    }
    assert!(before <= 9.0, "{before} statements");
    assert!(cost().await <= before + 1.0);
}

#[tokio::test]
async fn guesses_of_passwords_are_counted() {
    let server = Harness::start().await;
    for _ in 0..7 {
        let form = "name=ana&password=wrong-wrong-wrong";
        let _answer = Browser::new(&server).send(Method::POST, "/login", form).await;
    }
    let samples = samples(&server).await;
    let of = |result: &str| {
        value(&samples, &format!("russet_server_sign_ins_total{{result=\"{result}\"}}"))
    };
    assert_eq!((of("succeeded"), of("failed"), of("slowed")), (0.0, 6.0, 1.0));
}
