//! Statuses at commits of a repository at GitHub: told in order, once each, whatever the host does.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use russet_control_plane::ManualClock;
use russet_protocol::outcome::Outcome;
use russet_protocol::projects::ConnectionDetails;
use serde_json::{Value, json};

use crate::git_projects::{Repository, connect, details, poll, wait_for_ended};
use crate::github_host::{Called, Fault, GithubHost, Prism};
use crate::support::{Harness, Home, LIMIT, ok, refused};

const PATH: &str = "/api/v3/projects/acme%2Fapp/connection";
pub(crate) const JOB: &str = "ci/russet: main / one";
const WORKFLOW: &str = "ci/russet: main";

pub(crate) async fn start() -> Harness {
    let harness = start_in(Home::new(), ManualClock::new()).await;
    harness.class().await;
    harness
}

async fn start_in(home: Arc<Home>, clock: ManualClock) -> Harness {
    let harness = Harness::start_with(home, clock, |settings| {
        settings.git.allow_file = true;
        settings.git.allow_http = true;
        settings.git.allow_to = vec!["127.0.0.1".parse().unwrap()];
        settings.public_url = Some("https://ci.example".to_owned());
    });
    harness.await
}

pub(crate) fn wish(repository: &Repository, api: &str) -> Value {
    let url = format!("file://{}/app.git", repository.root().display());
    json!({"url": url, "host_kind": "github", "api_url": api, "token": "github_pat_1"})
}

/// Waits for a condition while time goes by.
async fn until<T>(harness: &Harness, mut get: impl AsyncFnMut() -> Option<T>) -> T {
    let wait = async {
        loop {
            if let Some(found) = get().await {
                return found;
            }
            harness.clock.advance(Duration::from_millis(500));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LIMIT, wait).await.expect("it comes to that")
}

/// Waits until all statuses are sent or given up.
pub(crate) async fn settled(harness: &Harness) -> ConnectionDetails {
    until(harness, async || {
        let of = details(harness).await;
        of.statuses.iter().all(|of| of.next_ms.is_none()).then_some(of)
    })
    .await
}

/// Pushes a commit, whose job is queued then. Returns the commit.
pub(crate) async fn push(harness: &Harness, repository: &Repository, count: usize) -> String {
    let revision = repository.commit("change");
    repository.push("main");
    poll(harness).await;
    wait_for_ended(harness, count).await;
    revision
}

/// Runs the job that is queued.
pub(crate) async fn run(harness: &Harness, token: &str, outcome: Outcome) {
    let mut agent = harness.claim(token).await.expect("a job is queued");
    agent.start_step(0).await;
    agent.end_step(0, 0).await;
    agent.finish(outcome).await;
}

pub(crate) async fn token(harness: &Harness) -> String {
    harness.token().await.token.unwrap().expose().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_is_pending_and_then_green_in_calls_that_githubs_description_allows() {
    let repository = Repository::new();
    let host = GithubHost::start().await;
    let Some(prism) = Prism::start(&host).await else { return };
    let harness = start().await;
    let token = token(&harness).await;
    connect(&harness, wish(&repository, &prism.url)).await;
    let revision = push(&harness, &repository, 1).await;
    until(&harness, async || (host.words(JOB).len() == 1).then_some(())).await;
    let of = settled(&harness).await;
    assert!(of.statuses.iter().all(|of| of.is_sent), "{:?}", of.statuses);
    assert_eq!(
        (host.words(JOB), host.words(WORKFLOW)),
        (vec!["pending: Queued".to_owned()], vec!["pending: Queued".to_owned()],)
    );
    run(&harness, &token, Outcome::Success).await;
    let of = settled(&harness).await;
    assert!(of.statuses.iter().all(|of| of.is_sent && of.error.is_none()), "{:?}", of.statuses);
    for context in [JOB, WORKFLOW] {
        let words = host.words(context);
        assert!(words.last().unwrap().starts_with("success: Succeeded"), "{words:?}");
    }
    for status in host.statuses() {
        assert_eq!(status["sha"], revision.as_str());
        assert!(status["target_url"].as_str().unwrap().starts_with("https://ci.example/"));
    }
    // Prism passes nothing on that the description does not allow.
    assert!(host.calls().iter().all(|call| call.authorization == "Bearer github_pat_1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_away_or_limits_calls_hears_of_the_last_state_once() {
    let repository = Repository::new();
    let host = GithubHost::start().await;
    let harness = start().await;
    let token = token(&harness).await;
    connect(&harness, wish(&repository, &host.url)).await;
    let later = |headers: Vec<(&'static str, String)>, text: &str| {
        Fault::Answer(403, headers, json!({"message": text}))
    };
    let text = |text: &str| text.to_owned();
    host.fail(
        Method::POST,
        [
            Fault::Answer(503, vec![], json!({})),
            Fault::Answer(429, vec![("retry-after", text("30"))], json!({"message": "slow down"})),
            later(
                vec![("x-ratelimit-remaining", text("0")), ("x-ratelimit-reset", text("1"))],
                "used up",
            ),
            later(vec![], "You have exceeded a secondary rate limit"),
            Fault::Answer(500, vec![], json!({})),
        ],
    );
    push(&harness, &repository, 1).await;
    run(&harness, &token, Outcome::Failed).await;
    let of = settled(&harness).await;
    assert!(of.statuses.iter().all(|of| of.is_sent), "{:?}", of.statuses);
    for context in [JOB, WORKFLOW] {
        let words = host.words(context);
        assert!(words.last().unwrap().starts_with("failure: Failed"), "{words:?}");
        let mut distinct = words.clone();
        distinct.dedup();
        assert_eq!(distinct, words);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_that_arrived_before_the_connection_was_cut_is_not_sent_twice() {
    let repository = Repository::new();
    let host = GithubHost::start().await;
    let harness = start().await;
    connect(&harness, wish(&repository, &host.url)).await;
    host.fail(Method::POST, [Fault::DoneThenCut, Fault::Cut]);
    push(&harness, &repository, 1).await;
    let of = settled(&harness).await;
    assert!(of.statuses.iter().all(|of| of.is_sent), "{:?}", of.statuses);
    for context in [JOB, WORKFLOW] {
        assert_eq!(host.words(context), ["pending: Queued"]);
    }
    let lists = host.calls().iter().filter(|call| call.path.ends_with("/statuses")).count();
    assert_eq!(lists, 2, "it asks after an attempt whose result it does not know");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_killed_around_a_call_loses_no_status_and_sends_none_twice() {
    for is_done in [true, false] {
        let repository = Repository::new();
        let host = GithubHost::start().await;
        let harness = start().await;
        let token = token(&harness).await;
        connect(&harness, wish(&repository, &host.url)).await;
        host.fail(Method::POST, [Fault::Hang { is_done }]);
        push(&harness, &repository, 1).await;
        let is_told = |call: &Called| call.method == "POST" && !call.path.ends_with("0000");
        until(&harness, async || host.calls().iter().any(is_told).then_some(())).await;
        // The attempt is ended where it is, and nothing of it is noted.
        harness.stop.send(()).unwrap();
        tokio::time::timeout(LIMIT, harness.running).await.unwrap().unwrap();
        let harness = start_in(harness.dir, harness.clock).await;
        run(&harness, &token, Outcome::Success).await;
        let of = settled(&harness).await;
        assert!(of.statuses.iter().all(|of| of.is_sent), "{:?}", of.statuses);
        for context in [JOB, WORKFLOW] {
            let words = host.words(context);
            assert!(words.last().unwrap().starts_with("success:"), "{words:?}");
            let mut distinct = words.clone();
            distinct.dedup();
            assert_eq!(distinct, words);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_host_refuses_for_good_is_shown_with_the_next_step_and_a_new_token_mends_it() {
    let repository = Repository::new();
    let host = GithubHost::start().await;
    let harness = start().await;
    connect(&harness, wish(&repository, &host.url)).await;
    host.take_only(&["github_pat_2"]);
    push(&harness, &repository, 1).await;
    let of = settled(&harness).await;
    for status in &of.statuses {
        assert!(!status.is_sent && status.error.as_deref().unwrap().contains("Bad credentials"));
        assert!(status.hint.as_deref().unwrap().contains("--git-token-file"), "{status:?}");
    }
    assert_eq!(of.statuses.len(), 2);
    let mut wish = wish(&repository, &host.url);
    wish["token"] = json!("github_pat_2");
    connect(&harness, wish).await;
    let of = settled(&harness).await;
    assert!(of.statuses.iter().all(|of| of.is_sent), "{:?}", of.statuses);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_setting_leaves_statuses_out_and_a_submission_by_hand_has_none() {
    let repository = Repository::new();
    let host = GithubHost::start().await;
    let harness = start().await;
    connect(&harness, wish(&repository, &host.url)).await;
    push(&harness, &repository, 1).await;
    settled(&harness).await;
    let path = "/api/v3/projects/acme%2Fapp/settings";
    let before: Value = harness.get(path).await;
    assert_eq!(before["statuses"], "both");
    let set = |which: &str| {
        harness
            .as_admin(Method::PUT, path)
            .json(&json!({"default_branch": "main", "statuses": which}))
    };
    ok(set("workflows")).await;
    // One that does not know of it changes nothing.
    ok(harness.as_admin(Method::PUT, path).json(&json!({"default_branch": "main"}))).await;
    let revision = push(&harness, &repository, 2).await;
    settled(&harness).await;
    let here = |of: &Value| of["sha"] == revision.as_str();
    let names: Vec<Value> =
        host.statuses().iter().filter(|of| here(of)).map(|of| of["context"].clone()).collect();
    assert_eq!(names, [WORKFLOW]);
    ok(set("off")).await;
    let revision = push(&harness, &repository, 3).await;
    settled(&harness).await;
    assert!(host.statuses().iter().all(|of| of["sha"] != revision.as_str()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_is_found_by_asking_and_one_that_cannot_be_asked_is_not_taken_for_plain_git() {
    let repository = Repository::new();
    let host = GithubHost::start().await;
    let harness = start().await;
    let of: Value = ok(harness
        .as_admin(Method::PUT, PATH)
        .json(&json!({"url": format!("{}/acme/app", host.url)})))
    .await
    .json()
    .await
    .unwrap();
    assert_eq!(of["host_kind"], "github");
    assert_eq!(of["api_url"], format!("{}/api/v3", host.url));
    assert!(of["notes"][0].as_str().unwrap().contains("takes a token"), "{of}");
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let away = json!({"url": format!("http://{free}/acme/app")});
    let problem = refused(harness.as_admin(Method::PUT, PATH).json(&away), 400).await;
    assert!(problem["message"].as_str().unwrap().contains("--host git"), "{problem}");
    let named = json!({"url": format!("http://{free}/acme/app"), "host_kind": "git"});
    ok(harness.as_admin(Method::PUT, PATH).json(&named)).await;
    // Neither this machine's own services nor its link, unless they are allowed.
    for wrong in [
        "http://[::1]:1",
        "http://169.254.169.254",
        "http://localhost.:1",
        "ftp://x",
        "http://u:p@127.0.0.1",
    ] {
        let problem =
            refused(harness.as_admin(Method::PUT, PATH).json(&wish(&repository, wrong)), 400).await;
        assert!(!problem["message"].as_str().unwrap().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_may_not_write_statuses_is_taken_with_a_note_and_one_that_may_not_read_is_refused()
 {
    let repository = Repository::new();
    let host = GithubHost::start().await;
    let harness = start().await;
    host.lack_statuses();
    let of: Value = ok(harness.as_admin(Method::PUT, PATH).json(&wish(&repository, &host.url)))
        .await
        .json()
        .await
        .unwrap();
    let note = of["notes"][0].as_str().unwrap();
    assert!(note.contains("not accessible") && note.contains("Commit statuses: write"), "{note}");
    host.take_only(&["other"]);
    let problem =
        refused(harness.as_admin(Method::PUT, PATH).json(&wish(&repository, &host.url)), 400).await;
    let message = problem["message"].as_str().unwrap();
    assert!(message.contains("401") && message.contains("Bad credentials"), "{message}");
    assert!(!message.contains("github_pat"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_ran_for_too_long_counts_among_those_that_failed() {
    let (repository, host) = (Repository::new(), GithubHost::start().await);
    let harness = start().await;
    let token = token(&harness).await;
    let jobs = ["one", "two"].map(|name| {
        format!("  {name}: {{machine: true, resource_class: acme/mini, steps: [run: make]}}\n")
    });
    let config = format!(
        "version: 2.1\njobs:\n{}workflows: {{main: {{jobs: [one, two]}}}}\n",
        jobs.concat()
    );
    repository.write(".circleci/config.yml", &config);
    connect(&harness, wish(&repository, &host.url)).await;
    push(&harness, &repository, 1).await;
    run(&harness, &token, Outcome::TimedOut).await;
    run(&harness, &token, Outcome::Failed).await;
    settled(&harness).await;
    let words = host.words(WORKFLOW).pop().unwrap();
    assert!(words.starts_with("failure: Failed"), "{words}");
    assert!(words.ends_with(": 2 of 2 jobs failed"), "{words}");
}
