//! Alerts of real machines on each channel, and by mail: a relay that is not ours, with STARTTLS and a
//! password.

use std::fs::Permissions;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, Output, Stdio};
use std::sync::PoisonError;

use russet_protocol::machine::MachineState;
use serde_json::Value;

use crate::machines::{agents, named, wait_for_state};
use crate::support::webhooks::Receiver;
use crate::support::{
    Agent, AgentOptions, CLASS, Lacks, Process, Server, checkout, russet, skip, test_dir, wait_for,
};

const USER: &str = "ci";
const PASSWORD: &str = "a password of the relay";

/// A mail server of aiosmtpd.
struct MailRelay {
    _process: Process,
    lines: BufReader<ChildStdout>,
    port: u16,
    authority: PathBuf,
}

impl MailRelay {
    /// Starts one. `None`, which is said: this machine has no aiosmtpd.
    fn start() -> Option<Self> {
        let has_library = |python: &&str| {
            let found = Command::new(python).args(["-c", "import aiosmtpd"]).output();
            found.is_ok_and(|found| found.status.success())
        };
        // Debian's package is seen by Debian's Python.
        let Some(python) = ["/usr/bin/python3", "python3"].into_iter().find(has_library) else {
            skip(Lacks::Tool, "aiosmtpd (Debian: python3-aiosmtpd)");
            return None;
        };
        let fixtures = checkout().join("tests/fixtures");
        let tls = fixtures.join("loopback-tls");
        let mut child = Command::new(python)
            .arg(fixtures.join("smtp_server.py"))
            .args([tls.join("server.pem"), tls.join("server.key")])
            .args([USER, PASSWORD])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut port = String::new();
        lines.read_line(&mut port).unwrap();
        let port = port.trim().parse().unwrap();
        Some(Self { _process: Process(child), lines, port, authority: tls.join("ca.pem") })
    }

    /// Arguments of a server that sends through it, with the file of the password in a directory.
    fn options(&self, dir: &Path) -> Vec<String> {
        let password = private_file(dir, "password", &format!("{PASSWORD}\n"));
        let url = format!("smtp://{USER}@127.0.0.1:{}", self.port);
        let authority = self.authority.to_str().unwrap().to_owned();
        let from = "Russet <russet@example.com>".to_owned();
        [
            ["--mail-server".to_owned(), url],
            ["--mail-from".to_owned(), from],
            ["--mail-password-file".to_owned(), password],
            ["--mail-ca-file".to_owned(), authority],
        ]
        .concat()
    }

    /// The next mail that it takes.
    fn next_mail(&mut self) -> Value {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }
}

fn private_file(dir: &Path, name: &str, text: &str) -> String {
    let path = dir.join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    path.to_str().unwrap().to_owned()
}

/// `russet alert …` with an address on standard input.
fn alert(server: &Server, arguments: &[&str], input: &str) -> Output {
    command(server, &["alert"], arguments, input)
}

/// A command of the administrator with a secret on standard input.
fn command(server: &Server, first: &[&str], arguments: &[&str], input: &str) -> Output {
    // A change whose answer is lost is not made again.
    let calm = server.admin.calm();
    let _calm = calm.read().unwrap_or_else(PoisonError::into_inner);
    let mut child = Command::new(russet())
        .args(first)
        .args(arguments)
        .env("RUSSET_URL", server.url())
        .env("RUSSET_TOKEN_FILE", server.admin_token_file())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn succeeds(output: Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_mail_reaches_a_relay_by_starttls_with_a_password_that_is_no_argument() {
    let dir = test_dir();
    let Some(mut relay) = MailRelay::start() else { return };
    let options = relay.options(dir.path());
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let server = Server::start_with(&options);
    succeeds(alert(&server, &["add", "ops", "--kind", "mail"], "ops@example.com\n"));
    assert_eq!(succeeds(alert(&server, &["test", "ops"], "")), "The test message was taken.\n");
    let mail = relay.next_mail();
    assert_eq!(
        (mail["from"].as_str(), mail["tls"].as_bool()),
        (Some("russet@example.com"), Some(true))
    );
    assert_eq!(mail["to"][0], "ops@example.com");
    let content = mail["content"].as_str().unwrap();
    assert!(content.contains("Subject: [russet] test message"), "{content}");
    assert!(content.contains("Auto-Submitted: auto-generated"), "{content}");
    assert!(content.contains("Message-ID: <"), "{content}");
    let table = succeeds(alert(&server, &["targets"], ""));
    assert!(table.contains("ops@example.com"), "{table}");
}

/// A workflow that somebody ends by an approval.
const HELD: &str = "
version: 2.1
workflows:
  deploy:
    jobs: [hold: {type: approval}]
";

#[test]
fn a_project_tells_by_mail_and_webhook_that_a_workflow_ended_and_no_secret_is_an_argument() {
    let dir = test_dir();
    let Some(mut relay) = MailRelay::start() else { return };
    let options = relay.options(dir.path());
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let server = Server::start_with(&options);
    let submit = || {
        let body = serde_json::json!({"project": "acme/app", "config": HELD, "branch": "main"});
        server.admin.post("/api/v3/pipelines", body)
    };
    submit();
    let notify = |arguments: &[&str], input: &str| {
        succeeds(command(&server, &["project", "notify"], arguments, input))
    };
    let hook = Receiver::start();
    let secret = private_file(dir.path(), "signing", "hunter2\n");
    notify(&["add", "acme/app", "ada", "--kind", "mail"], "ada@example.com\n");
    let board = ["add", "acme/app", "board", "--kind", "webhook", "--secret-file", &secret];
    let said = notify(&board, hook.url());
    assert!(!said.contains("hunter2"), "{said}");
    assert_eq!(notify(&["test", "acme/app", "board"], ""), "The test message was taken.\n");
    assert_eq!(hook.messages()[0]["type"], "ping");

    let pipeline = submit();
    let job = pipeline["workflows"][0]["jobs"][0]["id"].as_str().unwrap();
    server.admin.post(&format!("/api/v3/jobs/{job}/approve"), serde_json::json!({}));
    let content = relay.next_mail()["content"].as_str().unwrap().to_owned();
    assert!(
        content.contains("Subject: [russet] acme/app#2 on main: deploy succeeded"),
        "{content}"
    );
    let event = wait_for("the webhook", || hook.messages().get(1).cloned());
    assert_eq!(event["type"], "workflow-completed");
    assert_eq!(event["workflow"]["status"], "success");
    let table = notify(&["list", "acme/app"], "");
    assert!(table.contains("ada@example.com") && table.contains("workflow-completed"), "{table}");
    notify(&["remove", "acme/app", "ada"], "");
    assert!(!notify(&["list", "acme/app"], "").contains("ada@example.com"));
}

#[test]
fn a_relay_whose_certificate_is_not_trusted_gets_neither_mail_nor_password() {
    let dir = test_dir();
    let Some(relay) = MailRelay::start() else { return };
    let password = private_file(dir.path(), "password", PASSWORD);
    let url = format!("smtp://{USER}@127.0.0.1:{}", relay.port);
    let server = Server::start_with(&["--mail-server", &url, "--mail-password-file", &password]);
    succeeds(alert(&server, &["add", "ops", "--kind", "mail"], "ops@example.com"));
    let output = alert(&server, &["test", "ops"], "");
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(5), "{said}");
    assert!(said.contains("127.0.0.1 failed") && said.contains("certificate"), "{said}");
}

#[test]
fn a_server_with_a_password_among_its_arguments_does_not_start() {
    let dir = test_dir();
    let output = Command::new(russet())
        .args(["server", "--listen", "127.0.0.1:0", "--mail-server", "smtps://u:secret@h"])
        .arg("--data-dir")
        .arg(dir.path().join("data"))
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("password") && !said.contains("secret"), "{said}");
}

/// Conditions that a target has heard the beginning of: kind and subject, each as often as it was said.
fn opened(hook: &Receiver) -> Vec<(String, String)> {
    let text = |item: &Value, name: &str| item[name].as_str().unwrap().to_owned();
    let items = hook
        .messages()
        .into_iter()
        .flat_map(|message| message["data"]["opened"].as_array().cloned().unwrap_or_default());
    items.map(|item| (text(&item, "kind"), text(&item, "subject"))).collect()
}

/// An agent without the room that it keeps free.
fn start_sick(server: &Server, name: &str) -> Agent {
    let body = serde_json::json!({"resource_class": CLASS, "nickname": name});
    let token = server.admin.post("/api/v3/runner/token", body);
    let runner = vec!["health: { disk_reserve: 900TB }".to_owned()];
    let options = AgentOptions { runner, ..named(name) };
    Agent::start_at(server.url(), token["token"].as_str().unwrap(), &options)
}

#[test]
fn what_happens_to_machines_and_tokens_is_told_once_on_each_channel_also_across_a_crash() {
    let dir = test_dir();
    let Some(mut relay) = MailRelay::start() else { return };
    let (hook, chat) = (Receiver::start(), Receiver::start());
    let options = [vec!["--lease".to_owned(), "6s".to_owned()], relay.options(dir.path())].concat();
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let mut server = Server::start_with(&options);
    let made = succeeds(alert(&server, &["add", "hook", "--kind", "webhook"], hook.url()));
    let secret = made.split_whitespace().find(|word| word.starts_with("whsec_")).unwrap();
    succeeds(alert(&server, &["add", "chat", "--kind", "slack"], chat.url()));
    succeeds(alert(&server, &["add", "ops", "--kind", "mail"], "ops@example.com"));

    let [mut gone, _well] = agents(&server, ["gone", "well"]);
    let _sick = start_sick(&server, "sick");
    for (name, state) in [("gone", MachineState::Idle), ("sick", MachineState::Unhealthy)] {
        wait_for_state(&server, name, state);
    }
    gone.kill();
    let two_weeks = serde_json::json!({
        "resource_class": CLASS, "nickname": "short", "expires_in_s": 14 * 86_400 + 2,
    });
    let token = server.admin.post("/api/v3/runner/token", two_weeks);
    let id = token["id"].as_str().unwrap();
    let expected = [
        ("machine_lost", format!("{CLASS}/gone")),
        ("machine_unhealthy", format!("{CLASS}/sick")),
        ("token_expires", format!("{CLASS}/{id}")),
    ]
    .map(|(kind, subject)| (kind.to_owned(), subject));
    for one in &expected {
        wait_for(&format!("{one:?}"), || opened(&hook).contains(one).then_some(()));
    }
    let listed = succeeds(alert(&server, &["list"], ""));
    let overview = server.admin.page("/");
    let metrics = server.admin.page("/metrics");
    for (kind, subject) in &expected {
        // A token is named by its id and its class.
        let name = subject.rsplit('/').next().unwrap();
        assert!(listed.contains(name) && overview.contains(name), "{name}: {listed}{overview}");
        let line = format!("russet_server_alerts_open{{kind=\"{kind}\"}} 1");
        assert!(metrics.contains(&line), "{line}: {metrics}");
    }

    // A crash says nothing again, and what comes later is told by itself.
    server.kill();
    server.start_again();
    let _later = start_sick(&server, "later");
    let later = ("machine_unhealthy".to_owned(), format!("{CLASS}/later"));
    wait_for(&format!("{later:?}"), || opened(&hook).contains(&later).then_some(()));
    let mut all = opened(&hook);
    all.sort();
    let mut once = all.clone();
    once.dedup();
    assert_eq!(all, once, "each is told once");
    assert!(hook.all_are_signed(secret), "each message is signed");
    let told = |name: &str| format!("{CLASS}/{name}");
    for name in ["gone", "sick", "later"] {
        wait_for(&format!("{name} in the chat"), || {
            let is_told =
                |message: &Value| message["text"].as_str()?.contains(&told(name)).then_some(());
            chat.messages().iter().find_map(is_told)
        });
    }
    let mut mails = String::new();
    while !["gone", "sick", "later"].iter().all(|name| mails.contains(&told(name))) {
        mails += relay.next_mail()["content"].as_str().unwrap();
    }
}
