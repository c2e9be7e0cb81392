//! Limits of the kernel on processes. A booted simulator has 218 to 308 of them (wraithbox X06), and
//! where the limit is met, `fork` fails in whatever comes next.

use crate::command::{CommandError, Tools};

const SYSCTL: &str = "/usr/sbin/sysctl";

/// Limits of this Mac.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessLimits {
    /// Processes of all users (`kern.maxproc`).
    pub of_all: u32,
    /// Processes of one user (`kern.maxprocperuid`).
    pub of_user: u32,
}

/// Reads the limits; `None` where the answer is no two numbers.
///
/// # Errors
///
/// sysctl does not answer.
pub fn read_limits(tools: &Tools) -> Result<Option<ProcessLimits>, CommandError> {
    let names = ["-n", "kern.maxproc", "kern.maxprocperuid"];
    let text = tools.command(SYSCTL).args(names).run_ok()?.text();
    let mut numbers = text.lines().map(|line| line.trim().parse::<u32>().ok());
    let (of_all, of_user) = (numbers.next().flatten(), numbers.next().flatten());
    Ok(of_all.zip(of_user).map(|(of_all, of_user)| ProcessLimits { of_all, of_user }))
}

#[cfg(test)]
mod tests {
    use super::{ProcessLimits, read_limits};
    use crate::command::Tools;
    use crate::command::testing::fake_tool;

    /// Of a Mac with 8 GB.
    #[test]
    fn both_limits_are_read() {
        let dir = tempfile::tempdir().unwrap();
        fake_tool(dir.path(), "sysctl", "[ $1 = -n ] && printf '2000\\n1333\\n'");
        let limits = ProcessLimits { of_all: 2000, of_user: 1333 };
        assert_eq!(read_limits(&Tools::below(dir.path())).unwrap(), Some(limits));
        fake_tool(dir.path(), "sysctl", "echo many");
        assert_eq!(read_limits(&Tools::below(dir.path())).unwrap(), None);
    }
}
