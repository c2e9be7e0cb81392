//! Updates of an installed agent, from its own control plane, with the real `russet-boot` under a
//! supervisor that behaves as launchd does. After every fault a good version runs and takes tasks,
//! and nobody had to do anything.
//!
//! Everything here needs root, as the service does.

mod cut;
mod disk;
mod many;
mod owner;
mod pins;
mod source;

use russet_protocol::boot_files::Fault;
use russet_protocol::local::Update;
use russet_protocol::outcome::Outcome;

use crate::support::admin::assert_outcome;
use crate::support::farm::Farm;
use crate::support::installation::can_run_service;
use crate::support::release::{Release, Signer, archive, archive_of, script};
use crate::support::{config, run, wait_for};

#[test]
fn a_good_release_is_installed_while_no_task_runs_and_the_one_before_is_kept() {
    if !can_run_service() {
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
    if !can_run_service() {
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
    if !can_run_service() {
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
    refused(&truncated, "bytes, and the manifest says");
    let mut long = farm.release("9.2.1");
    long.archive.extend_from_slice(b"and more");
    refused(&long, "could not be fetched");
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
    let leads_out = archive_of("../../escaped", b"evil");
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
    if !can_run_service() {
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
    if !can_run_service() {
        return;
    }
    let farm = Farm::start_with("10s");
    for (version, does, fault) in [
        ("9.4.0", "exit 101", Fault::Crashed),
        ("9.4.1", "exit 0", Fault::Crashed),
        ("9.4.2", "kill -SEGV $$", Fault::Crashed),
        ("9.4.3", "exec sleep 1000", Fault::Hung),
        ("9.4.4", SOMEWHERE_ELSE, Fault::Unreached),
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
        let said = format!("{version} was taken back");
        wait_for("the control plane to say so", || farm.runners().contains(&said).then_some(()));
        // Nor is it tried again.
        let (ok, text) = farm.cli(&["install"]);
        assert!(!ok && text.contains(&said) && text.contains("higher version"), "{text}");
        assert_eq!(farm.installed(), None);
    }
    // People hear of it once, however many were taken back.
    let alerts = wait_for("the alert", || {
        Some(farm.admin(&["alert", "list"])).filter(|text| text.contains("took version 9.4."))
    });
    assert_eq!(alerts.matches("update rolled back").count(), 1, "{alerts}");
    // A bad one is not tried again, and a later one is.
    farm.publish(&farm.release("9.4.9"));
    farm.install();
    farm.wait_installed("9.4.9");
    farm.claims();
}

/// The real one, whose control plane is where nobody listens: it is ready, and reaches nobody.
const SOMEWHERE_ELSE: &str = r#"umask 077
sed 's#url: http://127.0.0.1:[0-9]*#url: http://127.0.0.1:9#' "$6" > "$6.away"
exec "$REAL" "$1" "$2" "$3" "$4" "$5" "$6.away" "$7" "$8""#;

#[test]
fn who_waits_for_an_update_hears_of_it_when_it_has_proved_itself_or_was_taken_back() {
    if !can_run_service() {
        return;
    }
    let farm = Farm::start_with("10s");
    farm.publish(&farm.release("9.6.1"));
    let (ok, text) = farm.cli(&["install", "--wait"]);
    assert!(ok && text.contains("Version 9.6.1 runs"), "{text}");
    assert_eq!(farm.agent.boot_file("probation"), None);

    farm.publish(&farm.broken("9.6.2", SOMEWHERE_ELSE));
    let (ok, text) = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| farm.cli(&["install", "--wait"]));
        wait_for("a version that has yet to prove itself", || {
            let update = Update::Proving { version: "9.6.2".to_owned() };
            (farm.status()?.update? == update).then_some(())
        });
        waiting.join().unwrap()
    });
    assert!(!ok && text.contains("version 9.6.2 was taken back"), "{text}");
    farm.claims();
}
