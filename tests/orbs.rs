//! Orbs of a registry, pins and class aliases as people use them: the real binary against a
//! registry that answers as CircleCI's command line expects.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::support::orb_registry::{Instead, OrbRegistry};
use crate::support::{Server, russet, test_dir};

/// A project, and settings of the command line that are its own.
struct Project {
    dir: tempfile::TempDir,
    server: Option<Server>,
}

impl Project {
    fn new(files: &[(&str, &str)]) -> Self {
        let project = Self { dir: test_dir(), server: None };
        for (name, text) in files {
            project.write(name, text);
        }
        project
    }

    /// With a control plane that was started with these options.
    fn with_server(self, options: &[&str]) -> Self {
        let server = Server::start_with(options);
        std::fs::write(self.dir.path().join("token"), server.admin.token()).unwrap();
        Self { server: Some(server), ..self }
    }

    fn write(&self, name: &str, text: &str) {
        let file = self.path().join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path().join(name)).unwrap_or_default()
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("project")
    }

    /// Runs `russet` in the project; its exit status, and all that it says.
    fn russet(&self, args: &[&str]) -> (i32, String) {
        let mut command = Command::new(russet());
        command.args(args).current_dir(self.path()).stdin(Stdio::null());
        command.env("XDG_STATE_HOME", self.dir.path().join("state"));
        command.env("XDG_CACHE_HOME", self.dir.path().join("cache"));
        command.env("XDG_CONFIG_HOME", self.dir.path().join("settings"));
        if let Some(server) = &self.server {
            command.env("RUSSET_URL", server.url());
            command.env("RUSSET_TOKEN_FILE", self.dir.path().join("token"));
        }
        let output = command.env("NO_COLOR", "1").output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8_lossy(&text).into_owned())
    }

    #[track_caller]
    fn succeeds(&self, args: &[&str]) -> String {
        let (code, text) = self.russet(args);
        assert_eq!(code, 0, "{args:?}: {text}");
        text
    }

    #[track_caller]
    fn fails(&self, args: &[&str], wanted: i32) -> String {
        let (code, text) = self.russet(args);
        assert_eq!(code, wanted, "{args:?}: {text}");
        text
    }

    /// `russet config orb fetch` from a registry.
    #[track_caller]
    fn fetches(&self, registry: &OrbRegistry) -> String {
        self.succeeds(&["config", "orb", "fetch", "--orb-registry", &registry.url()])
    }
}

/// A configuration whose one job is one of the orb `tools`.
fn config(reference: &str) -> String {
    format!(
        "version: 2.1\norbs: {{tools: {reference}}}\nworkflows: {{main: {{jobs: [tools/greet]}}}}\n"
    )
}

/// An orb whose one job says a word.
fn orb(word: &str) -> String {
    format!(
        "version: 2.1\njobs:\n  greet:\n    machine: true\n    resource_class: acme/mini\n    \
         steps: [run: {{name: Greet, command: echo it says {word}}}]\n"
    )
}

/// An orb whose job is that of another.
const OUTER: &str = "version: 2.1
orbs: {inner: acme/inner@1.1}
jobs:
  greet:
    machine: true
    resource_class: acme/mini
    steps: [inner/say]
";

const INNER: &str = "version: 2.1
commands: {say: {steps: [run: {name: Say, command: echo it says inner}]}}
";

fn with_outer_and_inner() -> OrbRegistry {
    let registry = OrbRegistry::start();
    registry.publish("acme/tools", "1.2.0", OUTER);
    registry.publish("acme/tools", "1.10.0", OUTER);
    registry.publish("acme/tools", "2.0.0", OUTER);
    registry.publish("acme/inner", "1.1.7", INNER);
    registry
}

#[test]
fn orbs_are_fetched_and_pinned_and_need_no_registry_from_then_on() {
    let project = Project::new(&[(".circleci/config.yml", &config("acme/tools@1"))]);
    let registry = with_outer_and_inner();
    let said = project.fetches(&registry);
    for part in ["acme/tools@1.10.0", "for @1", "acme/inner@1.1.7", "for @1.1", &registry.url()] {
        assert!(said.contains(part), "{part} is missing in:\n{said}");
    }
    assert_eq!(project.read(".circleci/orbs/acme/tools@1.10.0.yml"), OUTER);
    let lock: serde_json::Value =
        serde_json::from_str(&project.read(".circleci/orbs.lock")).unwrap();
    assert_eq!(lock["orbs"][1]["name"], "acme/tools");
    assert_eq!(lock["orbs"][1]["version"], "1.10.0");
    assert_eq!(lock["orbs"][1]["wanted"][0], "1");
    assert_eq!(lock["orbs"][1]["sha256"].as_str().unwrap().len(), 64);

    // From here on the registry is not there at all.
    let calls = registry.asked().len();
    registry.does_instead(Some(Instead::Answer(500, String::new())));
    assert!(project.succeeds(&["config", "validate"]).contains("valid"));
    let said = project.succeeds(&["run", "--orb-registry", &registry.url()]);
    assert!(said.contains("it says inner") && !said.contains("Fetched"), "{said}");
    project.succeeds(&["config", "orb", "fetch"]);
    assert_eq!(registry.asked().len(), calls, "a pinned orb that is there is not asked for");
}

#[test]
fn a_floating_version_stays_what_it_was_pinned_to_until_it_is_updated() {
    let project = Project::new(&[(".circleci/config.yml", &config("acme/tools@1"))]);
    let registry = OrbRegistry::start();
    registry.publish("acme/tools", "1.2.0", &orb("old"));
    project.fetches(&registry);
    registry.publish("acme/tools", "1.3.0", &orb("new"));
    project.fetches(&registry);
    // Somebody else's newer version in the same place does not count either.
    project.write(".circleci/orbs/acme/tools@1.2.9.yml", &orb("other"));
    assert!(project.succeeds(&["run"]).contains("it says old"));
    let said = project.fails(&["config", "orb", "fetch", "--update"], 2);
    assert!(said.contains("--orb-registry"), "{said}");
    project.succeeds(&["config", "orb", "fetch", "--update", "--orb-registry", &registry.url()]);
    assert!(project.succeeds(&["run"]).contains("it says new"));
}

#[test]
fn a_registry_that_knows_exact_versions_only_is_asked_which_there_are() {
    let project = Project::new(&[(".circleci/config.yml", &config("acme/tools@1"))]);
    let registry = with_outer_and_inner();
    registry.knows_exact_versions_only();
    let said = project.fetches(&registry);
    assert!(said.contains("acme/tools@1.10.0") && said.contains("acme/inner@1.1.7"), "{said}");
}

#[test]
fn nobody_is_asked_unless_a_registry_is_named_and_what_is_missing_is_one_command() {
    let project = Project::new(&[(".circleci/config.yml", &config("acme/tools@1"))]);
    let registry = with_outer_and_inner();
    let said = project.fails(&["config", "validate"], 3);
    let command = "russet config orb fetch --orb-registry https://circleci.com";
    assert!(said.contains(&format!("All at once:\n  {command}\n")), "{said}");
    let said = project.fails(&["config", "orb", "missing"], 3);
    assert!(said.contains(command), "{said}");
    let said = project.fails(&["config", "orb", "fetch"], 3);
    assert!(said.contains("no registry is asked unless one is named"), "{said}");
    assert!(registry.asked().is_empty());

    // As a setting, it is asked by every command, and that is said once.
    let settings = project.dir.path().join("settings/russet");
    std::fs::create_dir_all(&settings).unwrap();
    std::fs::write(settings.join("cli.yml"), format!("orb_registry: {}\n", registry.url()))
        .unwrap();
    let said = project.succeeds(&["config", "validate"]);
    let told = said.matches("Fetched from the orb registry").count();
    assert!(said.contains("valid") && told == 1, "{said}");
    assert!(!project.path().join(".circleci/orbs").exists(), "validate writes nothing");
}

#[test]
fn a_private_orb_comes_with_the_token_of_a_file_alone() {
    const TOKEN: &str = "a-token-that-nobody-sees";
    let project = Project::new(&[(".circleci/config.yml", &config("acme/tools@1.0.0"))]);
    let registry = OrbRegistry::start();
    registry.publish_for(TOKEN, "acme/tools", "1.0.0", &orb("private"));
    let url = registry.url();
    let said = project.fails(&["run", "--orb-registry", &url], 3);
    for part in ["has no orb acme/tools", "--orb-registry-token-file", "config.yml:2:"] {
        assert!(said.contains(part), "{part} is missing in:\n{said}");
    }
    let file = project.dir.path().join("registry-token");
    std::fs::write(&file, format!("{TOKEN}\n")).unwrap();
    let args = ["--orb-registry", &url, "--orb-registry-token-file", file.to_str().unwrap()];
    let said = project.succeeds(&[&["run"], &args[..]].concat());
    assert!(said.contains("it says private") && !said.contains(TOKEN), "{said}");
    assert!(registry.asked().iter().any(|(_, token)| token.as_deref() == Some(TOKEN)));
    project.succeeds(&[&["config", "orb", "fetch"], &args[..]].concat());
    assert!(!project.read(".circleci/orbs.lock").contains(TOKEN));

    // The token of one registry is not sent to another.
    let other = OrbRegistry::start();
    let settings = project.dir.path().join("settings/russet");
    std::fs::create_dir_all(&settings).unwrap();
    let text = format!("orb_registry: {url}\norb_registry_token_file: ../../registry-token\n");
    std::fs::write(settings.join("cli.yml"), text).unwrap();
    project.write(".circleci/config.yml", &config("acme/other@1.0.0"));
    project.fails(&["config", "validate", "--orb-registry", &other.url()], 3);
    assert!(!other.asked().is_empty() && other.asked().iter().all(|(_, token)| token.is_none()));
}

#[test]
fn a_source_that_is_not_the_pinned_one_is_refused_wherever_it_is() {
    let project = Project::new(&[(".circleci/config.yml", &config("acme/tools@1.0.0"))]);
    let registry = OrbRegistry::start();
    registry.publish("acme/tools", "1.0.0", &orb("right"));
    project.fetches(&registry);
    let kept = ".circleci/orbs/acme/tools@1.0.0.yml";
    project.write(kept, &orb("wrong"));
    for command in [&["config", "validate"][..], &["run"], &["config", "orb", "fetch"]] {
        let said = project.fails(command, 3);
        assert!(said.contains("another source for acme/tools@1.0.0"), "{said}");
        assert!(!said.contains("it says wrong"), "{said}");
    }
    std::fs::remove_file(project.path().join(kept)).unwrap();
    registry.publish("acme/tools", "1.0.0", &orb("wrong"));
    let said = project.fails(&["run", "--orb-registry", &registry.url()], 3);
    assert!(said.contains("gives another source for acme/tools@1.0.0"), "{said}");
    // Who adds a source says that it is the right one.
    project.write("new.yml", &orb("new"));
    project.succeeds(&["config", "orb", "add", "new.yml", "--as", "acme/tools@1.0.0"]);
    assert!(project.succeeds(&["run"]).contains("it says new"));
}

#[test]
fn each_failure_of_a_registry_says_what_to_do() {
    let registry = OrbRegistry::start();
    registry.publish("acme/tools", "1.0.0", &orb("one"));
    let url = registry.url();
    let said_of = |reference: &str, instead: Option<Instead>| {
        registry.does_instead(instead);
        let project = Project::new(&[(".circleci/config.yml", &config(reference))]);
        project.fails(&["config", "validate", "--orb-registry", &url], 3)
    };
    let answer = |status: u16, body: &str| Some(Instead::Answer(status, body.to_owned()));
    let errors = |text: &str| answer(200, &format!(r#"{{"errors": [{{"message": "{text}"}}]}}"#));
    let other = r#"{"data": {"orbVersion": {"id": "x", "version": "2.0.0", "source": "{}"}}}"#;
    let cases = [
        ("acme/nothing@1.0.0", None, "has no orb acme/nothing"),
        ("acme/tools@3", None, "has no version 3 of acme/tools"),
        ("acme/tools@3.0.0", None, "it has 1.0.0"),
        ("acme/tools@1.0.0", errors("must log in to see it"), "does not give acme/tools@1.0.0 to"),
        (
            "acme/tools@1.0.0",
            errors("no\\u001b[31m"),
            "refused to give acme/tools@1.0.0: no\u{fffd}[31m",
        ),
        ("acme/tools@1.0.0", answer(403, ""), "--orb-registry-token-file"),
        ("acme/tools@1.0.0", answer(503, ""), "answered 503"),
        ("acme/tools@1.0.0", answer(302, ""), "redirects are not followed"),
        ("acme/tools@1.0.0", answer(200, "<html>"), "what is not understood"),
        ("acme/tools@1.0.0", answer(200, other), "it is version `2.0.0`"),
        ("acme/tools@1.0.0", Some(Instead::Endless), "answered more than 12 MiB"),
    ];
    for (reference, instead, wanted) in cases {
        let said = said_of(reference, instead);
        assert!(said.contains(wanted), "{wanted} is missing in:\n{said}");
        assert!(said.contains("config.yml:2:") && said.contains("hint:"), "{said}");
    }
    let project = Project::new(&[(".circleci/config.yml", &config("acme/tools@1.0.0"))]);
    let (code, said) =
        project.russet(&["config", "validate", "--orb-registry", "http://127.0.0.1:1"]);
    assert!(code == 3 && said.contains("cannot be reached"), "{said}");
    let said = project.fails(&["config", "validate", "--orb-registry", "http://circleci.com"], 2);
    assert!(said.contains("use https://"), "{said}");
}

#[test]
fn a_pinned_version_that_was_withdrawn_is_named() {
    let project = Project::new(&[(".circleci/config.yml", &config("acme/tools@1"))]);
    let registry = OrbRegistry::start();
    registry.publish("acme/tools", "1.2.0", &orb("old"));
    project.fetches(&registry);
    std::fs::remove_dir_all(project.path().join(".circleci/orbs")).unwrap();
    let said = project.fails(&["config", "validate"], 3);
    assert!(said.contains("the lock file pins it to 1.2.0"), "{said}");
    registry.withdraw("acme/tools", "1.2.0");
    registry.publish("acme/tools", "1.2.1", &orb("new"));
    let said = project.fails(&["config", "orb", "fetch", "--orb-registry", &registry.url()], 3);
    assert!(said.contains("pins acme/tools@1.2.0, but") && said.contains("--update"), "{said}");
    project.succeeds(&["config", "orb", "fetch", "--update", "--orb-registry", &registry.url()]);
    assert!(project.succeeds(&["run"]).contains("it says new"));
}

#[test]
fn what_a_setup_goes_on_with_has_orbs_of_the_registry_too() {
    let setup = "version: 2.1
setup: true
jobs:
  choose:
    machine: true
    steps: [checkout, run: circleci-agent continue next.yml]
workflows: {setup: {jobs: [choose]}}
";
    let files = [(".circleci/config.yml", setup), ("next.yml", &config("acme/tools@1"))];
    let project = Project::new(&files);
    let registry = with_outer_and_inner();
    let said = project.succeeds(&["run", "--orb-registry", &registry.url()]);
    assert!(said.contains("it says inner"), "{said}");
}

#[test]
fn a_run_sends_the_orbs_that_are_used_and_not_the_library() {
    let project = Project::new(&[
        (".circleci/config.yml", &config("acme/tools@1.0.0")),
        ("library/acme/tools@1.0.0.yml", &orb("used")),
    ]);
    for number in 0..4 {
        let large = format!("{}# {}\n", orb("large"), "x".repeat(3_000_000));
        project.write(&format!("library/acme/large@1.0.{number}.yml"), &large);
    }
    let said = project.succeeds(&["run", "--orb-path", "library"]);
    assert!(said.contains("it says used"), "{said}");
}

#[test]
fn a_control_plane_fetches_what_it_lacks_keeps_it_and_asks_once() {
    let registry = with_outer_and_inner();
    let url = registry.url();
    let project = Project::new(&[(".circleci/config.yml", &config("acme/tools@1"))])
        .with_server(&["--orb-registry", &url]);
    project.succeeds(&["resource-class", "create", "acme/mini"]);
    let said = project.succeeds(&["pipeline", "submit"]);
    assert!(said.contains("`acme/tools@1.10.0` was fetched for `@1` from"), "{said}");
    let list = project.succeeds(&["config", "orb", "list", "--server"]);
    assert!(list.contains("acme/inner") && list.contains("1.10.0"), "{list}");
    let calls = registry.asked().len();
    let said = project.succeeds(&["pipeline", "submit"]);
    assert!(!said.contains("was fetched"), "{said}");
    assert_eq!(registry.asked().len(), calls);
    project.write(".circleci/config.yml", &config("acme/nothing@1.0.0"));
    let said = project.fails(&["pipeline", "submit"], 3);
    assert!(said.contains("has no orb acme/nothing"), "{said}");
}

#[test]
fn a_fork_is_not_given_private_orbs_by_the_token_of_the_control_plane() {
    const TOKEN: &str = "a-token-of-the-owner";
    let registry = OrbRegistry::start();
    registry.publish_for(TOKEN, "acme/tools", "1.0.0", &orb("private"));
    let project = Project::new(&[(".circleci/config.yml", &config("acme/tools@1.0.0"))]);
    let file = project.dir.path().join("registry-token");
    std::fs::write(&file, TOKEN).unwrap();
    let url = registry.url();
    let options = ["--orb-registry", &url, "--orb-registry-token-file", file.to_str().unwrap()];
    let project = project.with_server(&options);
    project.succeeds(&["resource-class", "create", "acme/mini", "--allow-forks"]);
    let said = project.fails(&["pipeline", "submit", "--from-fork"], 3);
    assert!(said.contains("has no orb acme/tools"), "{said}");
    assert!(registry.asked().iter().all(|(_, token)| token.is_none()));
    project.succeeds(&["pipeline", "submit"]);
}

#[test]
fn orbs_are_fetched_for_a_control_plane_that_has_no_way_out() {
    let registry = with_outer_and_inner();
    let project =
        Project::new(&[(".circleci/config.yml", &config("acme/tools@1"))]).with_server(&[]);
    project.succeeds(&["resource-class", "create", "acme/mini"]);
    let said = project.fails(&["config", "validate", "--server"], 3);
    assert!(said.contains("config orb fetch --server --orb-registry"), "{said}");
    let url = registry.url();
    let said = project.succeeds(&["config", "orb", "fetch", "--server", "--orb-registry", &url]);
    assert!(said.contains("Added acme/tools@1.10.0 to the control plane, for @1"), "{said}");
    assert!(!project.path().join(".circleci/orbs.lock").exists());
    project.succeeds(&["pipeline", "submit"]);
}

const HOSTED: &str = "version: 2.1
jobs:
  build:
    macos: {xcode: 16.0.0}
    resource_class: macos.m1.medium.gen1
    steps: [run: make]
workflows: {main: {jobs: [build]}}
";

#[test]
fn a_machine_of_circleci_stands_for_a_class_of_the_owner() {
    let alias = "macos.m1.medium.gen1=acme/mini";
    let project =
        Project::new(&[(".circleci/config.yml", HOSTED)]).with_server(&["--class-alias", alias]);
    project.succeeds(&["resource-class", "create", "acme/mini"]);
    let said = project.fails(&["config", "validate", "--strict"], 3);
    assert!(said.contains("--class-alias macos.m1.medium.gen1="), "{said}");
    let said = project.succeeds(&["pipeline", "submit", "--output", "json"]);
    assert!(said.contains(r#""resource_class": "acme/mini""#), "{said}");
    // The table of the control plane is known to who checks against it.
    let said = project.fails(&["config", "validate", "--server"], 3);
    assert!(said.contains("a runner of the resource class acme/mini"), "{said}");
    project.succeeds(&["config", "validate", "--strict", "--class-alias", alias]);
    let said = project.succeeds(&["config", "process", "--output", "json", "--class-alias", alias]);
    assert!(said.contains(r#""resource_class": "acme/mini""#), "{said}");
    let settings = project.dir.path().join("settings/russet");
    std::fs::create_dir_all(&settings).unwrap();
    std::fs::write(settings.join("cli.yml"), "class_aliases: {macos.m1.medium.gen1: acme/mini}\n")
        .unwrap();
    project.succeeds(&["config", "validate", "--strict"]);
}

#[test]
fn a_class_that_is_no_class_is_not_called_a_machine_of_circleci() {
    let text = HOSTED.replace("macos.m1.medium.gen1", "true");
    let project = Project::new(&[(".circleci/config.yml", &text)]);
    let said = project.fails(&["config", "validate"], 3);
    assert!(said.contains("`resource_class` must be a name") && !said.contains("CircleCI's own"));
}
