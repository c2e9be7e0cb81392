//! A Mac of tools that keep their settings in files, set up and put back.

use std::path::Path;

use super::{GuiHost, account_of_setup, needs_password, setup_steps, undo_setup};
use crate::setup::{AfterFailure, Outcome, Report, run_steps};
use russet_platform::command::Tools;
use russet_platform::command::testing::fake_tool;
use russet_platform::macos_tools::screen_lock::Account;
use russet_protocol::secret::Secret;

/// Tools that answer as the system's own do, of a Mac as it comes: nobody is logged in by itself,
/// the display sleeps and the screen is locked.
fn fake_mac(dir: &Path) -> GuiHost {
    let bin = dir.join("bin");
    let root = dir.join("root");
    for made in ["bin", "root/private/etc", "root/Library/Preferences", "on"] {
        std::fs::create_dir_all(dir.join(made)).unwrap();
    }
    let on = dir.join("on");
    let on = on.display();
    let list = root.join("Library/Preferences/com.apple.loginwindow.plist");
    let list = list.display();
    fake_tool(&bin, "fdesetup", "echo 'FileVault is Off.'");
    fake_tool(&bin, "launchctl", "shift 2; exec \"$@\"");
    fake_tool(&bin, "sudo", "shift 5; exec \"$@\"");
    fake_tool(&bin, "profiles", "echo '<plist/>'");
    fake_tool(
        &bin,
        "pmset",
        &format!(
            "case $1 in -g) echo \" displaysleep $(cat {on}/display 2>/dev/null || echo 10)\" ;; \
             -a) echo $3 > {on}/display ;; esac"
        ),
    );
    fake_tool(
        &bin,
        "defaults",
        &format!(
            "case $1 in write) echo \"<plist version='1.0'><dict><key>autoLoginUser</key>\
             <string>$5</string></dict></plist>\" > {list} ;; delete) rm {list} ;;\n\
             -currentHost) case $2 in read) cat {on}/saver 2>/dev/null && exit\n\
             echo 'The domain/default pair does not exist' >&2; exit 1 ;;\n\
             write) echo $6 > {on}/saver ;; delete) rm {on}/saver ;; esac ;; esac"
        ),
    );
    fake_tool(
        &bin,
        "sysadminctl",
        &format!(
            "case $2 in status) read lock < {on}/lock || lock='delay is 300 seconds'\n\
             echo \"x sysadminctl[1:2] screenLock $lock\" >&2 ;;\n\
             off) grep -q hunter2 && echo 'is off' > {on}/lock ;;\n\
             *) grep -q hunter2 && echo \"delay is $2 seconds\" > {on}/lock ;; esac 2>&1"
        ),
    );
    fake_tool(
        &bin,
        "automationmodetool",
        &format!(
            "case $1 in '') [ -e {on}/automation ] && no='DOES NOT REQUIRE' || no=REQUIRES\n\
             echo \"This device $no user authentication\" ;; enable*) touch {on}/automation ;;\n\
             disable*) rm {on}/automation ;; esac"
        ),
    );
    fake_tool(
        &bin,
        "DevToolsSecurity",
        &format!(
            "case $1 in -enable) touch {on}/dev ;; -disable) rm {on}/dev ;; esac\n\
             [ -e {on}/dev ] && is=enabled || is=disabled; echo Developer mode is currently $is."
        ),
    );
    fake_tool(
        &bin,
        "dseditgroup",
        &format!(
            "case $2/$3 in edit/-a) touch {on}/member ;; edit/-d) rm {on}/member ;;\n\
             checkmember/*) [ -e {on}/member ] && echo yes $4 is a member of $5 && exit\n\
             echo no $4 is NOT a member of $5; exit 67 ;; esac"
        ),
    );
    GuiHost {
        tools: Tools::below(&bin),
        root,
        state: dir.join("state"),
        account: Account { name: "ci-gui".to_owned(), uid: 502 },
        password: None,
    }
}

fn set_up(host: &GuiHost, dry_run: bool) -> Vec<Report> {
    run_steps(&setup_steps(host), dry_run, AfterFailure::GoOn, &mut |_| {})
}

fn outcomes(reports: &[Report]) -> Vec<Outcome> {
    reports.iter().map(|report| report.outcome).collect()
}

#[test]
fn a_mac_as_it_comes_is_set_up_once_and_put_back_as_it_was() {
    use Outcome::{ByHand, Done, Planned, Ready};
    let dir = tempfile::tempdir().unwrap();
    let host = fake_mac(dir.path());
    let wanted = |of_setting| [vec![Ready], vec![of_setting; 7], vec![ByHand]].concat();
    assert!(needs_password(&host));
    assert_eq!(outcomes(&set_up(&host, true)), wanted(Planned));
    assert_eq!(account_of_setup(&host.state).unwrap(), None);
    let host = GuiHost { password: Some(Secret::new("hunter2")), ..host };
    assert_eq!(outcomes(&set_up(&host, false)), wanted(Done), "{:?}", set_up(&host, true));
    assert!(!needs_password(&host));
    assert_eq!(outcomes(&set_up(&host, false)), wanted(Ready));
    assert!(host.root.join("private/etc/kcpassword").exists());
    assert_eq!(account_of_setup(&host.state).unwrap().as_deref(), Some("ci-gui"));
    let undo = |dry_run| undo_setup(&host, dry_run, &mut |_| {}).unwrap();
    assert_eq!(outcomes(&undo(true)), [Planned; 7]);
    assert_eq!(outcomes(&undo(false)), [Done; 7]);
    assert!(undo(false).is_empty() && !host.root.join("private/etc/kcpassword").exists());
    assert_eq!(outcomes(&set_up(&host, true)), wanted(Planned));
    assert!(set_up(&host, true)[4].found.contains("locked 300 s after"));
}

#[test]
fn without_the_password_what_takes_it_fails_and_the_rest_is_done() {
    let dir = tempfile::tempdir().unwrap();
    let host = fake_mac(dir.path());
    let reports = set_up(&host, false);
    let failed = |report: &&Report| report.outcome == Outcome::Failed;
    let failed: Vec<&Report> = reports.iter().filter(failed).collect();
    assert_eq!(failed.len(), 2, "{reports:?}");
    for report in failed {
        assert_eq!(report.found, "this takes the password of ci-gui");
        assert!(report.hint.as_ref().unwrap().contains("--from"));
    }
}

#[test]
fn a_lock_that_stays_is_not_said_to_be_off() {
    let dir = tempfile::tempdir().unwrap();
    let host = GuiHost { password: Some(Secret::new("wrong")), ..fake_mac(dir.path()) };
    let reports = set_up(&host, false);
    assert_eq!(reports[4].outcome, Outcome::Failed);
    assert!(reports[4].hint.as_ref().unwrap().contains("log ci-gui in"), "{:?}", reports[4]);
}

#[test]
fn a_disk_that_is_locked_and_another_accounts_login_are_a_persons_to_change() {
    let dir = tempfile::tempdir().unwrap();
    let host = fake_mac(dir.path());
    fake_tool(&dir.path().join("bin"), "fdesetup", "echo 'FileVault is On.'");
    let list = host.root.join("Library/Preferences/com.apple.loginwindow.plist");
    let text =
        "<plist version='1.0'><dict><key>autoLoginUser</key><string>anna</string></dict></plist>";
    std::fs::write(list, text).unwrap();
    std::fs::write(host.root.join("private/etc/kcpassword"), "x").unwrap();
    let reports = set_up(&host, true);
    assert_eq!(reports[0].outcome, Outcome::ByHand);
    assert_eq!(reports[1].found, "anna is logged in when the Mac starts");
    let host = GuiHost { password: Some(Secret::new("hunter2")), ..host };
    set_up(&host, false);
    let undone = undo_setup(&host, false, &mut |_| {}).unwrap();
    let login = undone.last().unwrap();
    assert_eq!(login.outcome, Outcome::Done);
    assert!(login.step.contains("it was on for anna"), "{}", login.step);
}
