//! Two servers on one PostgreSQL and one S3, neither of them ours, behind a proxy that is not ours
//! either; one server is killed every few seconds, and started again.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::unistd::Pid;
use russet_protocol::secret::Secret;
use russet_test_object_store::Bucket;
use russet_test_postgres::Database;

use super::balancer::{Balancer, PROGRAM};
use super::one::ServerProcess;
use crate::support::{has_tool, test_dir};

/// Number of servers.
pub const SERVERS: usize = 2;

/// Time between two kills.
const KILL_INTERVAL: Duration = Duration::from_secs(3);

/// Time that a server which was killed is away.
const AWAY: Duration = Duration::from_millis(300);

/// Files of a data directory that all servers of a database have in common.
const SHARED_FILES: [&str; 2] = ["admin.token", "secrets.key"];

/// Killing of servers that the test does not ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disturbance {
    /// None: the test has faults of its own.
    #[allow(dead_code, reason = "tests/chaos uses it")]
    None,
    /// One server after the other is killed.
    Kills,
}

/// Where the servers have their files, and their arguments.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    /// Arguments of each server.
    pub options: Vec<String>,
    /// Directory of all data directories, where it is not one of the test's own.
    pub data: Option<PathBuf>,
    /// Directory of a log file for each server.
    pub logs: Option<PathBuf>,
}

impl Layout {
    /// One with these arguments.
    pub fn new(options: &[&str]) -> Self {
        let options = options.iter().map(|&option| option.to_owned()).collect();
        Self { options, ..Self::default() }
    }

    fn options_of(&self, number: usize) -> Vec<String> {
        let mut options = self.options.clone();
        if let Some(logs) = &self.logs {
            let file = logs.join(format!("server-{number}.log")).display().to_string();
            options.extend(["--log-file".to_owned(), file]);
        }
        options
    }
}

/// The servers.
pub struct SeveralServers {
    // Dropped in this order: nobody kills what is about to end, and the database is the last.
    killer: Option<Killer>,
    shared: Arc<Shared>,
    balancer: Balancer,
    database: Arc<Database>,
    _bucket: Bucket,
    admin_token: Secret,
    admin_token_file: PathBuf,
    _dir: tempfile::TempDir,
}

/// Parts that the test and the thread that kills have in common.
struct Shared {
    servers: Mutex<Vec<ServerProcess>>,
    /// Held by requests of the test that must not be cut off, and by who kills.
    calm: Arc<RwLock<()>>,
}

impl Shared {
    fn servers(&self) -> MutexGuard<'_, Vec<ServerProcess>> {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Kills a server between two requests of the test that must not be cut off.
    fn kill(&self, number: usize) {
        let calm = self.calm.write().unwrap_or_else(PoisonError::into_inner);
        self.servers()[number].kill();
        drop(calm);
    }
}

impl SeveralServers {
    /// Starts them. `None` where something of it is not installed; the current test is recorded as
    /// skipped then.
    #[track_caller]
    pub fn start(layout: &Layout, disturbance: Disturbance) -> Option<Self> {
        if !has_tool(PROGRAM) {
            return None;
        }
        let database = Arc::new(russet_test_postgres::database()?);
        let bucket = russet_test_object_store::bucket()?;
        let dir = test_dir();
        let data = layout.data.clone().unwrap_or_else(|| dir.path().to_owned());
        let first = data.join("data-0");
        let mut servers = Vec::new();
        for number in 0..SERVERS {
            let own = data.join(format!("data-{number}"));
            if number > 0 {
                share_keys(&first, &own);
            }
            let mut options = layout.options_of(number);
            options.extend(["--database".to_owned(), database.url()]);
            options.extend(bucket.options());
            servers.push(ServerProcess::start(&own, &listen_address(), &options));
        }
        let addresses: Vec<&str> = servers.iter().map(ServerProcess::address).collect();
        let balancer = Balancer::start(dir.path(), &addresses);
        balancer.wait_until_open();
        let admin_token = servers[0].admin_token();
        let admin_token_file = servers[0].admin_token_file();
        let shared = Arc::new(Shared { servers: Mutex::new(servers), calm: Arc::default() });
        let killer =
            (disturbance == Disturbance::Kills).then(|| Killer::start(Arc::clone(&shared)));
        Some(Self {
            killer,
            shared,
            balancer,
            database,
            _bucket: bucket,
            admin_token,
            admin_token_file,
            _dir: dir,
        })
    }

    /// Origin of the proxy.
    pub fn url(&self) -> &str {
        self.balancer.url()
    }

    /// The admin token, which is that of each.
    pub fn admin_token(&self) -> Secret {
        self.admin_token.clone()
    }

    /// File of the admin token.
    pub fn admin_token_file(&self) -> PathBuf {
        self.admin_token_file.clone()
    }

    /// Lock that keeps the servers from being killed while it is held for reading.
    pub fn calm(&self) -> Arc<RwLock<()>> {
        Arc::clone(&self.shared.calm)
    }

    /// Kills all, which stay away until they are started again.
    pub fn kill_all(&mut self) {
        self.killer = None;
        self.shared.servers().iter_mut().for_each(ServerProcess::kill);
    }

    /// Starts all again, and waits until the proxy has noticed.
    pub fn start_all_again(&mut self) {
        self.shared.servers().iter_mut().for_each(ServerProcess::start_again);
        self.balancer.wait_until_open();
    }
}

#[allow(dead_code, reason = "tests/several_servers.rs uses it")]
impl SeveralServers {
    /// Returns the exit code of one that ends by itself, once it has.
    pub fn wait_for_end(&self, number: usize) -> Option<i32> {
        self.shared.servers()[number].wait()
    }

    /// Makes the command that starts one again.
    pub fn command_of(&self, number: usize) -> Command {
        self.shared.servers()[number].command()
    }
}

#[allow(dead_code, reason = "tests/chaos uses it")]
impl SeveralServers {
    /// The database.
    pub fn database(&self) -> Arc<Database> {
        Arc::clone(&self.database)
    }

    /// Kills one, by any number.
    pub fn kill_one(&self, pick: u64) {
        self.shared.servers()[index_of(pick)].kill();
    }

    /// Starts the same again.
    pub fn start_one_again(&self, pick: u64) {
        self.shared.servers()[index_of(pick)].start_again();
    }

    /// Process id of one, by any number.
    pub fn pid_of_one(&self, pick: u64) -> Pid {
        self.shared.servers()[index_of(pick)].pid()
    }
}

#[allow(dead_code, reason = "tests/chaos uses it")]
fn index_of(pick: u64) -> usize {
    usize::try_from(pick % SERVERS as u64).unwrap()
}

/// Number of the addresses that servers of this program have taken.
static ADDRESSES: AtomicU32 = AtomicU32::new(0);

/// Returns an address on which a server that was killed finds its port free again. Connections to
/// 127.0.0.1 begin there, so one of them could have taken the port meanwhile; on Linux all of
/// 127.0.0.0/8 is this machine, so each server listens on an address of its own.
fn listen_address() -> String {
    if !cfg!(target_os = "linux") {
        return "127.0.0.1:0".to_owned();
    }
    let number = ADDRESSES.fetch_add(1, Ordering::Relaxed);
    let [.., high, low] = std::process::id().to_be_bytes();
    // Never 127.0.x.x, nor the last number of a network.
    format!("127.{}.{low}.{}:0", 1 + high % 254, 1 + number % 254)
}

/// Makes a data directory with the keys of another, as the documentation says.
fn share_keys(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    std::fs::set_permissions(to, PermissionsExt::from_mode(0o700)).unwrap();
    for name in SHARED_FILES {
        // With its mode.
        std::fs::copy(from.join(name), to.join(name)).unwrap();
    }
}

/// The thread that kills one server after the other.
struct Killer {
    stop: Sender<()>,
    thread: Option<JoinHandle<()>>,
}

impl Killer {
    fn start(shared: Arc<Shared>) -> Self {
        let (stop, stopped) = channel();
        let waits =
            move |time| matches!(stopped.recv_timeout(time), Err(RecvTimeoutError::Timeout));
        let thread = std::thread::spawn(move || {
            for number in (0..SERVERS).cycle() {
                if !waits(KILL_INTERVAL) {
                    return;
                }
                shared.kill(number);
                let goes_on = waits(AWAY);
                shared.servers()[number].start_again();
                if !goes_on {
                    return;
                }
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Killer {
    fn drop(&mut self) {
        self.stop.send(()).ok();
        let ended = self.thread.take().map(JoinHandle::join);
        // A test that fails already says why.
        if !std::thread::panicking() {
            assert!(matches!(ended, Some(Ok(()))), "a server that was killed did not start again");
        }
    }
}
