//! An agent as the server sees one: it claims, fetches what it is to do, and says that it is done.

use anyhow::{Context, Result};
use russet_protocol::ALLOCATION_HEADER;
use russet_protocol::runner::ClaimResponse;
use serde_json::json;

use super::servers::Servers;
use super::wire::Wire;

/// An agent with one slot, and its connection.
pub(super) struct Agent {
    wire: Wire,
    token: String,
    name: String,
}

impl Agent {
    /// Connects one.
    pub(super) async fn connect(servers: &Servers, number: usize) -> Result<Self> {
        let wire = Wire::open(&servers.address_of(number)).await?;
        let token = servers.class_token.clone();
        Ok(Self { wire, token, name: format!("bench-{number}") })
    }

    /// Claims, and waits for a task for up to `wait` seconds.
    pub(super) async fn claim(&mut self, wait: u64) -> Result<Option<ClaimResponse>> {
        let body = json!({ "name": self.name, "hostname": "bench", "ip": "", "version": "1" });
        let head = format!("content-type: application/json\r\nprefer: wait={wait}\r\n");
        let call = "POST /api/v3/runner/claim";
        let answer = self.wire.ask(call, &self.token, &head, body.to_string().as_bytes()).await?;
        if answer.status == 204 {
            return Ok(None);
        }
        let body = answer.good(call)?;
        Ok(Some(serde_json::from_slice(&body).context("a claim's answer")?))
    }

    /// Makes a call for a task.
    pub(super) async fn ask_for(
        &mut self,
        task: &ClaimResponse,
        call: &str,
        head: &str,
        body: &[u8],
    ) -> Result<Vec<u8>> {
        let head = format!("{head}{ALLOCATION_HEADER}: {}\r\n", task.allocation);
        let token = task.task_token.expose();
        self.wire.ask(call, token, &head, body).await?.good(call)
    }

    /// Makes a call for a task with a body of JSON.
    pub(super) async fn tell(
        &mut self,
        task: &ClaimResponse,
        call: &str,
        body: &serde_json::Value,
    ) -> Result<Vec<u8>> {
        let head = "content-type: application/json\r\n";
        self.ask_for(task, call, head, body.to_string().as_bytes()).await
    }

    /// Fetches what the task is, and ends it.
    pub(super) async fn finish(&mut self, task: &ClaimResponse) -> Result<()> {
        self.ask_for(task, "GET /api/v2/task/config", "", b"").await?;
        let done = json!({
            "allocation": task.allocation, "outcome": "success", "last_seq": 0, "output": {}
        });
        self.tell(task, "POST /api/v3/task/finish", &done).await?;
        Ok(())
    }
}

/// Connects `count` agents.
pub(super) async fn connect_all(servers: &Servers, count: usize) -> Result<Vec<Agent>> {
    let mut agents = Vec::with_capacity(count);
    for number in 0..count {
        agents.push(Agent::connect(servers, number).await?);
    }
    Ok(agents)
}
