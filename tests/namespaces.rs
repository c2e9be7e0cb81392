//! Two teams on one control plane, over the real binaries: each sees and changes what is its own.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::people::Somebody;
use crate::support::{Agent, AgentOptions, Server, test_dir};

/// A team: its namespace, somebody with a role in it, and its machine.
struct Team {
    namespace: &'static str,
    operator: Somebody,
    agent: Agent,
    /// Its first pipeline, which has ended.
    pipeline: String,
    job: String,
}

/// Writes a project whose job prints, leaves an artifact and uses the team's context.
fn write_project(dir: &Path, namespace: &str, context: &str) {
    let config = format!(
        "version: 2.1
jobs:
  build:
    machine: true
    resource_class: {namespace}/mini
    steps:
      - run: echo output of {namespace}
      - run: echo $SECRET | rev > left.txt
      - store_artifacts: {{path: left.txt}}
workflows:
  main:
    jobs:
      - build: {{context: [{context}]}}
"
    );
    std::fs::create_dir_all(dir.join(".circleci")).unwrap();
    std::fs::write(dir.join(".circleci/config.yml"), config).unwrap();
}

impl Team {
    /// Gives a team its namespace, an operator and a machine, and lets it build.
    fn begin(server: &Server, dir: &Path, owner: &Somebody, namespace: &'static str) -> Self {
        owner.succeed(&["namespace", "create", namespace]);
        let operator = Self::account(server, dir, owner, namespace, "operator");
        let class = format!("{namespace}/mini");
        operator.succeed(&["resource-class", "create", &class]);
        let made = operator.succeed(&["token", "create", &class, "--output", "json"]);
        let made: Value = serde_json::from_str(&made).unwrap();
        let options = AgentOptions { name: Some(format!("{namespace}-1")), ..Default::default() };
        let agent = Agent::start_at(server.url(), made["token"].as_str().unwrap(), &options);
        let context = format!("{namespace}/deploy");
        operator.succeed(&["context", "create", &context, "--all-projects"]);
        let value = operator.home.join("value");
        std::fs::write(&value, format!("of-{namespace}")).unwrap();
        let value = value.to_str().unwrap();
        operator.succeed(&["context", "env", "set", &context, "SECRET", "--from", value]);
        let project = operator.home.join("app");
        write_project(&project, namespace, "deploy");
        let named = format!("{namespace}/app");
        operator.succeed(&[
            "pipeline",
            "submit",
            project.to_str().unwrap(),
            "--project",
            &named,
            "--watch",
        ]);
        let shown =
            operator.succeed(&["pipeline", "show", &format!("{named}#1"), "--output", "json"]);
        let shown: Value = serde_json::from_str(&shown).unwrap();
        let job = shown["workflows"][0]["jobs"][0]["id"].as_str().unwrap().to_owned();
        Self { namespace, operator, agent, pipeline: shown["id"].as_str().unwrap().into(), job }
    }

    /// Makes somebody with a role in a namespace alone.
    fn account(
        server: &Server,
        dir: &Path,
        owner: &Somebody,
        namespace: &str,
        role: &str,
    ) -> Somebody {
        let name = format!("{namespace}-{role}");
        owner.succeed(&["user", "add", &name, "--service"]);
        owner.succeed(&["user", "set-role", &name, role, "--namespace", namespace]);
        let mut words = vec!["personal-token", "create", "--user", &name, "--output", "json"];
        for scope in ["read", "submit", "operate", "admin"] {
            words.extend(["--scope", scope]);
        }
        let made: Value = serde_json::from_str(&owner.succeed(&words)).unwrap();
        let somebody = Somebody::new(dir, &name);
        somebody.log_in(server, made["token"].as_str().unwrap());
        somebody
    }
}

/// Calls the program as the script of a shell does.
fn completed(somebody: &Somebody, words: &[&str]) -> String {
    let mut command: Command = somebody.command(&["--"]);
    command
        .args(words)
        .env("RUSSET_COMPLETE", "bash")
        .env("_CLAP_COMPLETE_INDEX", (words.len() - 1).to_string())
        .env("_CLAP_IFS", "\n");
    String::from_utf8(command.output().unwrap().stdout).unwrap()
}

#[test]
fn two_teams_see_and_change_each_their_own_by_command() {
    let server = Server::start();
    let dir = test_dir();
    let owner = Somebody::new(dir.path(), "owner");
    owner.log_in(&server, server.admin.token());
    let acme = Team::begin(&server, dir.path(), &owner, "acme");
    let beta = Team::begin(&server, dir.path(), &owner, "beta");
    for (own, other) in [(&acme, &beta), (&beta, &acme)] {
        let (here, there) = (own.namespace, other.namespace);
        let somebody = &own.operator;
        for list in [
            &["pipeline", "list"][..],
            &["workflow", "list"],
            &["job", "list"],
            &["runner", "list"],
            &["resource-class", "list"],
            &["context", "list"],
            &["namespace", "list"],
        ] {
            let shown = somebody.succeed(list);
            assert!(shown.contains(here) && !shown.contains(there), "{list:?}: {shown}");
        }
        assert!(
            somebody.succeed(&["job", "logs", &own.job]).contains(&format!("output of {here}"))
        );
        let found = format!("{there}/app#1");
        let class = format!("{there}/mini");
        let context = format!("{there}/deploy");
        let project = format!("{there}/app");
        let machine = format!("{there}-1");
        for refused in [
            &["pipeline", "show", &other.pipeline][..],
            &["pipeline", "show", &other.pipeline[..20]],
            &["pipeline", "show", &found],
            &["pipeline", "cancel", &other.pipeline],
            &["pipeline", "rerun", &other.pipeline],
            &["pipeline", "pin", &other.pipeline],
            &["pipeline", "delete", &other.pipeline, "--yes"],
            &["job", "show", &other.job],
            &["job", "logs", &other.job],
            &["job", "artifacts", &other.job],
            &["job", "rerun", &other.job],
            &["runner", "pause", &machine],
            &["token", "create", &class],
            &["token", "list", &class],
            &["context", "env", "list", &context],
            &["context", "delete", &context],
            &["project", "env", "list", &project],
            &["project", "delete", &project, "--yes"],
            &["namespace", "show", there],
            &["user", "list"],
        ] {
            let output = somebody.call(refused);
            assert!(!output.status.success(), "{refused:?}: {output:?}");
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(!said.contains(there), "{refused:?}: {said}");
        }
        // Neither its project, nor its machines, nor its context.
        let app = own.operator.home.join("other");
        write_project(&app, there, "deploy");
        let submit = |project: &str| {
            somebody.call(&["pipeline", "submit", app.to_str().unwrap(), "--project", project])
        };
        for project in [project.clone(), format!("{here}/app")] {
            assert!(!submit(&project).status.success(), "{project}");
        }
        write_project(&app, here, &context);
        let app = app.to_str().unwrap();
        let named = format!("{here}/app");
        let run = somebody.call(&["pipeline", "submit", app, "--project", &named, "--watch"]);
        let said = String::from_utf8_lossy(&run.stdout).into_owned()
            + &String::from_utf8_lossy(&run.stderr);
        assert!(!run.status.success(), "{said}");
        assert!(said.contains(&format!("there is no context `{context}`")), "{said}");
        for words in [
            &["russet", "pipeline", "show", ""][..],
            &["russet", "pipeline", "show", &other.pipeline[..8]],
            &["russet", "job", "logs", &project],
            &["russet", "token", "create", ""],
            &["russet", "job", "list", "--project", ""],
        ] {
            let offered = completed(somebody, words);
            assert!(!offered.contains(there), "{words:?}: {offered}");
        }
        let offered = completed(somebody, &["russet", "pipeline", "show", ""]);
        assert!(offered.contains(&format!("{here}/app#")), "{offered}");
    }
    // A role that is taken away is gone at once; the owner of the machine sees all.
    owner.succeed(&["user", "set-role", "acme-operator", "none", "--namespace", "acme"]);
    assert!(!acme.operator.call(&["pipeline", "list"]).status.success());
    let all = owner.succeed(&["pipeline", "list"]);
    assert!(all.contains("acme/app") && all.contains("beta/app"), "{all}");
    let log = owner.succeed(&["audit", "list", "--namespace", "beta", "--output", "json"]);
    assert!(log.contains("beta/mini") && !log.contains("acme/"), "{log}");
    drop((acme.agent, beta.agent));
}
