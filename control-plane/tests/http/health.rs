//! `/healthz` and `/readyz`.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use russet_control_plane::ManualClock;
use russet_protocol::health::{CheckState, Readiness};

use crate::support::{Harness, Home, LIMIT};

/// Asks without a token.
async fn readiness(server: &Harness) -> (StatusCode, Readiness) {
    let answer = server.call(Method::GET, "/readyz").send().await.unwrap();
    (answer.status(), answer.json().await.unwrap())
}

/// Waits until a part is in a state.
async fn wait_for_state(server: &Harness, part: &str, state: CheckState) -> Readiness {
    let wait = async {
        loop {
            let (status, told) = readiness(server).await;
            assert_eq!(status == StatusCode::OK, told.ready);
            if told.checks.iter().any(|check| check.name == part && check.state == state) {
                return told;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(LIMIT, wait).await.unwrap()
}

fn failing(told: &Readiness) -> Vec<&str> {
    let failing = told.checks.iter().filter(|check| check.state == CheckState::Failing);
    failing.map(|check| check.name.as_str()).collect()
}

async fn assert_alive(server: &Harness) {
    let answer = server.call(Method::GET, "/healthz").bearer_auth("none").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.text().await.unwrap(), "ok\n");
}

#[tokio::test]
async fn a_server_that_takes_work_says_so_to_anybody() {
    let server = Harness::start().await;
    let (status, told) = readiness(&server).await;
    assert_eq!((status, told.ready), (StatusCode::OK, true), "{told:?}");
    let names: Vec<&str> = told.checks.iter().map(|check| check.name.as_str()).collect();
    assert_eq!(names, ["database", "schema", "objects", "disk", "shutdown"]);
    assert_alive(&server).await;
}

#[tokio::test]
async fn a_disk_below_its_reserve_is_named_with_the_next_step() {
    let server = Harness::start_limited(|limits| limits.disk_reserve = Some(u64::MAX)).await;
    let (status, told) = readiness(&server).await;
    assert_eq!((status, failing(&told)), (StatusCode::SERVICE_UNAVAILABLE, vec!["disk"]));
    let disk = told.checks.iter().find(|check| check.name == "disk").unwrap();
    assert!(disk.next_step.as_ref().unwrap().contains("make room"), "{told:?}");
    assert_alive(&server).await;
}

#[tokio::test]
async fn a_database_that_fails_makes_a_server_not_ready_until_it_answers_again() {
    let server = Harness::start().await;
    wait_for_state(&server, "database", CheckState::Ok).await;
    server.dir.sql("ALTER TABLE database_state RENAME TO elsewhere").await;
    let told = wait_for_state(&server, "database", CheckState::Failing).await;
    assert_eq!(failing(&told), ["database"]);
    assert!(told.checks.iter().any(|check| check.state == CheckState::Unknown), "{told:?}");
    // Nobody learns what the database says.
    assert!(!serde_json::to_string(&told).unwrap().contains("database_state"));
    assert_alive(&server).await;
    server.dir.sql("ALTER TABLE elsewhere RENAME TO database_state").await;
    assert!(wait_for_state(&server, "database", CheckState::Ok).await.ready);
}

#[tokio::test]
async fn a_database_that_asks_for_a_newer_version_makes_a_server_not_ready() {
    let server = Harness::start().await;
    server.dir.sql("UPDATE database_state SET min_schema = 9999").await;
    let told = wait_for_state(&server, "schema", CheckState::Failing).await;
    assert_eq!(failing(&told), ["schema"]);
}

#[tokio::test]
async fn a_place_for_objects_that_is_not_there_makes_a_server_not_ready() {
    let server = Harness::start_in(Home::in_directory(), ManualClock::new()).await;
    let (place, aside) =
        (server.dir.path().join("data/objects"), server.dir.path().join("data/aside"));
    std::fs::rename(&place, &aside).unwrap();
    let told = wait_for_state(&server, "objects", CheckState::Failing).await;
    assert_eq!(failing(&told), ["objects"]);
    std::fs::rename(&aside, &place).unwrap();
    assert!(wait_for_state(&server, "objects", CheckState::Ok).await.ready);
}

#[tokio::test]
async fn a_server_that_is_about_to_stop_says_so_while_it_goes_on() {
    let delay = |settings: &mut russet_control_plane::Settings| {
        settings.shutdown_delay = Duration::from_secs(600);
    };
    let Harness { url, admin, http, clock, dir, stop, running } =
        Harness::start_with(Home::new(), ManualClock::new(), delay).await;
    let (unused, _) = tokio::sync::oneshot::channel();
    let server = Harness { url, admin, http, clock, dir, stop: unused, running };
    assert!(readiness(&server).await.1.ready);
    stop.send(()).unwrap();
    // At once, although a look is kept for a moment.
    let told = wait_for_state(&server, "shutdown", CheckState::Failing).await;
    assert_eq!(failing(&told), ["shutdown"]);
    server.get::<serde_json::Value>("/api/v3/pipelines").await;
    assert_alive(&server).await;
    server.running.abort();
}
