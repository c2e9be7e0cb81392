//! Many steps in one task: what a step costs over bare bash.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::rig::{CLASS, Rig};

/// Runs one task of `count` steps.
pub(crate) async fn measure(russet: &Path, count: usize) -> Result<()> {
    let mut config = format!(
        "version: 2.1\njobs:\n  bench:\n    machine: true\n    resource_class: {CLASS}\n    steps:\n"
    );
    for number in 0..count {
        writeln!(config, "      - run: echo {number}")?;
    }
    config.push_str("workflows:\n  bench:\n    jobs: [bench]\n");
    let mut rig = Rig::start(russet).await?;
    rig.start_agent(1)?;
    let pipeline = rig.client.submit(&config).await?;
    let watched = rig.client.watch(&pipeline).await?;
    let job = watched.pipeline.workflows.first().and_then(|workflow| workflow.jobs.first());
    let job = job.context("a pipeline without a job")?;
    let outcome = job.outcome;
    ensure!(outcome.is_some_and(|outcome| outcome.is_success()), "the job failed: {outcome:?}");
    let took_ms = job.ended_ms.unwrap_or(0) - job.started_ms.unwrap_or(0);
    let each_ms = took_ms as f64 / count as f64;

    let start = Instant::now();
    for number in 0..count {
        let command = format!("echo {number}");
        let output = Command::new("bash").args(["-eo", "pipefail", "-c", &command]).output()?;
        ensure!(output.status.success(), "bare bash failed");
    }
    let bare_ms = start.elapsed().as_secs_f64() * 1e3 / count as f64;
    println!("steps                               {count}");
    println!("bare bash -c, each                  {bare_ms:>8.2} ms");
    println!("step, each                          {each_ms:>8.2} ms");
    println!("over bare bash                      {:>8.2} ms", each_ms - bare_ms);
    println!("ratio to bare bash                  {:>8.1}", each_ms / bare_ms);
    Ok(())
}
