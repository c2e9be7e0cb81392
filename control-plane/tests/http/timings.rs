//! Times of tests: the tasks of a job compute the parts of a split from one set of them.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use reqwest::Method;
use russet_protocol::outcome::Outcome;
use russet_protocol::storage::{TIMINGS_PATH, Timings};
use serde_json::{Value, json};

use crate::support::{Agent, CLASS, Harness, ok};

fn config(parallelism: usize) -> String {
    format!(
        "version: 2.1\njobs:\n  test:\n    machine: true\n    resource_class: {CLASS}\n    \
         parallelism: {parallelism}\n    steps: [run: 'true']\nworkflows: {{main: {{jobs: [test]}}}}\n"
    )
}

/// Something that happens while a job runs.
#[derive(Clone, Debug)]
enum Event {
    /// A task of the job asks for the times.
    Ask(usize),
    /// A task of the job stores results.
    Report(usize, Vec<(String, f64)>),
    /// Another job of the same name runs from its beginning to its end and stores results.
    Elsewhere(Vec<(String, f64)>),
}

/// Results as reporters write them: with and without `./`, and with the directory of the slot.
fn results() -> impl Strategy<Value = Vec<(String, f64)>> {
    let path = (prop::sample::select(&["", "./", "/slots/0/", "/slots/1/"][..]), "[a-e]\\.js");
    let name = path.prop_map(|(root, file)| format!("{root}{file}"));
    prop::collection::vec((name, 0.0..100.0_f64), 0..6)
}

fn events(tasks: usize) -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        3 => (0..tasks).prop_map(Event::Ask),
        1 => (0..tasks, results()).prop_map(|(task, results)| Event::Report(task, results)),
        1 => results().prop_map(Event::Elsewhere),
    ];
    prop::collection::vec(event, 1..12)
}

async fn claim_all(server: &Harness, token: &str, tasks: usize) -> Vec<Agent> {
    let mut agents = Vec::new();
    for _ in 0..tasks {
        agents.push(server.claim(token).await.unwrap());
    }
    agents
}

async fn ask(agent: &Agent) -> Timings {
    ok(agent.call(Method::GET, TIMINGS_PATH)).await.json().await.unwrap()
}

async fn report(agent: &Agent, batch: usize, results: &[(String, f64)]) {
    let results: Vec<Value> = results
        .iter()
        .map(|(file, time)| {
            json!({"name": file, "classname": file, "file": file, "result": "success",
                "run_time_s": time})
        })
        .collect();
    let body = json!({"allocation": agent.claim.allocation, "batch": batch, "results": results});
    ok(agent.call(Method::POST, "/api/v3/task/test-results").json(&body)).await;
}

async fn run_elsewhere(server: &Harness, token: &str, results: &[(String, f64)]) {
    server.submit(&config(1)).await;
    let agent = server.claim(token).await.unwrap();
    report(&agent, 0, results).await;
    agent.finish(Outcome::Success).await;
}

/// Runs a job with these events, and returns all answers in the order in which they came.
async fn run_job(server: &Harness, token: &str, tasks: usize, events: &[Event]) -> Vec<Timings> {
    server.submit(&config(tasks)).await;
    let agents = claim_all(server, token, tasks).await;
    let mut answers = Vec::new();
    for (at, event) in events.iter().enumerate() {
        match event {
            Event::Ask(task) => answers.push(ask(&agents[*task]).await),
            Event::Report(task, results) => report(&agents[*task], at, results).await,
            Event::Elsewhere(results) => run_elsewhere(server, token, results).await,
        }
    }
    for agent in &agents {
        answers.push(ask(agent).await);
    }
    for agent in &agents {
        agent.finish(Outcome::Success).await;
    }
    answers
}

#[test]
fn all_tasks_of_a_job_get_the_same_times_whenever_they_ask() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let (server, token) = runtime.block_on(async {
        let server = Harness::start().await;
        let token = server.class().await;
        (server, token)
    });
    let cases = (2..5_usize).prop_flat_map(|tasks| (Just(tasks), events(tasks)));
    let mut runner = TestRunner::new(Config { cases: 24, ..Config::default() });
    runner
        .run(&cases, |(tasks, events)| {
            let answers = runtime.block_on(run_job(&server, &token, tasks, &events));
            for answer in &answers {
                prop_assert_eq!(answer, &answers[0]);
                let names = answer.file.keys().chain(answer.classname.keys());
                for name in names.chain(answer.testname.keys()) {
                    prop_assert!(!name.starts_with('/'), "{} is of one slot", name);
                }
            }
            Ok(())
        })
        .unwrap();
}

#[tokio::test]
async fn the_next_job_gets_what_the_last_one_reported_by_paths_that_every_slot_has() {
    let server = Harness::start().await;
    let token = server.class().await;
    let all = [("./a.js", 1.0), ("a.js", 2.0), ("/slots/0/b.js", 3.0), ("/users answers", 4.0)];
    let all: Vec<_> = all.map(|(name, time)| (name.to_owned(), time)).into();
    run_elsewhere(&server, &token, &all).await;
    server.submit(&config(1)).await;
    let timings = ask(&server.claim(&token).await.unwrap()).await;
    let file: Vec<_> = timings.file.iter().map(|(name, time)| (&**name, *time)).collect();
    assert_eq!(file, [("a.js", 3.0)]);
    // The name of a test may begin with a slash.
    assert_eq!(timings.testname["/users answers"], 4.0);
}
