//! Updates of an installed agent, from its own control plane, with the real `russet-boot` under a
//! supervisor that behaves as launchd does. After every fault a good version runs and takes tasks,
//! and nobody had to do anything.
//!
//! Everything here needs root, as the service does.
#![allow(
    clippy::allow_attributes,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a failed step of a test is its failure"
)]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use russet_protocol::boot_files::{Fault, HEALTH};
use russet_protocol::local::{Status, Update};
use russet_protocol::outcome::Outcome;
use support::admin::assert_outcome;
use support::release::{FAR, Release, Signer, archive, script};
use support::{Installation, Server, config, is_root, run, russet, test_dir, wait_for};

/// Whether the test can run at all. A service is root's.
fn skipped() -> bool {
    if !is_root() {
        eprintln!("skipped: needs root");
    }
    !is_root()
}

/// A server with releases, and an agent that follows them.
struct Farm {
    server: Server,
    agent: Installation,
    signer: Signer,
    releases: tempfile::TempDir,
}

impl Farm {
    fn start() -> Self {
        Self::start_with("60s")
    }

    /// With so much time for a new version to prove itself.
    fn start_with(probation: &str) -> Self {
        let (releases, signer) = (test_dir(), Signer::new());
        let directory = releases.path().join("releases");
        std::fs::create_dir(&directory).unwrap();
        let server = Server::start_with(&["--releases", directory.to_str().unwrap()]);
        let mut agent = Installation::new(&server, &[]);
        let keys = releases.path().join("keys");
        std::fs::write(&keys, signer.public_text()).unwrap();
        let before = std::fs::read_to_string(agent.layout.config()).unwrap();
        let keys = keys.display();
        agent.write_config(&format!(
            "{before}update:\n  source: control-plane\n  keys_file: {keys}\n  \
             probation: {probation}\n"
        ));
        agent.bootstrap();
        agent.wait_proved(None);
        Self { server, agent, signer, releases }
    }

    /// Where the server looks for a release.
    fn place(&self, version: &str) -> PathBuf {
        self.releases.path().join("releases").join(version)
    }

    /// A good release of this version, not yet on the server.
    fn release(&self, version: &str) -> Release {
        Release::new(
            version,
            archive(&self.agent.layout, &script(version, "exec \"$REAL\" \"$@\"")),
        )
    }

    /// A release whose program does this instead of its work.
    fn broken(&self, version: &str, does: &str) -> Release {
        Release::new(version, archive(&self.agent.layout, &script(version, does)))
    }

    fn publish(&self, release: &Release) {
        release.write(&self.place(&release.manifest.version), &self.signer);
    }

    fn cli(&self, arguments: &[&str]) -> (bool, String) {
        let output = Command::new(russet())
            .args(["agent", "update"])
            .args(arguments)
            .arg("--socket")
            .arg(self.agent.layout.state().join("agent.sock"))
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(text).unwrap())
    }

    /// Asks for the update as an operator does. An agent that is just restarting is asked again.
    fn install(&self) {
        wait_for("an agent that takes the order", || self.cli(&["install"]).0.then_some(()));
    }

    fn status(&self) -> Option<Status> {
        let socket = self.agent.layout.state().join("agent.sock");
        let output = Command::new(russet())
            .args(["agent", "status", "--output", "json", "--socket"])
            .arg(socket)
            .output()
            .unwrap();
        serde_json::from_slice(&output.stdout).ok()
    }

    /// What the program in place is: the version of a release, or none for the real one.
    fn installed(&self) -> Option<String> {
        let text = std::fs::read(self.agent.layout.executable()).ok()?;
        let start = text.get(..text.len().min(256))?;
        let text = String::from_utf8(start.to_vec()).ok()?;
        text.lines().find_map(|line| line.strip_prefix("# version ").map(str::to_owned))
    }

    /// The agent, as it said to russet-boot.
    fn pid(&self) -> Option<Pid> {
        let text = self.agent.boot_file(HEALTH)?;
        text.lines().next()?.strip_prefix("pid ")?.parse().ok().map(Pid::from_raw)
    }

    /// A task runs here, now.
    fn claims(&self) {
        let job = self.server.admin.run(&config(&[&run("echo still here")]));
        assert_outcome(&self.server.admin, &job, Outcome::Success);
    }

    /// Waits until this version is in place, has proved itself and is out of probation.
    fn wait_installed(&self, version: &str) {
        wait_for(&format!("version {version} in place: {}", self.agent.log()), || {
            (self.installed().as_deref() == Some(version)).then_some(())
        });
        wait_for("the end of its probation", || {
            self.agent.boot_file("probation").is_none().then_some(())
        });
        self.agent.wait_proved(None);
    }

    /// Waits until the agent says that there is no update, and why.
    fn wait_refused(&self, why: &str) {
        wait_for(&format!("`{why}` in the status: {}", self.agent.log()), || {
            match self.status()?.update? {
                Update::Failed { why: said } | Update::RolledBack { why: said, .. } => {
                    said.contains(why).then_some(())
                }
                _ => None,
            }
        });
    }
}

#[test]
fn a_good_release_is_installed_while_no_task_runs_and_the_one_before_is_kept() {
    if skipped() {
        return;
    }
    let farm = Farm::start();
    let go = farm.agent.file("go");
    let script = format!("echo begun; until test -e {}; do sleep 0.02; done", go.display());
    let pipeline = farm.server.admin.submit(&config(&[&run(&script)]));
    farm.server.admin.wait_for_output(&pipeline, "begun");
    farm.publish(&farm.release("9.0.1"));
    farm.install();
    wait_for("an update that waits for the task", || {
        let update = Update::WaitingForIdle { version: "9.0.1".to_owned() };
        (farm.status()?.update? == update).then_some(())
    });
    assert_eq!(farm.installed(), None, "a task runs");
    std::fs::write(go, "").unwrap();
    farm.wait_installed("9.0.1");
    farm.server.admin.wait(&pipeline);
    let job = farm.server.admin.only_job(&pipeline);
    assert_outcome(&farm.server.admin, &job, Outcome::Success);
    assert!(farm.agent.layout.previous_executable().exists());
    farm.claims();
    let (ok, text) = farm.cli(&["check"]);
    assert!(ok && text.contains("there is no update"), "{text}");
}

#[test]
fn what_is_not_believed_or_not_meant_for_this_machine_is_refused_and_the_agent_goes_on() {
    if skipped() {
        return;
    }
    let farm = Farm::start();
    let refused = |release: &Release, signer: &Signer, why: &str| {
        release.write(&farm.place(&release.manifest.version), signer);
        farm.install();
        farm.wait_refused(why);
        assert_eq!(farm.installed(), None, "{why}");
        std::fs::remove_dir_all(farm.place(&release.manifest.version)).unwrap();
    };
    let other = Signer::new();
    refused(&farm.release("9.1.0"), &other, "no good signature");
    let mut release = farm.release("9.1.1");
    release.manifest.expires_s = 1_700_000_000;
    refused(&release, &farm.signer, "expired");
    let mut release = farm.release("9.1.2");
    release.manifest.linked_against_stubs = true;
    refused(&release, &farm.signer, "for testing");
    let mut release = farm.release("9.1.3");
    release.manifest.minimum_agent = Some("8.0.0".to_owned());
    refused(&release, &farm.signer, "needs an agent of version 8.0.0");
    let mut release = farm.release("9.1.4");
    let artifacts = std::mem::take(&mut release.manifest.artifacts);
    release.manifest.artifacts =
        artifacts.into_values().map(|artifact| ("plan9-mips".to_owned(), artifact)).collect();
    refused(&release, &farm.signer, "has nothing for linux");
    farm.claims();
    // And then a good one, by the same way.
    farm.publish(&farm.release("9.1.9"));
    farm.install();
    farm.wait_installed("9.1.9");
    farm.claims();
}

#[test]
fn an_archive_that_is_not_as_the_manifest_says_or_no_bundle_is_refused_and_the_agent_goes_on() {
    if skipped() {
        return;
    }
    let farm = Farm::start();
    let refused = |release: &Release, why: &str| {
        farm.publish(release);
        farm.install();
        farm.wait_refused(why);
        assert_eq!(farm.installed(), None, "{why}");
        std::fs::remove_dir_all(farm.place(&release.manifest.version)).unwrap();
    };
    let mut truncated = farm.release("9.2.0");
    truncated.archive.truncate(truncated.archive.len() / 2);
    refused(&truncated, "");
    let mut long = farm.release("9.2.1");
    long.archive.extend_from_slice(b"and more");
    refused(&long, "");
    let mut changed = farm.release("9.2.2");
    let middle = changed.archive.len() / 2;
    changed.archive[middle] ^= 1;
    refused(&changed, "not what the manifest says");
    let elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x08\0 of another machine";
    let wrong = Release::new("9.2.3", archive(&farm.agent.layout, elf));
    refused(&wrong, "does not run on this machine");
    let other = script("1.1.1", "exit 0");
    let mixed = Release::new("9.2.4", archive(&farm.agent.layout, &other));
    refused(&mixed, "is meant to be version 9.2.4");
    let leads_out = support::release::archive_of("../../escaped", b"evil");
    refused(&Release::new("9.2.5", leads_out), "not below the bundle");
    assert!(!farm.agent.layout.code().join("escaped").exists());
    let half = farm.release("9.2.6");
    let half = Release::new("9.2.6", half.archive[..half.archive.len() / 2].to_vec());
    refused(&half, "broken");
    farm.claims();
    farm.publish(&farm.release("9.2.9"));
    farm.install();
    farm.wait_installed("9.2.9");
    farm.claims();
}

#[test]
fn a_manifest_of_before_brings_nothing_back() {
    if skipped() {
        return;
    }
    let farm = Farm::start();
    let mut newer = farm.release("9.3.0");
    newer.manifest.counter = 20;
    farm.publish(&newer);
    farm.install();
    farm.wait_installed("9.3.0");
    std::fs::remove_dir_all(farm.place("9.3.0")).unwrap();
    // Its signature is good, and its version is newer: only the counter tells.
    let mut older = farm.release("9.3.1");
    older.manifest.counter = 19;
    farm.publish(&older);
    farm.install();
    farm.wait_refused("somebody shows an old one");
    assert_eq!(farm.installed().as_deref(), Some("9.3.0"));
    farm.claims();
}

#[test]
fn a_version_that_crashes_hangs_ends_or_reaches_nobody_is_taken_back_and_said() {
    if skipped() {
        return;
    }
    let farm = Farm::start_with("10s");
    for (version, does, fault) in [
        ("9.4.0", "exit 101", Fault::Crashed),
        ("9.4.1", "exit 0", Fault::Crashed),
        ("9.4.2", "kill -SEGV $$", Fault::Crashed),
        ("9.4.3", "exec sleep 1000", Fault::Hung),
    ] {
        farm.publish(&farm.broken(version, does));
        farm.install();
        let bad = wait_for(&format!("{version} to be taken back: {}", farm.agent.log()), || {
            farm.agent.bad().pop().filter(|bad| bad.version == version)
        });
        assert_eq!(bad.fault, fault, "{}", farm.agent.log());
        farm.agent.wait_proved(None);
        assert_eq!(farm.installed(), None);
        wait_for("the agent to say so", || match farm.status()?.update? {
            Update::RolledBack { version: said, .. } => (said == version).then_some(()),
            _ => None,
        });
        farm.claims();
    }
    // A bad one is not tried again, and a later one is.
    farm.publish(&farm.release("9.4.9"));
    farm.install();
    farm.wait_installed("9.4.9");
    farm.claims();
}

#[test]
fn a_kill_at_any_moment_of_an_update_leaves_a_version_that_takes_tasks() {
    if skipped() {
        return;
    }
    let mut farm = Farm::start();
    for round in 0..8_u64 {
        let version = format!("9.5.{round}");
        farm.publish(&farm.release(&version));
        farm.install();
        // A different moment in each round: while it is fetched, unpacked, exchanged, started.
        std::thread::sleep(Duration::from_millis(40 * round));
        if let Some(agent) = farm.pid() {
            kill(agent, Signal::SIGKILL).ok();
        }
        if let Some(boot) = farm.agent.supervisor().pid() {
            kill(boot, Signal::SIGKILL).ok();
        }
        farm.claims();
        farm.install();
        farm.wait_installed(&version);
    }
    farm.agent.supervisor.take().unwrap().bootout();
    farm.agent.bootstrap();
    farm.claims();
}

#[test]
fn a_disk_that_is_full_at_any_step_leaves_a_version_that_takes_tasks() {
    if skipped() {
        return;
    }
    let mut farm = Farm::start();
    farm.agent.supervisor.take().unwrap().bootout();
    let small = SmallDisk::over(&farm.agent.layout.code());
    let good = String::from_utf8(script("0.0.1", "exec \"$REAL\" \"$@\"")).unwrap();
    farm.agent.put_again(good.trim_start_matches("#!/bin/sh\n"));
    farm.agent.bootstrap();
    farm.agent.wait_proved(None);
    let ballast =
        (0..40_000_u32).map(|number| format!("# {}\n", number.wrapping_mul(2_654_435_761)));
    let program = script("9.7.0", "exec \"$REAL\" \"$@\"").into_iter();
    let program: Vec<u8> = program.chain(ballast.collect::<String>().into_bytes()).collect();
    let release = Release::new("9.7.0", archive(&farm.agent.layout, &program));
    let (packed, unpacked) = (release.archive.len() as u64, program.len() as u64);
    farm.publish(&release);
    // No room for a directory, for half of the archive, for half of the bundle.
    for room in [0, packed / 2, packed + unpacked / 2] {
        small.leave(room);
        farm.install();
        farm.wait_refused("No space left");
        assert_eq!(farm.installed().as_deref(), Some("0.0.1"));
        farm.claims();
    }
    small.leave(u64::MAX);
    farm.install();
    farm.wait_installed("9.7.0");
    farm.claims();
    farm.agent.supervisor.take().unwrap().bootout();
}

/// A file system with little room, unmounted when the test ends.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts one over a directory.
    fn over(path: &Path) -> Self {
        let options = "size=24m,mode=755";
        let mut mount = Command::new("mount");
        let status = mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(path).status();
        assert!(status.unwrap().success());
        Self(path.to_owned())
    }

    /// Fills it up to so many bytes, but for what one more block may take.
    fn leave(&self, room: u64) {
        let fill = self.0.join("fill");
        std::fs::remove_file(&fill).ok();
        let stat = nix::sys::statvfs::statvfs(&self.0).unwrap();
        let free = stat.blocks_available() as u64 * stat.fragment_size() as u64;
        let length = free.saturating_sub(room);
        std::fs::write(fill, vec![0; usize::try_from(length).unwrap()]).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(&self.0).status().ok();
    }
}

#[test]
fn updates_under_a_stream_of_tasks_lose_none() {
    if skipped() {
        return;
    }
    let farm = Farm::start();
    let mut submitted = Vec::new();
    for number in 1..=UPDATES {
        let version = format!("9.6.{number}");
        let mut release = farm.release(&version);
        release.manifest.counter = number;
        release.manifest.expires_s = FAR;
        submitted.push(farm.server.admin.submit(&config(&[&run("echo one; sleep 0.1; echo two")])));
        farm.publish(&release);
        farm.install();
        wait_for(&format!("version {version}: {}", farm.agent.log()), || {
            (farm.installed().as_deref() == Some(&*version)).then_some(())
        });
        if number > 1 {
            std::fs::remove_dir_all(farm.place(&format!("9.6.{}", number - 1))).unwrap();
        }
    }
    for pipeline in &submitted {
        farm.server.admin.wait(pipeline);
        let job = farm.server.admin.only_job(pipeline);
        assert_outcome(&farm.server.admin, &job, Outcome::Success);
        let output = String::from_utf8(farm.server.admin.step_output(&job, 1)).unwrap();
        assert_eq!(output, "one\ntwo\n");
    }
    assert_eq!(farm.agent.bad(), []);
}

/// How many updates a machine goes through in a test. After each, russet-boot waits twice as long
/// before it starts an agent that ended so soon, so that many of them take too long for a test.
const UPDATES: u64 = 4;
