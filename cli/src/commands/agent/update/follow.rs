//! Following an update that was asked for, over the exchange of the agent. What a moment means is
//! decided by [`judge`], which is pure: the answer to one's own request decides, whatever else the
//! status says of other looks.

use std::time::{Duration, Instant};

use russet_protocol::local::{Status, Update};

use crate::client::agent::AgentClient;
use crate::error::{CliError, Result};
use crate::exit::Exit;

/// Interval at which the agent is asked again.
const AGAIN_INTERVAL: Duration = Duration::from_millis(200);

/// Time in which an agent that makes way for another one is back.
const BACK_TIMEOUT: Duration = Duration::from_secs(60);

/// Time in which an idle agent makes way for a version that lies ready.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(15);

/// How long to follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    /// Until the look has ended.
    Looked,
    /// Until the version that was found is in place, where no task keeps it waiting.
    Placed,
    /// Until it has proved itself or was taken back.
    Proved,
}

/// Meaning of a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// It goes on.
    GoesOn,
    /// It goes on within seconds, or not for a reason that is not known here.
    AboutToBegin(Update),
    /// It ended so.
    Ended(Update),
    /// Another version runs, and has proved itself.
    Installed,
    /// The agent that was asked ended before it answered.
    Unanswered,
}

/// Returns what the status `now` says of the look with this number, which the agent of `before`
/// was asked for.
pub(super) fn judge(look: u64, until: Until, before: &Status, now: &Status) -> Moment {
    let is_another = now.pid != before.pid;
    let is_changed = now.agent_version != before.agent_version;
    let version = match answer_to(look, now) {
        None if !is_another => return Moment::GoesOn,
        // An agent that keeps no answers was exchanged.
        None if is_changed => now.agent_version.clone(),
        None => return Moment::Unanswered,
        Some(Update::WaitingForIdle { version }) => version,
        Some(update) => return Moment::Ended(update),
    };
    let update = now.update.clone().unwrap_or_default();
    match &update {
        Update::RolledBack { version: back, .. } if *back == version => Moment::Ended(update),
        Update::Proving { .. } if is_another && is_changed => match until {
            Until::Proved => Moment::GoesOn,
            Until::Looked | Until::Placed => Moment::Ended(update),
        },
        _ if is_another && is_changed => Moment::Installed,
        Update::Failed { .. } if is_another => Moment::Ended(update),
        _ if is_another => Moment::Unanswered,
        Update::WaitingForIdle { .. } => match until {
            Until::Looked => Moment::Ended(update),
            Until::Proved => Moment::GoesOn,
            Until::Placed if is_busy(now) => Moment::Ended(update),
            Until::Placed => Moment::AboutToBegin(update),
        },
        // A later look found another version, or the one of before has yet to prove itself.
        Update::Downloading { .. } | Update::Ready { .. } | Update::Proving { .. } => match until {
            Until::Proved => Moment::GoesOn,
            Until::Looked | Until::Placed => Moment::Ended(Update::WaitingForIdle { version }),
        },
        // A later look found that there is none after all.
        _ => Moment::Ended(update),
    }
}

/// Returns the state in which a look ended; `None` while it has not.
fn answer_to(look: u64, now: &Status) -> Option<Update> {
    match &now.update_answers {
        Some(answers) => {
            let answer = answers.iter().find(|answer| answer.look == look);
            answer.map(|answer| answer.update.clone())
        }
        // An agent of before there were answers.
        None => (now.update_looks? >= look).then(|| now.update.clone().unwrap_or_default()),
    }
}

fn is_busy(status: &Status) -> bool {
    status.slots.iter().any(|slot| slot.task.is_some())
}

/// Follows an agent from its status `before` the request. Between two versions there is nobody to
/// ask: that is borne for a while.
pub(super) async fn follow(
    agent: &AgentClient,
    look: u64,
    until: Until,
    before: &Status,
) -> Result<(Moment, Status)> {
    let mut seen = Instant::now();
    let mut about_to_begin = None;
    loop {
        match agent.status().await {
            Ok(now) => {
                seen = Instant::now();
                match judge(look, until, before, &now) {
                    Moment::GoesOn => about_to_begin = None,
                    Moment::AboutToBegin(update) => {
                        let since = *about_to_begin.get_or_insert(seen);
                        if seen.duration_since(since) > EXCHANGE_TIMEOUT {
                            return Ok((Moment::Ended(update), now));
                        }
                    }
                    moment => return Ok((moment, now)),
                }
            }
            Err(error) if seen.elapsed() > BACK_TIMEOUT => {
                let message = "the agent ended for the update and has not come back";
                return Err(CliError::new(Exit::Infrastructure, message).hint(format!(
                    "`sudo russet agent status` and the log of the agent say more ({})",
                    error.message()
                )));
            }
            Err(_) => {}
        }
        tokio::time::sleep(AGAIN_INTERVAL).await;
    }
}

#[cfg(test)]
mod tests {
    use russet_protocol::local::{LookAnswer, Slot, Status, Task, Update};

    use super::{Moment, Until, judge};

    const BOTH: [Until; 2] = [Until::Placed, Until::Proved];

    fn waiting(version: &str) -> Update {
        Update::WaitingForIdle { version: version.to_owned() }
    }

    /// Status of an agent that had been asked before, and had failed then.
    fn status(pid: u32, version: &str, update: Update) -> Status {
        let old = LookAnswer { look: 6, update: Update::Failed { why: "of before".to_owned() } };
        Status {
            pid,
            agent_version: version.to_owned(),
            update: Some(update),
            update_looks: Some(6),
            update_answers: Some(vec![old]),
            ..Status::default()
        }
    }

    /// The same with an answer to look 7.
    fn answered(status: Status, update: Update) -> Status {
        let answer = LookAnswer { look: 7, update };
        let answers = status.update_answers.into_iter().flatten().chain([answer]).collect();
        Status { update_looks: Some(7), update_answers: Some(answers), ..status }
    }

    fn before() -> Status {
        status(1, "1.0.0", Update::Failed { why: "of before".to_owned() })
    }

    #[test]
    fn what_another_look_found_is_no_answer() {
        for until in [Until::Looked, Until::Placed, Until::Proved] {
            for update in
                [Update::UpToDate, Update::Failed { why: "x".to_owned() }, waiting("1.1.0")]
            {
                let now = status(1, "1.0.0", update);
                assert_eq!(judge(7, until, &before(), &now), Moment::GoesOn);
            }
            let now = answered(before(), Update::UpToDate);
            assert_eq!(judge(7, until, &before(), &now), Moment::Ended(Update::UpToDate));
        }
    }

    #[test]
    fn an_idle_agent_that_makes_way_at_once_is_followed_to_the_new_version() {
        let idle = answered(status(1, "1.0.0", waiting("1.1.0")), waiting("1.1.0"));
        let about = Moment::AboutToBegin(waiting("1.1.0"));
        assert_eq!(judge(7, Until::Placed, &before(), &idle), about);
        assert_eq!(judge(7, Until::Proved, &before(), &idle), Moment::GoesOn);
        assert_eq!(judge(7, Until::Looked, &before(), &idle), Moment::Ended(waiting("1.1.0")));
        let proving = Update::Proving { version: "1.1.0".to_owned() };
        let new = answered(status(2, "1.1.0", proving.clone()), waiting("1.1.0"));
        assert_eq!(judge(7, Until::Placed, &before(), &new), Moment::Ended(proving));
        assert_eq!(judge(7, Until::Proved, &before(), &new), Moment::GoesOn);
        let proved = Status { update: Some(Update::Unknown), ..new };
        for until in BOTH {
            assert_eq!(judge(7, until, &before(), &proved), Moment::Installed);
        }
    }

    #[test]
    fn a_busy_agent_is_not_waited_for_unless_that_is_wanted() {
        let slot = Slot { task: Some(Task::default()), ..Slot::default() };
        let busy = answered(status(1, "1.0.0", waiting("1.1.0")), waiting("1.1.0"));
        let busy = Status { slots: vec![slot], ..busy };
        assert_eq!(judge(7, Until::Placed, &before(), &busy), Moment::Ended(waiting("1.1.0")));
        assert_eq!(judge(7, Until::Proved, &before(), &busy), Moment::GoesOn);
    }

    #[test]
    fn a_version_that_was_taken_back_or_not_put_in_place_is_no_success() {
        let back = Update::RolledBack { version: "1.1.0".to_owned(), why: "was killed".to_owned() };
        let failed = Update::Failed { why: "could not be put in place".to_owned() };
        for until in BOTH {
            for update in [back.clone(), failed.clone()] {
                let now = answered(status(3, "1.0.0", update.clone()), waiting("1.1.0"));
                assert_eq!(judge(7, until, &before(), &now), Moment::Ended(update));
            }
            // One that was taken back earlier says nothing of this one.
            let other = Update::RolledBack { version: "0.9.9".to_owned(), why: String::new() };
            let now = answered(status(3, "1.1.0", other), waiting("1.1.0"));
            assert_eq!(judge(7, until, &before(), &now), Moment::Installed);
        }
    }

    #[test]
    fn a_restart_before_the_answer_is_told_from_an_update() {
        for until in BOTH {
            let now = status(2, "1.0.0", Update::Unknown);
            assert_eq!(judge(7, until, &before(), &now), Moment::Unanswered);
            let now = answered(now, waiting("1.1.0"));
            assert_eq!(judge(7, until, &before(), &now), Moment::Unanswered);
        }
        let later = answered(status(1, "1.0.0", Update::UpToDate), waiting("1.1.0"));
        let ended = judge(7, Until::Proved, &before(), &later);
        assert_eq!(ended, Moment::Ended(Update::UpToDate), "it was withdrawn");
    }

    #[test]
    fn an_agent_that_keeps_no_answers_is_understood() {
        let old = |looks, update| Status {
            update_answers: None,
            update_looks: Some(looks),
            ..status(1, "1.0.0", update)
        };
        assert_eq!(judge(1, Until::Looked, &before(), &old(0, Update::UpToDate)), Moment::GoesOn);
        let now = old(1, Update::UpToDate);
        assert_eq!(judge(1, Until::Looked, &before(), &now), Moment::Ended(Update::UpToDate));
        let new = Status { pid: 2, agent_version: "1.1.0".to_owned(), ..old(0, Update::Unknown) };
        assert_eq!(judge(1, Until::Proved, &before(), &new), Moment::Installed);
    }
}
