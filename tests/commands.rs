//! The commands that manage a control plane, against a real one.

use std::process::Command;

use serde_json::Value;

use crate::support::command_line::CommandLine;
use crate::support::{Server, russet, test_dir};

/// A control plane, and the command line pointed at it.
struct Cli {
    server: Server,
    dir: tempfile::TempDir,
}

impl Cli {
    fn new() -> Self {
        let cli = Self { server: Server::start(), dir: tempfile::tempdir().unwrap() };
        std::fs::write(cli.dir.path().join("token"), cli.server.admin.token()).unwrap();
        cli
    }

    /// Exit code, standard output and standard error.
    fn call(&self, args: &[&str]) -> (i32, String, String) {
        CommandLine::new(&self.server, self.dir.path()).call(args)
    }

    /// Standard output of what must succeed.
    #[track_caller]
    fn ok(&self, args: &[&str]) -> String {
        CommandLine::new(&self.server, self.dir.path()).succeed(args)
    }

    #[track_caller]
    fn json(&self, args: &[&str]) -> Value {
        let out = self.ok(&[args, &["--output", "json"]].concat());
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{args:?}: {error}: {out}"))
    }

    /// A project with one job of the class `acme/mini`.
    fn project(&self) {
        let dir = self.dir.path().join("project/.circleci");
        std::fs::create_dir_all(&dir).unwrap();
        let config = "version: 2.1\njobs:\n  build:\n    machine: true\n    resource_class: acme/mini\n    steps: [checkout, {run: make}]\nworkflows: {main: {jobs: [build]}}\n";
        std::fs::write(dir.join("config.yml"), config).unwrap();
    }
}

#[test]
fn classes_and_tokens_are_made_listed_and_deleted() {
    let cli = Cli::new();
    assert_eq!(cli.ok(&["resource-class", "list", "acme"]), "No resource classes in acme.\n");
    cli.ok(&["resource-class", "create", "acme/mini", "--description", "M4 minis"]);
    let list = cli.ok(&["resource-class", "list", "acme"]);
    assert_eq!(
        list,
        "RESOURCE CLASS  RUNNERS  RUNNING  FORKS    SSH      UPDATES         DESCRIPTION\n\
         acme/mini       0        0        refused  refused  channel stable  M4 minis\n"
    );
    let said = cli.ok(&["resource-class", "pin", "acme/mini", "--version", "1.2.0"]);
    assert!(said.contains("are to run version 1.2.0; the server has no such release"), "{said}");
    assert!(cli.ok(&["resource-class", "list", "acme"]).contains("version 1.2.0"));
    let (code, _, err) = cli.call(&["resource-class", "pin", "acme/mini", "--version", "new"]);
    assert!(code == 4 && err.contains("`new` is no version"), "{code} {err}");
    cli.ok(&["resource-class", "unpin", "acme/mini"]);
    let (code, _, err) = cli.call(&["resource-class", "create", "acme/mini"]);
    assert_eq!(code, 4, "{err}");

    let token = cli.ok(&["token", "create", "acme/mini", "--nickname", "one"]);
    assert_eq!(token.lines().count(), 1, "the token alone goes to standard output");
    let listed = cli.json(&["token", "list", "acme/mini"]);
    assert_eq!(listed[0]["nickname"], "one");
    assert!(!listed.to_string().contains(token.trim()), "a list must not have the token");

    let (code, _, err) = cli.call(&["resource-class", "delete", "acme/mini"]);
    assert_eq!(code, 4);
    assert!(err.contains("hint: --force deletes its tokens with it"), "{err}");
    cli.ok(&["token", "delete", listed[0]["id"].as_str().unwrap()]);
    assert_eq!(cli.ok(&["token", "list", "acme/mini"]), "No tokens of acme/mini.\n");
    cli.ok(&["token", "create", "acme/mini"]);
    cli.ok(&["resource-class", "delete", "acme/mini", "--force"]);
    let (code, _, err) = cli.call(&["resource-class", "delete", "acme/mini"]);
    assert_eq!(code, 4);
    assert!(err.contains("there is no resource class `acme/mini`"), "{err}");
    assert_eq!(cli.ok(&["runner", "list", "acme"]), "No runners of acme.\n");
}

#[test]
fn a_pipeline_is_submitted_shown_canceled_and_watched() {
    let cli = Cli::new();
    cli.project();
    cli.ok(&["resource-class", "create", "acme/mini"]);
    let pipeline = cli.json(&["pipeline", "submit", "project", "--project", "acme/app"]);
    let id = pipeline["id"].as_str().unwrap();
    let list = cli.ok(&["pipeline", "list", "--project", "acme/app"]);
    assert!(list.contains(id) && list.contains("queued"), "{list}");
    assert_eq!(cli.ok(&["pipeline", "list", "--project", "acme/other"]), "No pipelines.\n");
    let job = cli.json(&["pipeline", "show", id])["workflows"][0]["jobs"][0].clone();
    assert_eq!(job["name"], "build");
    let job = job["id"].as_str().unwrap();
    assert!(cli.ok(&["job", "show", job]).starts_with("build (acme/mini): queued\n"));
    assert_eq!(cli.ok(&["job", "artifacts", job]), "No artifacts.\n");
    assert_eq!(cli.ok(&["job", "tests", job]), "No test results.\n");
    assert_eq!(cli.ok(&["job", "logs", job]), "");
    cli.ok(&["pipeline", "cancel", id]);
    let (code, out, _) = cli.call(&["pipeline", "watch", id]);
    assert_eq!(code, 130, "{out}");
    assert!(out.contains("build  canceled"), "{out}");
}

#[test]
fn errors_of_a_submitted_configuration_are_shown_with_their_place() {
    let cli = Cli::new();
    cli.project();
    std::fs::write(cli.dir.path().join("project/.circleci/config.yml"), "version: 2.1\njobs: 7\n")
        .unwrap();
    let (code, _, err) = cli.call(&["pipeline", "submit", "project"]);
    assert_eq!(code, 3, "{err}");
    assert!(err.contains("project/.circleci/config.yml:2:7"), "{err}");
}

#[test]
fn a_wrong_token_and_an_unknown_id_are_refused() {
    let cli = Cli::new();
    let (code, _, err) = cli.call(&["pipeline", "show", "../../etc/passwd"]);
    assert_eq!(code, 4, "{err}");
    std::fs::write(cli.dir.path().join("token"), "wrong").unwrap();
    let (code, _, err) = cli.call(&["pipeline", "list"]);
    assert_eq!(code, 4, "{err}");
    assert!(!err.contains("wrong\n"), "the token must not be shown: {err}");
}

#[test]
fn validate_says_what_a_configuration_still_lacks_and_what_provides_it() {
    let cli = Cli::new();
    cli.project();
    let file = cli.dir.path().join("project/.circleci/config.yml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("[build]", "[{build: {context: deploy}}]")).unwrap();
    let validate = ["config", "validate", "project", "--server"];

    let (code, _, err) = cli.call(&validate);
    assert_eq!(code, 3, "{err}");
    assert!(err.contains("russet context create deploy --project"), "{err}");
    assert!(err.contains("russet resource-class create acme/mini"), "{err}");
    cli.ok(&["config", "validate", "project"]);

    cli.ok(&["context", "create", "deploy", "--project", "project"]);
    cli.ok(&["resource-class", "create", "acme/mini"]);
    let (code, out, err) = cli.call(&[&validate[..], &["--output", "json"]].concat());
    assert_eq!(code, 3, "{err}");
    let said: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(said["valid"], true);
    assert_eq!(said["missing"]["contexts"], serde_json::json!([]));
    assert_eq!(said["missing"]["resource_classes"], serde_json::json!([]));
    let idle = &said["missing"]["resource_classes_without_runners"];
    assert_eq!(idle, &serde_json::json!(["acme/mini"]));
}

#[test]
fn validate_lists_the_orbs_that_are_missing_with_the_command_for_each() {
    let cli = Cli::new();
    cli.project();
    let file = cli.dir.path().join("project/.circleci/config.yml");
    let text = std::fs::read_to_string(&file).unwrap();
    let orbs = "orbs: {node: acme/node@5.1, slack: acme/slack@4.12.5}\njobs:";
    std::fs::write(&file, text.replace("jobs:\n  build", &format!("{orbs}\n  build"))).unwrap();

    let (code, _, err) = cli.call(&["config", "validate", "project"]);
    assert_eq!(code, 3, "{err}");
    assert!(err.contains("russet config orb add node.yml --as acme/node@X.Y.Z"), "{err}");
    assert!(err.contains("russet config orb add slack.yml --as acme/slack@4.12.5"), "{err}");

    let orb = cli.dir.path().join("node.yml");
    std::fs::write(&orb, "commands: {a: {steps: [run: 'true']}}\n").unwrap();
    cli.ok(&["config", "orb", "add", "node.yml", "--as", "acme/node@5.1.3", "--server"]);
    let (_, out, _) = cli.call(&["config", "validate", "project", "--server", "--output", "json"]);
    let said: Value = serde_json::from_str(&out).unwrap();
    let names = said["missing"]["orbs"].as_array().unwrap().iter().map(|orb| &orb["name"]);
    assert_eq!(names.collect::<Vec<_>>(), ["acme/slack"]);
}

#[test]
fn validate_compiles_with_the_orbs_of_the_control_plane() {
    let cli = Cli::new();
    cli.project();
    let write = |name: &str, text: &str| std::fs::write(cli.dir.path().join(name), text).unwrap();
    write(
        "project/.circleci/config.yml",
        "version: 2.1\norbs: {tools: acme/tools@1}\njobs:\n  build: {machine: true, resource_class: \
         acme/mini, steps: [tools/hello, tools/helo]}\n",
    );
    write("base.yml", "commands: {say: {steps: [run: echo hello]}}\n");
    write("tools.yml", "orbs: {base: acme/base@2}\ncommands: {hello: {steps: [base/say]}}\n");
    cli.ok(&["resource-class", "create", "acme/mini"]);
    cli.ok(&["config", "orb", "add", "base.yml", "--as", "acme/base@2.0.1", "--server"]);
    cli.ok(&["config", "orb", "add", "tools.yml", "--as", "acme/tools@1.2.0", "--server"]);

    let (code, _, err) = cli.call(&["config", "validate", "project", "--server"]);
    assert_eq!(code, 3, "{err}");
    assert!(err.contains("the orb `tools` has no command `helo`"), "{err}");
    assert!(err.contains("the configuration has 1 error"), "{err}");
    assert!(!err.contains("is not there"), "{err}");
}

#[test]
fn a_pipeline_that_is_too_large_is_refused_before_any_of_it_is_sent() {
    let cli = Cli::new();
    cli.project();
    let file = cli.dir.path().join("project/.circleci/config.yml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{text}# {}\n", "x".repeat(50_000_000))).unwrap();
    let (code, _, err) = cli.call(&["pipeline", "submit", "project"]);
    assert_eq!(code, 3, "{err}");
    assert!(err.contains("config.yml has 50 MB, and a configuration at most 4.2 MB"), "{err}");

    // Each control character takes six bytes as JSON.
    std::fs::write(&file, format!("{text}# {}\n", "\u{7}".repeat(2_000_000))).unwrap();
    let (code, _, err) = cli.call(&["pipeline", "submit", "project"]);
    assert_eq!(code, 3, "{err}");
    assert!(err.contains("may be sent: the configuration has 2.0 MB"), "{err}");
    assert_eq!(cli.ok(&["pipeline", "list"]), "No pipelines.\n");
}

/// Makes a key, and tells its fingerprint.
fn ssh_key(file: &std::path::Path) -> String {
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "test", "-f"])
        .arg(file)
        .status()
        .unwrap();
    assert!(made.success());
    let shown = Command::new("ssh-keygen").arg("-lf").arg(file).output().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    shown.split(' ').nth(1).unwrap().to_owned()
}

#[test]
fn ssh_keys_of_a_project_are_added_listed_by_fingerprint_and_removed() {
    let cli = Cli::new();
    let file = cli.dir.path().join("key");
    let fingerprint = ssh_key(&file);
    let cli_key = |args: &[&str]| cli.call(&[&["project", "ssh-key"], args].concat());
    let key = |args: &[&str]| {
        let (code, out, err) = cli_key(args);
        assert_eq!(code, 0, "{args:?}: {err}");
        out
    };
    let from = file.to_str().unwrap();
    key(&["add", "acme/app", "--host", "github.com", "--from", from]);
    let list = key(&["list", "acme/app"]);
    assert!(list.contains(&fingerprint) && list.contains("github.com"), "{list}");
    assert!(!key(&["list", "acme/other"]).contains(&fingerprint));
    let (code, _, err) = cli_key(&["add", "acme/app", "--from", &format!("{from}.pub")]);
    assert_ne!(code, 0, "{err}");
    key(&["rm", "acme/app", &fingerprint]);
    assert!(!key(&["list", "acme/app"]).contains(&fingerprint));
}

#[test]
fn a_run_gives_its_ssh_key_to_the_steps_behind_add_ssh_keys_alone() {
    let dir = test_dir();
    let file = dir.path().join("key");
    let fingerprint = ssh_key(&file);
    let project = dir.path().join("project");
    std::fs::create_dir_all(project.join(".circleci")).unwrap();
    let config = "version: 2.1\njobs:\n  build:\n    machine: true\n    resource_class: acme/mini\n    steps:\n      - run: ssh-add -l || echo before\n      - add_ssh_keys\n      - run: ssh-add -l\n";
    std::fs::write(project.join(".circleci/config.yml"), config).unwrap();
    let run = |key: bool| {
        let mut command = Command::new(russet());
        command.arg("run").arg(&project).env("XDG_STATE_HOME", dir.path().join("state"));
        command.env("XDG_CACHE_HOME", dir.path().join("cache"));
        command.env_remove("SSH_AUTH_SOCK").env("NO_COLOR", "1");
        if key {
            command.arg("--ssh-key").arg(&file);
        }
        let output = command.output().unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        (output.status.code().unwrap(), said)
    };
    let (code, said) = run(true);
    assert_eq!(code, 0, "{said}");
    let (before, after) = said.split_once("before").expect("the first step has no key");
    assert!(!before.contains(&fingerprint) && after.contains(&fingerprint), "{said}");
    let (code, said) = run(false);
    assert!(code != 0 && !said.contains(&fingerprint), "{said}");
}
