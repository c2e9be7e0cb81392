//! A server that speaks S3 and is not ours, for tests: versitygw, on a directory. One of them for
//! each test program, and one bucket for each test, or one of its own for a test that ends it.
//! Where it is not installed, the test is listed as skipped. To install it:
//! `go install github.com/versity/versitygw/cmd/versitygw@latest`.
//!
//! The server is a child of a shell that waits for the end of its standard input, which this
//! process holds: so it ends, and its directory goes, however the tests end.
#![expect(
    clippy::unwrap_used,
    reason = "this is a part of tests, and what does not come as expected fails them"
)]

#[path = "../../postgres/src/certificates.rs"]
mod certificates;

use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

pub use certificates::Certificates;
use russet_test_skip::{Lacks, skip};

/// Longest start of a server.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// Name of the program.
const PROGRAM: &str = "versitygw";

/// Access key of all servers.
pub const ACCESS_KEY: &str = "russet-test-key";

/// Secret key of all servers.
pub const SECRET_KEY: &str = "russet-test-secret";

/// A server, which can be stopped and started again on the same port.
#[derive(Debug)]
pub struct Gateway {
    program: PathBuf,
    dir: PathBuf,
    port: u16,
    /// Set where it speaks TLS, as `localhost`.
    certificates: Option<Certificates>,
    /// The shell that runs the server, until its standard input is closed.
    shell: Mutex<Option<Child>>,
}

static SHARED: OnceLock<Option<Arc<Gateway>>> = OnceLock::new();
static BUCKETS: AtomicU32 = AtomicU32::new(0);

/// An empty bucket of one test.
#[derive(Clone, Debug)]
pub struct Bucket {
    gateway: Arc<Gateway>,
    name: String,
}

/// Makes a bucket in the server that all tests of the program share. `None` where it is not
/// installed; the current test is recorded as skipped then.
///
/// # Panics
///
/// If the server does not start, or the environment requires tools.
#[must_use]
#[track_caller]
pub fn bucket() -> Option<Bucket> {
    let shared =
        SHARED.get_or_init(|| program().map(|program| Gateway::start(program, true, None)));
    match shared {
        Some(gateway) => Some(Bucket::make(Arc::clone(gateway))),
        None => {
            skip(Lacks::Tool, "versitygw is not installed");
            None
        }
    }
}

/// Makes a bucket in a server of its own, which the test may stop.
///
/// # Panics
///
/// As for [`bucket`].
#[must_use]
#[track_caller]
pub fn bucket_apart() -> Option<Bucket> {
    match program() {
        Some(program) => Some(Bucket::make(Gateway::start(program, false, None))),
        None => {
            skip(Lacks::Tool, "versitygw is not installed");
            None
        }
    }
}

/// Makes a bucket in a server of its own that speaks TLS as `localhost`, with certificates that are
/// made in `dir`.
///
/// # Panics
///
/// As for [`bucket`].
#[must_use]
#[track_caller]
pub fn bucket_with_tls(dir: &Path) -> Option<(Bucket, Certificates)> {
    let Some(program) = program() else {
        skip(Lacks::Tool, "versitygw is not installed");
        return None;
    };
    let certificates = Certificates::make(dir);
    let gateway = Gateway::start(program, false, Some(certificates.clone()));
    Some((Bucket::make(gateway), certificates))
}

/// Finds the program in `PATH`, `GOBIN`, `GOPATH/bin` and `~/go/bin`.
fn program() -> Option<PathBuf> {
    let var = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let path = var("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(var("GOBIN").map(PathBuf::from))
        .chain(var("GOPATH").map(|dir| Path::new(&dir).join("bin")))
        .chain(var("HOME").map(|dir| Path::new(&dir).join("go/bin")))
        .map(|dir| dir.join(PROGRAM))
        .find(|file| file.is_file())
}

impl Bucket {
    fn make(gateway: Arc<Gateway>) -> Self {
        let number = BUCKETS.fetch_add(1, Ordering::Relaxed);
        let bucket = Self { gateway, name: format!("test-{number}") };
        std::fs::create_dir(bucket.dir()).unwrap();
        bucket
    }

    /// Returns its address, with a prefix.
    #[must_use]
    pub fn url(&self) -> String {
        format!("s3://{}/russet", self.name)
    }

    /// Returns its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the directory of its objects.
    #[must_use]
    pub fn dir(&self) -> PathBuf {
        self.gateway.dir.join("buckets").join(&self.name)
    }

    /// Returns the origin of its server.
    #[must_use]
    pub fn endpoint(&self) -> String {
        match &self.gateway.certificates {
            Some(_) => format!("https://localhost:{}", self.gateway.port),
            None => format!("http://127.0.0.1:{}", self.gateway.port),
        }
    }

    /// Returns a file with the credentials.
    #[must_use]
    pub fn credentials_file(&self) -> PathBuf {
        self.gateway.dir.join("credentials")
    }

    /// Returns the options of `russet server` for it.
    #[must_use]
    pub fn options(&self) -> Vec<String> {
        let file = self.credentials_file().display().to_string();
        ["--objects", &self.url(), "--objects-endpoint", &self.endpoint()]
            .into_iter()
            .chain(["--objects-allow-http", "--objects-credentials-file", &file])
            .map(str::to_owned)
            .collect()
    }

    /// Returns the names of its objects, below the prefix, in order.
    #[must_use]
    pub fn objects(&self) -> Vec<String> {
        let top = self.dir().join("russet");
        let mut names = Vec::new();
        let mut dirs = vec![top.clone()];
        while let Some(dir) = dirs.pop() {
            for entry in std::fs::read_dir(dir).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    dirs.push(path);
                } else {
                    names.push(path.strip_prefix(&top).unwrap().display().to_string());
                }
            }
        }
        names.sort();
        names
    }

    /// Returns how often the server was asked for an object with a signed URL, and did as asked.
    #[must_use]
    pub fn signed_reads(&self) -> usize {
        let log = std::fs::read_to_string(self.gateway.dir.join("access")).unwrap_or_default();
        let is_read = |line: &&str| {
            let is_done = line.contains(" 200 ") || line.contains(" 206 ");
            line.contains(" s3_GetObject ") && line.contains("X-Amz-Signature=") && is_done
        };
        log.lines().filter(is_read).count()
    }

    /// Returns the server.
    #[must_use]
    pub fn gateway(&self) -> &Gateway {
        &self.gateway
    }
}

/// Runs the server until standard input ends. `$1` is the program, `$2` the directory, `$3` the
/// port, `$4` whether the directory goes with it, `$5` and `$6` options for TLS.
const SCRIPT: &str = r#"
trap '' INT TERM HUP
"$1" --port "127.0.0.1:$3" --quiet --access-log "$2/access" ${5:+"$5" "$6"} posix --sidecar "$2/meta" "$2/buckets" >>"$2/log" 2>&1 &
server=$!
cat >/dev/null
kill -KILL "$server"
wait "$server"
if [ "$4" = gone ]; then rm -rf "$2"; fi
"#;

impl Gateway {
    fn start(program: PathBuf, is_shared: bool, certificates: Option<Certificates>) -> Arc<Self> {
        let dir = tempfile::Builder::new().prefix("russet-s3-").tempdir().unwrap().keep();
        for name in ["buckets", "meta"] {
            std::fs::create_dir(dir.join(name)).unwrap();
        }
        let credentials = dir.join("credentials");
        let text = format!(
            "[default]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\n"
        );
        std::fs::write(&credentials, text).unwrap();
        std::fs::set_permissions(&credentials, std::fs::Permissions::from_mode(0o600)).unwrap();
        // Free a moment ago, and nobody else is given it soon.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let gateway = Self { program, dir, port, certificates, shell: Mutex::new(None) };
        gateway.run(is_shared);
        Arc::new(gateway)
    }

    fn run(&self, goes_with_it: bool) {
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", SCRIPT, "sh"])
            .arg(&self.program)
            .arg(&self.dir)
            .arg(self.port.to_string())
            .arg(if goes_with_it { "gone" } else { "kept" });
        if let Some(Certificates { certificate, key, .. }) = &self.certificates {
            command.arg(format!("--cert={}", certificate.display()));
            command.arg(format!("--key={}", key.display()));
        }
        let shell = command
            .env("ROOT_ACCESS_KEY_ID", ACCESS_KEY)
            .env("ROOT_SECRET_ACCESS_KEY", SECRET_KEY)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            // The shell says there that it has killed the server.
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        *self.shell.lock().unwrap_or_else(PoisonError::into_inner) = Some(shell);
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let log = std::fs::read_to_string(self.dir.join("log")).unwrap_or_default();
            assert!(start.elapsed() < START_TIMEOUT, "versitygw does not start: {log}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Kills the server. Only for one of its own.
    pub fn stop(&self) {
        let shell = self.shell.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut shell) = shell {
            drop(shell.stdin.take());
            shell.wait().unwrap();
        }
    }

    /// Starts it again.
    pub fn start_again(&self) {
        self.run(false);
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.stop();
        std::fs::remove_dir_all(&self.dir).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::{bucket, bucket_apart};

    #[test]
    fn each_test_has_a_bucket_of_its_own_and_a_server_can_come_back() {
        let (Some(one), Some(two)) = (bucket(), bucket()) else { return };
        assert_ne!(one.url(), two.url());
        assert_eq!(one.objects(), Vec::<String>::new());
        let Some(apart) = bucket_apart() else { return };
        apart.gateway().stop();
        assert!(std::net::TcpStream::connect(&apart.endpoint()["http://".len()..]).is_err());
        apart.gateway().start_again();
        assert!(apart.dir().is_dir());
    }
}
