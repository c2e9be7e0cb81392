//! Speed beside OpenSSH's own server, in one run on one machine. It prints and judges nothing:
//!
//! `cargo test --release --workspace --test openssh -- --ignored --nocapture beside`

use std::fs::File;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use super::support::{Serving, make_key, noise, serve, wait_until};

/// Bytes of each transfer.
const BYTES: usize = 100_000_000;

/// A server of OpenSSH on loopback.
struct Sshd {
    child: Child,
    port: u16,
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Sshd {
    fn start(serving: &Serving) -> Self {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let key = make_key(serving.dir.path(), "sshd_key", &["ed25519"]);
        std::fs::create_dir_all("/run/sshd").unwrap();
        let config = serving.path("sshd_config");
        let allowed = serving.path("key.pub");
        let text = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\n\
             StrictModes no\nUsePAM no\nPermitRootLogin yes\n",
            key.display(),
            allowed.display()
        );
        std::fs::write(&config, text).unwrap();
        let child =
            Command::new("/usr/sbin/sshd").arg("-D").arg("-f").arg(&config).spawn().unwrap();
        wait_until("sshd", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        Self { child, port }
    }
}

/// Megabytes in a second, up and down.
fn measure(serving: &Serving, port: u16, user: &str, cipher: &str) -> (f64, f64) {
    let client = |command: &str| {
        let mut ssh = Command::new("ssh");
        ssh.args(["-F", "none", "-p", &port.to_string(), "-l", user, "-c", cipher]);
        ssh.arg("-i").arg(serving.path("key")).args(["-o", "StrictHostKeyChecking=no"]);
        ssh.args([
            "-o",
            "UserKnownHostsFile=/dev/null",
            "-o",
            "LogLevel=ERROR",
            "127.0.0.1",
            command,
        ]);
        ssh
    };
    let time = |command: &mut Command| {
        let began = Instant::now();
        assert!(command.status().unwrap().success());
        BYTES as f64 / 1e6 / began.elapsed().as_secs_f64()
    };
    let file = serving.path("up");
    let up = time(client("cat >/dev/null").stdin(File::open(&file).unwrap()));
    let command = format!("cat {}", file.display());
    (up, time(client(&command).stdin(Stdio::null()).stdout(Stdio::null())))
}

#[test]
#[ignore = "it measures, and needs sshd and root"]
fn a_hundred_megabytes_beside_sshd() {
    let serving = serve();
    std::fs::write(serving.path("up"), noise(BYTES)).unwrap();
    let sshd = Sshd::start(&serving);
    for cipher in ["aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com"] {
        let theirs = measure(&serving, sshd.port, "root", cipher);
        let ours = measure(&serving, serving.port, super::support::USER, cipher);
        let (up, down) = (ours.0 / theirs.0, ours.1 / theirs.1);
        println!(
            "{cipher}: up {:.0} MB/s, {up:.2} of sshd's; down {:.0} MB/s, {down:.2} of sshd's",
            ours.0, ours.1
        );
    }
}
