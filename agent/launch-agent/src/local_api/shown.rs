//! Part of the status that a reader may see, made once for all who may see the same.
//!
//! With a hundred readers a change costs one text, and a reader that does not read keeps no more
//! than a few of these texts alive, which others share.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use russet_protocol::local::{Status, Task};

use super::access::Access;
use crate::board::Board;

/// Text around an event, as server-sent events are written.
const BEFORE: &[u8] = b"data: ";
const AFTER: &[u8] = b"\n\n";

/// A line that says nothing, so that a reader that is gone is noticed.
const KEEP_ALIVE: &[u8] = b":\n\n";
const KEEP_ALIVE_PAUSE: Duration = Duration::from_secs(60);

/// Between two events of a reader. A job that says a new step a thousand times a second is not
/// passed on so often.
const PAUSE: Duration = Duration::from_millis(50);

/// The status for readers.
#[derive(Debug)]
pub(super) struct Shown {
    board: Arc<Board>,
    /// For those who do not see names, for those who do, and for those who may change things.
    made: Mutex<[Made; 3]>,
}

/// An event, and the change that it tells of.
#[derive(Clone, Debug, Default)]
struct Made {
    change: Option<u64>,
    event: Bytes,
}

impl Shown {
    pub(super) fn new(board: Arc<Board>) -> Self {
        Self { board, made: Mutex::default() }
    }

    /// Everything, now.
    pub(super) fn board(&self) -> &Board {
        &self.board
    }

    /// The status now.
    pub(super) fn status(&self, access: Access) -> Status {
        visible_status(self.board.status(), access)
    }

    fn event(&self, access: Access) -> Bytes {
        // Asked for first: what changes after that is told by the next event.
        let change = Some(*self.board.watch().borrow());
        // A panic in here left what was there before.
        let mut made = self.made.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let [look, read, full] = &mut *made;
        let made = match access {
            Access::Nothing | Access::Look => look,
            Access::Read => read,
            Access::Full => full,
        };
        if made.change != change {
            let mut text = BEFORE.to_vec();
            // These types always become JSON: their keys are strings.
            drop(serde_json::to_writer(&mut text, &self.status(access)));
            text.extend_from_slice(AFTER);
            *made = Made { change, event: text.into() };
        }
        made.event.clone()
    }

    /// The status now and after each change. Changes that come faster than the reader reads are
    /// one.
    pub(super) fn events(
        self: Arc<Self>,
        access: Access,
    ) -> impl Stream<Item = Result<Bytes, Infallible>> {
        let mut changes = self.board.watch();
        changes.mark_changed();
        futures_util::stream::unfold((self, changes, false), move |(shown, mut changes, again)| {
            async move {
                if again {
                    // The plain timer: nothing is due at a certain time.
                    tokio::time::sleep(PAUSE).await;
                }
                match tokio::time::timeout(KEEP_ALIVE_PAUSE, changes.changed()).await {
                    Ok(Ok(())) => Some((Ok(shown.event(access)), (shown, changes, true))),
                    Ok(Err(_)) => None,
                    Err(_) => Some((Ok(Bytes::from_static(KEEP_ALIVE)), (shown, changes, true))),
                }
            }
        })
    }
}

/// Returns the part that this reader may see.
fn visible_status(mut status: Status, access: Access) -> Status {
    status.may_change = Some(access == Access::Full);
    if matches!(access, Access::Nothing | Access::Look) {
        for slot in &mut status.slots {
            // It can quote what a job calls its files.
            slot.reason = None;
            if let Some(aside) = &mut slot.aside {
                aside.path = None;
            }
            slot.task = slot.task.take().map(|task| Task {
                class: task.class,
                since_ms: task.since_ms,
                deadline_ms: task.deadline_ms,
                usual_ms: task.usual_ms,
                canceling: task.canceling,
                ..Task::default()
            });
        }
        for task in &mut status.recent {
            (task.id, task.url, task.project, task.job) = (None, None, None, None);
            task.has_log = false;
        }
    }
    status
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::StreamExt as _;
    use russet_protocol::local::{Aside, HealthCheck, Recent, Slot, Status, Step, Task};

    use super::{Access, Board, Shown, visible_status};

    #[test]
    fn who_may_only_look_sees_nothing_that_names_a_task() {
        let secret = || Some("secret".to_owned());
        let task = Task {
            id: Some("secret".into()),
            class: Some("acme/mini".to_owned()),
            project: secret(),
            job: secret(),
            step: Some(Step { number: 1, name: "secret".to_owned() }),
            since_ms: 4_711,
            url: secret(),
            ..Task::default()
        };
        let recent = Recent {
            id: Some("secret".into()),
            project: secret(),
            job: secret(),
            url: secret(),
            ..Recent::default()
        };
        let aside = Some(Aside { path: secret(), ..Aside::default() });
        let reason = secret();
        let slots = vec![Slot { number: 1, task: Some(task), reason, aside, ..Slot::default() }];
        let status = Status { slots, recent: vec![recent], ..Status::default() };
        let text = serde_json::to_string(&visible_status(status.clone(), Access::Look)).unwrap();
        assert!(!text.contains("secret") && text.contains("4711"), "{text}");
        let open = Status { may_change: Some(false), ..status.clone() };
        assert_eq!(visible_status(status.clone(), Access::Read), open);
        let full = Status { may_change: Some(true), ..status.clone() };
        assert_eq!(visible_status(status, Access::Full), full);
    }

    #[tokio::test]
    async fn readers_of_the_same_share_a_text_and_get_the_newest() {
        let board = Arc::new(Board::default());
        let shown = Arc::new(Shown::new(Arc::clone(&board)));
        let mut first = Box::pin(Arc::clone(&shown).events(Access::Full));
        let mut second = Box::pin(Arc::clone(&shown).events(Access::Full));
        let (one, two) = (first.next().await.unwrap(), second.next().await.unwrap());
        assert_eq!(one.as_ref().unwrap().as_ptr(), two.unwrap().as_ptr());
        for count in 1..=3 {
            let check = HealthCheck { name: format!("check {count}"), ..HealthCheck::default() };
            board.health(vec![check]);
        }
        let event = first.next().await.unwrap().unwrap();
        let text = std::str::from_utf8(&event).unwrap();
        assert!(text.starts_with("data: {") && text.ends_with("}\n\n"), "{text}");
        assert!(text.contains("check 3"), "{text}");
    }
}
