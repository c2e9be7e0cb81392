//! Several real servers on one database: beside a newer version while an upgrade lasts, and behind the
//! proxy of the documentation.

use std::process::Stdio;

use russet_protocol::admin::{Items, RunnerItem};
use russet_protocol::outcome::Outcome;
use serde_json::json;

use crate::support::admin::assert_outcome;
use crate::support::server::{Disturbance, Layout, SeveralServers};
use crate::support::{Agent, CLASS, Server, config, run, test_dir, wait_for};

/// A later version's migration: a row in the list of migrations, and one more column in each table.
const NEWER: &str = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
    VALUES (9999, 'later', true, '\\x00', 0); \
    DO $$ DECLARE name TEXT; BEGIN \
    FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> '_sqlx_migrations' \
    LOOP EXECUTE format('ALTER TABLE %I ADD COLUMN later TEXT', name); END LOOP; END $$";

/// One that cannot keep to adding.
const DEMANDING: &str = "UPDATE database_state SET min_schema = 9999";

fn run_job(server: &Server) {
    let job = server.admin.run(&config(&[&run("echo hello")]));
    assert_outcome(&server.admin, &job, Outcome::Success);
    assert_eq!(server.admin.step_output(&job, 1), b"hello\n");
}

#[test]
fn servers_go_on_beside_a_newer_version_and_end_when_it_demands_that_with_the_next_step() {
    let dir = test_dir();
    let layout = Layout { logs: Some(dir.path().to_owned()), ..Layout::default() };
    let Some(servers) = SeveralServers::start(&layout, Disturbance::None) else { return };
    let mut server = Server::of_several(servers);
    let database = server.several().unwrap().database();
    let _agent = Agent::start(&server);
    run_job(&server);
    // With statements that were prepared before the tables had more columns, and at a start.
    let _done = database.sql(NEWER);
    run_job(&server);
    for number in 0..2 {
        server.kill_one(number);
        server.start_one_again(number);
        run_job(&server);
    }
    let _done = database.sql(DEMANDING);
    let servers = server.several().unwrap();
    for number in 0..2 {
        assert_eq!(servers.wait_for_end(number), Some(5), "it goes on");
        let log = std::fs::read_to_string(dir.path().join(format!("server-{number}.log"))).unwrap();
        assert!(log.contains("a newer version brought the database to a state"), "{log}");
        let again = servers.command_of(number).stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8(again.stderr).unwrap();
        assert_eq!(again.status.code(), Some(5), "{said}");
        assert!(
            said.contains("below schema 9999") && said.contains("start a newer version"),
            "{said}"
        );
    }
}

/// Claims, and waits so many seconds. Returns true if that brings a task.
async fn claim(url: String, token: String, name: String, seconds: u32) -> bool {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client
        .post(format!("{url}/api/v3/runner/claim"))
        .bearer_auth(token)
        .header("prefer", format!("wait={seconds}"))
        .json(&json!({ "name": name, "hostname": "h", "ip": "", "version": "0" }));
    request.send().await.unwrap().status().as_u16() == 200
}

/// Claims that wait and are dropped.
const DROPPED: usize = 8;

/// Tasks that may be given out before the servers have noticed.
const MAX_LOST: usize = 3;

#[test]
fn claims_that_are_dropped_do_not_wait_on_behind_the_proxy() {
    let Some(servers) = SeveralServers::start(&Layout::default(), Disturbance::None) else {
        return;
    };
    let server = Server::of_several(servers);
    let token = server.admin.class_token(CLASS);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let of = |name: String, seconds| claim(server.url().to_owned(), token.clone(), name, seconds);
    let claims: Vec<_> =
        (0..DROPPED).map(|number| runtime.spawn(of(format!("gone-{number}"), 50))).collect();
    let path = format!("/api/v3/runner?resource-class={CLASS}");
    wait_for("the claims", || {
        let runners = server.admin.get::<Items<RunnerItem>>(&path).items;
        (runners.len() == DROPPED).then_some(())
    });
    claims.iter().for_each(tokio::task::JoinHandle::abort);
    let has_task = || {
        let _pipeline = server.admin.submit(&config(&[&run("true")]));
        runtime.block_on(of("there".to_owned(), 2))
    };
    assert!((0..MAX_LOST).any(|_| has_task()), "tasks go to claims that were dropped");
}
