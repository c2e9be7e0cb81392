//! Budget of a trivial task: requests, commits, system calls, faults, processes, bytes, processor
//! time.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::latency::one_step;
use crate::process::{Counters, machine_forks, ticks_per_second};
use crate::proxy::count_requests;
use crate::rig::Rig;

/// Tasks before the measured ones: they pay for cold caches.
const WARM_UP: usize = 5;

/// Tasks under `strace`, which makes each several times slower.
const TRACED: usize = 20;

/// Runs `count` tasks one after the other and prints what one of them costs.
pub(crate) async fn measure(russet: &Path, count: usize) -> Result<()> {
    let mut rig = Rig::start(russet).await?;
    let requests = Arc::new(AtomicU64::new(0));
    let url = count_requests(rig.client.url(), Arc::clone(&requests)).await?;
    let agent = rig.start_agent_at(&url, 1)?;
    let config = one_step("':'");
    run_tasks(&rig, &config, WARM_UP).await?;

    let before = Look::take(&rig, agent, &requests)?;
    run_tasks(&rig, &config, count).await?;
    let after = Look::take(&rig, agent, &requests)?;
    print_difference(&before, &after, count);
    let bare = bare_bash(count)?;
    println!("bare bash, processor                {bare:>8.2} ms");
    print_calls(&rig, &config, agent).await
}

/// One look at everything that is counted.
struct Look {
    server: Counters,
    agent: Counters,
    requests: u64,
    commits: u32,
    forks: u64,
}

impl Look {
    fn take(rig: &Rig, agent: u32, requests: &AtomicU64) -> Result<Self> {
        Ok(Self {
            server: Counters::of(rig.server_pid())?,
            agent: Counters::of(agent)?,
            requests: requests.load(Ordering::Relaxed),
            commits: commits_so_far(&rig.folder().join("server/russet.db-shm"))?,
            forks: machine_forks()?,
        })
    }
}

/// Counter of the write-ahead log's index that each write transaction increments (`iChange`, the
/// third word; <https://www.sqlite.org/walformat.html#the_wal_index_header>).
fn commits_so_far(index: &Path) -> Result<u32> {
    let bytes = std::fs::read(index).context("cannot read the index of the write-ahead log")?;
    let word = bytes.get(8..12).and_then(|word| word.try_into().ok());
    Ok(u32::from_ne_bytes(word.context("the index of the write-ahead log is too short")?))
}

async fn run_tasks(rig: &Rig, config: &str, count: usize) -> Result<()> {
    for _ in 0..count {
        let pipeline = rig.client.submit(config).await?;
        let watched = rig.client.watch(&pipeline).await?;
        let outcome = watched.pipeline.workflows.first().and_then(|workflow| workflow.outcome);
        ensure!(outcome.is_some_and(|outcome| outcome.is_success()), "a job failed: {outcome:?}");
    }
    Ok(())
}

fn print_difference(before: &Look, after: &Look, count: usize) {
    let each = |before: u64, after: u64| (after - before) as f64 / count as f64;
    let ms = |before, after| each(before, after) * 1e3 / ticks_per_second();
    let commits = u64::from(after.commits.wrapping_sub(before.commits));
    println!("tasks                               {count}");
    println!("requests of the agents              {:>8.1}", each(before.requests, after.requests));
    // Two more are the submitter's: the submit and the stream.
    println!("commits of SQLite, submit included  {:>8.1}", each(0, commits));
    println!("processes and threads started       {:>8.1}", each(before.forks, after.forks));
    let (old, new) = (&before.server, &after.server);
    println!("server: processor                   {:>8.2} ms", ms(old.ticks, new.ticks));
    println!("  context switches                  {:>8.1}", each(old.switches, new.switches));
    println!("  page faults                       {:>8.1}", each(old.faults, new.faults));
    println!("  bytes written                     {:>8.0}", each(old.written, new.written));
    let (old, new) = (&before.agent, &after.agent);
    println!("launch agent: processor             {:>8.2} ms", ms(old.ticks, new.ticks));
    println!("  context switches                  {:>8.1}", each(old.switches, new.switches));
    println!("  page faults                       {:>8.1}", each(old.faults, new.faults));
    let (spent, faults) =
        (ms(old.child_ticks, new.child_ticks), each(old.child_faults, new.child_faults));
    println!("task agent and bash: processor      {spent:>8.2} ms");
    println!("  page faults                       {faults:>8.1}");
    println!("all agents: bytes written           {:>8.0}", each(old.written, new.written));
}

/// Processor time of one bare `bash -c`, in milliseconds.
fn bare_bash(count: usize) -> Result<f64> {
    let own = std::process::id();
    let before = Counters::of(own)?;
    for _ in 0..count {
        let status = Command::new("bash").args(["-eo", "pipefail", "-c", ":"]).status()?;
        ensure!(status.success(), "bare bash failed");
    }
    let spent = Counters::of(own)?.child_ticks - before.child_ticks;
    Ok(spent as f64 * 1e3 / ticks_per_second() / count as f64)
}

/// Counts system calls by `strace`, of the server, and of the launch agent with all that it starts.
async fn print_calls(rig: &Rig, config: &str, agent: u32) -> Result<()> {
    for (name, pid) in [("server", rig.server_pid()), ("agents and bash", agent)] {
        let report = rig.folder().join("strace");
        let Some(strace) = attach(pid, &report)? else {
            println!("system calls                         skipped: strace is not on PATH");
            return Ok(());
        };
        run_tasks(rig, config, TRACED).await?;
        end(strace)?;
        let text = std::fs::read_to_string(&report)?;
        let calls = total_calls(&text).context("strace printed no total")?;
        println!("system calls, {name:<21} {:>8.1}", calls as f64 / TRACED as f64);
    }
    Ok(())
}

/// Attaches `strace` to a process and waits until it counts; `None` where there is no `strace`.
fn attach(pid: u32, report: &Path) -> Result<Option<Child>> {
    let mut command = Command::new("strace");
    command.args(["-f", "-c", "-p", &pid.to_string(), "-o"]).arg(report);
    let mut strace = match command.stderr(Stdio::piped()).spawn() {
        Ok(strace) => strace,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).context("cannot start strace"),
    };
    // It says so once it is attached to the first thread.
    let mut said = [0; 256];
    let stderr = strace.stderr.as_mut().context("no stderr")?;
    if std::io::Read::read(stderr, &mut said)? == 0 {
        bail!("strace ended before it was attached");
    }
    Ok(Some(strace))
}

fn end(mut strace: Child) -> Result<()> {
    kill(Pid::from_raw(strace.id().try_into()?), Signal::SIGINT)?;
    strace.wait()?;
    Ok(())
}

/// Returns the number in the column `calls` of the line `total`.
fn total_calls(report: &str) -> Option<u64> {
    let total = report.lines().find(|line| line.trim_end().ends_with(" total"))?;
    total.split_whitespace().nth(3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::total_calls;

    #[test]
    fn the_total_of_a_report_of_strace_is_read() {
        let report = "% time     seconds  usecs/call     calls    errors syscall\n\
            ------ ----------- ----------- --------- --------- ------------------\n \
            62.01    0.000080          80         1           execve\n\
            ------ ----------- ----------- --------- --------- ------------------\n\
            100.00    0.000129           4        31         2 total\n";
        assert_eq!(total_calls(report), Some(31));
        assert_eq!(total_calls(""), None);
    }
}
