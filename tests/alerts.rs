//! Alerts by mail: a relay that is not ours, with STARTTLS and a password.

use std::fs::Permissions;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, Output, Stdio};

use serde_json::Value;

use crate::support::{Lacks, Process, Server, checkout, russet, skip, test_dir};

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
    let mut child = Command::new(russet())
        .arg("alert")
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
    let password = private_file(dir.path(), "password", &format!("{PASSWORD}\n"));
    let url = format!("smtp://{USER}@127.0.0.1:{}", relay.port);
    let server = Server::start_with(&[
        "--mail-server",
        &url,
        "--mail-from",
        "Russet <russet@example.com>",
        "--mail-password-file",
        &password,
        "--mail-ca-file",
        relay.authority.to_str().unwrap(),
    ]);
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
