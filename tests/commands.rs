//! The commands that manage a control plane, against a real one.
#![allow(
    clippy::allow_attributes,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed step of a test is its failure"
)]

mod support;

use std::process::Command;

use serde_json::Value;
use support::{Server, russet};

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
        let output = Command::new(russet())
            .args(args)
            .current_dir(self.dir.path())
            .env("RUSSET_URL", self.server.url())
            .env("RUSSET_TOKEN_FILE", self.dir.path().join("token"))
            .env("NO_COLOR", "1")
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    /// Standard output of what must succeed.
    #[track_caller]
    fn ok(&self, args: &[&str]) -> String {
        let (code, out, err) = self.call(args);
        assert_eq!(code, 0, "{args:?}: {out}{err}");
        out
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
        "RESOURCE CLASS  FORKS    UPDATES         DESCRIPTION\n\
         acme/mini       refused  channel stable  M4 minis\n"
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
