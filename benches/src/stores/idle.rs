//! 2,000 agents that wait: memory, processor time and open files of the servers.

use std::time::Duration;

use anyhow::{Result, ensure};
use futures_util::future::try_join_all;

use super::agents::{Agent, connect_all};
use super::servers::Servers;

/// Number of agents.
const AGENTS: usize = 2000;

/// Time that an agent lets a claim wait, in seconds, as `russet agent` does.
const WAIT: u64 = 50;

/// Duration of the measurement, in seconds.
const SECONDS: u64 = 30;

/// Measures. The claims of the agents end one after the other, all through the time that one waits.
pub(super) async fn measure(servers: &Servers, scale: usize) -> Result<()> {
    let count = AGENTS / scale;
    let (memory, files) = (servers.memory(), servers.open_files());
    let mut agents = connect_all(servers, count).await?;
    for part in agents.chunks_mut(100) {
        try_join_all(part.iter_mut().map(|agent| agent.claim(0))).await?;
    }
    let wait_always = async |(number, agent): (usize, &mut Agent)| -> Result<()> {
        let mut wait = 1 + WAIT * number as u64 / count as u64;
        loop {
            ensure!(agent.claim(wait).await?.is_none(), "a task came from nowhere");
            wait = WAIT;
        }
    };
    let seconds = SECONDS / scale as u64;
    let look = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let (before, database) = (servers.processor_time(), servers.database_time());
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        let share = |time: f64| time * 100.0 / seconds as f64;
        println!(
            "{count} idle agents: memory            {:>8.1} MB, {memory:.1} before",
            servers.memory()
        );
        println!(
            "… processor                         {:>8.2} % of a core, {:.2} % the database's",
            share(servers.processor_time() - before),
            share(servers.database_time() - database)
        );
        println!("… open files                        {:>8}, {files} before", servers.open_files());
        Ok(())
    };
    tokio::select! {
        done = look => done,
        ended = try_join_all(agents.iter_mut().enumerate().map(wait_always)) => ended.map(drop),
    }
}
