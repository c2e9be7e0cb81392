//! `launchd/*.plist`.

use plist::{Dictionary, Value};
use russet_platform::layout::{LABEL, Layout, MENUBAR_LABEL, SERVER_LABEL};

use super::{assert_explained, file};

/// Type of a key's value.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Boolean,
    Integer,
    String,
    Array,
    Dictionary,
    BooleanOrDictionary,
    StringOrArray,
    ArrayOrDictionary,
}

use Kind::{
    Array, ArrayOrDictionary, Boolean, BooleanOrDictionary, Integer, String as Text, StringOrArray,
};

/// The keys of launchd.plist(5) with their types. Source: the manual page of macOS 15 as shown at
/// <https://keith.github.io/xcode-man-pages/launchd.plist.5.html>, compared with the
/// `LAUNCH_JOBKEY_…` constants of Apple's `<launch.h>`. Keys that the page calls deprecated or
/// removed (`OnDemand`, `TimeOut`, `HopefullyExitsLast`, …) are left out, so that using one fails.
const KEYS: [(&str, Kind); 50] = [
    ("AbandonProcessGroup", Boolean),
    ("AssociatedBundleIdentifiers", StringOrArray),
    ("BundleProgram", Text),
    ("Debug", Boolean),
    ("Disabled", Boolean),
    ("EnableGlobbing", Boolean),
    ("EnablePressuredExit", Boolean),
    ("EnableTransactions", Boolean),
    ("EnvironmentVariables", Kind::Dictionary),
    ("ExitTimeOut", Integer),
    ("GroupName", Text),
    ("HardResourceLimits", Kind::Dictionary),
    ("InitGroups", Boolean),
    ("KeepAlive", BooleanOrDictionary),
    ("Label", Text),
    ("LaunchEvents", Kind::Dictionary),
    ("LaunchOnlyOnce", Boolean),
    ("LegacyTimers", Boolean),
    ("LimitLoadFromHardware", Kind::Dictionary),
    ("LimitLoadFromHosts", Array),
    ("LimitLoadToHardware", Kind::Dictionary),
    ("LimitLoadToHosts", Array),
    ("LimitLoadToSessionType", StringOrArray),
    ("LowPriorityBackgroundIO", Boolean),
    ("LowPriorityIO", Boolean),
    ("MachServices", Kind::Dictionary),
    ("MaterializeDatalessFiles", Boolean),
    ("Nice", Integer),
    ("ProcessType", Text),
    ("Program", Text),
    ("ProgramArguments", Array),
    ("QueueDirectories", Array),
    ("RootDirectory", Text),
    ("RunAtLoad", Boolean),
    ("SessionCreate", Boolean),
    ("Sockets", Kind::Dictionary),
    ("SoftResourceLimits", Kind::Dictionary),
    ("SpawnConstraint", Kind::Dictionary),
    ("StandardErrorPath", Text),
    ("StandardInPath", Text),
    ("StandardOutPath", Text),
    ("StartCalendarInterval", ArrayOrDictionary),
    ("StartInterval", Integer),
    ("StartOnMount", Boolean),
    ("ThrottleInterval", Integer),
    ("Umask", Integer),
    ("UserName", Text),
    ("WaitForDebugger", Boolean),
    ("WatchPaths", Array),
    ("WorkingDirectory", Text),
];

/// Keys of `SoftResourceLimits` and of `HardResourceLimits`, which are integers. Source: as above.
const LIMITS: [&str; 9] = [
    "Core",
    "CPU",
    "Data",
    "FileSize",
    "MemoryLock",
    "NumberOfFiles",
    "NumberOfProcesses",
    "ResidentSetSize",
    "Stack",
];

/// Keys of `KeepAlive` that the page does not call deprecated. Source: as above.
const KEEP_ALIVE: [(&str, Kind); 4] = [
    ("SuccessfulExit", Boolean),
    ("Crashed", Boolean),
    ("PathState", Kind::Dictionary),
    ("OtherJobEnabled", Kind::Dictionary),
];

fn read(label: &str) -> Dictionary {
    let name = format!("launchd/{label}.plist");
    let value = Value::from_file(file(&name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    value.into_dictionary().unwrap()
}

fn fits(kind: Kind, value: &Value) -> bool {
    match kind {
        Boolean => value.as_boolean().is_some(),
        Integer => value.as_signed_integer().is_some(),
        Text => value.as_string().is_some(),
        Array => value.as_array().is_some(),
        Kind::Dictionary => value.as_dictionary().is_some(),
        BooleanOrDictionary => fits(Boolean, value) || fits(Kind::Dictionary, value),
        StringOrArray => fits(Text, value) || fits(Array, value),
        ArrayOrDictionary => fits(Array, value) || fits(Kind::Dictionary, value),
    }
}

fn check(keys: &[(&str, Kind)], found: &Dictionary) {
    for (key, value) in found {
        let Some((_, kind)) = keys.iter().find(|(known, _)| known == key) else {
            panic!("launchd knows no key {key}");
        };
        assert!(fits(*kind, value), "{key} is {kind:?}, not {value:?}");
    }
}

#[test]
fn every_key_is_one_of_launchd_with_its_type_and_a_reason() {
    for label in [LABEL, MENUBAR_LABEL, SERVER_LABEL] {
        let plist = read(label);
        check(&KEYS, &plist);
        if let Some(Value::Dictionary(when)) = plist.get("KeepAlive") {
            check(&KEEP_ALIVE, when);
        }
        for limits in ["SoftResourceLimits", "HardResourceLimits"] {
            if let Some(Value::Dictionary(limits)) = plist.get(limits) {
                check(&LIMITS.map(|key| (key, Integer)), limits);
            }
        }
        for key in plist.keys() {
            assert_explained("launchd/README.md", key);
        }
    }
}

#[test]
fn the_daemon_is_russet_boot_as_root_and_says_what_the_code_says() {
    let layout = Layout::default();
    let plist = read(LABEL);
    let text = |key: &str| plist.get(key).and_then(Value::as_string);
    assert_eq!(text("Label"), Some(LABEL));
    let program: Vec<_> = plist["ProgramArguments"].as_array().unwrap().iter().collect();
    assert_eq!(program, [&Value::from(layout.boot().to_str().unwrap())]);
    // The system domain's own user is root; another would come from one of these.
    assert!(!plist.contains_key("UserName") && !plist.contains_key("GroupName"));
    assert_eq!(plist["KeepAlive"], Value::Boolean(true));
    assert_eq!(plist["RunAtLoad"], Value::Boolean(true));
    assert_eq!(plist["AbandonProcessGroup"], Value::Boolean(true));
    assert_eq!(text("ProcessType"), Some("Interactive"));
    assert!(plist["ExitTimeOut"].as_signed_integer().unwrap() >= 60);
    // The paths of logs differ between systems; this is the one of macOS.
    if cfg!(target_os = "macos") {
        assert_eq!(text("StandardErrorPath"), layout.boot_log().to_str());
    } else {
        assert_eq!(
            text("StandardErrorPath").map(std::path::Path::new).unwrap().file_name(),
            layout.boot_log().file_name()
        );
    }
    assert_eq!(layout.daemon_plist().file_stem().unwrap(), LABEL);
}

#[test]
fn the_menubar_companion_runs_for_people_who_are_logged_in_and_may_quit_it() {
    let layout = Layout::default();
    let plist = read(MENUBAR_LABEL);
    assert_eq!(plist["Label"], Value::from(MENUBAR_LABEL));
    let program: Vec<_> = plist["ProgramArguments"].as_array().unwrap().iter().collect();
    assert_eq!(program, [&Value::from(layout.menubar_executable().to_str().unwrap())]);
    assert_eq!(plist["LimitLoadToSessionType"], Value::from("Aqua"));
    assert!(!plist.contains_key("UserName"), "launchd ignores it in agents");
    let when = plist["KeepAlive"].as_dictionary().unwrap();
    assert_eq!(when.get("SuccessfulExit"), Some(&Value::Boolean(false)));
    assert_eq!(layout.menubar_plist().file_stem().unwrap(), MENUBAR_LABEL);
}

#[test]
fn the_server_is_a_user_of_its_own_that_is_kept_alive() {
    let plist = read(SERVER_LABEL);
    assert_eq!(plist["Label"], Value::from(SERVER_LABEL));
    for key in ["UserName", "GroupName"] {
        assert_eq!(plist[key], Value::from("_russetserver"), "{key}");
    }
    let words: Vec<_> = plist["ProgramArguments"].as_array().unwrap().iter().collect();
    let words: Vec<_> = words.into_iter().filter_map(Value::as_string).collect();
    assert_eq!(words[..2], ["/opt/russet-server/russet", "server"]);
    assert_eq!(words[words.len() - 2..], ["--data-dir", "/var/db/russet-server"]);
    assert_eq!(plist["KeepAlive"], Value::Boolean(true));
    // launchd reads the number in decimal.
    assert_eq!(plist["Umask"].as_signed_integer(), Some(0o077));
    assert!(!plist.contains_key("AbandonProcessGroup"), "nothing of it is to outlive it");
}
