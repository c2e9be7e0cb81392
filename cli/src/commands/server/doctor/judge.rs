//! Judgements of what was found. Pure.

use russet_control_plane::inspect::{CertificateFacts, DatabaseFacts, LookError, Room};
use russet_launch_agent::health::{Check, Level};
use russet_text::{error_chain, format_size};

use super::check;
use crate::error::CliError;

/// Difference of clocks that is worth a look, in milliseconds.
const MAX_SKEW_MS: i64 = 2_000;

/// Open files below which a farm of a few dozen machines meets the limit.
const FEW_FILES: u64 = 4096;

/// Age of a backup that is worth a look, in seconds: two days.
const OLD_BACKUP_S: i64 = 2 * 86_400;

/// Judges an option that cannot be used.
pub(super) fn option_fault(name: &'static str, error: &CliError) -> Check {
    let hint = error.hint_text().unwrap_or_else(|| "look at the server's options".to_owned());
    check(name, Level::Bad, error.message(), &hint)
}

/// Judges a database.
pub(super) fn judge_database(place: &str, looked: Result<DatabaseFacts, LookError>) -> Check {
    let name = "database";
    let facts = match looked {
        Ok(facts) => facts,
        Err(error) => {
            let hint = "is it there, does it take connections, and may this user read it? A server \
                        that never ran has none yet";
            return check(name, Level::Bad, format!("{place}: {}", error_chain(&error)), hint);
        }
    };
    let DatabaseFacts { schema, known, needed, .. } = facts;
    if needed > known {
        let found =
            format!("{place} needs a server of schema {needed}, and this one knows {known}");
        return check(name, Level::Bad, found, "install the newer version here");
    }
    if let Some(Err(fault)) = facts.integrity {
        let found = format!("{place} is damaged: {fault}");
        let hint = "stop the server and bring a backup back: docs/moving.md";
        return check(name, Level::Bad, found, hint);
    }
    if let Some(skew_ms) = facts.skew_ms.filter(|skew| skew.abs() > MAX_SKEW_MS) {
        let found = format!("the clock of {place} differs by {} s", skew_ms / 1000);
        return check(name, Level::Warning, found, "let both machines follow a time server");
    }
    let checked = match facts.integrity {
        Some(_) => ", whole",
        None if facts.skew_ms.is_some() => "",
        None => ", too large to be checked in a few seconds",
    };
    check(name, Level::Ok, format!("{place}, schema {schema} of {known}{checked}"), "")
}

/// Judges the room of the data directory's disk.
pub(super) fn judge_room(room: Option<Room>) -> Check {
    let name = "disk";
    let Some(Room { free, reserve }) = room else {
        return check(name, Level::Unknown, "the system does not say how much room there is", "");
    };
    let found = format!("{} free, of a reserve of {}", format_size(free), format_size(reserve));
    let hint = "make room, or let old pipelines and caches go sooner: `russet server usage`";
    let level = if free < reserve {
        Level::Bad
    } else if free < reserve.saturating_mul(2) {
        Level::Warning
    } else {
        Level::Ok
    };
    check(name, level, found, hint)
}

/// Judges the mode and owner of a file that only the server may read. `owner` is that of the data
/// directory.
pub(super) fn judge_private(name: &'static str, path: &str, meta: (u32, u32), owner: u32) -> Check {
    let (uid, mode) = meta;
    if mode & 0o077 != 0 {
        let found = format!("{path} can be read by others (mode {mode:04o})");
        let hint = format!("`sudo chmod 600 {path}`; what was in it may have been read: renew it");
        return check(name, Level::Bad, found, &hint);
    }
    if uid != owner {
        let found = format!("{path} belongs to user {uid}, and the data directory to {owner}");
        return check(name, Level::Bad, found, &format!("`sudo chown {owner} {path}`"));
    }
    check(name, Level::Ok, format!("{path} is its owner's alone"), "")
}

/// Judges a certificate. `expires` is its end, for people.
pub(super) fn judge_certificate(facts: &CertificateFacts, expires: &str, now_s: i64) -> Check {
    let name = "certificate";
    let names =
        if facts.names.is_empty() { "no host name".to_owned() } else { facts.names.join(", ") };
    let hint = "renew its files; a running server takes them up by itself";
    if facts.not_after_s < now_s {
        return check(name, Level::Bad, format!("that of {names} expired at {expires}"), hint);
    }
    let is_urgent = facts.expires_soon || facts.expires_very_soon;
    let level = if is_urgent { Level::Warning } else { Level::Ok };
    check(name, level, format!("{names}, until {expires}; its key fits"), hint)
}

/// Judges the limit of open files of the server's process.
pub(super) fn judge_descriptors(files: u64) -> Check {
    let level = if files < FEW_FILES { Level::Warning } else { Level::Ok };
    let hint = "raise the limit of open files (`LimitNOFILE=`, `ulimit -n`)";
    check("open files", level, format!("{files} at most"), hint)
}

/// Judges the age of the newest backup.
pub(super) fn judge_backup(newest: Option<(&str, i64)>, now_s: i64) -> Check {
    let name = "backup";
    let hint = "run `russet server backup` each night: docs/moving.md";
    match newest {
        None => check(name, Level::Warning, "no backup is in that directory", hint),
        Some((created, created_s)) => {
            let level = if now_s - created_s > OLD_BACKUP_S { Level::Warning } else { Level::Ok };
            check(name, level, format!("the newest is of {created}"), hint)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> DatabaseFacts {
        DatabaseFacts { schema: 90, known: 96, needed: 30, integrity: Some(Ok(())), skew_ms: None }
    }

    #[test]
    fn a_database_that_is_damaged_too_new_or_late_is_told_apart() {
        let judge = |facts| judge_database("/d/russet.db", Ok(facts));
        assert_eq!(judge(facts()).level, Level::Ok);
        let damaged = DatabaseFacts { integrity: Some(Err("page 3".to_owned())), ..facts() };
        assert!(judge(damaged).found.contains("damaged: page 3"));
        assert_eq!(judge(DatabaseFacts { needed: 97, ..facts() }).level, Level::Bad);
        let late = DatabaseFacts { integrity: None, skew_ms: Some(-9_000), ..facts() };
        assert_eq!(judge(late).level, Level::Warning);
        assert_eq!(judge_database("x", Err(LookError::Slow)).level, Level::Bad);
    }

    #[test]
    fn room_files_and_backups_have_their_limits() {
        let room = |free| judge_room(Some(Room { free, reserve: 10 })).level;
        assert_eq!([room(9), room(19), room(20)], [Level::Bad, Level::Warning, Level::Ok]);
        assert_eq!(judge_room(None).level, Level::Unknown);
        assert_eq!(judge_descriptors(256).level, Level::Warning);
        assert_eq!(judge_descriptors(65_536).level, Level::Ok);
        let backup = |age_s: i64| judge_backup(Some(("then", 1_000_000 - age_s)), 1_000_000).level;
        assert_eq!([backup(3_600), backup(200_000)], [Level::Ok, Level::Warning]);
        assert_eq!(judge_backup(None, 0).level, Level::Warning);
    }

    #[test]
    fn a_secret_that_others_can_read_or_own_is_a_problem() {
        let judge = |uid, mode| judge_private("admin token", "/d/admin.token", (uid, mode), 7);
        assert_eq!(judge(7, 0o600).level, Level::Ok);
        assert!(judge(7, 0o640).hint.unwrap().contains("chmod 600"));
        assert!(judge(0, 0o600).hint.unwrap().contains("chown 7"));
    }

    #[test]
    fn a_certificate_is_good_late_or_gone() {
        let judge = |not_after_s, expires_soon| {
            let names = vec!["ci".to_owned()];
            let facts =
                CertificateFacts { names, not_after_s, expires_soon, expires_very_soon: false };
            judge_certificate(&facts, "then", 1000).level
        };
        assert_eq!(judge(5000, false), Level::Ok);
        assert_eq!(judge(5000, true), Level::Warning);
        assert_eq!(judge(999, true), Level::Bad);
    }
}
