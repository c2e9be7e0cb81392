//! The kinds of things that arguments of the command line name.

use super::names::Kind;

/// Returns the kind of thing that an argument of a command names; `None`: the control plane knows
/// nothing of it.
pub(super) fn kind_of(path: &[&str], argument: &str) -> Option<Kind> {
    let kind = match (path, argument) {
        (["pipeline", ..], "id") => Kind::Pipeline,
        (["workflow", ..], "id") => Kind::Workflow,
        (["job", ..], "id") => Kind::Job,
        (["token", ..], "id") => Kind::Token,
        (["runner", "list"], "of") | (["resource-class", "list"], "namespace") => Kind::Class,
        (["runner", ..], "name") => Kind::Runner,
        (["resource-class", "create"], "class") => return None,
        (["resource-class" | "token" | "runner" | "pipeline", ..], "class" | "resource_class") => {
            Kind::Class
        }
        (["context", "create"], "name") => return None,
        (["context", "create"], "projects") => Kind::Project,
        (["context", "env", ..], "owner") | (["context", ..], "name")
            if !is_variable(path, argument) =>
        {
            Kind::Context
        }
        (["project", "env", ..], "owner") => Kind::Project,
        (["schedule", ..], "project") => Kind::Project,
        (["project" | "pipeline" | "workflow" | "job" | "server", ..], "project") => Kind::Project,
        (["alert", ..], "name") if path != ["alert", "add"] => Kind::AlertTarget,
        _ => return None,
    };
    Some(kind)
}

/// Returns true for the name of a variable, whose values nobody is to see even here.
fn is_variable(path: &[&str], argument: &str) -> bool {
    path.len() > 2 && argument == "name"
}

#[cfg(test)]
mod tests {
    use super::{Kind, kind_of};

    #[test]
    fn an_argument_names_what_its_command_is_about() {
        for (path, argument, kind) in [
            (&["pipeline", "watch"][..], "id", Some(Kind::Pipeline)),
            (&["job", "logs"], "id", Some(Kind::Job)),
            (&["job", "logs"], "step", None),
            (&["runner", "show"], "name", Some(Kind::Runner)),
            (&["resource-class", "create"], "class", None),
            (&["token", "create"], "class", Some(Kind::Class)),
            (&["context", "env", "set"], "owner", Some(Kind::Context)),
            (&["context", "env", "set"], "name", None),
            (&["project", "env", "set"], "owner", Some(Kind::Project)),
        ] {
            assert_eq!(kind_of(path, argument), kind, "{path:?} {argument}");
        }
    }
}
