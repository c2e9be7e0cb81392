//! PostgreSQL for tests: one server for each test program, on a socket in a directory of its own,
//! and one database for each test. Where PostgreSQL is not installed, the test is listed as skipped.
//!
//! The server is a child of a shell that waits for the end of its standard input, which this
//! process holds: so it ends, and its directory goes, however the tests end.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "this is a part of tests, and what does not come as expected fails them"
)]

mod certificates;
mod programs;

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

pub use certificates::Certificates;
use programs::{Account, account, programs};
use russet_test_skip::{Lacks, skip};

/// Longest start of a server.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// Port of a server that is not told one.
const DEFAULT_PORT: &str = "5432";

/// Owner of all databases.
const USER: &str = "russet";

/// A running server.
#[derive(Debug)]
struct Cluster {
    programs: PathBuf,
    dir: PathBuf,
    account: Option<Account>,
    /// Port, which is a part of the socket's name.
    port: String,
    /// The shell that runs the server, until its standard input is closed.
    _shell: Child,
}

static CLUSTER: OnceLock<Option<Cluster>> = OnceLock::new();
static CLUSTER_ON_DISK: OnceLock<Option<Cluster>> = OnceLock::new();
static DATABASES: AtomicU32 = AtomicU32::new(0);

/// A database of one test; dropped with it.
#[derive(Debug)]
pub struct Database {
    cluster: &'static Cluster,
    name: String,
}

/// Makes an empty database. `None` where PostgreSQL is not installed; the current test is recorded
/// as skipped then.
///
/// # Panics
///
/// If the server does not start, or the environment requires tools.
#[must_use]
#[track_caller]
pub fn database() -> Option<Database> {
    let start = |programs| Cluster::start(programs, &std::env::temp_dir(), QUICK);
    database_of(CLUSTER.get_or_init(|| programs().map(start)).as_ref())
}

/// Makes an empty database in a server that syncs what it commits, as PostgreSQL does unless it is
/// told otherwise, to a directory below `parent`. To measure with.
///
/// # Panics
///
/// As for [`database`].
#[must_use]
#[track_caller]
pub fn database_on_disk(parent: &Path) -> Option<Database> {
    let start = |programs| Cluster::start(programs, parent, ON_DISK);
    database_of(CLUSTER_ON_DISK.get_or_init(|| programs().map(start)).as_ref())
}

/// A server of its own that speaks TLS on `localhost`, with a certificate for that name.
#[derive(Debug)]
pub struct TlsServer {
    cluster: Cluster,
    port: u16,
    /// Its certificate, and the authorities.
    pub certificates: Certificates,
}

/// Starts a server that speaks TLS. It ends with what is returned.
///
/// # Panics
///
/// As for [`database`].
#[must_use]
#[track_caller]
pub fn server_with_tls(dir: &Path) -> Option<TlsServer> {
    let Some(programs) = programs() else {
        skip(Lacks::Tool, "PostgreSQL is not installed");
        return None;
    };
    let certificates = Certificates::make(dir);
    // Free a moment ago, and nobody else is given it soon.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let settings = format!(
        "{QUICK} -c ssl=on -c ssl_cert_file=server.pem -c ssl_key_file=server.key \
         -c listen_addresses=127.0.0.1 -c port={port}"
    );
    let cluster = Cluster::start_with(programs, &std::env::temp_dir(), &settings, |data| {
        for file in [&certificates.certificate, &certificates.key] {
            let to = data.join(file.file_name().unwrap());
            std::fs::copy(file, &to).unwrap();
            std::fs::set_permissions(&to, std::fs::Permissions::from_mode(0o600)).unwrap();
            if let Some(Account { uid, gid }) = account() {
                std::os::unix::fs::chown(&to, Some(uid), Some(gid)).unwrap();
            }
        }
    });
    Some(TlsServer { cluster, port, certificates })
}

impl TlsServer {
    /// Returns the address of its database by a name or an address of this machine, with options.
    #[must_use]
    pub fn url(&self, host: &str, options: &str) -> String {
        format!("postgres://{USER}@{host}:{}/postgres?{options}", self.port)
    }

    /// Executes a statement, as [`Database::sql`] does.
    #[must_use]
    pub fn sql(&self, statement: &str) -> String {
        self.cluster.sql("postgres", statement)
    }
}

#[track_caller]
fn database_of(cluster: Option<&'static Cluster>) -> Option<Database> {
    let Some(cluster) = cluster else {
        skip(Lacks::Tool, "PostgreSQL is not installed");
        return None;
    };
    let name = format!("test_{}", DATABASES.fetch_add(1, Ordering::Relaxed));
    cluster.sql("postgres", &format!("CREATE DATABASE {name}"));
    Some(Database { cluster, name })
}

impl Database {
    /// Returns its address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgres://{USER}@/{}?host={}", self.name, self.cluster.dir.display())
    }

    /// Executes a statement, and returns what it selects, one line for each row.
    #[must_use]
    pub fn sql(&self, statement: &str) -> String {
        self.cluster.sql(&self.name, statement)
    }

    /// Returns the id of the server's first process, which is the parent of all others.
    ///
    /// # Panics
    ///
    /// If the server has ended.
    #[must_use]
    pub fn server_pid(&self) -> u32 {
        let file = self.cluster.dir.join("data/postmaster.pid");
        let text = std::fs::read_to_string(file).unwrap();
        text.lines().next().unwrap().trim().parse().unwrap()
    }

    /// Returns the schema and all rows as SQL.
    #[must_use]
    pub fn dump(&self) -> String {
        self.cluster.output("pg_dump", &["--inserts", &self.name])
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let drop = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        self.cluster.sql("postgres", &drop);
    }
}

/// Settings of a server of tests: without `fsync`, since no test cuts the power.
const QUICK: &str = "-c fsync=off -c full_page_writes=off -c shared_buffers=64MB";

/// Settings of a server that is measured: what it has without any, but for the memory.
const ON_DISK: &str = "-c shared_buffers=256MB";

/// Runs the server until standard input ends. `$1` is the directory of the programs, `$2` that of
/// the server, `$3` more settings.
const SCRIPT: &str = r#"
trap '' INT TERM HUP
"$1/postgres" -D "$2/data" -k "$2" -c listen_addresses= -c max_connections=300 \
    -c synchronous_commit=on $3 -c logging_collector=off >"$2/log" 2>&1 &
server=$!
cat >/dev/null
kill -QUIT "$server"
wait "$server"
rm -rf "$2"
"#;

impl Cluster {
    /// Starts one, as another user where this is root: PostgreSQL refuses to run as root.
    fn start(programs: PathBuf, parent: &Path, settings: &str) -> Self {
        Self::start_with(programs, parent, settings, |_| {})
    }

    /// The same, with more files in its directory of data.
    fn start_with(
        programs: PathBuf,
        parent: &Path,
        settings: &str,
        add_files: impl Fn(&Path),
    ) -> Self {
        let account = account();
        let dir = tempfile::Builder::new().prefix("russet-pg-").tempdir_in(parent).unwrap();
        if let Some(Account { uid, gid }) = account {
            std::os::unix::fs::chown(dir.path(), Some(uid), Some(gid)).unwrap();
        }
        let dir = dir.keep();
        let data = dir.join("data").display().to_string();
        let init =
            ["-D", &data, "-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"];
        let mut command = command(account, &dir, &programs.join("initdb"));
        let output = command.args(init).output().unwrap();
        assert!(output.status.success(), "initdb: {}", String::from_utf8_lossy(&output.stderr));
        add_files(&dir.join("data"));
        let mut shell = self::command(account, &dir, Path::new("/bin/sh"));
        shell.args(["-c", SCRIPT, "sh"]).arg(&programs).arg(&dir).arg(settings);
        let shell = shell.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let port = settings.split("port=").nth(1).unwrap_or(DEFAULT_PORT).to_owned();
        let cluster = Self { programs, dir, account, port, _shell: shell };
        cluster.wait_until_ready();
        cluster
    }

    fn wait_until_ready(&self) {
        let start = Instant::now();
        let dir = self.dir.display().to_string();
        loop {
            let mut ready = command(self.account, &self.dir, &self.programs.join("pg_isready"));
            if ready.args(["-q", "-h", &dir, "-p", &self.port]).status().unwrap().success() {
                return;
            }
            let log = std::fs::read_to_string(self.dir.join("log")).unwrap_or_default();
            assert!(start.elapsed() < START_TIMEOUT, "PostgreSQL does not start: {log}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn sql(&self, database: &str, statement: &str) -> String {
        self.output(
            "psql",
            &["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-c", statement, database],
        )
    }

    fn output(&self, program: &str, arguments: &[&str]) -> String {
        let dir = self.dir.display().to_string();
        let output = command(self.account, &self.dir, &self.programs.join(program))
            .args(["-h", &dir, "-p", &self.port, "-U", USER])
            .args(arguments)
            .output()
            .unwrap();
        if !output.status.success() {
            std::io::stderr().write_all(&output.stderr).ok();
            panic!("{program} {arguments:?}: {}", output.status);
        }
        String::from_utf8(output.stdout).unwrap()
    }
}

/// A program of PostgreSQL, with nothing of the environment that it would go by.
fn command(account: Option<Account>, dir: &Path, program: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(dir).env_clear().env("PATH", "/usr/bin:/bin").env("HOME", dir);
    if let Some(Account { uid, gid }) = account {
        command.uid(uid).gid(gid);
    }
    command
}

#[cfg(test)]
mod tests {
    use super::database;

    #[test]
    fn each_test_has_a_database_of_its_own() {
        let (Some(one), Some(two)) = (database(), database()) else { return };
        assert_eq!(
            one.sql("CREATE TABLE a (b INT); INSERT INTO a VALUES (7); SELECT b FROM a"),
            "7\n"
        );
        assert_ne!(one.url(), two.url());
        assert!(one.dump().contains("INSERT INTO public.a VALUES (7)"));
        assert!(!two.dump().contains("INSERT"));
    }
}
