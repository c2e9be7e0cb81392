//! The launchd domain of a slot's user (`user/UID`): what a job may have put there and how all of
//! it is ended at once.
//!
//! launchd starts what is in a domain again when it is killed, so the domain goes before the
//! processes. Root names a number here and no path, so there is nothing of a job in it.

use crate::platform::command::{Command, Output, Tools};

/// launchctl(1).
const LAUNCHCTL: &str = "/bin/launchctl";

/// "No such process": what `bootout` says of a domain that is not there.
const NO_SUCH_DOMAIN: i32 = 3;

/// "Could not find service": what it says of one that is going.
const NO_SUCH_SERVICE: i32 = 113;

/// "Domain does not support specified action": there is none for this user.
const NO_DOMAIN: i32 = 125;

/// `launchctl bootout user/UID`: ends the domain and everything in it.
#[must_use]
pub fn bootout(tools: &Tools, uid: u32) -> Command {
    tools.command(LAUNCHCTL).arg("bootout").arg(format!("user/{uid}"))
}

/// `launchctl print user/UID`: what is in it.
#[must_use]
pub fn print(tools: &Tools, uid: u32) -> Command {
    tools.command(LAUNCHCTL).arg("print").arg(format!("user/{uid}"))
}

/// What was wrong with a `bootout`. A domain that is not there is what is wanted.
#[must_use]
pub fn problem(output: &Output) -> Option<String> {
    match output.status.code() {
        Some(0 | NO_SUCH_DOMAIN | NO_SUCH_SERVICE | NO_DOMAIN) => None,
        _ => Some(output.failed(None).to_string()),
    }
}

/// Labels of services in the output of `print` that are not Apple's own.
///
/// The output is for people and no interface, says launchctl(1); so what is not understood is
/// left out, and nothing but a line in a log depends on it.
#[must_use]
pub fn foreign_services(printed: &str) -> Vec<String> {
    let mut lines = printed.lines().map(str::trim);
    let mut found = Vec::new();
    if lines.by_ref().all(|line| line != "services = {") {
        return found;
    }
    for line in lines.take_while(|line| *line != "}") {
        // `PID STATUS LABEL`
        let mut fields = line.split_whitespace();
        let is_row = fields.next().is_some_and(|pid| pid == "-" || pid.parse::<i32>().is_ok());
        if let (true, Some(_), Some(label)) = (is_row, fields.next(), fields.next())
            && !label.starts_with("com.apple.")
        {
            found.push(label.to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{bootout, foreign_services, print, problem};
    use crate::platform::command::Tools;
    use crate::platform::command::testing::fake_tool;

    /// assumed: the form of `launchctl print user/UID` on macOS 13, put together from what people
    /// posted.
    const PRINTED: &str = "user/350 = {\n\ttype = user\n\thandle = 350\n\tactive count = 4\n\
        \tservices = {\n\t\t       0      - \tcom.apple.trustd.agent\n\
        \t\t    4711      - \tcom.example.watcher\n\t\t       0      78 \torg.acme.sync\n\t}\n\n\
        \tunmanaged processes = {\n\t\t   99      - \tsomething.else\n\t}\n}\n";

    fn tools(script: &str) -> (tempfile::TempDir, Tools) {
        let dir = tempfile::tempdir().unwrap();
        fake_tool(dir.path(), "launchctl", script);
        let tools = Tools::below(dir.path());
        (dir, tools)
    }

    #[test]
    fn services_of_a_job_are_told_from_the_systems() {
        assert_eq!(foreign_services(PRINTED), ["com.example.watcher", "org.acme.sync"]);
        assert!(foreign_services("Domain does not exist").is_empty());
        assert!(foreign_services("services = {\nnonsense\n}").is_empty());
    }

    #[test]
    fn a_domain_that_is_not_there_is_no_problem_and_a_refusal_is() {
        for code in [0, 3, 113, 125] {
            let (_dir, tools) = tools(&format!("[ \"$*\" = 'bootout user/350' ] && exit {code}"));
            assert_eq!(problem(&bootout(&tools, 350).run().unwrap()), None, "{code}");
        }
        let (_dir, tools) = tools("echo 'Boot-out failed: 1: Operation not permitted' >&2; exit 1");
        let said = problem(&bootout(&tools, 350).run().unwrap()).unwrap();
        assert!(said.contains("Operation not permitted"), "{said}");
    }

    #[test]
    fn the_domain_is_asked_for_by_its_number() {
        let (_dir, tools) = tools("echo \"$@\"");
        assert_eq!(print(&tools, 350).run().unwrap().text(), "print user/350\n");
    }
}
