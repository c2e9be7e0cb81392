//! Count of a job's remains: a table for its log, and numbers for the agent's metrics.

use std::collections::BTreeMap;
use std::path::Path;

use russet_protocol::supervise::LeftBehind;

use russet_text::format_size as size;

/// So many examples of a kind are shown; a fork bomb would fill the log.
const MOST_EXAMPLES: usize = 8;

/// So many of what could not be removed are shown.
const MOST_KEPT: usize = 20;

/// Maximum length of an example.
const LONGEST_EXAMPLE: usize = 200;

/// Kind of a thing, in the order in which kinds are removed and shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Services in the user's launchd domain.
    LaunchdJobs,
    /// The user's crontab.
    Crontab,
    /// Jobs of `at`.
    AtJobs,
    /// A session of systemd's that was to go on without its user.
    Lingering,
    /// Running programs.
    Processes,
    /// Disk images and other file systems that the user mounted.
    Mounts,
    /// System V queues, semaphores and shared memory; POSIX ones where they are files.
    IpcObjects,
    /// Keys and keyrings that the kernel keeps for the user.
    KernelKeys,
    /// Files in directories that everybody shares.
    SharedFiles,
    /// Files in the directories that the system gives each user.
    UserFiles,
    /// Keychains outside of the task's home.
    Keychains,
    /// Simulators.
    Simulators,
}

impl Kind {
    /// In metrics and records: a name that never changes.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::LaunchdJobs => "launchd_jobs",
            Self::Crontab => "crontab",
            Self::AtJobs => "at_jobs",
            Self::Lingering => "lingering",
            Self::Processes => "processes",
            Self::Mounts => "mounts",
            Self::IpcObjects => "ipc_objects",
            Self::KernelKeys => "kernel_keys",
            Self::SharedFiles => "shared_files",
            Self::UserFiles => "user_files",
            Self::Keychains => "keychains",
            Self::Simulators => "simulators",
        }
    }

    /// For people.
    fn title(self) -> &'static str {
        match self {
            Self::LaunchdJobs => "launchd jobs",
            Self::Crontab => "crontab",
            Self::AtJobs => "at jobs",
            Self::Lingering => "lingering",
            Self::Processes => "processes",
            Self::Mounts => "mounts",
            Self::IpcObjects => "IPC objects",
            Self::KernelKeys => "kernel keys",
            Self::SharedFiles => "shared files",
            Self::UserFiles => "per-user files",
            Self::Keychains => "keychains",
            Self::Simulators => "simulators",
        }
    }
}

/// Findings of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Row {
    removed: u64,
    kept: u64,
    bytes: u64,
    examples: Vec<String>,
}

/// Everything that was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    rows: BTreeMap<Kind, Row>,
    /// Complaints, in lines for people.
    kept: Vec<String>,
    /// Number of things that are named there because they are left.
    named: usize,
    /// The first path that a sweep did not come past, and why.
    unfinished: Option<String>,
}

impl Tally {
    /// Something was there, and is gone.
    pub(crate) fn removed(&mut self, kind: Kind, bytes: u64, example: &str) {
        let row = self.rows.entry(kind).or_default();
        row.removed += 1;
        row.bytes = row.bytes.saturating_add(bytes);
        if row.examples.len() < MOST_EXAMPLES {
            row.examples.push(example.to_owned());
        }
    }

    /// Some more of a kind were there, and are gone; nothing is known of each.
    pub(crate) fn removed_more(&mut self, kind: Kind, count: u64) {
        if count > 0 {
            self.rows.entry(kind).or_default().removed += count;
        }
    }

    /// Something is there still.
    pub(crate) fn kept(&mut self, kind: Kind, what: &str, why: &str) {
        self.rows.entry(kind).or_default().kept += 1;
        if self.named < MOST_KEPT {
            self.named += 1;
            self.kept.push(format!("could not remove {what}: {why}"));
        }
    }

    /// Some more of a kind are there still; nothing is known of each.
    pub(crate) fn kept_more(&mut self, kind: Kind, count: u64) {
        if count > 0 {
            self.rows.entry(kind).or_default().kept += count;
        }
    }

    /// A sweep did not come past a path.
    pub(crate) fn unfinished(&mut self, path: &Path, why: &str) {
        if self.unfinished.is_none() {
            let text = format!("the clean-up of {} has not ended: {why}", path.display());
            self.kept.push(text.clone());
            self.unfinished = Some(text);
        }
    }

    /// Returns true if a sweep did not come to its end.
    pub(crate) fn is_unfinished(&self) -> bool {
        self.unfinished.is_some()
    }

    /// A directory where everybody may write could not be looked into.
    pub(crate) fn unseen(&mut self, path: &Path, why: &str) {
        if self.kept.len() < MOST_KEPT {
            self.kept.push(format!("could not look into {}: {why}", path.display()));
        }
    }

    /// Returns the number of things of a kind that are still there.
    pub(crate) fn count_kept(&self, kind: Kind) -> u64 {
        self.rows.get(&kind).map_or(0, |row| row.kept)
    }

    /// Returns true if the slot may take no other task yet: a process or a file is left that the
    /// next one would meet, or it is not known that none is.
    pub(crate) fn holds_slot(&self) -> bool {
        let kinds = [Kind::Processes, Kind::SharedFiles, Kind::IpcObjects];
        self.is_unfinished() || kinds.iter().any(|kind| self.count_kept(*kind) > 0)
    }

    /// Returns true if an author may wonder about it. Files of tools in the directories that the
    /// system gives each user is what they are for.
    pub(crate) fn is_worth_showing(&self) -> bool {
        self.is_unfinished()
            || self.rows.iter().any(|(kind, row)| *kind != Kind::UserFiles || row.kept > 0)
    }

    /// Lists the things that could not be removed, in lines for people.
    pub(crate) fn complaints(&self) -> &[String] {
        &self.kept
    }

    /// The numbers.
    pub(crate) fn numbers(&self) -> Vec<LeftBehind> {
        let number = |(kind, row): (&Kind, &Row)| LeftBehind {
            kind: kind.key().to_owned(),
            removed: row.removed,
            kept: row.kept,
            bytes: row.bytes,
        };
        self.rows.iter().map(number).collect()
    }

    /// The table, as it stands in the task's log. `mask` takes secrets out of what a job named;
    /// it comes first, since half a secret at the end of a cut line would not be found.
    pub(crate) fn table(&self, mask: &dyn Fn(&str) -> String) -> String {
        let shown = |text: &str| one_line(&mask(text));
        let mut text = "the job left this behind; it is removed\n\n".to_owned();
        add_line(&mut text, "WHAT", "REMOVED", "SIZE", "FOR EXAMPLE");
        for (kind, row) in &self.rows {
            let size = if row.bytes == 0 { "-".to_owned() } else { size(row.bytes) };
            let mut examples = row.examples.iter().map(|example| shown(example));
            let first = examples.next().unwrap_or_default();
            add_line(&mut text, kind.title(), &row.removed.to_string(), &size, &first);
            examples.for_each(|example| add_line(&mut text, "", "", "", &example));
            let named = u64::try_from(row.examples.len()).unwrap_or(u64::MAX);
            if named > 0 && row.removed > named {
                add_line(&mut text, "", "", "", &format!("and {} more", row.removed - named));
            }
        }
        for complaint in &self.kept {
            text.push('\n');
            text.push_str(&shown(complaint));
        }
        let kept: u64 = self.rows.values().map(|row| row.kept).sum();
        let named = u64::try_from(self.named).unwrap_or(u64::MAX);
        if kept > named {
            text.push_str(&format!("\ncould not remove {} more", kept - named));
        }
        text.trim_end().to_owned()
    }
}

fn add_line(text: &mut String, what: &str, count: &str, size: &str, example: &str) {
    let line = format!("{what:<14}  {count:>7}  {size:>9}  {example}");
    text.push_str(line.trim_end());
    text.push('\n');
}

/// As it fits into a log: without control characters, and not too long.
pub(crate) fn one_line(text: &str) -> String {
    russet_text::one_line_within(text, LONGEST_EXAMPLE)
}

#[cfg(test)]
mod tests {
    use super::{Kind, Tally, one_line};

    #[test]
    fn the_table_counts_what_was_removed_and_says_what_was_not() {
        let mut tally = Tally::default();
        tally.removed(Kind::SharedFiles, 5000, "/tmp/left");
        tally.removed(Kind::SharedFiles, 120, "/var/tmp/left too");
        tally.removed(Kind::Processes, 0, "sleep 1000 (pid 7)");
        tally.removed_more(Kind::IpcObjects, 3);
        tally.kept(Kind::SharedFiles, "/tmp/stuck", "Directory not empty");
        assert_eq!(
            tally.table(&str::to_owned),
            "the job left this behind; it is removed\n\
             \n\
             WHAT            REMOVED       SIZE  FOR EXAMPLE\n\
             processes             1          -  sleep 1000 (pid 7)\n\
             IPC objects           3          -\n\
             shared files          2     5.1 kB  /tmp/left\n\
             \u{20}                                   /var/tmp/left too\n\
             \n\
             could not remove /tmp/stuck: Directory not empty"
        );
        let numbers = tally.numbers();
        let shared = numbers.iter().find(|number| number.kind == "shared_files").unwrap();
        assert_eq!((shared.removed, shared.kept, shared.bytes), (2, 1, 5120));
    }

    #[test]
    fn caches_of_the_system_are_counted_and_not_shown() {
        let mut tally = Tally::default();
        tally.removed(Kind::UserFiles, 10, "/var/folders/xx/C/com.apple.something");
        assert!(!tally.is_worth_showing());
        assert_eq!(tally.numbers().len(), 1);
        tally.kept(Kind::UserFiles, "/var/folders/xx/C/stuck", "busy");
        assert!(tally.is_worth_showing());
    }

    #[test]
    fn a_thousand_things_are_a_few_lines() {
        let mut tally = Tally::default();
        for number in 0..1000 {
            tally.removed(Kind::Processes, 0, &format!("sleep {number}"));
            tally.kept(Kind::Mounts, &format!("/mnt/{number}"), "busy");
        }
        let table = tally.table(&str::to_owned);
        assert!(table.lines().count() < 40, "{table}");
        assert!(table.contains("and 992 more") && table.contains("980 more"), "{table}");
    }

    #[test]
    fn a_secret_is_masked_before_it_is_cut() {
        let mut tally = Tally::default();
        let name = format!("{}geheimnis", "x".repeat(195));
        tally.removed(Kind::SharedFiles, 1, &name);
        tally.kept(Kind::SharedFiles, &name, "busy");
        let table = tally.table(&|text| text.replace("geheimnis", "***"));
        assert!(!table.contains("geh") && table.contains("x***"), "{table}");
    }

    #[test]
    fn a_name_can_not_break_the_log() {
        assert_eq!(one_line("sleep 100\n\u{1b}[31m"), "sleep 100 \u{fffd}[31m");
        assert!(one_line(&"x".repeat(5000)).ends_with('…'));
        assert_eq!(one_line(&"x".repeat(200)).len(), 200);
    }
}
