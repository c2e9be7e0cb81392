//! What follows from how jobs end.

use russet_protocol::outcome::{Outcome, Phase};

use crate::support::{Harness, workflow};

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
