//! `add_ssh_keys`: SSH keys of the project for the steps that follow.
//!
//! As on CircleCI, each key is a file in the task's home with an entry in its `.ssh/config`, and
//! is known to an `ssh-agent`. The home is this task's alone and emptied after it; the agent is
//! one of its own, which ends with the job and which no other task can reach: its socket is in a
//! directory of the slot's user. `ssh` looks for its files in the home that the user database
//! names, which need not be the task's, so git is told where they are.

mod agent;

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use russet_protocol::outcome::Outcome;
use russet_protocol::task::SshKey;

use super::command::{Commands, Spec};
use super::directories::JobDirs;
use super::environment::StepVariables;
use super::journal::StepOutput;
use super::step_end::StepEnd;
use crate::path_error::PathError;

pub(crate) use agent::SshAgent;

/// Installs SSH keys of the project for the steps that follow.
#[derive(Debug)]
pub(crate) struct SshKeys {
    pub(crate) keys: Vec<SshKey>,
    pub(crate) agent: SshAgent,
    pub(crate) commands: Arc<Commands>,
    pub(crate) dirs: Arc<JobDirs>,
    pub(crate) variables: Arc<StepVariables>,
}

impl SshKeys {
    /// Runs an `add_ssh_keys` step for the keys with these fingerprints, or all.
    pub(crate) async fn add_keys(&self, output: &StepOutput, fingerprints: &[String]) -> StepEnd {
        let done = match choose_keys(&self.keys, fingerprints) {
            Ok(keys) => self.install_keys(output, &keys).await,
            Err(error) => Err(error),
        };
        match done {
            Ok(()) => StepEnd::success(),
            Err(error) => output.fail(error),
        }
    }

    async fn install_keys(&self, output: &StepOutput, keys: &[&SshKey]) -> Result<(), SshKeyError> {
        let directory = self.dirs.slot.home.join(".ssh");
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&directory)
            .map_err(PathError::when("make", &directory))?;
        let socket = self.agent.start(&self.dirs.slot.tmp, &self.variables, output).await?;
        for key in keys {
            let file = write_key(&directory, key)?;
            let of = key.host.as_deref().map_or(String::new(), |host| format!(" for {host}"));
            output.say(&format!("{}{of}: {}", key.sha256, file.display()));
            if socket.is_some() {
                self.add_to_agent(output, &file).await?;
            }
        }
        let config = directory.join("config");
        let quoted = shlex::try_quote(&config.to_string_lossy())
            .map_or_else(|_| String::new(), |text| text.into_owned());
        if !self.variables.of_job().contains_key("GIT_SSH_COMMAND") {
            self.variables.add("GIT_SSH_COMMAND", format!("ssh -F {quoted}"));
        }
        Ok(())
    }

    /// Makes a key known to the agent, which reads it from its file.
    async fn add_to_agent(&self, output: &StepOutput, file: &Path) -> Result<(), SshKeyError> {
        let spec = Spec {
            words: vec!["ssh-add".into(), file.into()],
            variables: self.variables.of_next_step(),
            directory: self.dirs.work.clone(),
            silence: Some(Duration::from_secs(60)),
            longest: None,
            job_is_over: None,
        };
        let end = self.commands.run(spec, output).await;
        if end.outcome == Outcome::Success {
            return Ok(());
        }
        Err(end.message.map_or(SshKeyError::NotTaken, SshKeyError::Command))
    }
}

/// Reason why a step did not add keys.
#[derive(Debug, thiserror::Error)]
enum SshKeyError {
    #[error(
        "the project has no SSH keys for this task\nhint: `russet project ssh-key add` stores a key \
         of the project, and `russet run` takes one with `--ssh-key FILE`; tasks of forks get none"
    )]
    NoKeys,
    #[error(
        "the project has no SSH key {0}\nhint: `russet project ssh-key add` stores a key of the \
         project, and `russet run` takes one with `--ssh-key FILE`; tasks of forks get none"
    )]
    NoKey(String),
    #[error(transparent)]
    File(#[from] PathError),
    #[error(transparent)]
    Agent(#[from] agent::AgentError),
    /// `ssh-add` was not run to its end.
    #[error("{0}")]
    Command(String),
    #[error("`ssh-add` did not take the key, and says why")]
    NotTaken,
}

/// The keys that a step asks for: those of its fingerprints, or all.
fn choose_keys<'a>(keys: &'a [SshKey], wanted: &[String]) -> Result<Vec<&'a SshKey>, SshKeyError> {
    if keys.is_empty() {
        return Err(SshKeyError::NoKeys);
    }
    let mut chosen: Vec<&SshKey> = Vec::new();
    for fingerprint in wanted {
        let Some(key) = keys.iter().find(|key| key.is(fingerprint)) else {
            return Err(SshKeyError::NoKey(fingerprint.clone()));
        };
        if !chosen.iter().any(|there| there.md5 == key.md5) {
            chosen.push(key);
        }
    }
    Ok(if wanted.is_empty() { keys.iter().collect() } else { chosen })
}

/// Writes a key and its entry. A key that another step wrote is there already.
fn write_key(directory: &Path, key: &SshKey) -> Result<PathBuf, PathError> {
    let file = directory.join(format!("id_rsa_{}", key.md5.replace(':', "")));
    let open = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file);
    match open {
        Ok(mut out) => {
            let text = key.private_key.expose().trim_end();
            out.write_all(text.as_bytes())
                .and_then(|()| out.write_all(b"\n"))
                .map_err(PathError::when("write", &file))?;
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => return Ok(file),
        Err(error) => return Err(PathError::when("write", &file)(error)),
    }
    let config = directory.join("config");
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(&config)
        .and_then(|mut out| out.write_all(config_entry(key, &file, directory).as_bytes()))
        .map_err(PathError::when("write", &config))?;
    Ok(file)
}

/// The entry of a key in `.ssh/config`. The host was checked when the key was stored.
fn config_entry(key: &SshKey, file: &Path, directory: &Path) -> String {
    format!(
        "\nHost {}\n  IdentitiesOnly no\n  IdentityFile \"{}\"\n  UserKnownHostsFile \"{}\"\n  \
         StrictHostKeyChecking accept-new\n",
        key.host.as_deref().unwrap_or("*"),
        file.display(),
        directory.join("known_hosts").display(),
    )
}

#[cfg(test)]
mod tests {
    use super::choose_keys;
    use russet_protocol::secret::Secret;
    use russet_protocol::task::SshKey;

    fn key(md5: &str, sha256: &str) -> SshKey {
        SshKey {
            md5: md5.to_owned(),
            sha256: sha256.to_owned(),
            host: None,
            private_key: Secret::new("key"),
        }
    }

    #[test]
    fn keys_are_chosen_by_either_fingerprint_and_all_where_none_is_named() {
        let keys = [key("aa:bb", "SHA256:one"), key("cc:dd", "SHA256:two")];
        let chosen = |wanted: &[&str]| {
            let wanted: Vec<String> = wanted.iter().map(|text| (*text).to_owned()).collect();
            choose_keys(&keys, &wanted)
                .map(|keys| keys.iter().map(|key| key.sha256.clone()).collect::<Vec<_>>())
        };
        assert_eq!(chosen(&[]).unwrap(), ["SHA256:one", "SHA256:two"]);
        assert_eq!(chosen(&["CC:DD"]).unwrap(), ["SHA256:two"]);
        assert_eq!(chosen(&["SHA256:two=", "cc:dd", "MD5:aa:bb"]).unwrap().len(), 2);
        assert!(chosen(&["ee:ff"]).unwrap_err().to_string().contains("ee:ff"));
        assert!(choose_keys(&[], &[]).unwrap_err().to_string().contains("ssh-key add"));
    }
}
