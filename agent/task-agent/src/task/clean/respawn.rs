//! Sources that would start processes of a slot's user again after they were ended.

use std::time::Duration;

use super::tally::{Kind, Tally};
use russet_platform::command::Command;
use russet_platform::os;

/// Timeout of one of these tools.
const LIMIT: Duration = Duration::from_secs(10);

/// Stops all of it. Call it as that user.
pub(super) fn stop_respawning(uid: u32, tally: &mut Tally) {
    let (jobs, problem) = os::end_user_domain(uid);
    for job in jobs {
        tally.removed(Kind::LaunchdJobs, 0, &job);
    }
    if let Some(why) = problem {
        tally.kept(
            Kind::LaunchdJobs,
            &format!("the launchd domain of user {uid}"),
            &why.to_string(),
        );
    }
    remove_crontab(tally);
    remove_at_jobs(tally);
    if let Some(result) = os::end_lingering(uid) {
        match result {
            Ok(()) => tally.removed(Kind::Lingering, 0, &format!("user {uid}")),
            Err(why) => tally.kept(Kind::Lingering, "the lingering session", &why.to_string()),
        }
    }
}

/// As [`stop_respawning`], for a user with a session at the screen: only what a job put into that session,
/// which goes on.
pub(super) fn stop_in_session(uid: u32, tally: &mut Tally) {
    for (job, ended) in os::end_session_jobs(uid) {
        match ended {
            Ok(()) => tally.removed(Kind::LaunchdJobs, 0, &job),
            Err(why) => {
                tally.kept(Kind::LaunchdJobs, &format!("the launchd job {job}"), &why.to_string())
            }
        }
    }
    remove_crontab(tally);
    remove_at_jobs(tally);
}

fn remove_crontab(tally: &mut Tally) {
    // Without a crontab it fails, and so it does where cron is not installed.
    let Some(table) = run_tool("crontab", &["-l"]) else { return };
    let mut lines = table.lines().map(str::trim);
    // One of comments alone starts nothing, and is a text for the next task all the same.
    let first = lines.find(|line| !line.is_empty() && !line.starts_with('#')).unwrap_or("comments");
    match run_tool("crontab", &["-r"]) {
        Some(_) => tally.removed(Kind::Crontab, 0, first),
        None => tally.kept(Kind::Crontab, "the crontab", "`crontab -r` failed"),
    }
}

fn remove_at_jobs(tally: &mut Tally) {
    for job in run_tool("atq", &[]).unwrap_or_default().lines() {
        let Some(id) = job.split_whitespace().next() else { continue };
        let named = job.split_whitespace().collect::<Vec<_>>().join(" ");
        match run_tool("atrm", &[id]) {
            Some(_) => tally.removed(Kind::AtJobs, 0, &named),
            None => tally.kept(Kind::AtJobs, &format!("the at job {named}"), "`atrm` failed"),
        }
    }
}

/// Returns the output of the tool, if it is there and succeeded.
fn run_tool(tool: &str, arguments: &[&str]) -> Option<String> {
    let command = Command::new(format!("/usr/bin/{tool}")).args(arguments).limit(LIMIT);
    command.run_ok().ok().map(|output| output.text())
}
