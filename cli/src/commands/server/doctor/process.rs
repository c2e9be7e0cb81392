//! The service, its process, and backups.

use jiff::Timestamp;
use russet_control_plane::inspect;
use russet_launch_agent::health::{Check, Level};
use russet_launch_agent::install;
use russet_text::error_chain;

use super::{Question, check, judge};

/// Checks the job with launchd or systemd.
pub(super) fn check_service(question: &Question) -> Check {
    let name = "service";
    if !question.is_installed {
        return check(name, Level::Unknown, "looking at a server that is not the service's", "");
    }
    let service = install::server_service(&question.layout, String::new());
    match service.state() {
        Ok(state) if state.pid.is_some() && state.enabled => {
            check(name, Level::Ok, state.words, "")
        }
        Ok(state) => {
            let mut found = if state.words.is_empty() { "not loaded".into() } else { state.words };
            if let Some(code) = state.last_exit {
                found = format!("{found}, last exit code {code}");
            }
            if !state.enabled {
                found = format!("{found}; it does not start with the system");
            }
            let hint = "`sudo russet server install` starts it; its log says why it ended";
            check(name, Level::Bad, found, hint)
        }
        Err(error) => check(name, Level::Unknown, error.to_string(), ""),
    }
}

/// Checks the limit of open files of the running service, where the system tells.
pub(super) fn check_descriptors(question: &Question) -> Option<Check> {
    if !question.is_installed {
        return None;
    }
    let service = install::server_service(&question.layout, String::new());
    let pid = service.state().ok()?.pid?;
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    Some(judge::judge_descriptors(line.split_whitespace().next()?.parse().ok()?))
}

/// Checks the newest backup.
pub(super) fn check_backup(question: &Question) -> Check {
    let name = "backup";
    let Some(dir) = &question.backups else {
        let found = "name the directory of backups with --backups to have the newest looked at";
        return check(name, Level::Unknown, found, "");
    };
    match inspect::look_at_backups(dir) {
        Err(error) => {
            check(name, Level::Warning, error_chain(&*error), "look at that backup: docs/moving.md")
        }
        Ok(None) => judge::judge_backup(None, question.now_s),
        Ok(Some((_, created))) => {
            let seconds = created.parse::<Timestamp>().map_or(0, Timestamp::as_second);
            judge::judge_backup(Some((&created, seconds)), question.now_s)
        }
    }
}
