//! Room in limits of tasks: which of the jobs that wait for it gets it next.
//!
//! The limits of a project, of its namespace and of a class hold at the same time. Among projects, the one
//! that has the least in line and running comes first; within a project the oldest job of each class does. A
//! job of more tasks than a limit allows has room there when nothing else does.

use std::collections::HashMap;

use russet_protocol::limits::LimitScope;
use russet_protocol::resource_class::ResourceClass;

use crate::contention;
use crate::state::App;
use crate::store::task_limits::{self, FirstWaiting, Limit};
use crate::store::tasks::{self, NewTasks};
use crate::store::{StoreError, WriteTx, jobs, locks};

/// Beginning of the message of a job that waits.
const ROOM_WAIT: &str = "it waits for room: ";

/// Returns true for the message of a job that waits for room.
pub(crate) fn is_room_wait(message: &str) -> bool {
    message.starts_with(ROOM_WAIT)
}

/// Returns true if a limit has room for so many more tasks.
fn has_room(most: u32, used: u64, wanted: u32) -> bool {
    used == 0 || used.saturating_add(u64::from(wanted)) <= u64::from(most)
}

/// Returns the message of a job that waits in these limits.
fn wait_text(limits: &[Limit]) -> String {
    let of = |limit: &Limit| {
        format!("at most {} of the {} `{}`", limit.most, limit.scope.as_str(), limit.name)
    };
    let all: Vec<String> = limits.iter().map(of).collect();
    format!("{ROOM_WAIT}tasks at once are limited, {}", all.join(", "))
}

/// The limits, and what is used of them and by projects, as far as it was looked at.
#[derive(Debug)]
struct Room {
    limits: Vec<Limit>,
    used: HashMap<(LimitScope, String), u64>,
}

impl Room {
    async fn look(tx: &mut WriteTx) -> Result<Self, StoreError> {
        Ok(Self { limits: task_limits::list(tx).await?, used: HashMap::new() })
    }

    async fn used(
        &mut self,
        tx: &mut WriteTx,
        scope: LimitScope,
        name: &str,
    ) -> Result<u64, StoreError> {
        let key = (scope, name.to_owned());
        if let Some(used) = self.used.get(&key) {
            return Ok(*used);
        }
        let used = task_limits::used(tx, scope, name).await?;
        self.used.insert(key, used);
        Ok(used)
    }

    fn of(&self, project: &str, class: &ResourceClass) -> Vec<Limit> {
        let all = self.limits.iter();
        all.filter(|limit| limit.is_for(project, class.as_str())).cloned().collect()
    }

    async fn is_for(&mut self, tx: &mut WriteTx, job: &FirstWaiting) -> Result<bool, StoreError> {
        for limit in self.of(&job.project, &job.class) {
            let used = self.used(tx, limit.scope, &limit.name).await?;
            if !has_room(limit.most, used, job.parallelism) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Counts the tasks of a job that has got room.
    fn take(&mut self, job: &FirstWaiting) {
        let of_job = self.of(&job.project, &job.class).into_iter();
        let mut keys: Vec<_> = of_job.map(|limit| (limit.scope, limit.name)).collect();
        keys.push((LimitScope::Project, job.project.clone()));
        keys.sort_unstable();
        keys.dedup();
        for key in keys {
            if let Some(used) = self.used.get_mut(&key) {
                *used = used.saturating_add(u64::from(job.parallelism));
            }
        }
    }
}

/// Lets a job wait where a limit is for it. Returns false where none is.
pub(crate) async fn wait_for_room(
    tx: &mut WriteTx,
    new: NewTasks<'_>,
    project: &str,
) -> Result<bool, StoreError> {
    locks::limits(tx).await?;
    let room = Room::look(tx).await?;
    let limits = room.of(project, new.class);
    if limits.is_empty() {
        return Ok(false);
    }
    let message = wait_text(&limits);
    task_limits::await_room(tx, new.job, &message, new.now_ms).await?;
    Ok(true)
}

/// Puts jobs that wait for room into the line, as many as there is room for.
pub(crate) async fn give_room(tx: &mut WriteTx, now_ms: i64) -> Result<(), StoreError> {
    locks::limits(tx).await?;
    let mut waiting = first_of_all_pairs(tx).await?;
    if waiting.is_empty() {
        return Ok(());
    }
    let mut room = Room::look(tx).await?;
    while let Some(index) = choose(tx, &mut room, &waiting).await? {
        let job = waiting.swap_remove(index);
        task_limits::give_room(tx, &job.id).await?;
        jobs::set_queued(tx, &job.id, None, now_ms).await?;
        let FirstWaiting { id, pipeline, class, parallelism, .. } = &job;
        let new = NewTasks { job: id, pipeline, class, parallelism: *parallelism, run: 0, now_ms };
        tasks::enqueue_new(tx, new).await?;
        tx.wake_pipeline(job.pipeline.as_str());
        room.take(&job);
        let pair = (job.project.as_str(), job.class.as_str());
        waiting.extend(task_limits::first_of_pair(tx, pair).await?);
    }
    Ok(())
}

/// Gives what room there is when a server starts: an older one that used the database gave none when its jobs
/// ended.
pub(crate) async fn resume(app: &App) -> Result<(), StoreError> {
    if task_limits::list(&mut app.store.read().await?).await?.is_empty() {
        return Ok(());
    }
    contention::retry(|| async {
        let mut tx = app.store.write().await?;
        give_room(&mut tx, app.clock.wall_ms()).await?;
        tx.commit().await
    })
    .await
}

async fn first_of_all_pairs(tx: &mut WriteTx) -> Result<Vec<FirstWaiting>, StoreError> {
    let mut all: Vec<FirstWaiting> = Vec::new();
    loop {
        let last = all.last().map_or(("", ""), |job| (job.project.as_str(), job.class.as_str()));
        match task_limits::next_pair(tx, last).await? {
            Some(job) => all.push(job),
            None => return Ok(all),
        }
    }
}

/// Returns the place of the job that comes next, of those that there is room for.
async fn choose(
    tx: &mut WriteTx,
    room: &mut Room,
    waiting: &[FirstWaiting],
) -> Result<Option<usize>, StoreError> {
    let mut best = None;
    for (index, job) in waiting.iter().enumerate() {
        if !room.is_for(tx, job).await? {
            continue;
        }
        let of_project = room.used(tx, LimitScope::Project, &job.project).await?;
        let rank = (of_project, job.queued_ms, index);
        if best.is_none_or(|best| rank < best) {
            best = Some(rank);
        }
    }
    Ok(best.map(|(_, _, index)| index))
}

#[cfg(test)]
mod tests {
    use russet_protocol::limits::LimitScope;

    use super::{has_room, is_room_wait, wait_text};
    use crate::store::task_limits::Limit;

    #[test]
    fn a_limit_has_room_up_to_what_it_allows_and_for_a_larger_job_alone() {
        assert!(has_room(4, 3, 1) && !has_room(4, 4, 1) && !has_room(4, 3, 2));
        assert!(has_room(4, 0, 8) && !has_room(4, 1, 8));
    }

    #[test]
    fn a_limit_is_for_its_project_its_namespace_or_its_class() {
        let limit = |scope, name: &str| Limit {
            scope,
            name: name.to_owned(),
            most: 2,
            set_by: String::new(),
            set_ms: 0,
        };
        let project = limit(LimitScope::Project, "acme/app");
        assert!(project.is_for("acme/app", "x/y") && !project.is_for("acme/app2", "x/y"));
        let namespace = limit(LimitScope::Namespace, "acme");
        assert!(namespace.is_for("acme/app", "x/y") && !namespace.is_for("acme2/app", "x/y"));
        assert!(!namespace.is_for("acme", "x/y"));
        let class = limit(LimitScope::Class, "x/y");
        assert!(class.is_for("a", "x/y") && !class.is_for("a", "x/yz"));
        let text = wait_text(&[project, class]);
        assert!(is_room_wait(&text), "{text}");
        assert!(text.contains("at most 2 of the project `acme/app`, at most 2 of the class `x/y`"));
    }
}
