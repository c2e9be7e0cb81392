//! Checks of what wears a Mac down while it builds: space that only looks used, heat, an index of
//! everything, limits of processes, and applications that are exchanged under a build.

use std::path::Path;

use super::mac::or_unknown;
use crate::config::{Config, Reserve};
use crate::health::facts::gather_facts;
use crate::health::{Check, Level};
use crate::setup::prepare::news_since_caches;
use russet_platform::command::Tools;
use russet_platform::macos_tools::process_limits::{self, ProcessLimits};
use russet_platform::macos_tools::thermal::{self, Thermal};
use russet_platform::macos_tools::{disk_space, preferences, spotlight, xcode};
use russet_text::format_size as size;

/// Processes of a booted simulator, at most (wraithbox X06 counted 218 to 308).
const SIMULATOR_PROCESSES: u32 = 300;

/// Processes of macOS itself and of a build, besides.
const OTHER_PROCESSES: u32 = 600;

/// Looks at the Mac whose files are below `root`, and on which tasks work in `state`.
pub(super) fn upkeep_checks(
    tools: &Tools,
    root: &Path,
    state: &Path,
    config: Option<&Config>,
) -> Vec<Check> {
    let slots = config.map_or(1, |config| config.classes.iter().map(|class| class.slots).sum());
    let reserve = config.map_or(Reserve(None), |config| config.disk_reserve);
    let disk = gather_facts(state).disk;
    let mut found = Vec::new();
    if let Some(disk) = disk {
        let wanted = reserve.bytes(disk.size);
        let snapshots = disk_space::count_snapshots(tools).ok();
        found.push(or_unknown(
            "purgeable space",
            disk_space::available_bytes(tools, state),
            |all| check_space(disk.free, all, snapshots, wanted),
        ));
    }
    found.push(or_unknown("heat", thermal::thermal_state(tools), check_heat));
    found.push(or_unknown("Spotlight", spotlight::is_indexed(tools, state), check_spotlight));
    found.push(or_unknown("processes", process_limits::read_limits(tools), |limits| {
        check_processes(limits, slots)
    }));
    let runtimes = xcode::simulator_runtimes(root);
    if !runtimes.is_empty() {
        found.push(check_caches(news_since_caches(state, root, &runtimes)));
    }
    found.extend(check_store(preferences::store_updates(root), preferences::has_store_xcode(root)));
    found
}

fn check_space(free: u64, all: Option<u64>, snapshots: Option<usize>, wanted: u64) -> Check {
    let name = "purgeable space";
    let Some(all) = all else {
        return Check::new(name, Level::Unknown, "macOS does not say".to_owned(), "");
    };
    let kept = match snapshots {
        Some(0) => "; no local snapshots".to_owned(),
        Some(count) => format!("; {count} local snapshots keep what was deleted"),
        None => String::new(),
    };
    let found = format!("{} free, {} with what macOS can purge{kept}", size(free), size(all));
    // The agent goes by what is free: what can be purged is purged in macOS's own time.
    let level = if free < wanted && all >= wanted { Level::Warning } else { Level::Ok };
    let hint = "`sudo tmutil thinlocalsnapshots / 50000000000 4` purges snapshots; `sudo tmutil \
                disable` makes no more";
    Check::new(name, level, found, hint)
}

fn check_heat(state: Option<Thermal>) -> Check {
    let hint =
        "see to its fan and its place; a Mac that is too hot is slow, and reports it as load";
    let (level, found) = match state {
        Some(Thermal::Nominal) => (Level::Ok, "this Mac runs at its speed".to_owned()),
        Some(Thermal::Slowed(percent)) => {
            (Level::Warning, format!("its processors are slowed down to {percent} %"))
        }
        Some(Thermal::Warned(number)) => {
            (Level::Warning, format!("macOS has recorded thermal warning level {number}"))
        }
        None => (Level::Unknown, "pmset does not say".to_owned()),
    };
    Check::new("heat", level, found, hint)
}

fn check_spotlight(is_indexed: Option<bool>) -> Check {
    let hint =
        "`sudo mdutil -a -i off`; a file `.metadata_never_index` in a directory does nothing";
    let (level, found) = match is_indexed {
        Some(true) => (Level::Warning, "it indexes all that tasks write"),
        Some(false) => (Level::Ok, "it does not index the volume that tasks work on"),
        None => (Level::Unknown, "mdutil does not say"),
    };
    Check::new("Spotlight", level, found.to_owned(), hint)
}

/// Every slot may have a simulator booted, as a user of its own.
fn check_processes(limits: Option<ProcessLimits>, slots: u32) -> Check {
    let name = "processes";
    let Some(ProcessLimits { of_all, of_user }) = limits else {
        return Check::new(name, Level::Unknown, "sysctl does not say".to_owned(), "");
    };
    let wanted = slots.saturating_mul(SIMULATOR_PROCESSES).saturating_add(OTHER_PROCESSES);
    let of_one = of_user.saturating_sub(OTHER_PROCESSES / 2) / SIMULATOR_PROCESSES;
    let found = format!(
        "{of_all} of all users, {of_user} of one: some {of_one} simulators in a slot, and {slots} \
         slots with one each want {wanted}"
    );
    let level = if of_all < wanted || of_one == 0 { Level::Warning } else { Level::Ok };
    let hint = "configure fewer slots, or fewer simulators at once \
                (`-maximum-parallel-testing-workers` of xcodebuild)";
    Check::new(name, level, found, hint)
}

fn check_caches(news: Option<String>) -> Check {
    let name = "simulator caches";
    let hint = "`sudo russet agent prepare --runtimes iOS` makes them, once for a Mac";
    match news {
        None => Check::new(name, Level::Ok, "they are of these runtimes".to_owned(), ""),
        Some(news) => {
            let found = format!("none were made for {news}: the first simulators may fail to boot");
            Check::new(name, Level::Warning, found, hint)
        }
    }
}

fn check_store(is_automatic: Option<bool>, has_xcode: bool) -> Option<Check> {
    let hint = "`sudo defaults write /Library/Preferences/com.apple.commerce AutoUpdate -bool false`, \
                or install Xcode from its .xip";
    let (level, found) = match (is_automatic?, has_xcode) {
        (true, true) => (Level::Warning, "it exchanges its Xcode when it likes, under a build too"),
        (true, false) => (Level::Ok, "it updates by itself, and has no Xcode"),
        (false, _) => (Level::Ok, "it updates nothing by itself"),
    };
    Some(Check::new("App Store", level, found.to_owned(), hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn space_that_macos_would_purge_is_told_from_space_that_is_gone() {
        let gb = 1_000_000_000;
        let check = check_space(12 * gb, Some(122 * gb), Some(5), 20 * gb);
        assert_eq!(check.level, Level::Warning);
        assert_eq!(
            check.found,
            "12 GB free, 122 GB with what macOS can purge; 5 local snapshots keep what was \
             deleted"
        );
        assert_eq!(check_space(50 * gb, Some(60 * gb), Some(0), 20 * gb).level, Level::Ok);
        // A disk that is really full is a matter of its own check.
        assert_eq!(check_space(2 * gb, Some(3 * gb), None, 20 * gb).level, Level::Ok);
        assert_eq!(check_space(2 * gb, None, None, 20 * gb).level, Level::Unknown);
    }

    #[test]
    fn a_small_mac_with_many_slots_has_too_few_processes() {
        let small = Some(ProcessLimits { of_all: 2000, of_user: 1333 });
        assert_eq!(check_processes(small, 2).level, Level::Ok);
        let check = check_processes(small, 6);
        assert_eq!(check.level, Level::Warning);
        assert!(check.found.contains("some 3 simulators in a slot"), "{}", check.found);
        assert_eq!(check_processes(None, 1).level, Level::Unknown);
    }

    #[test]
    fn runtimes_without_caches_are_a_warning() {
        assert_eq!(check_caches(None).level, Level::Ok);
        let check = check_caches(Some("runtime 23B80".to_owned()));
        assert_eq!(check.level, Level::Warning);
        assert!(check.found.contains("23B80") && check.hint.unwrap().contains("prepare"));
    }

    #[test]
    fn heat_an_index_and_an_xcode_of_the_store_are_warnings() {
        assert_eq!(check_heat(Some(Thermal::Slowed(62))).level, Level::Warning);
        assert_eq!(check_heat(Some(Thermal::Nominal)).level, Level::Ok);
        assert_eq!(check_spotlight(Some(true)).level, Level::Warning);
        assert_eq!(check_spotlight(None).level, Level::Unknown);
        assert_eq!(check_store(Some(true), true).unwrap().level, Level::Warning);
        assert_eq!(check_store(Some(true), false).unwrap().level, Level::Ok);
        assert_eq!(check_store(None, true), None);
    }
}
