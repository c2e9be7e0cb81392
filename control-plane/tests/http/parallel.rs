//! Jobs of several tasks, and jobs that are run again.

use reqwest::Method;
use russet_protocol::admin::{ArtifactItem, Items, Job, StreamEvent};
use russet_protocol::outcome::{Outcome, Phase};
use russet_protocol::runner::EventKind;
use russet_protocol::task::TaskConfig;

use crate::support::{Agent, CLASS, Harness, ok};

fn config(keys: &str) -> String {
    format!(
        "version: 2.1\njobs:\n  test:\n    machine: true\n    resource_class: {CLASS}\n{keys}    \
         steps: [run: 'true']\n  after:\n    machine: true\n    resource_class: {CLASS}\n    \
         steps: [run: 'true']\nworkflows:\n  main:\n    jobs:\n      - test\n      - after: \
         {{requires: [test]}}\n"
    )
}

async fn node(agent: &Agent) -> (u32, u32) {
    let config = ok(agent.call(Method::GET, "/api/v2/task/config")).await;
    let config: TaskConfig = config.json().await.unwrap();
    (config.job.node_index, config.job.node_total)
}

/// The agents of all tasks that wait, by their index.
async fn claim_all(server: &Harness, token: &str) -> Vec<Agent> {
    let mut agents = Vec::new();
    while let Some(agent) = server.claim(token).await {
        agents.push((node(&agent).await.0, agent));
    }
    agents.sort_by_key(|(index, _)| *index);
    agents.into_iter().map(|(_, agent)| agent).collect()
}

#[tokio::test]
async fn a_job_ends_with_the_last_of_its_tasks_as_the_worst_of_them() {
    let server = Harness::start().await;
    let token = server.class().await;
    let pipeline = server.submit(&config("    parallelism: 3\n")).await;
    let mut agents = claim_all(&server, &token).await;
    assert_eq!(agents.len(), 3);
    for (index, agent) in (0..).zip(&mut agents) {
        assert_eq!(node(agent).await, (index, 3));
        agent.start_step(1).await;
        let said = format!("task {index}\n");
        ok(agent.append(1, 0, said.clone().into_bytes())).await;
        agent.end_step(1, said.len() as u64).await;
        let put = agent.call(Method::PUT, "/api/v3/task/artifacts/log.txt");
        ok(put.body(format!("artifact {index}"))).await;
    }
    let finish = |agent: &Agent, outcome| ok(agent.finish_request(outcome, &[(1, 7)]));
    finish(&agents[1], Outcome::Failed).await;
    finish(&agents[0], Outcome::Success).await;
    assert_eq!(server.job(&pipeline).await.phase, Phase::Running);
    assert!(server.claim(&token).await.is_none());
    finish(&agents[2], Outcome::Success).await;
    let job = server.job(&pipeline).await;
    assert_eq!((job.outcome, job.parallelism), (Some(Outcome::Failed), 3));
    let tasks: Vec<_> = job.steps.iter().map(|step| step.task).collect();
    assert_eq!(tasks, [0, 1, 2]);
    let now = server.pipeline(&pipeline).await;
    assert_eq!(now.workflows[0].jobs[1].outcome, Some(Outcome::NotRun));

    let path = format!("/api/v3/jobs/{}", job.id);
    let stdout = |query: &str| server.as_admin(Method::GET, &format!("{path}/stdout{query}"));
    let one = ok(stdout("?filter[task]=1&filter[step_num]=1")).await.text().await.unwrap();
    assert_eq!(one, "task 1\n");
    let each = ok(stdout("?filter[step_num]=1")).await.text().await.unwrap();
    assert_eq!(each, "task 0\ntask 1\ntask 2\n");
    assert_eq!(ok(stdout("")).await.text().await.unwrap(), "task 0\ntask 1\ntask 2\n");
    let artifacts: Items<ArtifactItem> = server.get(&format!("{path}/artifacts")).await;
    let paths: Vec<_> = artifacts.items.iter().map(|item| &*item.path).collect();
    assert_eq!(paths, ["0/log.txt", "1/log.txt", "2/log.txt"]);
    let events = server.live(&pipeline).await.rest().await;
    let said = events.iter().filter_map(|event| match event {
        StreamEvent::Output { task, step: 1, .. } => Some(*task),
        _ => None,
    });
    assert_eq!(said.collect::<Vec<_>>(), [0, 1, 2]);
}

#[tokio::test]
async fn a_cancel_reaches_the_tasks_that_run_and_those_that_wait() {
    let server = Harness::start().await;
    let token = server.class().await;
    let pipeline = server.submit(&config("    parallelism: 3\n")).await;
    let running = server.claim(&token).await.unwrap();
    let cancel = format!("/api/v3/jobs/{}/cancel", pipeline.workflows[0].jobs[0].id);
    ok(server.as_admin(Method::POST, &cancel)).await;
    assert!(server.claim(&token).await.is_none());
    assert_eq!(server.job(&pipeline).await.outcome, None);
    running.finish(Outcome::Canceled).await;
    assert_eq!(server.job(&pipeline).await.outcome, Some(Outcome::Canceled));
}

#[tokio::test]
async fn a_task_that_is_given_back_leaves_the_others_alone_and_keeps_its_index() {
    let server = Harness::start().await;
    let token = server.class().await;
    let pipeline = server.submit(&config("    parallelism: 2\n")).await;
    let agents = claim_all(&server, &token).await;
    let back = serde_json::json!({
        "task_token": agents[1].claim.task_token.expose(), "task_id": agents[1].claim.task_id,
    });
    ok(server.call(Method::POST, "/api/v3/runner/unclaim").json(&back)).await;
    assert_eq!(server.job(&pipeline).await.phase, Phase::Running);
    let again = server.claim(&token).await.unwrap();
    assert_eq!(node(&again).await, (1, 2));
    again.finish(Outcome::Success).await;
    agents[0].finish(Outcome::Success).await;
    assert_eq!(server.job(&pipeline).await.outcome, Some(Outcome::Success));
}

async fn step(agent: &mut Agent, outcome: Outcome) {
    agent.start_step(1).await;
    let kind = EventKind::StepFinished {
        step: 1,
        outcome,
        exit_code: None,
        message: None,
        output_bytes: 0,
    };
    agent.event(kind).await;
}

#[tokio::test]
async fn a_job_that_failed_is_run_again_as_often_as_it_may_and_keeps_what_it_said() {
    let server = Harness::start().await;
    let token = server.class().await;
    for (second, outcome) in
        [(Outcome::Success, Outcome::Success), (Outcome::TimedOut, Outcome::Failed)]
    {
        let keys = "    parallelism: 2\n    max_auto_reruns: 2\n";
        let pipeline = server.submit(&config(keys)).await;
        let mut first = claim_all(&server, &token).await;
        for agent in &mut first {
            step(agent, Outcome::Failed).await;
        }
        first[0].finish(Outcome::Failed).await;
        assert!(server.claim(&token).await.is_none(), "the other task still runs");
        first[1].finish(Outcome::Success).await;
        let waiting: Job = server.job(&pipeline).await;
        assert_eq!(waiting.phase, Phase::Queued);
        assert_eq!(waiting.message.as_deref(), Some("it failed; rerun 1 of 2"));
        let again = claim_all(&server, &token).await;
        assert_eq!(again.len(), 2, "both tasks are run again");
        for mut agent in again {
            step(&mut agent, second).await;
            agent.finish(second).await;
        }
        for agent in claim_all(&server, &token).await {
            if agent.claim.job.as_deref() == Some("test") {
                agent.finish(Outcome::Failed).await;
            } else {
                agent.finish(Outcome::Success).await;
            }
        }
        let job = server.job(&pipeline).await;
        assert_eq!(job.outcome, Some(outcome));
        let tasks: Vec<_> = job.steps.iter().map(|step| step.task).collect();
        assert_eq!(tasks, [0, 1, 2, 3]);
    }
}

#[tokio::test]
async fn a_job_that_was_canceled_is_not_run_again() {
    let server = Harness::start().await;
    let token = server.class().await;
    let pipeline = server.submit(&config("    max_auto_reruns: 2\n")).await;
    let agent = server.claim(&token).await.unwrap();
    let cancel = format!("/api/v3/jobs/{}/cancel", pipeline.workflows[0].jobs[0].id);
    ok(server.as_admin(Method::POST, &cancel)).await;
    agent.finish(Outcome::Failed).await;
    assert!(server.claim(&token).await.is_none());
    assert_eq!(server.job(&pipeline).await.outcome, Some(Outcome::Failed));
}
