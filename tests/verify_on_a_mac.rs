//! The list of what only a Mac can show, and the script that goes through it, say the same; and
//! the script itself works, as far as another system can tell.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::{can_be_root, checkout, has_tool, russet, test_dir};

/// Names of the entries of the page: headings in backquotes.
fn entries() -> Vec<String> {
    let page = std::fs::read_to_string(checkout().join("docs/verify-on-a-mac.md")).unwrap();
    let name = |line: &str| Some(line.strip_prefix("### `")?.strip_suffix('`')?.to_owned());
    page.lines().filter_map(name).collect()
}

/// Files with the checks, in the order in which the script reads them.
fn check_files() -> Vec<PathBuf> {
    let folder = std::fs::read_dir(checkout().join("docs/verify-on-a-mac")).unwrap();
    let paths = folder.map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        paths.filter(|path| path.extension().is_some_and(|extension| extension == "sh")).collect();
    files.sort();
    files
}

/// Names of the checks of the script, in its order.
fn checks() -> Vec<String> {
    let name = |line: &str| Some(line.strip_prefix("check ")?.split(' ').next()?.to_owned());
    let read = |path: &PathBuf| std::fs::read_to_string(path).unwrap();
    let texts: Vec<String> = check_files().iter().map(read).collect();
    texts.iter().flat_map(|text| text.lines().filter_map(name)).collect()
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names
}

/// Runs the script here, where most of it fails, in a directory of its own.
fn run(options: &[&str]) -> (Output, tempfile::TempDir) {
    let dir = test_dir();
    let output = Command::new("sh")
        .arg(checkout().join("docs/verify-on-a-mac.sh"))
        .args(options)
        .env("RUSSET", russet())
        .env("RUSSET_VERIFY_ANYWHERE", "1")
        .current_dir(dir.path())
        .output()
        .unwrap();
    (output, dir)
}

#[test]
fn every_entry_has_a_check_and_every_check_an_entry() {
    let (entries, checks) = (sorted(entries()), sorted(checks()));
    assert!(!entries.is_empty());
    assert_eq!(entries, checks, "docs/verify-on-a-mac.md and docs/verify-on-a-mac/*.sh differ");
    let mut unique = entries.clone();
    unique.dedup();
    assert_eq!(unique, entries, "two entries have the same name");
}

#[test]
fn every_entry_says_a_command_and_what_it_must_print() {
    let page = std::fs::read_to_string(checkout().join("docs/verify-on-a-mac.md")).unwrap();
    for entry in page.split("\n### `").skip(1) {
        let name = entry.lines().next().unwrap();
        assert!(entry.contains("- Command: "), "{name}");
        assert!(entry.contains("- Must print: "), "{name}");
    }
}

#[test]
fn shellcheck_has_nothing_to_say() {
    let mut scripts = check_files();
    scripts.push(checkout().join("docs/verify-on-a-mac.sh"));
    for name in
        ["clean", "job", "path-order", "path-steps", "project", "run-check", "steps", "submit"]
    {
        scripts.push(checkout().join("docs/verify-on-a-mac/tools").join(name));
    }
    for script in &scripts {
        assert!(Command::new("sh").arg("-n").arg(script).status().unwrap().success());
    }
    if !has_tool("shellcheck") {
        return;
    }
    // macOS runs it with bash 3.2 in its POSIX mode.
    for shell in ["sh", "bash"] {
        let output =
            Command::new("shellcheck").args(["-s", shell]).args(&scripts).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}

#[test]
fn the_check_of_path_fails_where_homebrew_is_behind_or_two_shells_differ() {
    let judge = |lines: &[&str]| {
        let tool = checkout().join("docs/verify-on-a-mac/tools/path-order");
        let text = lines.iter().fold(String::new(), |text, line| format!("{text}{line}\n"));
        let command = format!("printf '%s' \"$TEXT\" | '{}' 2", tool.display());
        let output = Command::new("sh").args(["-c", &command]).env("TEXT", text).output().unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    };
    let good = "  job  path bash /opt/homebrew/bin:/usr/bin:/bin";
    let zsh = "path zsh-login /opt/homebrew/bin:/usr/bin:/bin";
    assert_eq!(judge(&["$ echo \"path bash $PATH\"", good, zsh]), (true, "order ok\n".to_owned()));
    for (lines, said) in [
        (&[good][..], "1 shells"),
        (&[good, "path zsh /usr/bin:/opt/homebrew/bin:/bin"], "behind /usr/bin in zsh"),
        (&[good, "path zsh /usr/bin:/opt/homebrew/bin:/bin"], "another order in zsh"),
        (&["path a /usr/bin:/bin", "path b /usr/bin:/bin"], "no Homebrew in a"),
    ] {
        let (is_ok, text) = judge(lines);
        assert!(!is_ok && text.contains(said) && !text.contains("order ok"), "{text}");
    }
}

#[test]
fn the_script_goes_to_its_end_and_its_report_has_a_row_for_every_check() {
    let (output, dir) = run(&[]);
    let text = String::from_utf8(output.stdout).unwrap();
    let row = |name: &str| {
        text.lines().find(|line| line.split_whitespace().nth(1) == Some(name)).map(str::to_owned)
    };
    for name in checks() {
        assert!(row(&name).is_some(), "no row for {name} in:\n{text}");
    }
    // This system is no Mac, and nothing was to be changed.
    assert!(row("macos-version").unwrap().starts_with("FAIL"), "{text}");
    assert!(row("binary-runs").unwrap().starts_with("ok"), "{text}");
    assert_eq!(
        row("run-a-job").unwrap().split_whitespace().collect::<Vec<_>>(),
        ["skip", "run-a-job", "-", "needs", "--change"]
    );
    assert_eq!(output.status.code(), Some(1));
    let report = std::fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
    let report = std::fs::read_to_string(report).unwrap();
    assert!(report.contains("binary-runs") && report.contains(" failed, "), "{report}");
}

/// Checks of `russet` that do not concern macOS work here too.
#[test]
fn checks_with_a_job_of_their_own_pass_on_this_system() {
    let (output, _dir) = run(&["--change"]);
    let text = String::from_utf8(output.stdout).unwrap();
    for name in ["run-a-job", "timeout-shows-processes", "leftovers-are-ended"] {
        let row = text.lines().find(|line| line.split_whitespace().nth(1) == Some(name)).unwrap();
        assert!(row.starts_with("ok"), "{name} in:\n{text}");
    }
}

#[test]
fn elsewhere_it_refuses() {
    let output = Command::new("sh")
        .arg(checkout().join("docs/verify-on-a-mac.sh"))
        .env_remove("RUSSET_VERIFY_ANYWHERE")
        .output()
        .unwrap();
    if cfg!(not(target_os = "macos")) {
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains("not a Mac"));
    }
}

/// A Mac of the tests: checks of their own, and a launchd that starts what is submitted.
struct FakeMac {
    dir: tempfile::TempDir,
}

impl FakeMac {
    fn new(checks: &str) -> Self {
        let mac = Self { dir: test_dir() };
        for folder in ["checks", "bin"] {
            std::fs::create_dir(mac.path().join(folder)).unwrap();
        }
        std::fs::write(mac.path().join("checks/10-checks.sh"), checks).unwrap();
        mac.add_tool(
            "launchctl",
            "case $1 in
             submit) out=$5; shift 8; setsid \"$@\" >\"$out\" 2>&1 & echo $! >\"$FAKE/job\" ;;
             remove) kill -9 -- \"-$(cat \"$FAKE/job\")\"; echo removed \"$2\" >>\"$FAKE/removed\" ;;
             esac",
        );
        mac.add_tool(
            "sysctl",
            "case $2 in kern.bootsessionuuid) cat \"$FAKE/boot\" ;; *) exit 1 ;; esac",
        );
        mac.set_boot("first");
        mac
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn add_tool(&self, name: &str, script: &str) {
        let path = self.path().join("bin").join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn set_boot(&self, name: &str) {
        std::fs::write(self.path().join("boot"), name).unwrap();
    }

    /// Runs the script with these options; returns its status and what it printed.
    fn run(&self, options: &[&str]) -> (Option<i32>, String) {
        let path = std::env::var("PATH").unwrap();
        let output = Command::new("sh")
            .arg(checkout().join("docs/verify-on-a-mac.sh"))
            .args(options)
            .env("RUSSET", russet())
            .env("RUSSET_VERIFY_ANYWHERE", "fake")
            .env("RUSSET_VERIFY_CHECKS", self.path().join("checks"))
            .env("RUSSET_VERIFY_SLOT", "nobody")
            .env("FAKE", self.path())
            .env("PATH", format!("{}:{path}", self.path().join("bin").display()))
            .current_dir(self.path())
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        (output.status.code(), text + &String::from_utf8_lossy(&output.stderr))
    }

    fn report(&self) -> PathBuf {
        let files = std::fs::read_dir(self.path()).unwrap().map(|entry| entry.unwrap().path());
        let is_report = |path: &PathBuf| {
            path.file_name().unwrap().to_string_lossy().starts_with("russet-verify-")
        };
        files.into_iter().find(is_report).unwrap()
    }
}

/// First word of the row of a check.
fn verdict(text: &str, name: &str) -> String {
    let row = text.lines().find(|line| line.split_whitespace().nth(1) == Some(name));
    row.unwrap_or_else(|| panic!("no row for {name} in:\n{text}"))
        .split(' ')
        .next()
        .unwrap()
        .to_owned()
}

#[test]
fn a_check_fails_by_its_status_by_its_output_and_by_its_time_limit() {
    let mac = FakeMac::new(
        "check good - '^as wanted$' 'echo as wanted'
check wrong-output - '^as wanted$' 'echo something else'
check wrong-status - '^as wanted$' 'echo as wanted; exit 3'
check too-slow limit=1 '^as wanted$' 'echo as wanted; sleep 3600 & sleep 3600'
check unmet change '^as wanted$' 'echo as wanted'
",
    );
    let (status, text) = mac.run(&[]);
    let verdicts = ["good", "wrong-output", "wrong-status", "too-slow", "unmet"]
        .map(|name| verdict(&text, name));
    assert_eq!(verdicts, ["ok", "FAIL", "FAIL", "FAIL", "skip"], "{text}");
    assert!(text.contains("something else") && text.contains("exit status 3"), "{text}");
    assert!(text.contains("ended after its limit of 1 s"), "{text}");
    assert!(text.contains("1 passed, 3 failed, 1 skipped"), "{text}");
    assert_eq!(status, Some(1));
}

#[test]
fn one_check_can_be_asked_for_and_a_wrong_name_is_refused() {
    let mac = FakeMac::new("check one - x 'echo x'\ncheck two 'change limit=5' x 'echo x'\n");
    let (status, text) = mac.run(&["--only", "two", "--change"]);
    assert_eq!((status, verdict(&text, "two").as_str()), (Some(0), "ok"), "{text}");
    assert!(!text.contains("\nok      one "), "{text}");
    let (status, text) = mac.run(&["--only", "three"]);
    assert!(text.contains("there is no check three; --list names them"), "{text}");
    assert_eq!(status, Some(2));
    let (status, text) = mac.run(&["--list"]);
    let lines: Vec<Vec<&str>> =
        text.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines, [vec!["one", "-"], vec!["two", "change", "limit=5"]]);
    assert_eq!(status, Some(0));
}

#[test]
fn a_report_is_resumed_and_what_needs_a_restart_waits_for_one() {
    let mac = FakeMac::new(
        "check once - x 'echo x; echo again >>\"$FAKE/ran\"'
check later rebooted x 'echo x'
",
    );
    let (_, text) = mac.run(&[]);
    assert_eq!(verdict(&text, "later"), "skip", "{text}");
    assert!(text.contains("To go on after a restart"), "{text}");
    let report = mac.report();
    let options = ["--resume", report.to_str().unwrap()];
    let (_, text) = mac.run(&options);
    assert_eq!(verdict(&text, "later"), "skip", "the same boot: {text}");
    mac.set_boot("second");
    let (status, text) = mac.run(&options);
    assert_eq!(verdict(&text, "later"), "ok", "{text}");
    assert!(text.contains("1 passed, 0 failed, 0 skipped, 1 ok before"), "{text}");
    assert_eq!(status, Some(0));
    let ran = std::fs::read_to_string(mac.path().join("ran")).unwrap();
    assert_eq!(ran, "again\n", "a check that was ok ran again");
}

#[test]
fn checks_run_where_their_subject_runs_and_are_removed_from_launchd() {
    if !can_be_root("to be launchd") {
        return;
    }
    let mac = FakeMac::new(
        "check as-daemon 'daemon' '^0 its session$' 'echo \"$(id -u)\" its session'
check as-user 'as-slot limit=30' '^nobody .*/slot-home$' 'echo \"$(id -un) $HOME\"'
check fails-there daemon x 'echo x; exit 4'
check hangs-there 'daemon limit=2' x 'echo x; sleep 3600'
",
    );
    let (_, text) = mac.run(&["--change"]);
    let verdicts =
        ["as-daemon", "as-user", "fails-there", "hangs-there"].map(|name| verdict(&text, name));
    assert_eq!(verdicts, ["ok", "ok", "FAIL", "FAIL"], "{text}");
    assert!(text.contains("exit status 4"), "{text}");
    let removed = std::fs::read_to_string(mac.path().join("removed")).unwrap();
    assert!(removed.lines().count() >= 4, "{removed}");
}

/// The check of the project's own that makes a user, with tools that answer as macOS does.
fn make_user(dsimport: &str, dscl: &str) -> String {
    let mac = FakeMac::new("");
    let part = checkout().join("docs/verify-on-a-mac/32-users.sh");
    std::fs::copy(part, mac.path().join("checks/32-users.sh")).unwrap();
    mac.add_tool("dsimport", dsimport);
    mac.add_tool("dscl", dscl);
    let (_, text) = mac.run(&["--change", "--only", "user-made-from-terminal"]);
    text
}

#[test]
fn making_a_user_is_told_by_the_database_and_not_by_the_end_of_dsimport() {
    if !can_be_root("to make users") {
        return;
    }
    // What it was given, in the form of `dscl . -read`, whose first word is the attribute.
    let import = r#"[ "$2 $3 $4" = "/Local/Default I --outputfile" ] || exit 64
        echo "<plist/>" >"$5"
        IFS=: read -r name uid password home group shell hidden full <<V
$(tail -n 1 "$1")
V
        printf 'NFSHomeDirectory: %s\nUniqueID: %s\n' "$home" "$uid" >"$FAKE/record""#;
    let by_database = r#"case $2 in
        -read) cat "$FAKE/record" 2>/dev/null || { echo "DS Error: -14136 (eDSRecordNotFound)" >&2; exit 56; } ;;
        -create) [ ! -e "$FAKE/denied" ] || { echo "DS Error: -14120 (eDSPermissionError)" >&2; exit 40; }
                 echo "$4: $5" >>"$FAKE/record" ;;
        esac"#;
    let nothing = r#"echo "<plist/>" >"$5""#;
    let text = make_user(import, by_database);
    assert!(text.contains("made at once"), "{text}");
    assert_eq!(verdict(&text, "user-made-from-terminal"), "ok", "{text}");
    let text = make_user(nothing, by_database);
    assert!(text.contains("made by attributes"), "{text}");
    let denied = format!("touch \"$FAKE/denied\"; {nothing}");
    let text = make_user(&denied, by_database);
    assert!(text.contains("refused: Full Disk Access is needed"), "{text}");
    assert_eq!(verdict(&text, "user-made-from-terminal"), "ok", "{text}");
    // A fact of neither kind is none that is handled.
    let text = make_user(nothing, "case $2 in -read) exit 56 ;; *) exit 1 ;; esac");
    assert_eq!(verdict(&text, "user-made-from-terminal"), "FAIL", "{text}");
    let login =
        format!("{import}\necho 'AuthenticationAuthority: ;ShadowHash;' >>\"$FAKE/record\"");
    let text = make_user(&login, by_database);
    assert_eq!(verdict(&text, "user-made-from-terminal"), "FAIL", "{text}");
}
