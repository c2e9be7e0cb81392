//! Words of jobs and executors.

use super::{Vocabulary, Word, new, no_effect, yes};

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
        yes(
            "xcode",
            "Version of Xcode. The job waits for a machine that has it; where machines do not say \
             what they have, it uses the one that is selected there. See [xcode.md](xcode.md).",
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
