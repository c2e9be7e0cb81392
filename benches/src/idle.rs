//! A launch agent that has nothing to do, and how fast one starts.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

use crate::process::{ticks_per_second, usage};
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
    let url = counting_proxy(rig.client.url(), Arc::clone(&requests)).await?;
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
    println!("resident memory                     {:>8.1} MB", after.rss_kib as f64 / 1024.0);
    println!("  not backed by a file              {:>8.1} MB", after.anonymous_kib as f64 / 1024.0);
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

/// A proxy on loopback that counts the requests that pass.
async fn counting_proxy(url: &str, requests: Arc<AtomicU64>) -> Result<String> {
    let target = url.strip_prefix("http://").context("the server is not on http")?.to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(pass(stream, target.clone(), Arc::clone(&requests)));
        }
    });
    Ok(format!("http://{address}"))
}

async fn pass(client: TcpStream, target: String, requests: Arc<AtomicU64>) -> Result<()> {
    let server = TcpStream::connect(target).await?;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let back = tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
    let mut buffer = [0; 8192];
    loop {
        let count = from_client.read(&mut buffer).await?;
        if count == 0 {
            break;
        }
        // A claim fits into one read: the agent sends it in one piece.
        if buffer.starts_with(b"POST ") {
            requests.fetch_add(1, Ordering::Relaxed);
        }
        tokio::io::AsyncWriteExt::write_all(&mut to_server, &buffer[..count]).await?;
    }
    back.abort();
    Ok(())
}
