//! `systemd/russet-agent.service`.

use russet_platform::layout::{Layout, SYSTEMD_UNIT};

use super::{assert_explained, file};

/// The keys that may be used, by section. Source: systemd.unit(5), systemd.service(5),
/// systemd.kill(5), systemd.exec(5) and systemd.resource-control(5) of systemd 252; those that
/// would change what a job sees (`ProtectSystem`, `PrivateTmp`, `NoNewPrivileges`, …) are left out,
/// so that using one is a decision. `systemd-analyze verify` below has the last word.
const KEYS: [(&str, &[&str]); 3] = [
    ("Unit", &["Description", "Documentation", "After", "Wants", "StartLimitIntervalSec"]),
    (
        "Service",
        &[
            "Type",
            "ExecStart",
            "Restart",
            "RestartSec",
            "KillMode",
            "TimeoutStopSec",
            "Delegate",
            "OOMPolicy",
            "TasksMax",
            "LimitNOFILE",
        ],
    ),
    ("Install", &["WantedBy"]),
];

type Entry = (String, String, String);

fn read() -> Vec<Entry> {
    let text = std::fs::read_to_string(file("systemd").join(SYSTEMD_UNIT)).unwrap();
    let mut section = String::new();
    let mut entries = Vec::new();
    for line in
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            name.clone_into(&mut section);
            continue;
        }
        let (key, value) = line.split_once('=').unwrap_or_else(|| panic!("no entry: {line}"));
        entries.push((section.clone(), key.to_owned(), value.to_owned()));
    }
    entries
}

fn value(entries: &[Entry], key: &str) -> String {
    let found: Vec<_> = entries.iter().filter(|(_, known, _)| known == key).collect();
    assert_eq!(found.len(), 1, "{key} stands {} times", found.len());
    found[0].2.clone()
}

#[test]
fn every_key_is_one_of_systemd_in_its_section_and_has_a_reason() {
    for (section, key, _) in read() {
        let known = KEYS.iter().find(|(name, _)| *name == section);
        let known = known.unwrap_or_else(|| panic!("no section {section}"));
        assert!(known.1.contains(&key.as_str()), "{key} is not known in [{section}]");
        assert_explained("systemd/README.md", &key);
    }
}

#[test]
fn the_unit_is_russet_boot_and_leaves_tasks_alone() {
    let entries = read();
    let value = |key: &str| value(&entries, key);
    assert_eq!(value("ExecStart"), Layout::default().boot().to_str().unwrap());
    assert_eq!(value("KillMode"), "process");
    assert_eq!(value("Delegate"), "yes");
    assert_eq!(value("Restart"), "always");
    assert_eq!(value("StartLimitIntervalSec"), "0");
    assert_eq!(value("OOMPolicy"), "continue");
    assert!(value("TimeoutStopSec").parse::<u32>().unwrap() >= 60);
    // root is systemd's own user; another would come from these.
    assert!(!entries.iter().any(|(_, key, _)| key == "User" || key == "Group"));
}

#[test]
fn systemd_itself_finds_nothing_to_say_about_it() {
    let text = std::fs::read_to_string(file("systemd").join(SYSTEMD_UNIT)).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let unit = dir.path().join(SYSTEMD_UNIT);
    // It looks for the program too, which is not installed here.
    let boot = Layout::default().boot();
    std::fs::write(&unit, text.replace(boot.to_str().unwrap(), "/bin/true")).unwrap();
    let output = std::process::Command::new("systemd-analyze").arg("verify").arg(&unit).output();
    let Ok(output) = output else { return };
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    // It reads the machine's other units too, and may complain about those.
    let about = said.lines().filter(|line| line.contains(SYSTEMD_UNIT)).collect::<Vec<_>>();
    assert!(about.is_empty(), "{about:#?}");
}
