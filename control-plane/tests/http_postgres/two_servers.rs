//! Two servers on one database.

use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use russet_control_plane::{BetweenServers, Settings};
use russet_protocol::admin::{Items, Pipeline, RunnerItem, StreamEvent};
use russet_protocol::machine::MachineState;
use russet_protocol::outcome::{Outcome, Phase};
use russet_protocol::runner::HeartbeatResponse;
use serde_json::json;

use crate::ssh::key;
use crate::ssh_tunnel::{closed, held_task, next, opened, send};
use crate::support::{
    Agent, CLASS, Harness, LEASE, LIMIT, ONE_JOB, ok, output_of, refused, workflow,
};

/// Longest way of a wake-up to the other server. The wait for it is longer.
const SOON: Duration = Duration::from_secs(10);

/// Looks for nothing: what is heard was told.
fn only_told(settings: &mut Settings) {
    settings.between_servers.poll_interval = Duration::from_secs(3600);
}

/// Hears nothing: what is seen was looked for.
fn only_looking(settings: &mut Settings) {
    settings.between_servers = BetweenServers {
        listens: false,
        poll_interval: Duration::from_millis(200),
        // Nor does it hear that there is another one: it sees that when it says that it is there.
        presence_interval: Duration::from_millis(500),
    };
}

/// Two servers, which learn of each other in one way alone.
async fn two(change: fn(&mut Settings)) -> Option<(Harness, Harness)> {
    let home = Harness::start_changed(change).await;
    let other = home.start_beside(change).await?;
    Some((home, other))
}

/// Makes the call go on at a server that has a claim waiting, and returns what that got.
async fn claim_across(one: &Harness, other: &Harness, token: &str) -> Agent {
    let waiting = other.claim_request(token, 50);
    let waiting = tokio::spawn(async move { ok(waiting).await });
    // The runner is registered before its claim waits; looks that come before it waits find the task.
    wait_for_runner(one).await;
    let start = Instant::now();
    one.submit(ONE_JOB).await;
    let answer = tokio::time::timeout(LIMIT, waiting).await.unwrap().unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    other.agent(answer.json().await.unwrap())
}

/// Waits until a runner has claimed.
async fn wait_for_runner(server: &Harness) {
    let path = format!("/api/v3/runner?resource-class={CLASS}");
    let registered = async {
        while server.get::<Items<RunnerItem>>(&path).await.items.is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, registered).await.expect("no runner claims");
}

/// Everything that somebody may wait for at one server while it happens at the other.
async fn wakes_across(change: fn(&mut Settings)) {
    let Some((one, other)) = two(change).await else { return };
    let token = one.class().await;
    let mut agent = claim_across(&one, &other, &token).await;
    // The task goes on at the second server; readers are at the first.
    let pipeline = one.get::<Items<Pipeline>>("/api/v3/pipelines").await.items.remove(0);
    let mut live = one.live(&pipeline).await;
    agent.start_step(1).await;
    live.until(|event| matches!(event, StreamEvent::Step { .. })).await;
    let start = Instant::now();
    ok(agent.append(1, 0, b"across".to_vec())).await;
    let events = live.until(|event| matches!(event, StreamEvent::Output { .. })).await;
    assert_eq!(output_of(&events, 1), b"across");
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    // Output that is an object is read at the other server too.
    ok(agent.append(1, 6, vec![b'x'; 300_000])).await;
    live.until(|event| matches!(event, StreamEvent::Output { offset: 6, .. })).await;
    // A cancel reaches the heartbeat that waits at the other one.
    let heartbeat = agent.heartbeat("task_agent", None).header("prefer", "wait=50");
    let heartbeat = tokio::spawn(async move { ok(heartbeat).await });
    let start = Instant::now();
    let path = format!("/api/v3/jobs/{}/cancel", pipeline.workflows[0].jobs[0].id);
    ok(one.as_admin(Method::POST, &path)).await;
    let answer = tokio::time::timeout(LIMIT, heartbeat).await.unwrap().unwrap();
    assert!(answer.json::<HeartbeatResponse>().await.unwrap().cancel.is_some());
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    agent.end_step(1, 300_006).await;
    ok(agent.finish_request(Outcome::Canceled, &[(1, 300_006)])).await;
    let events = live.until(|event| matches!(event, StreamEvent::End { .. })).await;
    assert!(!events.is_empty());
}

#[tokio::test]
async fn what_one_server_commits_is_told_to_those_who_wait_at_the_other() {
    wakes_across(only_told).await;
}

#[tokio::test]
async fn what_is_not_heard_is_found_by_looking() {
    wakes_across(only_looking).await;
}

#[tokio::test]
async fn a_server_that_lost_its_connections_is_told_again_once_it_has_new_ones() {
    let Some((one, other)) = two(only_told).await else { return };
    let token = one.class().await;
    for _ in 0..3 {
        let before = one.dir.select("SELECT clock_timestamp()").unwrap();
        let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                   WHERE datname = current_database() AND pid <> pg_backend_pid()";
        one.dir.sql(cut).await;
        // The listeners have to be back, however well the looking does without them.
        let listening = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
             AND query LIKE 'LISTEN%' AND state = 'idle' AND backend_start > '{}'",
            before.trim()
        );
        wait_for_two(&one, &listening).await;
        for _ in 0..2 {
            let agent = claim_across(&one, &other, &token).await;
            agent.finish(Outcome::Success).await;
        }
    }
}

#[tokio::test]
async fn what_was_told_while_a_server_did_not_listen_is_found_when_it_listens_again() {
    let Some((one, other)) = two(only_told).await else { return };
    let token = one.class().await;
    for _ in 0..3 {
        let waiting = other.claim_request(&token, 50);
        let waiting = tokio::spawn(async move { ok(waiting).await });
        wait_for_waiting_claim(&other).await;
        let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                   WHERE datname = current_database() AND query LIKE 'LISTEN%'";
        one.dir.sql(cut).await;
        one.submit(ONE_JOB).await;
        let answer = tokio::time::timeout(SOON, waiting).await.expect("it is not woken").unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        other.agent(answer.json().await.unwrap()).finish(Outcome::Success).await;
    }
}

/// Waits until a claim waits at a server.
async fn wait_for_waiting_claim(server: &Harness) {
    let line = format!("russet_server_claims_waiting{{class=\"{CLASS}\"}} 1");
    let waits = async {
        loop {
            let metrics = ok(server.as_admin(Method::GET, "/metrics")).await.text().await.unwrap();
            if metrics.contains(&line) {
                break;
            }
        }
    };
    tokio::time::timeout(LIMIT, waits).await.expect("no claim waits");
}

/// Waits until a statement selects two. Sessions that were cut are made anew with pauses, and beside all other
/// tests each attempt may have to wait for a connection.
async fn wait_for_two(server: &Harness, statement: &str) {
    let holds = async {
        while server.dir.select(statement).as_deref() != Some("2\n") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    if tokio::time::timeout(3 * LIMIT, holds).await.is_err() {
        let sessions = "SELECT state, wait_event_type, wait_event, backend_start, query FROM pg_stat_activity \
                        WHERE datname = current_database()";
        panic!("{statement}: {:?}", server.dir.select(sessions));
    }
}

#[tokio::test]
async fn a_task_wakes_one_claim_where_one_waits_at_the_server_that_queued_it() {
    let Some((one, other)) = two(only_told).await else { return };
    let token = one.class().await;
    let wait = |server: &Harness| {
        let request = server.claim_request(&token, 4);
        tokio::spawn(async move { ok(request).await })
    };
    let (here, there) = (wait(&one), wait(&other));
    wait_for_runner(&one).await;
    one.submit(ONE_JOB).await;
    one.submit(ONE_JOB).await;
    let answers = [here.await.unwrap().status(), there.await.unwrap().status()];
    assert_eq!(answers, [StatusCode::OK, StatusCode::OK], "the second task went to the other");
}

#[tokio::test]
async fn a_lease_is_kept_by_any_server_and_lapses_once_when_none_hears_of_the_runner() {
    let Some((one, other)) = two(|_| {}).await else { return };
    let token = one.class().await;
    let pipeline = one.submit(ONE_JOB).await;
    let mut agent = one.claim(&token).await.unwrap();
    agent.start_step(1).await;
    // The server that gave the task out goes; its lease stays as it is.
    let _objects = one.dir.clone();
    one.stop().await;
    let seq = agent.seq;
    let mut agent = other.agent(agent.claim);
    agent.seq = seq;
    for _ in 0..3 {
        other.clock.advance(LEASE);
        ok(agent.heartbeat("task_agent", None)).await;
    }
    // Another one starts, which is no reason to begin the lease anew.
    let third = other.start_beside(|_| {}).await.unwrap();
    ok(agent.append(1, 0, b"kept".to_vec())).await;
    other.clock.advance(2 * LEASE);
    third.wait_for_job(&pipeline, |job| job.phase == Phase::Ended).await;
    assert_eq!(third.job(&pipeline).await.outcome, Some(Outcome::InfrastructureFail));
    agent.seq += 1;
    refused(agent.heartbeat("task_agent", None), 409).await;
}

#[tokio::test]
async fn a_server_that_starts_beside_another_knows_at_once_which_machines_are_lost() {
    let one = Harness::start_changed(fast_presence).await;
    let token = one.class().await;
    for name in ["lost", "here"] {
        let report = json!({"name": name, "machine": {"state": "idle"}});
        let call = one.call(Method::POST, "/api/v3/runner/report").bearer_auth(&token);
        ok(call.json(&report)).await;
        if name == "lost" {
            one.clock.advance(Duration::from_secs(60));
        }
    }
    let Some(other) = one.start_beside(fast_presence).await else { return };
    let state = async |name: &str| {
        let path = format!("/api/v3/runner?resource-class={CLASS}");
        let items = other.get::<Items<RunnerItem>>(&path).await.items;
        items.into_iter().find(|item| item.name == name).unwrap().state
    };
    assert_eq!(state("lost").await, MachineState::Lost);
    assert_eq!(state("here").await, MachineState::Idle);
}

#[tokio::test]
async fn a_serial_group_has_one_turn_at_a_time_over_two_servers() {
    let Some((one, other)) = two(only_told).await else { return };
    let token = one.class().await;
    let config = workflow(&[("deploy", &[])])
        .replace("      - deploy", "      - deploy: {serial-group: deploy/live}");
    let (first, second) = (one.submit(&config).await, other.submit(&config).await);
    let agent = other.claim(&token).await.unwrap();
    assert!(one.claim(&token).await.is_none(), "the second one's turn has not come");
    assert_eq!(other.job(&second).await.phase, Phase::Queued);
    agent.finish(Outcome::Success).await;
    assert_eq!(one.job(&first).await.outcome, Some(Outcome::Success));
    let agent = one.claim(&token).await.expect("it is its turn");
    agent.finish(Outcome::Success).await;
    assert_eq!(other.job(&second).await.outcome, Some(Outcome::Success));
}

#[tokio::test]
async fn what_a_lost_server_had_begun_to_cancel_is_gone_on_with() {
    let Some((one, _other)) = two(|settings| {
        settings.between_servers.presence_interval = Duration::from_millis(200);
    })
    .await
    else {
        return;
    };
    one.class().await;
    let pipeline = one.submit(ONE_JOB).await;
    // A server that was killed after the first transaction of a cancel.
    one.dir.sql("UPDATE pipelines SET canceled = 1").await;
    one.dir
        .sql(
            "INSERT INTO servers (id, version, objects, secrets, admin, seen_ms) \
             VALUES ('killed', '1', '', '', '', 0)",
        )
        .await;
    one.wait_for_job(&pipeline, |job| job.outcome == Some(Outcome::Canceled)).await;
}

#[tokio::test]
async fn a_server_with_other_keys_or_objects_is_refused_with_what_differs() {
    let home = Harness::start_changed(fast_presence).await;
    for (what, change) in
        [("admin.token", "admin.token"), ("secrets.key", "secrets.key"), ("other objects", "")]
    {
        let Some(beside) = home.dir.beside() else { return };
        let data = beside.path().join("data");
        let mut settings = beside.settings();
        fast_presence(&mut settings);
        match change {
            "" => {
                settings.objects = None;
                std::fs::remove_file(data.join("objects")).ok();
            }
            file => {
                let path = data.join(file);
                // A token of 32 bytes is as good as another, and so is a key.
                std::fs::write(&path, "rsa_3456789012345678901234567890").unwrap();
            }
        }
        let error = russet_control_plane::Server::start(settings).await.unwrap_err();
        let text = std::error::Error::source(&error).unwrap().to_string();
        assert!(text.contains(what), "{text}");
    }
}

fn fast_presence(settings: &mut Settings) {
    settings.between_servers.presence_interval = Duration::from_millis(200);
}

#[tokio::test]
async fn a_session_that_was_ended_at_one_server_is_soon_worth_nothing_at_the_other() {
    let Some((one, other)) = two(|_| {}).await else { return };
    let login = one
        .call(Method::POST, "/login")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(format!("token={}", one.admin));
    let no_redirect = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    let answer = no_redirect.execute(login.build().unwrap()).await.unwrap();
    let cookie = answer.headers()["set-cookie"].to_str().unwrap();
    let cookie = cookie.split(';').next().unwrap().to_owned();
    let get = async |server: &Harness| {
        let request = server.call(Method::GET, "/").header("cookie", &cookie);
        no_redirect.execute(request.build().unwrap()).await.unwrap().status()
    };
    assert_eq!(get(&other).await, StatusCode::OK, "sessions are of all servers");
    let logout = one.call(Method::POST, "/logout").header("cookie", &cookie);
    no_redirect.execute(logout.build().unwrap()).await.unwrap();
    let ends = async {
        while get(&other).await == StatusCode::OK {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(LIMIT, ends).await.expect("the session goes on");
    ok(other.as_admin(Method::GET, "/api/v3/pipelines")).await;
}

/// Two servers, the first of which the second reaches.
async fn two_peers() -> Option<(Harness, Harness)> {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let one = Harness::start_changed(|settings| {
        settings.listen = address;
        settings.peer_url = Some(format!("http://{address}/"));
    })
    .await;
    let other = one.start_beside(|_| {}).await?;
    Some((one, other))
}

#[tokio::test]
async fn a_person_at_one_server_reaches_a_task_that_waits_at_another() {
    let Some((one, other)) = two_peers().await else { return };
    let (anna, job, agent) = held_task(&one).await;
    let mut task = one.wait_as(&agent).await;
    let mut person = other.dial_task(&anna, &job).await.unwrap();
    assert_eq!(opened(&mut task).await.person, "anna");
    send(&mut person, b"from the person").await;
    assert_eq!(next(&mut task).await.into_data(), b"from the person".as_slice());
    send(&mut task, b"from the task").await;
    assert_eq!(next(&mut person).await.into_data(), b"from the task".as_slice());
    // Who may not dial here may not there.
    let ben = one.account("ben", Some("member"), &["read", "submit"]).await;
    assert_eq!(other.dial_task(&ben, &job).await.unwrap_err().0.as_u16(), 403);
    drop(person);
    let _ended = closed(&mut task).await;
    // The other one has no address at which it is reached.
    let _waiting = other.wait_as(&agent).await;
    let (status, why) = one.dial_task(&anna, &job).await.unwrap_err();
    assert_eq!(status.as_u16(), 503);
    assert!(why.contains("--peer-url"), "{why}");
    assert!(other.dial_task(&anna, &job).await.is_ok());
}

#[tokio::test]
async fn a_person_who_is_passed_on_is_told_which_of_the_two_servers_restarts() {
    for home_stops in [false, true] {
        let Some((one, other)) = two_peers().await else { return };
        let (anna, job, agent) = held_task(&one).await;
        let mut task = one.wait_as(&agent).await;
        let mut person = other.dial_task(&anna, &job).await.unwrap();
        opened(&mut task).await;
        let stops = if home_stops { one } else { other };
        stops.stop.send(()).unwrap();
        let (code, reason) = closed(&mut person).await;
        assert_eq!((code, reason.contains("dial again")), (1012, true), "{reason}");
        assert_eq!(closed(&mut task).await.0, if home_stops { 1012 } else { 1000 });
        tokio::time::timeout(LIMIT, stops.running).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_server_without_ssh_beside_this_one_refuses_the_rerun_and_none_comes_afterwards() {
    let Some((one, other)) = two(|_| {}).await else { return };
    let token = one.ssh_class(false).await;
    let anna = one.account("anna", Some("member"), &["read", "submit"]).await;
    let pipeline = one.submit(ONE_JOB).await;
    one.claim(&token).await.unwrap().finish(Outcome::Failed).await;
    let job = pipeline.workflows[0].jobs[0].id.to_string();
    let rerun = || one.rerun_with_ssh(&anna, &job, &[key("ed25519")]);
    // What a server of the version before leaves in the table.
    one.dir.sql("UPDATE servers SET schema = NULL, place = 'old:8080' WHERE id = (SELECT min(id) FROM servers)").await;
    let problem = refused(rerun(), 409).await;
    let message = problem["message"].as_str().unwrap();
    assert!(message.contains("older version") && message.contains("old:8080"), "{message}");
    one.dir.sql("UPDATE servers SET schema = 110").await;
    ok(rerun()).await;
    assert_eq!(one.dir.count("SELECT min_schema FROM database_state").await, 110);
    drop(other);
}

#[tokio::test]
async fn of_two_servers_one_fires_a_schedule_and_each_time_has_one_pipeline() {
    let Some((one, other)) = two(|_| {}).await else { return };
    let config = "version: 2.1\nworkflows: {main: {jobs: [hold: {type: approval}]}}\n";
    let body = json!({"project": "acme/app", "config": config, "branch": "main"});
    ok(one.as_admin(Method::POST, "/api/v3/pipelines").json(&body)).await;
    let path = "/api/v3/projects/acme%2Fapp/schedules";
    let body = json!({"name": "often", "cron": "* * * * *", "branch": "main"});
    ok(one.as_admin(Method::POST, path).json(&body)).await;
    let fired = "SELECT count(*) FROM schedule_firings WHERE done_ms IS NOT NULL";
    for minute in 1..=5 {
        let wait = async {
            while one.dir.count(fired).await < minute {
                one.clock.advance(Duration::from_secs(5));
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(LIMIT, wait).await.expect("it does not fire");
    }
    // None is on its way any more.
    let dir = std::sync::Arc::clone(&one.dir);
    other.stop().await;
    one.stop().await;
    let failed = "SELECT count(*) FROM schedule_firings WHERE failure IS NOT NULL";
    assert_eq!(dir.count(failed).await, 0);
    let scheduled = "SELECT count(*) FROM pipelines WHERE trigger_source = 'scheduled_pipeline'";
    assert!(dir.count(scheduled).await >= 5);
    // Each is that of a time, of which there is one row each.
    let odd = "SELECT count(*) FROM pipelines WHERE trigger_source = 'scheduled_pipeline' \
               AND id NOT IN (SELECT pipeline_id FROM schedule_firings)";
    assert_eq!(dir.count(odd).await, 0);
}
