//! Saving and restoring a cache, beside `tar | zstd` with the same level.
//!
//! All of it happens in tasks of the same agent, so as the same user and on the same disk; the
//! times are those of the steps, by the server's clock.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use russet_protocol::admin::{Job, Pipeline};

use crate::process::{children, usage};
use crate::rig::{CLASS, Rig};

/// Bytes of a file.
const FILE: usize = 21_000;

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
    let peaks = Peaks::watch(rig.start_agent(1)?);

    let (tree, wait) =
        (tree.display(), format!("run: until test -e {}; do sleep 0.1; done", go.display()));
    let pack = "run: tar -cf - tree | zstd -q -3 -T1 -o ~/bare.tar.zst";
    let unpack = "run: mkdir ~/bare && zstd -qdc ~/bare.tar.zst | tar -C ~/bare -xf -";
    let steps: [&str; 10] = [
        &format!("run: cp -a {tree} tree && sync"),
        pack,
        "run: sync",
        unpack,
        "run: sync",
        "save_cache: {key: tree, paths: [tree]}",
        "run: mv tree ~/saved && sync",
        "restore_cache: {keys: [tree]}",
        "run: test $(find tree -type f | wc -l) = $(find ~/bare -type f | wc -l)",
        &wait,
    ];
    let first = rig.client.submit(&config(&steps)).await?;
    let job = reach(&rig, &first, 10).await?;
    let (bare_save, bare_restore) = (took(&job, 2)?, took(&job, 4)?);
    let (save, local, near_peak) = (took(&job, 6)?, took(&job, 8)?, peaks.take());

    let peaks = Peaks::watch(rig.start_agent(1)?);
    let again = "run: mkdir ~/again && zstd -qdc ~/bare.tar.zst | tar -C ~/again -xf -";
    let steps = [
        &format!(
            "run: cp -a {tree} ~/tree && cd ~ && tar -cf - tree | zstd -q -3 -o bare.tar.zst && sync"
        ),
        unpack,
        "run: sync",
        "restore_cache: {keys: [tree]}",
        "run: sync",
        again,
    ];
    let second = rig.client.submit(&config(&steps)).await?;
    let job = end(&rig, &second).await?;
    let (bare_before, far, bare_after) = (took(&job, 2)?, took(&job, 4)?, took(&job, 6)?);
    let far_peak = peaks.take();
    std::fs::write(&go, "")?;
    end(&rig, &first).await?;
    let server = usage(rig.server_pid()).unwrap_or_default().peak_kib as f64 / 1024.0;

    println!("files, bytes                        {files}, {}", files * FILE);
    println!("tar | zstd -3                       {bare_save:>8.2} s");
    println!("save_cache                          {save:>8.2} s   ratio {:.2}", save / bare_save);
    println!("zstd -d | tar -x                    {bare_restore:>8.2} s");
    let ratio = local / bare_restore;
    println!("restore_cache, from the machine     {local:>8.2} s   ratio {ratio:.2}");
    println!(
        "zstd -d | tar -x, in another task   {bare_before:>8.2} s, and after it {bare_after:.2} s"
    );
    let ratio = 2.0 * far / (bare_before + bare_after);
    println!("restore_cache, from the server      {far:>8.2} s   ratio {ratio:.2}");
    println!("peak memory of the task agents      {near_peak:.1} MB, {far_peak:.1} MB");
    println!("peak memory of the control plane    {server:.1} MB");
    Ok(())
}

fn config(steps: &[&str]) -> String {
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

/// A tree of directories with a hundred files each: half of the bytes are noise, half text.
fn grow(tree: &Path, files: usize) -> Result<()> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let words =
        ["fn ", "let ", "mut ", "return ", "struct ", "self.", "();\n", "    ", "value", "=> "];
    let mut bytes = Vec::with_capacity(FILE + 16);
    for number in 0..files {
        let dir: PathBuf = tree.join(format!("d{}/e{}", number / 2500, number / 100));
        if number % 100 == 0 {
            std::fs::create_dir_all(&dir)?;
        }
        bytes.clear();
        while bytes.len() < FILE / 2 {
            bytes.extend_from_slice(&next().to_le_bytes());
        }
        while bytes.len() < FILE {
            let index = usize::try_from(next() % words.len() as u64)?;
            bytes.extend_from_slice(words[index].as_bytes());
        }
        bytes.truncate(FILE);
        std::fs::write(dir.join(format!("file{number}")), &bytes)?;
    }
    Ok(())
}

/// The most memory that a task agent has had.
struct Peaks {
    kib: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
}

impl Peaks {
    fn watch(agent: u32) -> Self {
        let (kib, is_over) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let (shared, over) = (Arc::clone(&kib), Arc::clone(&is_over));
        std::thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                for child in children(agent) {
                    let peak = usage(child).unwrap_or_default().peak_kib;
                    shared.fetch_max(peak, Ordering::Relaxed);
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        Self { kib, is_over }
    }

    /// In MB, since the last time.
    fn take(&self) -> f64 {
        self.kib.swap(0, Ordering::Relaxed) as f64 / 1024.0
    }
}

impl Drop for Peaks {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}
