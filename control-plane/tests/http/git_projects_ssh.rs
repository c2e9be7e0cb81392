//! A Git remote over SSH: OpenSSH's own server, a deploy key that Russet made, and the key of the host.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use reqwest::Method;
use russet_protocol::projects::{ConnectionItem, TriggerState};
use serde_json::json;

use crate::git_history::Packets;
use crate::git_projects::{Repository, poll, start, wait_for_ended, wait_until};
use crate::support::{LIMIT, ok};

const PATH: &str = "/api/v3/projects/acme%2Fapp/connection";

/// An SSH server of one user, which takes the keys in a file.
struct Sshd {
    child: Child,
    port: u16,
    dir: tempfile::TempDir,
}

impl Sshd {
    fn start() -> Self {
        // Its directory without rights, which Debian's service makes.
        std::fs::create_dir_all("/run/sshd").unwrap();
        let dir = tempfile::tempdir().unwrap();
        make_host_key(dir.path());
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let path = dir.path().display();
        let config = format!(
            "ListenAddress 127.0.0.1\nPort {port}\nHostKey {path}/host\n\
             AuthorizedKeysFile {path}/authorized\nStrictModes no\nUsePAM no\nPidFile none\n\
             PermitRootLogin prohibit-password\nPasswordAuthentication no\n"
        );
        std::fs::write(dir.path().join("config"), config).unwrap();
        std::fs::write(dir.path().join("authorized"), "").unwrap();
        let child = run_server(dir.path());
        Self { child, port, dir }
    }

    /// Starts it anew with another host key.
    fn change_host_key(&mut self) {
        self.stop();
        std::fs::remove_file(self.dir.path().join("host")).unwrap();
        make_host_key(self.dir.path());
        self.child = run_server(self.dir.path());
    }

    fn stop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.stop();
    }
}

fn make_host_key(dir: &Path) {
    let words = ["-q", "-t", "ed25519", "-N", "", "-f", "host"];
    assert!(Command::new("ssh-keygen").args(words).current_dir(dir).status().unwrap().success());
}

fn run_server(dir: &Path) -> Child {
    Command::new("/usr/sbin/sshd")
        .args(["-D", "-f"])
        .arg(dir.join("config"))
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deploy_key_reads_over_ssh_and_another_host_key_is_refused_from_then_on() {
    if !russet_test_skip::can_be_root("OpenSSH's server lets others in")
        || !russet_test_skip::has_tool("/usr/sbin/sshd")
    {
        return;
    }
    let mut sshd = Sshd::start();
    let repository = Repository::new();
    let harness = start(|git| git.allow_to = vec!["127.0.0.0/8".parse().unwrap()]).await;
    let user = nix::unistd::User::from_uid(nix::unistd::getuid()).unwrap().unwrap().name;
    let bare = repository.root().join("app.git");
    let url = format!("ssh://{user}@127.0.0.1:{}{}", sshd.port, bare.display());
    let wish = json!({"url": url, "deploy_key": true});
    let item: ConnectionItem =
        ok(harness.as_admin(Method::PUT, PATH).json(&wish)).await.json().await.unwrap();
    let public = item.public_key.unwrap();
    let of = wait_until(&harness, |of| of.connection.last_poll.is_some()).await;
    assert!(of.connection.last_poll.unwrap().error.is_some(), "the key is not there yet");
    std::fs::write(sshd.dir.path().join("authorized"), format!("{public}\n")).unwrap();
    // Also the server may only be listening now.
    let connected = async {
        loop {
            poll(&harness).await;
            let of = wait_until(&harness, |of| of.connection.last_poll.is_some()).await;
            if of.connection.has_baseline {
                return of;
            }
        }
    };
    let of = tokio::time::timeout(LIMIT, connected).await.unwrap();
    assert_eq!(of.connection.host_keys.len(), 1, "{:?}", of.connection);
    assert!(of.connection.host_keys[0].contains("ssh-ed25519 SHA256:"));
    let revision = repository.commit("second");
    repository.push("main");
    poll(&harness).await;
    let of = wait_for_ended(&harness, 1).await;
    assert_eq!((of.triggers[0].state, &of.triggers[0].revision), (TriggerState::Built, &revision));
    let token = harness.token().await.token.unwrap().expose().to_owned();
    let agent = harness.claim(&token).await.unwrap();
    let refs = Packets::of(harness.read_history(&agent).await.unwrap()).list().await;
    assert!(refs.contains(&format!("{revision} refs/heads/main")), "{refs:?}");
    sshd.change_host_key();
    let is_refused = async {
        loop {
            poll(&harness).await;
            let of = crate::git_projects::details(&harness).await;
            let poll = of.connection.last_poll.unwrap();
            if poll.error.as_deref().is_some_and(|error| error.contains("Host key verification")) {
                return poll;
            }
        }
    };
    let poll = tokio::time::timeout(LIMIT, is_refused).await.unwrap();
    assert!(poll.hint.unwrap().contains("another key"));
}
