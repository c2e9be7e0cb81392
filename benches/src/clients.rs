//! Cost of a hundred clients of the local API for the agent's tasks: with and without them by
//! turns.
//!
//! Twenty of the clients never read what they are told; the others read all of it.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;

use anyhow::{Context, Result};

use crate::latency::{one_step, one_task};
use crate::process::usage;
use crate::rig::Rig;
use crate::stats::Samples;

const CLIENTS: usize = 100;
const SILENT: usize = 20;

/// Number of measurements of both.
const ROUNDS: usize = 8;

/// Submits `count` pipelines without clients, and as many with them.
pub(crate) async fn measure(russet: &Path, count: usize) -> Result<()> {
    let mut rig = Rig::start(russet).await?;
    let agent = rig.start_agent(1)?;
    let socket = rig.state(0).join("agent.sock");
    let config = one_step("echo hello");
    for _ in 0..10 {
        one_task(&rig, &config).await?;
    }
    let resident = || usage(agent).unwrap_or_default().rss_kib as f64 / 1024.0;
    let before = resident();
    let (mut alone, mut watched) = (Samples::default(), Samples::default());
    let mut most = before;
    for _ in 0..ROUNDS {
        for _ in 0..count / ROUNDS {
            alone.push(one_task(&rig, &config).await?.0);
        }
        let clients = Clients::connect(&socket)?;
        for _ in 0..count / ROUNDS {
            watched.push(one_task(&rig, &config).await?.0);
        }
        most = most.max(resident());
        drop(clients);
    }
    alone.print("submit → first output, no clients");
    watched.print("… with 100 clients of the local API");
    println!(
        "ratio                               p50 {:.2}   p99 {:.2}",
        watched.percentile(50) / alone.percentile(50),
        watched.percentile(99) / alone.percentile(99)
    );
    println!("resident memory of the agent        {before:.1} MB, {most:.1} MB with clients");
    Ok(())
}

/// Clients that watch. They hang up when they are dropped.
struct Clients(Vec<UnixStream>);

impl Clients {
    fn connect(socket: &Path) -> Result<Self> {
        let mut clients = Vec::new();
        for number in 0..CLIENTS {
            let mut client = UnixStream::connect(socket).context("the agent's socket")?;
            client.write_all(b"GET /v1/events HTTP/1.1\r\nhost: agent\r\n\r\n")?;
            if number >= SILENT {
                let mut own = client.try_clone()?;
                std::thread::spawn(move || {
                    let mut buffer = [0; 16 * 1024];
                    while let Ok(1..) = own.read(&mut buffer) {}
                });
            }
            clients.push(client);
        }
        Ok(Self(clients))
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        for client in &self.0 {
            client.shutdown(Shutdown::Both).ok();
        }
    }
}
