//! The control plane on both of its stores, side by side and on disk: claims, the time from the
//! queue to an agent, idle agents, output, lists over a long history.
//!
//! Agents are clients of the claim protocol, in this process: what they do not do, runs no tasks. The
//! servers are processes; PostgreSQL is the system's, with `synchronous_commit` on, and the S3 of
//! several servers is versitygw.

mod agents;
mod claims;
mod history;
mod idle;
mod ingest;
mod servers;
mod wire;

use std::path::Path;

use anyhow::Result;

use self::servers::{Kind, Servers};

/// All stores that are measured.
const KINDS: [Kind; 4] = [Kind::Sqlite, Kind::DurableSqlite, Kind::Postgres(1), Kind::Postgres(2)];

/// Measures all, with counts that are divided by `scale`.
pub(crate) async fn measure(russet: &Path, scale: usize) -> Result<()> {
    for kind in KINDS {
        println!("\n### {}", kind.name());
        let Some(servers) = Servers::start(russet, kind).await? else {
            println!("not measured: PostgreSQL or versitygw is not installed");
            continue;
        };
        // First: what was needed for something else is not always given back.
        if kind != Kind::DurableSqlite {
            idle::measure(&servers, scale).await?;
        }
        claims::measure(&servers, scale).await?;
        ingest::measure(&servers, scale).await?;
        if matches!(kind, Kind::Sqlite | Kind::Postgres(1)) {
            history::measure(servers, scale).await?;
        }
    }
    Ok(())
}
