//! Many pipelines submitted at once: no error, no loss.

use std::path::Path;
use std::time::Instant;

use anyhow::{Result, ensure};
use futures_util::future::try_join_all;

use crate::latency::one_step;
use crate::rig::Rig;

/// Submits `count` pipelines at once and follows all of them.
pub(crate) async fn measure(russet: &Path, count: usize) -> Result<()> {
    let mut rig = Rig::start(russet).await?;
    rig.start_agent(2)?;
    let config = one_step("echo hello");
    let start = Instant::now();
    let pipelines = try_join_all((0..count).map(|_| rig.client.submit(&config))).await?;
    let submitted = start.elapsed();
    let watched = try_join_all(pipelines.iter().map(|pipeline| rig.client.watch(pipeline))).await?;
    let took = start.elapsed();
    let lost = watched
        .iter()
        .filter(|watched| {
            let outcome = watched.pipeline.workflows.first().and_then(|workflow| workflow.outcome);
            !outcome.is_some_and(|outcome| outcome.is_success())
        })
        .count();
    ensure!(lost == 0, "{lost} of {count} pipelines did not succeed");
    println!("pipelines submitted at once         {count}, no error, none lost");
    println!("all accepted after                  {:>8.1} ms", submitted.as_secs_f64() * 1e3);
    println!("all done after, on two slots        {:>8.1} ms", took.as_secs_f64() * 1e3);
    Ok(())
}
