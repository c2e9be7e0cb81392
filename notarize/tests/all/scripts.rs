//! `preinstall`, `postinstall` and `uninstall.sh` against a root of their own, with tools that write
//! down how they were called. Their owner checks need root.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use russet_test_skip::can_be_root;
use tempfile::TempDir;

const USER: u32 = 58_900;

/// A Mac, as far as the scripts see one.
struct Mac {
    dir: TempDir,
}

impl Mac {
    /// `None` without root.
    fn new() -> Option<Self> {
        if !can_be_root("to own what a package owns") {
            return None;
        }
        let mac = Self { dir: tempfile::tempdir().unwrap() };
        fs::set_permissions(mac.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for directory in ["root/var/log", "root/Library/Preferences/dev.russet.agent", "tools"] {
            fs::create_dir_all(mac.path(directory)).unwrap();
        }
        // What the real ones of a Mac would answer.
        mac.tool("PlistBuddy", r#"key=${2#Print :}; value=$(sed -n "s|^$key=||p" "$3"); [ -n "$value" ] && printf '%s\n' "$value""#);
        mac.tool("ps", "cat \"$TEST/uids\"");
        mac.tool("id", "echo anna");
        mac.tool("sleep", "true");
        mac.tool("launchctl", "case $1/$2 in print/gui/50[12]/*|print/gui/503) exit 113;; esac; ! grep -qx \"$1\" \"$TEST/launchctl-fails\"");
        fs::write(mac.path("uids"), "    0\n  501\n  248\n  501\n").unwrap();
        fs::write(mac.path("launchctl-fails"), "").unwrap();
        Some(mac)
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    /// A tool that writes down its arguments and then does this.
    fn tool(&self, name: &str, script: &str) {
        program(&self.path(&format!("tools/{name}")), name, script);
    }

    /// An installed version, whose `russet` does this.
    fn installed(&self, version: &str, script: &str) {
        let contents = self.path("root/opt/russet/RussetAgent.app/Contents");
        fs::create_dir_all(contents.join("MacOS")).unwrap();
        fs::create_dir_all(self.path("root/var/db/russet")).unwrap();
        let plist = format!("CFBundleShortVersionString={version}\n");
        fs::write(contents.join("Info.plist"), plist).unwrap();
        program(&contents.join("MacOS/russet"), "russet", script);
    }

    /// Files of the new version, as Installer puts them, whose `russet` does this.
    fn arrived(&self, script: &str) {
        let bundle = self.path("root/opt/russet/incoming/agent/RussetAgent.app/Contents/MacOS");
        fs::create_dir_all(&bundle).unwrap();
        program(&bundle.join("russet"), "new russet", script);
    }

    fn configured(&self) {
        let path = self.path("root/Library/Preferences/dev.russet.agent/config.yaml");
        fs::write(path, "api: {}\n").unwrap();
    }

    fn setting(&self, text: &str) {
        fs::write(self.path("root/Library/Preferences/dev.russet.package.plist"), text).unwrap();
    }

    fn run(&self, script: &str, arguments: &[&str]) -> Output {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../pkg-scripts").join(script);
        let text = fs::read_to_string(source).unwrap();
        let root = format!("root='{}'", self.path("root").display());
        let tools = format!("PATH={}:/usr/bin:/bin", self.path("tools").display());
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        for line in &mut lines {
            if line == "root=''" {
                line.clone_from(&root);
            } else if line.starts_with("PATH=") {
                line.clone_from(&tools);
            } else if line == "version='@VERSION@'" {
                "version='2.0.0'".clone_into(line);
            }
        }
        assert!(lines.contains(&root) && lines.contains(&tools), "{script} was not made ready");
        let copy = self.path(script);
        fs::write(&copy, lines.join("\n")).unwrap();
        fs::write(self.path("calls"), "").unwrap();
        Command::new("/bin/sh")
            .arg(copy)
            .args(arguments)
            .env("TEST", self.dir.path())
            .output()
            .unwrap()
    }

    fn preinstall(&self) -> Output {
        self.run("preinstall", &["/tmp/Russet.pkg", "/", "/", "/"])
    }

    fn postinstall(&self) -> Output {
        self.run("postinstall", &["/tmp/Russet.pkg", "/", "/", "/"])
    }

    fn calls(&self) -> String {
        fs::read_to_string(self.path("calls")).unwrap()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("root/var/log/russet-install.log")).unwrap_or_default()
    }

    fn has(&self, path: &str) -> bool {
        self.path(&format!("root/{path}")).symlink_metadata().is_ok()
    }

    /// It fails, says why, says what to do, and the log has it too.
    fn refuses(&self, output: &Output, why: &str) {
        let text = text(output);
        assert!(!output.status.success(), "{text}");
        assert!(text.contains(why) && text.contains("hint:"), "{text}");
        assert!(self.log().contains(why), "the log lacks it: {}", self.log());
    }
}

/// Another process writes it: a descriptor of ours for writing could be inherited by a child of
/// another test's just then, and a file that is open for writing cannot be executed.
fn program(path: &Path, name: &str, script: &str) {
    let text = format!("#!/bin/sh\necho \"{name} $*\" >>\"$TEST/calls\"\n{script}\n");
    let mut install = Command::new("install")
        .args(["-m", "755", "/dev/stdin"])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    install.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(install.wait().unwrap().success());
}

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

fn succeeds(output: &Output) {
    assert!(output.status.success(), "{}", text(output));
}

/// Does what it is told.
const WILLING: &str = "true";
/// Has a task, and would never get rid of it.
const BUSY: &str = r#"case $* in 'agent status'*) echo '{"slots":[{"task":{}}]}';; 'agent drain'*) exec /bin/sleep 300;; esac"#;
/// The new version, where no agent runs.
const PLACES: &str = "echo 'Version 2.0.0 is in place.'";
/// The new version, where the agent of the one before runs.
const LEAVES: &str = "echo 'The agent that runs puts the new version in place when no task runs'";

#[test]
fn a_mac_without_russet_is_ready_for_it_twice() {
    let Some(mac) = Mac::new() else { return };
    succeeds(&mac.preinstall());
    succeeds(&mac.preinstall());
    assert!(!mac.calls().contains("russet"), "{}", mac.calls());
    assert_eq!(mac.log().matches("ready").count(), 2);
}

#[test]
fn another_volume_is_refused() {
    let Some(mac) = Mac::new() else { return };
    let output = mac.run("preinstall", &["p", "/Volumes/B", "/Volumes/B", "/"]);
    mac.refuses(&output, "not on /Volumes/B");
    let output = mac.run("postinstall", &["p", "/Volumes/B", "/Volumes/B", "/"]);
    mac.refuses(&output, "volume");
}

#[test]
fn places_that_a_user_could_change_are_refused() {
    for path in [
        "opt",
        "opt/russet",
        "opt/russet/RussetAgent.app",
        "opt/russet/RussetAgent.app/Contents/MacOS/russet",
    ] {
        let Some(mac) = Mac::new() else { return };
        mac.installed("1.0.0", WILLING);
        let full = mac.path(&format!("root/{path}"));
        chown(&full, Some(USER), None).unwrap();
        mac.refuses(&mac.preinstall(), path);
        assert!(!mac.calls().contains("russet"), "what a user can change was run: {path}");
        chown(&full, Some(0), None).unwrap();
        fs::set_permissions(&full, fs::Permissions::from_mode(0o777)).unwrap();
        mac.refuses(&mac.preinstall(), path);
        fs::set_permissions(&full, fs::Permissions::from_mode(0o755)).unwrap();
        succeeds(&mac.preinstall());
    }
}

#[test]
fn a_link_in_the_place_of_the_code_is_refused() {
    let Some(mac) = Mac::new() else { return };
    fs::create_dir(mac.path("elsewhere")).unwrap();
    fs::create_dir(mac.path("root/opt")).unwrap();
    symlink(mac.path("elsewhere"), mac.path("root/opt/russet")).unwrap();
    mac.refuses(&mac.preinstall(), "opt/russet is a link");
}

#[test]
fn a_directory_that_would_lead_installer_elsewhere_is_refused() {
    for name in [
        "agent/RussetAgent.localized",
        "agent/RussetAgent.app.localized",
        "menubar/Russet.localized",
    ] {
        let Some(mac) = Mac::new() else { return };
        fs::create_dir_all(mac.path("root/opt/russet/incoming").join(name)).unwrap();
        mac.refuses(&mac.preinstall(), name);
    }
}

#[test]
fn a_downgrade_is_refused_unless_it_is_allowed() {
    for (installed, older) in
        [("2.0.1", true), ("10.0.0", true), ("2.0.0", false), ("1.99.99", false)]
    {
        let Some(mac) = Mac::new() else { return };
        mac.installed(installed, WILLING);
        let output = mac.preinstall();
        if !older {
            succeeds(&output);
            continue;
        }
        mac.refuses(&output, "which is newer than 2.0.0");
        mac.setting("AllowDowngrade=true\n");
        succeeds(&mac.preinstall());
        assert!(mac.log().contains("which is allowed"));
    }
}

#[test]
fn settings_of_somebody_else_are_refused() {
    let Some(mac) = Mac::new() else { return };
    mac.installed("3.0.0", WILLING);
    mac.setting("AllowDowngrade=true\n");
    let file = mac.path("root/Library/Preferences/dev.russet.package.plist");
    chown(&file, Some(USER), None).unwrap();
    mac.refuses(&mac.preinstall(), "dev.russet.package.plist");
}

#[test]
fn a_profile_comes_before_the_local_settings() {
    let Some(mac) = Mac::new() else { return };
    mac.installed("3.0.0", WILLING);
    mac.setting("AllowDowngrade=true\n");
    let managed = mac.path("root/Library/Managed Preferences");
    fs::create_dir_all(&managed).unwrap();
    fs::write(managed.join("dev.russet.package.plist"), "AllowDowngrade=false\n").unwrap();
    mac.refuses(&mac.preinstall(), "which is newer");
}

#[test]
fn an_agent_with_tasks_is_neither_asked_nor_waited_for_and_its_version_stays() {
    let Some(mac) = Mac::new() else { return };
    mac.installed("1.0.0", BUSY);
    for _ in 0..2 {
        succeeds(&mac.preinstall());
        assert!(!mac.calls().contains("russet agent"), "{}", mac.calls());
        assert!(mac.has("opt/russet/RussetAgent.app") && !mac.has("opt/russet/previous"));
    }
}

#[test]
fn a_mac_with_tasks_is_left_alone_where_that_is_configured() {
    let Some(mac) = Mac::new() else { return };
    mac.installed("1.0.0", BUSY);
    mac.setting("Upgrade=refuse\n");
    mac.refuses(&mac.preinstall(), "tasks run; nothing was changed");
    mac.installed("1.0.0", "echo '{\"slots\":[{\"number\":1}]}'");
    succeeds(&mac.preinstall());
    mac.installed("1.0.0", "exit 5");
    succeeds(&mac.preinstall());
}

#[test]
fn what_a_killed_installation_left_is_removed_and_the_companions_part_is_not() {
    let Some(mac) = Mac::new() else { return };
    mac.arrived(PLACES);
    let incoming = mac.path("root/opt/russet/incoming");
    fs::create_dir_all(incoming.join("menubar/Russet.app")).unwrap();
    fs::write(incoming.join("complete"), "version 1.9.0\n").unwrap();
    succeeds(&mac.preinstall());
    assert!(!incoming.join("complete").exists() && !incoming.join("agent").exists());
    assert!(incoming.join("menubar/Russet.app").exists());
    assert_eq!(fs::metadata(&incoming).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn settings_that_mean_nothing_are_refused() {
    for setting in ["Upgrade=later\n", "DrainLimitSeconds=1h\n"] {
        let Some(mac) = Mac::new() else { return };
        mac.installed("1.0.0", WILLING);
        mac.setting(setting);
        mac.refuses(&mac.preinstall(), "dev.russet.package.plist");
    }
}

#[test]
fn an_agent_that_runs_is_left_to_put_the_new_version_in_place() {
    let Some(mac) = Mac::new() else { return };
    mac.installed("1.0.0", WILLING);
    mac.arrived(LEAVES);
    mac.configured();
    mac.setting("DrainLimitSeconds=60\n");
    for _ in 0..2 {
        succeeds(&mac.postinstall());
        assert_eq!(mac.calls().matches("russet agent").count(), 1, "{}", mac.calls());
        assert!(mac.calls().contains("new russet agent package\n"), "{}", mac.calls());
    }
    let note = fs::read_to_string(mac.path("root/opt/russet/incoming/complete")).unwrap();
    assert_eq!(note, "version 2.0.0\nhold 60\ndowngrade no\n");
    mac.setting("Upgrade=idle\nAllowDowngrade=true\n");
    succeeds(&mac.postinstall());
    let note = fs::read_to_string(mac.path("root/opt/russet/incoming/complete")).unwrap();
    assert_eq!(note, "version 2.0.0\nhold 0\ndowngrade yes\n");
}

#[test]
fn where_no_agent_runs_the_new_version_is_put_in_place_and_installs_itself() {
    let Some(mac) = Mac::new() else { return };
    mac.installed("2.0.0", WILLING);
    mac.arrived(PLACES);
    mac.configured();
    succeeds(&mac.postinstall());
    let calls = mac.calls();
    assert!(calls.contains("new russet agent package\nrusset agent install\n"), "{calls}");
}

#[test]
fn files_that_others_could_change_are_not_run() {
    for path in ["", "agent", "agent/RussetAgent.app/Contents/MacOS/russet"] {
        let Some(mac) = Mac::new() else { return };
        mac.arrived(PLACES);
        let full = mac.path("root/opt/russet/incoming").join(path);
        chown(&full, Some(USER), None).unwrap();
        mac.refuses(&mac.postinstall(), "somebody other than root can write to");
        assert_eq!(mac.calls(), "", "what a user can change was run: {path}");
        assert!(!mac.has("opt/russet/incoming/complete"));
    }
    let Some(mac) = Mac::new() else { return };
    mac.refuses(&mac.postinstall(), "is not there");
}

#[test]
fn an_installation_that_fails_is_a_failure_of_the_package() {
    let Some(mac) = Mac::new() else { return };
    mac.installed("2.0.0", "case $* in 'agent install'*) echo 'error: no space'; exit 4;; esac");
    mac.arrived(PLACES);
    mac.configured();
    mac.refuses(&mac.postinstall(), "no space");
    mac.arrived("echo 'error: not signed'; exit 4");
    mac.refuses(&mac.postinstall(), "not signed");
}

#[test]
fn without_a_configuration_the_files_lie_ready_and_it_is_said_what_to_do() {
    let Some(mac) = Mac::new() else { return };
    mac.installed("2.0.0", WILLING);
    mac.arrived(PLACES);
    let output = mac.postinstall();
    succeeds(&output);
    assert!(text(&output).contains("agent install --url"), "{}", text(&output));
    assert!(!mac.calls().contains("agent install"), "{}", mac.calls());
}

#[test]
fn a_control_plane_and_a_token_that_were_placed_before_are_used_once() {
    let Some(mac) = Mac::new() else { return };
    mac.installed("2.0.0", WILLING);
    mac.arrived(PLACES);
    mac.setting("ControlPlane=https://ci.example.com\nName=mini 7\nSlots=2\n");
    let token = mac.path("root/Library/Preferences/dev.russet.agent/token");
    fs::write(&token, "secret").unwrap();
    fs::set_permissions(&token, fs::Permissions::from_mode(0o644)).unwrap();
    mac.refuses(&mac.postinstall(), "others than root can read");
    fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).unwrap();
    succeeds(&mac.postinstall());
    let calls = mac.calls();
    let line = format!(
        "russet agent install --url https://ci.example.com --token-file {} --name mini 7 --slots 2\n",
        token.display()
    );
    assert!(calls.contains(&line) && !calls.contains("secret"), "{calls}");
    assert!(!token.exists());
}

#[test]
fn the_companion_of_everybody_at_the_screen_is_started_by_launchd() {
    let Some(mac) = Mac::new() else { return };
    mac.installed("2.0.0", WILLING);
    mac.arrived(PLACES);
    let agents = mac.path("root/Library/LaunchAgents");
    fs::create_dir_all(&agents).unwrap();
    fs::write(agents.join("dev.russet.menubar.plist"), "").unwrap();
    succeeds(&mac.postinstall());
    let calls = mac.calls();
    assert!(calls.contains("launchctl bootout gui/501/dev.russet.menubar\n"), "{calls}");
    assert!(calls.contains("launchctl bootstrap gui/501 "), "{calls}");
    // With fast user switching there is more than one session. Who is in over SSH has none.
    fs::write(mac.path("uids"), "0\n502\n501\n503\n").unwrap();
    succeeds(&mac.postinstall());
    let calls = mac.calls();
    for uid in [501, 502] {
        assert!(calls.contains(&format!("bootout gui/{uid}/dev.russet.menubar\n")), "{calls}");
        assert!(calls.contains(&format!("bootstrap gui/{uid} ")), "{calls}");
    }
    assert!(!calls.contains("bootstrap gui/503"), "{calls}");
    // Nothing about it is a reason to fail.
    fs::write(mac.path("launchctl-fails"), "bootstrap\n").unwrap();
    let output = mac.postinstall();
    succeeds(&output);
    assert!(text(&output).contains("with the next login"), "{}", text(&output));
    for nobody in ["", "0\n", "0\n248\n350\n"] {
        fs::write(mac.path("uids"), nobody).unwrap();
        succeeds(&mac.postinstall());
        assert!(!mac.calls().contains("launchctl"), "{nobody:?}: {}", mac.calls());
    }
}

#[test]
fn a_log_that_is_not_roots_own_is_not_written_to() {
    let Some(mac) = Mac::new() else { return };
    let victim = mac.path("victim");
    fs::write(&victim, "mine\n").unwrap();
    symlink(&victim, mac.path("root/var/log/russet-install.log")).unwrap();
    succeeds(&mac.preinstall());
    assert_eq!(fs::read_to_string(&victim).unwrap(), "mine\n");
}

#[test]
fn uninstall_is_the_agents_own_with_all_options() {
    let Some(mac) = Mac::new() else { return };
    let output = mac.run("uninstall.sh", &["--wait", "--timeout", "1h"]);
    assert!(!output.status.success() && text(&output).contains("hint:"), "{}", text(&output));
    mac.installed("2.0.0", "exit 3");
    let output = mac.run("uninstall.sh", &["--wait", "--timeout", "1h"]);
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(mac.calls(), "russet agent uninstall --wait --timeout 1h\n");
}
