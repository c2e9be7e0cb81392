//! Decides if a task may be reached: both the control plane and the machine's owner have to say so.

use russet_protocol::ssh::{SshAccess, SshPolicy};

/// Reason why a task that was rerun with SSH cannot be reached.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Forbidden {
    /// The machine's owner allows no SSH.
    #[error(
        "this machine allows no SSH: its owner has not set `runner.ssh.enabled` in the agent's \
         configuration"
    )]
    ByMachine,
    /// The machine's owner allows none for forks.
    #[error(
        "this machine allows no SSH to tasks of forks: its owner has not set \
         `runner.ssh.allow_forks` in the agent's configuration"
    )]
    ForkByMachine,
}

/// Returns the owner's policy for a task that the control plane lets be reached.
pub(crate) fn permit<'a>(
    access: &SshAccess,
    policy: Option<&'a SshPolicy>,
) -> Result<&'a SshPolicy, Forbidden> {
    let policy = policy.ok_or(Forbidden::ByMachine)?;
    if access.from_fork && !policy.allow_forks {
        return Err(Forbidden::ForkByMachine);
    }
    Ok(policy)
}

#[cfg(test)]
mod tests {
    use super::{Forbidden, permit};
    use russet_protocol::ssh::{SshAccess, SshPolicy};

    #[test]
    fn a_task_is_reached_only_where_both_sides_say_so_and_one_of_a_fork_by_name() {
        let mut access = SshAccess {
            person: "ada".to_owned(),
            keys: Vec::new(),
            idle_ms: 1,
            longest_ms: 1,
            from_fork: false,
        };
        let mut policy = SshPolicy::default();
        assert_eq!(permit(&access, None), Err(Forbidden::ByMachine));
        assert!(permit(&access, Some(&policy)).is_ok());
        access.from_fork = true;
        assert_eq!(permit(&access, Some(&policy)), Err(Forbidden::ForkByMachine));
        policy.allow_forks = true;
        assert!(permit(&access, Some(&policy)).is_ok());
    }
}
