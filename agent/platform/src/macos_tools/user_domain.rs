//! The launchd domain of a slot's user (`user/UID`): what a job may have put there and how all of
//! it is ended at once.
//!
//! launchd starts what is in a domain again when it is killed, so the domain goes before the
//! processes. Root names a number here and no path, so there is nothing of a job in it.

use std::collections::BTreeSet;
use std::path::Path;

use super::console;
use crate::command::{Command, CommandError, Output, Tools};

/// launchctl(1).
const LAUNCHCTL: &str = "/bin/launchctl";

/// "No such process": what `bootout` says of a domain that is not there.
const NO_SUCH_DOMAIN: i32 = 3;

/// "Could not find service": what it says of one that is going.
const NO_SUCH_SERVICE: i32 = 113;

/// "Operation now in progress": it goes on in the background, which takes as long as what is in the
/// domain takes to end.
const IN_PROGRESS: i32 = 36;

/// "Domain does not support specified action": there is none for this user.
const NO_DOMAIN: i32 = 125;

/// `launchctl bootout user/UID`: ends the domain and everything in it.
#[must_use]
pub fn bootout(tools: &Tools, uid: u32) -> Command {
    tools.command(LAUNCHCTL).arg("bootout").arg(format!("user/{uid}"))
}

/// `launchctl print user/UID`: what is in it.
#[must_use]
pub fn print_command(tools: &Tools, uid: u32) -> Command {
    tools.command(LAUNCHCTL).arg("print").arg(format!("user/{uid}"))
}

/// `launchctl print gui/UID`: what is in the session at the screen. It fails where the user is not
/// logged in there.
#[must_use]
pub fn print_session(tools: &Tools, uid: u32) -> Command {
    tools.command(LAUNCHCTL).arg("print").arg(format!("gui/{uid}"))
}

/// `launchctl bootout gui/UID/LABEL`: ends one job of the session. (Without a label it would log
/// the user out.)
#[must_use]
pub fn bootout_session_job(tools: &Tools, uid: u32, label: &str) -> Command {
    tools.command(LAUNCHCTL).arg("bootout").arg(format!("gui/{uid}/{label}"))
}

/// `launchctl asuser UID`: what comes after it runs in the session of that user at the screen, as
/// whoever started it (launchctl(1): it takes over bootstrap namespace and audit session, and
/// does not change user or environment).
#[must_use]
pub fn in_session(tools: &Tools, uid: u32) -> Vec<String> {
    let launchctl = tools.path(LAUNCHCTL).to_string_lossy().into_owned();
    vec![launchctl, "asuser".to_owned(), uid.to_string()]
}

/// Returns the reason for which a user cannot use the screen: not logged in there, locked, or behind
/// somebody else's session. `None`: it can.
#[must_use]
pub fn session_absence(tools: &Tools, uid: u32, name: &str) -> Option<String> {
    match print_session(tools, uid).run() {
        Ok(output) if output.status.success() => {}
        Ok(_) => {
            return Some(format!(
                "{name} is not logged in at the screen; log it in, or turn automatic login on \
                 with `sudo russet agent gui setup`"
            ));
        }
        Err(error) => return Some(format!("could not ask whether {name} is logged in: {error}")),
    }
    match console::console_sessions(tools) {
        Ok(sessions) => console::screen_obstacle(&sessions.unwrap_or_default(), uid, name),
        Err(error) => {
            Some(format!("could not ask whether the screen of {name} is locked: {error}"))
        }
    }
}

/// Lists the jobs that a task added to a session: services that are neither Apple's, nor one of
/// `installed` (which an administrator put there for all users), nor an application, which is a
/// process like others.
#[must_use]
pub fn session_jobs(printed: &str, installed: &BTreeSet<String>) -> Vec<String> {
    let mut jobs = foreign_services(printed);
    jobs.retain(|label| {
        // It becomes a part of an argument.
        !label.contains('/') && !label.starts_with("application.") && !installed.contains(label)
    });
    jobs
}

/// Labels of the property lists in a directory of root's.
#[must_use]
pub fn labels_in(directory: &Path) -> BTreeSet<String> {
    let label = |path: &Path| {
        let list = plist::Value::from_file(path).ok()?;
        Some(list.as_dictionary()?.get("Label")?.as_string()?.to_owned())
    };
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter_map(|entry| label(&entry.path())).collect()
}

/// The reason for which launchd did not end a domain or a service.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct DomainError(#[from] CommandError);

/// Judges a `bootout`. A domain that is not there is what is wanted.
///
/// # Errors
///
/// launchd refused.
pub fn check_bootout(output: &Output) -> Result<(), DomainError> {
    match output.status.code() {
        Some(0 | IN_PROGRESS | NO_SUCH_DOMAIN | NO_SUCH_SERVICE | NO_DOMAIN) => Ok(()),
        _ => Err(output.failed(None).into()),
    }
}

/// Returns true if a `bootout` goes on in the background.
#[must_use]
pub fn is_in_progress(output: &Output) -> bool {
    output.status.code() == Some(IN_PROGRESS)
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
    use super::{
        bootout, bootout_session_job, check_bootout, foreign_services, in_session, labels_in,
        print_command, session_absence, session_jobs,
    };
    use crate::command::Tools;
    use crate::command::testing::fake_tool;
    use std::collections::BTreeSet;

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
            let output = bootout(&tools, 350).run().unwrap();
            assert!(check_bootout(&output).is_ok(), "{code}");
        }
        let (_dir, tools) = tools("echo 'Boot-out failed: 1: Operation not permitted' >&2; exit 1");
        let output = bootout(&tools, 350).run().unwrap();
        let said = check_bootout(&output).unwrap_err().to_string();
        assert!(said.contains("Operation not permitted"), "{said}");
    }

    #[test]
    fn in_a_session_only_what_a_job_added_is_ended() {
        let printed = "gui/502 = {\n\tservices = {\n\
            \t\t  10  -  com.apple.Finder\n\t\t  11  -  application.com.acme.app.1.2\n\
            \t\t  12  -  com.example.installed\n\t\t  13  -  dev.job.watcher\n\
            \t\t   0  -  ../odd\n\t}\n}\n";
        let directory = tempfile::tempdir().unwrap();
        let list = "<plist version=\"1.0\"><dict><key>Label</key>\
                    <string>com.example.installed</string></dict></plist>";
        std::fs::write(directory.path().join("a.plist"), list).unwrap();
        std::fs::write(directory.path().join("broken.plist"), "nonsense").unwrap();
        let installed = labels_in(directory.path());
        assert_eq!(installed, BTreeSet::from(["com.example.installed".to_owned()]));
        assert_eq!(session_jobs(printed, &installed), ["dev.job.watcher"]);
        assert!(labels_in(&directory.path().join("none")).is_empty());
    }

    #[test]
    fn a_session_is_named_by_its_user_and_never_ended_as_a_whole() {
        let (_dir, tools) = tools("echo \"$@\"");
        let said = bootout_session_job(&tools, 502, "dev.job.watcher").run().unwrap().text();
        assert_eq!(said, "bootout gui/502/dev.job.watcher\n");
        assert_eq!(in_session(&Tools::system(), 502), ["/bin/launchctl", "asuser", "502"]);
    }

    #[test]
    fn who_is_not_logged_in_is_told_from_who_is() {
        let (dir, here) = tools("[ \"$*\" = 'print gui/502' ]");
        // Logged in, and nobody says if the screen can be used.
        let unknown = session_absence(&here, 502, "ci-gui").unwrap();
        assert!(unknown.contains("could not ask whether the screen"), "{unknown}");
        let registry = |locked: &str| {
            format!(
                "echo '<plist version=\"1.0\"><dict><key>IOConsoleUsers</key><array><dict>\
                 <key>kCGSSessionUserIDKey</key><integer>502</integer>{locked}</dict></array></dict>\
                 </plist>'"
            )
        };
        fake_tool(dir.path(), "ioreg", &registry(""));
        assert_eq!(session_absence(&here, 502, "ci-gui"), None);
        fake_tool(dir.path(), "ioreg", &registry("<key>CGSSessionScreenIsLocked</key><true/>"));
        assert!(session_absence(&here, 502, "ci-gui").unwrap().contains("is locked"));
        for code in [113, 125, 1] {
            let (_dir, gone) = tools(&format!("echo 'Could not find domain' >&2; exit {code}"));
            assert!(session_absence(&gone, 502, "ci-gui").unwrap().contains("not logged in"));
        }
        let nowhere = Tools::below(std::path::Path::new("/nowhere"));
        assert!(session_absence(&nowhere, 502, "ci-gui").unwrap().contains("could not ask"));
    }

    #[test]
    fn the_domain_is_asked_for_by_its_number() {
        let (_dir, tools) = tools("echo \"$@\"");
        assert_eq!(print_command(&tools, 350).run().unwrap().text(), "print user/350\n");
    }
}
