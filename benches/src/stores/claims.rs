//! Claims of 200 agents: how many a second, and how long a task waits at half of that.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;

use super::agents::{Agent, connect_all};
use super::servers::Servers;
use crate::rig::CLASS;
use crate::stats::Samples;

/// Number of agents, each with one slot.
const AGENTS: usize = 200;

/// Jobs of a pipeline, none of which waits for another.
const JOBS: usize = 10;

/// Claims that are measured in each of the two ways.
const CLAIMS: usize = 4000;

/// Duration of the measurement at half load, in seconds.
const HALF_LOAD_SECONDS: usize = 12;

/// Measures.
pub(crate) async fn measure(servers: &Servers, scale: usize) -> Result<()> {
    let mut agents = connect_all(servers, AGENTS).await?;
    // The first claim of each registers it.
    try_join_all(agents.iter_mut().map(|agent| agent.claim(0))).await?;
    let count = CLAIMS / scale;
    let claims = claims_alone(servers, &mut agents, count).await?;
    println!("claims a second, 200 agents         {claims:>8.0}");
    let whole = whole_tasks(servers, &mut agents, count).await?;
    println!("… each with its configuration, end  {whole:>8.0}");
    let seconds = (HALF_LOAD_SECONDS / scale).max(3);
    half_load(servers, &mut agents, whole / 2.0, seconds).await
}

/// A configuration of [`JOBS`] jobs of these numbers.
fn config(first: usize) -> String {
    let mut text = format!(
        "version: 2.1\njobs:\n  one:\n    machine: true\n    resource_class: {CLASS}\n    \
         steps: [run: 'true']\nworkflows:\n  main:\n    jobs:\n"
    );
    for number in first..first + JOBS {
        // Writing to a text does not fail.
        let _written = writeln!(text, "      - one: {{name: j{number}}}");
    }
    text
}

async fn enqueue(servers: &Servers, count: usize) -> Result<()> {
    for first in (0..count).step_by(JOBS) {
        servers.client.submit(&config(first)).await?;
    }
    Ok(())
}

/// Claims, nothing else, until the queue is empty; then the tasks are ended, which is not measured.
async fn claims_alone(servers: &Servers, agents: &mut [Agent], count: usize) -> Result<f64> {
    enqueue(servers, count).await?;
    let (claimed, start) = (Cell::new(0), Instant::now());
    let took = Cell::new(Duration::ZERO);
    let work = async |agent: &mut Agent| -> Result<()> {
        let mut held = Vec::new();
        while claimed.get() < count {
            let Some(task) = agent.claim(0).await? else { break };
            claimed.set(claimed.get() + 1);
            took.set(start.elapsed());
            held.push(task);
        }
        for task in held {
            agent.finish(&task).await?;
        }
        Ok(())
    };
    try_join_all(agents.iter_mut().map(work)).await?;
    ensure!(claimed.get() == count, "{} of {count} tasks were claimed", claimed.get());
    Ok(count as f64 / took.get().as_secs_f64())
}

/// Whole tasks until the queue is empty.
async fn whole_tasks(servers: &Servers, agents: &mut [Agent], count: usize) -> Result<f64> {
    enqueue(servers, count).await?;
    let (ended, start) = (Cell::new(0), Instant::now());
    let work = async |agent: &mut Agent| -> Result<()> {
        while let Some(task) = agent.claim(0).await? {
            agent.finish(&task).await?;
            ended.set(ended.get() + 1);
        }
        Ok(())
    };
    try_join_all(agents.iter_mut().map(work)).await?;
    ensure!(ended.get() == count, "{} of {count} tasks were ended", ended.get());
    Ok(count as f64 / start.elapsed().as_secs_f64())
}

/// Submits whole tasks at a rate per second, and times each from its submit to its claim's answer.
async fn half_load(
    servers: &Servers,
    agents: &mut [Agent],
    rate: f64,
    seconds: usize,
) -> Result<()> {
    let pipelines = ((rate * seconds as f64) as usize / JOBS).max(1);
    let count = pipelines * JOBS;
    let queued = RefCell::new(HashMap::<String, Instant>::with_capacity(count));
    let waits = RefCell::new(Samples::default());
    let claimed = Cell::new(0);
    let work = async |agent: &mut Agent| -> Result<()> {
        while claimed.get() < count {
            let Some(task) = agent.claim(1).await? else { continue };
            let name = task.job.as_deref().context("a claim's answer without its job")?;
            let since = queued.borrow().get(name).copied().context("an unknown job")?;
            waits.borrow_mut().push(since.elapsed());
            claimed.set(claimed.get() + 1);
            agent.finish(&task).await?;
        }
        Ok(())
    };
    let submit = async |number: usize| -> Result<()> {
        tokio::time::sleep(Duration::from_secs_f64((number * JOBS) as f64 / rate)).await;
        let (first, now) = (number * JOBS, Instant::now());
        queued.borrow_mut().extend((first..first + JOBS).map(|job| (format!("j{job}"), now)));
        servers.client.submit(&config(first)).await?;
        Ok(())
    };
    let start = Instant::now();
    let submits = try_join_all((0..pipelines).map(submit));
    tokio::try_join!(submits, try_join_all(agents.iter_mut().map(work)))?;
    let reached = count as f64 / start.elapsed().as_secs_f64();
    let what = format!("submit → claimed, {reached:.0} a second");
    waits.into_inner().print(&what);
    Ok(())
}
