//! In place of a task agent that is gone: sends what it left in its spool and reports the
//! outcome, or gives the task back where nothing of it ran.

use std::io::Read as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use russet_protocol::ids::TaskId;
use russet_protocol::outcome::Outcome;
use russet_protocol::runner::{EventKind, UnclaimRequest};
use russet_protocol::supervise::{Assignment, Failure, RESULT_FILE, ResultRecord, exit};

use super::api::{Api, ApiError};
use super::clean::files::keep_files;
use super::events::Events;
use super::record;
use super::run::finish_task;
use super::spool::Spool;
use super::stop::StopSignal;
use super::upload::Uploader;
use crate::stderr::{log_to_stderr, print_error};
use russet_platform::clock::Clock;

/// Time for which the control plane may be away before the spool is given up.
const PATIENCE: Duration = Duration::from_secs(60 * 60);

/// Time for which the control plane may be away before a task is not given back: who waits for that
/// takes no other task.
const UNCLAIM_TIMEOUT: Duration = Duration::from_secs(20);

/// Time for removing from the spool what a task agent does not put there.
const MAX_REMOVAL_TIME: Duration = Duration::from_secs(60);

/// A result record longer than this is none.
const MOST_RECORD: u64 = 1024 * 1024;

/// Sends the spool and reports the outcome. Returns the exit code.
pub(crate) fn flush(assignment: Assignment) -> i32 {
    in_runtime(async move {
        let dirs = assignment.dirs.clone();
        match send(assignment).await {
            Ok((outcome, message, api)) => {
                let (spool, allocation) = (&dirs.spool, api.allocation());
                let kept = record::write(spool, allocation, outcome, message.as_deref(), true);
                if let Err(error) = kept {
                    print_error(&format!("could not keep the result: {error}"));
                }
                exit::REPORTED
            }
            Err(error) => code_of(&error),
        }
    })
}

/// Gives the task back. Returns the exit code.
pub(crate) fn unclaim(assignment: Assignment) -> i32 {
    in_runtime(async move {
        match give_back(&assignment).await {
            Ok(()) => exit::REPORTED,
            Err(error) => code_of(&error),
        }
    })
}

/// Does the work, unless the launch agent ends meanwhile: the next one starts another helper, and
/// two would speak for the same task.
fn in_runtime(work: impl Future<Output = i32>) -> i32 {
    log_to_stderr();
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(async {
            tokio::select! {
                code = work => code,
                () = parent_ended() => {
                    print_error(&"the launch agent has ended");
                    exit::NOT_REPORTED
                }
            }
        }),
        Err(error) => {
            print_error(&error);
            exit::NOT_REPORTED
        }
    }
}

/// Interval at which the parent is looked at, where the system does not tell its end.
const PARENT_INTERVAL: Duration = Duration::from_secs(1);

/// Returns when the process that started this one has ended.
async fn parent_ended() {
    let parent = nix::unistd::getppid();
    if let Ok(process) = russet_platform::Process::open(parent.as_raw().unsigned_abs())
        && nix::unistd::getppid() == parent
        && process.ended().await.is_ok()
    {
        return;
    }
    while nix::unistd::getppid() == parent {
        tokio::time::sleep(PARENT_INTERVAL).await;
    }
}

fn code_of(error: &ApiError) -> i32 {
    print_error(error);
    match error {
        ApiError::Stale(_) => exit::STALE,
        ApiError::GaveUp { .. } => exit::NO_ANSWER,
        _ => exit::NOT_REPORTED,
    }
}

fn local(call: &'static str, error: impl std::fmt::Display) -> ApiError {
    ApiError::Local { call, message: error.to_string() }
}

async fn send(assignment: Assignment) -> Result<(Outcome, Option<String>, Api), ApiError> {
    let clock = Clock::system();
    let api = Api::new(&assignment, clock.clone(), clock.now().after(PATIENCE))
        .map_err(|error| local("reach the control plane", error))?;
    let dir = &assignment.dirs.spool;
    let until = Instant::now() + MAX_REMOVAL_TIME;
    keep_files(dir, until).map_err(|error| local("look at the spool", error))?;
    let spool =
        Spool::reopen(dir, clock.clone()).map_err(|error| local("read the spool", error))?;
    let events = Events::open(dir, clock).map_err(|error| local("read the events", error))?;
    let (spool, events) = (Arc::new(spool), Arc::new(events));
    let failure = verdict(&assignment);
    end_open_steps(&spool, &events, &failure);
    let mut uploader = Uploader::start(&spool, &events, &api, &StopSignal::new());
    uploader.close().await?;
    let Failure { outcome, message } = failure;
    let message = Some(message).filter(|text| !text.is_empty());
    finish_task(&api, &spool, &events, &uploader, outcome, message.clone()).await?;
    Ok((outcome, message, api))
}

/// Returns the outcome of the task. Its own report before it died counts, unless its deadline was
/// passed: that verdict wins over one that comes later.
fn verdict(assignment: &Assignment) -> Failure {
    let told = assignment.failure.clone().unwrap_or_else(|| Failure {
        outcome: Outcome::InfrastructureFail,
        message: "the task agent ended without a report".to_owned(),
    });
    let own = std::fs::File::open(assignment.dirs.spool.join(RESULT_FILE))
        .ok()
        .and_then(|file| serde_json::from_reader::<_, ResultRecord>(file.take(MOST_RECORD)).ok())
        .filter(|record| record.allocation == assignment.allocation);
    match own {
        Some(record) if told.outcome != Outcome::TimedOut => {
            Failure { outcome: record.outcome, message: record.message.unwrap_or_default() }
        }
        _ => told,
    }
}

/// Steps that were running ended with their task agent.
fn end_open_steps(spool: &Spool, events: &Events, failure: &Failure) {
    let totals = spool.totals();
    for step in events.unfinished_steps() {
        events.add(EventKind::StepFinished {
            step,
            outcome: failure.outcome,
            exit_code: None,
            message: Some(failure.message.clone()),
            output_bytes: totals.get(&step).copied().unwrap_or_default(),
        });
    }
}

/// All that is needed of a task's config. That of another server has a form of its own.
#[derive(serde::Deserialize)]
struct Named {
    task_id: TaskId,
}

async fn give_back(assignment: &Assignment) -> Result<(), ApiError> {
    let clock = Clock::system();
    let api = Api::new(assignment, clock.clone(), clock.now().after(UNCLAIM_TIMEOUT))
        .map_err(|error| local("reach the control plane", error))?;
    let call = "get the task's config";
    let answer = api.small(call, || api.request(Method::GET, "/api/v2/task/config")).await?;
    let Some(Named { task_id }) = answer.json() else {
        let message = "the answer names no task".to_owned();
        return Err(ApiError::Refused { call, status: answer.status.as_u16(), message });
    };
    let body = UnclaimRequest { task_id, task_token: assignment.token.clone(), cause: None };
    let call = "give the task back";
    let answer =
        api.small(call, || api.request(Method::POST, "/api/v3/runner/unclaim").json(&body)).await?;
    if answer.status == StatusCode::CONFLICT {
        let (status, message) = (answer.status.as_u16(), answer.message());
        return Err(ApiError::Refused { call, status, message });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::verdict;
    use crate::task::{record, testing};
    use russet_protocol::outcome::Outcome;
    use russet_protocol::supervise::Failure;

    #[test]
    fn what_the_task_said_of_itself_counts_unless_its_deadline_had_passed() {
        let dir = tempfile::tempdir().unwrap();
        let (mut assignment, _) = testing::assignment_and_config();
        assignment.dirs.spool = dir.path().to_owned();
        let failure = |outcome| Some(Failure { outcome, message: "told".to_owned() });
        assert_eq!(verdict(&assignment).outcome, Outcome::InfrastructureFail);
        assignment.failure = failure(Outcome::Canceled);
        assert_eq!(verdict(&assignment).outcome, Outcome::Canceled);
        record::write(dir.path(), &assignment.allocation, Outcome::Failed, None, false).unwrap();
        assert_eq!(verdict(&assignment).outcome, Outcome::Failed);
        assignment.failure = failure(Outcome::TimedOut);
        assert_eq!(verdict(&assignment).outcome, Outcome::TimedOut);
        assignment.failure = failure(Outcome::Canceled);
        assignment.allocation = "another".into();
        assert_eq!(verdict(&assignment).outcome, Outcome::Canceled);
    }
}
