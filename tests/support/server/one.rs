//! One process of `russet server`.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::unistd::Pid;
use russet_protocol::admin::ServerReady;
use russet_protocol::secret::Secret;

use crate::support::{Process, russet};

/// A running process.
pub struct ServerProcess {
    process: Process,
    data: PathBuf,
    options: Vec<String>,
    ready: ServerReady,
}

impl ServerProcess {
    /// Starts one on a data directory.
    pub fn start<S: AsRef<str>>(data: &Path, listen: &str, options: &[S]) -> Self {
        let options: Vec<String> = options.iter().map(|one| one.as_ref().to_owned()).collect();
        let (process, ready) = spawn(data, listen, &options);
        Self { process, data: data.to_owned(), options, ready }
    }

    /// Origin.
    pub fn url(&self) -> &str {
        &self.ready.url
    }

    /// Address and port.
    pub fn address(&self) -> &str {
        self.ready.url.strip_prefix("http://").unwrap()
    }

    /// The admin token.
    pub fn admin_token(&self) -> Secret {
        self.ready.admin_token.clone()
    }

    /// Makes the command that starts it again on the same data and the same port.
    pub fn command(&self) -> Command {
        command(&self.data, self.address(), &self.options)
    }

    /// Returns its exit code once it has ended; `None` if a signal ended it.
    pub fn wait(&mut self) -> Option<i32> {
        self.process.wait()
    }

    /// Kills it as a crash does.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again on the same data and the same port.
    pub fn start_again(&mut self) {
        let (process, ready) = spawn(&self.data, self.address(), &self.options);
        assert_eq!(ready.url, self.ready.url);
        self.process = process;
    }

    /// Process id.
    pub fn pid(&self) -> Pid {
        self.process.pid()
    }

    /// File of the admin token in its data directory.
    pub fn admin_token_file(&self) -> PathBuf {
        self.data.join("admin.token")
    }
}

#[allow(dead_code, reason = "tests/moving.rs uses it")]
impl ServerProcess {
    /// Lets it end as an owner does.
    pub fn stop(&mut self) {
        self.process.signal(nix::sys::signal::Signal::SIGTERM);
        assert_eq!(self.process.wait(), Some(0));
    }

    /// Starts it again with other options.
    pub fn start_again_with(&mut self, options: &[&str]) {
        self.options = options.iter().map(|&one| one.to_owned()).collect();
        self.start_again();
    }
}

fn command(data: &Path, listen: &str, options: &[String]) -> Command {
    let mut command = Command::new(russet());
    command.args(["server", "--ready-stdout", "--listen", listen, "--data-dir"]);
    command.arg(data).args(options);
    command
}

fn spawn(data: &Path, listen: &str, options: &[String]) -> (Process, ServerReady) {
    let mut child = command(data, listen, options)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let ready = serde_json::from_str(&line)
        .unwrap_or_else(|error| panic!("the server said {line:?} when it started: {error}"));
    (Process(child), ready)
}
