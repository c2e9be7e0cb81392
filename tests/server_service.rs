//! The server as a service: installed, interrupted, renewed, removed. As root on Linux with real
//! users, below a root of the test's own; the service manager is played by the test, which runs
//! what the unit says as the unit's user.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::support::{Lacks, Process, can_be_root, has_tool, russet, skip, test_dir, wait_for};

/// A machine of the test's own, as far as files go, with a user that nobody else has.
struct Machine {
    dir: tempfile::TempDir,
    user: String,
}

impl Machine {
    fn new() -> Option<Self> {
        if !can_be_root("to have another user") {
            return None;
        }
        let mut random = [0_u8; 4];
        getrandom::fill(&mut random).unwrap();
        let user = format!("_rs{:08x}", u32::from_ne_bytes(random));
        let machine = Self { dir: test_dir(), user };
        for name in ["root/var/lib", "root/etc", "root/opt"] {
            std::fs::create_dir_all(machine.dir.path().join(name)).unwrap();
        }
        Some(machine)
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    fn data(&self) -> PathBuf {
        self.root().join("var/lib/russet-server")
    }

    fn command(&self, program: &Path, words: &[&str], options: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.arg("server").args(words).arg("--root").arg(self.root());
        if words[0] == "install" {
            command.args(["--user", &self.user]);
        }
        command.args(options).current_dir(self.dir.path()).env("NO_COLOR", "1");
        command
    }

    fn run(&self, words: &[&str], options: &[&str]) -> Output {
        self.command(russet(), words, options).output().unwrap()
    }

    #[track_caller]
    fn succeeds(&self, words: &[&str], options: &[&str]) -> String {
        let output = self.run(words, options);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?} {options:?}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Kills the command as soon as it has said so many lines. `false`: it had ended.
    fn killed_after(&self, lines: usize, words: &[&str], options: &[&str]) -> bool {
        let mut command = self.command(russet(), words, options);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(child.stderr.take().unwrap()).lines().take(lines).count();
        child.kill().unwrap();
        child.wait().unwrap();
        said == lines
    }

    /// The words of the unit's `ExecStart`.
    fn words_of_unit(&self) -> Vec<String> {
        let unit = self.root().join("etc/systemd/system/russet-server.service");
        let text = std::fs::read_to_string(unit).unwrap();
        assert!(text.contains(&format!("\nUser={}\n", self.user)), "{text}");
        let line = text.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
        line.split(' ').map(str::to_owned).collect()
    }

    /// Starts what systemd would start, as the user that it would have. Returns it with its
    /// address.
    fn start(&self) -> (Process, String) {
        let words = self.words_of_unit();
        let mut child = Command::new("setpriv")
            .args(["--reuid", &self.user, "--regid", &self.user, "--init-groups", "--no-new-privs"])
            .args(&words)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("Listening on ").unwrap_or_default().to_owned();
        assert!(url.starts_with("http"), "it said {line:?}");
        // What else it says is not to end it.
        std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        (Process(child), url)
    }

    /// Every file with owner and mode, and the user.
    fn listing(&self) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        list(&self.root(), &mut found);
        for database in ["passwd", "group"] {
            let output = Command::new("getent").args([database, &self.user]).output().unwrap();
            found.insert(database.to_owned(), String::from_utf8(output.stdout).unwrap());
        }
        found
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // A test that failed leaves no user.
        for tool in ["userdel", "groupdel"] {
            drop(Command::new(tool).arg(&self.user).stderr(Stdio::null()).status());
        }
    }
}

fn list(dir: &Path, found: &mut BTreeMap<String, String>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let meta = path.symlink_metadata().unwrap();
        let facts = format!("{}:{} {:o}", meta.uid(), meta.gid(), meta.mode());
        found.insert(path.display().to_string(), facts);
        if meta.is_dir() {
            list(&path, found);
        }
    }
}

const OPTIONS: [&str; 4] = ["--durable", "--listen", "127.0.0.1:0", "--lease=90s"];

#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "plays systemd")]
fn a_server_is_installed_serves_is_renewed_and_leaves_nothing() {
    let Some(machine) = Machine::new() else { return };
    if !has_tool("setpriv") {
        return skip(Lacks::Tool, "setpriv (Debian: util-linux)");
    }
    let before = machine.listing();
    let planned = machine.succeeds(&["install", "--dry-run"], &OPTIONS);
    assert!(planned.contains("actions would be done"), "{planned}");
    assert_eq!(machine.listing(), before);
    let said = machine.succeeds(&["install"], &OPTIONS);
    assert!(said.contains("server admin-link --data-dir "), "{said}");
    let installed = machine.listing();
    let again = machine.succeeds(&["install"], &OPTIONS);
    assert!(again.contains("installed already"), "{again}");
    assert_eq!(machine.listing(), installed);
    let data = machine.data();
    assert_eq!(std::fs::metadata(&data).unwrap().mode() & 0o7777, 0o700);
    let (process, url) = machine.start();
    let program = machine.root().join("opt/russet-server/russet");
    let link = Command::new(program)
        .args(["server", "admin-link", "--url", &url, "--data-dir"])
        .arg(&data)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&link.stderr);
    assert!(link.status.success(), "{errors}");
    // Without systemd the server could only be stopped by its supervisor.
    let refused = machine.run(&["uninstall", "--purge"], &[]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("a server uses"), "{refused:?}");
    assert!(data.join("russet.db").is_file());
    drop(process);
    // An upgrade keeps the options.
    machine.succeeds(&["install"], &[]);
    assert!(machine.words_of_unit().contains(&"--lease=90s".to_owned()));
    machine.succeeds(&["uninstall"], &[]);
    assert!(data.join("russet.db").is_file() && !machine.root().join("etc/systemd").exists());
    machine.succeeds(&["install"], &OPTIONS);
    machine.succeeds(&["uninstall", "--purge"], &[]);
    assert_eq!(machine.listing(), before);
    assert!(machine.succeeds(&["uninstall"], &[]).contains("Nothing is installed"));
}

#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "plays systemd")]
fn an_installation_that_is_killed_anywhere_is_finished_and_undone_the_same() {
    let Some(machine) = Machine::new() else { return };
    let before = machine.listing();
    let mut lines = 1;
    while machine.killed_after(lines, &["install"], &OPTIONS) {
        lines += 1;
        if lines % 2 == 0 {
            // From nothing each second time: each action is the first of a run.
            machine.succeeds(&["uninstall", "--purge"], &[]);
            assert_eq!(machine.listing(), before, "after {lines} lines");
        }
    }
    assert!(lines > 5, "{lines}");
    machine.succeeds(&["install"], &OPTIONS);
    let mut lines = 1;
    while machine.killed_after(lines, &["uninstall", "--purge"], &[]) {
        lines += 1;
    }
    machine.succeeds(&["uninstall", "--purge"], &[]);
    assert_eq!(machine.listing(), before);
}

#[test]
fn options_are_refused_before_anything_is_done_and_the_file_is_shown_to_anybody() {
    let machine = test_dir();
    let run = |words: &[&str]| {
        let mut command = Command::new(russet());
        command.args(["server", "install", "--root"]).arg(machine.path()).args(words);
        command.current_dir(machine.path()).output().unwrap()
    };
    let refused = run(&["--dry-run", "--nonsense"]);
    assert_eq!(refused.status.code(), Some(2));
    let refused = run(&["--dry-run", "--tls-cert", "a.pem"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--tls-key"), "{refused:?}");
    let printed = run(&["--print", "--listen", "0.0.0.0:443", "--log-file", "log/server.log"]);
    let text = String::from_utf8(printed.stdout).unwrap();
    let log = machine.path().join("log/server.log");
    assert!(text.contains(&format!("--log-file {}", log.display())), "{text}");
    if cfg!(target_os = "linux") {
        assert!(text.contains("CapabilityBoundingSet=CAP_NET_BIND_SERVICE"), "{text}");
        assert!(text.contains("ReadWritePaths="), "{text}");
    }
    assert_eq!(std::fs::read_dir(machine.path()).unwrap().count(), 0);
}

#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "plays systemd")]
fn data_of_somebody_else_is_not_taken_over() {
    let Some(machine) = Machine::new() else { return };
    let data = machine.data();
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("russet.db"), "of another server").unwrap();
    let refused = machine.run(&["install"], &OPTIONS);
    let errors = String::from_utf8_lossy(&refused.stderr);
    assert!(errors.contains("is not empty") && errors.contains("chown -R"), "{errors}");
    machine.succeeds(&["uninstall", "--purge"], &[]);
    assert_eq!(std::fs::read_to_string(data.join("russet.db")).unwrap(), "of another server");
}

#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "plays systemd")]
fn the_doctor_finds_what_is_in_the_way_of_a_server() {
    let Some(machine) = Machine::new() else { return };
    if !has_tool("setpriv") {
        return skip(Lacks::Tool, "setpriv (Debian: util-linux)");
    }
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let listen = format!("127.0.0.1:{port}");
    machine.succeeds(&["install"], &["--listen", &listen]);
    let doctor = || {
        let output = machine.run(&["doctor", "--output", "json"], &[]);
        let report: serde_json::Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {output:?}"));
        let levels: BTreeMap<String, String> = report["checks"]
            .as_array()
            .unwrap()
            .iter()
            .map(|check| {
                let text = |key: &str| check[key].as_str().unwrap().to_owned();
                (text("name"), text("level"))
            })
            .collect();
        (output.status.code().unwrap(), levels)
    };
    // It never ran: there are no secrets and no database, and nothing listens.
    let (code, levels) = doctor();
    assert_eq!(code, 21, "{levels:?}");
    for name in ["admin token", "secrets key", "database", "port"] {
        assert_eq!(levels[name], "bad", "{name}: {levels:?}");
    }
    let (process, url) = machine.start();
    wait_for("it to answer", || {
        std::net::TcpStream::connect(url.strip_prefix("http://").unwrap()).ok()
    });
    let (code, levels) = doctor();
    for name in ["data directory", "admin token", "secrets key", "database", "disk", "port"] {
        assert_eq!(levels[name], "ok", "{name}: {levels:?}");
    }
    assert_eq!(code, 0, "{levels:?}");
    let token = machine.data().join("admin.token");
    std::fs::set_permissions(&token, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    assert_eq!(doctor().1["admin token"], "bad");
    drop(process);
    // Not a database any more, nor what was yet to be written to it.
    std::fs::remove_file(machine.data().join("russet.db-wal")).unwrap();
    std::fs::write(machine.data().join("russet.db"), vec![1; 65_536]).unwrap();
    assert_eq!(doctor().1["database"], "bad");
    machine.succeeds(&["uninstall", "--purge"], &[]);
}
