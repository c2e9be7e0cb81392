//! A launch agent as a process, which can be killed and started again on its state.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use nix::sys::signal::Signal;
use russet_protocol::local::{State, Status};

use super::{CLASS, Process, Server, russet, test_dir, wait_for};

/// Options of an agent under test.
#[derive(Clone, Debug, Default)]
pub struct AgentOptions {
    /// Its name, instead of `test`.
    pub name: Option<String>,
    /// Address to claim from, instead of the server's own (a proxy).
    pub url: Option<String>,
    /// Lines below `api:` instead of the token, without their indentation.
    pub api: Vec<String>,
    /// Commands (`token add …`) and their standard input, run before the start.
    pub stored: Vec<(Vec<String>, String)>,
    /// Lines below `runner:`, without their indentation.
    pub runner: Vec<String>,
    /// Lines beside `api:` and `runner:`.
    pub more: Vec<String>,
    /// Size of a file system of its own for the state directory, as mount(8) takes it. Root only.
    pub disk: Option<&'static str>,
    /// The state directory, where it is to lie elsewhere than beside the configuration.
    pub state: Option<PathBuf>,
    /// Program that starts it, with its arguments.
    pub within: Vec<String>,
}

/// A running launch agent.
pub struct Agent {
    process: Process,
    // Before the directory that it lies in, since fields are dropped in order.
    _mount: Option<Mount>,
    state: PathBuf,
    within: Vec<String>,
    dir: tempfile::TempDir,
}

impl Agent {
    /// Starts one with one slot of [`CLASS`].
    pub fn start(server: &Server) -> Self {
        Self::start_with(server, &AgentOptions::default())
    }

    /// Starts one.
    pub fn start_with(server: &Server, options: &AgentOptions) -> Self {
        let token = server.admin.class_token(CLASS);
        let url = options.url.as_deref().unwrap_or(server.url());
        Self::start_at(url, &token, options)
    }

    /// Starts one that claims with this token from this address.
    pub fn start_at(url: &str, token: &str, options: &AgentOptions) -> Self {
        let dir = test_dir();
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(dir.path().join("agent.yaml"))
            .unwrap();
        let api = match options.api.as_slice() {
            [] => format!("  auth_token: {token}\n"),
            lines => lines.iter().map(|line| format!("  {line}\n")).collect(),
        };
        let state = options.state.clone().unwrap_or_else(|| dir.path().join("state"));
        let mount = options.disk.map(|size| Mount::tmpfs(&state, size));
        write!(
            file,
            "api:\n  url: {url}\n{api}runner:\n  name: {}\n  state_directory: {}\n",
            options.name.as_deref().unwrap_or("test"),
            state.display()
        )
        .unwrap();
        for line in &options.runner {
            writeln!(file, "  {line}").unwrap();
        }
        for line in &options.more {
            writeln!(file, "{line}").unwrap();
        }
        for (words, input) in &options.stored {
            let (code, said) = store(dir.path(), words, input);
            assert_eq!(code, 0, "{words:?}: {said}");
        }
        let within = options.within.clone();
        let process = spawn(&within, dir.path());
        Self { process, _mount: mount, state, within, dir }
    }

    /// Runs `russet agent …` on its configuration. Exit code, and what it said.
    pub fn store(&self, words: &[&str], input: &str) -> (i32, String) {
        let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        store(self.dir.path(), &words, input)
    }

    /// Its state directory.
    pub fn state(&self) -> PathBuf {
        self.state.clone()
    }

    /// Its local API.
    pub fn socket(&self) -> PathBuf {
        self.state().join("agent.sock")
    }

    /// Runs `russet agent …` towards its local API.
    pub fn ask(&self, arguments: &[&str]) -> Output {
        agent_command(russet(), &self.socket(), arguments).output().unwrap()
    }

    /// The same, which must succeed.
    #[track_caller]
    pub fn ask_well(&self, arguments: &[&str]) -> String {
        let output = self.ask(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Status from its local API; `None` while it does not answer.
    pub fn status(&self) -> Option<Status> {
        let output = self.ask(&["status", "--output", "json"]);
        output.status.success().then(|| serde_json::from_slice(&output.stdout).unwrap())
    }

    /// Waits until it is in a state.
    #[track_caller]
    pub fn wait_for_state(&self, state: State) -> Status {
        wait_for(state.as_str(), || self.status().filter(|status| status.state == state))
    }

    /// Its configuration file, which holds the class token.
    pub fn config_file(&self) -> PathBuf {
        self.dir.path().join("agent.yaml")
    }

    /// Its log.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("agent.log")).unwrap_or_default()
    }

    /// Kills it as a crash does.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again on the same state.
    pub fn start_again(&mut self) {
        self.process = spawn(&self.within, self.dir.path());
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// The process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Process ids of the task agents that it started, by their arguments.
    pub fn task_agents(&self) -> Vec<i32> {
        task_agents_below(&self.state())
    }
}

impl Drop for Agent {
    /// A test that failed must not leave a task behind: tasks outlive their launch agent.
    fn drop(&mut self) {
        self.process.kill();
        for pid in self.task_agents() {
            nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGKILL).ok();
        }
    }
}

/// `russet agent …` towards the agent at a socket.
pub fn agent_command(program: &Path, socket: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.arg("agent").args(arguments).arg("--socket").arg(socket);
    command
}

/// A small file system, unmounted when the test ends.
pub struct Mount(PathBuf);

impl Mount {
    /// Makes a directory and mounts a file system in memory there. Root only.
    pub fn tmpfs(path: &Path, size: &str) -> Self {
        std::fs::create_dir(path).unwrap();
        let options = format!("size={size},mode=0711");
        let status =
            Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(path).status();
        assert!(status.unwrap().success(), "mount failed");
        Self(path.to_owned())
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily: a process that is just ending may still have a file open.
        Command::new("umount").arg("-l").arg(&self.0).status().ok();
    }
}

/// Task agents of the launch agent with this state directory: they work below it, or stand in its
/// journals. The first is for root alone to see, since a task agent is undumpable; the second ends
/// with the task.
pub fn task_agents_below(state: &Path) -> Vec<i32> {
    let Ok(processes) = std::fs::read_dir("/proc") else { return Vec::new() };
    let noted = in_journals(state);
    processes
        .flatten()
        .filter_map(|process| Some((process.file_name().to_str()?.parse().ok()?, process.path())))
        .filter(|(pid, path)| {
            let arguments = std::fs::read(path.join("cmdline")).unwrap_or_default();
            let place = std::fs::read_link(path.join("cwd")).unwrap_or_default();
            arguments.split(|&byte| byte == 0).any(|argument| argument == b"task-agent")
                && (place.starts_with(state) || noted.contains(pid))
        })
        .map(|(pid, _)| pid)
        .collect()
}

/// The processes that the journals of slots name.
fn in_journals(state: &Path) -> Vec<i32> {
    let Ok(slots) = std::fs::read_dir(state.join("slots")) else { return Vec::new() };
    slots
        .flatten()
        .filter_map(|slot| std::fs::read(slot.path().join("journal.json")).ok())
        .filter_map(|text| serde_json::from_slice::<serde_json::Value>(&text).ok())
        .filter_map(|journal| i32::try_from(journal["process"]["pid"].as_i64()?).ok())
        .collect()
}

fn store(dir: &Path, words: &[String], input: &str) -> (i32, String) {
    let mut child = Command::new(russet())
        .arg("agent")
        .args(words)
        .arg("--config")
        .arg(dir.join("agent.yaml"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // One that needs no input may have ended already.
    child.stdin.take().unwrap().write_all(input.as_bytes()).ok();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(said).unwrap())
}

fn spawn(within: &[String], dir: &Path) -> Process {
    let log =
        std::fs::OpenOptions::new().create(true).append(true).open(dir.join("agent.log")).unwrap();
    let russet = russet().display().to_string();
    let words: Vec<&str> = within.iter().map(String::as_str).chain([russet.as_str()]).collect();
    let child = Command::new(words[0])
        .args(&words[1..])
        .args(["agent", "run", "--config"])
        .arg(dir.join("agent.yaml"))
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap();
    Process(child)
}
