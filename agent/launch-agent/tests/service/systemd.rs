//! `systemd/russet-agent.service` and `systemd/russet-server.service`.

use russet_platform::layout::{Layout, SERVER_SYSTEMD_UNIT, SYSTEMD_UNIT};
use russet_platform::server_layout::ServerLayout;

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

fn read(unit: &str) -> Vec<Entry> {
    let text = std::fs::read_to_string(file("systemd").join(unit)).unwrap();
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
    for (section, key, _) in read(SYSTEMD_UNIT) {
        let known = KEYS.iter().find(|(name, _)| *name == section);
        let known = known.unwrap_or_else(|| panic!("no section {section}"));
        assert!(known.1.contains(&key.as_str()), "{key} is not known in [{section}]");
        assert_explained("systemd/README.md", &key);
    }
}

#[test]
fn the_unit_is_russet_boot_and_leaves_tasks_alone() {
    let entries = read(SYSTEMD_UNIT);
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
fn the_server_is_a_user_of_its_own_and_every_line_has_a_reason() {
    let entries = read(SERVER_SYSTEMD_UNIT);
    for (_, key, _) in &entries {
        assert_explained("systemd/README.md", key);
    }
    let value = |key: &str| value(&entries, key);
    assert_eq!((value("User"), value("Group")), ("russet-server".into(), "russet-server".into()));
    let program = ServerLayout::default().executable();
    assert!(value("ExecStart").starts_with(&format!("{} server ", program.display())));
    for (key, wanted) in [
        ("NoNewPrivileges", "yes"),
        ("CapabilityBoundingSet", ""),
        ("ProtectSystem", "strict"),
        ("ProtectHome", "yes"),
        ("MemoryDenyWriteExecute", "yes"),
        ("RestartPreventExitStatus", "2 3"),
    ] {
        assert_eq!(value(key), wanted, "{key}");
    }
}

/// systemd's own measure of how much harm a service could do, from 0 to 10.
#[test]
fn the_server_is_exposed_as_little_as_systemd_can_tell() {
    let unit = file("systemd").join(SERVER_SYSTEMD_UNIT);
    let mut analyze = std::process::Command::new("systemd-analyze");
    analyze.args(["security", "--offline=true", "--threshold=20"]).arg(&unit);
    let Ok(output) = analyze.output() else { return };
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if !said.contains("Overall exposure level") {
        // systemd before 250 knows no units that are not loaded.
        return;
    }
    assert!(output.status.success(), "{said}");
}

#[test]
fn systemd_itself_finds_nothing_to_say_about_them() {
    let programs = [
        (SYSTEMD_UNIT, Layout::default().boot()),
        (SERVER_SYSTEMD_UNIT, ServerLayout::default().executable()),
    ];
    for (name, program) in programs {
        let text = std::fs::read_to_string(file("systemd").join(name)).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let unit = dir.path().join(name);
        // It looks for the program too, which is not installed here.
        std::fs::write(&unit, text.replace(program.to_str().unwrap(), "/bin/true")).unwrap();
        let output =
            std::process::Command::new("systemd-analyze").arg("verify").arg(&unit).output();
        let Ok(output) = output else { return };
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        // It reads the machine's other units too, and may complain about those.
        let about = said.lines().filter(|line| line.contains(name)).collect::<Vec<_>>();
        assert!(about.is_empty(), "{about:#?}");
    }
}
