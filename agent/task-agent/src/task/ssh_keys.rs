//! `add_ssh_keys`: SSH keys of the project for the steps that follow.
//!
//! As on CircleCI, each key is a file in the task's home with an entry in its `.ssh/config`, and
//! is known to an `ssh-agent`. The home is this task's alone and emptied after it; the agent is
//! one of its own, which ends with the job and which no other task can reach: its socket is in a
//! directory of the slot's user. `ssh` looks for its files in the home that the user database
//! names, which need not be the task's, so git is told where they are.

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use russet_protocol::outcome::Outcome;
use russet_protocol::task::SshKey;

use super::command::{self, Spec};
use super::context::{Context, StepEnd};
use super::reaper::Child;
use super::spool::StepLog;

/// Timeout of the agent's socket.
const START: Duration = Duration::from_secs(10);

/// Between two looks at the socket.
const PAUSE: Duration = Duration::from_millis(5);

/// Variable by which `ssh` finds its agent.
const SOCKET_VARIABLE: &str = "SSH_AUTH_SOCK";

/// Runs the step.
pub(crate) async fn run(context: &Context, log: &Arc<StepLog>, wanted: &[String]) -> StepEnd {
    let done = match choose_keys(&context.config.ssh_keys, wanted) {
        Ok(keys) => install_keys(context, log, &keys).await,
        Err(message) => Err(message),
    };
    match done {
        Ok(()) => StepEnd::success(),
        Err(message) => {
            context.say(log, &format!("error: {message}"));
            StepEnd::failed(message)
        }
    }
}

/// Ends the agent. Call it when no step runs any more.
pub(crate) async fn end_agent(context: &Context) {
    let agent = context.ssh_agent.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some(mut agent) = agent else { return };
    let pid = nix::unistd::Pid::from_raw(agent.pid);
    // It may have ended by itself, or by a step.
    if nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).is_ok() {
        tokio::select! {
            _ = agent.exited() => {}
            () = context.clock.sleep(context.kill_grace()) => {}
        }
    }
}

/// The keys that a step asks for: those of its fingerprints, or all.
fn choose_keys<'a>(keys: &'a [SshKey], wanted: &[String]) -> Result<Vec<&'a SshKey>, String> {
    let hint = "hint: `russet project ssh-key add` stores a key of the project, and `russet run` \
                takes one with `--ssh-key FILE`; tasks of forks get none";
    if keys.is_empty() {
        return Err(format!("the project has no SSH keys for this task\n{hint}"));
    }
    let mut chosen: Vec<&SshKey> = Vec::new();
    for fingerprint in wanted {
        let Some(key) = keys.iter().find(|key| key.is(fingerprint)) else {
            return Err(format!("the project has no SSH key {fingerprint}\n{hint}"));
        };
        if !chosen.iter().any(|there| there.md5 == key.md5) {
            chosen.push(key);
        }
    }
    Ok(if wanted.is_empty() { keys.iter().collect() } else { chosen })
}

async fn install_keys(
    context: &Context,
    log: &Arc<StepLog>,
    keys: &[&SshKey],
) -> Result<(), String> {
    let directory = context.assignment.dirs.home.join(".ssh");
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&directory)
        .map_err(|error| format!("could not make {}: {error}", directory.display()))?;
    let socket = start_agent(context, log).await?;
    for key in keys {
        let file = write_key(&directory, key)?;
        let of = key.host.as_deref().map_or(String::new(), |host| format!(" for {host}"));
        context.say(log, &format!("{}{of}: {}", key.sha256, file.display()));
        if socket.is_some() {
            add_to_agent(context, log, &file).await?;
        }
    }
    let config = directory.join("config");
    let quoted = shlex::try_quote(&config.to_string_lossy())
        .map_or_else(|_| String::new(), |text| text.into_owned());
    let mut added = context.added.lock().unwrap_or_else(PoisonError::into_inner);
    if !context.variables.contains_key("GIT_SSH_COMMAND") {
        added.insert("GIT_SSH_COMMAND".to_owned(), format!("ssh -F {quoted}"));
    }
    Ok(())
}

/// Writes a key and its entry. A key that another step wrote is there already.
fn write_key(directory: &Path, key: &SshKey) -> Result<PathBuf, String> {
    let file = directory.join(format!("id_rsa_{}", key.md5.replace(':', "")));
    let failed = |error: std::io::Error| format!("could not write {}: {error}", file.display());
    let open = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file);
    match open {
        Ok(mut out) => {
            let text = key.private_key.expose().trim_end();
            out.write_all(text.as_bytes()).and_then(|()| out.write_all(b"\n")).map_err(failed)?;
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => return Ok(file),
        Err(error) => return Err(failed(error)),
    }
    let config = directory.join("config");
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(&config)
        .and_then(|mut out| out.write_all(config_entry(key, &file, directory).as_bytes()))
        .map_err(|error| format!("could not write {}: {error}", config.display()))?;
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

/// Starts the agent of this task, if there is none yet. `None` where the machine has no such
/// program: the files are enough for git then, and the step says so.
async fn start_agent(context: &Context, log: &StepLog) -> Result<Option<PathBuf>, String> {
    let socket = context.assignment.dirs.tmp.join(".ssh-agent");
    if socket.exists() {
        return Ok(Some(socket));
    }
    let mut program = Command::new("ssh-agent");
    program
        .arg("-D")
        .arg("-a")
        .arg(&socket)
        .env_clear()
        .envs(context.variables.iter().filter(|(name, _)| matches!(&***name, "PATH" | "HOME")))
        .current_dir(&context.assignment.dirs.tmp)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0);
    let mut agent = match context.reaper.spawn(&mut program) {
        Ok(agent) => agent,
        Err(error) => {
            context.say(log, &format!("goes on without an agent: could not start it: {error}"));
            return Ok(None);
        }
    };
    let started = wait_for(context, &mut agent, &socket).await;
    context.ssh_agent.lock().unwrap_or_else(PoisonError::into_inner).replace(agent);
    started?;
    let mut added = context.added.lock().unwrap_or_else(PoisonError::into_inner);
    added.insert(SOCKET_VARIABLE.to_owned(), socket.to_string_lossy().into_owned());
    Ok(Some(socket))
}

async fn wait_for(context: &Context, agent: &mut Child, socket: &Path) -> Result<(), String> {
    let until = context.clock.now().after(START);
    while !socket.exists() {
        tokio::select! {
            _ = agent.exited() => return Err("`ssh-agent` ended at once".to_owned()),
            () = context.clock.sleep(PAUSE) => {}
            () = context.stop.requested() => return Err("the task was stopped".to_owned()),
        }
        if context.clock.now() >= until {
            return Err(format!("`ssh-agent` did not make {}", socket.display()));
        }
    }
    Ok(())
}

/// Makes a key known to the agent, which reads it from its file.
async fn add_to_agent(context: &Context, log: &Arc<StepLog>, file: &Path) -> Result<(), String> {
    let spec = Spec {
        words: vec!["ssh-add".into(), file.into()],
        variables: context.variables_now(),
        directory: context.work.clone(),
        silence: Some(Duration::from_secs(60)),
        longest: None,
        job_is_over: None,
    };
    let end = command::run(context, spec, log).await;
    if end.outcome == Outcome::Success {
        return Ok(());
    }
    Err(end.message.unwrap_or_else(|| "`ssh-add` did not take the key, and says why".to_owned()))
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
        assert!(chosen(&["ee:ff"]).unwrap_err().contains("ee:ff"));
        assert!(choose_keys(&[], &[]).unwrap_err().contains("ssh-key add"));
    }
}
