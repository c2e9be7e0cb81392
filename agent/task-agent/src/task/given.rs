//! Steps that on CircleCI fetch something, and here say what the machine has: the signing
//! credentials that the launch agent granted before the first step, and the machine's Docker.

use std::path::Path;

use russet_protocol::credential::Content;
use russet_protocol::supervise::Assignment;

use super::context::{Context, StepEnd};
use super::spool::StepLog;

/// Runs `install_signing_bundle`. Everything that was granted is installed already, in a keychain
/// that ends with the task; what was not is why a build would fail with an error of `codesign`.
pub(crate) fn signing(context: &Context, log: &StepLog, wanted: &[String]) -> StepEnd {
    match granted(&context.assignment, wanted) {
        Ok(lines) => {
            context.say(log, &lines.join("\n"));
            StepEnd::success()
        }
        Err(message) => {
            context.say(log, &format!("error: {message}"));
            StepEnd::failed(message)
        }
    }
}

/// Returns the granted credentials among the names; without names, all that sign.
fn granted(assignment: &Assignment, wanted: &[String]) -> Result<Vec<String>, String> {
    let signs = |content: &Content| {
        matches!(content, Content::SigningIdentity { .. } | Content::ProvisioningProfile { .. })
    };
    let there = || assignment.credentials.iter().filter(|it| signs(&it.content));
    let line = |name: &str, content: &Content| format!("{name}: {}, installed", content.kind());
    let withheld = assignment.withheld.iter().fold(String::new(), |text, line| text + "\n" + line);
    let hint = "hint: `russet agent credential add` on the runner's machine stores one and says \
                who is granted it";
    let Some(missing) = wanted.iter().find(|name| !there().any(|it| it.name == **name)) else {
        if there().next().is_none() {
            let why = "the runner granted this task no signing identity or profile";
            return Err(format!("{why}{withheld}\n{hint}"));
        }
        let chosen = there().filter(|it| wanted.is_empty() || wanted.contains(&it.name));
        return Ok(chosen.map(|it| line(&it.name, &it.content)).collect());
    };
    Err(format!("the runner granted this task no signing credential `{missing}`{withheld}\n{hint}"))
}

/// Runs `setup_remote_docker`. A job that needs none goes on, one that does fails where it does.
pub(crate) fn docker(context: &Context, log: &StepLog) -> StepEnd {
    let path = context.variables.get("PATH").map_or("", String::as_str);
    let found = path.split(':').map(|dir| Path::new(dir).join("docker")).find(|it| it.is_file());
    context.say(
        log,
        &match found {
            Some(program) => format!(
                "there is no remote Docker engine here: steps use the machine's own through {}",
                program.display()
            ),
            None => "there is no remote Docker engine here, and no `docker` on this machine's PATH"
                .to_owned(),
        },
    );
    StepEnd::success()
}

#[cfg(test)]
mod tests {
    use super::granted;
    use crate::task::testing;
    use russet_protocol::credential::{Content, Credential};
    use russet_protocol::secret::Secret;

    #[test]
    fn a_bundle_is_there_where_its_credentials_were_granted() {
        let (mut assignment, _) = testing::assignment_and_config();
        let wanted = |names: &[&str]| names.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
        assignment.withheld = vec!["credential dist: the branch is not protected".to_owned()];
        let error = granted(&assignment, &[]).unwrap_err();
        assert!(error.contains("branch is not protected") && error.contains("credential add"));
        assignment.credentials = vec![
            Credential {
                name: "dist".to_owned(),
                content: Content::SigningIdentity {
                    p12: Secret::new("p12"),
                    password: Secret::new("hunter2"),
                },
            },
            Credential {
                name: "upload".to_owned(),
                content: Content::Password { value: Secret::new("hunter2") },
            },
        ];
        assert_eq!(granted(&assignment, &[]).unwrap().len(), 1);
        assert_eq!(granted(&assignment, &wanted(&["dist"])).unwrap().len(), 1);
        assert!(granted(&assignment, &wanted(&["upload"])).unwrap_err().contains("`upload`"));
    }
}
