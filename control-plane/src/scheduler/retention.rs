//! Decides which pipelines of a project go, and what goes of those that stay. Pure.

use russet_protocol::ids::PipelineId;
use russet_protocol::keeping::Retention;

/// Parts of a pipeline that may go before it. The numbers are those of `pipelines.trimmed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Output = 1,
    Artifacts = 2,
    Tests = 4,
}

/// Facts about a pipeline that the decision goes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) id: PipelineId,
    pub(crate) created_ms: i64,
    /// Bytes of its output and artifacts; 0 where no limit asks for them.
    pub(crate) bytes: u64,
    pub(crate) is_pinned: bool,
    pub(crate) is_running: bool,
    /// Parts that have gone: the sum of their numbers.
    pub(crate) trimmed: i64,
}

/// Effect of the retention on a pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    Delete(PipelineId),
    Trim(PipelineId, Part),
}

/// Returns a limit; 0 stands for none.
fn limit(setting: Option<u64>) -> Option<u64> {
    setting.filter(|limit| *limit > 0)
}

fn is_older(created_ms: i64, now_ms: i64, age_ms: Option<u64>) -> bool {
    limit(age_ms).is_some_and(|age| {
        now_ms.saturating_sub(created_ms) > i64::try_from(age).unwrap_or(i64::MAX)
    })
}

/// Returns what is due of the pipelines of a project, which come newest first. Pipelines that are
/// pinned count, and stay; so does the newest, whatever its bytes.
pub(crate) fn due_of_project(pipelines: &[Kept], keep: Retention, now_ms: i64) -> Vec<Due> {
    let mut due = Vec::new();
    let mut bytes: u64 = 0;
    for (index, pipeline) in pipelines.iter().enumerate() {
        bytes = bytes.saturating_add(pipeline.bytes);
        if pipeline.is_pinned || pipeline.is_running {
            continue;
        }
        let is_beyond = limit(keep.pipelines).is_some_and(|most| index as u64 >= most)
            || (index > 0 && limit(keep.bytes).is_some_and(|most| bytes > most));
        if is_beyond || is_older(pipeline.created_ms, now_ms, keep.pipeline_age_ms) {
            due.push(Due::Delete(pipeline.id.clone()));
            continue;
        }
        let parts = [
            (Part::Output, keep.output_age_ms),
            (Part::Artifacts, keep.artifact_age_ms),
            (Part::Tests, keep.test_age_ms),
        ];
        for (part, age_ms) in parts {
            let has_gone = pipeline.trimmed & part as i64 != 0;
            if !has_gone && is_older(pipeline.created_ms, now_ms, age_ms) {
                due.push(Due::Trim(pipeline.id.clone(), part));
            }
        }
    }
    due
}

#[cfg(test)]
mod tests {
    use super::{Due, Kept, Part, due_of_project};
    use russet_protocol::keeping::Retention;

    /// Pipelines `9`, `8`, … of 10 bytes each, a millisecond apart.
    fn history() -> Vec<Kept> {
        (0..10_i64)
            .rev()
            .map(|n| Kept {
                id: n.to_string().into(),
                created_ms: n,
                bytes: 10,
                is_pinned: n == 2,
                is_running: n == 1,
                trimmed: 0,
            })
            .collect()
    }

    fn deleted(keep: Retention) -> Vec<String> {
        let due = due_of_project(&history(), keep, 10);
        due.iter()
            .map(|due| match due {
                Due::Delete(id) | Due::Trim(id, _) => id.to_string(),
            })
            .collect()
    }

    #[test]
    fn the_oldest_go_by_age_count_and_bytes_but_not_what_is_pinned_or_runs() {
        let none = Retention::default();
        assert!(deleted(none).is_empty());
        assert!(deleted(Retention { pipelines: Some(0), bytes: Some(0), ..none }).is_empty());
        assert_eq!(deleted(Retention { pipelines: Some(6), ..none }), ["3", "0"]);
        assert_eq!(deleted(Retention { pipeline_age_ms: Some(6), ..none }), ["3", "0"]);
        assert_eq!(deleted(Retention { bytes: Some(65), ..none }), ["3", "0"]);
        let all_but_the_newest = deleted(Retention { bytes: Some(1), ..none });
        assert_eq!(all_but_the_newest, ["8", "7", "6", "5", "4", "3", "0"]);
    }

    #[test]
    fn a_part_goes_once_and_before_its_pipeline() {
        let keep = Retention {
            pipeline_age_ms: Some(6),
            artifact_age_ms: Some(4),
            ..Retention::default()
        };
        let mut pipelines = history();
        let parts = |pipelines: &[Kept]| -> Vec<Due> {
            let due = due_of_project(pipelines, keep, 10);
            due.into_iter().filter(|due| matches!(due, Due::Trim(..))).collect()
        };
        let five = Due::Trim("5".to_owned().into(), Part::Artifacts);
        assert_eq!(parts(&pipelines), [five, Due::Trim("4".to_owned().into(), Part::Artifacts)]);
        for pipeline in &mut pipelines {
            pipeline.trimmed = 2;
        }
        assert!(parts(&pipelines).is_empty());
    }
}
