//! The way back from a bad version: taken back whatever it does, and no good one for what is not
//! its doing.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use russet_protocol::boot_files::{BAD, Bad, Fault, PROBATION, STRIKES};

use super::{LONG, end_counting, start_counting};
use crate::support::disk::Disk;
use crate::support::installation::{can_run_service, identity_of};
use crate::support::{Installation, Process, Server, Version, russet, wait_for};

/// A probation that a version which does nothing fails soon.
const SHORT: u64 = 3;

/// Installs this version, and waits until the one before runs again. Returns what is noted, and the
/// agent that runs.
fn take_back(agent: &Installation, version: &str, script: &str, limit: u64) -> (Bad, Pid) {
    let (good, before) = (agent.bundle(), agent.wait_proved(None));
    agent.update(version, Version::Script(script), limit);
    kill(before, Signal::SIGTERM).unwrap();
    let bad = wait_for(&format!("{version} to be taken back"), || {
        agent.bad().pop().filter(|bad| bad.version == version)
    });
    let after = agent.wait_proved(Some(before));
    assert_eq!(agent.bundle(), good, "{}", agent.log());
    assert!(agent.boot_file(PROBATION).is_none() && agent.boot_file(STRIKES).is_none());
    (bad, after)
}

#[test]
fn a_version_that_crashes_is_taken_back_under_a_running_task() {
    if !can_run_service() {
        return;
    }
    let server = Server::start();
    let agent = Installation::start(&server);
    let first = agent.wait_proved(None);
    let good = agent.bundle();
    let pipeline = start_counting(&server, &agent);
    agent.update("9.9.9", Version::Script("echo boom >&2; exit 101"), LONG);
    kill(first, Signal::SIGTERM).unwrap();
    agent.wait_proved(Some(first));
    assert_eq!(agent.bundle(), good);
    let bad = agent.bad();
    assert_eq!((bad[0].version.as_str(), bad[0].fault), ("9.9.9", Fault::Crashed));
    assert_eq!(agent.log().matches("boom").count(), 3, "{}", agent.log());
    assert!(agent.boot_file(PROBATION).is_none() && agent.boot_file(STRIKES).is_none());
    agent.wait_log("version 9.9.9 was taken back on this machine: it exited with code 101");
    end_counting(&server, &agent, &pipeline);
}

#[test]
fn a_version_that_hangs_refuses_or_ends_is_taken_back() {
    if !can_run_service() {
        return;
    }
    let server = Server::start();
    let agent = Installation::start(&server);
    let good = agent.bundle();
    let versions = [
        ("1.0.1", "exec sleep 1000", Fault::Hung),
        ("1.0.2", "exit 2", Fault::Refused),
        ("1.0.3", "exit 0", Fault::Crashed),
    ];
    for (version, script, fault) in versions {
        let before = agent.wait_proved(None);
        agent.update(version, Version::Script(script), SHORT);
        kill(before, Signal::SIGTERM).unwrap();
        agent.wait_proved(Some(before));
        let bad = agent.bad().pop().unwrap();
        assert_eq!((bad.version.as_str(), bad.fault), (version, fault), "{}", agent.log());
        assert_eq!(agent.bundle(), good);
    }
}

#[test]
fn a_version_that_no_control_plane_answers_is_taken_back_as_one_that_may_be_tried_again() {
    if !can_run_service() {
        return;
    }
    let mut server = Server::start();
    let agent = Installation::start(&server);
    let first = agent.wait_proved(None);
    server.kill();
    agent.update("2.0.0", Version::Real, SHORT);
    kill(first, Signal::SIGTERM).unwrap();
    let bad = wait_for("it is taken back", || agent.bad().pop());
    assert_eq!((bad.version.as_str(), bad.fault), ("2.0.0", Fault::Unreached));
    server.start_again();
    agent.wait_proved(Some(first));
}

#[test]
fn an_agent_that_is_gone_or_no_program_is_replaced_by_the_previous_version() {
    if !can_run_service() {
        return;
    }
    let server = Server::start();
    let agent = Installation::start(&server);
    let before = agent.wait_proved(None);
    // What lies in `previous` is a real one. There is no probation.
    agent.update("unused", Version::Real, LONG);
    agent.exchange();
    std::fs::remove_file(agent.layout.boot_state().join(PROBATION)).unwrap();
    std::fs::remove_dir_all(agent.layout.bundle()).unwrap();
    kill(before, Signal::SIGKILL).unwrap();
    let second = agent.wait_proved(Some(before));
    assert!(!agent.layout.previous().exists());
    agent.update("1.1.0", Version::Unexecutable, LONG);
    kill(second, Signal::SIGKILL).unwrap();
    agent.wait_proved(Some(second));
    let bad = agent.bad().pop().unwrap();
    assert_eq!((bad.version.as_str(), bad.fault), ("1.1.0", Fault::Broken));
}

#[test]
fn an_update_that_was_cut_off_anywhere_ends_in_one_version_or_the_other() {
    if !can_run_service() {
        return;
    }
    let server = Server::start();
    let mut agent = Installation::start(&server);
    let (good, files) = (agent.bundle(), agent.layout.boot_state());
    let crash = Version::Script("exit 101");
    let end = |agent: &mut Installation| agent.supervisor.take().unwrap().bootout();
    let starts = |agent: &mut Installation| {
        agent.bootstrap();
        agent.wait_proved(None);
        assert_eq!(agent.bundle(), good);
        assert!(agent.boot_file(PROBATION).is_none(), "{:?}", agent.boot_file(PROBATION));
    };
    end(&mut agent);
    // Power was lost between the note and the exchange.
    agent.update("3.0.0", crash, LONG);
    agent.exchange();
    starts(&mut agent);
    assert_eq!(agent.bad(), []);
    end(&mut agent);
    // Between the note that it is bad and the exchange back.
    agent.update("3.0.1", crash, LONG);
    let bundle = agent.bundle();
    std::fs::write(files.join(BAD), format!("bad 3.0.1 {bundle} crashed it did\n")).unwrap();
    starts(&mut agent);
    end(&mut agent);
    // The exchange back never reached the disk, and all notes but one are gone.
    agent.update("3.0.3", crash, LONG);
    let bundle = agent.bundle();
    std::fs::write(files.join(BAD), format!("bad 3.0.3 {bundle} crashed it did\n")).unwrap();
    std::fs::remove_file(files.join(PROBATION)).unwrap();
    starts(&mut agent);
    end(&mut agent);
    // And the machine went down with it three times.
    agent.update("3.0.2", crash, LONG);
    let bundle = agent.bundle();
    std::fs::write(files.join(STRIKES), format!("bundle {bundle}\nstrikes 3\n")).unwrap();
    starts(&mut agent);
    assert_eq!(agent.bad().pop().unwrap().version, "3.0.2");
    end(&mut agent);
    // Files that make no sense say nothing.
    for name in [PROBATION, STRIKES, BAD, "health"] {
        std::fs::write(files.join(name), b"\xff\0\nversion\nbundle\n").unwrap();
    }
    agent.bootstrap();
    agent.wait_proved(None);
    assert_eq!(agent.bundle(), good);
}

#[test]
fn a_russet_boot_that_is_killed_at_any_moment_of_a_bad_update_still_ends_in_the_good_version() {
    if !can_run_service() {
        return;
    }
    let server = Server::start();
    let mut agent = Installation::start(&server);
    let good = agent.bundle();
    agent.supervisor.take().unwrap().bootout();
    for round in 0..16 {
        // Unless the version of the round before is still there, killed before it was taken back.
        if agent.bundle() == good {
            agent.update(&format!("4.0.{round}"), Version::Script("exit 101"), LONG);
        }
        let boot = Command::new(agent.layout.boot()).stderr(std::process::Stdio::null()).spawn();
        let mut boot = Process(boot.unwrap());
        // A different moment in each round.
        std::thread::sleep(Duration::from_millis(3 + 11 * round));
        boot.kill();
    }
    agent.bootstrap();
    agent.wait_proved(None);
    assert_eq!(agent.bundle(), good);
    assert!(agent.boot_file(PROBATION).is_none() && agent.boot_file(STRIKES).is_none());
    let bad = agent.bad();
    assert!(!bad.is_empty() && bad.iter().all(|bad| bad.version.starts_with("4.0.")), "{bad:?}");
}

#[test]
fn a_version_is_taken_back_whatever_it_exits_with_and_whatever_files_it_removes() {
    if !can_run_service() {
        return;
    }
    let server = Server::start();
    let agent = Installation::start(&server);
    let (state, boot) = (agent.layout.state(), agent.layout.boot_state());
    let (state, boot) = (state.display(), boot.display());
    for (version, script) in [
        ("5.0.0", "exit 10".to_owned()),
        ("5.0.1", "exit 11".to_owned()),
        ("5.0.2", "exit 12".to_owned()),
        ("5.0.3", format!("rm {boot}/probation; exit 12")),
        ("5.0.4", format!("rm -rf {boot}; touch \"$(dirname $0)\"/more; exit 10")),
        ("5.0.5", format!("rm -rf {state}; exit 101")),
    ] {
        take_back(&agent, version, &script, 12);
    }
    let noted = agent.bad();
    assert!(noted.len() >= 5, "{noted:?}");
    assert!(noted.iter().all(|bad| matches!(bad.fault, Fault::Unreached | Fault::Crashed)));
    agent.wait_log("next start in 10 s");
    agent.wait_log("it is tried again by itself a day after it was installed");
}

#[test]
fn a_version_that_says_it_is_well_and_ends_at_once_is_taken_back_all_the_same() {
    if !can_run_service() {
        return;
    }
    let server = Server::start();
    let agent = Installation::start(&server);
    let proves = "printf 'pid %s\\nstate proved\\n' $$ > \"$8/health\"\n\
                  until test ! -e \"$8/probation\"; do sleep 0.02; done\nexit 0";
    let (bad, _) = take_back(&agent, "5.1.0", proves, LONG);
    assert_eq!(bad.fault, Fault::Unreached);
    assert!(bad.reason.contains("though nobody asked it to end"), "{}", bad.reason);
}

#[test]
fn a_passing_fault_of_a_directory_marks_no_version_and_the_next_bad_one_is_taken_back() {
    if !can_run_service() {
        return;
    }
    let server = Server::start();
    let agent = Installation::start(&server);
    // What lies beside it is a bad one.
    let (_, before) = take_back(&agent, "5.2.0", "exit 101", LONG);
    let (good, code) = (agent.bundle(), agent.layout.code());
    let mode = |mode| {
        std::fs::set_permissions(&code, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    mode(0o775);
    kill(before, Signal::SIGKILL).unwrap();
    agent.wait_log(&format!("{} can be changed by others", code.display()));
    mode(0o755);
    agent.wait_proved(Some(before));
    assert_eq!((agent.bundle(), agent.bad().len()), (good, 1), "{:?}", agent.bad());
    take_back(&agent, "5.2.1", "exit 101", LONG);
}

#[test]
fn a_bad_version_is_started_where_there_is_no_other_and_believed_once_it_proves_itself() {
    if !can_run_service() {
        return;
    }
    let server = Server::start();
    let agent = Installation::start(&server);
    let heals = agent.file("heals");
    let script =
        format!("test -e {} || exit 101\nexec {} \"$@\"", heals.display(), russet().display());
    let (bad, before) = take_back(&agent, "5.3.0", &script, LONG);
    std::fs::write(heals, "").unwrap();
    std::fs::remove_dir_all(agent.layout.bundle()).unwrap();
    kill(before, Signal::SIGKILL).unwrap();
    agent.wait_proved(Some(before));
    assert_eq!(agent.bundle(), bad.bundle);
    wait_for("the end of its entry", || agent.bad().is_empty().then_some(()));
}

/// A bad version leaves a process behind that holds the lock of the state directory.
#[cfg(target_os = "linux")]
#[test]
fn an_orphan_of_a_bad_version_does_not_keep_the_one_before_from_starting() {
    if !can_run_service() {
        return;
    }
    let server = Server::start();
    let agent = Installation::start(&server);
    let lock = agent.layout.state().join("agent.lock");
    let script = format!("flock {} sleep 1000 &\nsleep 0.2\nexit 101", lock.display());
    take_back(&agent, "5.4.0", &script, LONG);
    assert!(!agent.log().contains("another agent uses the state directory"), "{}", agent.log());
}

/// A disk that is mounted in another place too.
struct Bound(PathBuf);

impl Bound {
    fn over(disk: &Disk, path: &Path) -> Self {
        let status = Command::new("mount").arg("--bind").arg(disk.path()).arg(path).status();
        assert!(status.unwrap().success());
        Self(path.to_owned())
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(&self.0).status().ok();
    }
}

#[test]
fn a_version_that_was_taken_back_stays_so_when_the_power_goes() {
    if !can_run_service() {
        return;
    }
    let Some(mut disk) = Disk::create() else { return };
    let server = Server::start();
    let mut agent = Installation::new(&server, &[]);
    let code = agent.layout.code();
    let bound = Bound::over(&disk, &code);
    agent.put_again(&format!("exec {} \"$@\"", russet().display()));
    agent.bootstrap();
    let (good, first) = (agent.bundle(), agent.wait_proved(None));
    agent.update("5.5.0", Version::Script("exit 3"), LONG);
    // So far all has reached the disk; what the others do then is theirs to see to.
    assert!(Command::new("sync").arg("-f").arg(&code).status().unwrap().success());
    kill(first, Signal::SIGTERM).unwrap();
    wait_for("it is taken back", || agent.boot_file(PROBATION).is_none().then_some(()));
    agent.supervisor.take().unwrap().bootout();
    drop(bound);
    disk.lose_power();
    let name = agent.layout.bundle().file_name().unwrap().to_owned();
    assert_eq!(identity_of(&disk.path().join(name)), good);
}
