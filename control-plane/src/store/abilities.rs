//! Abilities of runners that tasks need, as the line of a class goes by them.

use russet_protocol::runner::ClaimRequest;
use russet_protocol::ssh::{SshNeed, SshOffer};
use russet_protocol::xcode::Xcode;

use super::StoreError;
use super::sql::Row;

/// Need of a task for SSH, or offer of a runner, as both are stored: a task goes to runners that offer
/// as much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SshLevel {
    #[default]
    None = 0,
    /// A way into tasks.
    Tasks = 1,
    /// A way into tasks of forks too.
    Forks = 2,
}

impl SshLevel {
    /// Returns the level of a runner's offer.
    pub(crate) fn of_offer(offer: Option<SshOffer>) -> Self {
        match offer {
            None => Self::None,
            Some(SshOffer { allow_forks: false }) => Self::Tasks,
            Some(SshOffer { allow_forks: true }) => Self::Forks,
        }
    }

    /// Returns the level of a job's need.
    pub(crate) fn of_need(from_fork: bool) -> Self {
        if from_fork { Self::Forks } else { Self::Tasks }
    }

    /// Reads a column.
    fn of_column(row: &Row, column: &str) -> Result<Self, StoreError> {
        Ok(match row.try_get::<i64>(column)? {
            ..=0 => Self::None,
            1 => Self::Tasks,
            _ => Self::Forks,
        })
    }
}

/// Reads the offer of a runner.
pub(super) fn offer_from_row(row: &Row) -> Result<Option<SshOffer>, StoreError> {
    Ok(match SshLevel::of_column(row, "ssh")? {
        SshLevel::None => None,
        level => Some(SshOffer { allow_forks: level == SshLevel::Forks }),
    })
}

/// Reads the need of a job.
pub(super) fn need_from_row(row: &Row) -> Result<Option<SshNeed>, StoreError> {
    Ok(match SshLevel::of_column(row, "ssh")? {
        SshLevel::None => None,
        level => Some(SshNeed { from_fork: level == SshLevel::Forks }),
    })
}

/// Abilities of a runner, as it claims.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Abilities<'a> {
    /// Its Xcodes; `None`: it does not say what it has, and takes all tasks.
    pub(crate) xcodes: Option<&'a [Xcode]>,
    pub(crate) ssh: SshLevel,
}

impl<'a> Abilities<'a> {
    /// Returns what a runner says.
    pub(crate) fn of(runner: &'a ClaimRequest) -> Self {
        Self { xcodes: runner.xcodes.as_deref(), ssh: SshLevel::of_offer(runner.ssh) }
    }
}
