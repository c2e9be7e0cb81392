//! A launch agent that has nothing to do, and how fast one starts.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use crate::process::{Usage, children, proportional_kib, ticks_per_second, usage};
use crate::proxy::count_requests;
use crate::rig::Rig;
use crate::stats::Samples;

/// Watches an idle launch agent for `seconds`.
pub(crate) async fn measure(russet: &Path, seconds: u64) -> Result<()> {
    let mut rig = Rig::start(russet).await?;
    let mut cold = Samples::default();
    for _ in 0..10 {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let start = Instant::now();
        rig.start_agent_at(&format!("http://{}", listener.local_addr()?), 1)?;
        let (mut stream, _) = listener.accept().await?;
        let mut buffer = [0; 16];
        stream.read_exact(&mut buffer).await?;
        cold.push(start.elapsed());
    }
    cold.print("cold start → first claim");
    drop(rig);

    let mut rig = Rig::start(russet).await?;
    let requests = Arc::new(AtomicU64::new(0));
    let url = count_requests(rig.client.url(), Arc::clone(&requests)).await?;
    let pid = rig.start_agent_at(&url, 1)?;
    // What starting costs is not what idling costs.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let before = usage(pid).context("the agent is gone")?;
    let requests_before = requests.load(Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let after = usage(pid).context("the agent is gone")?;
    let cpu = (after.ticks - before.ticks) as f64 / ticks_per_second();
    let minutes = seconds as f64 / 60.0;
    println!("watched for                         {seconds} s");
    print_memory("launch agent", pid, after);
    for child in children(pid) {
        print_memory("waiting task agent", child, usage(child).context("it is gone")?);
    }
    println!("processor seconds an hour           {:>8.2}", cpu * 60.0 / minutes);
    println!(
        "wake-ups a minute                   {:>8.1}",
        (after.wakeups - before.wakeups) as f64 / minutes
    );
    println!(
        "requests a minute                   {:>8.1}",
        (requests.load(Ordering::Relaxed) - requests_before) as f64 / minutes
    );
    Ok(())
}

/// Prints the memory of a process: resident, its share of pages that others map too, and what no
/// file backs.
fn print_memory(name: &str, pid: u32, usage: Usage) {
    let mb = |kib: u64| kib as f64 / 1024.0;
    println!("{name:<35} {:>8.1} MB resident", mb(usage.rss_kib));
    if let Some(share) = proportional_kib(pid) {
        println!("  proportional                      {:>8.1} MB", mb(share));
    }
    println!("  not backed by a file              {:>8.1} MB", mb(usage.anonymous_kib));
}
