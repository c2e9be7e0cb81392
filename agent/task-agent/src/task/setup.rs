//! Preparation before the first step.

use std::path::Path;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use russet_protocol::outcome::Outcome;
use russet_protocol::secret::Secret;
use russet_protocol::supervise::{Assignment, Failure};
use russet_protocol::task::{SETUP_STEP, Source, TaskConfig};

use super::api::Api;
use super::context::{Context, StepEnd};
use super::disk::DiskLimit;
use super::environment::{self, Person, SharedPaths};
use super::events::Events;
use super::reaper::Reaper;
use super::spool::Spool;
use super::stop::StopSignal;
use super::storage::Local;
use super::{credentials, job, login_path, shell};
use crate::continuation;
use crate::mask::Masks;
use russet_platform::clock::Clock;
use russet_platform::macos_tools::xcode;

/// Tools that exist before the task's config is looked at.
#[derive(Debug)]
pub(crate) struct Tools {
    pub(crate) api: Api,
    pub(crate) clock: Clock,
    pub(crate) stop: StopSignal,
    pub(crate) spool: Arc<Spool>,
    pub(crate) events: Arc<Events>,
    pub(crate) reaper: Reaper,
    pub(crate) local: Arc<Local>,
}

/// Makes the directories and the environment of a task.
pub(crate) fn make_context(
    assignment: Assignment,
    config: TaskConfig,
    tools: Tools,
) -> Result<Context, Failure> {
    let begun = SystemTime::now();
    let broken = |message: String| Failure { outcome: Outcome::InfrastructureFail, message };
    let known: Vec<Secret> =
        secret_values(&config).into_iter().chain(credentials::secret_masks(&assignment)).collect();
    let masks = Masks::new(&known).map_err(|error| broken(error.to_string()))?;
    let dirs = &assignment.dirs;
    let written = config.working_directory.as_deref().unwrap_or(".");
    let work = environment::resolve(written, &dirs.home, &dirs.work);
    let shared = SharedPaths::new(&dirs.tmp, config.task_id.as_str());
    make_shared(&shared, &bash_env(&assignment, &config))
        .map_err(|error| broken(format!("could not write to {}: {error}", dirs.tmp.display())))?;
    let delivered = credentials::deliver(&assignment)
        .map_err(|problem| broken(format!("could not hand over what was granted: {problem}")))?;
    let shell = shell::default_shell();
    let person = find_person(&assignment, &shell);
    let mut variables = environment::of_job(&assignment, &config, &person, &work, &shared);
    variables.extend(delivered.variables);
    if let Some(wanted) = &assignment.xcode {
        let chosen =
            xcode::find_developer_dir(wanted).map_err(|error| broken(error.to_string()))?;
        let chosen = chosen.to_string_lossy().into_owned();
        variables.entry("DEVELOPER_DIR".to_owned()).or_insert(chosen);
    }
    // What a step prints is on disk as well.
    let watched = vec![dirs.home.clone(), dirs.work.clone(), dirs.tmp.clone(), dirs.spool.clone()];
    let disk = DiskLimit::watch(assignment.limits.disk_bytes, watched);
    let Tools { api, clock, stop, spool, events, reaper, local } = tools;
    let context = Context {
        assignment,
        config,
        api,
        clock,
        reaper,
        spool,
        events,
        masks,
        stop,
        disk,
        variables,
        added: Mutex::default(),
        ssh_agent: Mutex::default(),
        shared,
        work,
        shell,
        begun,
        local,
        next_batch: AtomicU32::new(0),
    };
    make_work(&context)?;
    show_lines(&context, &delivered.lines);
    Ok(context)
}

/// Returns the values that output must not show.
fn secret_values(config: &TaskConfig) -> Vec<Secret> {
    let variables = config.environment.iter().filter(|variable| variable.masked);
    let known = config.masks.iter().chain(variables.map(|variable| &variable.value)).cloned();
    let of_source = match &config.source {
        Some(Source::Git { url, .. }) => url_credentials(url),
        _ => None,
    };
    let of_repository = config.job.repository_url.as_deref().and_then(url_credentials);
    let keys = config.ssh_keys.iter().map(|key| key.private_key.clone());
    known.chain(of_source).chain(of_repository).chain(keys).collect()
}

/// Returns the part before the `@` of `https://user:password@host/`: git prints the whole URL when
/// it cannot reach it. A single word there is a token, but for SSH, where it is a user.
fn url_credentials(url: &str) -> Option<Secret> {
    let (scheme, rest) = url.split_once("://")?;
    let (user, _) = rest.split(['/', '?', '#']).next()?.rsplit_once('@')?;
    match user.split_once(':') {
        Some((_, password)) => Some(Secret::new(password)),
        None if scheme.starts_with("http") => Some(Secret::new(user)),
        None => None,
    }
}

/// Returns what bash does before each step: see [`login_path`]. Steps of a setup find their `curl`
/// first, also where a profile sets another PATH.
fn bash_env(assignment: &Assignment, config: &TaskConfig) -> String {
    let of_setups = continuation::directory(assignment, config);
    let first = of_setups.map(|directory| login_path::put_first(&directory)).unwrap_or_default();
    format!("{}{first}", login_path::BASH_ENV)
}

fn make_shared(shared: &SharedPaths, bash_env: &str) -> std::io::Result<()> {
    std::fs::create_dir_all(&shared.task_data)?;
    std::fs::write(&shared.bash_env, bash_env)
}

/// Says which credentials the task has and which it has not: a job that misses one shows it as an
/// error of a tool that knows nothing of grants.
fn show_lines(context: &Context, lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    context.step_started(SETUP_STEP, "Set up", false, None);
    if let Ok(log) = context.spool.log(SETUP_STEP) {
        context.say(&log, &lines.join("\n"));
    }
    context.step_finished(SETUP_STEP, &StepEnd::success());
}

/// A working directory that cannot be made is the job's own mistake, and shown as a step.
fn make_work(context: &Context) -> Result<(), Failure> {
    let Err(message) = job::make_directory(&context.work) else { return Ok(()) };
    let message = context.masks.apply(&message);
    context.step_started(SETUP_STEP, "Set up", false, None);
    if let Ok(log) = context.spool.log(SETUP_STEP) {
        context.say(&log, &message);
    }
    context.step_finished(SETUP_STEP, &StepEnd::failed(message.clone()));
    Err(Failure { outcome: Outcome::Failed, message })
}

fn find_person(assignment: &Assignment, shell: &str) -> Person {
    let named = assignment.user.as_ref().and_then(|user| user.name.clone());
    let uid = nix::unistd::getuid();
    let name = match (named, &assignment.user) {
        (Some(name), _) => name,
        // An id without a record: asking the user database would only cost time.
        (None, Some(user)) => user.uid.to_string(),
        (None, None) => nix::unistd::User::from_uid(uid)
            .ok()
            .flatten()
            .map_or_else(|| uid.to_string(), |user| user.name),
    };
    let program = shell.split_whitespace().next().unwrap_or("/bin/sh");
    Person { name, shell: Path::new(program).display().to_string() }
}

#[cfg(test)]
mod tests {
    use super::url_credentials;

    #[test]
    fn the_password_of_an_address_is_a_secret_and_a_user_is_not() {
        let secret = |url| url_credentials(url).map(|secret| secret.expose().to_owned());
        assert_eq!(secret("https://me:pa@ss@host/a@b").as_deref(), Some("pa@ss"));
        assert_eq!(secret("https://token@host/a").as_deref(), Some("token"));
        for none in ["https://host/a@b", "ssh://git@host/a", "git@host:a", "/srv/repo"] {
            assert_eq!(secret(none), None, "{none}");
        }
    }
}
