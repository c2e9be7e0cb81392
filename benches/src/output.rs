//! A step that prints much: throughput to a reader, exactness, peak memory of each process.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::latency::one_step;
use crate::process::{Usage, children, usage};
use crate::rig::Rig;

/// Prints `lines` lines of 100 bytes and follows them.
pub(crate) async fn measure(russet: &Path, lines: usize) -> Result<()> {
    let line = "0123456789".repeat(10);
    let command = format!("yes {} | head -n {lines} || true", &line[..99]);
    let (bare, bare_hash, bytes) = through_a_pipe(&command)?;
    let terminal = through_a_terminal(&command, bytes)?;

    let mut rig = Rig::start(russet).await?;
    let agent = rig.start_agent(1)?;
    let start = Instant::now();
    let pipeline = rig.client.submit(&one_step(&command)).await?;
    let job = pipeline.workflows.first().and_then(|workflow| workflow.jobs.first());
    let job = job.context("a pipeline without a job")?.id.to_string();
    let mut peaks = BTreeMap::new();
    let (followed, watched) = {
        let followed = rig.client.follow_output(&job, 1);
        let watched = rig.client.watch_states(&pipeline);
        let both = async { tokio::try_join!(followed, watched) };
        tokio::pin!(both);
        loop {
            tokio::select! {
                result = &mut both => break result?,
                () = tokio::time::sleep(Duration::from_millis(5)) => {
                    note(&mut peaks, "control plane", usage(rig.server_pid()));
                    note(&mut peaks, "launch agent", usage(agent));
                    for child in children(agent) {
                        note(&mut peaks, "task agent", usage(child));
                    }
                }
            }
        }
    };
    let (size, hash) = followed;
    ensure!(size == bytes, "{size} bytes were delivered of {bytes}");
    ensure!(hash == bare_hash, "the bytes delivered are not those that were printed");
    let all = start.elapsed();
    let step = watched.workflows.first().and_then(|workflow| workflow.jobs.first());
    let job = step.context("a pipeline without a job")?;
    let job_ms = job.ended_ms.unwrap_or(0) - job.started_ms.unwrap_or(0);
    let rate = |took: Duration| bytes as f64 / 1e6 / took.as_secs_f64();
    println!("bytes                               {bytes}, hash equal");
    println!("the same through a pipe             {:>8.1} MB/s", rate(bare));
    println!("the same through a bare terminal    {:>8.1} MB/s", rate(terminal));
    println!("submit → all at a reader            {:>8.1} MB/s", rate(all));
    println!(
        "claim → outcome reported            {:>8.1} MB/s",
        rate(Duration::from_millis(job_ms))
    );
    println!("ratio to the pipe                   {:>8.2}", rate(all) / rate(bare));
    println!("ratio to the terminal               {:>8.2}", rate(all) / rate(terminal));
    for (name, usage) in peaks {
        println!(
            "peak memory, {name:<22} {:>8.1} MB (of it {:.1} MB not backed by a file at the last look)",
            usage.peak_kib as f64 / 1024.0,
            usage.anonymous_kib as f64 / 1024.0
        );
    }
    Ok(())
}

/// The same command with a pipe as output, read and hashed by this process.
fn through_a_pipe(command: &str) -> Result<(Duration, blake3::Hash, u64)> {
    let start = Instant::now();
    let mut child = Command::new("bash")
        .args(["-eo", "pipefail", "-c", command])
        .stdout(Stdio::piped())
        .spawn()?;
    let mut stdout = child.stdout.take().context("no stdout")?;
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = stdout.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        hasher.update(&buffer[..count]);
    }
    child.wait()?;
    Ok((start.elapsed(), hasher.finalize(), hasher.count()))
}

/// The same command with a terminal as output, as steps have it, whose bytes this process drops:
/// what the kernel alone allows.
fn through_a_terminal(command: &str, bytes: u64) -> Result<Duration> {
    let start = Instant::now();
    let pty = nix::pty::openpty(None, None)?;
    let mut settings = nix::sys::termios::tcgetattr(&pty.slave)?;
    settings.output_flags.remove(nix::sys::termios::OutputFlags::OPOST);
    nix::sys::termios::tcsetattr(&pty.slave, nix::sys::termios::SetArg::TCSANOW, &settings)?;
    let mut child = Command::new("bash")
        .args(["-eo", "pipefail", "-c", command])
        .stdin(Stdio::null())
        .stdout(pty.slave)
        .spawn()?;
    let mut buffer = vec![0; 64 * 1024];
    let mut read = 0;
    // The end of a terminal is an error on Linux, so what has come decides.
    while let Ok(count @ 1..) = nix::unistd::read(&pty.master, &mut buffer) {
        read += count as u64;
    }
    child.wait()?;
    ensure!(read == bytes, "{read} bytes came through the terminal of {bytes}");
    Ok(start.elapsed())
}

fn note(peaks: &mut BTreeMap<&'static str, Usage>, name: &'static str, seen: Option<Usage>) {
    if let Some(seen) = seen {
        let entry = peaks.entry(name).or_default();
        if seen.peak_kib >= entry.peak_kib {
            *entry = seen;
        }
    }
}
