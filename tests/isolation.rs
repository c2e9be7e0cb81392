//! Isolation of steps, proved by steps that try to break out, as root on Linux with real users.
//!
//! Each test runs a script as a job and reads what became of its attempts.

use russet_protocol::outcome::Outcome;

use crate::support::admin::assert_outcome;
use crate::support::user::SlotUser as User;
use crate::support::{Agent, AgentOptions, Server, can_be_root, config, run, test_dir, wait_for};

/// Returns true if the test can run; otherwise it is skipped.
#[track_caller]
fn can_run() -> bool {
    can_be_root("to have other users")
}

/// Processes of a user.
fn processes_of(uid: u32) -> Vec<String> {
    let mut found = Vec::new();
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        let status = std::fs::read_to_string(process.path().join("status")).unwrap_or_default();
        let owner = status.lines().find_map(|line| line.strip_prefix("Uid:"));
        let owner = owner.and_then(|ids| ids.split_whitespace().next()?.parse::<u32>().ok());
        if owner == Some(uid) {
            found.push(status.lines().next().unwrap_or_default().to_owned());
        }
    }
    found
}

#[test]
fn a_step_runs_as_the_slots_user_with_a_fresh_home_and_can_not_become_root() {
    if !can_run() {
        return;
    }
    let (server, user) = (Server::start(), User::create());
    let agent = Agent::start_with(&server, &user.options());
    let script = "id -un; id -u; id -G; test -O \"$HOME\"; ls -A \"$HOME\"; touch ~/left-here; \
                  ! setpriv --reuid 0 true 2>/dev/null; ! su -c true </dev/null 2>/dev/null; \
                  grep -E '^(CapEff|CapPrm|CapAmb|NoNewPrivs)' /proc/self/status; echo end";
    for _ in 0..2 {
        let job = server.admin.run(&config(&[&run(script)]));
        assert_outcome(&server.admin, &job, Outcome::Success);
        let output = String::from_utf8(server.admin.step_output(&job, 1)).unwrap();
        let lines: Vec<&str> = output.lines().collect();
        assert_eq!(lines[0], user.name());
        assert_eq!(lines[1], user.uid().to_string());
        assert!(!lines[2].split(' ').any(|group| group == "0"), "in group root: {output}");
        assert!(!output.contains("left-here"), "the home is not fresh: {output}");
        assert!(output.contains("CapEff:\t0000000000000000"), "{output}");
        assert!(output.contains("CapPrm:\t0000000000000000"), "{output}");
        assert!(output.ends_with("end\n"), "{output}");
    }
    drop(agent);
}

#[test]
fn each_home_begins_as_a_copy_of_the_owners_directory_which_no_task_changes() {
    if !can_run() {
        return;
    }
    let (server, dir) = (Server::start(), test_dir());
    let skeleton = dir.path().join("skeleton");
    std::fs::create_dir_all(skeleton.join(".config")).unwrap();
    std::fs::write(skeleton.join(".config/tool"), "as the owner wants it\n").unwrap();
    for open in [dir.path(), &skeleton, &skeleton.join(".config")] {
        std::fs::set_permissions(open, std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .unwrap();
    }
    let runner = vec![format!("home_skeleton: {}", skeleton.display())];
    let agent = Agent::start_with(&server, &AgentOptions { runner, ..AgentOptions::default() });
    let script = format!(
        "cat ~/.config/tool; echo other > ~/.config/tool; ! echo other > {}/.config/tool",
        skeleton.display()
    );
    for _ in 0..2 {
        let job = server.admin.run(&config(&[&run(&script)]));
        assert_outcome(&server.admin, &job, Outcome::Success);
        let output = server.admin.output(&job);
        assert!(output.contains("as the owner wants it"), "{output}");
    }
    drop(agent);
}

#[test]
fn without_a_set_up_user_a_step_has_an_unprivileged_uid_of_its_own() {
    if !can_run() {
        return;
    }
    let server = Server::start();
    let options = AgentOptions {
        runner: vec!["user_prefix: _nobody_has_this".to_owned()],
        ..AgentOptions::default()
    };
    let agent = Agent::start_with(&server, &options);
    let job = server.admin.run(&config(&[&run("id -u; id -g; id -G")]));
    assert_outcome(&server.admin, &job, Outcome::Success);
    let output = String::from_utf8(server.admin.step_output(&job, 1)).unwrap();
    for id in output.split_whitespace() {
        let id: u32 = id.parse().unwrap();
        assert!((59_000..60_000).contains(&id), "{output}");
    }
    let log = agent.log();
    assert!(log.contains("no name on this machine") && log.contains("hint: "), "{log}");
}

#[test]
fn a_step_reads_no_token_no_configuration_no_other_slot_and_no_memory_of_its_agent() {
    if !can_run() {
        return;
    }
    let (server, user) = (Server::start(), User::create());
    let agent = Agent::start_with(&server, &user.options());
    let script = format!(
        "refused() {{ if \"$@\" >/dev/null 2>&1; then echo \"ALLOWED: $*\"; exit 1; fi; }}\n\
         agent=$(cat /proc/$$/status | awk '/^PPid/ {{ print $2 }}')\n\
         tr '\\0' ' ' < /proc/$agent/cmdline | grep -q task-agent\n\
         refused cat {config}\n\
         refused ls {state}\n\
         refused ls {state}/slots\n\
         refused cat {state}/slots/1/journal.json\n\
         refused ls {state}/slots/2/home\n\
         refused ls {state}/slots/2/work\n\
         refused ls {state}/slots/2/spool\n\
         refused cat /proc/$agent/environ\n\
         refused ls /proc/$agent/fd\n\
         refused cat /proc/$agent/fd/0\n\
         refused dd if=/proc/$agent/mem bs=1 count=1\n\
         refused cat /proc/$agent/maps\n\
         refused cat /proc/$PPID/fd/0\n\
         refused touch {state}/slots/1/x\n\
         refused touch {state}/x\n\
         env | sort\n\
         echo end",
        config = agent.config_file().display(),
        state = agent.state().display(),
    );
    let job = server.admin.run(&config(&[&run(&script)]));
    assert_outcome(&server.admin, &job, Outcome::Success);
    let output = String::from_utf8(server.admin.step_output(&job, 1)).unwrap();
    assert!(output.ends_with("end\n"), "{output}");
    // Nothing of the launch agent's own environment or configuration comes through.
    assert!(!output.to_lowercase().contains("auth_token"), "{output}");
    assert!(!output.contains("CARGO"), "{output}");
}

#[test]
fn a_step_reads_and_disturbs_nothing_of_a_task_in_another_slot() {
    if !can_run() {
        return;
    }
    let server = Server::start();
    let options = AgentOptions {
        runner: vec!["user_prefix: _nobody_has_this".to_owned(), "slots: 2".to_owned()],
        ..AgentOptions::default()
    };
    let _agent = Agent::start_with(&server, &options);
    // It does not even keep its files to itself.
    let victim = "umask 0; echo mine > ~/file; echo mine > file; echo mine > $TMPDIR/file\n\
                  export SECRET=hunter2\n\
                  sleep 1000 & echo \"at $HOME $PWD $TMPDIR $! end\"; wait";
    let pipeline = server.admin.submit(&config(&[&run(victim)]));
    let job = server.admin.wait_for_output(&pipeline, " end\n");
    let said = server.admin.output(&job);
    let words: Vec<&str> = said.split_whitespace().collect();
    let &["at", home, work, tmp, pid, "end"] = words.as_slice() else { panic!("{said}") };
    let script = format!(
        "refused() {{ if \"$@\" >/dev/null 2>&1; then echo \"ALLOWED: $*\"; exit 1; fi; }}\n\
         test -d /proc/{pid}\n\
         for dir in {home} {work} {tmp} {home}/../spool; do\n\
           test \"$(dirname $dir)\" != \"$(dirname $PWD)\"\n\
           refused ls $dir; refused cat $dir/file; refused touch $dir/file $dir/new\n\
         done\n\
         refused cat /proc/{pid}/environ\n\
         refused cat /proc/{pid}/maps\n\
         refused ls /proc/{pid}/cwd/\n\
         refused kill -0 {pid}\n\
         echo tried everything"
    );
    let attack = server.admin.run(&config(&[&run(&script), &run("kill -9 -1")]));
    let tried = server.admin.output(&attack);
    assert!(tried.contains("tried everything") && !tried.contains("ALLOWED"), "{tried}");
    // `kill -1` ended what belongs to the attacker and nothing else.
    let path = std::path::PathBuf::from(format!("/proc/{pid}"));
    assert!(path.exists(), "a process of the other task was ended");
    server.admin.post(&format!("/api/v3/pipelines/{}/cancel", pipeline.id), serde_json::json!({}));
    server.admin.wait(&pipeline);
    let job = server.admin.only_job(&pipeline);
    assert_outcome(&server.admin, &job, Outcome::Canceled);
}

#[test]
fn what_a_step_leaves_running_or_lying_about_is_gone_when_its_task_ends() {
    if !can_run() {
        return;
    }
    let (server, user) = (Server::start(), User::create());
    let _agent = Agent::start_with(&server, &user.options());
    let mark = user.name();
    let script = format!(
        "(setsid sleep 1001 &)\n\
         nohup sleep 1002 >/dev/null 2>&1 &\n\
         (trap '' TERM HUP INT; setsid sh -c 'trap \"\" TERM; while :; do sleep 1; done' &) \n\
         sh -c '(sh -c \"sleep 1003 & sleep 1004\" &) &'\n\
         touch /tmp/{mark}-file /var/tmp/{mark}-file /dev/shm/{mark}-file\n\
         mkdir -p /tmp/{mark}-dir/deep/er; touch /tmp/{mark}-dir/deep/er/x; chmod 000 /tmp/{mark}-dir/deep\n\
         ln -s /etc/passwd /tmp/{mark}-link\n\
         ipcmk -M 4096 -S 1 -Q\n\
         if command -v crontab; then echo '* * * * * touch /tmp/{mark}-cron' | crontab -; fi\n\
         if command -v at; then echo 'touch /tmp/{mark}-at' | at now + 1 hour; fi\n\
         mkdir -p ~/locked/in && touch ~/locked/in/x && chmod 000 ~/locked\n\
         echo end"
    );
    let job = server.admin.run(&config(&[&run(&script)]));
    assert_outcome(&server.admin, &job, Outcome::Success);
    assert!(server.admin.output(&job).contains("end\n"));
    let uid = user.uid();
    wait_for("every process of the user to end", || processes_of(uid).is_empty().then_some(()));
    for folder in ["/tmp", "/var/tmp", "/dev/shm"] {
        for file in std::fs::read_dir(folder).unwrap().flatten() {
            let name = file.file_name().to_string_lossy().into_owned();
            assert!(!name.starts_with(&mark), "{folder}/{name} is still there");
        }
    }
    for kind in ["shm", "sem", "msg"] {
        let table = std::fs::read_to_string(format!("/proc/sysvipc/{kind}")).unwrap();
        let uid = uid.to_string();
        let left =
            table.lines().skip(1).any(|line| line.split_whitespace().any(|word| word == uid));
        assert!(!left, "{kind} is left:\n{table}");
    }
    for spool in ["/var/spool/cron/crontabs", "/var/spool/cron/atjobs"] {
        for file in std::fs::read_dir(spool).into_iter().flatten().flatten() {
            use std::os::unix::fs::MetadataExt;
            assert_ne!(file.metadata().unwrap().uid(), uid, "{:?} is left", file.path());
        }
    }
    // The log says what had to be killed and removed.
    let log = server.admin.output(&job);
    assert!(log.contains("sleep 1001"), "{log}");
    assert!(log.contains(&format!("{mark}-file")), "{log}");
}

#[test]
fn a_step_that_forks_without_end_is_ended_with_its_task() {
    if !can_run() {
        return;
    }
    let (server, user) = (Server::start(), User::create());
    let mut options = user.options();
    options.runner.push("max_run_time: 4s".to_owned());
    options.runner.push("limits: {processes: 150}".to_owned());
    let _agent = Agent::start_with(&server, &options);
    let job = server.admin.run(&config(&[&run("bomb() { bomb | bomb & }; bomb; sleep 1000")]));
    assert!(
        matches!(job.outcome, Some(Outcome::TimedOut | Outcome::Failed)),
        "{:?} {:?}",
        job.outcome,
        job.message
    );
    wait_for("the bomb to end", || processes_of(user.uid()).is_empty().then_some(()));
    let job = server.admin.run(&config(&[&run("echo again")]));
    assert_outcome(&server.admin, &job, Outcome::Success);
}

#[test]
fn a_step_that_fills_the_disk_is_stopped_by_the_slots_limit() {
    if !can_run() {
        return;
    }
    let (server, user) = (Server::start(), User::create());
    let mut options = user.options();
    options.runner.push("limits: {disk: 20MB}".to_owned());
    let _agent = Agent::start_with(&server, &options);
    let job = server
        .admin
        .run(&config(&[&run("while :; do head -c 1000000 /dev/zero >> big; sleep 0.01; done")]));
    assert_outcome(&server.admin, &job, Outcome::Failed);
    let said = format!("{:?} {:?}", job.message, job.steps);
    assert!(said.contains("disk"), "{said}");
}

#[test]
fn a_step_that_fills_a_small_disk_fails_with_a_message_and_the_next_task_runs() {
    if !can_run() {
        return;
    }
    let (server, user) = (Server::start(), User::create());
    let options = AgentOptions { disk: Some("40m"), ..user.options() };
    let _agent = Agent::start_with(&server, &options);
    let script = "yes filling | head -c 200000000 > big || echo no space; \
                  yes printing | head -c 2000000 || true; exit 9";
    let job = server.admin.run(&config(&[&run(script)]));
    assert!(
        matches!(job.outcome, Some(Outcome::Failed | Outcome::InfrastructureFail)),
        "{:?} {:?}",
        job.outcome,
        job.message
    );
    let said = format!("{:?} {:?} {}", job.message, job.steps, server.admin.output(&job));
    assert!(said.contains("space") || said.contains("disk"), "nothing says that it was the disk");
    let job = server.admin.run(&config(&[&run("echo again")]));
    assert_outcome(&server.admin, &job, Outcome::Success);
}

#[test]
fn a_step_whose_last_line_meets_a_full_disk_has_not_succeeded() {
    if !can_run() {
        return;
    }
    let (server, user) = (Server::start(), User::create());
    let options = AgentOptions { disk: Some("40m"), ..user.options() };
    let _agent = Agent::start_with(&server, &options);
    // It exits at once after the line: whether the agent sees the exit or the full disk first is
    // chance, so it is tried a few times.
    let script = "head -c 200000000 /dev/zero > big 2>/dev/null || echo the last line";
    for _ in 0..4 {
        let job = server.admin.run(&config(&[&run(script)]));
        assert_outcome(&server.admin, &job, Outcome::Failed);
        let message = job.steps[0].message.clone().unwrap_or_default();
        assert!(message.contains("could not keep the output"), "{message} {:?}", job.steps);
    }
}

#[test]
fn a_step_may_open_as_many_files_as_builds_need() {
    if !can_run() {
        return;
    }
    let (server, user) = (Server::start(), User::create());
    let _agent = Agent::start_with(&server, &user.options());
    let job = server.admin.run(&config(&[&run("ulimit -Sn; ulimit -Hn")]));
    assert_outcome(&server.admin, &job, Outcome::Success);
    let output = String::from_utf8(server.admin.step_output(&job, 1)).unwrap();
    let limits: Vec<u64> = output.lines().map(|line| line.parse().unwrap_or(u64::MAX)).collect();
    assert!(limits[0] >= limits[1].min(10_240), "{output}");
}
