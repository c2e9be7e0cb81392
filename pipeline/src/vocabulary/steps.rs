//! Words of steps.

use super::{Vocabulary, Word, new, no_effect, yes};

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
        yes(
            "method",
            "`full`: all branches and tags with all contents; `blobless`: the same, with contents of other commits only when they are looked at. Without it, the commit alone where a project is connected to a repository (see [projects.md](projects.md#history)), else as `blobless`.",
        ),
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
        yes(
            "path",
            "File or directory. A bundle such as `Demo.app` is stored as one archive. Required.",
        ),
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
