//! Walks docs/operating-a-farm.md: its commands, as they stand there, one after the other. In
//! namespaces of its own (files, processes, network), where `systemctl` and the browser of people
//! are played by scripts; everything else is real.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use crate::support::installation::russet_boot;
use crate::support::{Lacks, can_be_root, checkout, has_tool, russet, skip, test_dir};

/// A step of the walk.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// Commands of somebody.
    Block { who: String, needs_browser: bool, may_warn: bool, text: String },
    /// Somebody sets a password with the link that was shown last.
    Password { name: String },
}

/// Returns the steps of a document: blocks behind `<!-- walk: WHO -->`, and notes of browsers.
fn steps_of(document: &str) -> Vec<Step> {
    let note = |line: &str, kind: &str| -> Option<String> {
        let inner = line.strip_prefix("<!-- ")?.strip_suffix(" -->")?;
        Some(inner.strip_prefix(kind)?.trim().to_owned())
    };
    let mut steps = Vec::new();
    let mut lines = document.lines();
    while let Some(line) = lines.next() {
        if let Some(name) = note(line, "browser: set a password for") {
            steps.push(Step::Password { name });
        } else if let Some(words) = note(line, "walk:") {
            assert_eq!(lines.next(), Some("```sh"), "a walk is a block of commands");
            let text: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            let mut words = words.split(", ");
            let who = words.next().unwrap_or_default().to_owned();
            let flags: Vec<&str> = words.collect();
            steps.push(Step::Block {
                who,
                needs_browser: flags.contains(&"browser"),
                may_warn: flags.contains(&"warnings"),
                text: text.join("\n") + "\n",
            });
        }
    }
    steps
}

/// Beginning of the script: files, names and people of its own.
const PRELUDE: &str = r#"
set -euo pipefail
exec 2>&1
mount --make-rprivate /
mount -t tmpfs -o mode=755 walk /mnt
for dir in etc opt srv var root usr/local tmp; do
  mkdir -p /mnt/upper/$dir /mnt/work/$dir
  chmod --reference=/$dir /mnt/upper/$dir
  mount -t overlay walk -o "lowerdir=/$dir,upperdir=/mnt/upper/$dir,workdir=/mnt/work/$dir" /$dir
done
mount -t tmpfs -o mode=755 walk /run
mkdir -p /run/systemd/system /run/lock
mount --bind "$FIXTURES/systemctl" /usr/bin/systemctl
ip link set lo up
printf '127.0.0.1 localhost ci.example.com\n' >/etc/hosts
rm -rf /opt/russet /opt/russet-server /var/lib/russet /var/lib/russet-server /etc/russet /etc/russet-server
# Ids that nobody has outside: processes of the walk are seen there by their ids.
sed -i -E '/^#?[[:space:]]*SYS_[UG]ID_(MIN|MAX)/d' /etc/login.defs
printf 'SYS_UID_MIN 600\nSYS_UID_MAX 699\nSYS_GID_MIN 600\nSYS_GID_MAX 699\n' >>/etc/login.defs
mkdir -p /mnt/out /mnt/server /mnt/machine
for dir in server machine; do cp "$RUSSET" "$BOOT" /mnt/$dir/; done
for name in ana:61001 ben:61002; do
  install -d -m 700 -o "${name#*:}" -g "${name#*:}" "/mnt/${name%:*}"
done
as_person() {
  # Their copy of the authority, as the page asks for.
  install -m 644 /etc/russet-server/ca.pem "/mnt/$1/ca.pem"
  cd "/mnt/$1"
  exec setpriv --reuid "$2" --regid "$2" --clear-groups \
    env -i HOME="/mnt/$1" PATH=/usr/local/bin:/usr/bin:/bin NO_COLOR=1 bash -eu "$3"
}
run() {
  case $1 in
    server) (cd /mnt/server && HOME=/root NO_COLOR=1 bash -eu "$2") ;;
    machine)
      cp /etc/russet-server/ca.pem /mnt/ana/token /mnt/machine/
      (cd /mnt/machine && HOME=/root NO_COLOR=1 bash -eu "$2") ;;
    ana) (as_person ana 61001 "$2") ;;
    ben) (as_person ben 61002 "$2") ;;
  esac
}
logs() { tail -n 40 /var/log/walk-* /var/log/russet/* 2>/dev/null || true; }
trap logs ERR
"#;

/// Returns the script of a walk.
fn script_of(steps: &[Step]) -> String {
    let mut script = PRELUDE.to_owned();
    let mut last = String::new();
    for (number, step) in steps.iter().enumerate() {
        let out = format!("/mnt/out/{number}");
        match step {
            Step::Password { name } => {
                writeln!(script, "\"$FIXTURES/browser\" password {name} {last}").unwrap();
            }
            Step::Block { who, needs_browser, may_warn, text } => {
                writeln!(script, "cat >/mnt/out/{number}.sh <<'END-OF-BLOCK'\n{text}END-OF-BLOCK")
                    .unwrap();
                writeln!(script, "echo '--- {who}'; cat /mnt/out/{number}.sh").unwrap();
                let run = format!("run {who} /mnt/out/{number}.sh");
                if *needs_browser {
                    writeln!(script, "{run} >{out} 2>&1 & walking=$!").unwrap();
                    writeln!(script, "\"$FIXTURES/browser\" allow {who} {out}").unwrap();
                    writeln!(script, "wait $walking || {{ cat {out}; exit 1; }}\ncat {out}")
                        .unwrap();
                } else {
                    // `doctor` ends with 20 where something should be looked at.
                    let code = if *may_warn { "[ $? = 20 ]" } else { "{ cat OUT; logs; exit 1; }" };
                    let code = code.replace("OUT", &out);
                    writeln!(script, "{run} >{out} 2>&1 || {code}\ncat {out}").unwrap();
                }
                last = out;
            }
        }
    }
    script
}

#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "has namespaces of its own")]
fn a_farm_is_operated_with_the_commands_of_its_page_alone() {
    if !can_be_root("to have namespaces, users and services") {
        return;
    }
    for tool in ["unshare", "setpriv", "runuser", "ip", "curl", "openssl"] {
        if !has_tool(tool) {
            return skip(Lacks::Tool, tool);
        }
    }
    let document = std::fs::read_to_string(checkout().join("docs/operating-a-farm.md")).unwrap();
    let steps = steps_of(&document);
    let dir = test_dir();
    let script = dir.path().join("walk");
    std::fs::write(&script, script_of(&steps)).unwrap();
    let output = Command::new("unshare")
        .args(["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "bash"])
        .arg(&script)
        .env("FIXTURES", checkout().join("tests/fixtures/farm"))
        .env("RUSSET", russet())
        .env("BOOT", russet_boot())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    if said.contains("mount: ") && said.contains("permission denied") {
        return skip(Lacks::Machine, "mounting of overlays");
    }
    assert!(output.status.success(), "{said}");
    // The second person's build, by the user of a slot.
    assert!(said.contains("built by _russet"), "{said}");
    assert!(said.contains("russet_server_certificate_expires_timestamp_seconds 1"), "{said}");
}

#[test]
fn the_page_has_blocks_for_everybody_and_each_is_walked_or_is_none() {
    let document = std::fs::read_to_string(checkout().join("docs/operating-a-farm.md")).unwrap();
    let steps = steps_of(&document);
    let blocks = document.lines().filter(|line| *line == "```sh").count();
    let walked = steps.iter().filter(|step| matches!(step, Step::Block { .. })).count();
    assert_eq!(walked, blocks, "every block of commands is walked");
    let people = steps.iter().filter_map(|step| match step {
        Step::Block { who, .. } => Some(who.as_str()),
        Step::Password { .. } => None,
    });
    let people: std::collections::BTreeSet<&str> = people.collect();
    assert_eq!(people, ["ana", "ben", "machine", "server"].into());
    assert!(Path::new(&checkout().join("tests/fixtures/farm/browser")).is_file());
}
