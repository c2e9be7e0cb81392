//! The farm that is struck: a control plane, two hosts that share the ordinary tasks, and one with
//! a small disk. Each host reaches the control plane through a network that can fail, and each of
//! its slots has a user of its own. The control plane is one server on SQLite, or two on PostgreSQL
//! and S3 behind a proxy (`RUSSET_TEST_STORE=postgres`).

use std::path::{Path, PathBuf};

use russet_protocol::local::{State, Status};

use crate::database::Database;
use crate::jobs::{CLASS, SMALL_CLASS};
use crate::plan::HOSTS;
use crate::support::agent::{Agent, AgentOptions, Mount};
use crate::support::server::{Disturbance, Layout, Server, SeveralServers, Store};
use crate::support::user::SlotUser;
use crate::support::{FaultProxy, test_dir, wait_for};

/// Slots of each host that shares the ordinary tasks.
const SLOTS: u32 = 3;

/// Lease of its tasks: far longer than any fault.
const LEASE: [&str; 2] = ["--lease", "30s"];

/// Size of the control plane's disk.
const SERVER_DISK: &str = "256m";

/// Size of the small disk of a host.
const SMALL_DISK: &str = "64m";

/// A machine with a launch agent.
pub struct Host {
    /// Its name.
    pub name: &'static str,
    /// Its launch agent. Before the users, which its tasks have.
    pub agent: Agent,
    /// Its way to the control plane.
    pub network: FaultProxy,
    /// The users of its slots.
    pub users: SlotUser,
}

impl Host {
    fn start(server: &Server, name: &'static str, token: &str, small: bool) -> Self {
        let slots = if small { 1 } else { SLOTS };
        let users = SlotUser::create_several(slots);
        let network = FaultProxy::start(server.url());
        let mut options = AgentOptions { name: Some(name.to_owned()), ..users.options() };
        options.runner.push(format!("slots: {slots}"));
        // The faults are the plan's, and no reason to wait for minutes.
        options.runner.push("health: {failures: false}".to_owned());
        options.disk = small.then_some(SMALL_DISK);
        let agent = Agent::start_at(network.url(), token, &options);
        Self { name, agent, network, users }
    }

    /// Number of its slots.
    pub fn slots(&self) -> usize {
        self.users.uids().len()
    }

    /// Returns its status if it is idle, with every slot free and nothing to hold it back.
    fn idle_status(&self) -> Option<Status> {
        let status = self.agent.status()?;
        let is_free = status.slots.iter().all(|slot| slot.task.is_none() && slot.class.is_some());
        let is_idle = status.state == State::Idle && status.holds.is_empty();
        (is_free && is_idle && status.slots.len() == self.slots()).then_some(status)
    }

    /// Waits until it is idle and all of its slots are free. Returns its last status otherwise.
    pub fn wait_idle(&self) -> Result<(), String> {
        let mut last = None;
        let start = std::time::Instant::now();
        while start.elapsed() < crate::support::LIMIT {
            if self.idle_status().is_some() {
                return Ok(());
            }
            last = self.agent.status();
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        Err(format!("host {} does not become idle: {last:#?}", self.name))
    }
}

/// All of it.
pub struct Farm {
    /// Machines, by the numbers that plans have.
    pub hosts: Vec<Host>,
    /// The control plane.
    pub server: Server,
    // After the server that lives on it, since fields are dropped in order.
    _mount: Mount,
    dir: tempfile::TempDir,
    logs: PathBuf,
}

impl Farm {
    /// Starts one, whose logs are kept in a directory if the test fails. `None` where something of
    /// the store that is asked for is not installed; the test is recorded as skipped then.
    pub fn start(logs: &Path) -> Option<Self> {
        let dir = test_dir();
        let mount = Mount::tmpfs(&disk_of(dir.path()), SERVER_DISK);
        let server = start_server(&disk_of(dir.path()), logs)?;
        let token = server.admin.class_token(CLASS);
        let small_token = server.admin.class_token(SMALL_CLASS);
        let mut hosts: Vec<Host> = ["first", "second"]
            .into_iter()
            .map(|name| Host::start(&server, name, &token, false))
            .collect();
        assert_eq!(hosts.len(), HOSTS);
        hosts.push(Host::start(&server, "small", &small_token, true));
        // Each journal, and so each fault, names a host that has begun.
        for host in &hosts {
            wait_for("a launch agent", || host.idle_status());
        }
        let ran = dir.path().join("ran");
        std::fs::write(&ran, "").unwrap();
        std::fs::set_permissions(&ran, std::os::unix::fs::PermissionsExt::from_mode(0o666))
            .unwrap();
        Some(Self { hosts, server, _mount: mount, dir, logs: logs.to_owned() })
    }

    /// File to which each task adds a line when it begins. Every user may write to it.
    pub fn ran(&self) -> PathBuf {
        self.dir.path().join("ran")
    }

    /// The control plane's database.
    pub fn database(&self) -> Database {
        match self.server.several() {
            Some(servers) => Database::on_postgres(servers.database()),
            None => Database::in_file(&disk_of(self.dir.path()).join("data/russet.db")),
        }
    }

    /// A file that fills the disk of the control plane.
    pub fn server_ballast(&self) -> PathBuf {
        disk_of(self.dir.path()).join("ballast")
    }

    /// Copies the logs of the launch agents to where that of the control plane is.
    fn keep_logs(&self) {
        for host in &self.hosts {
            std::fs::write(self.logs.join(format!("{}.log", host.name)), host.agent.log()).ok();
        }
    }
}

/// Starts the control plane of this run's store, with its directories on a disk.
fn start_server(disk: &Path, logs: &Path) -> Option<Server> {
    if Store::of_this_run() == Store::Sqlite {
        let log = logs.join("server.log");
        let options = [&LEASE[..], &["--log-file", log.to_str().unwrap()]].concat();
        return Some(Server::start_in(&disk.join("data"), &options));
    }
    let mut layout = Layout::new(&LEASE);
    (layout.data, layout.logs) = (Some(disk.to_owned()), Some(logs.to_owned()));
    SeveralServers::start(&layout, Disturbance::None).map(Server::of_several)
}

/// Mount point of the control plane's disk.
fn disk_of(dir: &Path) -> PathBuf {
    dir.join("disk")
}

impl Drop for Farm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.keep_logs();
        }
    }
}
