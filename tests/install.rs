//! A whole life of an agent on a machine: installed, at work, crashed, back, drained, removed; and
//! nothing of it is left. As root on Linux with real users, below a root of the test's own.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use russet_protocol::local::{State, Status};
use russet_protocol::outcome::Outcome;

use crate::support::admin::assert_outcome;
use crate::support::agent::agent_command;
use crate::support::installation::russet_boot;
use crate::support::{
    CLASS, Lacks, Process, Server, can_be_root, config, run, russet, skip, test_dir, wait_for,
};

/// A machine of the test's own, as far as files go, and users that nobody else has.
struct Machine {
    dir: tempfile::TempDir,
    prefix: String,
}

impl Machine {
    fn new() -> Option<Self> {
        if !can_be_root("to have other users") {
            return None;
        }
        let mut random = [0_u8; 4];
        getrandom::fill(&mut random).unwrap();
        let prefix = format!("_rl{:08x}_", u32::from_ne_bytes(random));
        let machine = Self { dir: test_dir(), prefix };
        for name in ["root/var/lib", "root/etc", "root/opt", "unpacked"] {
            std::fs::create_dir_all(machine.dir.path().join(name)).unwrap();
        }
        // As a package holds them, side by side.
        std::fs::copy(russet(), machine.dir.path().join("unpacked/russet")).unwrap();
        std::fs::copy(russet_boot(), machine.dir.path().join("unpacked/russet-boot")).unwrap();
        Some(machine)
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    fn spawn(&self, arguments: &[&str]) -> Child {
        Command::new(self.dir.path().join("unpacked/russet"))
            .arg("agent")
            .args(arguments)
            .arg("--root")
            .arg(self.root())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    fn russet(&self, arguments: &[&str], input: &str) -> Output {
        let mut child = self.spawn(arguments);
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    /// Kills the command as soon as it has said so many lines. `false`: it had ended.
    fn killed_after(&self, lines: usize, arguments: &[&str]) -> bool {
        let mut child = self.spawn(arguments);
        let said = BufReader::new(child.stderr.take().unwrap()).lines().take(lines).count();
        child.kill().unwrap();
        child.wait().unwrap();
        said == lines
    }

    #[track_caller]
    fn succeeds(&self, arguments: &[&str], input: &str) -> String {
        let output = self.russet(arguments, input);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "russet agent {arguments:?}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn install(&self, server: &Server, token: &str) -> String {
        let arguments =
            ["install", "--url", server.url(), "--token-file", "-", "--user-prefix", &self.prefix];
        self.succeeds(&arguments, &format!("{token}\n"))
    }

    fn user(&self) -> String {
        format!("{}1", self.prefix)
    }

    /// Starts what launchd or systemd would start.
    fn start(&self) -> Process {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.dir.path().join("boot.log"))
            .unwrap();
        let child = Command::new(self.root().join("opt/russet/russet-boot"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Process(child)
    }

    /// Status of the installed agent; `None` while it does not answer.
    fn status(&self) -> Option<Status> {
        let socket = self.root().join("var/lib/russet/agent.sock");
        let arguments = ["status", "--output", "json"];
        let output = agent_command(russet(), &socket, &arguments).output().unwrap();
        output.status.success().then(|| serde_json::from_slice(&output.stdout).unwrap())
    }

    /// The installed launch agent, if it runs.
    fn agent(&self) -> Option<Pid> {
        processes(|arguments, exe| {
            exe == self.root().join("opt/russet/agent/russet")
                && arguments.windows(2).any(|two| two == ["agent", "run"])
        })
        .into_iter()
        .next()
    }

    /// Every file with type, owner and mode, and every user and group but those of other tests.
    fn listing(&self) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        list(&self.root(), &mut found);
        for database in ["passwd", "group"] {
            let output = Command::new("getent").arg(database).output().unwrap();
            for line in String::from_utf8_lossy(&output.stdout).lines() {
                let foreign = line.starts_with("_r") && !line.starts_with(&self.prefix);
                if !foreign {
                    found.insert(format!("{database} {line}"), String::new());
                }
            }
        }
        found
    }
}

impl Drop for Machine {
    /// A test that failed must leave neither processes nor users behind.
    fn drop(&mut self) {
        let below = self.root();
        if std::thread::panicking() {
            for log in ["boot.log", "root/var/log/russet/agent.log"] {
                let text = std::fs::read_to_string(self.dir.path().join(log)).unwrap_or_default();
                eprintln!("{log}:\n{text}");
            }
        }
        for pid in processes(|_, exe| exe.starts_with(&below)) {
            kill(pid, Signal::SIGKILL).ok();
        }
        if let Ok(Some(user)) = nix::unistd::User::from_name(&self.user()) {
            for pid in processes_of(user.uid.as_raw()) {
                kill(pid, Signal::SIGKILL).ok();
            }
            Command::new("userdel").arg(self.user()).status().ok();
        }
    }
}

fn list(directory: &Path, found: &mut BTreeMap<String, String>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let meta = std::fs::symlink_metadata(&path).unwrap();
        let what = format!("{} {} {:o}", meta.uid(), meta.gid(), meta.mode());
        found.insert(path.display().to_string(), what);
        if meta.is_dir() {
            list(&path, found);
        }
    }
}

fn processes(fits: impl Fn(&[&str], &Path) -> bool) -> Vec<Pid> {
    let pid = |entry: std::fs::DirEntry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let exe = std::fs::read_link(entry.path().join("exe")).ok()?;
        let arguments = std::fs::read_to_string(entry.path().join("cmdline")).ok()?;
        let arguments: Vec<&str> = arguments.split('\0').collect();
        fits(&arguments, &exe).then(|| Pid::from_raw(pid))
    };
    std::fs::read_dir("/proc").unwrap().flatten().filter_map(pid).collect()
}

/// Processes of a user that have not ended.
fn processes_of(uid: u32) -> Vec<Pid> {
    let fits = |entry: &std::fs::DirEntry| {
        let status = std::fs::read_to_string(entry.path().join("status")).unwrap_or_default();
        let owner = status.lines().find_map(|line| line.strip_prefix("Uid:"));
        let owner = owner.and_then(|ids| ids.split_whitespace().next()?.parse::<u32>().ok());
        owner == Some(uid) && !status.contains("State:\tZ")
    };
    let entries = std::fs::read_dir("/proc").unwrap().flatten().filter(fits);
    entries
        .filter_map(|entry| Some(Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)))
        .collect()
}

#[test]
fn an_agent_is_installed_works_crashes_adopts_drains_and_is_removed_without_a_trace() {
    let Some(machine) = Machine::new() else { return };
    let server = Server::start();
    let before = machine.listing();
    let token = server.admin.class_token(CLASS);
    machine.install(&server, &token);
    assert_eq!(machine.install(&server, &token), "Everything is installed already.\n");

    // As an upgrade of macOS does: the agent makes its user again when it starts.
    assert!(Command::new("userdel").arg(machine.user()).status().unwrap().success());

    let mut boot = machine.start();
    let release = machine.dir.path().join("release");
    let script = format!(
        "echo begun\nwhile [ ! -e {} ]; do sleep 0.05; done\nid -un\ngetent passwd $(id -un)",
        release.display()
    );
    let pipeline = server.admin.submit(&config(&[&run(&script)]));
    server.admin.wait_for_output(&pipeline, "begun");

    // A crash of everything but the task.
    let agent = machine.agent().unwrap();
    boot.kill();
    kill(agent, Signal::SIGKILL).ok();
    wait_for("the launch agent to be gone", || machine.agent().is_none().then_some(()));
    let mut boot = machine.start();
    wait_for("the next launch agent", || machine.agent());
    std::fs::write(&release, "").unwrap();
    let job = server.admin.only_job(&server.admin.wait(&pipeline));
    assert_outcome(&server.admin, &job, Outcome::Success);
    let output = server.admin.output(&job);
    assert!(output.contains(&machine.user()), "{output}");
    assert!(output.contains("/slots/1/home:/usr/sbin/nologin"), "{output}");

    let socket = machine.root().join("var/lib/russet/agent.sock");
    let drain = ["drain", "--wait", "--reason", "it goes"];
    let drained = agent_command(russet(), &socket, &drain).output().unwrap();
    assert!(drained.status.success(), "{}", String::from_utf8_lossy(&drained.stderr));
    assert_eq!(machine.status().unwrap().state, State::Paused);
    boot.signal(Signal::SIGTERM);
    boot.wait();

    assert_eq!(machine.succeeds(&["uninstall"], ""), "Uninstalled.\n");
    assert_eq!(machine.listing(), before);
    assert_eq!(machine.succeeds(&["uninstall"], ""), "Nothing is installed.\n");
}

#[test]
fn a_user_that_is_gone_comes_back_by_a_command_with_its_ids() {
    let Some(machine) = Machine::new() else { return };
    let output = machine.russet(&["repair"], "");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("nothing is installed") && said.contains("agent install"), "{said}");
    let server = Server::start();
    machine.install(&server, &server.admin.class_token(CLASS));
    let ids = || {
        let user = nix::unistd::User::from_name(&machine.user()).unwrap()?;
        Some((user.uid, user.gid, user.dir))
    };
    let before = ids();
    assert!(before.is_some());
    let said = |output: Output| String::from_utf8(output.stderr).unwrap();
    assert!(said(machine.russet(&["repair"], "")).contains("as they should be"));
    assert!(Command::new("userdel").arg(machine.user()).status().unwrap().success());
    assert_eq!(ids(), None);
    let text = said(machine.russet(&["repair"], ""));
    assert!(text.contains(&format!("made the user {}", machine.user())), "{text}");
    assert_eq!(ids(), before);
    machine.succeeds(&["uninstall"], "");
}

#[test]
fn an_agent_with_a_running_task_is_removed_only_by_force_and_takes_the_task_with_it() {
    let Some(machine) = Machine::new() else { return };
    let server = Server::start();
    let before = machine.listing();
    machine.install(&server, &server.admin.class_token(CLASS));
    let mut boot = machine.start();
    let pipeline = server
        .admin
        .submit(&config(&[&run("setsid sleep 1000 &\ntouch ~/file\necho begun\nsleep 1000")]));
    server.admin.wait_for_output(&pipeline, "begun");
    let uid = nix::unistd::User::from_name(&machine.user()).unwrap().unwrap().uid.as_raw();
    let agent = machine.agent().unwrap();
    boot.kill();
    kill(agent, Signal::SIGKILL).ok();
    wait_for("the launch agent to be gone", || machine.agent().is_none().then_some(()));

    let refused = machine.russet(&["uninstall"], "");
    let errors = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(5), "{errors}");
    assert!(errors.contains("tasks run in slot 1") && errors.contains("--force"), "{errors}");
    assert!(!processes_of(uid).is_empty());

    machine.succeeds(&["uninstall", "--force"], "");
    assert_eq!(processes_of(uid), Vec::new());
    assert_eq!(machine.listing(), before);
}

#[test]
fn a_removal_waits_for_what_runs_and_the_agent_claims_again_where_that_takes_too_long() {
    let Some(machine) = Machine::new() else { return };
    let server = Server::start();
    let before = machine.listing();
    machine.install(&server, &server.admin.class_token(CLASS));
    let mut boot = machine.start();
    let release = machine.dir.path().join("release");
    let script = format!("echo begun; until test -e {}; do sleep 0.05; done", release.display());
    let pipeline = server.admin.submit(&config(&[&run(&script)]));
    server.admin.wait_for_output(&pipeline, "begun");
    let refused = machine.russet(&["uninstall"], "");
    let errors = String::from_utf8_lossy(&refused.stderr);
    assert!(errors.contains("tasks run in slot 1") && errors.contains("--wait"), "{errors}");

    let late = machine.russet(&["uninstall", "--wait", "--timeout", "1s"], "");
    let errors = String::from_utf8_lossy(&late.stderr);
    assert_eq!(late.status.code(), Some(5), "{errors}");
    assert!(errors.contains("Waiting for 1 task: test/project job."), "{errors}");
    assert!(errors.contains("tasks still run after"), "{errors}");
    assert_eq!(machine.status().unwrap().state, State::Running);

    let mut waiting = machine.spawn(&["uninstall", "--wait"]);
    wait_for("the drain", || machine.status().filter(|status| status.state == State::Draining));
    assert!(waiting.try_wait().unwrap().is_none(), "it did not wait for the task");
    std::fs::write(&release, "").unwrap();
    let output = waiting.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("Drained: no task runs."), "{errors}");
    let job = server.admin.only_job(&server.admin.wait(&pipeline));
    assert_outcome(&server.admin, &job, Outcome::Success);
    // Nothing that could stop it is known on this machine, and nothing is removed below it.
    assert!(errors.contains("an agent runs, and no service manager"), "{errors}");
    assert!(machine.status().is_some());
    boot.signal(Signal::SIGTERM);
    boot.wait();
    machine.succeeds(&["uninstall", "--wait"], "");
    assert_eq!(machine.listing(), before);
}

#[test]
fn a_forced_removal_has_the_agent_cancel_what_runs_so_that_the_control_plane_knows() {
    let Some(machine) = Machine::new() else { return };
    let server = Server::start();
    let before = machine.listing();
    machine.install(&server, &server.admin.class_token(CLASS));
    let mut boot = machine.start();
    let pipeline = server.admin.submit(&config(&[&run("echo begun; sleep 1000")]));
    server.admin.wait_for_output(&pipeline, "begun");
    let output = machine.russet(&["uninstall", "--force"], "");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("Drained: no task runs."), "{errors}");
    let job = server.admin.only_job(&server.admin.wait(&pipeline));
    assert_outcome(&server.admin, &job, Outcome::Canceled);
    assert!(job.message.clone().unwrap_or_default().contains("uninstalled"), "{job:?}");
    boot.signal(Signal::SIGTERM);
    boot.wait();
    machine.succeeds(&["uninstall"], "");
    assert_eq!(machine.listing(), before);
}

#[test]
fn an_installation_or_a_removal_that_is_killed_is_finished_by_the_next_one() {
    let Some(machine) = Machine::new() else { return };
    let before = machine.listing();
    let config = machine.dir.path().join("config.yaml");
    let text =
        format!("api: {{auth_token: x}}\nrunner: {{name: x, user_prefix: {}}}\n", machine.prefix);
    std::fs::write(&config, text).unwrap();
    let install = ["install", "--config", config.to_str().unwrap()];
    machine.succeeds(&install, "");
    let complete: Vec<String> = machine.listing().into_keys().map(without_ids).collect();
    let mut kills = 0;
    for lines in (1..30).step_by(7) {
        machine.succeeds(&["uninstall"], "");
        assert_eq!(machine.listing(), before);
        kills += u32::from(machine.killed_after(lines, &install));
        machine.succeeds(&install, "");
        let finished: Vec<String> = machine.listing().into_keys().map(without_ids).collect();
        assert_eq!(finished, complete, "killed after {lines} lines");
        kills += u32::from(machine.killed_after(lines, &["uninstall"]));
        machine.succeeds(&install, "");
    }
    assert!(kills >= 6, "only {kills} were killed");
    machine.succeeds(&["uninstall"], "");
    assert_eq!(machine.listing(), before);
}

/// A line of a user database without the ids, which are new each time.
fn without_ids(line: String) -> String {
    match line.split_once(" _rl") {
        Some((database, user)) => {
            format!("{database} {}", user.replace(|c: char| c.is_ascii_digit(), ""))
        }
        None => line,
    }
}

#[test]
fn a_plan_is_shown_to_people_and_machines_and_a_configuration_is_taken_over_from_circleci() {
    let Some(machine) = Machine::new() else { return };
    let before = machine.listing();
    let old = machine.dir.path().join("launch-agent-config.yaml");
    std::fs::write(
        &old,
        "api: {auth_token: 0123abcd}\nrunner: {name: mini-7, command_prefix: [sudo, -niHu, ci, --]}\n",
    )
    .unwrap();
    let old = old.to_str().unwrap();
    let url = "https://ci.example.com";
    let arguments = [
        "install",
        "--from",
        old,
        "--url",
        url,
        "--user-prefix",
        &machine.prefix,
        "--output",
        "json",
    ];
    let plan: serde_json::Value =
        serde_json::from_str(&machine.succeeds(&[&arguments[..], &["--dry-run"]].concat(), ""))
            .unwrap();
    assert_eq!(
        (&plan["dry_run"], &plan["actions"][0]["outcome"]),
        (&true.into(), &"unchanged".into())
    );
    let text = plan.to_string();
    assert!(text.contains("`runner.command_prefix` (sudo -niHu ci --) is left out"), "{text}");
    assert!(text.contains(&machine.user()) && !text.contains("0123abcd"), "{text}");
    assert_eq!(machine.listing(), before);

    machine.succeeds(&arguments, "");
    let config = machine.root().join("etc/russet/config.yaml");
    let text = std::fs::read_to_string(&config).unwrap();
    assert!(
        text.contains("auth_token: \"0123abcd\"") || text.contains("auth_token: 0123abcd"),
        "{text}"
    );
    assert!(text.contains("name: mini-7") || text.contains("name: \"mini-7\""), "{text}");
    assert_eq!(std::fs::metadata(config).unwrap().mode() & 0o7777, 0o600);
    machine.succeeds(&["uninstall"], "");
    assert_eq!(machine.listing(), before);
}

#[test]
fn without_a_service_manager_the_command_for_another_one_is_named() {
    if Path::new("/run/systemd/system").exists() {
        return skip(Lacks::Machine, "systemd runs here");
    }
    if !can_be_root("to start a service") {
        return;
    }
    let output = Command::new(russet()).args(["agent", "start"]).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(5), "{errors}");
    assert!(errors.contains("systemd does not run") && errors.contains("russet-boot`"), "{errors}");
}

#[test]
fn somebody_who_is_not_root_is_told_to_use_sudo() {
    let Some(machine) = Machine::new() else { return };
    let config = machine.dir.path().join("config.yaml");
    std::fs::write(&config, "api: {auth_token: x}\nrunner: {name: x}\n").unwrap();
    for arguments in [&["install", "--config", config.to_str().unwrap()][..], &["restart"]] {
        let output = Command::new("setpriv")
            .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
            .arg(machine.dir.path().join("unpacked/russet"))
            .arg("agent")
            .args(arguments)
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(5), "{errors}");
        assert!(
            errors.contains("only root can") && errors.contains("hint: run it with `sudo`"),
            "{errors}"
        );
    }
}
