//! Fitness of this machine to take tasks.
//!
//! Facts are gathered in `facts`; what they mean is decided here, purely, and told to people by
//! `russet agent doctor` and to the launch agent by `watch`. A machine that is not well takes no
//! tasks until it is; what runs is left alone.

pub(crate) mod clock;
mod damper;
pub mod doctor;
pub mod facts;
mod readiness;
pub(crate) mod watch;
pub(crate) mod xcodes;

use russet_protocol::local::{HealthCheck, HealthLevel};
use serde::Serialize;

use crate::config::{Class, Reserve};
use damper::{Shortage, restored_from};
use facts::Facts;
use russet_platform::{Memory, MemoryPressure};
use russet_text::format_size as size;

/// Less free memory than this part of all is a warning, where the kernel has no measure of pressure.
const LITTLE_MEMORY: u64 = 20;

/// Fewer open files than this breaks builds: macOS gives 256, linkers and indexers take thousands.
const OPEN_FILES: u64 = 4096;

/// Tokens with short lives fail where the clock is off by more than this.
const CLOCK_SKEW_S: u64 = 120;

/// And where it is off by this much, signed requests are refused: S3 answers
/// `RequestTimeTooSkewed` beyond 15 minutes.
const CLOCK_WRONG_S: u64 = 900;

/// Processes that want to run, for each core: more than this, and tasks get in each other's way.
const LOAD_PER_CORE: f64 = 4.0;

/// Severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// As it should be.
    Ok,
    /// It could not be found out here.
    Unknown,
    /// It works, and should be looked at.
    Warning,
    /// No tasks are taken until it is better.
    Bad,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Subject, in a word or two.
    pub name: &'static str,
    /// Severity.
    pub level: Level,
    /// Finding.
    pub found: String,
    /// Remedy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Check {
    fn new(name: &'static str, level: Level, found: String, hint: &str) -> Self {
        let hint = matches!(level, Level::Warning | Level::Bad).then(|| hint.to_owned());
        Self { name, level, found, hint }
    }

    /// The same for the local API.
    pub(crate) fn told(&self) -> HealthCheck {
        HealthCheck {
            name: self.name.to_owned(),
            level: match self.level {
                Level::Ok => HealthLevel::Ok,
                Level::Unknown => HealthLevel::Unknown,
                Level::Warning => HealthLevel::Warning,
                Level::Bad => HealthLevel::Bad,
            },
            found: self.found.clone(),
            hint: self.hint.clone(),
        }
    }
}

/// Returns the number of files tasks of all classes that may open, where their owner says so.
pub(crate) fn open_files_of(classes: &[Class]) -> Option<u64> {
    classes.iter().filter_map(|class| class.limits.open_files).min()
}

/// Judges the facts of one look, in the order in which they are told.
#[must_use]
pub fn health_checks(facts: &Facts, reserve: Reserve) -> Vec<Check> {
    judge_facts(facts, reserve, Shortage::now(facts, reserve))
}

/// Judges the facts, where looks before say what is short.
fn judge_facts(facts: &Facts, reserve: Reserve, shortage: Shortage) -> Vec<Check> {
    let mut checks = vec![
        check_disk(facts, reserve, shortage.disk),
        check_memory(facts, shortage.memory),
        check_load(facts),
        open_files(facts),
    ];
    checks.extend(facts.clock_skew_s.map(check_clock));
    checks
}

/// Returns the reason why no tasks should be taken, where that is so.
#[must_use]
pub fn first_obstacle(checks: &[Check]) -> Option<String> {
    let bad: Vec<&str> = checks
        .iter()
        .filter(|check| check.level == Level::Bad)
        .map(|check| check.found.as_str())
        .collect();
    (!bad.is_empty()).then(|| bad.join("; "))
}

fn check_disk(facts: &Facts, reserve: Reserve, is_short: bool) -> Check {
    let Some(disk) = &facts.disk else {
        let found = "the file system of the state directory does not say".to_owned();
        return Check::new("disk", Level::Unknown, found, "");
    };
    let wanted = reserve.bytes(disk.size);
    let level = match disk.free {
        _ if is_short => Level::Bad,
        free if free < wanted.saturating_mul(2) => Level::Warning,
        _ => Level::Ok,
    };
    let again = if is_short && disk.free >= wanted {
        format!("; it was less, and tasks are taken again from {} on", size(restored_from(wanted)))
    } else {
        String::new()
    };
    let found = format!(
        "{} free where tasks work, {} wanted (`runner.health.disk_reserve`){again}",
        size(disk.free),
        size(wanted)
    );
    Check::new("disk", level, found, "delete what is not needed, or lower the reserve")
}

fn check_memory(facts: &Facts, is_short: bool) -> Check {
    let little = |memory: &Memory| memory.available < memory.total / LITTLE_MEMORY;
    let level = match (facts.pressure, &facts.memory) {
        _ if is_short => Level::Bad,
        (Some(MemoryPressure::Critical | MemoryPressure::Warning), _) => Level::Warning,
        (None, Some(memory)) if little(memory) => Level::Warning,
        (None, None) => Level::Unknown,
        _ => Level::Ok,
    };
    let pressure = facts.pressure.map(|pressure| match pressure {
        MemoryPressure::Normal => "normal pressure",
        MemoryPressure::Warning => "under pressure",
        MemoryPressure::Critical => "under critical pressure",
    });
    let available = facts
        .memory
        .map(|memory| format!("{} of {} available", size(memory.available), size(memory.total)));
    let swap = facts.swap.filter(|swap| swap.used > 0);
    let swap = swap.map(|swap| format!("{} on disk (swap)", size(swap.used)));
    let known = [available, pressure.map(str::to_owned), swap];
    let known: Vec<String> = known.into_iter().flatten().collect();
    let found =
        if known.is_empty() { "this system does not say".to_owned() } else { known.join(", ") };
    Check::new("memory", level, found, "end what takes it, or configure fewer slots")
}

/// Never a reason to take no tasks: builds are there to use all cores, and a load that a task makes
/// ends with it.
fn check_load(facts: &Facts) -> Check {
    let Some(load) = facts.load else {
        return Check::new("load", Level::Unknown, "this system does not say".to_owned(), "");
    };
    let level =
        if load > LOAD_PER_CORE * f64::from(facts.cores) { Level::Warning } else { Level::Ok };
    let found = format!("{load:.1} over the last minute, on {} cores", facts.cores);
    Check::new("load", level, found, "configure fewer slots, or look for what else runs")
}

fn open_files(facts: &Facts) -> Check {
    let level = if facts.open_files < OPEN_FILES { Level::Warning } else { Level::Ok };
    let found = format!("a process of a task may open {} files", facts.open_files);
    let hint = "raise `runner.limits.open_files`, or the hard limit of whatever starts the agent";
    Check::new("open files", level, found, hint)
}

fn check_clock(skew_s: i64) -> Check {
    let level = match skew_s.unsigned_abs() {
        off if off > CLOCK_WRONG_S => Level::Bad,
        off if off > CLOCK_SKEW_S => Level::Warning,
        _ => Level::Ok,
    };
    let found = match skew_s {
        -1..=1 => "this clock is the control plane's".to_owned(),
        behind if behind > 0 => format!("this clock is {behind} s behind the control plane's"),
        ahead => format!("this clock is {} s ahead of the control plane's", ahead.unsigned_abs()),
    };
    Check::new("clock", level, found, "turn on network time")
}

#[cfg(test)]
mod tests {
    use super::facts::{Disk, Facts};
    use super::{Level, Shortage, first_obstacle, health_checks, judge_facts};
    use crate::config::Reserve;
    use russet_platform::{Memory, MemoryPressure, Swap};

    fn facts() -> Facts {
        Facts {
            disk: Some(Disk { free: 100_000_000_000, size: 500_000_000_000 }),
            memory: Some(Memory { available: 8_000_000_000, total: 16_000_000_000 }),
            pressure: Some(MemoryPressure::Normal),
            swap: Some(Swap { used: 1_000_000_000, total: 2_000_000_000 }),
            load: Some(3.0),
            cores: 8,
            open_files: 10_240,
            clock_skew_s: Some(1),
        }
    }

    #[test]
    fn a_machine_that_is_well_has_no_obstacle() {
        let checks = health_checks(&facts(), Reserve(None));
        assert!(checks.iter().all(|check| check.level == Level::Ok), "{checks:?}");
        assert!(checks.iter().all(|check| check.hint.is_none()));
        assert_eq!(first_obstacle(&checks), None);
    }

    #[test]
    fn a_full_disk_is_an_obstacle_and_a_nearly_full_one_a_warning() {
        let mut facts = facts();
        facts.disk = Some(Disk { free: 999_999_999, size: 500_000_000_000 });
        let reason = first_obstacle(&health_checks(&facts, Reserve(Some(1_000_000_000)))).unwrap();
        assert_eq!(
            reason,
            "1.0 GB free where tasks work, 1.0 GB wanted (`runner.health.disk_reserve`)"
        );
        assert_eq!(first_obstacle(&health_checks(&facts, Reserve(Some(1_000_000)))), None);
        facts.disk = Some(Disk { free: 1_500_000_000, size: 500_000_000_000 });
        let reserve = Reserve(Some(1_000_000_000));
        assert_eq!(health_checks(&facts, reserve)[0].level, Level::Warning);
    }

    #[test]
    fn memory_is_what_the_kernel_says_and_not_what_is_free() {
        let of = |pressure, available| {
            let memory = Some(Memory { available, total: 16_000_000_000 });
            let facts = Facts { pressure, memory, ..facts() };
            health_checks(&facts, Reserve(None)).swap_remove(1)
        };
        // Little is free, as on every Mac, and nothing waits for it.
        assert_eq!(of(Some(MemoryPressure::Normal), 100_000_000).level, Level::Ok);
        assert_eq!(of(Some(MemoryPressure::Warning), 8_000_000_000).level, Level::Warning);
        let critical = of(Some(MemoryPressure::Critical), 8_000_000_000);
        assert_eq!(critical.level, Level::Bad);
        assert_eq!(
            critical.found,
            "8.0 GB of 16 GB available, under critical pressure, 1.0 GB on disk (swap)"
        );
        // A kernel without that measure.
        assert_eq!(of(None, 100_000_000).level, Level::Warning);
    }

    #[test]
    fn a_disk_that_was_short_says_from_where_on_it_is_used_again() {
        let mut facts = facts();
        facts.disk = Some(Disk { free: 1_200_000_000, size: 500_000_000_000 });
        let short = Shortage { disk: true, memory: false };
        let check = judge_facts(&facts, Reserve(Some(1_000_000_000)), short).swap_remove(0);
        assert_eq!(check.level, Level::Bad);
        assert!(check.found.ends_with("taken again from 1.5 GB on"), "{}", check.found);
    }

    #[test]
    fn what_can_not_be_known_stops_nothing() {
        let facts = Facts {
            disk: None,
            memory: None,
            pressure: None,
            swap: None,
            load: None,
            cores: 2,
            open_files: 256,
            clock_skew_s: Some(-500),
        };
        let checks = health_checks(&facts, Reserve(None));
        let levels: Vec<Level> = checks.iter().map(|check| check.level).collect();
        let unknown = [Level::Unknown; 3];
        assert_eq!(levels, [&unknown[..], &[Level::Warning; 2]].concat());
        assert_eq!(first_obstacle(&checks), None);
    }

    #[test]
    fn a_clock_that_is_far_off_is_an_obstacle_and_a_high_load_is_none() {
        let facts = Facts { load: Some(40.0), clock_skew_s: Some(1000), ..facts() };
        let checks = health_checks(&facts, Reserve(None));
        assert_eq!(checks[2].level, Level::Warning);
        let reason = first_obstacle(&checks).unwrap();
        assert_eq!(reason, "this clock is 1000 s behind the control plane's");
    }
}
