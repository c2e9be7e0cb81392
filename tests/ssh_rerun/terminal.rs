//! `russet job ssh` in a terminal, as a person uses it; servers and agents are restarted meanwhile.

use std::process::{Command, Stdio};

use russet_protocol::admin::Job;

use super::{Farm, end_hold};
use crate::support::{Process, has_tool, russet, wait_for};

/// A terminal of tmux in which `russet job ssh` runs without arguments of `ssh`.
pub(super) struct Terminal {
    socket: String,
    /// OpenSSH's agent with the person's key: options of `ssh` would be arguments.
    _keys: Process,
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.tell(&["kill-server"]);
    }
}

impl Terminal {
    fn open(farm: &Farm, job: &Job) -> Self {
        let path = |name: &str| farm.dir.path().join(name).display().to_string();
        let (keys, socket) = (path("keys"), path("tmux"));
        let agent = Command::new("ssh-agent")
            .args(["-D", "-a", &keys])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let terminal = Self { socket, _keys: Process(agent) };
        wait_for("the agent of keys", || {
            let mut add = Command::new("ssh-add");
            add.arg(farm.key()).env("SSH_AUTH_SOCK", &keys).stderr(Stdio::null());
            add.status().unwrap().success().then_some(())
        });
        // The shell around it outlives Ctrl-C, and says how it ended.
        let line = format!(
            "trap : INT; '{}' job ssh {}; echo ended=$?; exec sleep 600",
            russet().display(),
            job.id
        );
        let started = Command::new("tmux")
            .args(["-S", &terminal.socket, "-f", "/dev/null"])
            .args(["new-session", "-d", "-x", "120", "-y", "30", &line])
            .current_dir(farm.dir.path())
            .env("RUSSET_URL", farm.server.url())
            .env("RUSSET_TOKEN_FILE", farm.dir.path().join("token"))
            .env("SSH_AUTH_SOCK", &keys)
            .env("SHELL", "/bin/sh")
            .status();
        assert!(started.unwrap().success());
        terminal
    }

    fn tell(&self, words: &[&str]) -> String {
        let output = Command::new("tmux").args(["-S", &self.socket]).args(words).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    pub(super) fn type_line(&self, line: &str) {
        self.tell(&["send-keys", "-l", line]);
        self.tell(&["send-keys", "Enter"]);
    }

    fn press_control_c(&self) {
        self.tell(&["send-keys", "C-c"]);
    }

    /// Waits for words, which may be broken over lines.
    #[track_caller]
    pub(super) fn wait_for(&self, wanted: &str) {
        wait_for(wanted, || {
            let screen = self.tell(&["capture-pane", "-p", "-J", "-S", "-200"]);
            screen.contains(wanted).then_some(())
        });
    }
}

/// Waits until somebody has logged in so many times.
#[track_caller]
fn wait_for_logins(farm: &Farm, number: usize) {
    wait_for("a login", || {
        let began = farm.audit().into_iter().filter(|it| it.operation == "SSH session began");
        (began.count() == number).then_some(())
    });
}

/// Reruns the job, and gets into its task in a terminal.
#[track_caller]
pub(super) fn log_in(farm: &Farm) -> (Job, Terminal) {
    let job = farm.rerun();
    let terminal = Terminal::open(farm, &job);
    wait_for_logins(farm, 1);
    (job, terminal)
}

/// Waits for the second login, finds a file of the task there, and leaves the shell.
#[track_caller]
pub(super) fn leave_after_return(farm: &Farm, terminal: &Terminal, file: &str) {
    wait_for_logins(farm, 2);
    terminal.type_line(&format!("cat {file}; echo $((40 + 2)) back"));
    terminal.wait_for("42 back");
    terminal.type_line("exit 5");
    terminal.wait_for("ended=5");
}

#[test]
fn a_shell_follows_the_size_of_the_terminal_and_takes_control_c() {
    if !has_tool("tmux") {
        return;
    }
    let farm = Farm::allowed();
    let (job, terminal) = log_in(&farm);
    terminal.type_line("stty size; cat note.txt; echo job=$CIRCLE_JOB");
    terminal.wait_for("30 120");
    terminal.wait_for("built");
    terminal.wait_for("job=job");
    terminal.tell(&["resize-window", "-x", "110", "-y", "40"]);
    terminal.type_line("stty size");
    terminal.wait_for("40 110");
    terminal.type_line("echo $((6 * 7)) begun; sleep 1000");
    terminal.wait_for("42 begun");
    terminal.press_control_c();
    terminal.type_line("echo status=$?");
    terminal.wait_for("status=130");
    terminal.type_line("circleci-agent ssh extend 30m");
    // Of the 2 hours that a task is held with somebody connected.
    wait_for("a later end", || (farm.remaining_ms(&job)? > 2 * 3_600_000).then_some(()));
    terminal.type_line("exit 7");
    terminal.wait_for("ended=7");
    end_hold(&farm, &job);
}

#[test]
fn a_terminal_is_told_that_the_server_restarts_and_gets_into_the_same_task_again() {
    if !has_tool("tmux") {
        return;
    }
    let mut farm = Farm::allowed();
    let (job, terminal) = log_in(&farm);
    terminal.type_line("echo left > left.txt");
    farm.server.stop();
    terminal.wait_for("dial again");
    terminal.wait_for("Dialling the same task again");
    farm.server.start_again();
    leave_after_return(&farm, &terminal, "left.txt");
    end_hold(&farm, &job);
}

#[test]
fn control_c_gives_up_on_a_server_that_does_not_come_back() {
    if !has_tool("tmux") {
        return;
    }
    let mut farm = Farm::allowed();
    let (job, terminal) = log_in(&farm);
    farm.server.stop();
    terminal.wait_for("Ctrl-C gives up");
    terminal.press_control_c();
    terminal.wait_for("ended=130");
    farm.server.start_again();
    end_hold(&farm, &job);
}

#[test]
fn a_session_goes_on_while_the_launch_agent_is_restarted() {
    if !has_tool("tmux") {
        return;
    }
    let mut farm = Farm::allowed();
    let (job, terminal) = log_in(&farm);
    farm.agent.kill();
    terminal.type_line("echo $((40 + 2)) alone");
    terminal.wait_for("42 alone");
    farm.agent.start_again();
    wait_for("its task", || {
        let slots = farm.agent.status()?.slots;
        slots.iter().any(|slot| slot.task.is_some()).then_some(())
    });
    terminal.type_line("echo $((50 + 2)) beside");
    terminal.wait_for("52 beside");
    terminal.type_line("circleci-agent ssh end");
    let ended = farm.wait_for_end(&job);
    assert_eq!(ended.outcome, Some(russet_protocol::outcome::Outcome::Failed));
}

#[test]
fn a_session_through_the_relay_is_dialled_again_when_the_launch_agent_is_restarted() {
    if !has_tool("tmux") {
        return;
    }
    let mut farm = Farm::start(
        serde_json::json!({"description": "", "allow_ssh": true}),
        &["ssh: {enabled: true}", "relay: always"],
    );
    let (job, terminal) = log_in(&farm);
    farm.agent.kill();
    terminal.wait_for("Dialling the same task again");
    farm.agent.start_again();
    leave_after_return(&farm, &terminal, "note.txt");
    end_hold(&farm, &job);
}
