//! Notices that the person gets without looking. Few: a state that was there before the companion
//! began is no news, and the same is not told again and again.

use std::collections::HashMap;

use russet_protocol::local::{State, Status, Update};
use russet_protocol::outcome::Outcome;

use super::Settings;
use super::menu::{name_of, outcome};
use super::words::plain_text;

/// A machine that is well and unwell by turns is told once in so many milliseconds.
const QUIET_MS: u64 = 10 * 60 * 1000;

/// So many failures are told at once; after an hour without the agent there may be dozens.
const MOST_FAILURES: usize = 3;

/// Something to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Notice {
    /// Subject.
    pub(crate) title: String,
    /// Event.
    pub(crate) text: String,
}

/// Notices that were given, and the state before.
#[derive(Debug, Default)]
pub(super) struct Notices {
    last: Option<Seen>,
    /// Time of the last notice of a machine's illness, by its reason.
    told: HashMap<String, u64>,
}

/// As much of a status as news are told by.
#[derive(Debug)]
struct Seen {
    state: State,
    version: String,
    update: Option<Update>,
    ended_ms: u64,
}

impl Seen {
    fn of(status: &Status) -> Self {
        Self {
            state: status.state,
            version: status.agent_version.clone(),
            update: status.update.clone(),
            ended_ms: status.recent.iter().map(|task| task.ended_ms).max().unwrap_or_default(),
        }
    }
}

impl Notices {
    /// Returns the news in a status. The one before may be of an hour ago, of another version.
    pub(super) fn status(
        &mut self,
        status: &Status,
        settings: Settings,
        now_ms: u64,
    ) -> Vec<Notice> {
        let Some(last) = self.last.replace(Seen::of(status)) else { return Vec::new() };
        let mut news = Vec::new();
        news.extend(self.unhealthy(&last, status, now_ms));
        news.extend(update_notice(&last, status));
        if settings.notify_failures {
            news.extend(failures(&last, status));
        }
        let title = format!("Russet on {}", plain_text(&status.name));
        news.into_iter().map(|text| Notice { title: title.clone(), text }).collect()
    }

    fn unhealthy(&mut self, last: &Seen, status: &Status, now_ms: u64) -> Option<String> {
        if status.state != State::Unhealthy || last.state == State::Unhealthy {
            return None;
        }
        let reason = plain_text(status.reason.as_deref().unwrap_or("it does not say why"));
        self.told.retain(|_, at| now_ms.saturating_sub(*at) < QUIET_MS);
        let is_news = self.told.insert(reason.clone(), now_ms).is_none();
        is_news.then(|| format!("The machine is unhealthy and takes no tasks: {reason}"))
    }
}

/// A version that was taken back also runs another version than before; that is told as such.
fn update_notice(last: &Seen, status: &Status) -> Option<String> {
    if let Some(Update::RolledBack { version, why }) = &status.update
        && last.update != status.update
    {
        let (version, why) = (plain_text(version), plain_text(why));
        return Some(format!("The update to {version} was taken back: it {why}"));
    }
    let is_other = !last.version.is_empty() && last.version != status.agent_version;
    let is_taken_back = matches!(status.update, Some(Update::RolledBack { .. }));
    (is_other && !is_taken_back)
        .then(|| format!("Version {} of the agent is installed", plain_text(&status.agent_version)))
}

fn failures(last: &Seen, status: &Status) -> Vec<String> {
    let is_failure = |outcome: Option<Outcome>| {
        matches!(outcome, Some(Outcome::Failed | Outcome::TimedOut | Outcome::InfrastructureFail))
    };
    let failed = status
        .recent
        .iter()
        .filter(|task| task.ended_ms > last.ended_ms && is_failure(task.outcome));
    failed
        .take(MOST_FAILURES)
        .map(|task| format!("{}: {}", name_of(task), outcome(task.outcome)))
        .collect()
}
