//! Shells with a terminal, driven as a person does.

use std::process::Command;

use russet_test_skip::has_tool;

use super::support::{Serving, serve, succeed, text, wait_until};

/// A terminal of tmux in which a client runs.
struct Tmux {
    socket: String,
}

impl Drop for Tmux {
    fn drop(&mut self) {
        self.tell(&["kill-server"]);
    }
}

impl Tmux {
    fn open(serving: &Serving, command: &str) -> Self {
        let tmux = Self { socket: serving.path("tmux").display().to_string() };
        let ssh = serving.ssh();
        let words: Vec<String> =
            ssh.get_args().map(|word| format!("'{}'", word.to_string_lossy())).collect();
        let line = format!("exec timeout {} -tt 127.0.0.1 {command}", words.join(" "));
        tmux.tell(&["-f", "/dev/null", "new-session", "-d", "-x", "90", "-y", "30", &line]);
        tmux
    }

    fn tell(&self, words: &[&str]) -> String {
        let output = Command::new("tmux").args(["-S", &self.socket]).args(words).output().unwrap();
        text(&output.stdout)
    }

    fn type_line(&self, line: &str) {
        self.tell(&["send-keys", "-l", line]);
        self.tell(&["send-keys", "Enter"]);
    }

    #[track_caller]
    fn wait_for(&self, wanted: &str) {
        wait_until(wanted, || self.tell(&["capture-pane", "-p"]).contains(wanted));
    }
}

#[test]
fn a_shell_has_a_terminal_that_follows_its_size_and_takes_control_c() {
    if !has_tool("tmux") {
        return;
    }
    let serving = serve();
    let tmux = Tmux::open(&serving, "");
    tmux.wait_for("Welcome to the task.");
    tmux.type_line("stty size; echo $TERM $SHOWN; shopt login_shell");
    tmux.wait_for("30 90");
    tmux.wait_for("terminal");
    let login =
        if cfg!(target_os = "macos") { "login_shell     on" } else { "login_shell     off" };
    tmux.wait_for(login);
    tmux.tell(&["resize-window", "-x", "110", "-y", "40"]);
    tmux.type_line("clear; stty size");
    tmux.wait_for("40 110");
    tmux.type_line("clear; echo $((6 * 7)) begun; sleep 1000");
    tmux.wait_for("42 begun");
    tmux.tell(&["send-keys", "C-c"]);
    tmux.type_line("echo status=$?");
    tmux.wait_for("status=130");
    serving.server.tell("this task ends in 5 min");
    tmux.wait_for("*** this task ends in 5 min ***");
    // Job control works, so the terminal is the session's own.
    tmux.type_line("clear; (exec sleep 1000) & jobs; kill %1; tty");
    tmux.wait_for("/dev/pts/");
    tmux.type_line("exit 3");
    wait_until("the end", || serving.host.ended.lock().unwrap().len() == 1);
}

#[test]
fn a_terminal_tells_exit_statuses_and_keeps_the_last_output() {
    let serving = serve();
    let run = |command: &str| {
        let output = serving.ssh().args(["-tt", "127.0.0.1", command]).output().unwrap();
        (output.status.code(), text(&output.stdout))
    };
    assert_eq!(run("exit 5").0, Some(5));
    let (code, output) = run("seq 1 20000");
    assert_eq!(code, Some(0));
    let numbers: Vec<&str> = output.lines().collect();
    assert_eq!((numbers.len(), numbers[19_999]), (20_000, "20000"));
    // A process that it leaves in the background does not keep the session.
    assert_eq!(run("sleep 1000 & echo left").1.trim(), "left");
}

#[test]
fn whoever_hangs_up_hangs_up_the_shell() {
    let serving = serve();
    let mut ssh = serving.ssh();
    ssh.args(["-tt", "127.0.0.1", "echo $$ > pid; exec sleep 1000"]);
    let mut client = ssh.spawn().unwrap();
    let pid_file = serving.path("work/pid");
    let read = || std::fs::read_to_string(&pid_file).unwrap_or_default().trim().to_owned();
    wait_until("the shell", || !read().is_empty());
    let pid = read();
    client.kill().unwrap();
    client.wait().unwrap();
    // `timeout` was killed, and its child hears of it when it writes.
    drop(Command::new("pkill").args(["-f", &format!("Port={} ", serving.port)]).status());
    let is_there = || std::path::Path::new(&format!("/proc/{pid}/stat")).exists();
    wait_until("the end of the shell", || !is_there());
    assert_eq!(succeed(&serving.run("echo $JOB")), "build\n");
}
