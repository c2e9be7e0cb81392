//! Attacks of a job on its machine and on the task after it, each of which has to come to nothing.

use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use nix::sys::signal::Signal;
use russet_protocol::outcome::Outcome;

use crate::support::admin::assert_outcome;
use crate::support::user::SlotUser;
use crate::support::{
    Agent, AgentOptions, Lacks, Server, can_be_root, config, run, russet, skip, test_dir, wait_for,
};

/// Returns true if the test can run; otherwise it is skipped.
#[track_caller]
fn can_run() -> bool {
    can_be_root("to have other users")
}

/// Runs a job with this script, and returns what it printed.
#[track_caller]
fn output_of(server: &Server, script: &str) -> String {
    let job = server.admin.run(&config(&[&run(script)]));
    assert_outcome(&server.admin, &job, Outcome::Success);
    String::from_utf8(server.admin.step_output(&job, 1)).unwrap()
}

#[test]
fn a_job_that_makes_files_until_there_are_no_more_leaves_room_for_the_next_one() {
    if !can_run() {
        return;
    }
    let (server, user) = (Server::start(), SlotUser::create());
    let options = AgentOptions { disk: Some("64m,nr_inodes=3000"), ..user.options() };
    let _agent = Agent::start_with(&server, &options);
    let script = "n=0; while touch f$n 2>error; do n=$((n+1)); done; cat error; exit 3";
    let job = server.admin.run(&config(&[&run(script)]));
    assert!(
        matches!(job.outcome, Some(Outcome::Failed | Outcome::InfrastructureFail)),
        "{:?} {:?}",
        job.outcome,
        job.message
    );
    assert_eq!(output_of(&server, "touch again; ls"), "again\n");
}

/// Raises the limit of core files of a process to what the kernel has.
fn allow_core_files(pid: nix::unistd::Pid) {
    let mut prlimit = std::process::Command::new("prlimit");
    prlimit.args(["--core=unlimited:unlimited", "--pid", &pid.to_string()]);
    assert!(prlimit.status().unwrap().success());
}

fn count_core_files(directory: &Path) -> usize {
    let names = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_string_lossy().starts_with("core")).count()
}

#[test]
fn agents_that_crash_leave_no_core_files() {
    if !can_run() {
        return;
    }
    let (server, user, dir) = (Server::start(), SlotUser::create(), test_dir());
    let work = dir.path().join("work");
    std::fs::create_dir(&work).unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    chown(&work, Some(user.uid()), None).unwrap();
    let mut options = user.options();
    options.runner.push(format!("working_directory: {}", work.display()));
    let mut agent = Agent::start_with(&server, &options);
    allow_core_files(agent.process().pid());
    // The task agent that waits already has the limit of before.
    output_of(&server, "true");
    let script = "bash -c 'kill -ABRT $$'; ls core* > dumped; rm -f core*; \
                  grep -i 'core file' /proc/$PPID/limits; cat dumped; kill -ABRT $PPID; sleep 1000";
    let job = server.admin.run(&config(&[&run(&format!("set +e; {script}"))]));
    assert_outcome(&server.admin, &job, Outcome::InfrastructureFail);
    let said = String::from_utf8(server.admin.step_output(&job, 1)).unwrap();
    assert!(said.contains("unlimited"), "{said}");
    if !said.contains("\ncore") {
        return skip(Lacks::Machine, "this machine writes no core files beside programs");
    }
    assert_eq!(count_core_files(&work), 0, "the task agent left one");
    agent.signal(Signal::SIGABRT);
    let status = wait_for("the launch agent to end", || agent.process().0.try_wait().unwrap());
    assert_eq!((status.signal(), status.core_dumped()), (Some(6), false));
}

#[test]
fn a_launch_agent_that_stands_still_for_longer_than_a_lease_costs_nothing() {
    let server = Server::start_with(&["--lease", "3s"]);
    let agent = Agent::start(&server);
    let script = "for i in $(seq 1 250); do echo \"line $i\"; sleep 0.02; done";
    let pipeline = server.admin.submit(&config(&[&run(script)]));
    server.admin.wait_for_output(&pipeline, "line 20");
    agent.signal(Signal::SIGSTOP);
    let began = Instant::now();
    // By the clock, since the server's lease is.
    wait_for("the lease to be over", || (began.elapsed() > Duration::from_secs(4)).then_some(()));
    agent.signal(Signal::SIGCONT);
    server.admin.wait(&pipeline);
    let job = server.admin.only_job(&pipeline);
    assert_outcome(&server.admin, &job, Outcome::Success);
    let expected: String = (1..=250).map(|number| format!("line {number}\n")).collect();
    assert_eq!(String::from_utf8(server.admin.step_output(&job, 1)).unwrap(), expected);
    assert_eq!(output_of(&server, "echo next"), "next\n");
}

#[test]
fn a_submodule_from_a_file_of_the_machine_brings_nothing_that_the_job_may_not_read() {
    if !can_run() {
        return;
    }
    let (server, user, dir) = (Server::start(), SlotUser::create(), test_dir());
    let _agent = Agent::start_with(&server, &user.options());
    // A repository of root's, in a directory that the slot's user may not enter.
    let private = dir.path().join("private");
    let git = |arguments: &[&str]| {
        let mut git = std::process::Command::new("git");
        git.args(["-c", "user.name=x", "-c", "user.email=x@x", "-C"]).arg(&private);
        assert!(git.args(arguments).output().unwrap().status.success(), "{arguments:?}");
    };
    std::fs::create_dir(&private).unwrap();
    git(&["init", "-q"]);
    std::fs::write(private.join("secret"), "s3cr3t").unwrap();
    git(&["add", "."]);
    git(&["commit", "-qm", "x"]);
    std::fs::set_permissions(&private, std::fs::Permissions::from_mode(0o700)).unwrap();
    let script = format!(
        "git init -q .; \
         for allow in user always; do \
         git -c protocol.file.allow=$allow submodule add file://{0} sub 2>&1 && echo added; \
         git -c protocol.file.allow=$allow submodule add {0} sub 2>&1 && echo added; done; \
         cat sub/secret .git/modules/sub/* 2>/dev/null; echo end",
        private.display()
    );
    let said = output_of(&server, &format!("set +e; {script}"));
    assert!(said.ends_with("end\n"), "{said}");
    assert!(!said.contains("added") && !said.contains("s3cr3t"), "{said}");
}

/// A runtime directory as systemd makes it for a user that lingers.
struct RuntimeDirectory(PathBuf);

impl RuntimeDirectory {
    fn create(user: &SlotUser) -> Self {
        let path = PathBuf::from(format!("/run/user/{}", user.uid()));
        std::fs::create_dir_all(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
        chown(&path, Some(user.uid()), None).unwrap();
        Self(path)
    }
}

impl Drop for RuntimeDirectory {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

#[test]
fn a_session_that_was_to_linger_ends_with_its_sockets_and_files() {
    if !can_run() {
        return;
    }
    let (server, user) = (Server::start(), SlotUser::create());
    let runtime = RuntimeDirectory::create(&user);
    let _agent = Agent::start_with(&server, &user.options());
    let name = user.name();
    let python = format!(
        "import socket, time; a = socket.socket(socket.AF_UNIX); a.bind(chr(0) + '{name}'); \
         a.listen(); b = socket.socket(socket.AF_UNIX); b.bind('{0}/bus'); b.listen(); \
         time.sleep(1000)",
        runtime.0.display()
    );
    let left = format!(
        "(setsid nohup python3 -c \"{python}\" >/dev/null 2>&1 &); \
         until grep -q @{name} /proc/net/unix && test -S {0}/bus; do sleep 0.01; done; \
         echo secret > {0}/token; echo there",
        runtime.0.display()
    );
    assert_eq!(output_of(&server, &left), "there\n");
    let found = format!(
        "grep @{name} /proc/net/unix; ls -A {0}; pgrep -u $(id -u) python3; echo end",
        runtime.0.display()
    );
    assert_eq!(output_of(&server, &format!("set +e; {found}")), "end\n");
}

#[test]
fn a_matrix_beyond_its_limit_names_the_limit_and_where_it_was_met() {
    let dir = test_dir();
    std::fs::create_dir(dir.path().join(".circleci")).unwrap();
    let values = (0..100).map(|n| n.to_string()).collect::<Vec<_>>().join(", ");
    let text = format!(
        "version: 2.1\njobs:\n  job:\n    machine: true\n    resource_class: a/b\n    parameters:\n      \
         a: {{type: integer}}\n      b: {{type: integer}}\n    steps: [{{run: echo}}]\nworkflows:\n  \
         main:\n    jobs:\n      - job:\n          matrix:\n            parameters: {{a: [{values}], \
         b: [{values}]}}\n"
    );
    std::fs::write(dir.path().join(".circleci/config.yml"), text).unwrap();
    let mut command = std::process::Command::new(russet());
    let output = command.args(["config", "validate"]).arg(dir.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(said.contains("at most 128 jobs, but this for 10000"), "{said}");
    assert!(said.contains("config.yml:"), "{said}");
}

/// A directory of root's where everybody may write, which goes with its guard.
struct OpenDirectory(PathBuf);

impl Drop for OpenDirectory {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

#[test]
fn a_file_in_an_unusual_directory_does_not_meet_the_next_task() {
    if !can_run() {
        return;
    }
    let (server, user) = (Server::start(), SlotUser::create());
    let open = OpenDirectory(PathBuf::from(format!("/run/russet-attack-{}", user.name())));
    std::fs::create_dir(&open.0).unwrap();
    std::fs::set_permissions(&open.0, std::fs::Permissions::from_mode(0o1777)).unwrap();
    // The list of all agents of this machine may be young: it is made old, so that this one makes
    // it anew.
    let list = Path::new("/run/lock/russet/shared-directories");
    if let Ok(file) = std::fs::File::options().write(true).open(list) {
        file.set_modified(SystemTime::now() - Duration::from_secs(7200)).unwrap();
    }
    let _agent = Agent::start_with(&server, &user.options());
    let shown = open.0.to_str().unwrap();
    wait_for("the list of shared directories", || {
        let text = std::fs::read(list).unwrap_or_default();
        String::from_utf8_lossy(&text).contains(shown).then_some(())
    });
    let left = format!("umask 077; mkdir {shown}/S-x; echo secret > {shown}/S-x/log; echo left");
    assert_eq!(output_of(&server, &left), "left\n");
    assert_eq!(output_of(&server, &format!("ls -A {shown}; echo end")), "end\n");
}
