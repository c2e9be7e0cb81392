//! Preparation before the first step.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use russet_protocol::outcome::Outcome;
use russet_protocol::secret::Secret;
use russet_protocol::supervise::{Assignment, Failure};
use russet_protocol::task::{SETUP_STEP, TaskConfig};

use super::directories::{JobDirs, make_directory};
use super::environment::{self, Person, SharedPaths, StepVariables};
use super::events::Events;
use super::journal::Journal;
use super::spool::Spool;
use super::step_end::StepEnd;
use super::{credentials, login_path, secrets, shell, xcode};
use crate::continuation;
use crate::mask::Masks;
use russet_platform::os;

/// Environment of a task whose steps can run.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// Time at which the task began.
    pub(crate) begun: SystemTime,
    pub(crate) journal: Journal,
    pub(crate) dirs: Arc<JobDirs>,
    pub(crate) variables: Arc<StepVariables>,
    /// Shell of steps that name none.
    pub(crate) shell: String,
    /// Directory of the files by which steps and the agent talk.
    pub(crate) task_data: PathBuf,
}

/// Makes the directories and the environment of a task.
pub(crate) fn prepare_task(
    assignment: &Assignment,
    config: &TaskConfig,
    spool: &Arc<Spool>,
    events: &Arc<Events>,
) -> Result<Prepared, Failure> {
    let begun = SystemTime::now();
    let of_config = secrets::secret_values(config).into_iter();
    let known: Vec<Secret> = of_config.chain(credentials::secret_masks(assignment)).collect();
    let masks = Masks::new(&known).map_err(|error| broken(error.to_string()))?;
    let journal = Journal::new(masks, Arc::clone(spool), Arc::clone(events));
    let dirs = JobDirs::new(assignment.dirs.clone(), config.working_directory.as_deref());
    let tmp = &dirs.slot.tmp;
    let shared = SharedPaths::new(tmp, config.task_id.as_str());
    make_shared(&shared, &bash_env(assignment, config))
        .map_err(|error| broken(format!("could not write to {}: {error}", tmp.display())))?;
    // The home of a session at the screen is not the task's own.
    if os::LOGIN_SHELLS_REORDER_PATH && assignment.gui.is_none() {
        let home = &assignment.dirs.home;
        login_path::write_profiles(home).map_err(|error| {
            broken(format!("could not write profiles to {}: {error}", home.display()))
        })?;
    }
    let delivered = credentials::deliver(assignment)
        .map_err(|problem| broken(format!("could not hand over what was granted: {problem}")))?;
    let default_shell = shell::default_shell();
    let person = find_person(assignment, &default_shell);
    let mut variables = environment::of_job(assignment, config, &person, &dirs.work, &shared);
    variables.extend(delivered.variables);
    let mut lines = delivered.lines;
    lines.extend(xcode::choose_xcode(assignment, config, &mut variables)?);
    make_work(&dirs.work, &journal)?;
    show_lines(&lines, &journal);
    Ok(Prepared {
        begun,
        journal,
        dirs: Arc::new(dirs),
        variables: Arc::new(StepVariables::new(variables)),
        shell: config.shell.clone().unwrap_or(default_shell),
        task_data: shared.task_data,
    })
}

fn broken(message: String) -> Failure {
    Failure { outcome: Outcome::InfrastructureFail, message }
}

/// Says which Xcode the task has, and which credentials it has and has not: a job that misses one
/// shows it as an error of a tool that knows nothing of grants.
fn show_lines(lines: &[String], journal: &Journal) {
    if !lines.is_empty() {
        journal.show_step(SETUP_STEP, "Set up", &lines.join("\n"), &StepEnd::success());
    }
}

/// A working directory that cannot be made is the job's own mistake, and shown as a step.
fn make_work(work: &Path, journal: &Journal) -> Result<(), Failure> {
    let Err(error) = make_directory(work) else { return Ok(()) };
    let message = journal.masks().apply(&error.to_string());
    journal.show_step(SETUP_STEP, "Set up", &message, &StepEnd::failed(message.clone()));
    Err(Failure { outcome: Outcome::Failed, message })
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
