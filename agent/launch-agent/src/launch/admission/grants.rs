//! Grants stored credentials to a claimed task.
//!
//! Decided here, from what the owner stored (`vault::Grant`), whatever the control plane says; the
//! credentials go to the task agent's standard input and are never written down (the journal holds
//! none: a task that was not yet started when the launch agent ended is given back).

use russet_protocol::credential::Credential;
use russet_protocol::runner::ClaimResponse;

use crate::config::{Class, Config};
use crate::vault::{Document, Task, Vault};

/// Credentials that a task gets, and a note of those that it does not.
#[derive(Clone, Debug, Default)]
pub(in crate::launch) struct Granted {
    pub(in crate::launch) credentials: Vec<Credential>,
    /// A sentence for each credential of the class that the task does not get.
    pub(in crate::launch) withheld: Vec<String>,
}

/// Reads the store and decides.
pub(in crate::launch) fn grant_credentials(
    config: &Config,
    class: &Class,
    claimed: &ClaimResponse,
) -> Granted {
    if class.credentials.is_empty() {
        return Granted::default();
    }
    let read = Vault::open(&config.state_directory).and_then(|vault| vault.read());
    match read {
        Ok(document) => decide_grants(class, claimed, &document),
        Err(error) => {
            tracing::error!(%error, "could not read the stored credentials");
            let withheld = |name: &String| format!("credential {name}: withheld: {error}");
            let withheld = class.credentials.iter().map(withheld).collect();
            Granted { credentials: Vec::new(), withheld }
        }
    }
}

fn decide_grants(class: &Class, claimed: &ClaimResponse, document: &Document) -> Granted {
    let named = class.resource_class.as_ref().map(ToString::to_string);
    let task = Task {
        class: named.as_deref(),
        project: claimed.project.as_deref(),
        branch: claimed.branch.as_deref(),
        tag: claimed.tag.as_deref(),
        from_fork: claimed.from_fork,
    };
    let mut granted = Granted::default();
    for name in &class.credentials {
        let refusal = match document.credentials.get(name) {
            None => Some("none is stored under this name on this machine".to_owned()),
            Some(stored) => stored.grant.refusal(&task),
        };
        match (refusal, document.credentials.get(name)) {
            (None, Some(stored)) => granted
                .credentials
                .push(Credential { name: name.clone(), content: stored.content.clone() }),
            (reason, _) => {
                let reason = reason.unwrap_or_default();
                granted.withheld.push(format!("credential {name}: withheld: {reason}"));
            }
        }
    }
    granted
}

#[cfg(test)]
mod tests {
    use super::decide_grants;
    use crate::config::{Class, Token};
    use crate::vault::{Document, Grant, StoredCredential};
    use russet_protocol::credential::Content;
    use russet_protocol::secret::Secret;

    fn class() -> Class {
        Class {
            session: crate::config::Session::Background,
            keep: Default::default(),
            label: String::new(),
            token: Token::Given(Secret::new("t")),
            resource_class: Some("acme/release".parse().unwrap()),
            slots: 1,
            task_agent: None,
            allowed_projects: Vec::new(),
            allow_forks: true,
            hooks: Default::default(),
            limits: Default::default(),
            credentials: vec!["dist".to_owned(), "gone".to_owned()],
            xcode: None,
        }
    }

    fn document() -> Document {
        let list = |text: &str| vec![text.to_owned()];
        let grant = Grant {
            classes: list("acme/release"),
            projects: list("acme/app"),
            branches: list("main"),
            tags: list("v*"),
        };
        let content = Content::Password { value: Secret::new("hunter2") };
        let stored = StoredCredential { content, grant, stored: 0 };
        let mut document = Document::default();
        // One that the class does not list is none of its business.
        document.credentials.insert("other".to_owned(), stored.clone());
        document.credentials.insert("dist".to_owned(), stored);
        document
    }

    fn names(claim: serde_json::Value) -> (Vec<String>, String) {
        let mut all = serde_json::json!({ "task_token": "t", "allocation": "a" });
        all.as_object_mut().unwrap().extend(claim.as_object().unwrap().clone());
        let granted = decide_grants(&class(), &serde_json::from_value(all).unwrap(), &document());
        let names = granted.credentials.into_iter().map(|credential| credential.name).collect();
        (names, granted.withheld.join("\n"))
    }

    #[test]
    fn a_granted_task_gets_what_its_class_lists_and_is_told_what_is_missing() {
        let (names, withheld) = names(serde_json::json!({
            "project": "acme/app", "branch": "main", "from_fork": false,
        }));
        assert_eq!(names, ["dist"]);
        assert_eq!(
            withheld,
            "credential gone: withheld: none is stored under this name on this machine"
        );
    }

    #[test]
    fn forks_other_branches_and_servers_that_say_nothing_get_nothing() {
        for claim in [
            serde_json::json!({ "project": "acme/app", "branch": "main", "from_fork": true }),
            serde_json::json!({ "project": "acme/app", "branch": "feature", "from_fork": false }),
            serde_json::json!({ "project": "evil/app", "branch": "main", "from_fork": false }),
            serde_json::json!({ "project": "acme/app", "branch": "main" }),
            serde_json::json!({ "project": "acme/app", "from_fork": false }),
            serde_json::json!({ "branch": "main", "from_fork": false }),
            serde_json::json!({}),
        ] {
            let (names, withheld) = names(claim.clone());
            assert!(names.is_empty(), "{claim}");
            assert!(withheld.starts_with("credential dist: withheld: "), "{withheld}");
        }
    }
}
