//! Schedules: once for each time, whatever is restarted.

use std::time::Duration;

use reqwest::Method;
use russet_protocol::admin::{Items, Page, Pipeline};
use russet_protocol::schedules::ScheduleItem;
use serde_json::{Value, json};

use crate::support::{Harness, LIMIT, ok, refused};

const SCHEDULES: &str = "/api/v3/projects/acme%2Fapp/schedules";

/// A workflow that shows the values of its pipeline by names of jobs.
const CONFIG: &str = "
version: 2.1
parameters:
  flavor: {type: string, default: plain}
workflows:
  main:
    jobs:
      - hold:
          type: approval
          name: << pipeline.trigger_source >>-<< pipeline.schedule.name >>-<< pipeline.parameters.flavor >>
";

const MINUTE: Duration = Duration::from_secs(60);

async fn submit(server: &Harness, branch: &str) -> Pipeline {
    let config = CONFIG.replace("<< pipeline.schedule.name >>", "x");
    let body = json!({"project": "acme/app", "config": config, "branch": branch});
    let call = server.as_admin(Method::POST, "/api/v3/pipelines").json(&body);
    ok(call).await.json().await.unwrap()
}

async fn add(server: &Harness, body: Value) -> ScheduleItem {
    ok(server.as_admin(Method::POST, SCHEDULES).json(&body)).await.json().await.unwrap()
}

async fn pipelines(server: &Harness) -> Vec<Pipeline> {
    server.get::<Page<Pipeline>>("/api/v3/pipelines?sort=oldest").await.items
}

async fn schedule(server: &Harness, name: &str) -> ScheduleItem {
    server.get(&format!("{SCHEDULES}/{name}")).await
}

/// Moves the time on by rounds of the server, until a schedule has fired for a time.
async fn until_fired(server: &Harness, name: &str, at_ms: u64) -> ScheduleItem {
    let wait = async {
        loop {
            let found = schedule(server, name).await;
            let is_it = |last: &russet_protocol::schedules::FiringItem| {
                last.at_ms == at_ms && (last.pipeline.is_some() || last.failure.is_some())
            };
            if found.last.as_ref().is_some_and(is_it) {
                return found;
            }
            server.clock.advance(Duration::from_secs(5));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LIMIT, wait).await.expect("it does not fire")
}

#[tokio::test]
async fn a_schedule_runs_the_last_submission_of_its_branch_with_its_own_values() {
    let server = Harness::start().await;
    submit(&server, "main").await;
    let made = add(
        &server,
        json!({"name": "nightly", "cron": "*/10 * * * *", "branch": "main",
            "timezone": "Europe/Berlin", "parameters": {"flavor": "sweet"}}),
    )
    .await;
    assert_eq!(made.next_ms.len(), 5);
    let fired = until_fired(&server, "nightly", made.next_ms[0]).await;
    let all = pipelines(&server).await;
    assert_eq!(all.len(), 2);
    let job = &all[1].workflows[0].jobs[0];
    assert_eq!(job.name, "scheduled_pipeline-x-sweet");
    assert_eq!(fired.last.unwrap().pipeline.as_deref(), Some(all[1].id.as_str()));
    assert_eq!(all[1].branch.as_deref(), Some("main"));
    // The next one runs what was submitted, not what fired.
    until_fired(&server, "nightly", made.next_ms[1]).await;
    assert_eq!(pipelines(&server).await.len(), 3);
}

#[tokio::test]
async fn a_time_that_comes_while_no_server_runs_is_made_up_for_once_or_left_out() {
    let server = Harness::start().await;
    submit(&server, "main").await;
    for missed in ["once", "skip"] {
        let body =
            json!({"name": missed, "cron": "*/30 * * * *", "branch": "main", "missed": missed});
        add(&server, body).await;
    }
    let clock = server.clock.clone();
    let next = schedule(&server, "once").await.next_ms;
    // Three times pass.
    let server = server
        .restart_after(async || {
            let left = next[2] - u64::try_from(wall(&clock)).unwrap();
            clock.advance(Duration::from_millis(left) + 6 * MINUTE);
        })
        .await;
    until_fired(&server, "once", next[2]).await;
    let skipped = schedule(&server, "skip").await;
    assert_eq!((skipped.last, skipped.next_ms[0]), (None, next[3]));
    assert_eq!(pipelines(&server).await.len(), 2);
    until_fired(&server, "skip", next[3]).await;
}

fn wall(clock: &russet_control_plane::ManualClock) -> i64 {
    russet_control_plane::Clock::wall_ms(clock)
}

#[tokio::test]
async fn a_schedule_that_is_paused_or_removed_does_not_fire() {
    let server = Harness::start().await;
    submit(&server, "main").await;
    let body = |name: &str| json!({"name": name, "cron": "*/10 * * * *", "branch": "main"});
    add(&server, body("paused")).await;
    add(&server, body("removed")).await;
    let other = add(&server, body("other")).await;
    ok(server.as_admin(Method::POST, &format!("{SCHEDULES}/paused/pause"))).await;
    assert!(schedule(&server, "paused").await.next_ms.is_empty());
    ok(server.as_admin(Method::DELETE, &format!("{SCHEDULES}/removed"))).await;
    until_fired(&server, "other", other.next_ms[0]).await;
    assert_eq!(pipelines(&server).await.len(), 2);
    let resumed = ok(server.as_admin(Method::POST, &format!("{SCHEDULES}/paused/resume"))).await;
    let resumed: ScheduleItem = resumed.json().await.unwrap();
    until_fired(&server, "paused", resumed.next_ms[0]).await;
    let listed: Items<ScheduleItem> = server.get(SCHEDULES).await;
    assert_eq!(listed.items.len(), 2);
}

#[tokio::test]
async fn what_cannot_fire_is_refused_and_a_branch_of_which_nothing_is_known_says_so() {
    let server = Harness::start().await;
    let body = json!({"name": "a", "cron": "* * * * *", "branch": "main"});
    refused(server.as_admin(Method::POST, SCHEDULES).json(&body), 404).await;
    submit(&server, "main").await;
    for (cron, timezone, branch) in [
        ("* * * *", "UTC", "main"),
        ("0 0 31 2 *", "UTC", "main"),
        ("0 0 * * *", "Mars/Olympus", "main"),
        ("0 0 * * *", "UTC", ""),
    ] {
        let body = json!({"name": "a", "cron": cron, "timezone": timezone, "branch": branch});
        refused(server.as_admin(Method::POST, SCHEDULES).json(&body), 400).await;
    }
    let made = add(&server, json!({"name": "a", "cron": "*/5 * * * *", "branch": "other"})).await;
    refused(server.as_admin(Method::POST, SCHEDULES).json(&body), 409).await;
    let fired = until_fired(&server, "a", made.next_ms[0]).await;
    let failure = fired.last.unwrap().failure.unwrap();
    assert!(failure.contains("`other`"), "{failure}");
    refused(server.as_admin(Method::POST, &format!("{SCHEDULES}/b/pause")), 404).await;
}
