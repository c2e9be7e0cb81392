//! Holds of classes by the Xcodes in a directory of the test's.

use std::path::Path;

use super::Xcodes;
use crate::config::XcodeHealth;
use russet_platform::command::{Tools, testing::fake_tool};
use russet_platform::macos_tools::xcode::testing::{FakeXcode, make_xcode};

fn xcodes(applications: &Path, tools: &Path, wanted: &[Option<&str>]) -> Xcodes {
    Xcodes {
        directories: vec![applications.to_owned()],
        wanted: wanted.iter().map(|text| text.map(str::to_owned)).collect(),
        health: XcodeHealth::Named,
        is_known: true,
        is_told: true,
        tools: Tools::below(tools),
        user: None,
        state: std::sync::Mutex::default(),
        doubt: tokio::sync::Notify::new(),
    }
}

#[test]
fn a_class_is_held_while_its_xcode_is_missing_half_there_or_not_licensed() {
    let dir = tempfile::tempdir().unwrap();
    let all = xcodes(dir.path(), dir.path(), &[Some("16.2"), None, Some("26")]);
    let obstacle = |class| all.obstacle(class);
    let missing = obstacle(0).unwrap();
    assert!(missing.starts_with("Xcode 16.2 is not installed; installed in"), "{missing}");
    assert_eq!(obstacle(1), None);
    // It is being copied.
    std::fs::create_dir_all(dir.path().join("Xcode-16.2.0.app/Contents/Developer")).unwrap();
    assert!(obstacle(0).unwrap().contains("version.plist"));
    let app = make_xcode(dir.path(), "Xcode-16.2.0.app", &FakeXcode::default());
    assert_eq!(obstacle(0), None, "nothing says that it is not ready");
    assert!(obstacle(2).is_some());
    fake_tool(dir.path(), "xcodebuild", "exit 69");
    all.ask();
    let licence = obstacle(0).unwrap();
    assert!(licence.contains("licence") && licence.contains("sudo DEVELOPER_DIR="), "{licence}");
    fake_tool(dir.path(), "xcodebuild", "exit 0");
    all.ask();
    assert_eq!(obstacle(0), None);
    std::fs::remove_dir_all(app).unwrap();
    assert!(obstacle(0).unwrap().contains("not installed"));
}

#[test]
fn the_verdict_on_a_bundle_ends_with_the_bundle() {
    let dir = tempfile::tempdir().unwrap();
    let all = xcodes(dir.path(), dir.path(), &[Some("16.2")]);
    let app = make_xcode(dir.path(), "Xcode.app", &FakeXcode::default());
    fake_tool(dir.path(), "xcodebuild", "exit 69");
    all.ask();
    assert!(all.obstacle(0).is_some());
    // The App Store has put another one of the same version in its place.
    std::fs::remove_dir_all(app).unwrap();
    make_xcode(dir.path(), "Xcode.app", &FakeXcode::default());
    assert!(all.obstacle(0).unwrap().contains("being asked"));
    fake_tool(dir.path(), "xcodebuild", "exit 0");
    all.ask();
    assert_eq!(all.obstacle(0), None);
}

#[test]
fn the_selected_one_is_asked_only_where_the_owner_wants_it() {
    let dir = tempfile::tempdir().unwrap();
    fake_tool(dir.path(), "xcode-select", "echo /Library/Developer/CommandLineTools");
    let mut all = xcodes(dir.path(), dir.path(), &[None]);
    all.ask();
    assert_eq!(all.obstacle(0), None);
    all.health = XcodeHealth::All;
    all.ask();
    assert!(all.obstacle(0).unwrap().contains("command line tools"));
    let mut named = xcodes(dir.path(), dir.path(), &[Some("16.2")]);
    named.health = XcodeHealth::Never;
    make_xcode(dir.path(), "Xcode.app", &FakeXcode::default());
    fake_tool(dir.path(), "xcodebuild", "exit 69");
    named.ask();
    assert_eq!(named.obstacle(0), None);
}

#[test]
fn what_there_is_is_told_as_versions_and_nothing_where_the_owner_does_not_want_it() {
    let dir = tempfile::tempdir().unwrap();
    make_xcode(dir.path(), "Xcode.app", &FakeXcode::default());
    let mut all = xcodes(dir.path(), dir.path(), &[None]);
    all.list();
    let told = all.told().unwrap();
    assert_eq!(told.iter().map(ToString::to_string).collect::<Vec<_>>(), ["16.2 (16C5032a)"]);
    all.is_told = false;
    assert_eq!(all.told(), None);
    assert!(all.shown().is_some());
}
