//! Pages of the list of pipelines, by the time of submission.
//!
//! A page begins behind the last pipeline of the one before it, so that one far back costs no more
//! than the first. Filters that no index serves are applied to a bounded part of the list at a time:
//! a page may then have few pipelines, or none, and say where to go on.

use std::collections::HashMap;

use russet_protocol::admin::Pipeline;

use super::rows::{count_column, int_value, keys};
use super::sql::{Query, query};
use super::{Conn, StoreError, pipelines};

/// Most pipelines that one page looks at for a filter that no index serves.
const MAX_LOOKED_AT: u32 = 500;

/// States of pipelines that have not ended.
pub(crate) const OPEN_PIPELINES: [&str; 3] = ["queued", "running", "on_hold"];

/// States of pipelines, workflows and jobs that have ended.
pub(crate) const OUTCOMES: [&str; 7] =
    ["success", "failed", "canceled", "timedout", "infrastructure_fail", "unauthorized", "not_run"];

/// Pipelines whose states are looked up by one statement: a page is often full before the last.
const STATES_AT_ONCE: usize = 125;

/// Order of a list, by the time of submission.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Order {
    #[default]
    Newest,
    Oldest,
}

/// Which pipelines are listed, and in which order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    pub(crate) order: Order,
    /// Projects that the list is bounded to; `None`: none of them is hidden.
    pub(crate) within: Option<Vec<String>>,
    pub(crate) project: Option<String>,
    pub(crate) branch: Option<String>,
    pub(crate) author: Option<String>,
    /// A word such as `running` or `failed`, which is that of the last runs of its workflows.
    pub(crate) state: Option<String>,
    /// From this time on, in milliseconds since 1970.
    pub(crate) since_ms: Option<u64>,
    /// Before this time, in milliseconds since 1970.
    pub(crate) until_ms: Option<u64>,
}

/// Place in the list: behind this pipeline.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) created_ms: u64,
    pub(crate) id: String,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.created_ms, self.id)
    }
}

impl Place {
    /// Reads the token of a page.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (time, id) = text.split_once('.')?;
        let is_id = !id.is_empty() && id.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
        Some(Self { created_ms: time.parse().ok().filter(|_| is_id)?, id: id.to_owned() })
    }
}

/// A page, and the place where the next one begins; none: the list has ended.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) items: Vec<Pipeline>,
    pub(crate) next: Option<Place>,
}

impl Filter {
    /// Returns true if an index leads to just those that are wanted.
    fn is_indexed(&self) -> bool {
        self.state.is_none()
            && match (&self.project, &self.branch, &self.author) {
                (_, None, None) | (Some(_), Some(_), None) => true,
                (None, None, Some(_)) => self.within.is_none(),
                _ => false,
            }
    }
}

impl Filter {
    /// Returns true where the project that is wanted is none of those that may be listed.
    fn is_hidden(&self) -> bool {
        match (&self.project, &self.within) {
            (Some(project), Some(within)) => !within.contains(project),
            (None, Some(within)) => within.is_empty(),
            (_, None) => false,
        }
    }

    /// Returns the place behind which the list goes on: the one that is named, or where the times that
    /// are wanted begin.
    pub(super) fn begin_behind(&self, named: Option<Place>) -> Place {
        let at = |created_ms| Place { created_ms, id: String::new() };
        match self.order {
            Order::Newest => {
                let first = at(self.until_ms.unwrap_or(i64::MAX.cast_unsigned()));
                named.filter(|named| *named < first).unwrap_or(first)
            }
            Order::Oldest => {
                let first = at(self.since_ms.unwrap_or(0));
                named.filter(|named| *named > first).unwrap_or(first)
            }
        }
    }
}

/// Returns the page behind a place, of at most `limit` pipelines.
pub(crate) async fn read_page(
    conn: &mut Conn,
    filter: &Filter,
    after: Option<Place>,
    limit: u32,
) -> Result<Page, StoreError> {
    let looked_at = if filter.is_indexed() { limit + 1 } else { MAX_LOOKED_AT.max(limit + 1) };
    let after = filter.begin_behind(after);
    let found = ids_behind(conn, filter, &after, looked_at).await?;
    let has_more = found.len() == usize::try_from(looked_at).unwrap_or(usize::MAX);
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut next = found.last().map(|(place, _)| place.clone()).filter(|_| has_more);
    let candidates: Vec<Place> =
        found.into_iter().filter_map(|(place, passes)| passes.then_some(place)).collect();
    let mut wanted = match &filter.state {
        Some(state) => of_state(conn, &candidates, state, most + 1).await?,
        None => candidates,
    };
    if wanted.len() > most {
        wanted.truncate(most);
        next = wanted.last().cloned();
    }
    let ids: Vec<&str> = wanted.iter().map(|place| place.id.as_str()).collect();
    Ok(Page { items: pipelines::get_all(conn, &ids).await?, next })
}

/// Returns the first of some pipelines that are in a state, `most` of them at least where there are
/// as many.
async fn of_state(
    conn: &mut Conn,
    candidates: &[Place],
    state: &str,
    most: usize,
) -> Result<Vec<Place>, StoreError> {
    let mut wanted = Vec::new();
    for part in candidates.chunks(STATES_AT_ONCE) {
        if wanted.len() >= most {
            break;
        }
        let states = states_of(conn, part.iter().map(|place| place.id.as_str())).await?;
        let is_in_state = |place: &&Place| states.get(&place.id).is_some_and(|it| it == state);
        wanted.extend(part.iter().filter(is_in_state).cloned());
    }
    Ok(wanted)
}

/// The next pipelines of the list, each with whether it passes the filter.
pub(super) async fn ids_behind(
    conn: &mut Conn,
    filter: &Filter,
    after: &Place,
    most: u32,
) -> Result<Vec<(Place, bool)>, StoreError> {
    if filter.is_hidden() {
        return Ok(Vec::new());
    }
    let (leading, end) = match filter.order {
        Order::Newest => (newest_behind(filter)?, filter.since_ms.unwrap_or(0)),
        Order::Oldest => (oldest_behind(filter)?, filter.until_ms.unwrap_or(u64::MAX)),
    };
    let rows = leading
        .bind(int_value(after.created_ms))
        .bind(&after.id)
        .bind(int_value(end))
        .bind(most)
        .fetch_all(conn)
        .await?;
    let mut found = Vec::with_capacity(rows.len());
    for row in &rows {
        let place = Place { created_ms: count_column(row, "created_ms")?, id: row.try_get("id")? };
        let has = |wanted: &Option<String>, column: &str| -> Result<bool, StoreError> {
            let value: Option<String> = row.try_get(column)?;
            Ok(wanted.is_none() || *wanted == value)
        };
        let passes = has(&filter.project, "project")?
            && has(&filter.branch, "branch")?
            && has(&filter.author, "author")?;
        found.push((place, passes));
    }
    Ok(found)
}

/// Begins the statement of a list that goes back in time.
fn newest_behind(filter: &Filter) -> Result<Query<'_>, StoreError> {
    if let (None, Some(within)) = (&filter.project, &filter.within) {
        // Of each project as many as the whole page may have, from its index; then the first of all.
        let statement = query(
            "SELECT p.id, p.created_ms, p.project, p.branch, p.author FROM json_each($1) AS named \
             CROSS JOIN pipelines AS p WHERE p.project = named.value \
             AND (p.created_ms, p.id) < ($2, $3) AND p.created_ms >= $4 AND p.created_ms >= coalesce( \
             (SELECT b.created_ms FROM pipelines AS b WHERE b.project = named.value \
             AND (b.created_ms, b.id) < ($2, $3) ORDER BY b.created_ms DESC, b.id DESC \
             LIMIT 1 OFFSET $5), 0) ORDER BY p.created_ms DESC, p.id DESC LIMIT $5",
        );
        return Ok(statement.bind(keys(within)?));
    }
    Ok(match (&filter.project, &filter.branch, &filter.author) {
        (Some(project), Some(branch), _) => query(
            "SELECT id, created_ms, project, branch, author FROM pipelines WHERE project = $1 \
             AND branch = $2 AND (created_ms, id) < ($3, $4) AND created_ms >= $5 \
             ORDER BY created_ms DESC, id DESC LIMIT $6",
        )
        .bind(project)
        .bind(branch),
        (_, _, Some(author)) => query(
            "SELECT id, created_ms, project, branch, author FROM pipelines WHERE author = $1 \
             AND (created_ms, id) < ($2, $3) AND created_ms >= $4 \
             ORDER BY created_ms DESC, id DESC LIMIT $5",
        )
        .bind(author),
        (Some(project), _, None) => query(
            "SELECT id, created_ms, project, branch, author FROM pipelines WHERE project = $1 \
             AND (created_ms, id) < ($2, $3) AND created_ms >= $4 \
             ORDER BY created_ms DESC, id DESC LIMIT $5",
        )
        .bind(project),
        (None, _, None) => query(
            "SELECT id, created_ms, project, branch, author FROM pipelines \
             WHERE (created_ms, id) < ($1, $2) AND created_ms >= $3 \
             ORDER BY created_ms DESC, id DESC LIMIT $4",
        ),
    })
}

/// Begins the statement of a list that goes forward in time.
fn oldest_behind(filter: &Filter) -> Result<Query<'_>, StoreError> {
    if let (None, Some(within)) = (&filter.project, &filter.within) {
        let statement = query(
            "SELECT p.id, p.created_ms, p.project, p.branch, p.author FROM json_each($1) AS named \
             CROSS JOIN pipelines AS p WHERE p.project = named.value \
             AND (p.created_ms, p.id) > ($2, $3) AND p.created_ms < $4 AND p.created_ms <= coalesce( \
             (SELECT b.created_ms FROM pipelines AS b WHERE b.project = named.value \
             AND (b.created_ms, b.id) > ($2, $3) ORDER BY b.created_ms, b.id \
             LIMIT 1 OFFSET $5), $4) ORDER BY p.created_ms, p.id LIMIT $5",
        );
        return Ok(statement.bind(keys(within)?));
    }
    Ok(match (&filter.project, &filter.branch, &filter.author) {
        (Some(project), Some(branch), _) => query(
            "SELECT id, created_ms, project, branch, author FROM pipelines WHERE project = $1 \
             AND branch = $2 AND (created_ms, id) > ($3, $4) AND created_ms < $5 \
             ORDER BY created_ms, id LIMIT $6",
        )
        .bind(project)
        .bind(branch),
        (_, _, Some(author)) => query(
            "SELECT id, created_ms, project, branch, author FROM pipelines WHERE author = $1 \
             AND (created_ms, id) > ($2, $3) AND created_ms < $4 \
             ORDER BY created_ms, id LIMIT $5",
        )
        .bind(author),
        (Some(project), _, None) => query(
            "SELECT id, created_ms, project, branch, author FROM pipelines WHERE project = $1 \
             AND (created_ms, id) > ($2, $3) AND created_ms < $4 \
             ORDER BY created_ms, id LIMIT $5",
        )
        .bind(project),
        (None, _, None) => query(
            "SELECT id, created_ms, project, branch, author FROM pipelines \
             WHERE (created_ms, id) > ($1, $2) AND created_ms < $3 \
             ORDER BY created_ms, id LIMIT $4",
        ),
    })
}

/// Returns the states of pipelines in one word each: that of the last runs of its workflows.
async fn states_of(
    conn: &mut Conn,
    ids: impl IntoIterator<Item = &str>,
) -> Result<HashMap<String, String>, StoreError> {
    let rows = query(
        "SELECT page.value AS id, CASE WHEN EXISTS (SELECT 1 FROM workflows AS w \
         WHERE w.pipeline = page.value AND w.phase = 'running') \
         THEN 'running' WHEN EXISTS (SELECT 1 FROM workflows AS w CROSS JOIN jobs AS j \
         WHERE w.pipeline = page.value AND j.workflow = w.id AND j.phase != 'ended' \
         AND j.phase = 'on_hold') THEN 'on_hold' WHEN EXISTS (SELECT 1 FROM workflows AS w \
         WHERE w.pipeline = page.value AND w.phase != 'ended') \
         THEN 'queued' ELSE coalesce((SELECT w.outcome FROM workflows AS w \
         WHERE w.pipeline = page.value AND w.outcome != 'success' AND NOT EXISTS \
         (SELECT 1 FROM workflows AS n WHERE n.pipeline = page.value \
         AND coalesce(n.origin, n.id) = coalesce(w.origin, w.id) AND n.run > w.run) \
         ORDER BY w.position LIMIT 1), 'success') END AS state FROM json_each($1) AS page",
    )
    .bind(keys(ids)?)
    .fetch_all(conn)
    .await?;
    rows.iter().map(|row| Ok((row.try_get("id")?, row.try_get("state")?))).collect()
}

#[cfg(test)]
mod tests {
    use super::Place;

    #[test]
    fn a_token_is_read_as_it_was_written_and_nothing_else_is() {
        let place = Place { created_ms: 17, id: "019a-b".to_owned() };
        assert_eq!(Place::parse(&place.to_string()), Some(place));
        for bad in ["", "17", "17.", ".a", "x.a", "17.a'b", "-1.a"] {
            assert_eq!(Place::parse(bad), None, "{bad}");
        }
    }
}
