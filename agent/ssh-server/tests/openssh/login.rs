//! Who gets in, and by which algorithms.

use std::process::Command;

use russet_ssh_server::PersonKeys;
use russet_test_skip::has_tool;

use super::support::{USER, make_key, serve, serve_with, succeed, text};

#[test]
fn every_kind_of_key_logs_in() {
    let kinds: [(&str, &[&str]); 5] = [
        ("ed25519", &["ed25519"]),
        ("ecdsa256", &["ecdsa", "-b", "256"]),
        ("ecdsa384", &["ecdsa", "-b", "384"]),
        ("ecdsa521", &["ecdsa", "-b", "521"]),
        ("rsa3072", &["rsa", "-b", "3072"]),
    ];
    let serving = serve_with(&kinds, |settings| settings);
    for (name, _) in kinds {
        let output = serving.client("ssh", name).args(["127.0.0.1", "echo $JOB"]).output();
        assert_eq!(succeed(&output.unwrap()), "build\n", "{name}");
    }
    let began = serving.host.began.lock().unwrap();
    let keys: std::collections::BTreeSet<&str> = began.iter().map(|it| it.key.as_str()).collect();
    assert_eq!(keys.len(), 5);
    assert!(keys.iter().all(|key| key.starts_with("SHA256:")), "{keys:?}");
}

#[test]
fn whoever_has_another_key_or_name_is_refused_with_the_same_words() {
    let serving = serve();
    let refusal = |key: &str, user: &str| {
        let mut command = serving.client("ssh", key);
        command.args(["-l", user, "127.0.0.1", "true"]);
        // The first value of an option counts, and `User` is among them.
        let arguments: Vec<_> = command
            .get_args()
            .map(std::ffi::OsStr::to_owned)
            .map(|it| if it == "User=slot" { format!("User={user}").into() } else { it })
            .collect();
        let output = Command::new("timeout").args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(255));
        text(&output.stderr).replace(user, "USER")
    };
    let wrong_key = refusal("stranger", USER);
    assert!(wrong_key.contains("Permission denied (publickey)."), "{wrong_key}");
    assert_eq!(refusal("key", "root"), wrong_key);
    assert_eq!(refusal("stranger", "root"), wrong_key);
    assert_eq!(refusal("none", USER).lines().last(), wrong_key.lines().last());
    assert_eq!(*serving.server.connected().borrow(), 0);
    assert!(serving.host.began.lock().unwrap().is_empty());
}

#[test]
fn passwords_are_not_asked_for() {
    let serving = serve();
    let output = serving
        .ssh()
        .args(["-o", "PreferredAuthentications=password,keyboard-interactive,none"])
        .args(["127.0.0.1", "true"])
        .output()
        .unwrap();
    let said = text(&output.stderr);
    assert!(said.contains("Permission denied (publickey)."), "{said}");
}

#[test]
fn weak_algorithms_are_refused() {
    let keys: [(&str, &[&str]); 2] = [("key", &["ed25519"]), ("rsa", &["rsa", "-b", "3072"])];
    let serving = serve_with(&keys, |settings| settings);
    let weak = [
        "KexAlgorithms=diffie-hellman-group14-sha1",
        "KexAlgorithms=diffie-hellman-group14-sha256",
        "KexAlgorithms=ecdh-sha2-nistp256",
        "Ciphers=aes128-cbc,3des-cbc",
        "MACs=hmac-sha1,hmac-sha2-256,umac-64@openssh.com",
        "HostKeyAlgorithms=ssh-rsa,rsa-sha2-512,ecdsa-sha2-nistp256",
    ];
    for option in weak {
        let mut command = serving.ssh();
        if option.starts_with("MACs") {
            // The others bring their own.
            command.args(["-o", "Ciphers=aes128-ctr"]);
        }
        let output = command.args(["-o", option, "127.0.0.1", "true"]).output().unwrap();
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(255), "{option}");
        assert!(said.contains("no matching"), "{option}: {said}");
    }
    let sha1 = serving
        .client("ssh", "rsa")
        .args(["-o", "PubkeyAcceptedAlgorithms=ssh-rsa", "127.0.0.1", "true"])
        .output()
        .unwrap();
    assert!(text(&sha1.stderr).contains("Permission denied"), "{}", text(&sha1.stderr));
    for option in ["Ciphers=aes256-ctr", "Ciphers=chacha20-poly1305@openssh.com"] {
        let output = serving.ssh().args(["-o", option, "127.0.0.1", "true"]).output().unwrap();
        succeed(&output);
    }
}

#[test]
fn short_keys_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let key = make_key(dir.path(), "short", &["rsa", "-b", "2048"]);
    let line = std::fs::read_to_string(key.with_extension("pub")).unwrap();
    let error = PersonKeys::parse(&[line]).unwrap_err().to_string();
    assert!(error.contains("RSA of 2048 bits"), "{error}");
    assert!(PersonKeys::parse(&[]).is_err());
    assert!(PersonKeys::parse(&["ssh-ed25519 nonsense".to_owned()]).is_err());
}

/// `ssh-audit` knows which algorithms are broken, and tells warnings from failures.
#[test]
fn ssh_audit_finds_nothing_but_the_one_classical_exchange() {
    if !has_tool("ssh-audit") {
        return;
    }
    let serving = serve();
    let output = Command::new("timeout")
        .args(["60", "ssh-audit", "--skip-rate-test", "-n", "-p", &serving.port.to_string()])
        .arg("127.0.0.1")
        .output()
        .unwrap();
    let report = text(&output.stdout);
    assert!(report.contains("mlkem768x25519-sha256"), "{report}");
    let found = |level: &str| -> Vec<String> {
        let marked = format!("[{level}]");
        report.lines().filter(|line| line.contains(&marked)).map(str::to_owned).collect()
    };
    assert!(found("fail").is_empty(), "{report}");
    for line in found("warn") {
        assert!(line.contains("quantum") || line.contains("curve25519"), "{line}\n{report}");
    }
}
