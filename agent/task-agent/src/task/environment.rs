//! The environment of steps: built from what is known, never inherited.
//!
//! Nothing in the environment of the agents (a proxy with a password, a token in a
//! test) reaches a job. Precedence, rising: variables of every task, those that the owner
//! sets for the class, `CIRCLE_*` and the job's own variables, the step's own variables.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use russet_protocol::supervise::Assignment;
use russet_protocol::task::TaskConfig;

use russet_platform::os;

use super::pty;
use crate::continuation;
use crate::helper::TASK_DATA_VARIABLE;

/// Names and values.
pub(crate) type Variables = BTreeMap<String, String>;

/// Defaults that keep tools from asking: nobody sits at a step's terminal, which looks like one to
/// them. The owner and the job may set others.
pub(crate) const UNATTENDED: [(&str, &str); 11] = [
    // `git log` and the like page their output in `less` otherwise, which waits for a key.
    ("PAGER", "cat"),
    ("GIT_PAGER", "cat"),
    ("MANPAGER", "cat"),
    // A question for a user or a password is an error at once.
    ("GIT_TERMINAL_PROMPT", "0"),
    ("GIT_ASKPASS", "echo"),
    ("SSH_ASKPASS", "false"),
    ("SSH_ASKPASS_REQUIRE", "force"),
    // A message that a command forgot is an empty one, not an editor.
    ("GIT_EDITOR", "true"),
    ("GIT_MERGE_AUTOEDIT", "no"),
    ("DEBIAN_FRONTEND", "noninteractive"),
    ("PIP_NO_INPUT", "1"),
];

/// Paths of the files that a task's steps share with the agent, all below its `TMPDIR`.
#[derive(Clone, Debug)]
pub(crate) struct SharedPaths {
    /// File of `$BASH_ENV`: sourced by bash at the start of each step.
    pub(crate) bash_env: PathBuf,
    /// Directory of `$CIRCLE_INTERNAL_TASK_DATA`.
    pub(crate) task_data: PathBuf,
}

impl SharedPaths {
    /// The paths for a task, as CircleCI names them.
    pub(crate) fn new(tmp: &Path, task_id: &str) -> Self {
        Self {
            bash_env: tmp.join(format!(".bash_env-{task_id}-0-build")),
            task_data: tmp.join(format!(".circleci-task-data-{task_id}-0-build")),
        }
    }
}

/// The user of the task, as the environment names it.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    /// Login name, or the id where there is none.
    pub(crate) name: String,
    /// The shell.
    pub(crate) shell: String,
}

/// Returns the variables of all steps of a job.
pub(crate) fn of_job(
    assignment: &Assignment,
    config: &TaskConfig,
    person: &Person,
    work: &Path,
    shared: &SharedPaths,
) -> Variables {
    let mut all = Variables::new();
    let text = |path: &Path| path.to_string_lossy().into_owned();
    all.insert("HOME".to_owned(), text(&assignment.dirs.home));
    all.insert("TMPDIR".to_owned(), text(&assignment.dirs.tmp));
    all.insert("USER".to_owned(), person.name.clone());
    all.insert("LOGNAME".to_owned(), person.name.clone());
    all.insert("SHELL".to_owned(), person.shell.clone());
    all.insert("TERM".to_owned(), pty::TERM.to_owned());
    all.insert("LANG".to_owned(), os::LANG.to_owned());
    all.insert("PATH".to_owned(), path(assignment, config));
    all.extend(UNATTENDED.map(|(name, value)| (name.to_owned(), value.to_owned())));
    if continuation::is_setup(config) {
        let more = continuation::variables(assignment);
        all.extend(more.into_iter().map(|(name, value)| (name.to_owned(), value)));
    }
    all.extend(assignment.environment.clone());
    if let Some(slot) = assignment.slot {
        // What holds absolute paths of a home fits the home of this slot alone.
        all.insert("RUSSET_SLOT".to_owned(), slot.to_string());
    }
    all.extend(built_in(config));
    all.insert("CIRCLE_WORKING_DIRECTORY".to_owned(), text(work));
    all.insert("CIRCLE_INTERNAL_SCRATCH".to_owned(), text(&assignment.dirs.tmp));
    all.insert("BASH_ENV".to_owned(), text(&shared.bash_env));
    all.insert("CIRCLE_SHELL_ENV".to_owned(), text(&shared.bash_env));
    for variable in &config.environment {
        all.insert(variable.name.clone(), variable.value.expose().to_owned());
    }
    // The helpers find their task agent through this one, whatever a job says.
    all.insert(TASK_DATA_VARIABLE.to_owned(), text(&shared.task_data));
    all.retain(|name, value| is_valid(name, value));
    all
}

/// A name with `=` or a zero byte anywhere would make another variable of it, or no process.
fn is_valid(name: &str, value: &str) -> bool {
    !name.is_empty() && !name.contains(['=', '\0']) && !value.contains('\0')
}

/// The `PATH`. Steps of a setup find the `curl` of [`continuation`] before any other.
fn path(assignment: &Assignment, config: &TaskConfig) -> String {
    let of_setups = continuation::directory(assignment, config);
    let first = of_setups.iter().chain(&assignment.path);
    let last = assignment.helpers.iter().map(|path| path.to_string_lossy().into_owned());
    first
        .map(|path| path.to_string_lossy().into_owned())
        .chain([os::standard_path()])
        .chain(last)
        .collect::<Vec<_>>()
        .join(":")
}

/// The variables that CircleCI documents, as far as they are known here.
fn built_in(config: &TaskConfig) -> Variables {
    let job = &config.job;
    let (owner, repository) = match job.project.rsplit_once('/') {
        Some((owner, repository)) => {
            (Some(owner.rsplit('/').next().unwrap_or(owner).to_owned()), repository.to_owned())
        }
        None => (None, job.project.clone()),
    };
    let workflow = job.workflow_id.as_ref().map(ToString::to_string);
    let known = [
        ("CI", Some("true".to_owned())),
        ("CIRCLECI", Some("true".to_owned())),
        ("CIRCLE_BRANCH", job.branch.clone()),
        ("CIRCLE_BUILD_NUM", Some(job.number.to_string())),
        ("CIRCLE_BUILD_URL", job.url.clone()),
        ("CIRCLE_JOB", Some(job.name.clone())),
        ("CIRCLE_NODE_INDEX", Some(job.node_index.to_string())),
        ("CIRCLE_NODE_TOTAL", Some(job.node_total.to_string())),
        ("CIRCLE_PIPELINE_ID", job.pipeline_id.as_ref().map(ToString::to_string)),
        ("CIRCLE_PROJECT_REPONAME", Some(repository)),
        ("CIRCLE_PROJECT_USERNAME", owner),
        ("CIRCLE_REPOSITORY_URL", job.repository_url.clone()),
        ("CIRCLE_SHA1", job.revision.clone()),
        ("CIRCLE_STAGE", Some(job.name.clone())),
        ("CIRCLE_TAG", job.tag.clone()),
        ("CIRCLE_WORKFLOW_ID", workflow.clone()),
        ("CIRCLE_WORKFLOW_JOB_ID", job.job_id.as_ref().map(ToString::to_string)),
        ("CIRCLE_WORKFLOW_WORKSPACE_ID", workflow),
    ];
    known.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

/// Variables of a job's steps: those of all steps, and those that a step added for later ones.
#[derive(Debug)]
pub(crate) struct StepVariables {
    of_job: Variables,
    added: Mutex<Variables>,
}

impl StepVariables {
    pub(crate) fn new(of_job: Variables) -> Self {
        Self { of_job, added: Mutex::default() }
    }

    /// Variables of every step, from the start.
    pub(crate) fn of_job(&self) -> &Variables {
        &self.of_job
    }

    /// The `PATH` of every step.
    pub(crate) fn path(&self) -> &str {
        self.of_job.get("PATH").map_or("", String::as_str)
    }

    /// Adds a variable for the steps that follow.
    pub(crate) fn add(&self, name: &str, value: String) {
        self.lock_added().insert(name.to_owned(), value);
    }

    /// Returns the variables of a step that begins now.
    pub(crate) fn of_next_step(&self) -> Variables {
        let mut all = self.of_job.clone();
        all.extend(self.lock_added().clone());
        all
    }

    fn lock_added(&self) -> MutexGuard<'_, Variables> {
        self.added.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{Person, SharedPaths, of_job};
    use crate::task::testing;
    use std::path::Path;

    #[test]
    fn the_job_wins_over_the_owner_and_the_owner_over_the_standard() {
        let (mut assignment, mut config) = testing::assignment_and_config();
        assignment.environment.insert("LANG".to_owned(), "de_DE".to_owned());
        assignment.environment.insert("HTTPS_PROXY".to_owned(), "http://proxy".to_owned());
        assignment.path = vec!["/opt/tools".into()];
        assignment.helpers = Some("/opt/russet/bin".into());
        assignment.slot = None;
        config.environment = vec![
            testing::variable("HTTPS_PROXY", "mine"),
            testing::variable("CIRCLE_JOB", "another"),
            testing::variable("PAGER", "less -R"),
            testing::variable("CIRCLE_INTERNAL_TASK_DATA", "/etc"),
            testing::variable("A=B", "x"),
            testing::variable("ZERO", "a\0b"),
        ];
        config.job.project = "github.com/acme/app".to_owned();
        let person = Person { name: "_russet1".to_owned(), shell: "/bin/bash".to_owned() };
        let shared = SharedPaths::new(Path::new("/tmp/slot"), "task-1");
        let all = of_job(&assignment, &config, &person, Path::new("/work"), &shared);
        assert_eq!(all["LANG"], "de_DE");
        assert_eq!((all["PAGER"].as_str(), all["GIT_PAGER"].as_str()), ("less -R", "cat"));
        assert_eq!(all["HTTPS_PROXY"], "mine");
        assert_eq!(all["CIRCLE_JOB"], "another");
        assert_eq!(all["CIRCLE_PROJECT_USERNAME"], "acme");
        assert_eq!(all["CIRCLE_PROJECT_REPONAME"], "app");
        assert_eq!(all["CIRCLE_WORKING_DIRECTORY"], "/work");
        assert!(all["CIRCLE_INTERNAL_TASK_DATA"].starts_with("/tmp/slot/"));
        assert!(all["PATH"].starts_with("/opt/tools:"));
        assert!(all["PATH"].ends_with(":/opt/russet/bin"));
        assert!(!all.contains_key("A=B") && !all.contains_key("ZERO"));
        assert!(!all.contains_key("CIRCLE_TAG"), "what is not known is not set");
        assert!(!all.contains_key("RUSSET_SLOT"), "an older launch agent does not say it");
    }

    #[test]
    fn the_steps_of_a_setup_find_the_way_to_their_control_plane() {
        let (mut assignment, mut config) = testing::assignment_and_config();
        assignment.path = vec!["/opt/tools".into()];
        assignment.helpers = Some("/opt/russet/bin".into());
        let person = Person { name: "_russet1".to_owned(), shell: "/bin/bash".to_owned() };
        let shared = SharedPaths::new(Path::new("/tmp/slot"), "task-1");
        let of = |assignment: &_, config: &_| {
            of_job(assignment, config, &person, Path::new("/work"), &shared)
        };
        assert!(!of(&assignment, &config).contains_key("CIRCLE_CONTINUATION_URL"));
        config.environment = vec![testing::variable("CIRCLE_CONTINUATION_KEY", "rsk_1")];
        assignment.relay = Some("/run/relay".into());
        let all = of(&assignment, &config);
        assert!(all["PATH"].starts_with("/opt/russet/bin/setup:/opt/tools:"), "{}", all["PATH"]);
        assert!(all["CIRCLE_CONTINUATION_URL"].ends_with("/api/v2/pipeline/continue"));
        assert_eq!(all["CIRCLE_INTERNAL_CONTINUATION_SOCKET"], "/run/relay");
    }
}
