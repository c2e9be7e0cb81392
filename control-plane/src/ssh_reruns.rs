//! Access of a person to the tasks of a job that runs again: who gets it, and why not.
//!
//! Threat: it is a way into a Mac. It is off unless the class allows it by name, for forks by a name of its
//! own, and asked for again when the configuration is handed out; the agent's own configuration decides
//! besides.

use std::collections::BTreeSet;
use std::time::Duration;

use russet_protocol::ids::{JobId, PipelineId, UserId};

use crate::clock::millis;
use crate::public_key::{RefusedKey, read_public};
use crate::state::App;
use crate::store::ssh_accesses::{self, Access};
use crate::store::{Conn, StoreError, WriteTx, classes, jobs, pipelines, servers, user_ssh_keys};

/// Schema from which on servers give tasks with SSH to runners that offer it, and to no other.
const SSH_SCHEMA: i64 = 110;

/// The most keys that may log in to a task.
const MAX_KEYS: usize = 32;

/// Wish of a person to reach the tasks of a job by SSH.
#[derive(Clone, Debug)]
pub(crate) struct SshWish {
    /// Account of the person; `None`: the holder of the admin token.
    pub(crate) user: Option<UserId>,
    /// Public keys besides those that are kept for the account.
    pub(crate) keys: Vec<String>,
}

/// Reason why a job does not run again with SSH.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SshRefusal {
    #[error("the job has no tasks: it runs no steps that could be looked at")]
    NoTasks,
    #[error(
        "the resource class `{0}` does not allow SSH; an operator allows it by \
         `russet resource-class ssh {0} allow`"
    )]
    Class(String),
    #[error(
        "the job comes from a fork, and the resource class `{0}` does not allow SSH for those; an \
         operator allows it by `russet resource-class ssh {0} allow-forks`"
    )]
    Fork(String),
    #[error(
        "there is no public key that could log in: keep one by `russet ssh-key add`, or give one with \
         `--key FILE`"
    )]
    NoKey,
    #[error(
        "there are more than {MAX_KEYS} keys; give fewer, or remove some by `russet ssh-key remove`"
    )]
    TooManyKeys,
    #[error(
        "servers of an older version use the database too ({0}), and would run the job without SSH; end \
         them or give them this version, and try again"
    )]
    OlderServer(String),
    #[error("keys: {0}")]
    Key(#[from] RefusedKey),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Checks that tasks of a job may be reached by SSH. Returns true for one of a fork.
pub(crate) async fn check_class(
    conn: &mut Conn,
    pipeline: &PipelineId,
    job: &JobId,
) -> Result<bool, SshRefusal> {
    let (class, _) = jobs::needed_jobs(conn, job).await?;
    let Some(class) = class else { return Err(SshRefusal::NoTasks) };
    let ssh = classes::ssh_of(conn, &class).await?.unwrap_or_default();
    if !ssh.allow_ssh {
        return Err(SshRefusal::Class(class.to_string()));
    }
    let from_fork = pipelines::is_from_fork(conn, pipeline).await?;
    if from_fork && !ssh.allow_ssh_forks {
        return Err(SshRefusal::Fork(class.to_string()));
    }
    Ok(from_fork)
}

/// Gives a person access to the tasks of a job that runs again; `added` is its further run, which is in no
/// line yet.
pub(crate) async fn grant_access(
    tx: &mut WriteTx,
    app: &App,
    (pipeline, job, added): (&PipelineId, &JobId, Option<&JobId>),
    (person, wish): (&str, &SshWish),
) -> Result<(), SshRefusal> {
    let from_fork = check_class(tx, pipeline, job).await?;
    let Some(added) = added else { return Err(SshRefusal::NoTasks) };
    exclude_older_servers(tx, app.between.silence_ms()).await?;
    let access = Access {
        user: wish.user.clone(),
        person: person.to_owned(),
        keys: collect_keys(tx, wish).await?,
        idle_ms: positive_ms(app.ssh_hold.idle),
        longest_ms: positive_ms(app.ssh_hold.longest),
    };
    Ok(ssh_accesses::insert(tx, added, from_fork, &access).await?)
}

/// Refuses while a server is there that knows no SSH, and lets none come: it would hand the task out as one
/// that nobody reaches.
async fn exclude_older_servers(tx: &mut WriteTx, silence_ms: i64) -> Result<(), SshRefusal> {
    if servers::min_schema(tx).await? >= SSH_SCHEMA {
        return Ok(());
    }
    let older = servers::present_below(tx, SSH_SCHEMA, silence_ms).await?;
    if !older.is_empty() {
        return Err(SshRefusal::OlderServer(older.join(", ")));
    }
    Ok(servers::raise_min_schema(tx, SSH_SCHEMA).await?)
}

/// Returns the keys that are kept for somebody and those that they give, each once.
async fn collect_keys(conn: &mut Conn, wish: &SshWish) -> Result<Vec<String>, SshRefusal> {
    let (mut seen, mut keys) = (BTreeSet::new(), Vec::new());
    if let Some(user) = &wish.user {
        for item in user_ssh_keys::list(conn, user).await? {
            seen.insert(item.fingerprint);
            keys.push(item.key);
        }
    }
    for text in wish.keys.iter().take(MAX_KEYS + 1) {
        let read = read_public(text)?;
        if seen.insert(read.fingerprint) {
            keys.push(read.line);
        }
    }
    match keys.len() {
        0 => Err(SshRefusal::NoKey),
        1..=MAX_KEYS => Ok(keys),
        _ => Err(SshRefusal::TooManyKeys),
    }
}

fn positive_ms(time: Duration) -> u64 {
    u64::try_from(millis(time)).unwrap_or_default()
}
