//! The server's own TLS, from the outside: with curl, openssl, the agent and the command line.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use russet_protocol::admin::ServerReady;
use russet_test_object_store::bucket_with_tls;

use crate::support::authority::{Authority, Issued};
use crate::support::{
    Agent, AgentOptions, CLASS, Process, config, run, russet, test_dir, wait_for,
};

/// A server with a certificate of an authority that nobody else knows.
struct TlsServer {
    process: Process,
    ready: ServerReady,
    authority: Authority,
    certificate: PathBuf,
    key: PathBuf,
    dir: tempfile::TempDir,
}

impl TlsServer {
    fn start(options: &[&str]) -> Self {
        Self::start_with(Authority::issue, options)
    }

    fn start_with(issue: impl FnOnce(&Authority, &str) -> Issued, options: &[&str]) -> Self {
        let dir = test_dir();
        let authority = Authority::make(dir.path());
        let (certificate, key) = (dir.path().join("tls.pem"), dir.path().join("tls.key"));
        issue(&authority, "first").install(&certificate, &key);
        let mut child = server_command(dir.path(), &certificate, &key, options);
        let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: ServerReady = serde_json::from_str(&line).unwrap();
        assert!(ready.url.starts_with("https://127.0.0.1:"), "{}", ready.url);
        std::fs::write(dir.path().join("token"), ready.admin_token.expose()).unwrap();
        Self { process: Process(child), ready, authority, certificate, key, dir }
    }

    fn address(&self) -> &str {
        self.ready.url.strip_prefix("https://").unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(russet());
        command
            .args(arguments)
            .current_dir(self.dir.path())
            .env("XDG_CONFIG_HOME", self.dir.path().join("config"))
            .env("RUSSET_URL", &self.ready.url)
            .env("RUSSET_TOKEN_FILE", self.dir.path().join("token"))
            .env("RUSSET_CA_FILE", self.authority.certificate())
            .env("NO_COLOR", "1");
        command
    }

    #[track_caller]
    fn succeed(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// curl, which trusts the authority.
    fn curl(&self, arguments: &[&str]) -> Output {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--include", "--max-time", "60", "--cacert"]);
        curl.arg(self.authority.certificate()).args(arguments).output().unwrap()
    }

    /// openssl's report of a handshake.
    fn handshake(&self, options: &[&str]) -> String {
        let mut openssl = Command::new("openssl");
        openssl.args(["s_client", "-connect", self.address(), "-CAfile"]);
        openssl.arg(self.authority.certificate()).args(options).stdin(Stdio::null());
        let output = openssl.output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The certificate that a new connection gets, in PEM.
    fn presented(&self) -> String {
        let report = self.handshake(&[]);
        let begin = report.find("-----BEGIN CERTIFICATE-----").unwrap();
        let length = report[begin..].find("-----END CERTIFICATE-----").unwrap();
        report[begin..begin + length].to_owned()
    }

    fn presents(&self, issued: &Issued) -> bool {
        std::fs::read_to_string(&issued.certificate).unwrap().contains(&self.presented())
    }

    fn metric(&self, name: &str) -> f64 {
        let header = format!("Circle-Token: {}", self.ready.admin_token.expose());
        let url = format!("{}/metrics", self.ready.url);
        let output = self.curl(&["--header", &header, &url]);
        let text = String::from_utf8(output.stdout).unwrap();
        let line = text.lines().find(|line| line.starts_with(&format!("{name} ")));
        let line = line.unwrap_or_else(|| panic!("no {name} in {text}"));
        line.rsplit_once(' ').unwrap().1.parse().unwrap()
    }

    fn alerts(&self) -> String {
        self.succeed(&["alert", "list", "--output", "json"])
    }

    fn hang_up(&self) {
        nix::sys::signal::kill(self.process.pid(), Signal::SIGHUP).unwrap();
    }
}

fn server_command(dir: &Path, certificate: &Path, key: &Path, options: &[&str]) -> Command {
    let mut command = Command::new(russet());
    command.args(["server", "--ready-stdout", "--listen", "127.0.0.1:0", "--data-dir"]);
    command.arg(dir.join("data")).arg("--tls-cert").arg(certificate).arg("--tls-key").arg(key);
    command.args(options);
    command
}

#[test]
fn a_renewed_certificate_is_taken_up_while_output_of_an_agent_streams() {
    let server = TlsServer::start(&[]);
    server.succeed(&["resource-class", "create", CLASS]);
    let token = server.succeed(&["token", "create", CLASS]);
    let authority = server.authority.certificate();
    let options = AgentOptions {
        api: vec![
            format!("auth_token: {}", token.trim()),
            format!("ca_file: {}", authority.display()),
        ],
        ..AgentOptions::default()
    };
    let agent = Agent::start_at(&server.ready.url, "", &options);
    let go = server.dir.path().join("go");
    let script = format!(
        "echo it began\nuntil [ -e {} ]; do sleep 0.05; done\necho it went on",
        go.display()
    );
    let project = server.dir.path().join("project/.circleci");
    std::fs::create_dir_all(&project).unwrap();
    std::fs::write(project.join("config.yml"), config(&[&run(&script)])).unwrap();
    let mut watching = server
        .command(&["pipeline", "submit", "--watch"])
        .current_dir(project.parent().unwrap())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(watching.stdout.take().unwrap());
    let mut seen = String::new();
    while !seen.contains("it began") {
        assert_ne!(output.read_line(&mut seen).unwrap(), 0, "{seen}: {}", agent.log());
    }
    let renewed = server.authority.issue("second");
    renewed.install(&server.certificate, &server.key);
    server.hang_up();
    wait_for("the renewed certificate", || server.presents(&renewed).then_some(()));
    std::fs::write(&go, "").unwrap();
    output.read_to_string(&mut seen).unwrap();
    let status = watching.wait().unwrap();
    assert!(status.success() && seen.contains("it went on"), "{seen}");
    assert_eq!(server.metric("russet_server_certificate_renewals_total"), 1.0);
    assert_eq!(server.metric("russet_server_certificate_not_renewed"), 0.0);
}

#[test]
fn a_renewal_is_found_without_a_signal_and_one_that_is_broken_changes_nothing() {
    let server = TlsServer::start(&["--tls-interval", "100ms"]);
    let before = server.presented();
    let expires = server.metric("russet_server_certificate_expires_timestamp_seconds");
    // The key of another certificate.
    let (second, third) = (server.authority.issue("second"), server.authority.issue("third"));
    Issued { certificate: second.certificate.clone(), key: third.key.clone() }
        .install(&server.certificate, &server.key);
    wait_for("the fault", || {
        (server.metric("russet_server_certificate_not_renewed") == 1.0).then_some(())
    });
    assert_eq!(server.presented(), before);
    let alerts = wait_for("an alert", || {
        Some(server.alerts()).filter(|alerts| alerts.contains("certificate_not_renewed"))
    });
    assert!(alerts.contains("does not belong to the certificate"), "{alerts}");
    std::fs::write(&server.certificate, "-----BEGIN CERTIFICATE-----\nAAAA\n").unwrap();
    server.hang_up();
    wait_for("a look that found nothing of use again", || {
        (server.metric("russet_server_certificate_failures_total") >= 2.0).then_some(())
    });
    let expired = server.authority.issue_expired("expired");
    expired.install(&server.certificate, &server.key);
    server.hang_up();
    wait_for("a look at the expired one", || {
        (server.metric("russet_server_certificate_failures_total") >= 3.0).then_some(())
    });
    assert_eq!(server.presented(), before);
    assert_eq!(server.metric("russet_server_certificate_expires_timestamp_seconds"), expires);
    third.install(&server.certificate, &server.key);
    wait_for("the renewed certificate", || server.presents(&third).then_some(()));
    assert_eq!(server.metric("russet_server_certificate_not_renewed"), 0.0);
}

#[test]
fn an_expired_certificate_is_an_alert_and_callers_refuse_it() {
    let server = TlsServer::start_with(Authority::issue_expired, &[]);
    let said = server.command(&["pipeline", "list"]).output().unwrap();
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(said.contains("certificate") && said.contains("--ca-file"), "{said}");
    let header = format!("Circle-Token: {}", server.ready.admin_token.expose());
    let url = format!("{}/api/v3/alerts", server.ready.url);
    wait_for("both alerts", || {
        let output = server.curl(&["--insecure", "--header", &header, &url]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let is_there = text.contains("\"certificate_expires\"")
            && text.contains("\"certificate_expires_in_a_week\"");
        is_there.then_some(())
    });
    assert!(!server.curl(&[&url]).status.success());
}

#[test]
fn a_pair_that_cannot_be_used_keeps_the_server_from_starting_and_says_which_file() {
    let dir = test_dir();
    let authority = Authority::make(dir.path());
    let (one, other) = (authority.issue("one"), authority.issue("other"));
    let refused = |certificate: &Path, key: &Path| {
        let output = server_command(dir.path(), certificate, key, &[]).output().unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let said = refused(&one.certificate, &other.key);
    assert!(said.contains("other.key") && said.contains("does not belong to"), "{said}");
    assert!(refused(&one.key, &one.key).contains("has no certificate in PEM"));
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&one.certificate, private).unwrap();
    assert!(refused(&one.certificate, &one.certificate).contains("has no private key in PEM"));
    assert!(refused(&dir.path().join("none"), &one.key).contains("cannot read"));
    assert!(refused(dir.path(), &one.key).contains("is not a regular file"));
    std::fs::set_permissions(&one.key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let said = refused(&one.certificate, &one.key);
    assert!(said.contains("can be read by others") && said.contains("chmod 600"), "{said}");
}

#[test]
fn a_handshake_that_hangs_is_ended_and_keeps_nobody_out() {
    let server = TlsServer::start(&[]);
    let start = Instant::now();
    let mut silent = TcpStream::connect(server.address()).unwrap();
    let mut half = TcpStream::connect(server.address()).unwrap();
    // The head of a record with a handshake of 512 bytes, which never come.
    half.write_all(&[22, 3, 1, 2, 0, 1]).unwrap();
    assert!(server.metric("russet_server_connections") >= 3.0, "they have places as strangers");
    for connection in [&mut silent, &mut half] {
        connection.set_read_timeout(Some(Duration::from_secs(40))).unwrap();
        // What ends the connection does not matter: an end of the stream, an alert, or a reset.
        let mut rest = Vec::new();
        if let Err(error) = connection.read_to_end(&mut rest) {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        }
    }
    assert!(start.elapsed() < Duration::from_secs(35), "{:?}", start.elapsed());
    wait_for("their places to be free", || {
        (server.metric("russet_server_connections") <= 1.0).then_some(())
    });
}

#[test]
fn who_speaks_plain_http_is_told_to_use_https() {
    let server = TlsServer::start(&["--tls-hsts", "1h"]);
    let output = server.curl(&[&format!("http://{}/", server.address())]);
    let answer = String::from_utf8(output.stdout).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("https://"), "{answer}");
    let output = server.curl(&[&format!("{}/login", server.ready.url)]);
    let answer = String::from_utf8(output.stdout).unwrap();
    assert!(answer.contains("strict-transport-security: max-age=3600"), "{answer}");
}

#[test]
fn tls_is_1_2_or_1_3_with_http_1_1_and_cookies_are_for_tls_alone() {
    let server = TlsServer::start(&[]);
    for version in ["-tls1_2", "-tls1_3"] {
        let report = server.handshake(&[version, "-alpn", "h2,http/1.1"]);
        assert!(report.contains("ALPN protocol: http/1.1"), "{report}");
        assert!(report.contains("Verify return code: 0 (ok)"), "{report}");
    }
    let report = server.handshake(&["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"]);
    assert!(report.contains("Cipher is (NONE)"), "{report}");
    let form = format!("token={}", server.ready.admin_token.expose());
    let url = format!("{}/login", server.ready.url);
    let output = server.curl(&["--data", &form, &url]);
    let answer = String::from_utf8(output.stdout).unwrap();
    let cookie = answer.lines().find(|line| line.starts_with("set-cookie:"));
    let cookie = cookie.unwrap_or_else(|| panic!("no cookie in {answer}"));
    assert!(cookie.contains("; Secure"), "{cookie}");
    assert!(!answer.contains("strict-transport-security"), "nobody asked for it: {answer}");
}

#[test]
fn a_login_remembers_the_authority_of_its_server() {
    let server = TlsServer::start(&[]);
    let authority = server.authority.certificate();
    let login = ["login", &server.ready.url, "--from", "token", "--ca-file"];
    let status = server.command(&login).arg(&authority).status().unwrap();
    assert!(status.success());
    let mut list = server.command(&["pipeline", "list"]);
    for name in ["RUSSET_URL", "RUSSET_TOKEN_FILE", "RUSSET_CA_FILE"] {
        list.env_remove(name);
    }
    let output = list.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Script that makes a file, and one with its hash.
const CACHES: &str = "head -c 9000000 /dev/urandom > big; sha256sum big > sum";

impl TlsServer {
    /// Runs a job of these steps to its end.
    fn run_to_end(&self, steps: &[&str]) -> String {
        let project = self.dir.path().join("project/.circleci");
        std::fs::create_dir_all(&project).unwrap();
        std::fs::write(project.join("config.yml"), config(steps)).unwrap();
        let output = self
            .command(&["pipeline", "submit", "--watch"])
            .current_dir(project.parent().unwrap())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

#[test]
fn archives_and_artifacts_come_from_a_bucket_behind_tls_of_another_authority() {
    let dir = test_dir();
    let Some((bucket, certificates)) = bucket_with_tls(dir.path()) else { return };
    let mut options = bucket.options();
    options.retain(|option| option != "--objects-allow-http");
    let ca = certificates.ca.display().to_string();
    options.extend(["--objects-direct", "--objects-ca", &ca].map(str::to_owned));
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let server = TlsServer::start(&options);
    server.succeed(&["resource-class", "create", CLASS]);
    let token = server.succeed(&["token", "create", CLASS]);
    let own = server.authority.certificate();
    let both = dir.path().join("both.pem");
    let texts = [&own, &certificates.ca].map(|file| std::fs::read_to_string(file).unwrap());
    std::fs::write(&both, texts.concat()).unwrap();
    let agent = |authorities: &Path| {
        let api = [
            format!("auth_token: {}", token.trim()),
            format!("ca_file: {}", authorities.display()),
        ];
        let options = AgentOptions { api: api.to_vec(), ..AgentOptions::default() };
        Agent::start_at(&server.ready.url, "", &options)
    };
    let first = agent(&both);
    server.run_to_end(&[
        &run(CACHES),
        "save_cache: {key: k, paths: [big, sum]}",
        "store_artifacts: {path: big}",
    ]);
    drop(first);
    // Agents that have no copies of archives: one that trusts the bucket, and one that does not.
    let mut reads = bucket.signed_reads();
    for (authorities, count) in [(&both, 1), (&own, 0)] {
        let _agent = agent(authorities);
        server.run_to_end(&["restore_cache: {keys: [k]}", &run("sha256sum -c sum")]);
        reads += count;
        wait_for("the reads by signed URLs", || (bucket.signed_reads() >= reads).then_some(()));
        assert_eq!(bucket.signed_reads(), reads);
    }
    let jobs = server.succeed(&["pipeline", "list", "--output", "json"]);
    let jobs: serde_json::Value = serde_json::from_str(&jobs).unwrap();
    let first = jobs.pointer("/items").or(Some(&jobs)).and_then(|all| all.as_array()).unwrap();
    let job = first.last().unwrap()["workflows"][0]["jobs"][0]["id"].as_str().unwrap().to_owned();
    for (authorities, count) in [(&both, 1), (&own, 0)] {
        let into = tempfile::tempdir_in(dir.path()).unwrap();
        let output = server
            .command(&["job", "artifacts", &job, "--download"])
            .arg(into.path())
            .env("RUSSET_CA_FILE", authorities)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        assert_eq!(std::fs::metadata(into.path().join("big")).unwrap().len(), 9_000_000);
        reads += count;
        wait_for("the reads by signed URLs", || (bucket.signed_reads() >= reads).then_some(()));
        assert_eq!(bucket.signed_reads(), reads);
    }
}
