//! A control plane as a process, which can be killed and started again on its data.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use russet_protocol::admin::ServerReady;

use super::{Admin, Process, russet, test_dir};

/// A running control plane.
pub struct Server {
    process: Process,
    data: PathBuf,
    options: Vec<String>,
    url: String,
    /// Its admin API.
    pub admin: Admin,
    // Last, so that it outlives the process.
    _dir: Option<tempfile::TempDir>,
}

impl Server {
    /// Starts one on an empty data directory.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts one with these arguments besides.
    pub fn start_with(options: &[&str]) -> Self {
        let dir = test_dir();
        let server = Self::start_in(&dir.path().join("data"), options);
        Self { _dir: Some(dir), ..server }
    }

    /// Starts one on this data directory.
    pub fn start_in(data: &Path, options: &[&str]) -> Self {
        let data = data.to_owned();
        let options: Vec<String> = options.iter().map(|&option| option.to_owned()).collect();
        let (process, ready) = spawn(&data, "127.0.0.1:0", &options);
        let admin = Admin::new(&ready.url, ready.admin_token);
        Self { process, data, options, url: ready.url, admin, _dir: None }
    }

    /// Origin.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Kills it as a crash does.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again on the same data and the same port.
    pub fn start_again(&mut self) {
        let address = self.url.strip_prefix("http://").unwrap().to_owned();
        let (process, ready) = spawn(&self.data, &address, &self.options);
        assert_eq!(ready.url, self.url);
        self.process = process;
    }

    /// Process id.
    pub fn pid(&self) -> nix::unistd::Pid {
        self.process.pid()
    }

    /// File of the admin token in its data directory.
    pub fn admin_token_file(&self) -> PathBuf {
        self.data.join("admin.token")
    }

    /// The admin token in its data directory.
    pub fn admin_token_on_disk(&self) -> String {
        let text = std::fs::read_to_string(self.admin_token_file()).unwrap();
        text.trim().to_owned()
    }
}

fn spawn(data: &Path, listen: &str, options: &[String]) -> (Process, ServerReady) {
    let mut child = Command::new(russet())
        .args(["server", "--ready-stdout", "--listen", listen, "--data-dir"])
        .arg(data)
        .args(options)
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
