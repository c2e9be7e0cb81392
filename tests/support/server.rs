//! A control plane of a test, which can be killed and started again on its data.
//!
//! It is one process on SQLite, or what a farm has, where `RUSSET_TEST_STORE=postgres` asks for
//! that: two servers on PostgreSQL and S3 behind a proxy, one of them killed every few seconds. So
//! the same tests run on both. A test that is about one process or its files says why it is
//! ([`Server::start_alone`]).

mod balancer;
mod one;
mod several;

use std::path::{Path, PathBuf};

use nix::unistd::Pid;

use super::Admin;
use one::ServerProcess;
pub use several::{Disturbance, Layout, SeveralServers};

/// A running control plane.
pub struct Server {
    running: Running,
    url: String,
    /// Its admin API.
    pub admin: Admin,
    // Last, so that it outlives the process.
    _dir: Option<tempfile::TempDir>,
}

/// The processes of a control plane.
enum Running {
    One(Box<ServerProcess>),
    Several(Box<SeveralServers>),
}

/// Kind of store that tests run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// SQLite and a directory.
    Sqlite,
    /// PostgreSQL and S3.
    Postgres,
}

impl Store {
    /// Returns the store that this run is for.
    pub fn of_this_run() -> Self {
        let name = std::env::var("RUSSET_TEST_STORE").unwrap_or_default();
        match name.as_str() {
            "" | "sqlite" => Self::Sqlite,
            "postgres" => Self::Postgres,
            _ => panic!("RUSSET_TEST_STORE is sqlite or postgres, not {name}"),
        }
    }
}

impl Server {
    /// Starts one without data.
    #[track_caller]
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts one with these arguments besides. Where what the other store needs is not installed,
    /// the test is recorded as skipped there, and runs on SQLite.
    #[track_caller]
    pub fn start_with(options: &[&str]) -> Self {
        if Store::of_this_run() == Store::Postgres {
            let layout = Layout::new(options);
            if let Some(servers) = SeveralServers::start(&layout, Disturbance::Kills) {
                return Self::of_several(servers);
            }
        }
        let dir = super::test_dir();
        let data = dir.path().join("data");
        Self::of_one(ServerProcess::start(&data, "127.0.0.1:0", options), Some(dir))
    }

    /// Starts one process on SQLite whatever this run is for. `why` is the reason, for people.
    pub fn start_alone(why: &str, options: &[&str]) -> Self {
        assert!(!why.is_empty());
        let dir = super::test_dir();
        let data = dir.path().join("data");
        Self::of_one(ServerProcess::start(&data, "127.0.0.1:0", options), Some(dir))
    }

    /// Starts one process on this data directory, which the test made for it, so always alone and
    /// on SQLite.
    pub fn start_in(data: &Path, options: &[&str]) -> Self {
        Self::of_one(ServerProcess::start(data, "127.0.0.1:0", options), None)
    }

    /// Takes servers on PostgreSQL that were started.
    pub fn of_several(servers: SeveralServers) -> Self {
        let admin = Admin::new(servers.url(), servers.admin_token()).between(servers.calm());
        let url = servers.url().to_owned();
        Self { running: Running::Several(Box::new(servers)), url, admin, _dir: None }
    }

    fn of_one(process: ServerProcess, dir: Option<tempfile::TempDir>) -> Self {
        let admin = Admin::new(process.url(), process.admin_token());
        let url = process.url().to_owned();
        Self { running: Running::One(Box::new(process)), url, admin, _dir: dir }
    }

    /// Origin; of the proxy, where there are several servers.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Kills it as a crash does, all processes of it.
    pub fn kill(&mut self) {
        match &mut self.running {
            Running::One(process) => process.kill(),
            Running::Several(servers) => servers.kill_all(),
        }
    }

    /// Starts it again on the same data and the same port.
    pub fn start_again(&mut self) {
        match &mut self.running {
            Running::One(process) => process.start_again(),
            Running::Several(servers) => servers.start_all_again(),
        }
    }

    /// Process id. Only of one that is alone.
    pub fn pid(&self) -> Pid {
        match &self.running {
            Running::One(process) => process.pid(),
            Running::Several(_) => panic!("several servers have no process id: start it alone"),
        }
    }

    /// File of the admin token in its data directory.
    pub fn admin_token_file(&self) -> PathBuf {
        match &self.running {
            Running::One(process) => process.admin_token_file(),
            Running::Several(servers) => servers.admin_token_file(),
        }
    }

    /// The admin token in its data directory.
    pub fn admin_token_on_disk(&self) -> String {
        let text = std::fs::read_to_string(self.admin_token_file()).unwrap();
        text.trim().to_owned()
    }
}

#[allow(dead_code, reason = "tests/moving.rs uses it")]
impl Server {
    /// Lets it end as an owner does. Only one that is alone.
    pub fn stop(&mut self) {
        match &mut self.running {
            Running::One(process) => process.stop(),
            Running::Several(_) => panic!("several servers are not stopped: start it alone"),
        }
    }

    /// Starts it again on the same port with other options. Only one that is alone.
    pub fn start_again_with(&mut self, options: &[&str]) {
        match &mut self.running {
            Running::One(process) => process.start_again_with(options),
            Running::Several(_) => panic!("several servers have their options: start it alone"),
        }
    }
}

#[allow(dead_code, reason = "tests/chaos uses it")]
impl Server {
    /// Kills one process of it, by any number.
    pub fn kill_one(&mut self, pick: u64) {
        match &mut self.running {
            Running::One(process) => process.kill(),
            Running::Several(servers) => servers.kill_one(pick),
        }
    }

    /// Starts that process again.
    pub fn start_one_again(&mut self, pick: u64) {
        match &mut self.running {
            Running::One(process) => process.start_again(),
            Running::Several(servers) => servers.start_one_again(pick),
        }
    }

    /// Id of one process of it, by any number.
    pub fn pid_of_one(&self, pick: u64) -> Pid {
        match &self.running {
            Running::One(process) => process.pid(),
            Running::Several(servers) => servers.pid_of_one(pick),
        }
    }

    /// The servers on PostgreSQL, where it is these.
    pub fn several(&self) -> Option<&SeveralServers> {
        match &self.running {
            Running::One(..) => None,
            Running::Several(servers) => Some(servers),
        }
    }
}
