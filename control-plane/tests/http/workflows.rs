//! Transitions of workflows at the ends of jobs.

use reqwest::Method;
use russet_protocol::admin::Pipeline;
use russet_protocol::outcome::{Outcome, Phase};

use crate::support::{CLASS, Harness, ok, refused, workflow};

#[tokio::test]
async fn a_job_waits_for_what_it_requires() {
    let server = Harness::start().await;
    let token = server.class().await;
    let jobs = workflow(&[("a", &[]), ("b", &[]), ("c", &["a", "b"])]);
    let pipeline = server.submit(&jobs).await;
    let first = server.claim(&token).await.unwrap();
    let second = server.claim(&token).await.unwrap();
    assert!(server.claim(&token).await.is_none());
    first.finish(Outcome::Success).await;
    assert!(server.claim(&token).await.is_none());
    second.finish(Outcome::Success).await;
    let third = server.claim(&token).await.unwrap();
    assert_eq!(third.claim.job.as_deref(), Some("c"));
    third.finish(Outcome::Success).await;
    let now = server.pipeline(&pipeline).await;
    assert_eq!(now.workflows[0].phase, Phase::Ended);
    assert_eq!(now.workflows[0].outcome, Some(Outcome::Success));
}

#[tokio::test]
async fn what_requires_a_failed_job_is_not_run_and_says_why() {
    let server = Harness::start().await;
    let token = server.class().await;
    let jobs = workflow(&[("a", &[]), ("b", &["a"]), ("c", &["b"]), ("d", &[])]);
    let pipeline = server.submit(&jobs).await;
    server.claim(&token).await.unwrap().finish(Outcome::Failed).await;
    let now = server.pipeline(&pipeline).await;
    assert_eq!(now.workflows[0].outcome, None);
    server.claim(&token).await.unwrap().finish(Outcome::Success).await;
    let now = server.pipeline(&pipeline).await;
    assert_eq!(now.workflows[0].outcome, Some(Outcome::Failed));
    let outcomes: Vec<_> = now.workflows[0].jobs.iter().map(|job| job.outcome.unwrap()).collect();
    assert_eq!(outcomes, [Outcome::Failed, Outcome::NotRun, Outcome::NotRun, Outcome::Success]);
    assert!(now.workflows[0].jobs[2].message.as_deref().unwrap().contains("`b`"));
    assert!(server.claim(&token).await.is_none());
}

/// Two jobs of one step each, and a workflow as it is given.
fn config(jobs: &str) -> String {
    let job = |name: &str| {
        format!(
            "  {name}:\n    machine: true\n    resource_class: {CLASS}\n    steps: [run: 'true']\n"
        )
    };
    let (test, deploy) = (job("test"), job("deploy"));
    format!("version: 2.1\njobs:\n{test}{deploy}workflows:\n  main:\n    jobs:\n{jobs}")
}

fn outcomes(pipeline: &Pipeline) -> Vec<Outcome> {
    pipeline.workflows[0].jobs.iter().map(|job| job.outcome.unwrap()).collect()
}

#[tokio::test]
async fn an_approval_waits_for_a_person_and_holds_what_requires_it() {
    let server = Harness::start().await;
    let token = server.class().await;
    let jobs = "      - test
      - hold: {type: approval, requires: [test]}
      - deploy: {requires: [hold]}
";
    for approved in [true, false] {
        let pipeline = server.submit(&config(jobs)).await;
        let hold = &pipeline.workflows[0].jobs[1];
        let path =
            format!("/api/v3/jobs/{}/{}", hold.id, if approved { "approve" } else { "deny" });
        let decide = || server.as_admin(Method::POST, &path);
        let early = refused(decide(), 409).await;
        assert!(early["message"].as_str().unwrap().contains("still waits"), "{early}");
        server.claim(&token).await.unwrap().finish(Outcome::Success).await;
        let now = server.pipeline(&pipeline).await;
        assert_eq!(now.workflows[0].jobs[1].phase, Phase::OnHold);
        assert_eq!(now.workflows[0].jobs[1].resource_class, None);
        assert!(server.claim(&token).await.is_none());
        ok(decide()).await;
        ok(decide()).await;
        if approved {
            server.claim(&token).await.unwrap().finish(Outcome::Success).await;
        }
        assert!(server.claim(&token).await.is_none());
        let now = server.pipeline(&pipeline).await;
        assert_eq!(now.workflows[0].outcome, Some(Outcome::Success));
        let (hold, last) = match approved {
            true => (Outcome::Success, Outcome::Success),
            false => (Outcome::Unauthorized, Outcome::NotRun),
        };
        assert_eq!(outcomes(&now), [Outcome::Success, hold, last]);
    }
    let pipeline = server.submit(&config("      - test\n")).await;
    let path = format!("/api/v3/jobs/{}/approve", pipeline.workflows[0].jobs[0].id);
    refused(server.as_admin(Method::POST, &path), 409).await;
}

#[tokio::test]
async fn a_pipeline_that_waits_for_an_approval_can_be_canceled() {
    let server = Harness::start().await;
    let jobs = "      - hold: {type: approval}\n      - deploy: {requires: [hold]}\n";
    server.class().await;
    let pipeline = server.submit(&config(jobs)).await;
    assert_eq!(pipeline.workflows[0].jobs[0].phase, Phase::OnHold);
    let path = format!("/api/v3/pipelines/{}/cancel", pipeline.id);
    ok(server.as_admin(Method::POST, &path)).await;
    assert_eq!(outcomes(&server.pipeline(&pipeline).await), [Outcome::Canceled; 2]);
}

#[tokio::test]
async fn a_job_may_want_others_to_end_otherwise_and_a_job_without_work_succeeds() {
    let server = Harness::start().await;
    let token = server.class().await;
    let jobs = "      - gate: {type: no-op}
      - test: {requires: [gate]}
      - deploy: {name: report, requires: [test: [failed, canceled]]}
      - after: {type: no-op, requires: [report: terminal]}
";
    for (outcome, expected) in [
        (Outcome::Success, [Outcome::Success, Outcome::Success, Outcome::NotRun, Outcome::Success]),
        (
            Outcome::TimedOut,
            [Outcome::Success, Outcome::TimedOut, Outcome::Success, Outcome::Success],
        ),
    ] {
        let pipeline = server.submit(&config(jobs)).await;
        server.claim(&token).await.unwrap().finish(outcome).await;
        if let Some(report) = server.claim(&token).await {
            assert_eq!(report.claim.job.as_deref(), Some("report"));
            report.finish(Outcome::Success).await;
        }
        let now = server.pipeline(&pipeline).await;
        assert_eq!(outcomes(&now), expected);
        assert_eq!(now.workflows[0].outcome, Some(outcome));
    }
}

#[tokio::test]
async fn of_a_serial_group_one_job_runs_at_a_time_in_order_and_the_older_not_after_the_newer() {
    let server = Harness::start().await;
    let token = server.class().await;
    let jobs = config("      - deploy: {serial-group: deploy/live}\n");
    let late =
        config("      - test\n      - deploy: {serial-group: deploy/live, requires: [test]}\n");
    let old = server.submit(&late).await;
    let test = server.claim(&token).await.unwrap();
    let pipelines =
        [server.submit(&jobs).await, server.submit(&jobs).await, server.submit(&jobs).await];
    let waits = &server.pipeline(&pipelines[1]).await.workflows[0].jobs[0];
    assert_eq!(waits.phase, Phase::Queued);
    assert!(waits.message.as_deref().unwrap().contains("`deploy/live`"), "{waits:?}");
    // The oldest comes to its group last: the newer state is not to be replaced.
    test.finish(Outcome::Success).await;
    let old = server.pipeline(&old).await;
    assert_eq!(outcomes(&old), [Outcome::Success, Outcome::NotRun]);
    assert_eq!(old.workflows[0].outcome, Some(Outcome::Success));
    // One that waits for its turn has no task to cancel.
    let path = format!("/api/v3/pipelines/{}/cancel", pipelines[1].id);
    ok(server.as_admin(Method::POST, &path)).await;
    assert_eq!(outcomes(&server.pipeline(&pipelines[1]).await), [Outcome::Canceled]);
    for (pipeline, outcome) in [(&pipelines[0], Outcome::Failed), (&pipelines[2], Outcome::Success)]
    {
        let agent = server.claim(&token).await.unwrap();
        assert!(server.claim(&token).await.is_none());
        agent.finish(outcome).await;
        assert_eq!(outcomes(&server.pipeline(pipeline).await), [outcome]);
    }
}
