//! Saving and restoring a cache, beside `tar | zstd` with the same level, and beside the same tools
//! when they do as much: keep a copy, and send it to a program that stores it.
//!
//! All of it happens in tasks of the same agent, so as the same user and on the same disk; the
//! times are those of the steps, by the server's clock.

mod bare;
mod peaks;
mod tree;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use russet_protocol::admin::{Job, Pipeline};

use self::bare::{serve, store};
use self::peaks::Peaks;
use self::tree::{FILE, grow};
use crate::process::usage;
use crate::rig::{CLASS, Rig};

/// Number of measurements of each, by turns.
const ROUNDS: u32 = 2;

const UNPACK: &str = "zstd -qdc ~/bare.tar.zst | tar -xf - -C";

/// Saves and restores a tree of `files` files, 21 kB each.
///
/// Nothing is removed while anything is measured: ext4 makes files many times slower for some
/// minutes after as many were removed, and would make them so for whoever comes second. So the
/// first task stays until the second, on a machine of its own without a copy, has ended.
pub(crate) async fn measure(russet: &Path, files: usize) -> Result<()> {
    let mut rig = Rig::start(russet).await?;
    let tree = rig.folder().join("tree");
    grow(&tree, files)?;
    let go = rig.folder().join("go");
    let (sink, source) =
        (store(&rig.folder().join("stored"))?, serve(&rig.folder().join("stored"))?);
    println!("files, bytes                       {files}, {}", files * FILE);

    let peaks = Peaks::watch(rig.start_agent(1)?);
    let steps = near_steps(&tree, &go, sink);
    let first = rig.client.submit(&config(&steps)).await?;
    let job = reach(&rig, &first, number(steps.len())).await?;
    let near_peak = peaks.take();
    let [bare, sent, save] = [2, 3, 4].map(|first| Times::of(&job, first, 6));
    let (bare, sent, save) = (bare?, sent?, save?);
    bare.print("tar | zstd -3");
    sent.print_beside("… kept, and sent to be stored", &bare);
    save.print_beside("save_cache", &bare);
    let start = 3 + 6 * ROUNDS;
    let (bare, near) = (Times::of(&job, start, 3)?, Times::of(&job, start + 1, 3)?);
    bare.print("zstd -d | tar -x");
    near.print_beside("restore_cache, from the machine", &bare);

    let peaks = Peaks::watch(rig.start_agent(1)?);
    let second = rig.client.submit(&config(&far_steps(&tree, source))).await?;
    let job = end(&rig, &second).await;
    std::fs::write(&go, "")?;
    let job = job?;
    let [bare, fetched, far] = [2, 3, 4].map(|first| Times::of(&job, first, 5));
    let (bare, fetched, far) = (bare?, fetched?, far?);
    bare.print("zstd -d | tar -x, in another task");
    fetched.print_beside("… fetched, and kept", &bare);
    far.print_beside("restore_cache, from the server", &bare);
    println!("peak memory of the task agents      {near_peak:.1} MB, {:.1} MB", peaks.take());
    end(&rig, &first).await?;
    let server = usage(rig.server_pid()).unwrap_or_default().peak_kib as f64 / 1024.0;
    println!("peak memory of the control plane    {server:.1} MB");
    Ok(())
}

/// Saves, each time a tree that differs from the last one, then restores; and waits for a file.
fn near_steps(tree: &Path, go: &Path, sink: u16) -> Vec<String> {
    let mut steps = vec![format!("run: cp -a {} tree && sync", tree.display())];
    let pack = "tar -cf - tree | zstd -q -3";
    for round in 1..=ROUNDS {
        steps.push(format!("run: {pack} > ~/bare.tar.zst"));
        steps.push(format!("run: {pack} | tee ~/sent.tar.zst > /dev/tcp/127.0.0.1/{sink}"));
        steps.push(format!("save_cache: {{key: tree-{round}, paths: [tree]}}"));
        steps.push("run: sync".to_owned());
        steps.push(format!("run: echo {round} > tree/round"));
        steps.push("run: rm ~/sent.tar.zst".to_owned());
    }
    steps.push("run: mv tree ~/saved && sync".to_owned());
    for round in 1..=ROUNDS {
        steps.push(format!("run: mkdir ~/bare-{round} && {UNPACK} ~/bare-{round}"));
        steps.push(format!("restore_cache: {{keys: [tree-{round}]}}"));
        steps.push(format!("run: mv tree ~/restored-{round} && sync"));
    }
    steps.push(format!("run: diff -r ~/bare-1/tree ~/restored-{ROUNDS}"));
    steps.push(format!("run: until test -e {}; do sleep 0.1; done", go.display()));
    steps
}

/// Restores what this machine has no copy of.
fn far_steps(tree: &Path, source: u16) -> Vec<String> {
    let tree = tree.display();
    let mut steps =
        vec![format!("run: tar -cf - -C {tree} . | zstd -q -3 > ~/bare.tar.zst && sync")];
    for round in 1..=ROUNDS {
        steps.push(format!("run: mkdir ~/bare-{round} && {UNPACK} ~/bare-{round}"));
        steps.push(format!(
            "run: mkdir ~/fetched-{round} && cat < /dev/tcp/127.0.0.1/{source} | \
             tee ~/fetched.tar.zst | zstd -qdc | tar -xf - -C ~/fetched-{round}"
        ));
        steps.push(format!("restore_cache: {{keys: [tree-{round}]}}"));
        steps.push("run: sync".to_owned());
        steps.push(format!("run: mv tree ~/restored-{round}"));
    }
    steps
}

/// Seconds that a step took, in each round.
struct Times(Vec<f64>);

impl Times {
    /// Of the steps `first`, `first + every` and so on.
    fn of(job: &Job, first: u32, every: u32) -> Result<Self> {
        (0..ROUNDS).map(|round| took(job, first + round * every)).collect::<Result<_>>().map(Self)
    }

    fn sum(&self) -> f64 {
        self.0.iter().sum()
    }

    fn print(&self, what: &str) {
        println!("{what:<34} {}", self.shown());
    }

    fn print_beside(&self, what: &str, bare: &Self) {
        println!("{what:<34} {}   ratio {:.2}", self.shown(), self.sum() / bare.sum());
    }

    fn shown(&self) -> String {
        self.0.iter().map(|seconds| format!("{seconds:>6.2} s")).collect()
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn config(steps: &[String]) -> String {
    let mut text = format!(
        "version: 2.1\njobs:\n  bench:\n    machine: true\n    resource_class: {CLASS}\n    steps:\n"
    );
    for step in steps {
        text.push_str(&format!("      - {step}\n"));
    }
    text + "workflows:\n  bench:\n    jobs: [bench]\n"
}

/// The only job of a pipeline, once it is at a step.
async fn reach(rig: &Rig, pipeline: &Pipeline, step: u32) -> Result<Job> {
    let only = |pipeline: &Pipeline| {
        let job = pipeline.workflows.first().and_then(|workflow| workflow.jobs.first());
        job.map(|job| job.id.clone()).context("a pipeline without a job")
    };
    let id = only(pipeline)?;
    loop {
        let job = rig.client.job(&id).await?;
        ensure!(job.outcome.is_none(), "the job ended early: {job:?}");
        if job.steps.iter().any(|at| at.number == step) {
            return Ok(job);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The only job of a pipeline, once it has ended.
async fn end(rig: &Rig, pipeline: &Pipeline) -> Result<Job> {
    let pipeline = rig.client.watch_states(pipeline).await?;
    let job = pipeline.workflows.first().and_then(|workflow| workflow.jobs.first());
    let job = rig.client.job(&job.context("a pipeline without a job")?.id).await?;
    let outcome = job.outcome;
    ensure!(outcome.is_some_and(|outcome| outcome.is_success()), "the job failed: {job:?}");
    Ok(job)
}

/// Seconds of a step.
fn took(job: &Job, number: u32) -> Result<f64> {
    let step = job.steps.iter().find(|step| step.number == number).context("no such step")?;
    Ok((step.ended_ms.unwrap_or(0) - step.started_ms) as f64 / 1e3)
}
