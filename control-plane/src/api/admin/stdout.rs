//! `GET /api/v3/jobs/{id}/stdout`: output as bytes, of one step or of all, resumable.

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{
    CONTENT_DISPOSITION, CONTENT_RANGE, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, stream};
use russet_protocol::TERMINAL_HEADER;
use russet_protocol::ids::JobId;
use russet_protocol::outcome::Phase;
use serde::Deserialize;

use super::jobs::find_job;
use super::timestamps::LineTimes;
use crate::api::error::ApiError;
use crate::api::params::Query;
use crate::api::range;
use crate::api::refs::JobRef;
use crate::output_reader::{ReadError, timed_piece};
use crate::output_readers::Reading;
use crate::signals::Subscription;
use crate::state::App;
use crate::store::steps::StepRow;
use crate::store::{Conn, StoreError, jobs, steps};

#[derive(Debug, Deserialize)]
pub(super) struct Which {
    #[serde(rename = "filter[step_num]")]
    step: Option<u32>,
    #[serde(rename = "filter[task]", alias = "filter[execution]")]
    task: Option<u32>,
    #[serde(default)]
    follow: bool,
    /// The time before each line.
    #[serde(default)]
    timestamps: bool,
}

/// Output as far as its place in the whole is certain.
#[derive(Debug, PartialEq, Eq)]
struct Part {
    /// Keys of the steps, and how many bytes each has.
    steps: Vec<(i64, u64)>,
    /// Nothing will follow.
    terminal: bool,
}

impl Part {
    /// The steps one after the other, up to and with the first that may still grow: offsets of
    /// what comes behind it are not known yet.
    fn of(rows: &[StepRow], job_ended: bool) -> Self {
        let mut part = Self { steps: Vec::new(), terminal: job_ended };
        for row in rows {
            part.steps.push((row.key, row.step.output_bytes));
            if !row.is_complete() && !job_ended {
                part.terminal = false;
                break;
            }
        }
        part
    }

    /// The one step that is asked for; nothing follows once it has ended.
    fn of_one(rows: &[StepRow], number: u32, job_ended: bool) -> Self {
        let row = rows.iter().rfind(|row| row.step.number == number);
        Self {
            steps: row.iter().map(|row| (row.key, row.step.output_bytes)).collect(),
            terminal: job_ended || row.is_some_and(StepRow::is_complete),
        }
    }

    fn length(&self) -> u64 {
        self.steps.iter().map(|(_, bytes)| bytes).sum()
    }

    /// The step that holds a byte of the whole, the byte's place in it, and where it ends.
    fn locate(&self, offset: u64) -> Option<(i64, u64, u64)> {
        let mut before = 0;
        for (key, bytes) in &self.steps {
            if offset < before + bytes {
                return Some((*key, offset - before, *bytes));
            }
            before += bytes;
        }
        None
    }
}

async fn find_part(conn: &mut Conn, id: &JobId, which: &Which) -> Result<Part, StoreError> {
    // The job first: when it had ended, the steps are as they stay.
    let job = jobs::get(conn, id).await?.map(|row| row.job);
    let job_ended = job.as_ref().is_none_or(|job| job.phase == Phase::Ended);
    let is_parallel = job.is_some_and(|job| job.parallelism > 1);
    let mut rows = steps::of_job(conn, id).await?;
    rows.retain(|row| which.task.is_none_or(|task| row.step.task == task));
    Ok(match which.step {
        // Every task has a step of this number.
        Some(number) if is_parallel && which.task.is_none() => {
            rows.retain(|row| row.step.number == number);
            Part::of(&rows, job_ended)
        }
        Some(number) => Part::of_one(&rows, number, job_ended),
        None => Part::of(&rows, job_ended),
    })
}

/// The bytes from the offset of `Range` on. 204 where there are none (yet); `X-Terminal` where
/// nothing will follow. With `follow=true` the answer goes on until then.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v3/jobs/{id}/stdout", tag = "admin", operation_id = "stdout_stdout",
    params(("id" = String, Path, description = "The job"), ("filter[step_num]" = Option<u32>, Query, description = "Only this step; of a job of several tasks, that of each"), ("filter[task]" = Option<u32>, Query, description = "Only this task of the job"), ("follow" = Option<bool>, Query, description = "Go on until all has ended"), ("timestamps" = Option<bool>, Query, description = "Before each line the time at which the server received its first byte, as `2026-11-30T07:12:44.123Z` and a space. Runners send new output every 20 ms while they reach the server; what they had to keep has the time at which it could be sent, and output of earlier versions `????-??-??T??:??:??.???Z`. Not with `Range`"), ("Range" = Option<String>, Header, description = "`bytes=N-`: from this offset on")),
    responses((status = 200, description = "The bytes; `x-terminal` says whether nothing will follow", body = Vec<u8>, content_type = "text/plain"), (status = 204, description = "There are none (yet)"), (status = 206, description = "The bytes from the offset on", body = Vec<u8>, content_type = "text/plain"), (status = 416, description = "There are fewer", body = russet_protocol::problem::Problem), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn stdout(
    State(app): State<App>,
    JobRef(id): JobRef,
    Query(which): Query<Which>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let range = range::from_offset(&headers);
    if which.timestamps && range.is_some() {
        let why = "timestamps: not with `Range`, whose offsets are those of output without them";
        return Err(ApiError::Bad(why.to_owned()));
    }
    let start = range.unwrap_or(0);
    let (number, pipeline, part) = {
        let mut conn = app.store.read().await?;
        let row = find_job(&mut conn, &id).await?;
        (row.job.number, row.pipeline, find_part(&mut conn, &id, &which).await?)
    };
    let length = part.length();
    if start > length {
        return Err(ApiError::Range(length));
    }
    let terminal =
        [(TERMINAL_HEADER, if part.terminal || which.follow { "true" } else { "false" })];
    if start == length && (part.terminal || !which.follow) {
        return Ok((StatusCode::NO_CONTENT, terminal).into_response());
    }
    // A job wrote them: a browser is to take them for text, and for a file to save.
    let kind = [
        (CONTENT_TYPE, "text/plain; charset=utf-8".to_owned()),
        (X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        (CONTENT_DISPOSITION, format!("attachment; filename=\"{}\"", file_name(number, &which))),
    ];
    let changes = app.bus().pipelines.subscribe(pipeline.as_str());
    let follow = which.follow;
    let _reading = app.readers.enter();
    let times = which.timestamps.then(LineTimes::new);
    let reader = Reader { changes, at: start, app, id, which, part, times, _reading };
    let body = Body::from_stream(reader.into_stream());
    match range {
        None => Ok((terminal, kind, body).into_response()),
        // Where it will end is not known.
        Some(_) if follow => {
            Ok((StatusCode::PARTIAL_CONTENT, terminal, kind, body).into_response())
        }
        Some(_) => {
            let place = [(CONTENT_RANGE, format!("bytes {start}-{}/{length}", length - 1))];
            Ok((StatusCode::PARTIAL_CONTENT, terminal, kind, place, body).into_response())
        }
    }
}

/// Name of the file that a browser saves output in, made of numbers alone.
fn file_name(job: u64, which: &Which) -> String {
    let part = |what, number: Option<u32>| number.map(|number| format!("-{what}-{number}"));
    let task = part("task", which.task).unwrap_or_default();
    let step = part("step", which.step).unwrap_or_default();
    format!("job-{job}{task}{step}.log")
}

/// A reader in the middle of its answer.
#[derive(Debug)]
struct Reader {
    app: App,
    id: JobId,
    which: Which,
    changes: Subscription,
    part: Part,
    at: u64,
    /// Writes the time before each line, where that is asked for.
    times: Option<LineTimes>,
    _reading: Reading,
}

impl Reader {
    fn into_stream(self) -> impl Stream<Item = Result<Bytes, ReadError>> {
        stream::try_unfold(self, |mut reader| async {
            let bytes = reader.next().await?;
            Ok(bytes.map(|bytes| (bytes, reader)))
        })
    }

    /// The next bytes; `None` at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, ReadError> {
        loop {
            if let Some((step, from, until)) = self.part.locate(self.at) {
                let piece = timed_piece(&self.app, step, from, until).await?;
                self.at += piece.bytes.len() as u64;
                return Ok(Some(match &mut self.times {
                    Some(times) => times.write(&piece),
                    None => piece.bytes,
                }));
            }
            if !self.which.follow || self.part.terminal {
                return Ok(None);
            }
            // Looks again before it waits: there may have been a commit before it subscribed.
            let before = self.part.length();
            self.look().await?;
            if self.part.length() == before && !self.part.terminal {
                tokio::select! {
                    () = self.changes.changed() => {}
                    () = self.app.closed() => return Err(ReadError::Stopping),
                }
                self.look().await?;
            }
        }
    }

    async fn look(&mut self) -> Result<(), ReadError> {
        let mut conn = self.app.store.read().await?;
        self.part = find_part(&mut conn, &self.id, &self.which).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Part;

    #[test]
    fn a_byte_is_found_in_the_step_that_holds_it() {
        let part = Part { steps: vec![(7, 3), (8, 0), (9, 2)], terminal: true };
        assert_eq!(part.length(), 5);
        assert_eq!(part.locate(0), Some((7, 0, 3)));
        assert_eq!(part.locate(2), Some((7, 2, 3)));
        assert_eq!(part.locate(3), Some((9, 0, 2)));
        assert_eq!(part.locate(5), None);
    }
}
