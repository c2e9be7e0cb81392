//! Following a pipeline to its end, shared by `run` and `pipeline watch`.

use russet_protocol::admin::{Pipeline, StreamEvent};
use tokio::time::MissedTickBehavior;

use crate::client::{EventStream, Next};
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
                if let Next::Event(StreamEvent::End { pipeline }) = next {
                    screen.event(Next::Event(StreamEvent::End { pipeline: pipeline.clone() }))?;
                    return Ok(pipeline);
                }
                screen.event(next)?;
            }
            _ = ticks.tick() => screen.tick(),
        }
    }
}
