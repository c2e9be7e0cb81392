//! From a submit to the first byte at a reader and to the end, while the agent is idle.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::rig::{CLASS, Rig};
use crate::stats::Samples;

/// A configuration with one job of one `run` step.
pub(crate) fn one_step(command: &str) -> String {
    format!(
        "version: 2.1\njobs:\n  bench:\n    machine: true\n    resource_class: {CLASS}\n    \
         steps:\n      - run: {command}\nworkflows:\n  bench:\n    jobs: [bench]\n"
    )
}

/// Submits `count` pipelines at random moments and follows each.
pub(crate) async fn measure(russet: &Path, count: usize) -> Result<()> {
    let mut rig = Rig::start(russet).await?;
    rig.start_agent(1)?;
    let config = one_step("echo hello");
    // The first one pays for cold caches of the system; it is no measurement.
    let warm = rig.client.submit(&config).await?;
    rig.client.watch(&warm).await?;
    let (mut bare, mut first, mut done) =
        (Samples::default(), Samples::default(), Samples::default());
    for _ in 0..count {
        tokio::time::sleep(random_gap()?).await;
        let start = Instant::now();
        let output = Command::new("bash").args(["-eo", "pipefail", "-c", "echo hello"]).output()?;
        ensure!(output.status.success(), "bare bash failed");
        bare.push(start.elapsed());

        let (output, end) = one_task(&rig, &config).await?;
        first.push(output);
        done.push(end);
    }
    bare.print("bare bash -c");
    first.print("submit → first output at a reader");
    done.print("submit → done");
    println!(
        "ratio to bare bash, p50             first output {:.1}   done {:.1}",
        first.percentile(50) / bare.percentile(50),
        done.percentile(50) / bare.percentile(50)
    );
    Ok(())
}

/// Submits a pipeline of one task. How long it takes to its first output, and to its end.
pub(crate) async fn one_task(rig: &Rig, config: &str) -> Result<(Duration, Duration)> {
    let start = Instant::now();
    let pipeline = rig.client.submit(config).await?;
    let watched = rig.client.watch(&pipeline).await?;
    let first = watched.first_output.context("a job without output")? - start;
    let outcome = watched.pipeline.workflows.first().and_then(|workflow| workflow.outcome);
    ensure!(outcome.is_some_and(|outcome| outcome.is_success()), "a job failed: {outcome:?}");
    Ok((first, watched.ended - start))
}

/// Between 20 and 275 ms, so that tasks meet the agent at any moment of whatever it does.
fn random_gap() -> Result<Duration> {
    let mut byte = [0];
    getrandom::fill(&mut byte)?;
    Ok(Duration::from_millis(20 + u64::from(byte[0])))
}
