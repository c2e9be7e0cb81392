//! A server on loopback, in a runtime like the task agent's, and clients for it.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use russet_ssh_server::{Connection, Host, HostKey, PersonKeys, Settings, SshServer, Started};
use tempfile::TempDir;
use tokio::sync::oneshot;

/// Name that may log in.
pub(crate) const USER: &str = "slot";

/// Timeout of anything that is waited for.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Starts programs as the task agent does, and remembers who was connected.
pub(crate) struct TestHost {
    directory: PathBuf,
    pub(crate) began: Mutex<Vec<Connection>>,
    pub(crate) ended: Mutex<Vec<Connection>>,
}

impl Host for TestHost {
    fn spawn(&self, command: &mut Command) -> io::Result<Started> {
        let mut child = command.spawn()?;
        let pid = child.id().cast_signed();
        let (sender, exit) = oneshot::channel();
        std::thread::spawn(move || {
            let status = child.wait().unwrap();
            sender.send(status).ok();
        });
        Ok(Started { pid, exit })
    }

    fn environment(&self, has_terminal: bool) -> Vec<(OsString, OsString)> {
        let home = self.directory.join("home");
        let path = std::env::var_os("PATH").unwrap();
        let shown = if has_terminal { "terminal" } else { "none" };
        let tmp = self.directory.join("tmp").into_os_string();
        [
            ("HOME", home.into_os_string()),
            ("TMPDIR", tmp),
            ("PATH", path),
            ("PS1", "ready> ".into()),
        ]
        .into_iter()
        .chain([("JOB", "build".into()), ("SHOWN", shown.into())])
        .map(|(name, value)| (name.into(), value))
        .collect()
    }

    fn directory(&self) -> PathBuf {
        self.directory.join("work")
    }

    fn shell(&self) -> PathBuf {
        "/bin/bash".into()
    }

    fn greeting(&self) -> String {
        "Welcome to the task.\n".to_owned()
    }

    fn began(&self, connection: &Connection) {
        self.began.lock().unwrap().push(connection.clone());
    }

    fn ended(&self, connection: &Connection) {
        self.ended.lock().unwrap().push(connection.clone());
    }
}

/// A running server, with a directory of its own.
pub(crate) struct Serving {
    pub(crate) dir: TempDir,
    pub(crate) host: Arc<TestHost>,
    pub(crate) server: SshServer,
    pub(crate) port: u16,
    stop: Option<oneshot::Sender<()>>,
}

impl Drop for Serving {
    fn drop(&mut self) {
        drop(self.stop.take());
    }
}

/// Makes a key, and returns the path of its private part.
pub(crate) fn make_key(dir: &Path, name: &str, kind: &[&str]) -> PathBuf {
    let path = dir.join(name);
    let status = Command::new("ssh-keygen")
        .args(["-q", "-N", "", "-C", name, "-f"])
        .arg(&path)
        .arg("-t")
        .args(kind)
        .status();
    assert!(status.unwrap().success());
    path
}

fn public_line(key: &Path) -> String {
    std::fs::read_to_string(key.with_extension("pub")).unwrap()
}

/// Starts a server that lets one key in.
pub(crate) fn serve() -> Serving {
    serve_with(&[("key", &["ed25519"])], |settings| settings)
}

/// Starts a server that lets these keys in, with other settings.
pub(crate) fn serve_with(
    keys: &[(&str, &[&str])],
    change: impl FnOnce(Settings) -> Settings,
) -> Serving {
    let dir = tempfile::tempdir().unwrap();
    for name in ["work", "home", "tmp"] {
        std::fs::create_dir(dir.path().join(name)).unwrap();
    }
    let lines: Vec<String> =
        keys.iter().map(|(name, kind)| public_line(&make_key(dir.path(), name, kind))).collect();
    make_key(dir.path(), "stranger", &["ed25519"]);
    let host_key = HostKey::generate().unwrap();
    let public = host_key.public_line().unwrap();
    let settings = change(Settings::new(USER, PersonKeys::parse(&lines).unwrap(), host_key));
    let host = Arc::new(TestHost {
        directory: dir.path().to_owned(),
        began: Mutex::default(),
        ended: Mutex::default(),
    });
    let server = SshServer::new(settings, Arc::<TestHost>::clone(&host));
    let (stop, stopped) = oneshot::channel::<()>();
    let (port_sender, port) = std::sync::mpsc::channel();
    let serving = server.clone();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            port_sender.send(listener.local_addr().unwrap().port()).unwrap();
            let accepting = async {
                loop {
                    let (stream, from) = listener.accept().await.unwrap();
                    stream.set_nodelay(true).unwrap();
                    let server = serving.clone();
                    tokio::spawn(async move { server.serve(stream, from.to_string()).await });
                }
            };
            tokio::select! {
                () = accepting => {}
                _ = stopped => {}
            }
        });
        runtime.shutdown_background();
    });
    let port = port.recv().unwrap();
    std::fs::write(dir.path().join("known_hosts"), format!("task {public}\n")).unwrap();
    Serving { dir, host, server, port, stop: Some(stop) }
}

impl Serving {
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Options that every client of OpenSSH understands.
    pub(crate) fn options(&self, key: &str) -> Vec<String> {
        let known_hosts = self.path("known_hosts");
        [
            format!("UserKnownHostsFile={}", known_hosts.display()),
            "GlobalKnownHostsFile=none".to_owned(),
            "HostKeyAlias=task".to_owned(),
            "StrictHostKeyChecking=yes".to_owned(),
            "IdentitiesOnly=yes".to_owned(),
            "IdentityAgent=none".to_owned(),
            "BatchMode=yes".to_owned(),
            format!("IdentityFile={}", self.path(key).display()),
            format!("Port={}", self.port),
            format!("User={USER}"),
        ]
        .into_iter()
        .flat_map(|option| ["-o".to_owned(), option])
        .collect()
    }

    /// A client with a limit on its time.
    pub(crate) fn client(&self, program: &str, key: &str) -> Command {
        let mut command = Command::new("timeout");
        command.args(["60", program, "-F", "none"]).args(self.options(key));
        command.env_remove("SSH_AUTH_SOCK").stdin(Stdio::null());
        command
    }

    pub(crate) fn ssh(&self) -> Command {
        self.client("ssh", "key")
    }

    /// Runs a command, with input.
    pub(crate) fn run(&self, command: &str) -> Output {
        self.ssh().args(["127.0.0.1", command]).output().unwrap()
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Asserts that a client did well, and returns what it printed.
#[track_caller]
pub(crate) fn succeed(output: &Output) -> String {
    assert!(output.status.success(), "{:?}\n{}", output.status, text(&output.stderr));
    text(&output.stdout)
}

/// Waits for something to become true.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + TIMEOUT;
    while !is_so() {
        assert!(Instant::now() < until, "{what} does not happen");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Bytes that differ everywhere, and are the same each time.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}
