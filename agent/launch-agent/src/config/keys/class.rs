//! An entry of `runner.classes`.

use super::{Key, Kind, key};

/// Its keys, in the order of the reference.
pub(in crate::config) const CLASS_KEYS: &[Key] = &[
    key(
        "token",
        &[],
        Kind::Secret,
        "none",
        "The class's token. One of `token`, `token_file` and `token_stored` is required.",
    ),
    key("token_file", &[], Kind::Path, "none", "A file with the token, readable by nobody else."),
    key(
        "token_stored",
        &[],
        Kind::Text,
        "none",
        "The name of a token that `russet agent token add` stored, as `api.auth_token_stored`.",
    ),
    key(
        "resource_class",
        &[],
        Kind::Text,
        "whatever the token implies",
        "The class that the token should imply, for messages; a task of another class is refused.",
    ),
    key("slots", &[], Kind::Number, "`runner.slots`", "How many tasks at once."),
    key("task_agent", &[], Kind::Path, "`runner.task_agent`", "A task agent for this class."),
    key(
        "allowed_projects",
        &[],
        Kind::Words,
        "all",
        "Projects whose tasks are run; `*` stands for any text. A task of another project, or of \
         none that the server names, is refused before anything of it runs.",
    ),
    key(
        "allow_forks",
        &[],
        Kind::Flag,
        "`false`",
        "Whether tasks that come from forks are run. They are refused otherwise.",
    ),
    key(
        "session",
        &[],
        Kind::Choice(&["background", "gui"]),
        "`background`",
        "`background`: without a screen, as the slot's own user. `gui` (macOS): in the session of \
         the account `gui_user`, for tests that need a screen; see sessions.md.",
    ),
    key(
        "gui_user",
        &[],
        Kind::Text,
        "none",
        "The account for `session: gui`: one of its own for tasks, no administrator, logged in at the \
         screen. Never a person's.",
    ),
    key(
        "credentials",
        &[],
        Kind::Words,
        "`[]`",
        "Names of credentials that `russet agent credential add` stored. A task gets those of them \
         that are granted to this class, its project and its branch or tag; one from a fork gets \
         none. Needs `resource_class`, and an agent that runs as root.",
    ),
    key(
        "xcode",
        &[],
        Kind::Text,
        "the one that is selected on the machine",
        "The Xcode of the class's tasks, which becomes their DEVELOPER_DIR unless they set it or their \
         job names one under `macos`: a version (`16.2`, `26`, `26.1 beta 3`), which is looked for by \
         what each bundle says of itself, or the path of an .app. While it is missing, half there or \
         not ready, the class is held; see xcode.md.",
    ),
    key(
        "keep.paths",
        &[],
        Kind::Words,
        "`[]`",
        "Directories of the home that outlive tasks of one project and kind of branch: `~/PATH`, \
         `slot:~/PATH` for one whose contents hold absolute paths, or `derived-data`, `swiftpm`, \
         `cocoapods`, `gradle`, `homebrew`. Never shared with forks. Needs an agent that is root; see \
         kept-directories.md.",
    ),
    key(
        "keep.branches",
        &[],
        Kind::Words,
        "`[main, master]`",
        "Branches whose tasks write what tasks of all branches read; `*` stands for any text. Tasks of \
         other branches write what these alone read. Only branches that trusted people write to.",
    ),
    key(
        "keep.limit",
        &[],
        Kind::Size,
        "`20GB`",
        "Bytes of the kept directories of one project and kind of branch; what was changed least \
         recently is left out.",
    ),
    key(
        "hooks.pre_task",
        &[],
        Kind::Path,
        "none",
        "A program to run before the first step, as the slot's user. A failure fails the task.",
    ),
    key(
        "hooks.post_task",
        &[],
        Kind::Path,
        "none",
        "A program to run after the last step, also after a failed one.",
    ),
    key("hooks.timeout", &[], Kind::Duration, "`5m`", "How long a hook may run."),
    key(
        "limits.processes",
        &[],
        Kind::Number,
        "`runner.limits.processes`",
        "As there, for this class.",
    ),
    key(
        "limits.open_files",
        &[],
        Kind::Number,
        "`runner.limits.open_files`",
        "As there, for this class.",
    ),
    key("limits.disk", &[], Kind::Size, "`runner.limits.disk`", "As there, for this class."),
    key("limits.output", &[], Kind::Size, "`runner.limits.output`", "As there, for this class."),
    key(
        "limits.kill_grace",
        &[],
        Kind::Duration,
        "`runner.limits.kill_grace`",
        "As there, for this class.",
    ),
];
