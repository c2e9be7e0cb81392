//! Steps that on CircleCI fetch something, and here say what the machine has: the signing
//! credentials that the launch agent granted before the first step, and the machine's Docker.

use std::path::Path;

use russet_protocol::credential::Content;
use russet_protocol::supervise::Assignment;

use super::journal::StepOutput;
use super::step_end::StepEnd;

/// Signing credentials that the launch agent granted to a task, by name.
#[derive(Debug)]
pub(crate) struct SigningGrants {
    granted: Vec<Granted>,
    /// Credentials that were not granted, with the reasons.
    withheld: Vec<String>,
}

#[derive(Debug)]
struct Granted {
    name: String,
    kind: &'static str,
}

impl SigningGrants {
    pub(crate) fn of_assignment(assignment: &Assignment) -> Self {
        let signs = |content: &Content| {
            matches!(content, Content::SigningIdentity { .. } | Content::ProvisioningProfile { .. })
        };
        let signing = assignment.credentials.iter().filter(|it| signs(&it.content));
        let granted =
            signing.map(|it| Granted { name: it.name.clone(), kind: it.content.kind() }).collect();
        Self { granted, withheld: assignment.withheld.clone() }
    }

    /// Runs an `install_signing_bundle` step. Everything that was granted is installed already, in
    /// a keychain that ends with the task; what was not is why a build would fail with an error of
    /// `codesign`.
    pub(crate) fn show_installed(&self, output: &StepOutput, wanted: &[String]) -> StepEnd {
        match self.choose(wanted) {
            Ok(lines) => {
                output.say(&lines.join("\n"));
                StepEnd::success()
            }
            Err(message) => output.fail(message),
        }
    }

    /// Returns lines about the granted credentials with these names; without names, about all.
    fn choose(&self, wanted: &[String]) -> Result<Vec<String>, GrantError> {
        let is_granted = |name: &String| self.granted.iter().any(|it| it.name == *name);
        let withheld = || self.withheld.iter().fold(String::new(), |text, line| text + "\n" + line);
        if let Some(missing) = wanted.iter().find(|name| !is_granted(name)) {
            return Err(GrantError::Missing { name: missing.clone(), withheld: withheld() });
        }
        if self.granted.is_empty() {
            return Err(GrantError::None { withheld: withheld() });
        }
        let chosen =
            self.granted.iter().filter(|it| wanted.is_empty() || wanted.contains(&it.name));
        Ok(chosen.map(|it| format!("{}: {}, installed", it.name, it.kind)).collect())
    }
}

/// Lack of a signing credential. `withheld` are the reasons, each on a line of its own.
#[derive(Debug, thiserror::Error)]
enum GrantError {
    #[error(
        "the runner granted this task no signing credential `{name}`{withheld}\nhint: `russet agent \
         credential add` on the runner's machine stores one and says who is granted it"
    )]
    Missing { name: String, withheld: String },
    #[error(
        "the runner granted this task no signing identity or profile{withheld}\nhint: `russet agent \
         credential add` on the runner's machine stores one and says who is granted it"
    )]
    None { withheld: String },
}

/// Runs `setup_remote_docker`, with the `PATH` of the job's steps. A job that needs none goes on,
/// one that does fails where it does.
pub(crate) fn show_docker(path: &str, output: &StepOutput) -> StepEnd {
    let found = path.split(':').map(|dir| Path::new(dir).join("docker")).find(|it| it.is_file());
    output.say(&match found {
        Some(program) => format!(
            "there is no remote Docker engine here: steps use the machine's own through {}",
            program.display()
        ),
        None => "there is no remote Docker engine here, and no `docker` on this machine's PATH"
            .to_owned(),
    });
    StepEnd::success()
}

#[cfg(test)]
mod tests {
    use super::SigningGrants;
    use crate::task::testing;
    use russet_protocol::credential::{Content, Credential};
    use russet_protocol::secret::Secret;

    #[test]
    fn a_bundle_is_there_where_its_credentials_were_granted() {
        let (mut assignment, _) = testing::assignment_and_config();
        let choose = |assignment: &_, wanted: &[String]| {
            SigningGrants::of_assignment(assignment).choose(wanted)
        };
        let wanted = |names: &[&str]| names.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
        assignment.withheld = vec!["credential dist: the branch is not protected".to_owned()];
        let error = choose(&assignment, &[]).unwrap_err().to_string();
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
        assert_eq!(choose(&assignment, &[]).unwrap().len(), 1);
        assert_eq!(choose(&assignment, &wanted(&["dist"])).unwrap().len(), 1);
        assert!(
            choose(&assignment, &wanted(&["upload"])).unwrap_err().to_string().contains("`upload`")
        );
    }
}
