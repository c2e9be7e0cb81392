//! A backlog on one slot: tasks a second, and the agent's own time for a task.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::latency::one_step;
use crate::rig::Rig;

/// Queues `count` tasks, then starts the agent.
pub(crate) async fn measure(russet: &Path, count: usize) -> Result<()> {
    let start = Instant::now();
    for _ in 0..count {
        let status = Command::new("bash").args(["-eo", "pipefail", "-c", ":"]).status()?;
        ensure!(status.success(), "bare bash failed");
    }
    let bare_ms = start.elapsed().as_secs_f64() * 1e3 / count as f64;

    let mut rig = Rig::start(russet).await?;
    let config = one_step("':'");
    let mut pipelines = Vec::with_capacity(count);
    for _ in 0..count {
        pipelines.push(rig.client.submit(&config).await?);
    }
    rig.start_agent(1)?;
    let mut began = u64::MAX;
    let mut ended = 0;
    for pipeline in &pipelines {
        let watched = rig.client.watch(pipeline).await?;
        let job = watched.pipeline.workflows.first().and_then(|workflow| workflow.jobs.first());
        let job = job.context("a pipeline without a job")?;
        let outcome = job.outcome;
        ensure!(outcome.is_some_and(|outcome| outcome.is_success()), "a job failed: {outcome:?}");
        began = began.min(job.started_ms.context("a job that never started")?);
        ended = ended.max(job.ended_ms.context("a job that never ended")?);
    }
    let each_ms = (ended - began) as f64 / count as f64;
    println!("tasks                               {count}");
    println!("bare bash -c, each                  {bare_ms:>8.2} ms");
    println!("task, each, claim to claim          {each_ms:>8.2} ms");
    println!("own time for a task                 {:>8.2} ms", each_ms - bare_ms);
    println!("tasks a second                      {:>8.1}", 1e3 / each_ms);
    println!("ratio to bare bash                  {:>8.1}", each_ms / bare_ms);
    Ok(())
}
