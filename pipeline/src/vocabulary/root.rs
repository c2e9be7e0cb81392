//! Words of the top level: keys, parameters, commands, orbs and groups of jobs.

use super::{Vocabulary, new, yes};

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
