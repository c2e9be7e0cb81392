//! Rights on the local API.
//!
//! Threats: a job that looks at other projects' names, pauses the machine or cancels the tasks of
//! others; and anybody with an account here, who may see that the machine works but not on what.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use nix::unistd::{Uid, User};
use tokio::sync::Mutex;

use russet_platform::clock::{BootTime, Clock};
use russet_platform::users;

/// Time for which an answer of the user database holds. Somebody who is taken out of a group is no
/// operator after that.
const HOLDS: Duration = Duration::from_secs(30);

/// A directory service that takes longer is taken to say no, and is asked again after a while.
const PATIENCE: Duration = Duration::from_secs(5);

/// More users than this machine has people: what is known is forgotten then.
const MOST_KNOWN: usize = 256;

/// The rules of one agent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Policy {
    /// User that runs the agent.
    pub(crate) owner: u32,
    /// Users that tasks run as, where they are not the owner itself.
    pub(crate) slot_users: Vec<u32>,
    /// Names of users, and of groups with `%` before them, that may do everything.
    pub(crate) operators: Vec<String>,
    /// Set if everybody here may see names of projects and jobs.
    pub(crate) is_open: bool,
}

/// Rights of a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Nothing: tasks run as this user.
    Nothing,
    /// See the state, without names.
    Look,
    /// See everything, change nothing.
    Read,
    /// Everything.
    Full,
}

impl Policy {
    /// Returns the rights of a user, where they are known without asking anybody.
    pub(super) fn plain_access(&self, uid: u32) -> Option<Access> {
        if uid != self.owner && (self.slot_users.contains(&uid) || is_task_id(uid)) {
            return Some(Access::Nothing);
        }
        if uid == 0 || uid == self.owner {
            return Some(Access::Full);
        }
        self.operators.is_empty().then(|| self.others())
    }

    /// Returns the rights of users who are not operators.
    fn others(&self) -> Access {
        if self.is_open { Access::Read } else { Access::Look }
    }

    /// Asks the user database, which may be a directory service far away.
    fn is_operator(&self, uid: u32) -> bool {
        let Ok(Some(user)) = User::from_uid(Uid::from_raw(uid)) else { return false };
        let groups = users::group_names(&user).unwrap_or_default();
        self.operators.iter().any(|operator| match operator.strip_prefix('%') {
            Some(group) => groups.iter().any(|name| name == group),
            None => *operator == user.name,
        })
    }
}

/// Returns true if the id is one of those that tasks have where no user is set up.
fn is_task_id(uid: u32) -> bool {
    users::OWN_IDS.contains(&uid)
}

/// The rules, and what the user database said lately.
///
/// Membership is the system's own word (`getgrouplist`), which on macOS knows directory services
/// and groups in groups. The look-up blocks, so it has a thread of its own: neither the agent nor
/// root and the agent's owner ever wait for it.
#[derive(Clone, Debug)]
pub(super) struct Gate {
    policy: Arc<Policy>,
    clock: Clock,
    known: Arc<Mutex<HashMap<u32, (bool, BootTime)>>>,
}

impl Gate {
    pub(super) fn new(policy: Policy, clock: Clock) -> Self {
        Self { policy: Arc::new(policy), clock, known: Arc::default() }
    }

    /// Returns the rights of a user.
    pub(super) async fn access(&self, uid: u32) -> Access {
        if let Some(access) = self.policy.plain_access(uid) {
            return access;
        }
        if self.is_operator(uid).await { Access::Full } else { self.policy.others() }
    }

    async fn is_operator(&self, uid: u32) -> bool {
        // One look-up at a time: a directory that does not answer takes one thread, not all.
        let mut known = self.known.lock().await;
        let now = self.clock.now();
        if let Some((is_operator, at)) = known.get(&uid)
            && now.since(*at) < HOLDS
        {
            return *is_operator;
        }
        let policy = Arc::clone(&self.policy);
        let look = tokio::task::spawn_blocking(move || policy.is_operator(uid));
        let is_operator = tokio::select! {
            found = look => found.unwrap_or(false),
            () = self.clock.sleep(PATIENCE) => {
                tracing::warn!(uid, "the user database does not say whether this is an operator");
                false
            }
        };
        if known.len() >= MOST_KNOWN {
            known.clear();
        }
        known.insert(uid, (is_operator, self.clock.now()));
        is_operator
    }
}

#[cfg(test)]
mod tests {
    use super::{Access, Gate, HOLDS, Policy};
    use russet_platform::clock::Clock;

    fn gate(policy: Policy) -> Gate {
        Gate::new(policy, Clock::system())
    }

    #[tokio::test]
    async fn a_tasks_user_may_do_nothing_even_as_an_operator() {
        let daemon = nix::unistd::User::from_name("daemon").unwrap().unwrap().uid.as_raw();
        let gate = gate(Policy {
            slot_users: vec![daemon],
            operators: vec!["daemon".to_owned()],
            is_open: true,
            ..Policy::default()
        });
        assert_eq!(gate.access(daemon).await, Access::Nothing);
        assert_eq!(gate.access(59_001).await, Access::Nothing);
        assert_eq!(gate.access(0).await, Access::Full);
    }

    #[tokio::test]
    async fn others_look_and_operators_do_everything() {
        let daemon = nix::unistd::User::from_name("daemon").unwrap().unwrap();
        let uid = daemon.uid.as_raw();
        let policy = |operators: &[&str], is_open| {
            gate(Policy {
                operators: operators.iter().map(|name| (*name).to_owned()).collect(),
                is_open,
                ..Policy::default()
            })
        };
        assert_eq!(policy(&[], false).access(uid).await, Access::Look);
        assert_eq!(policy(&[], true).access(uid).await, Access::Read);
        assert_eq!(policy(&["daemon"], false).access(uid).await, Access::Full);
        assert_eq!(policy(&["%daemon"], false).access(uid).await, Access::Full);
        assert_eq!(policy(&["%nobody-has-this", "bin"], false).access(uid).await, Access::Look);
        let nobody = 4_000_000_000;
        assert_eq!(policy(&["%daemon"], false).access(nobody).await, Access::Look);
    }

    #[tokio::test]
    async fn an_agent_that_is_not_root_obeys_its_own_user() {
        let gate = gate(Policy { owner: 1000, slot_users: vec![1000], ..Policy::default() });
        assert_eq!(gate.access(1000).await, Access::Full);
    }

    #[tokio::test]
    async fn the_user_database_is_asked_again_after_a_while() {
        let daemon = nix::unistd::User::from_name("daemon").unwrap().unwrap().uid.as_raw();
        let (clock, hand) = Clock::manual("boot");
        let operators = vec!["daemon".to_owned()];
        let gate = Gate::new(Policy { operators, ..Policy::default() }, clock.clone());
        gate.known.lock().await.insert(daemon, (false, clock.now()));
        assert_eq!(gate.access(daemon).await, Access::Look);
        hand.advance(HOLDS);
        assert_eq!(gate.access(daemon).await, Access::Full);
    }
}
