//! Following a pipeline to its end, shared by `run` and `pipeline watch`.

use std::collections::BTreeMap;

use russet_protocol::admin::{Job, Pipeline, StreamEvent};
use russet_protocol::outcome::Phase;
use tokio::time::MissedTickBehavior;

use crate::client::{Client, EventStream, Next};
use crate::error::Result;
use crate::render::screen::{Screen, TICK};

/// Events for somebody who follows a pipeline.
#[derive(Debug)]
pub(crate) enum Followed {
    /// It has ended.
    Ended(Pipeline),
    /// It has got further workflows, those that a setup goes on with.
    Continued,
    /// A job waits for an approval.
    OnHold(Job),
}

/// Shows everything that happens to a pipeline until it has ended or a job waits for an approval.
///
/// May be abandoned at any moment and called again with the same stream.
pub(crate) async fn follow_pipeline(
    stream: &mut EventStream,
    screen: &mut Screen,
) -> Result<Followed> {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            next = stream.next() => {
                let next = next?;
                let news = match &next {
                    Next::Event(event) => match event.as_ref() {
                        StreamEvent::End { pipeline } => Some(Followed::Ended(pipeline.clone())),
                        StreamEvent::Job { job, .. } if job.phase == Phase::OnHold => {
                            Some(Followed::OnHold(job.clone()))
                        }
                        StreamEvent::Job { workflow, .. } if !screen.knows(workflow) => {
                            Some(Followed::Continued)
                        }
                        _ => None,
                    },
                    Next::Output { .. } | Next::Away { .. } => None,
                };
                screen.event(next)?;
                if let Some(news) = news {
                    return Ok(news);
                }
            }
            _ = ticks.tick() => screen.tick(),
        }
    }
}

/// Sums up the test results of all jobs.
pub(crate) async fn show_tests(
    client: &Client,
    pipeline: &Pipeline,
    screen: &mut Screen,
) -> Result<()> {
    let mut tests = BTreeMap::new();
    let jobs = pipeline.workflows.iter().flat_map(|workflow| &workflow.jobs);
    for job in jobs.filter(|job| !job.tests.is_empty()) {
        tests.insert(job.name.clone(), client.tests(job.id.as_str()).await?);
    }
    screen.tests(&tests)
}
