//! Who may do what on the local API.
//!
//! Threats: a job that looks at other projects' names, pauses the machine or cancels the tasks of
//! others; and anybody with an account here, who may see that the machine works but not on what.

use nix::unistd::{Gid, Group, Uid, User};

/// The rules of one agent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Policy {
    /// Who runs the agent.
    pub(crate) owner: u32,
    /// Users that tasks run as, where they are not the owner itself.
    pub(crate) slot_users: Vec<u32>,
    /// Names of users, and of groups with `%` before them, that may do everything.
    pub(crate) operators: Vec<String>,
    /// Whether everybody here may see names of projects and jobs.
    pub(crate) is_open: bool,
}

/// What a caller may do.
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
    /// What a user may do.
    pub(crate) fn access(&self, uid: u32) -> Access {
        if uid != self.owner && (self.slot_users.contains(&uid) || is_task_id(uid)) {
            return Access::Nothing;
        }
        if uid == 0 || uid == self.owner || self.is_operator(uid) {
            return Access::Full;
        }
        if self.is_open { Access::Read } else { Access::Look }
    }

    fn is_operator(&self, uid: u32) -> bool {
        if self.operators.is_empty() {
            return false;
        }
        let Ok(Some(user)) = User::from_uid(Uid::from_raw(uid)) else { return false };
        self.operators.iter().any(|operator| match operator.strip_prefix('%') {
            Some(group) => is_member(&user.name, user.gid, group),
            None => *operator == user.name,
        })
    }
}

/// Whether the id is one of those that tasks have where no user is set up.
fn is_task_id(uid: u32) -> bool {
    crate::platform::users::OWN_IDS.contains(&uid)
}

fn is_member(user: &str, primary: Gid, group: &str) -> bool {
    let Ok(Some(group)) = Group::from_name(group) else { return false };
    group.gid == primary || group.mem.iter().any(|member| member == user)
}

#[cfg(test)]
mod tests {
    use super::{Access, Policy};

    #[test]
    fn a_tasks_user_may_do_nothing_even_as_an_operator() {
        let policy = Policy { slot_users: vec![1234], is_open: true, ..Policy::default() };
        assert_eq!(policy.access(1234), Access::Nothing);
        assert_eq!(policy.access(59_001), Access::Nothing);
        assert_eq!(policy.access(0), Access::Full);
    }

    #[test]
    fn others_look_and_operators_do_everything() {
        let daemon = nix::unistd::User::from_name("daemon").unwrap().unwrap();
        let uid = daemon.uid.as_raw();
        let policy = |operators: &[&str], is_open| Policy {
            operators: operators.iter().map(|name| (*name).to_owned()).collect(),
            is_open,
            ..Policy::default()
        };
        assert_eq!(policy(&[], false).access(uid), Access::Look);
        assert_eq!(policy(&[], true).access(uid), Access::Read);
        assert_eq!(policy(&["daemon"], false).access(uid), Access::Full);
        assert_eq!(policy(&["%daemon"], false).access(uid), Access::Full);
        assert_eq!(policy(&["%nobody-has-this", "bin"], false).access(uid), Access::Look);
    }

    #[test]
    fn an_agent_that_is_not_root_obeys_its_own_user() {
        let policy = Policy { owner: 1000, slot_users: vec![1000], ..Policy::default() };
        assert_eq!(policy.access(1000), Access::Full);
    }
}
