//! Saving and restoring a cache, beside `tar | zstd` with the same level.
//!
//! All of it happens in tasks of the same agent, so as the same user and on the same disk; the
//! times are those of the steps, by the server's clock.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use russet_protocol::admin::Job;

use crate::process::{children, usage};
use crate::rig::{CLASS, Rig};

/// Bytes of a file.
const FILE: usize = 21_000;

/// Saves and restores a tree of `files` files, 21 kB each.
pub(crate) async fn measure(russet: &Path, files: usize) -> Result<()> {
    let mut rig = Rig::start(russet).await?;
    let tree = rig.folder().join("tree");
    grow(&tree, files)?;
    let agent = rig.start_agent(1)?;
    let peaks = Peaks::watch(agent);

    let tree = tree.display();
    let first = config(&[
        &format!("run: cp -a {tree} tree && sync"),
        "run: tar -cf - tree | zstd -q -3 -T1 -o ~/bare.tar.zst && sync -d ~/bare.tar.zst",
        "run: mkdir bare && zstd -qdc ~/bare.tar.zst | tar -C bare -xf -",
        "run: rm -rf bare && sync",
        "save_cache: {key: tree, paths: [tree]}",
    ]);
    let job = run(&rig, &first).await?;
    let (bare_save, bare_restore, save) = (took(&job, 2)?, took(&job, 3)?, took(&job, 5)?);
    let save_peak = peaks.take();

    let again = config(&["restore_cache: {keys: [tree]}", "run: find tree -type f | wc -l"]);
    let state = rig.state(0).join("slots/1/caches");
    for scope in std::fs::read_dir(&state).into_iter().flatten().flatten() {
        for copy in std::fs::read_dir(scope.path())?.flatten() {
            std::fs::remove_file(copy.path())?;
        }
    }
    let fetched = took(&run(&rig, &again).await?, 1)?;
    let fetch_peak = peaks.take();
    let local = took(&run(&rig, &again).await?, 1)?;
    let server = usage(rig.server_pid()).unwrap_or_default().peak_kib as f64 / 1024.0;

    println!("files, bytes                        {files}, {}", files * FILE);
    println!("tar | zstd -3                       {bare_save:>8.2} s");
    println!("save_cache                          {save:>8.2} s   ratio {:.2}", save / bare_save);
    println!("zstd -d | tar -x                    {bare_restore:>8.2} s");
    println!(
        "restore_cache, from the server      {fetched:>8.2} s   ratio {:.2}",
        fetched / bare_restore
    );
    println!(
        "restore_cache, from the machine     {local:>8.2} s   ratio {:.2}",
        local / bare_restore
    );
    println!(
        "peak memory of the task agent       {save_peak:.1} MB saving, {fetch_peak:.1} MB restoring"
    );
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

async fn run(rig: &Rig, config: &str) -> Result<Job> {
    let pipeline = rig.client.submit(config).await?;
    let pipeline = rig.client.watch_states(&pipeline).await?;
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
