//! A Mac with a fresh Xcode, prepared by tools that note what they did.

use std::path::Path;

use super::{PrepareHost, Wanted, WantedRuntime, prepare_steps};
use crate::setup::{AfterFailure, Outcome, Report, run_steps};
use russet_platform::command::Tools;
use russet_platform::command::testing::fake_tool;

/// Tools of a Mac on which nothing was done yet.
fn fresh_mac(dir: &Path) -> PrepareHost {
    let bin = dir.join("bin");
    let on = dir.join("on");
    for made in [&bin, &on, &dir.join("root/var/root"), &dir.join("skeleton")] {
        std::fs::create_dir_all(made).unwrap();
    }
    let at = on.display();
    let devices = dir.join("root/var/root/Library/Developer/CoreSimulator/Devices");
    let devices = devices.display();
    fake_tool(
        &bin,
        "xcodebuild",
        &format!(
            "echo \"$*\" >> {at}/said\n\
             [ \"$DEVELOPER_DIR\" = /X/Contents/Developer ] || exit 1\n\
             case \"$1 $2\" in '-license check') [ -e {at}/licence ] || exit 69 ;;\n\
             '-license accept') touch {at}/licence ;;\n\
             '-checkFirstLaunchStatus ') [ -e {at}/launch ] || exit 69 ;;\n\
             '-runFirstLaunch ') touch {at}/launch ;;\n\
             '-showComponent MetalToolchain') [ -e {at}/metal ] && echo Status: installed || \
             echo Status: uninstalled ;;\n\
             '-downloadComponent MetalToolchain') touch {at}/metal ;;\n\
             '-downloadPlatform iOS') touch {at}/ios ;; *) exit 64 ;; esac"
        ),
    );
    fake_tool(
        &bin,
        "xcrun",
        &format!(
            "echo \"xcrun $*\" >> {at}/said\n\
             case \"$1 $2 $3\" in '--sdk iphonesimulator --show-sdk-version') echo 26.1 ;;\n\
             'simctl runtime list') [ -e {at}/ios ] || {{ echo '[]'; exit; }}\n\
             echo '{{\"A\":{{\"build\":\"23B80\",\"state\":\"Ready\",\"version\":\"26.1\",\
             \"platformIdentifier\":\"com.apple.platform.iphonesimulator\"}}}}' ;;\n\
             'simctl runtime dyld_shared_cache') ;;\n\
             'simctl list devices') mkdir -p {devices}/D1; echo x > {devices}/device_set.plist ;;\n\
             *) exit 64 ;; esac"
        ),
    );
    fake_tool(&bin, "arch", &format!("[ -e {at}/rosetta ]"));
    fake_tool(&bin, "softwareupdate", &format!("touch {at}/rosetta"));
    // GNU's has another `-c`.
    fake_tool(&bin, "cp", "exec /bin/cp -R \"$3\" \"$4\"");
    fake_tool(&bin, "chmod", "exec /bin/chmod \"$@\"");
    PrepareHost {
        tools: Tools::below(&bin),
        root: dir.join("root"),
        state: dir.join("state"),
        developer_dir: "/X/Contents/Developer".into(),
    }
}

fn everything(dir: &Path) -> Wanted {
    Wanted {
        metal: true,
        runtimes: vec![WantedRuntime::parse("iOS").unwrap()],
        rosetta: true,
        skeleton: Some(dir.join("skeleton")),
        formulae: Vec::new(),
    }
}

fn prepare(host: &PrepareHost, wanted: &Wanted, dry_run: bool) -> Vec<Report> {
    run_steps(&prepare_steps(host, wanted), dry_run, AfterFailure::Stop, &mut |_| {})
}

fn outcomes(reports: &[Report]) -> Vec<Outcome> {
    reports.iter().map(|report| report.outcome).collect()
}

#[test]
fn a_fresh_xcode_is_prepared_once_and_then_only_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let (host, wanted) = (fresh_mac(dir.path()), everything(dir.path()));
    let reports = prepare(&host, &wanted, false);
    assert_eq!(outcomes(&reports), [Outcome::Done; 7], "{reports:?}");
    let set = dir.path().join("skeleton/Library/Developer/CoreSimulator/Devices");
    assert!(set.join("D1").is_dir() && set.join("device_set.plist").is_file());
    let said = || std::fs::read_to_string(dir.path().join("on/said")).unwrap();
    let changes = |said: &str| {
        let is_change = |line: &&str| {
            ["accept", "-runFirst", "-download", "update --all"].iter().any(|it| line.contains(it))
        };
        said.lines().filter(is_change).count()
    };
    assert_eq!(changes(&said()), 5);
    assert_eq!(outcomes(&prepare(&host, &wanted, false)), [Outcome::Ready; 7]);
    assert_eq!(changes(&said()), 5, "something was done twice");
}

#[test]
fn a_dry_run_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (host, wanted) = (fresh_mac(dir.path()), everything(dir.path()));
    let reports = prepare(&host, &wanted, true);
    // Without a runtime there is nothing to make caches or simulators of.
    let planned = [Outcome::Planned; 5];
    assert_eq!(outcomes(&reports), [&planned[..], &[Outcome::Ready; 2]].concat(), "{reports:?}");
    assert!(!dir.path().join("on/licence").exists() && !host.state.exists());
}

#[test]
fn tools_of_homebrew_are_installed_as_the_user_who_owns_it() {
    if !russet_test_skip::can_be_root("to give Homebrew an owner") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let host = fresh_mac(dir.path());
    let prefix = host.root.join("opt/homebrew");
    std::fs::create_dir_all(prefix.join("bin")).unwrap();
    std::fs::create_dir_all(prefix.join("opt/jq")).unwrap();
    let script = "shift 2; for name; do mkdir \"$(dirname \"$0\")/../opt/$name\"; done\n\
                  [ \"$HOMEBREW_FORBID_PACKAGES_FROM_PATHS\" = 1 ]";
    fake_tool(&prefix.join("bin"), "brew", &script.replace("shift 2", "shift 3"));
    let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
    let log = "echo \"$*\" > \"$0.said\"; shift 5; exec \"$@\"";
    fake_tool(&dir.path().join("bin"), "sudo", log);
    let names = ["jq", "swiftlint"].map(str::to_owned).to_vec();
    let wanted = Wanted { formulae: names, ..Wanted::default() };
    let brew = |dry_run| prepare(&host, &wanted, dry_run).pop().unwrap();
    // Root's, with which Homebrew does not run.
    std::fs::File::create(dir.path().join("on/licence")).unwrap();
    std::fs::File::create(dir.path().join("on/launch")).unwrap();
    assert_eq!(brew(false).outcome, Outcome::Failed);
    nix::unistd::chown(&prefix.join("bin/brew"), Some(nobody.uid), None).unwrap();
    assert_eq!(brew(true).found, "missing: swiftlint");
    assert_eq!(brew(false).outcome, Outcome::Done);
    assert_eq!(brew(false).outcome, Outcome::Ready);
    let said = std::fs::read_to_string(dir.path().join("bin/sudo.said")).unwrap();
    assert!(said.starts_with("-n -H -u nobody -- /usr/bin/env PATH="), "{said}");
    assert!(said.trim_end().ends_with("install --formula -- swiftlint"), "{said}");
}

#[test]
fn a_new_macos_or_runtime_makes_the_caches_anew_and_an_old_xcode_has_no_such_command() {
    let dir = tempfile::tempdir().unwrap();
    let (host, wanted) = (fresh_mac(dir.path()), everything(dir.path()));
    prepare(&host, &wanted, false);
    let version = host.root.join("System/Library/CoreServices");
    std::fs::create_dir_all(&version).unwrap();
    let text = "<plist version=\"1.0\"><dict><key>ProductVersion</key><string>26.2</string></dict></plist>";
    std::fs::write(version.join("SystemVersion.plist"), text).unwrap();
    let reports = prepare(&host, &wanted, true);
    assert_eq!(reports[5].outcome, Outcome::Planned, "{reports:?}");
    let news = |runtimes: &[&str]| {
        let runtimes: Vec<String> = runtimes.iter().map(|text| (*text).to_owned()).collect();
        super::news_since_caches(&host.state, &host.root, &runtimes)
    };
    assert_eq!(news(&["iOS 26.1 (23B80)"]).as_deref(), Some("macOS 26.2"));
    assert_eq!(news(&["iOS 9.3"]), None);
    let xcrun = dir.path().join("bin/xcrun");
    let script = std::fs::read_to_string(&xcrun).unwrap();
    let script = script.trim_start_matches("#!/bin/sh\n").replace(
        "'simctl runtime dyld_shared_cache') ;;",
        "'simctl runtime dyld_shared_cache') echo 'Unrecognized subcommand: dyld_shared_cache' >&2; \
         exit 22 ;;",
    );
    fake_tool(&dir.path().join("bin"), "xcrun", &script);
    assert_eq!(prepare(&host, &wanted, false)[5].outcome, Outcome::Done);
    assert_eq!(news(&["iOS 26.1 (23B80)"]), None);
    let two = ["iOS 26.1 (23B80)", "tvOS 26.1 (23J579)"];
    assert_eq!(news(&two).as_deref(), Some("runtime 23J579"));
}

#[test]
fn what_fails_stops_what_needs_it_and_says_the_command_for_this_xcode() {
    let dir = tempfile::tempdir().unwrap();
    let (host, wanted) = (fresh_mac(dir.path()), everything(dir.path()));
    fake_tool(&dir.path().join("bin"), "xcodebuild", "[ \"$2\" = check ] && exit 69; exit 0");
    let reports = prepare(&host, &wanted, false);
    assert_eq!(outcomes(&reports), [Outcome::Done, Outcome::Failed]);
    let hint = reports[1].hint.as_deref().unwrap();
    assert_eq!(hint, "`sudo DEVELOPER_DIR=/X/Contents/Developer xcodebuild -license accept`");
}
