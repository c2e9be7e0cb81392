//! Further runs of workflows.

use reqwest::Method;
use russet_protocol::admin::{Job, Pipeline, RerunKind, Workflow};
use russet_protocol::outcome::{Outcome, Phase};
use russet_protocol::storage::{TIMINGS_PATH, Timings};
use serde_json::json;

use crate::support::{Agent, CLASS, Harness, LIMIT, ok, refused, workflow};

impl Harness {
    async fn rerun(&self, what: &str) -> Workflow {
        let path = format!("/api/v3/{what}");
        ok(self.as_admin(Method::POST, &path)).await.json().await.unwrap()
    }

    async fn refuse_rerun(&self, what: &str, status: u16) -> String {
        let path = format!("/api/v3/{what}");
        let problem = refused(self.as_admin(Method::POST, &path), status).await;
        problem["message"].as_str().unwrap().to_owned()
    }

    /// Claims the only task that waits, which is of this job.
    async fn claim_job(&self, token: &str, job: &str) -> Agent {
        let agent = self.claim(token).await.unwrap();
        assert_eq!(agent.claim.job.as_deref(), Some(job));
        agent
    }
}

fn outcomes(workflow: &Workflow) -> Vec<Option<Outcome>> {
    workflow.jobs.iter().map(|job| job.outcome).collect()
}

fn last(pipeline: &Pipeline) -> &Workflow {
    pipeline.workflows.last().unwrap()
}

#[tokio::test]
async fn from_failed_keeps_what_succeeded_and_runs_the_failure_and_what_follows() {
    let server = Harness::start().await;
    let token = server.class().await;
    let pipeline = server.submit(&workflow(&[("a", &[]), ("b", &["a"]), ("c", &["b"])])).await;
    let first = pipeline.workflows[0].id.clone();
    let mut a = server.claim_job(&token, "a").await;
    a.start_step(1).await;
    ok(a.append(1, 0, b"built".to_vec())).await;
    a.end_step(1, 5).await;
    a.finish(Outcome::Success).await;
    let refusal =
        server.refuse_rerun(&format!("workflows/{first}/rerun?from_failed=true"), 409).await;
    assert!(refusal.contains("`main` still runs"), "{refusal}");
    server.claim_job(&token, "b").await.finish(Outcome::Failed).await;

    let run = server.rerun(&format!("workflows/{first}/rerun?from_failed=true&as=Ana")).await;
    assert_eq!((run.run, run.phase), (2, Phase::Queued));
    let rerun = run.rerun.clone().unwrap();
    assert_eq!((&rerun.of, &rerun.first, rerun.kind), (&first, &first, RerunKind::FromFailed));
    assert_eq!(rerun.by.as_deref(), Some("Ana"));
    assert_eq!(outcomes(&run), [Some(Outcome::Success), None, None]);
    // The kept job is readable as its own.
    let kept: Job = server.get(&format!("/api/v3/jobs/{}", run.jobs[0].id)).await;
    assert_eq!(kept.kept_from.as_ref(), Some(&pipeline.workflows[0].jobs[0].id));
    assert_eq!(kept.steps.len(), 1);
    let output = format!("/api/v3/jobs/{}/stdout", kept.id);
    let output = ok(server.as_admin(Method::GET, &output)).await.text().await.unwrap();
    assert_eq!(output, "built");

    server.claim_job(&token, "b").await.finish(Outcome::Success).await;
    server.claim_job(&token, "c").await.finish(Outcome::Success).await;
    let now = server.pipeline(&pipeline).await;
    let success = Some(Outcome::Success);
    assert_eq!(outcomes(last(&now)), [success; 3]);
    assert_eq!(last(&now).outcome, success);
    let before = [success, Some(Outcome::Failed), Some(Outcome::NotRun)];
    assert_eq!(outcomes(&now.workflows[0]), before, "the earlier run stays as it is");
    assert_eq!(now.current_workflows().map(|run| run.run).collect::<Vec<_>>(), [2]);

    let again = format!("workflows/{}/rerun?from_failed=true", run.id);
    let refusal = server.refuse_rerun(&again, 409).await;
    assert!(refusal.contains("nothing of the workflow `main` failed"), "{refusal}");
    // What a kept job was kept from is kept once more, and never a row that only stands for it.
    let third = server.rerun(&format!("jobs/{}/rerun", last(&now).jobs[2].id)).await;
    assert_eq!((third.run, third.rerun.unwrap().kind), (3, RerunKind::Job));
    assert_eq!(third.jobs[0].kept_from, kept.kept_from);
    server.claim_job(&token, "c").await.finish(Outcome::Success).await;
}

#[tokio::test]
async fn a_rerun_job_is_followed_by_what_requires_it_and_all_others_are_kept() {
    let server = Harness::start().await;
    let token = server.class().await;
    let pipeline =
        server.submit(&workflow(&[("a", &[]), ("b", &["a"]), ("c", &["b"]), ("d", &["a"])])).await;
    for _ in 0..4 {
        server.claim(&token).await.unwrap().finish(Outcome::Success).await;
    }
    let job = &pipeline.workflows[0].jobs[1].id;
    let run = server.rerun(&format!("jobs/{job}/rerun")).await;
    let kept: Vec<bool> = run.jobs.iter().map(|job| job.kept_from.is_some()).collect();
    assert_eq!(kept, [true, false, false, true]);
    server.claim_job(&token, "b").await.finish(Outcome::Failed).await;
    let now = server.pipeline(&pipeline).await;
    assert_eq!(last(&now).outcome, Some(Outcome::Failed));
    let numbers: Vec<u64> = last(&now).jobs.iter().map(|job| job.number).collect();
    assert_eq!(numbers, [1, 5, 6, 4], "jobs that run again have numbers of their own");
}

#[tokio::test]
async fn a_whole_pipeline_runs_again_also_after_a_cancel() {
    let server = Harness::start().await;
    let token = server.class().await;
    let pipeline = server.submit(&workflow(&[("a", &[]), ("b", &["a"])])).await;
    let rerun = format!("pipelines/{}/rerun", pipeline.id);
    assert!(server.refuse_rerun(&rerun, 409).await.contains("still runs"));
    let held = server.claim_job(&token, "a").await;
    let cancel = format!("/api/v3/pipelines/{}/cancel?as=Ben", pipeline.id);
    ok(server.as_admin(Method::POST, &cancel)).await;
    let refusal = server.refuse_rerun(&rerun, 409).await;
    assert!(refusal.contains("not all of it has ended"), "{refusal}");
    held.finish(Outcome::Canceled).await;
    let now = server.pipeline(&pipeline).await;
    assert_eq!(now.canceled_by.as_deref(), Some("Ben"));
    let decided: Vec<_> = now.workflows[0].jobs.iter().map(|job| job.decided_by.clone()).collect();
    assert_eq!(decided[0].as_deref(), Some("Ben"));

    let path = format!("/api/v3/{rerun}");
    let answer: Pipeline = ok(server.as_admin(Method::POST, &path)).await.json().await.unwrap();
    assert_eq!((answer.workflows.len(), answer.canceled_by), (2, None));
    server.claim_job(&token, "a").await.finish(Outcome::Success).await;
    server.claim_job(&token, "b").await.finish(Outcome::Success).await;
    let none = server.refuse_rerun(&format!("{rerun}?from_failed=true"), 409).await;
    assert!(none.contains("no workflow of the pipeline failed"), "{none}");
    let unknown = server.refuse_rerun("pipelines/00000000-0000-7000-8000-000000000000/rerun", 404);
    assert!(unknown.await.contains("there is no pipeline"));
}

#[tokio::test]
async fn an_approval_is_kept_with_its_answer_or_asked_for_again_and_says_whose_it_is() {
    let server = Harness::start().await;
    let token = server.class().await;
    let config = format!(
        "version: 2.1\njobs:\n  deploy:\n    machine: true\n    resource_class: {CLASS}\n    \
         steps: [run: 'true']\nworkflows:\n  main:\n    jobs:\n      - hold: {{type: approval}}\n      \
         - deploy: {{requires: [hold]}}\n      - tell: {{type: no-op, requires: [hold: [unauthorized]]}}\n"
    );
    let pipeline = server.submit(&config).await;
    let hold = |workflow: &Workflow| workflow.jobs[0].id.clone();
    let deny = format!("/api/v3/jobs/{}/deny?as=Ana", hold(&pipeline.workflows[0]));
    ok(server.as_admin(Method::POST, &deny)).await;
    let now = server.pipeline(&pipeline).await;
    let expected = [Outcome::Unauthorized, Outcome::NotRun, Outcome::Success].map(Some);
    assert_eq!(outcomes(&now.workflows[0]), expected);
    assert_eq!(now.workflows[0].outcome, Some(Outcome::Success), "a denial is no failure");
    assert_eq!(now.workflows[0].jobs[0].decided_by.as_deref(), Some("Ana"));

    let run = server
        .rerun(&format!("workflows/{}/rerun?from_failed=true", pipeline.workflows[0].id))
        .await;
    assert_eq!(run.jobs[0].phase, Phase::OnHold);
    ok(server.as_admin(Method::POST, &format!("/api/v3/jobs/{}/approve", hold(&run)))).await;
    server.claim_job(&token, "deploy").await.finish(Outcome::Failed).await;
    let run = server.rerun(&format!("workflows/{}/rerun?from_failed=true", run.id)).await;
    assert_eq!(run.jobs[0].decided_by.as_deref(), Some("the administrator"));
    assert!(run.jobs[0].kept_from.is_some());
    server.claim_job(&token, "deploy").await.finish(Outcome::Success).await;
    for bad in ["%20", "a%1b%5b31m"] {
        let path = format!("/api/v3/jobs/{}/cancel?as={bad}", hold(&run));
        refused(server.as_admin(Method::POST, &path), 400).await;
    }
}

/// Two tasks that run tests.
pub(crate) fn tests_config(command: &str) -> String {
    format!(
        "version: 2.1\njobs:\n  test:\n    machine: true\n    resource_class: {CLASS}\n    \
         parallelism: 2\n    steps: [run: \"{command}\"]\nworkflows: {{main: {{jobs: [test]}}}}\n"
    )
}

pub(crate) async fn report(agent: &Agent, results: &[(&str, &str)]) {
    let results: Vec<_> = results
        .iter()
        .map(|(file, result)| {
            json!({"name": "t", "classname": "C", "file": file, "result": result, "run_time_s": 1.0})
        })
        .collect();
    let body = json!({"allocation": agent.claim.allocation, "batch": 0, "results": results});
    ok(agent.call(Method::POST, "/api/v3/task/test-results").json(&body)).await;
}

#[tokio::test]
async fn tasks_of_a_run_of_failed_tests_are_told_which_those_are() {
    let server = Harness::start().await;
    let token = server.class().await;
    let pipeline = server.submit(&tests_config("ls | circleci tests run --command=cat")).await;
    let job = pipeline.workflows[0].jobs[0].id.clone();
    let (one, two) = (server.claim(&token).await.unwrap(), server.claim(&token).await.unwrap());
    report(&one, &[("a.py", "success"), ("./b.py", "failure")]).await;
    report(&two, &[("c.py", "error")]).await;
    one.finish(Outcome::Failed).await;
    two.finish(Outcome::Failed).await;

    let run = server.rerun(&format!("jobs/{job}/rerun?failed_tests=true")).await;
    assert_eq!(run.jobs[0].failed_tests_of.as_ref(), Some(&job));
    for _ in 0..2 {
        let agent = server.claim(&token).await.unwrap();
        let timings: Timings =
            ok(agent.call(Method::GET, TIMINGS_PATH)).await.json().await.unwrap();
        let files: Vec<String> = timings.failed.unwrap().files.into_iter().collect();
        assert_eq!(files, ["b.py", "c.py"]);
        let config: serde_json::Value =
            ok(agent.call(Method::GET, "/api/v2/task/config")).await.json().await.unwrap();
        let text = config["environment"].to_string();
        assert!(text.contains("CIRCLE_INTERNAL_RERUN_FAILED_TESTS"), "{text}");
        agent.finish(Outcome::Success).await;
    }
    let again = format!("workflows/{}/rerun", run.id);
    server.rerun(&again).await;
    let agent = server.claim(&token).await.unwrap();
    let timings: Timings = ok(agent.call(Method::GET, TIMINGS_PATH)).await.json().await.unwrap();
    assert_eq!(timings.failed, None, "a run from the start runs all tests");
}

#[tokio::test]
async fn a_job_without_failed_tests_or_without_tests_run_is_refused_by_name() {
    let server = Harness::start().await;
    let token = server.class().await;
    for (command, results, expected) in [
        ("tests run", &[("a.py", "success")][..], "`test` has no failed tests"),
        ("pytest", &[("a.py", "failure")], "calls `circleci tests run`"),
    ] {
        let pipeline = server.submit(&tests_config(command)).await;
        for _ in 0..2 {
            let agent = server.claim(&token).await.unwrap();
            report(&agent, results).await;
            agent.finish(Outcome::Failed).await;
        }
        for what in [
            format!("jobs/{}", pipeline.workflows[0].jobs[0].id),
            format!("workflows/{}", pipeline.workflows[0].id),
            format!("pipelines/{}", pipeline.id),
        ] {
            let refusal =
                server.refuse_rerun(&format!("{what}/rerun?failed_tests=true"), 409).await;
            assert!(refusal.contains(expected), "{refusal}");
        }
    }
}

#[tokio::test]
async fn a_follower_who_comes_after_the_end_sees_the_further_run() {
    let server = Harness::start().await;
    let token = server.class().await;
    let pipeline = server.submit(&workflow(&[("a", &[])])).await;
    server.claim(&token).await.unwrap().finish(Outcome::Failed).await;
    let path = format!("/api/v3/pipelines/{}/rerun?from_failed=true", pipeline.id);
    ok(server.as_admin(Method::POST, &path)).await;
    let mut live = server.live(&pipeline).await;
    server.claim(&token).await.unwrap().finish(Outcome::Success).await;
    let events = tokio::time::timeout(LIMIT, live.rest()).await.unwrap();
    assert!(!events.is_empty());
}
