//! The live view of a pipeline.

use russet_protocol::admin::{StepState, StreamEvent};
use russet_protocol::outcome::{Outcome, Phase};

use crate::support::{Harness, LEASE, ONE_JOB, ok, output_of, workflow};

fn step_of(event: &StreamEvent) -> Option<&StepState> {
    match event {
        StreamEvent::Step { step, .. } => Some(step),
        _ => None,
    }
}

/// A step begins before its output and ends after all of it; the job ends after its steps.
fn check_order(events: &[StreamEvent]) {
    let place = |is: &dyn Fn(&StreamEvent) -> bool| events.iter().position(is).unwrap();
    let begin = place(&|event| step_of(event).is_some_and(|step| step.outcome.is_none()));
    let first = place(&|event| matches!(event, StreamEvent::Output { .. }));
    let last =
        events.iter().rposition(|event| matches!(event, StreamEvent::Output { .. })).unwrap();
    let end = place(&|event| step_of(event).is_some_and(|step| step.outcome.is_some()));
    let over =
        place(&|event| matches!(event, StreamEvent::Job { job, .. } if job.phase == Phase::Ended));
    assert!(begin < first && last < end && end < over, "{events:#?}");
}

#[tokio::test]
async fn a_reader_sees_everything_as_it_happens_and_late_ones_the_same() {
    let server = Harness::start().await;
    let token = server.class().await;
    let pipeline = server.submit(ONE_JOB).await;
    let mut early = server.live(&pipeline).await;
    early
        .until(|event| matches!(event, StreamEvent::Job { job, .. } if job.phase == Phase::Queued))
        .await;
    let mut agent = server.claim(&token).await.unwrap();
    // Output that overtakes the event of its step comes under the step's planned heading.
    ok(agent.append(1, 0, b"hello ".to_vec())).await;
    let mut seen = early.until(|event| matches!(event, StreamEvent::Output { .. })).await;
    assert!(seen.iter().filter_map(step_of).any(|step| step.name == "Say hello"));
    let mut late = server.live(&pipeline).await;
    agent.start_step(1).await;
    // The end of the step overtakes its last bytes, too.
    agent.end_step(1, 300_011).await;
    let rest = [vec![b'.'; 300_000], b"world".to_vec()].concat();
    ok(agent.append(1, 6, rest.clone())).await;
    agent.finish(Outcome::Success).await;
    seen.extend(early.rest().await);
    let expected = [&b"hello "[..], &rest].concat();
    for events in [seen, late.rest().await, server.live(&pipeline).await.rest().await] {
        assert!(output_of(&events, 1) == expected);
        check_order(&events);
        let Some(StreamEvent::End { pipeline }) = events.last() else { panic!("no end") };
        assert_eq!(pipeline.workflows[0].outcome, Some(Outcome::Success));
    }
}

#[tokio::test]
async fn a_reader_that_comes_before_many_appends_gets_each_byte_once() {
    let server = Harness::start().await;
    let token = server.class().await;
    let pipeline = server.submit(ONE_JOB).await;
    let agent = server.claim(&token).await.unwrap();
    let mut live = server.live(&pipeline).await;
    let reader = tokio::spawn(async move { live.rest().await });
    let mut expected = Vec::new();
    for n in 0..200u32 {
        let part = format!("line {n}\n").repeat(1 + n as usize * 7 % 90).into_bytes();
        ok(agent.append(1, expected.len() as u64, part.clone())).await;
        expected.extend(part);
    }
    agent.finish(Outcome::Success).await;
    assert!(output_of(&reader.await.unwrap(), 1) == expected);
}

#[tokio::test]
async fn jobs_are_seen_through_all_of_their_phases() {
    let server = Harness::start().await;
    let token = server.class().await;
    let pipeline = server.submit(&workflow(&[("a", &[]), ("b", &["a"])])).await;
    let mut live = server.live(&pipeline).await;
    let is = |name: &'static str, phase: Phase| move |event: &StreamEvent| matches!(event, StreamEvent::Job { job, .. } if job.name == name && job.phase == phase);
    live.until(is("b", Phase::Blocked)).await;
    let agent = server.claim(&token).await.unwrap();
    live.until(is("a", Phase::Running)).await;
    agent.finish(Outcome::Success).await;
    live.until(is("b", Phase::Queued)).await;
    let agent = server.claim(&token).await.unwrap();
    live.until(is("b", Phase::Running)).await;
    agent.finish(Outcome::Failed).await;
    live.rest().await;
}

#[tokio::test]
async fn a_reader_sees_the_output_of_each_claim_from_its_beginning() {
    let server = Harness::start().await;
    let token = server.class().await;
    let pipeline = server.submit(ONE_JOB).await;
    let mut live = server.live(&pipeline).await;
    let mut first = server.claim(&token).await.unwrap();
    first.start_step(0).await;
    ok(first.append(0, 0, b"of the first claim".to_vec())).await;
    let seen = live.until(|event| matches!(event, StreamEvent::Output { .. })).await;
    assert_eq!(output_of(&seen, 0), b"of the first claim");
    server.clock.advance(LEASE);
    server.wait_for_job(&pipeline, |job| job.phase == Phase::Queued).await;
    let mut second = server.claim(&token).await.unwrap();
    second.start_step(0).await;
    ok(second.append(0, 0, b"of the second".to_vec())).await;
    second.finish(Outcome::Success).await;
    assert_eq!(output_of(&live.rest().await, 0), b"of the second");
}
