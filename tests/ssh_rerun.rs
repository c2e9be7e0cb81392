//! Reruns with SSH over real binaries, with OpenSSH's own client at the person's end.

#[cfg(target_os = "linux")]
mod network;
#[cfg(target_os = "linux")]
mod ports;
mod terminal;

use std::path::{Path, PathBuf};
use std::process::Command;

use russet_protocol::admin::{Items, Job, Pipeline, Workflow};
use russet_protocol::machine::WaitReason;
use russet_protocol::outcome::Outcome;
use russet_protocol::people::AuditItem;
use russet_protocol::ssh::{SshItem, SshPhase};
use serde_json::json;
use tempfile::TempDir;

use crate::support::command_line::CommandLine;
use crate::support::{
    Agent, AgentOptions, CLASS, Process, Server, config, run, russet, test_dir, wait_for,
};

/// A step that leaves something to look at, and fails.
const FAILING: &str = "echo built > note.txt; exit 3";

/// A server whose class allows SSH, an agent, and the directory of a person with a key.
struct Farm {
    server: Server,
    agent: Agent,
    dir: TempDir,
}

impl Farm {
    /// Starts one. `ssh` is the agent's own configuration of SSH.
    fn start(class: serde_json::Value, ssh: &[&str]) -> Self {
        let server = Server::start_alone("it is restarted, and its tunnels with it", &[]);
        let runner = ssh.iter().map(|&line| line.to_owned()).collect();
        Self::start_agent(server, class, AgentOptions { runner, ..AgentOptions::default() })
    }

    /// Starts the agent of one, where `TOKEN` stands for the class token.
    fn start_agent(
        server: Server,
        mut class: serde_json::Value,
        mut options: AgentOptions,
    ) -> Self {
        class["resource_class"] = json!(CLASS);
        let token = server.admin.token_of(class);
        let names_token = options.runner.iter().any(|line| line.contains("TOKEN"));
        for line in &mut options.runner {
            *line = line.replace("TOKEN", &token);
        }
        let url = options.url.clone().unwrap_or_else(|| server.url().to_owned());
        let agent = Agent::start_at(&url, if names_token { "" } else { &token }, &options);
        let dir = test_dir();
        std::fs::write(dir.path().join("token"), server.admin_token_on_disk()).unwrap();
        make_key(&dir.path().join("key"));
        Self { server, agent, dir }
    }

    fn allowed() -> Self {
        Self::start(json!({"description": "", "allow_ssh": true}), &["ssh: {enabled: true}"])
    }

    fn cli(&self) -> CommandLine<'_> {
        CommandLine::new(&self.server, self.dir.path())
    }

    fn key(&self) -> PathBuf {
        self.dir.path().join("key")
    }

    fn failed_job(&self) -> Job {
        let job = self.server.admin.run(&config(&[&run(FAILING)]));
        assert_eq!(job.outcome, Some(Outcome::Failed));
        job
    }

    /// Runs a failed job again with SSH. Returns the further job.
    fn rerun(&self) -> Job {
        let job = self.failed_job().id.to_string();
        let args =
            ["job", "rerun", "--ssh", "--key", "key.pub", "--as", "anna", "-o", "json", &job];
        let run: Workflow = serde_json::from_str(&self.cli().succeed(&args)).unwrap();
        run.jobs[0].clone()
    }

    fn way(&self, job: &Job) -> SshItem {
        let path = format!("/api/v3/jobs/{}/ssh", job.id);
        self.server.admin.get::<Items<SshItem>>(&path).items.remove(0)
    }

    fn wait_for_phase(&self, job: &Job, phase: SshPhase) -> SshItem {
        wait_for(&format!("{phase:?}"), || Some(self.way(job)).filter(|way| way.phase == phase))
    }

    /// Runs `russet job ssh` with these arguments of `ssh`.
    fn ssh(&self, job: &Job, more: &[&str]) -> (i32, String, String) {
        let (id, key) = (job.id.to_string(), self.key().display().to_string());
        let args = ["job", "ssh", &id, "--", "-i", &key, "-o", "IdentitiesOnly=yes"];
        self.cli().call(&[&args[..], more].concat())
    }

    /// Time until the hold ends, in milliseconds; `None`: the task is not held.
    fn remaining_ms(&self, job: &Job) -> Option<u64> {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        self.way(job).ends_ms?.checked_sub(u64::try_from(now.as_millis()).unwrap())
    }

    fn wait_for_end(&self, job: &Job) -> Job {
        wait_for("the end of the job", || {
            Some(self.server.admin.job(&job.id)).filter(|job| job.outcome.is_some())
        })
    }

    fn audit(&self) -> Vec<AuditItem> {
        let path = "/api/v3/audit?operation=SSH%20session";
        self.server.admin.get::<Items<AuditItem>>(path).items
    }
}

/// Makes a key pair of OpenSSH.
fn make_key(file: &Path) {
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "test", "-f"])
        .arg(file)
        .status();
    assert!(made.unwrap().success());
}

/// Ends the hold of a job, and waits for the end of its task.
fn end_hold(farm: &Farm, job: &Job) {
    farm.cli().succeed(&["job", "ssh", job.id.as_str(), "--end"]);
    farm.wait_for_phase(job, SshPhase::Ended);
}

#[test]
fn a_person_gets_into_a_failed_job_with_the_key_of_the_rerun_and_ends_its_hold() {
    let farm = Farm::allowed();
    let job = farm.rerun();
    let (code, out, err) = farm.ssh(&job, &["cat note.txt; exit 7"]);
    assert_eq!((code, out.as_str()), (7, "built\n"), "{err}");
    let way = farm.wait_for_phase(&job, SshPhase::Waiting);
    assert_eq!(way.person, "anna");
    // Output and input of any bytes, without a terminal.
    let sent = farm.dir.path().join("sent");
    std::fs::write(&sent, (0..300_000_u32).flat_map(u32::to_le_bytes).collect::<Vec<u8>>())
        .unwrap();
    let user = way.ready.unwrap().user;
    let proxy = format!("ProxyCommand={} job ssh --proxy {}", russet().display(), job.id);
    let copy = |from: &str, to: &str| {
        let status = Command::new("scp")
            .args(["-q", "-i"])
            .arg(farm.key())
            .args(["-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=no"])
            .args(["-o", "UserKnownHostsFile=/dev/null", "-o", &proxy, from, to])
            .current_dir(farm.dir.path())
            .env("RUSSET_URL", farm.server.url())
            .env("RUSSET_TOKEN_FILE", farm.dir.path().join("token"))
            .status();
        assert!(status.unwrap().success(), "scp {from} {to}");
    };
    copy("sent", &format!("{user}@task:copied"));
    copy(&format!("{user}@task:copied"), "back");
    assert!(std::fs::read(&sent).unwrap() == std::fs::read(farm.dir.path().join("back")).unwrap());

    let id = job.id.to_string();
    let shown = farm.cli().succeed(&["job", "ssh", &id, "--show"]);
    assert!(shown.contains("held") && shown.contains("SHA256:"), "{shown}");
    let before = farm.way(&job).ends_ms.unwrap();
    farm.cli().succeed(&["job", "ssh", &id, "--extend", "30m"]);
    wait_for("a later end", || (farm.way(&job).ends_ms? > before + 20 * 60_000).then_some(()));
    farm.cli().succeed(&["job", "ssh", &id, "--end"]);
    farm.wait_for_phase(&job, SshPhase::Ended);
    let ended = farm.wait_for_end(&job);
    assert_eq!(ended.outcome, Some(Outcome::Failed), "the outcome is that of its steps");
    let names: Vec<&str> = ended.steps.iter().map(|step| step.name.as_str()).collect();
    assert_eq!((names.first(), names.last()), (Some(&"Enable SSH"), Some(&"Wait for SSH")));
    let (code, _, err) = farm.ssh(&job, &["true"]);
    assert!(code == 4 && err.contains("has ended"), "{code}: {err}");
    // Three connections: a command, and two copies.
    let events = farm.audit();
    let ends = events.iter().filter(|event| event.operation == "SSH session ended").count();
    assert_eq!((events.len(), ends), (6, 3), "{events:?}");
    assert!(
        events
            .iter()
            .all(|event| event.who == "anna" && event.means.starts_with("SSH key SHA256:"))
    );
}

#[test]
fn another_persons_key_does_not_get_in() {
    let farm = Farm::allowed();
    let job = farm.rerun();
    farm.wait_for_phase(&job, SshPhase::Waiting);
    let other = farm.dir.path().join("other");
    make_key(&other);
    let (id, other) = (job.id.to_string(), other.display().to_string());
    let args = [
        "job",
        "ssh",
        &id,
        "--",
        "-i",
        &other,
        "-o",
        "IdentitiesOnly=yes",
        "-o",
        "BatchMode=yes",
        "true",
    ];
    let (code, _, err) = farm.cli().call(&args);
    assert!(code == 255 && err.contains("Permission denied"), "{code}: {err}");
    assert!(farm.audit().is_empty(), "nobody was in");
    farm.cli().succeed(&["job", "ssh", &id, "--end"]);
}

#[test]
fn ssh_is_off_unless_class_and_machine_allow_it() {
    let off = Farm::start(json!({"description": ""}), &["ssh: {enabled: true}"]);
    let job = off.failed_job().id.to_string();
    let (code, _, err) = off.cli().call(&["job", "rerun", "--ssh", "--key", "key.pub", &job]);
    assert!(code == 4 && err.contains("russet resource-class ssh"), "{err}");
    off.cli().succeed(&["resource-class", "ssh", CLASS, "allow"]);
    off.cli().succeed(&["job", "rerun", "--ssh", "--key", "key.pub", &job]);

    let off = Farm::start(json!({"description": "", "allow_ssh": true}), &[]);
    let job = off.rerun();
    let waiting = wait_for("the reason", || off.server.admin.job(&job.id).waiting);
    assert_eq!(waiting.reason, WaitReason::Ssh, "{}", waiting.text);
}

#[test]
fn a_job_of_a_fork_is_reached_only_where_both_sides_say_so_by_name() {
    let class = json!({"description": "", "allow_forks": true, "allow_ssh": true});
    let farm = Farm::start(
        class,
        &["classes: [{token: TOKEN, allow_forks: true}]", "ssh: {enabled: true}"],
    );
    let body =
        json!({"project": "test/project", "config": config(&[&run(FAILING)]), "from_fork": true});
    let pipeline: Pipeline =
        serde_json::from_value(farm.server.admin.post("/api/v3/pipelines", body)).unwrap();
    farm.server.admin.wait(&pipeline);
    let job = farm.server.admin.only_job(&pipeline).id.to_string();
    let (code, _, err) = farm.cli().call(&["job", "rerun", "--ssh", "--key", "key.pub", &job]);
    assert!(code == 4 && err.contains("comes from a fork"), "{err}");
    farm.cli().succeed(&["resource-class", "ssh", CLASS, "allow-forks"]);
    let args = ["job", "rerun", "--ssh", "--key", "key.pub", "-o", "json", &job];
    let run: Workflow = serde_json::from_str(&farm.cli().succeed(&args)).unwrap();
    let waiting = wait_for("the reason", || farm.server.admin.job(&run.jobs[0].id).waiting);
    assert!(waiting.text.contains("runner.ssh.allow_forks"), "{}", waiting.text);
}

/// Starts `russet job ssh` with a command that stays.
fn stay(farm: &Farm, job: &Job, command: &str) -> Process {
    let child = Command::new(russet())
        .args(["job", "ssh", job.id.as_str(), "--", "-i"])
        .arg(farm.key())
        .args(["-o", "IdentitiesOnly=yes", command])
        .current_dir(farm.dir.path())
        .env("RUSSET_URL", farm.server.url())
        .env("RUSSET_TOKEN_FILE", farm.dir.path().join("token"))
        .stdout(std::fs::File::create(farm.dir.path().join("out")).unwrap())
        .stderr(std::fs::File::create(farm.dir.path().join("err")).unwrap())
        .spawn();
    Process(child.unwrap())
}

fn text(farm: &Farm, name: &str) -> String {
    std::fs::read_to_string(farm.dir.path().join(name)).unwrap_or_default()
}

#[test]
fn a_cancel_ends_whoever_is_connected_and_all_that_they_started() {
    let farm = Farm::allowed();
    let job = farm.rerun();
    let mut person = stay(&farm, &job, "setsid sleep 4321 & echo pid $!; sleep 600");
    let pid = wait_for("a process of the session", || {
        text(&farm, "out").trim().strip_prefix("pid ")?.parse::<i32>().ok()
    });
    let path = format!("/api/v3/jobs/{}/cancel", job.id);
    farm.server.admin.post(&path, json!({}));
    let code = wait_for("the end of ssh", || (!person.is_running()).then(|| person.wait()));
    assert_ne!(code, Some(0));
    farm.wait_for_phase(&job, SshPhase::Ended);
    wait_for("the end of the session's processes", || {
        (!Path::new(&format!("/proc/{pid}")).exists()).then_some(())
    });
    assert_eq!(farm.audit().len(), 2);
}

#[test]
fn a_server_that_restarts_ends_the_session_with_a_message_and_the_task_is_dialled_again() {
    let mut farm = Farm::allowed();
    let job = farm.rerun();
    let mut person = stay(&farm, &job, "echo in; sleep 600");
    wait_for("a session", || text(&farm, "out").contains("in").then_some(()));
    farm.server.stop();
    let code = wait_for("the end of ssh", || (!person.is_running()).then(|| person.wait()));
    assert_eq!(code, Some(255));
    let err = text(&farm, "err");
    assert!(err.contains("dial again"), "{err}");
    farm.server.start_again();
    let (code, out, err) = farm.ssh(&job, &["cat note.txt"]);
    assert_eq!((code, out.as_str()), (0, "built\n"), "{err}");
    farm.cli().succeed(&["job", "ssh", job.id.as_str(), "--end"]);
    farm.wait_for_phase(&job, SshPhase::Ended);
    assert!(farm.agent.status().is_some());
}
