//! The words of the language, by place. The code checks keys against these lists and the
//! reference in `docs/config.md` is made from them, so neither can drift from the other.

/// The support of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Support {
    /// It does what CircleCI says it does.
    Yes,
    /// It is accepted with a warning that it does nothing here.
    NoEffect,
}

/// A word and what becomes of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Word {
    pub(crate) name: &'static str,
    pub(crate) support: Support,
    /// For the reference; for words without effect also for the warning.
    pub(crate) about: &'static str,
    /// Set if it came with version 2.1.
    pub(crate) is_new: bool,
}

/// A place in a configuration and the words it may hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Vocabulary {
    /// Heading in the reference.
    pub(crate) title: &'static str,
    /// Name in messages: "unknown key `x` in …".
    pub(crate) place: &'static str,
    pub(crate) words: &'static [Word],
}

const fn yes(name: &'static str, about: &'static str) -> Word {
    Word { name, support: Support::Yes, about, is_new: false }
}

/// One that came with version 2.1.
const fn new(name: &'static str, about: &'static str) -> Word {
    Word { is_new: true, ..yes(name, about) }
}

const fn no_effect(name: &'static str, about: &'static str) -> Word {
    Word { name, support: Support::NoEffect, about, is_new: false }
}

impl Vocabulary {
    /// The word of a name.
    pub(crate) fn word(&self, name: &str) -> Option<&'static Word> {
        self.words.iter().find(|word| word.name == name)
    }

    /// All names, for suggestions.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.words.iter().map(|word| word.name)
    }
}

/// All places, in the order of the reference.
pub(crate) const ALL: [&Vocabulary; 33] = [
    &ROOT,
    &JOB_GROUP,
    &PARAMETER,
    &COMMAND,
    &ORB,
    &JOB,
    &RETENTION,
    &MACHINE,
    &MACOS,
    &DOCKER,
    &EXECUTOR,
    &EXECUTOR_REFERENCE,
    &STEP,
    &RUN,
    &CHECKOUT,
    &CONDITIONAL,
    &SAVE_CACHE,
    &RESTORE_CACHE,
    &PERSIST_TO_WORKSPACE,
    &ATTACH_WORKSPACE,
    &STORE_ARTIFACTS,
    &STORE_TEST_RESULTS,
    &ADD_SSH_KEYS,
    &SETUP_REMOTE_DOCKER,
    &INSTALL_SIGNING_BUNDLE,
    &WORKFLOWS,
    &WORKFLOW,
    &WORKFLOW_JOB,
    &GROUP_IN_WORKFLOW,
    &MATRIX,
    &FILTERS,
    &FILTER,
    &SCHEDULE,
];

pub(crate) const ROOT: Vocabulary = Vocabulary {
    title: "Top level",
    place: "the configuration",
    words: &[
        yes("version", "`2.1`, or `2`. Required."),
        yes("jobs", "Jobs by name."),
        yes("workflows", "Workflows by name. Without any, the job `build` is run."),
        new("commands", "Lists of steps by name, with parameters."),
        new("job-groups", "Lists of jobs by name, which workflows run as one."),
        new("executors", "Executors by name, for `executor:` in jobs."),
        new("parameters", "Parameters of the pipeline."),
        new("orbs", "Orbs by name: written here, or `namespace/name@version`."),
        yes("description", "For people."),
        yes(
            "setup",
            "`true`: one of its jobs makes the configuration that the pipeline goes on with.",
        ),
    ],
};

pub(crate) const JOB_GROUP: Vocabulary = Vocabulary {
    title: "One of the `job-groups`",
    place: "a job group",
    words: &[
        yes("jobs", "Its jobs, written as in a workflow. Required."),
        yes("description", "For people."),
    ],
};

pub(crate) const PARAMETER: Vocabulary = Vocabulary {
    title: "A parameter",
    place: "a parameter",
    words: &[
        yes(
            "type",
            "`string`, `boolean`, `integer`, `enum`, `executor`, `steps` or `env_var_name`. \
             Required.",
        ),
        yes("default", "Its value where none is given. Without one, a value must be given."),
        yes("enum", "The values of an `enum`."),
        yes("description", "For people."),
    ],
};

pub(crate) const COMMAND: Vocabulary = Vocabulary {
    title: "A command",
    place: "a command",
    words: &[
        yes("steps", "The steps, in order. Required."),
        yes("parameters", "Its parameters by name."),
        yes("description", "For people."),
    ],
};

pub(crate) const ORB: Vocabulary = Vocabulary {
    title: "An orb that is written in the configuration",
    place: "an orb",
    words: &[
        yes("commands", "Commands by name."),
        yes("jobs", "Jobs by name."),
        yes("executors", "Executors by name."),
        yes("orbs", "Orbs that it uses itself."),
        yes("version", "`2.1`."),
        yes("description", "For people."),
        yes("display", "For people."),
        yes("examples", "For people."),
    ],
};

const SHELL: Word = yes("shell", "Shell of the steps, such as `/bin/bash -eo pipefail`.");
const DIRECTORY: Word = yes("working_directory", "Directory that the steps run in.");
const ENVIRONMENT: Word = yes(
    "environment",
    "Variables: a mapping, a list of `NAME=value` or `NAME: value`, or one text `NAME=value`.",
);
const CLASS: Word = yes("resource_class", "The queue that the job waits in, `namespace/name`.");
const MACHINE_KEY: Word = yes("machine", "`true`, or a mapping; see `machine`.");
const MACOS_KEY: Word = yes("macos", "A mapping; see `macos`.");
const DOCKER_KEY: Word = yes(
    "docker",
    "Refused, since no containers are run. With `--on-host` the steps run on the machine itself, \
     without the images.",
);

pub(crate) const JOB: Vocabulary = Vocabulary {
    title: "A job",
    place: "a job",
    words: &[
        MACHINE_KEY,
        MACOS_KEY,
        DOCKER_KEY,
        yes("executor", "Name of one of the `executors`, or a mapping with its `name`."),
        new("parameters", "Its parameters by name."),
        CLASS,
        SHELL,
        DIRECTORY,
        ENVIRONMENT,
        yes("steps", "The steps, in order. Required."),
        yes("description", "For people."),
        yes("parallelism", "How many tasks share it, 1 to 1000."),
        yes("code_signing", "Names of the signing credentials for `install_signing_bundle`."),
        yes(
            "type",
            "`build`, `approval` (waits until somebody approves it) or `no-op` (succeeds at once); \
             the types `release`, `lock` and `unlock` cannot be run yet.",
        ),
        yes("branches", "`only` and `ignore`, where there are no workflows."),
        yes("max_auto_reruns", "How often it is run again after it failed: 1 to 10."),
        yes("key", "Of a `lock` or an `unlock`: what is locked."),
        yes("plan_name", "Of a `release`: the plan of the release."),
        yes("validation", "Of a `release`: how it is watched."),
        no_effect("circleci_ip_ranges", "jobs run on your own machines, with their addresses"),
        yes("retention", "How long what the job saves is kept: `caches: 15d` at most."),
    ],
};

pub(crate) const MACHINE: Vocabulary = Vocabulary {
    title: "`machine`",
    place: "`machine`",
    words: &[
        yes("enabled", "`true`."),
        CLASS,
        SHELL,
        no_effect("image", "jobs run on the machine that claims them, not in an image"),
        no_effect("docker_layer_caching", "images are cached by the machine's own Docker, if any"),
    ],
};

pub(crate) const MACOS: Vocabulary = Vocabulary {
    title: "`macos`",
    place: "`macos`",
    words: &[
        no_effect(
            "xcode",
            "steps use the Xcode that is selected on the machine; set DEVELOPER_DIR to choose one",
        ),
        CLASS,
        SHELL,
    ],
};

pub(crate) const EXECUTOR: Vocabulary = Vocabulary {
    title: "One of the `executors`",
    place: "an executor",
    words: &[
        MACHINE_KEY,
        MACOS_KEY,
        DOCKER_KEY,
        CLASS,
        SHELL,
        DIRECTORY,
        ENVIRONMENT,
        yes("description", "For people."),
        yes("parameters", "Its parameters by name."),
    ],
};

pub(crate) const DOCKER: Vocabulary = Vocabulary {
    title: "`docker`, each image",
    place: "an image",
    words: &[
        yes("image", "Required."),
        yes("name", "Host name of the container."),
        yes("entrypoint", "Command, a text or a list."),
        yes("command", "Arguments, a text or a list."),
        yes("user", "User in the container."),
        yes("environment", "Variables."),
        yes("auth", "`username` and `password` of a registry."),
        yes("aws_auth", "Keys or a role for a registry of AWS."),
    ],
};

pub(crate) const EXECUTOR_REFERENCE: Vocabulary = Vocabulary {
    title: "`executor` of a job, as a mapping",
    place: "`executor`",
    words: &[yes("name", "Name of one of the `executors`. Required.")],
};

pub(crate) const STEP: Vocabulary = Vocabulary {
    title: "Steps",
    place: "the steps",
    words: &[
        yes("run", "Runs a script: a text, or a mapping; see `run`."),
        yes("checkout", "Puts the project's source into the working directory."),
        yes("store_artifacts", "Stores files for people. Runs also after a step that failed."),
        yes(
            "store_test_results",
            "Stores JUnit XML and, on a Mac, `*.xcresult` bundles. Runs also after a step that failed.",
        ),
        new("when", "Steps that are run if a condition holds."),
        new("unless", "Steps that are run if a condition does not hold."),
        new("steps", "A parameter of the type `steps`, or a list."),
        yes("save_cache", "Stores files under a key."),
        yes("restore_cache", "Brings back what was stored under a key."),
        yes("persist_to_workspace", "Hands files to jobs that come later."),
        yes("attach_workspace", "Takes what earlier jobs handed on."),
        yes("add_ssh_keys", "Gives the steps that follow SSH keys of the project."),
        yes(
            "setup_remote_docker",
            "Does nothing but say whether the machine has a Docker of its own, which steps use.",
        ),
        yes(
            "install_signing_bundle",
            "Succeeds where the runner granted the job's signing credentials, which it installs \
             before the first step.",
        ),
        yes("deploy", "As `run`, in old configurations."),
    ],
};

const STEP_NAME: Word = yes("name", "Heading of the step.");
const STEP_WHEN: Word = yes("when", "`on_success`, `on_fail` or `always`.");

pub(crate) const RUN: Vocabulary = Vocabulary {
    title: "`run`",
    place: "a `run` step",
    words: &[
        yes("command", "The script. Required."),
        yes("name", "Heading of the step. Default: the first line of the script."),
        yes("shell", "Shell of this step."),
        yes("environment", "Variables of this step, written as those of a job."),
        yes("working_directory", "Directory, relative to the job's."),
        yes("background", "`true`: the job goes on while this runs."),
        yes(
            "no_output_timeout",
            "How long it may be silent: `90s`, `10m`, `1h30m`. Default `10m`.",
        ),
        yes("when", "`on_success` (default), `on_fail` or `always`."),
        yes("max_auto_reruns", "How often it is run again after it failed: 1 to 10."),
        yes("auto_rerun_delay", "How long to wait before that: `30s`. At most `10m`."),
    ],
};

pub(crate) const CHECKOUT: Vocabulary = Vocabulary {
    title: "`checkout`",
    place: "a `checkout` step",
    words: &[
        yes("path", "Directory, relative to the job's. Default: that directory."),
        STEP_NAME,
        STEP_WHEN,
        yes("method", "`blobless` (default), or `full`: everything of the repository."),
    ],
};

pub(crate) const CONDITIONAL: Vocabulary = Vocabulary {
    title: "`when` and `unless` as steps",
    place: "a conditional step",
    words: &[
        yes("condition", "A value, a logic statement or an expression. Required."),
        yes("steps", "The steps. Required."),
        yes("description", "For people."),
    ],
};

pub(crate) const RETENTION: Vocabulary = Vocabulary {
    title: "`retention`",
    place: "`retention`",
    words: &[yes("caches", "How long, at most: `15d`.")],
};

pub(crate) const SAVE_CACHE: Vocabulary = Vocabulary {
    title: "`save_cache`",
    place: "a `save_cache` step",
    words: &[
        yes("key", "Required."),
        yes("paths", "Files and directories. Required."),
        STEP_NAME,
        STEP_WHEN,
    ],
};

pub(crate) const RESTORE_CACHE: Vocabulary = Vocabulary {
    title: "`restore_cache`",
    place: "a `restore_cache` step",
    words: &[
        yes("key", "This or `keys` is required."),
        yes("keys", "Several, of which the first that is there is taken."),
        STEP_NAME,
        STEP_WHEN,
    ],
};

pub(crate) const PERSIST_TO_WORKSPACE: Vocabulary = Vocabulary {
    title: "`persist_to_workspace`",
    place: "a `persist_to_workspace` step",
    words: &[
        yes("root", "Directory. Required."),
        yes("paths", "Patterns of files below it. Required."),
        STEP_NAME,
        STEP_WHEN,
    ],
};

pub(crate) const ATTACH_WORKSPACE: Vocabulary = Vocabulary {
    title: "`attach_workspace`",
    place: "an `attach_workspace` step",
    words: &[yes("at", "Directory. Required."), STEP_NAME, STEP_WHEN],
};

pub(crate) const ADD_SSH_KEYS: Vocabulary = Vocabulary {
    title: "`add_ssh_keys`",
    place: "an `add_ssh_keys` step",
    words: &[yes("fingerprints", "The keys. Default: all of the project."), STEP_NAME, STEP_WHEN],
};

pub(crate) const SETUP_REMOTE_DOCKER: Vocabulary = Vocabulary {
    title: "`setup_remote_docker`",
    place: "a `setup_remote_docker` step",
    words: &[
        no_effect("version", "steps use the machine's own Docker, if it has one"),
        no_effect("docker_layer_caching", "images are cached by the machine's own Docker, if any"),
        STEP_NAME,
        STEP_WHEN,
    ],
};

pub(crate) const INSTALL_SIGNING_BUNDLE: Vocabulary = Vocabulary {
    title: "`install_signing_bundle`",
    place: "an `install_signing_bundle` step",
    words: &[STEP_NAME, STEP_WHEN],
};

pub(crate) const STORE_ARTIFACTS: Vocabulary = Vocabulary {
    title: "`store_artifacts`",
    place: "a `store_artifacts` step",
    words: &[
        yes("path", "File or directory. Required."),
        yes("destination", "Prefix under which the files are stored."),
        STEP_NAME,
        STEP_WHEN,
    ],
};

pub(crate) const STORE_TEST_RESULTS: Vocabulary = Vocabulary {
    title: "`store_test_results`",
    place: "a `store_test_results` step",
    words: &[yes("path", "File, bundle, or directory of such. Required."), STEP_NAME, STEP_WHEN],
};

pub(crate) const WORKFLOWS: Vocabulary = Vocabulary {
    title: "`workflows`",
    place: "`workflows`",
    words: &[yes("version", "Accepted and ignored, as in CircleCI's version 2.1.")],
};

pub(crate) const WORKFLOW: Vocabulary = Vocabulary {
    title: "A workflow",
    place: "a workflow",
    words: &[
        yes("jobs", "Names of jobs, bare or with the keys below. Required."),
        yes("description", "For people."),
        new("when", "A condition: the workflow runs if it holds."),
        new("unless", "A condition: the workflow runs if it does not hold."),
        yes("triggers", "A schedule. Such a workflow runs only where `--workflow` names it."),
        yes("max_auto_reruns", "How often each of its jobs is run again after it failed: 1 to 10."),
    ],
};

pub(crate) const WORKFLOW_JOB: Vocabulary = Vocabulary {
    title: "A job of a workflow",
    place: "a job of a workflow",
    words: &[
        yes(
            "requires",
            "Names of jobs of this workflow that must succeed first, or that must end in other \
             ways, as in `- build: [success, failed]`.",
        ),
        yes("name", "Name within the workflow. Default: the job's own."),
        yes("filters", "`branches` and `tags`, or an expression."),
        new("matrix", "One job for each combination of values."),
        new("pre-steps", "Steps before those of the job."),
        new("post-steps", "Steps after those of the job."),
        new("when", "A condition: the job runs if it holds."),
        new("unless", "A condition: the job runs if it does not hold."),
        yes("type", "As in a job: with `approval` or `no-op` it need not be among the `jobs`."),
        yes("context", "Contexts whose variables the job gets: a name, or a list of them."),
        yes("serial-group", "The group of whose jobs one runs at a time, in all projects."),
        yes(
            "override-with",
            "A job of an orb that is run in place of this one, where there is such a job.",
        ),
        yes("max_auto_reruns", "How often it is run again after it failed: 1 to 10."),
    ],
};

pub(crate) const GROUP_IN_WORKFLOW: Vocabulary = Vocabulary {
    title: "A job group of a workflow",
    place: "a job group of a workflow",
    words: &[
        yes("requires", "What those of its jobs wait for that require none of the group."),
        yes("serial-group", "For each of its jobs. Others may run between them, with a warning."),
        yes("filters", "For each of its jobs."),
        yes("when", "For each of its jobs."),
        yes("unless", "For each of its jobs."),
    ],
};

pub(crate) const MATRIX: Vocabulary = Vocabulary {
    title: "`matrix`",
    place: "`matrix`",
    words: &[
        yes("parameters", "Lists of values by parameter. Required. At most 128 combinations."),
        yes("exclude", "Combinations that are left out."),
        yes("alias", "Name of all of its jobs in `requires`. Default: the job's own."),
    ],
};

pub(crate) const FILTERS: Vocabulary = Vocabulary {
    title: "`filters`",
    place: "`filters`",
    words: &[
        yes("branches", "Which branches the job runs for. Default: all."),
        yes("tags", "Which tags the job runs for. Default: none."),
    ],
};

pub(crate) const FILTER: Vocabulary = Vocabulary {
    title: "`branches` and `tags`",
    place: "a filter",
    words: &[
        yes("only", "A name or `/pattern/`, or a list of them: the job runs for these."),
        yes("ignore", "The same: the job does not run for these."),
    ],
};

pub(crate) const SCHEDULE: Vocabulary = Vocabulary {
    title: "`schedule` of a workflow's `triggers`",
    place: "`schedule`",
    words: &[
        yes("cron", "When. Required."),
        yes("filters", "Branches that it runs for. Required."),
    ],
};
