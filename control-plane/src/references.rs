//! Names that people give pipelines, workflows and jobs, besides their ids: the beginning of an id,
//! `project#7`, `project#7/job`, `project#latest` and `latest`.
//!
//! Names of projects and jobs may hold `#` and `/`, so a text may be read in several ways. All are
//! looked for; where more than one is there, the text is refused with what it may stand for.

use std::collections::BTreeMap;

use russet_protocol::ids::{JobId, PipelineId, WorkflowId};

use crate::name_ids::uuid_of;
use crate::people::Reach;
use crate::slugs::{SlugProject, project_of_slug};
use crate::store::{Conn, StoreError, git_connections, names, projects, runs};

/// Characters of a whole id.
const ID_CHARS: usize = 36;

/// Fewest characters of an id that stand for it.
const MIN_PREFIX: usize = 4;

/// Most ids of a prefix that are looked at for somebody who may not see all.
const MAX_LOOKED_AT: u32 = 1_000;

/// Most candidates that are named.
const MAX_CANDIDATES: usize = 5;

/// Reason why a name stands for nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReferenceError {
    #[error("there is no {kind} `{text}`")]
    Unknown { kind: &'static str, text: String },
    #[error("`{text}` stands for more than one {kind}: {candidates}")]
    Ambiguous { kind: &'static str, text: String, candidates: String },
    #[error("`{text}` is too short to stand for one {kind}: give more characters of its id")]
    Short { kind: &'static str, text: String },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A pipeline as a text names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name<'a> {
    Prefix(&'a str),
    Latest,
    LatestOf(&'a str),
    Numbered(&'a str, u64),
}

/// A reading of a text: a pipeline, and what follows it behind a slash.
type Reading<'a> = (Name<'a>, Option<&'a str>);

fn is_id(text: &str) -> bool {
    text.len() == ID_CHARS && is_hexadecimal(text)
}

fn is_hexadecimal(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-'))
}

/// Returns the beginning of an id that a text may be.
fn prefix(text: &str) -> Option<&str> {
    (text.len() >= MIN_PREFIX && is_hexadecimal(text)).then_some(text)
}

/// Returns all ways to read a text.
fn readings(text: &str) -> Vec<Reading<'_>> {
    let split = |text| match str::split_once(text, '/') {
        Some((first, rest)) => (first, Some(rest)),
        None => (text, None),
    };
    let mut all = Vec::new();
    let (first, rest) = split(text);
    if first == "latest" {
        all.push((Name::Latest, rest));
    }
    all.extend(prefix(first).map(|prefix| (Name::Prefix(prefix), rest)));
    for (at, _) in text.match_indices('#').filter(|(at, _)| *at > 0) {
        let (project, (number, rest)) = (&text[..at], split(&text[at + 1..]));
        if number == "latest" {
            all.push((Name::LatestOf(project), rest));
        } else if number.bytes().all(|byte| byte.is_ascii_digit())
            && let Ok(number) = number.parse()
        {
            all.push((Name::Numbered(project, number), rest));
        }
    }
    all
}

/// What a text may stand for, each with a few words about it.
type Candidates<Id> = BTreeMap<Id, String>;

fn choose<Id: Ord + std::fmt::Display>(
    kind: &'static str,
    text: &str,
    found: Candidates<Id>,
) -> Result<Id, ReferenceError> {
    let text = text.to_owned();
    if found.len() > 1 {
        let shown = found.iter().take(MAX_CANDIDATES).map(|(id, about)| match about.as_str() {
            "" => id.to_string(),
            about => format!("{id} ({about})"),
        });
        let more = if found.len() > MAX_CANDIDATES { ", …" } else { "" };
        let candidates = shown.collect::<Vec<_>>().join(", ") + more;
        return Err(ReferenceError::Ambiguous { kind, text, candidates });
    }
    found.into_keys().next().ok_or(ReferenceError::Unknown { kind, text })
}

/// Returns the pipelines that a name stands for, among those within sight.
async fn pipelines(
    conn: &mut Conn,
    name: Name<'_>,
    sight: &Reach,
) -> Result<Vec<PipelineId>, ReferenceError> {
    Ok(match name {
        Name::Prefix(prefix) => {
            let found = names::pipelines_by_prefix(conn, prefix, most(sight)).await?;
            seen("pipeline", prefix, found, sight)?
        }
        Name::Latest => {
            let projects = projects::within(conn, sight).await?;
            names::latest(conn, projects.as_deref()).await?.into_iter().collect()
        }
        Name::LatestOf(project) | Name::Numbered(project, _) if !sight.covers_name(project) => {
            Vec::new()
        }
        Name::LatestOf(project) => {
            names::latest_of_project(conn, project).await?.into_iter().collect()
        }
        Name::Numbered(project, number) => {
            names::pipeline_by_number(conn, project, number).await?.into_iter().collect()
        }
    })
}

/// Returns how many ids of a prefix are looked at: where not all are within sight, more than are named.
fn most(sight: &Reach) -> u32 {
    match sight {
        Reach::Everywhere => u32::try_from(MAX_CANDIDATES + 1).unwrap_or(u32::MAX),
        Reach::Within(_) => MAX_LOOKED_AT,
    }
}

/// Returns those of a prefix that are within sight.
fn seen<Id>(
    kind: &'static str,
    text: &str,
    found: Vec<names::Prefixed<Id>>,
    sight: &Reach,
) -> Result<Vec<Id>, ReferenceError> {
    // There may be more, so what is seen of these decides nothing.
    if *sight != Reach::Everywhere && found.len() >= MAX_LOOKED_AT as usize {
        return Err(ReferenceError::Short { kind, text: text.to_owned() });
    }
    let seen = found.into_iter().filter(|of| sight.covers_name(&of.project));
    Ok(seen.map(|of| of.id).collect())
}

/// Returns the pipeline that a text names, of those within sight. One with a whole id is for the caller
/// to check.
pub(crate) async fn find_pipeline(
    conn: &mut Conn,
    text: &str,
    sight: &Reach,
) -> Result<PipelineId, ReferenceError> {
    if is_id(text) {
        return Ok(text.into());
    }
    let mut found = Candidates::new();
    for (name, rest) in readings(text) {
        if rest.is_none() {
            let ids = pipelines(conn, name, sight).await?;
            found.extend(ids.into_iter().map(|id| (id, String::new())));
        }
    }
    choose("pipeline", text, found)
}

/// Returns the last runs of the workflows of a pipeline.
async fn current_runs(
    conn: &mut Conn,
    pipeline: &PipelineId,
) -> Result<Vec<runs::Run>, StoreError> {
    let all = runs::of_pipeline(conn, pipeline).await?;
    Ok(runs::current(all))
}

/// Returns the workflow that a text names: by its id, or as `PIPELINE/NAME`, where the pipeline is
/// enough if it has one only. Of a workflow that ran again, the last run.
pub(crate) async fn find_workflow(
    conn: &mut Conn,
    text: &str,
    sight: &Reach,
) -> Result<WorkflowId, ReferenceError> {
    if is_id(text) {
        return Ok(text.into());
    }
    let mut found = Candidates::new();
    if let Some(prefix) = prefix(text) {
        let ids = names::workflows_by_prefix(conn, prefix, most(sight)).await?;
        let ids = seen("workflow", prefix, ids, sight)?;
        found.extend(ids.into_iter().map(|id| (id, String::new())));
    }
    if found.is_empty() {
        for (name, rest) in readings(text) {
            for pipeline in pipelines(conn, name, sight).await? {
                for run in current_runs(conn, &pipeline).await? {
                    if rest.is_none_or(|rest| rest == run.name) {
                        found.insert(run.id, run.name);
                    }
                }
            }
        }
    }
    choose("workflow", text, found)
}

/// Returns the job that a text names: by its id, or as `PIPELINE/JOB` or `PIPELINE/WORKFLOW/JOB`,
/// where the pipeline is enough if it has one only. Of a workflow that ran again, that of the last
/// run.
pub(crate) async fn find_job(
    conn: &mut Conn,
    text: &str,
    sight: &Reach,
) -> Result<JobId, ReferenceError> {
    if is_id(text) {
        return Ok(text.into());
    }
    let mut found = Candidates::new();
    if let Some(prefix) = prefix(text) {
        let ids = names::jobs_by_prefix(conn, prefix, most(sight)).await?;
        let ids = seen("job", prefix, ids, sight)?;
        found.extend(ids.into_iter().map(|id| (id, String::new())));
    }
    if found.is_empty() {
        for (name, rest) in readings(text) {
            for pipeline in pipelines(conn, name, sight).await? {
                for run in current_runs(conn, &pipeline).await? {
                    let of_workflow =
                        rest.and_then(|rest| rest.strip_prefix(&*run.name)?.strip_prefix('/'));
                    for job in runs::jobs_of(conn, &run.id).await? {
                        let is_named = rest.is_none_or(|rest| rest == job.name)
                            || of_workflow == Some(&job.name);
                        if is_named {
                            found.insert(job.id, format!("{}/{}", run.name, job.name));
                        }
                    }
                }
            }
        }
    }
    choose("job", text, found)
}

/// Finds the project that the three parts of a slug name.
///
/// # Errors
///
/// There is none.
pub(crate) async fn find_project(
    conn: &mut Conn,
    parts: &[String; 3],
) -> Result<String, ReferenceError> {
    let [host, owner, name] = parts;
    let found = match project_of_slug(host, owner, name) {
        None => None,
        Some(SlugProject::Name(name)) => {
            let is_known = projects::exists(conn, &name).await?
                || git_connections::get(conn, &name).await?.is_some();
            is_known.then_some(name)
        }
        Some(SlugProject::Id(id)) => {
            let mut names = projects::names(conn).await?.into_iter();
            names.find(|name| uuid_of("project", name) == id)
        }
    };
    found.ok_or_else(|| unknown_project(parts))
}

/// Returns the error for a slug that names no project.
pub(crate) fn unknown_project(parts: &[String; 3]) -> ReferenceError {
    let text = parts.join("/").escape_debug().to_string();
    ReferenceError::Unknown { kind: "project", text }
}

#[cfg(test)]
mod tests {
    use super::{Candidates, Name, choose, readings};

    #[test]
    fn a_text_is_read_in_all_ways_that_names_of_projects_and_jobs_allow() {
        assert_eq!(readings("acme/app#7"), [(Name::Numbered("acme/app", 7), None)]);
        assert_eq!(
            readings("acme/app#7/test 1/2"),
            [(Name::Numbered("acme/app", 7), Some("test 1/2"))]
        );
        assert_eq!(
            readings("a#1/b#2/c"),
            [(Name::Numbered("a", 1), Some("b#2/c")), (Name::Numbered("a#1/b", 2), Some("c"))]
        );
        assert_eq!(readings("c#/f#3"), [(Name::Numbered("c#/f", 3), None)]);
        assert_eq!(readings("latest"), [(Name::Latest, None)]);
        assert_eq!(readings("latest/test"), [(Name::Latest, Some("test"))]);
        assert_eq!(readings("app#latest"), [(Name::LatestOf("app"), None)]);
        assert_eq!(readings("019a2b"), [(Name::Prefix("019a2b"), None)]);
        for nothing in ["", "019", "test", "#7", "app#", "app#x", "app#-1"] {
            assert!(readings(nothing).is_empty(), "{nothing}");
        }
    }

    #[test]
    fn what_stands_for_several_is_refused_with_a_few_of_them() {
        let found: Candidates<String> = (0..7).map(|n| (format!("id{n}"), String::new())).collect();
        let error = choose("job", "id", found).unwrap_err().to_string();
        assert!(error.contains("id0, id1, id2, id3, id4, …"), "{error}");
        let none = choose("job", "x", Candidates::<String>::new()).unwrap_err().to_string();
        assert_eq!(none, "there is no job `x`");
    }
}
