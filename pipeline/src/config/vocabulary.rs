//! The words of the language, by place. The code checks keys against these lists and the
//! reference in `docs/config.md` is made from them, so neither can drift from the other.

/// What becomes of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Support {
    /// It does what CircleCI says it does.
    Yes,
    /// CircleCI has it and we do not, so far: refused by name.
    NotYet,
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
}

/// A place in a configuration and the words it may hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Vocabulary {
    /// Heading in the reference.
    pub(crate) title: &'static str,
    /// What messages call it: "unknown key `x` in …".
    pub(crate) place: &'static str,
    pub(crate) words: &'static [Word],
}

const fn yes(name: &'static str, about: &'static str) -> Word {
    Word { name, support: Support::Yes, about }
}

const fn not_yet(name: &'static str) -> Word {
    Word { name, support: Support::NotYet, about: "" }
}

const fn no_effect(name: &'static str, about: &'static str) -> Word {
    Word { name, support: Support::NoEffect, about }
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
pub(crate) const ALL: [&Vocabulary; 14] = [
    &ROOT,
    &JOB,
    &MACHINE,
    &MACOS,
    &EXECUTOR,
    &EXECUTOR_REFERENCE,
    &STEP,
    &RUN,
    &CHECKOUT,
    &STORE_ARTIFACTS,
    &STORE_TEST_RESULTS,
    &WORKFLOWS,
    &WORKFLOW,
    &WORKFLOW_JOB,
];

pub(crate) const ROOT: Vocabulary = Vocabulary {
    title: "Top level",
    place: "the configuration",
    words: &[
        yes("version", "`2.1`, or `2`. Required."),
        yes("jobs", "Jobs by name."),
        yes("workflows", "Workflows by name. Without any, the job `build` is run."),
        yes("executors", "Executors by name, for `executor:` in jobs. Version 2.1."),
        yes("description", "For people."),
        not_yet("orbs"),
        not_yet("commands"),
        not_yet("parameters"),
        not_yet("setup"),
    ],
};

const SHELL: Word = yes("shell", "Shell of the steps, such as `/bin/bash -eo pipefail`.");
const DIRECTORY: Word = yes("working_directory", "Directory that the steps run in.");
const ENVIRONMENT: Word = yes(
    "environment",
    "Variables: a mapping, or a list of `NAME=value` or `NAME: value`. Values are kept as written.",
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
        CLASS,
        SHELL,
        DIRECTORY,
        ENVIRONMENT,
        yes("steps", "The steps, in order. Required."),
        yes("description", "For people."),
        yes("parallelism", "Only `1`: more than one task per job is not supported yet."),
        not_yet("parameters"),
        not_yet("type"),
        not_yet("branches"),
        not_yet("max_auto_reruns"),
        not_yet("circleci_ip_ranges"),
        not_yet("retention"),
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
        not_yet("parameters"),
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
        yes("store_test_results", "Stores JUnit XML. Runs also after a step that failed."),
        not_yet("when"),
        not_yet("unless"),
        not_yet("steps"),
        not_yet("save_cache"),
        not_yet("restore_cache"),
        not_yet("persist_to_workspace"),
        not_yet("attach_workspace"),
        not_yet("add_ssh_keys"),
        not_yet("setup_remote_docker"),
        not_yet("install_signing_bundle"),
        not_yet("deploy"),
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
        not_yet("max_auto_reruns"),
        not_yet("auto_rerun_delay"),
    ],
};

pub(crate) const CHECKOUT: Vocabulary = Vocabulary {
    title: "`checkout`",
    place: "a `checkout` step",
    words: &[
        yes("path", "Directory, relative to the job's. Default: that directory."),
        STEP_NAME,
        STEP_WHEN,
        not_yet("method"),
    ],
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
    words: &[yes("path", "File or directory of JUnit XML. Required."), STEP_NAME, STEP_WHEN],
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
        not_yet("when"),
        not_yet("unless"),
        not_yet("triggers"),
        not_yet("max_auto_reruns"),
    ],
};

pub(crate) const WORKFLOW_JOB: Vocabulary = Vocabulary {
    title: "A job of a workflow",
    place: "a job of a workflow",
    words: &[
        yes("requires", "Names of jobs of this workflow that must succeed first."),
        yes("name", "Name within the workflow. Default: the job's own."),
        not_yet("filters"),
        not_yet("context"),
        not_yet("type"),
        not_yet("matrix"),
        not_yet("pre-steps"),
        not_yet("post-steps"),
        not_yet("serial-group"),
        not_yet("override-with"),
        not_yet("when"),
        not_yet("unless"),
    ],
};
