//! A control plane and launch agents as real processes, on loopback, in a directory of their own.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use russet_protocol::admin::ServerReady;

use crate::client::Client;

/// The resource class that everything is measured on.
pub(crate) const CLASS: &str = "bench/one";

/// A running control plane with one class, and what is needed to start launch agents.
pub(crate) struct Rig {
    russet: std::path::PathBuf,
    folder: tempfile::TempDir,
    server: Child,
    agents: Vec<Child>,
    /// The admin API of the control plane.
    pub(crate) client: Client,
    class_token: String,
}

impl Rig {
    /// Starts a control plane and makes the class and its token.
    pub(crate) async fn start(russet: &Path) -> Result<Self> {
        let place = std::env::var_os("RUSSET_BENCH_DIR").unwrap_or_else(|| "/var/tmp".into());
        let folder = tempfile::tempdir_in(place)?;
        // Slot users have to reach their slots below this directory.
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o711))?;
        let mut server = Command::new(russet)
            .args(["server", "--listen", "127.0.0.1:0", "--ready-stdout", "--data-dir"])
            .arg(folder.path().join("server"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log(folder.path(), "server.log")?)
            .spawn()
            .context("cannot start `russet server`")?;
        let mut line = String::new();
        BufReader::new(server.stdout.take().context("no stdout")?).read_line(&mut line)?;
        let ready: ServerReady =
            serde_json::from_str(&line).context("the server did not say that it is ready")?;
        let client = Client::new(ready)?;
        let class_token = client.create_class(CLASS).await?;
        Ok(Self {
            russet: russet.to_owned(),
            folder,
            server,
            agents: Vec::new(),
            client,
            class_token,
        })
    }

    /// Starts a launch agent with so many slots and returns its process id.
    pub(crate) fn start_agent(&mut self, slots: usize) -> Result<u32> {
        let url = self.client.url().to_owned();
        self.start_agent_at(&url, slots)
    }

    /// Starts a launch agent that claims from another address.
    pub(crate) fn start_agent_at(&mut self, url: &str, slots: usize) -> Result<u32> {
        let number = self.agents.len();
        let path = self.folder.path().join(format!("agent-{number}.yaml"));
        let state = self.folder.path().join(format!("agent-{number}"));
        let mut file =
            std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        write!(
            file,
            "api:\n  url: {url}\n  auth_token: {token}\nrunner:\n  name: bench-{number}\n  \
             slots: {slots}\n  state_directory: {state}\nlogging:\n  format: text\n",
            token = self.class_token,
            state = state.display()
        )?;
        let agent = Command::new(&self.russet)
            .args(["agent", "run", "--config"])
            .arg(&path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log(self.folder.path(), &format!("agent-{number}.log"))?)
            .spawn()
            .context("cannot start `russet agent run`")?;
        let pid = agent.id();
        self.agents.push(agent);
        Ok(pid)
    }

    /// Token of the class.
    pub(crate) fn class_token(&self) -> &str {
        &self.class_token
    }

    /// Ends an agent that runs nothing, and waits for it.
    pub(crate) fn stop_agent(&mut self, pid: u32) -> Result<()> {
        let place = self.agents.iter().position(|agent| agent.id() == pid);
        let mut agent = self.agents.remove(place.context("no such agent")?);
        let killed = agent.kill();
        agent.wait()?;
        Ok(killed?)
    }

    /// A directory that goes when this ends.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// State directory of an agent, by the order in which they were started.
    pub(crate) fn state(&self, number: usize) -> std::path::PathBuf {
        self.folder.path().join(format!("agent-{number}"))
    }

    /// Process id of the control plane.
    pub(crate) fn server_pid(&self) -> u32 {
        self.server.id()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        for agent in &mut self.agents {
            if let Ok(pid) = i32::try_from(agent.id()) {
                // Twice: drain, then end.
                for _ in 0..2 {
                    // SAFETY: kill takes two numbers; the child is not reaped yet, so the id is
                    // still its own.
                    unsafe { libc::kill(pid, libc::SIGTERM) };
                }
            }
            agent.wait().ok();
        }
        self.server.kill().ok();
        self.server.wait().ok();
        if std::env::var_os("RUSSET_BENCH_KEEP").is_some() {
            self.folder.disable_cleanup(true);
            eprintln!("kept {}", self.folder.path().display());
        }
    }
}

fn log(folder: &Path, name: &str) -> Result<std::fs::File> {
    Ok(std::fs::File::create(folder.join(name))?)
}
