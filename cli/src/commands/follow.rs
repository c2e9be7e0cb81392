//! Following a pipeline to its end, shared by `run` and `pipeline watch`.

use std::collections::BTreeMap;

use russet_protocol::admin::{Pipeline, StreamEvent};
use tokio::time::MissedTickBehavior;

use crate::client::{Client, EventStream, Next};
use crate::error::Result;
use crate::render::screen::{Screen, TICK};

/// Shows everything that happens to a pipeline until it has ended.
///
/// May be abandoned at any moment and called again with the same stream.
pub(crate) async fn follow(stream: &mut EventStream, screen: &mut Screen) -> Result<Pipeline> {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            next = stream.next() => {
                let next = next?;
                let ended = match &next {
                    Next::Event(event) => match event.as_ref() {
                        StreamEvent::End { pipeline } => Some(pipeline.clone()),
                        _ => None,
                    },
                    Next::Output { .. } | Next::Away { .. } => None,
                };
                screen.event(next)?;
                if let Some(pipeline) = ended {
                    return Ok(pipeline);
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
