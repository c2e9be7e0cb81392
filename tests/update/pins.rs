//! Version pins of a class on the control plane, and their effect on its runners.

use russet_protocol::local::Update;

use crate::support::farm::Farm;
use crate::support::installation::can_run_service;
use crate::support::{CLASS, wait_for};

impl Farm {
    /// Publishes a release of a channel with a counter.
    fn publish_as(&self, version: &str, channel: &str, counter: u64, stubs: bool) {
        let mut release = self.release(version);
        release.manifest.channel = channel.to_owned();
        release.manifest.counter = counter;
        release.manifest.linked_against_stubs = stubs;
        self.publish(&release);
    }

    /// Pins the class of the machine, and has the machine look. What the command says.
    fn pin(&self, to: &[&str]) -> String {
        self.admin(&[&["resource-class", "pin", CLASS], to].concat());
        self.look()
    }

    fn look(&self) -> String {
        self.cli(&["check"]).1
    }

    fn installed_now(&self) -> String {
        self.installed().unwrap_or_default()
    }
}

#[test]
fn a_pin_to_a_version_holds_newer_ones_back_and_one_to_an_older_version_is_no_failure() {
    if !can_run_service() {
        return;
    }
    let farm = Farm::start();
    farm.publish_as("9.8.1", "stable", 5, false);
    farm.publish_as("9.8.2", "stable", 6, false);
    farm.pin(&["--version", "9.8.1"]);
    farm.wait_installed("9.8.1");
    let said = farm.look();
    assert!(said.starts_with("Version 9.8.1 runs; pinned to version 9.8.1, which runs"), "{said}");
    farm.claims();
    // With the claim after that task.
    wait_for("the control plane to say so", || {
        let runners = farm.runners();
        (runners.contains("9.8.1") && runners.contains("pinned to version 9.8.1")).then_some(())
    });
    farm.admin(&["resource-class", "unpin", CLASS]);
    farm.look();
    farm.wait_installed("9.8.2");
    // Its counter is lower than what was seen: that is no replay, since nothing is installed.
    let said = farm.pin(&["--version", "9.8.1"]);
    assert!(said.contains("version 9.8.1 there is older than what runs"), "{said}");
    assert!(said.contains("sign that code as a newer version"), "{said}");
    let update = farm.status().unwrap().update.unwrap();
    let (to, offers) = ("version 9.8.1".to_owned(), Some("9.8.1".to_owned()));
    assert_eq!(update, Update::Pinned { to, offers });
    assert_eq!(farm.installed_now(), "9.8.2");
    let said = farm.pin(&["--version", "9.8.7"]);
    assert!(said.contains("which the control plane does not have"), "{said}");
    // Going back takes a release that counts on.
    farm.publish_as("9.8.7", "stable", 7, false);
    farm.look();
    farm.wait_installed("9.8.7");
    farm.claims();
}

#[test]
fn a_pin_to_a_channel_decides_it_and_neither_replays_nor_takes_what_is_for_testing() {
    if !can_run_service() {
        return;
    }
    let farm = Farm::start();
    farm.publish_as("9.9.1", "stable", 5, false);
    farm.publish_as("9.10.1-rc.1", "beta", 3, false);
    farm.pin(&["--channel", "beta"]);
    farm.wait_installed("9.10.1-rc.1");
    farm.claims();
    let said = farm.look();
    assert!(said.contains("pinned to channel beta, which runs"), "{said}");
    // Newer by its version, and older by its counter: a replay, whoever shows it.
    farm.publish_as("9.10.2", "beta", 2, false);
    let said = farm.look();
    assert!(said.contains("somebody shows an old one"), "{said}");
    std::fs::remove_dir_all(farm.place("9.10.2")).unwrap();
    // What `stable` never takes, it does not take for a pin either.
    farm.publish_as("9.11.0", "stable", 6, true);
    let said = farm.pin(&["--version", "9.11.0"]);
    assert!(said.contains("linked for testing"), "{said}");
    assert_eq!(farm.installed_now(), "9.10.1-rc.1");
    farm.admin(&["resource-class", "unpin", CLASS]);
    std::fs::remove_dir_all(farm.place("9.11.0")).unwrap();
    // Without a pin it is the stable channel again, which has nothing newer.
    let said = farm.look();
    assert!(said.contains("there is no update"), "{said}");
    farm.claims();
}
