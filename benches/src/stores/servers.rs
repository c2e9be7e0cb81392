//! One or two control planes on a store.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use russet_protocol::admin::ServerReady;
use russet_test_object_store::{Bucket, bucket};
use russet_test_postgres::{Database, database_on_disk};

use crate::client::Client;
use crate::process::{children, ticks_per_second, usage};
use crate::rig::CLASS;

/// Lease of all tasks: none lapses while it is measured.
const LEASE: &str = "1h";

/// Files of a data directory that all servers of a database have in common.
const SHARED_FILES: [&str; 2] = ["admin.token", "secrets.key"];

/// Store, and number of servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// SQLite and a directory.
    Sqlite,
    /// The same, which syncs every commit.
    DurableSqlite,
    /// PostgreSQL and S3, and the number of servers.
    Postgres(usize),
}

impl Kind {
    pub(super) fn name(self) -> String {
        match self {
            Self::Sqlite => "SQLite".to_owned(),
            Self::DurableSqlite => "SQLite, --durable".to_owned(),
            Self::Postgres(1) => "PostgreSQL and S3, one server".to_owned(),
            Self::Postgres(servers) => format!("PostgreSQL and S3, {servers} servers"),
        }
    }
}

/// Running servers. Fields are dropped in order.
pub(super) struct Servers {
    processes: Vec<Process>,
    /// Admin API of the first.
    pub(super) client: Client,
    pub(super) class_token: String,
    database: Option<Database>,
    _bucket: Option<Bucket>,
    folder: tempfile::TempDir,
}

/// A server.
struct Process {
    child: Child,
    url: String,
    command: Vec<String>,
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Servers {
    /// Starts them. `None` where something that they need is not installed.
    pub(super) async fn start(russet: &Path, kind: Kind) -> Result<Option<Self>> {
        let place = std::env::var_os("RUSSET_BENCH_DIR").unwrap_or_else(|| "/var/tmp".into());
        let place = PathBuf::from(place);
        let folder = tempfile::tempdir_in(&place)?;
        let mut options = vec!["--lease".to_owned(), LEASE.to_owned()];
        let (mut database, mut objects, mut count) = (None, None, 1);
        match kind {
            Kind::Sqlite => {}
            Kind::DurableSqlite => options.push("--durable".to_owned()),
            Kind::Postgres(servers) => {
                let (Some(made), Some(bucket)) = (database_on_disk(&place), bucket()) else {
                    return Ok(None);
                };
                options.extend(["--database".to_owned(), made.url()]);
                options.extend(bucket.options());
                (database, objects, count) = (Some(made), Some(bucket), servers);
            }
        }
        let (mut processes, mut first) = (Vec::new(), None);
        for number in 0..count {
            let data = folder.path().join(format!("server-{number}"));
            if number > 0 {
                share_keys(&folder.path().join("server-0"), &data)?;
            }
            let (process, ready) = Process::start(russet, &data, &options)?;
            processes.push(process);
            first.get_or_insert(ready);
        }
        let client = Client::new(first.context("there is no server")?)?;
        let class_token = client.create_class(CLASS).await?;
        Ok(Some(Self { processes, client, class_token, database, _bucket: objects, folder }))
    }

    /// Address of the server that an agent of this number talks to.
    pub(super) fn address_of(&self, agent: usize) -> String {
        let process = &self.processes[agent % self.processes.len()];
        process.url.trim_start_matches("http://").to_owned()
    }

    /// The database, where it is on PostgreSQL.
    pub(super) fn database(&self) -> Option<&Database> {
        self.database.as_ref()
    }

    /// File of the database, where it is SQLite.
    pub(super) fn database_file(&self) -> PathBuf {
        self.folder.path().join("server-0/russet.db")
    }

    /// Resident memory of all servers, in MB.
    pub(super) fn memory(&self) -> f64 {
        let all = self.processes.iter().filter_map(|process| usage(process.child.id()));
        all.map(|usage| usage.rss_kib as f64 / 1024.0).sum()
    }

    /// Processor time of all servers so far, in seconds.
    pub(super) fn processor_time(&self) -> f64 {
        seconds_of(self.processes.iter().map(|process| process.child.id()))
    }

    /// Processor time of PostgreSQL's processes so far, in seconds; 0 on SQLite.
    pub(super) fn database_time(&self) -> f64 {
        self.database.as_ref().map_or(0.0, |database| seconds_of(children(database.server_pid())))
    }

    /// Number of open files of all servers.
    pub(super) fn open_files(&self) -> usize {
        let count = |process: &Process| {
            let files = std::fs::read_dir(format!("/proc/{}/fd", process.child.id()));
            files.map_or(0, Iterator::count)
        };
        self.processes.iter().map(count).sum()
    }

    /// Stops the first server, lets something happen, and starts it again.
    pub(super) async fn restart_after(&mut self, between: impl AsyncFnOnce(&Self)) -> Result<()> {
        let mut stopped = self.processes.remove(0);
        let pid = i32::try_from(stopped.child.id())?;
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::SIGTERM)?;
        stopped.child.wait()?;
        between(self).await;
        let (process, ready) = Process::run(&stopped.command)?;
        self.processes.insert(0, process);
        self.client = Client::new(ready)?;
        Ok(())
    }
}

fn seconds_of(pids: impl IntoIterator<Item = u32>) -> f64 {
    let ticks: u64 = pids.into_iter().filter_map(usage).map(|usage| usage.ticks).sum();
    ticks as f64 / ticks_per_second()
}

impl Process {
    fn start(russet: &Path, data: &Path, options: &[String]) -> Result<(Self, ServerReady)> {
        let mut command = vec![russet.display().to_string()];
        let fixed = ["server", "--listen", "127.0.0.1:0", "--ready-stdout", "--data-dir"];
        command.extend(fixed.map(str::to_owned));
        command.push(data.display().to_string());
        command.extend(["--log-file".to_owned(), format!("{}.log", data.display())]);
        command.extend_from_slice(options);
        Self::run(&command)
    }

    fn run(command: &[String]) -> Result<(Self, ServerReady)> {
        let (program, arguments) = command.split_first().context("an empty command")?;
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start `russet server`")?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("no stdout")?).read_line(&mut line)?;
        let ready: ServerReady =
            serde_json::from_str(&line).context("the server did not say that it is ready")?;
        Ok((Self { child, url: ready.url.clone(), command: command.to_vec() }, ready))
    }
}

/// Makes a data directory with the keys of another.
fn share_keys(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir(to)?;
    std::fs::set_permissions(to, PermissionsExt::from_mode(0o700))?;
    for name in SHARED_FILES {
        std::fs::copy(from.join(name), to.join(name))?;
    }
    Ok(())
}
