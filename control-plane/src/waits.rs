//! Reasons why a job waits although there are runners of its class. Pure but for the look-up.

use russet_protocol::admin::{Job, RunnerItem};
use russet_protocol::outcome::Phase;
use russet_protocol::xcode::has_xcode;
use russet_text::one_line_within;

use crate::store::{Conn, StoreError, runners};

/// Age of a runner's last claim or report from which on it is not counted, in milliseconds. Runners
/// that claim do so every minute, and held ones report as often.
const MAX_AGE_MS: i64 = 10 * 60 * 1000;

/// The most characters of a reason.
const MAX_CHARS: usize = 1_000;

/// Says in a job's message why it waits, where that is known.
pub(crate) async fn explain_wait(
    conn: &mut Conn,
    job: &mut Job,
    now_ms: i64,
) -> Result<(), StoreError> {
    if job.phase != Phase::Queued || job.message.is_some() {
        return Ok(());
    }
    let Some(class) = &job.resource_class else { return Ok(()) };
    let since_ms = now_ms.saturating_sub(MAX_AGE_MS);
    let runners = runners::of_class_since(conn, class, since_ms, now_ms).await?;
    job.message = find_reason(job.xcode.as_deref(), &runners);
    Ok(())
}

/// Returns the reason why none of these runners takes a task that wants this Xcode; `None`: one may,
/// or there is none.
fn find_reason(xcode: Option<&str>, runners: &[RunnerItem]) -> Option<String> {
    let class = &runners.first()?.resource_class;
    let fits = |runner: &&RunnerItem| match (xcode, &runner.xcodes) {
        (Some(wanted), Some(xcodes)) => has_xcode(wanted, xcodes),
        _ => true,
    };
    let fitting: Vec<&RunnerItem> = runners.iter().filter(fits).collect();
    let reason = if let (Some(wanted), true) = (xcode, fitting.is_empty()) {
        let all: Vec<String> = runners.iter().map(describe_xcodes).collect();
        format!("no runner of {class} has Xcode {wanted}: {}", all.join("; "))
    } else if fitting.iter().all(|runner| !runner.holds.is_empty()) {
        let holds =
            fitting.iter().map(|runner| format!("{}: {}", runner.name, runner.holds.join(", ")));
        let holds: Vec<String> = holds.collect();
        format!("no runner of {class} takes tasks now: {}", holds.join("; "))
    } else {
        return None;
    };
    Some(one_line_within(&reason, MAX_CHARS))
}

fn describe_xcodes(runner: &RunnerItem) -> String {
    let versions: Vec<String> = runner.xcodes.iter().flatten().map(ToString::to_string).collect();
    let versions = if versions.is_empty() { "none".to_owned() } else { versions.join(", ") };
    format!("{} has {versions}", runner.name)
}

#[cfg(test)]
mod tests {
    use russet_protocol::admin::RunnerItem;
    use russet_protocol::xcode::Xcode;

    use super::find_reason;

    fn runner(name: &str, xcodes: Option<&[&str]>, holds: &[&str]) -> RunnerItem {
        let xcode = |version: &&str| Xcode { version: (*version).to_owned(), ..Xcode::default() };
        RunnerItem {
            resource_class: "acme/ios".parse().unwrap(),
            hostname: String::new(),
            name: name.to_owned(),
            first_connected: String::new(),
            last_connected: String::new(),
            last_used: None,
            version: String::new(),
            ip: String::new(),
            update: None,
            status: Default::default(),
            rival: None,
            held_slots: Vec::new(),
            xcodes: xcodes.map(|xcodes| xcodes.iter().map(xcode).collect()),
            runtimes: Vec::new(),
            holds: holds.iter().map(|hold| (*hold).to_owned()).collect(),
        }
    }

    #[test]
    fn a_job_that_no_runner_has_the_xcode_for_waits_for_that_reason() {
        let runners =
            [runner("mini-1", Some(&["16.2", "26.0"]), &[]), runner("mini-2", Some(&[]), &[])];
        assert_eq!(
            find_reason(Some("16.3"), &runners).as_deref(),
            Some("no runner of acme/ios has Xcode 16.3: mini-1 has 16.2, 26.0; mini-2 has none")
        );
        assert_eq!(find_reason(Some("26"), &runners), None);
        assert_eq!(find_reason(None, &runners), None);
        let old = runner("mini-3", None, &[]);
        assert_eq!(find_reason(Some("16.3"), &[runners[0].clone(), old]), None);
        assert_eq!(find_reason(Some("16.3"), &[]), None);
    }

    #[test]
    fn a_job_whose_runners_all_hold_back_waits_for_their_reasons() {
        let held = runner("mini-1", Some(&["26.0"]), &["failures: 3 tasks in a row failed"]);
        assert_eq!(
            find_reason(Some("26"), std::slice::from_ref(&held)).as_deref(),
            Some(
                "no runner of acme/ios takes tasks now: mini-1: failures: 3 tasks in a row failed"
            )
        );
        let other = runner("mini-2", Some(&["26.0"]), &[]);
        assert_eq!(find_reason(Some("26"), &[held.clone(), other.clone()]), None);
        let without = runner("mini-2", Some(&["16.2"]), &[]);
        assert!(find_reason(Some("26"), &[held, without]).is_some());
    }
}
