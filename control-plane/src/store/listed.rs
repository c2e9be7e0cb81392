//! Pages of the lists of jobs and of workflows, by the time at which their pipelines were submitted.
//!
//! Both follow the list of pipelines, which has the indexes: a page reads pipelines a batch at a time,
//! and what belongs to a batch with one statement. Jobs that are kept from an earlier run are not
//! listed a second time.

use russet_protocol::admin::{JobItem, PipelineHead, WorkflowItem};
use russet_protocol::outcome::Phase;
use russet_protocol::resource_class::ResourceClass;

use super::pipeline_pages::{Filter, Order, Place, ids_behind};
use super::rows::{count_column, count_maybe, keys, parse, parse_maybe};
use super::sql::{Row, query};
use super::{Conn, StoreError};

/// Pipelines that are read at once.
const BATCH: u32 = 50;

/// Most pipelines that one page looks at.
const MAX_LOOKED_AT: usize = 500;

/// Place in a list: behind this part of this pipeline.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PlaceWithin {
    pipeline: Place,
    /// Number of the job, or position of the workflow.
    number: u64,
}

impl std::fmt::Display for PlaceWithin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.pipeline, self.number)
    }
}

impl PlaceWithin {
    /// Reads the token of a page.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (pipeline, number) = text.rsplit_once('.')?;
        Some(Self { pipeline: Place::parse(pipeline)?, number: number.parse().ok()? })
    }

    /// The place behind all of a pipeline.
    fn behind_all_of(pipeline: Place, order: Order) -> Self {
        let number = match order {
            Order::Newest => 0,
            Order::Oldest => u64::MAX,
        };
        Self { pipeline, number }
    }

    /// The last place of the list of pipelines that is surely before this pipeline.
    fn before_pipeline(&self, order: Order) -> Place {
        let Place { created_ms, id } = &self.pipeline;
        let id = match order {
            // `~` comes after all characters of ids.
            Order::Newest => format!("{id}~"),
            Order::Oldest => String::new(),
        };
        Place { created_ms: *created_ms, id }
    }

    fn is_behind(&self, other: &Self, order: Order) -> bool {
        match order {
            Order::Newest => self < other,
            Order::Oldest => self > other,
        }
    }
}

/// A page, and the place where the next one begins; none: the list has ended.
#[derive(Debug)]
pub(crate) struct ListPage<T> {
    pub(crate) items: Vec<T>,
    pub(crate) next: Option<PlaceWithin>,
}

/// Part of a pipeline that can be listed.
trait Listed: Sized {
    /// Selects those of some pipelines. `within` is unique within a pipeline.
    const STATEMENT: &'static str;

    /// Reads a row.
    fn from_row(row: &Row) -> Result<Self, StoreError>;

    /// The state in one word.
    fn state(&self) -> &'static str;
}

impl Listed for JobItem {
    const STATEMENT: &'static str = "SELECT j.id, j.workflow, j.number AS within, j.name, j.class, \
        j.phase, j.outcome, j.message, j.started_ms, j.ended_ms, j.runner, \
        w.name AS workflow_name, w.run, p.id AS pipeline, p.number AS pipeline_number, \
        p.project AS project, p.branch, p.author, p.created_ms FROM json_each($1) AS page \
        CROSS JOIN pipelines AS p CROSS JOIN jobs AS j CROSS JOIN workflows AS w \
        WHERE p.id = page.value AND p.deleting = 0 AND j.pipeline = p.id \
        AND j.kept_from IS NULL AND w.id = j.workflow";

    fn from_row(row: &Row) -> Result<Self, StoreError> {
        let has_class = !row.try_get::<String>("class")?.is_empty();
        let class = || parse::<ResourceClass>(row, "class");
        Ok(Self {
            id: row.try_get::<String>("id")?.into(),
            pipeline: pipeline_head(row)?,
            workflow: row.try_get::<String>("workflow")?.into(),
            workflow_name: row.try_get("workflow_name")?,
            run: row.try_get("run")?,
            number: count_column(row, "within")?,
            name: row.try_get("name")?,
            resource_class: has_class.then(class).transpose()?,
            phase: parse(row, "phase")?,
            outcome: parse_maybe(row, "outcome")?,
            message: row.try_get("message")?,
            started_ms: count_maybe(row, "started_ms")?,
            ended_ms: count_maybe(row, "ended_ms")?,
            runner: row.try_get("runner")?,
        })
    }

    fn state(&self) -> &'static str {
        self.phase.with_outcome(self.outcome)
    }
}

impl Listed for WorkflowItem {
    const STATEMENT: &'static str = "SELECT w.id, w.position AS within, w.name, w.phase, \
        w.outcome, w.run, p.id AS pipeline, p.number AS pipeline_number, p.project AS project, \
        p.branch, p.author, p.created_ms, \
        (SELECT count(*) FROM jobs AS j WHERE j.workflow = w.id) AS jobs, \
        (SELECT min(j.started_ms) FROM jobs AS j WHERE j.workflow = w.id \
        AND j.kept_from IS NULL) AS started_ms, \
        (SELECT max(j.ended_ms) FROM jobs AS j WHERE j.workflow = w.id \
        AND j.kept_from IS NULL) AS ended_ms FROM json_each($1) AS page \
        CROSS JOIN pipelines AS p CROSS JOIN workflows AS w \
        WHERE p.id = page.value AND p.deleting = 0 AND w.pipeline = p.id";

    fn from_row(row: &Row) -> Result<Self, StoreError> {
        let phase: Phase = parse(row, "phase")?;
        let ended_ms = count_maybe(row, "ended_ms")?.filter(|_| phase == Phase::Ended);
        Ok(Self {
            id: row.try_get::<String>("id")?.into(),
            pipeline: pipeline_head(row)?,
            name: row.try_get("name")?,
            phase,
            outcome: parse_maybe(row, "outcome")?,
            run: row.try_get("run")?,
            jobs: count_column(row, "jobs")?,
            started_ms: count_maybe(row, "started_ms")?,
            ended_ms,
        })
    }

    fn state(&self) -> &'static str {
        self.phase.with_outcome(self.outcome)
    }
}

fn pipeline_head(row: &Row) -> Result<PipelineHead, StoreError> {
    Ok(PipelineHead {
        id: row.try_get::<String>("pipeline")?.into(),
        number: count_column(row, "pipeline_number")?,
        project: row.try_get("project")?,
        branch: row.try_get("branch")?,
        author: row.try_get("author")?,
        created_ms: count_column(row, "created_ms")?,
    })
}

/// Returns the page of jobs behind a place, of at most `limit` of those that the filter names, whose
/// state is that of the jobs themselves.
pub(crate) async fn read_jobs(
    conn: &mut Conn,
    filter: &Filter,
    after: Option<PlaceWithin>,
    limit: u32,
) -> Result<ListPage<JobItem>, StoreError> {
    read_listed(conn, filter, after, limit).await
}

/// Returns the page of workflows behind a place, of at most `limit` of those that the filter names,
/// whose state is that of the workflows themselves.
pub(crate) async fn read_workflows(
    conn: &mut Conn,
    filter: &Filter,
    after: Option<PlaceWithin>,
    limit: u32,
) -> Result<ListPage<WorkflowItem>, StoreError> {
    read_listed(conn, filter, after, limit).await
}

async fn read_listed<T: Listed>(
    conn: &mut Conn,
    filter: &Filter,
    after: Option<PlaceWithin>,
    limit: u32,
) -> Result<ListPage<T>, StoreError> {
    let (order, limit) = (filter.order, usize::try_from(limit).unwrap_or(usize::MAX));
    let before = after.as_ref().map(|after| after.before_pipeline(order));
    let mut from = filter.begin_behind(before);
    let (mut items, mut last) = (Vec::new(), None);
    let mut looked_at = 0;
    loop {
        let batch = ids_behind(conn, filter, &from, BATCH).await?;
        let wanted = batch.iter().filter(|(_, passes)| *passes);
        let ids: Vec<&str> = wanted.map(|(place, _)| place.id.as_str()).collect();
        for (place, item) in of_pipelines::<T>(conn, &ids, order).await? {
            let is_before = after.as_ref().is_some_and(|after| !place.is_behind(after, order));
            if is_before || filter.state.as_ref().is_some_and(|state| item.state() != state) {
                continue;
            }
            if items.len() == limit {
                return Ok(ListPage { items, next: last });
            }
            items.push(item);
            last = Some(place);
        }
        let is_end = batch.len() < usize::try_from(BATCH).unwrap_or(usize::MAX);
        looked_at += batch.len();
        let Some((end, _)) = batch.into_iter().next_back().filter(|_| !is_end) else {
            return Ok(ListPage { items, next: None });
        };
        if looked_at >= MAX_LOOKED_AT {
            let next = Some(PlaceWithin::behind_all_of(end, order));
            return Ok(ListPage { items, next });
        }
        from = end;
    }
}

/// Returns what belongs to some pipelines, in order.
async fn of_pipelines<T: Listed>(
    conn: &mut Conn,
    ids: &[&str],
    order: Order,
) -> Result<Vec<(PlaceWithin, T)>, StoreError> {
    let rows = query(T::STATEMENT).bind(keys(ids.iter().copied())?).fetch_all(conn).await?;
    let mut found = Vec::with_capacity(rows.len());
    for row in &rows {
        let created_ms = count_column(row, "created_ms")?;
        let pipeline = Place { created_ms, id: row.try_get("pipeline")? };
        found.push((
            PlaceWithin { pipeline, number: count_column(row, "within")? },
            T::from_row(row)?,
        ));
    }
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    if order == Order::Newest {
        found.reverse();
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::{Order, Place, PlaceWithin};

    #[test]
    fn a_token_is_read_as_it_was_written_and_nothing_else_is() {
        let pipeline = Place { created_ms: 17, id: "019a-b".to_owned() };
        let place = PlaceWithin { pipeline: pipeline.clone(), number: 3 };
        assert_eq!(PlaceWithin::parse(&place.to_string()), Some(place));
        for order in [Order::Newest, Order::Oldest] {
            let end = PlaceWithin::behind_all_of(pipeline.clone(), order);
            assert_eq!(PlaceWithin::parse(&end.to_string()), Some(end));
        }
        for bad in ["", "17", "17.a", "17.a.", "17.a.x", "17..3", "17.a.-1"] {
            assert_eq!(PlaceWithin::parse(bad), None, "{bad}");
        }
    }
}
