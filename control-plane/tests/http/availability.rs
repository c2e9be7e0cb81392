//! Calls that are put off: what there is too little of, and that nothing has happened.

use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response};
use russet_protocol::admin::Pipeline;
use russet_test_postgres::Database;
use serde_json::json;
use sqlx::Connection as _;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::support::{CLASS, Harness, LIMIT, ONE_JOB, ok, refused};

/// Returns a number of `/metrics`.
async fn metric(server: &Harness, name: &str) -> u64 {
    let text = ok(server.as_admin(Method::GET, "/metrics")).await.text().await.unwrap();
    let line = text.lines().find(|line| line.starts_with(&format!("{name} ")));
    let line = line.unwrap_or_else(|| panic!("no {name} in {text}"));
    line.rsplit_once(' ').unwrap().1.parse().unwrap()
}

fn put_off(limit: &str) -> String {
    format!("russet_server_put_off_total{{limit=\"{limit}\"}}")
}

fn make_class(server: &Harness, name: &str) -> RequestBuilder {
    let body = json!({"resource_class": name, "description": ""});
    server.as_admin(Method::POST, "/api/v3/runner/resource").json(&body)
}

/// Sends a call that will wait in the database.
fn send(request: RequestBuilder) -> JoinHandle<Response> {
    tokio::spawn(async move { request.send().await.unwrap() })
}

#[tokio::test]
async fn looking_at_an_empty_queue_takes_no_writer() {
    let server = Harness::start().await;
    let token = server.class().await;
    // The first one registers.
    assert!(server.claim(&token).await.is_none());
    let begun = metric(&server, "russet_server_write_transactions_total").await;
    let looks = metric(&server, "russet_server_queue_looks_total").await;
    for _ in 0..100 {
        assert!(server.claim(&token).await.is_none());
    }
    assert!(metric(&server, "russet_server_queue_looks_total").await >= looks + 100);
    // Servers on PostgreSQL say now and then that they are there.
    let more = metric(&server, "russet_server_write_transactions_total").await - begun;
    assert!(more < 10, "{more} transactions for 100 looks");
}

#[tokio::test]
async fn one_waiting_claim_is_woken_for_a_task() {
    const CLAIMS: u64 = 40;
    let server = Harness::start().await;
    let token = server.class().await;
    let claims: Vec<JoinHandle<Response>> = (0..CLAIMS)
        .map(|number| {
            let body =
                json!({"name": format!("m{number}"), "hostname": "", "ip": "", "version": "1"});
            let call = server.call(Method::POST, "/api/v3/runner/claim").bearer_auth(&token);
            send(call.header("prefer", "wait=20").json(&body))
        })
        .collect();
    let all_wait = async {
        while metric(&server, "russet_server_queue_looks_total").await < CLAIMS {
            tokio::task::yield_now().await;
        }
    };
    timeout(LIMIT, all_wait).await.expect("not all claims look");
    let before = metric(&server, "russet_server_queue_looks_total").await;
    server.submit(ONE_JOB).await;
    let (first, _, others) = futures_util::future::select_all(claims).await;
    assert_eq!(first.unwrap().status(), 200);
    let more = metric(&server, "russet_server_queue_looks_total").await - before;
    assert!(more <= 3, "{more} looks for one task");
    others.into_iter().for_each(|other| other.abort());
}

#[tokio::test]
async fn a_submit_that_is_sent_again_with_its_key_submits_nothing_more() {
    let server = Harness::start().await;
    server.class().await;
    let key = "0192f0c1-2345-7abc-8def-0123456789ab";
    let submit = |key: &str| {
        let body = json!({"project": "acme/app", "config": ONE_JOB});
        let call = server.as_admin(Method::POST, "/api/v3/pipelines");
        call.header("idempotency-key", key).json(&body)
    };
    let calls: Vec<JoinHandle<Response>> = (0..8).map(|_| send(submit(key))).collect();
    let mut made = 0;
    for call in calls {
        let answer = timeout(LIMIT, call).await.unwrap().unwrap();
        made += u32::from(answer.status() == 201);
        assert!(answer.status().is_success(), "{answer:?}");
        let pipeline: Pipeline = answer.json().await.unwrap();
        assert_eq!((pipeline.id.as_str(), pipeline.number), (key, 1));
    }
    assert_eq!(made, 1);
    let quoted: Pipeline = ok(submit(&format!("\"{key}\""))).await.json().await.unwrap();
    assert_eq!(quoted.id.as_str(), key);
    let problem = refused(submit("../x"), 400).await;
    assert!(problem["message"].as_str().unwrap().contains("UUID"), "{problem}");
    assert_eq!(server.submit(ONE_JOB).await.number, 2);
}

#[tokio::test]
async fn a_database_that_another_program_writes_to_puts_calls_off() {
    let server = Harness::start().await;
    if server.dir.database.is_some() {
        return;
    }
    let url = format!("sqlite://{}", server.dir.path().join("data/russet.db").display());
    let mut other = sqlx::SqliteConnection::connect(&url).await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    let answer = make_class(&server, "acme/other").send().await.unwrap();
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.headers()["retry-after"], "1");
    // Those who only read are served.
    assert_eq!(metric(&server, &put_off("database_writer")).await, 1);
    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    ok(make_class(&server, "acme/other")).await;
}

/// Opens a session of another program.
async fn session(database: &Database) -> sqlx::PgConnection {
    // The parameter `host` of the address, a directory, counts; sqlx wants a host before it too.
    let url = database.url().replacen("@/", "@localhost/", 1);
    sqlx::PgConnection::connect(&url).await.unwrap()
}

/// Ends the sessions of the server that wait for a lock, once so many do.
async fn end_waiting_sessions(server: &Harness, event: &str) {
    let database = server.dir.database.as_ref().unwrap();
    let end = format!(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
         WHERE datname = current_database() AND wait_event_type = 'Lock' AND wait_event = '{event}'"
    );
    let ended = async {
        while database.sql(&end).trim() != "1" {
            tokio::task::yield_now().await;
        }
    };
    timeout(LIMIT, ended).await.expect("no session waits");
}

#[tokio::test]
async fn a_connection_that_is_lost_in_mid_call_puts_it_off_and_nothing_has_happened() {
    let server = Harness::start().await;
    let Some(database) = server.dir.database.clone() else { return };
    let mut other = session(&database).await;
    sqlx::query("BEGIN").execute(&mut other).await.unwrap();
    let lock = "LOCK TABLE resource_classes IN EXCLUSIVE MODE";
    sqlx::query(lock).execute(&mut other).await.unwrap();
    let call = send(make_class(&server, CLASS));
    end_waiting_sessions(&server, "relation").await;
    let answer = timeout(LIMIT, call).await.unwrap().unwrap();
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.headers()["retry-after"], "1");
    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    assert_eq!(metric(&server, &put_off("database")).await, 1);
    ok(make_class(&server, CLASS)).await;
}

#[tokio::test]
async fn a_connection_that_is_lost_in_a_commit_leaves_the_caller_to_look() {
    let server = Harness::start().await;
    let Some(database) = server.dir.database.clone() else { return };
    let _done = database.sql(
        "CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS \
         'BEGIN PERFORM pg_advisory_xact_lock(4711); RETURN NULL; END'; \
         CREATE CONSTRAINT TRIGGER hold AFTER INSERT ON resource_classes \
         DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION hold()",
    );
    let mut other = session(&database).await;
    sqlx::query("SELECT pg_advisory_lock(4711)").execute(&mut other).await.unwrap();
    let call = send(make_class(&server, CLASS));
    end_waiting_sessions(&server, "advisory").await;
    let answer = timeout(LIMIT, call).await.unwrap().unwrap();
    assert_eq!(answer.status(), 503);
    assert!(!answer.headers().contains_key("retry-after"), "that would say that nothing was done");
    let problem: serde_json::Value = answer.json().await.unwrap();
    assert!(problem["message"].as_str().unwrap().contains("may have been done"), "{problem}");
}

#[tokio::test]
async fn calls_go_on_after_all_sessions_of_the_database_were_ended() {
    let server = Harness::start().await;
    let Some(database) = server.dir.database.clone() else { return };
    for round in 0..3 {
        let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                   WHERE datname = current_database() AND pid <> pg_backend_pid()";
        assert_ne!(database.sql(end).trim(), "0");
        let done = async {
            loop {
                let answer = make_class(&server, &format!("acme/r{round}")).send().await.unwrap();
                match answer.status().as_u16() {
                    201 | 200 => return,
                    503 => tokio::time::sleep(Duration::from_millis(10)).await,
                    other => panic!("{other}: {:?}", answer.text().await),
                }
            }
        };
        timeout(LIMIT, done).await.expect("the server does not connect again");
    }
}

#[tokio::test]
async fn metrics_are_for_administrators_and_have_the_machines_as_lists_do() {
    let server = Harness::start().await;
    let token = server.class().await;
    assert_eq!(server.call(Method::GET, "/metrics").send().await.unwrap().status(), 404);
    let report = json!({"name": "well", "machine": {"state": "idle"}});
    let call = server.call(Method::POST, "/api/v3/runner/report").bearer_auth(&token);
    ok(call.json(&report)).await;
    server.submit(ONE_JOB).await;
    let scrape = server.call(Method::GET, "/metrics").bearer_auth(&server.admin);
    let answer = ok(scrape).await;
    assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("text/plain; version"));
    let text = answer.text().await.unwrap();
    for line in [
        "russet_server_machines{class=\"acme/mini\",state=\"idle\"} 1",
        "russet_server_tasks_queued{class=\"acme/mini\"} 1",
        "russet_server_put_off_total{limit=\"descriptors\"} 0",
    ] {
        assert!(text.lines().any(|one| one == line), "no {line} in {text}");
    }
    // Each is in the documentation.
    let docs = include_str!("../../../docs/server-metrics.md");
    for name in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let name = name.split(' ').next().unwrap();
        assert!(docs.contains(&format!("`{name}`")), "docs/server-metrics.md has no {name}");
    }
}
