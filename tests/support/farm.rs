//! A server with releases, and an installed agent that follows them.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;

use nix::unistd::Pid;
use russet_protocol::boot_files::HEALTH;
use russet_protocol::local::{Status, Update};
use russet_protocol::outcome::Outcome;

use super::admin::assert_outcome;
use super::release::{Release, Signer, archive, script};
use super::{Installation, Server, config, run, russet, test_dir, wait_for};

/// A server with releases, and an agent that follows them.
pub struct Farm {
    pub server: Server,
    pub agent: Installation,
    pub signer: Signer,
    releases: tempfile::TempDir,
}

impl Farm {
    /// With a probation that every good version passes.
    pub fn start() -> Self {
        Self::start_with("60s")
    }

    /// With so much time for a new version to prove itself.
    pub fn start_with(probation: &str) -> Self {
        let mut farm = Self::prepare(&format!("  probation: {probation}\n"), &[]);
        farm.agent.bootstrap();
        farm.agent.wait_proved(None);
        farm
    }

    /// With these lines below `update:` and `runner:`, and an agent that is not started.
    pub fn prepare(update: &str, runner: &[&str]) -> Self {
        Self::prepare_from("control-plane", update, runner)
    }

    /// With this source of updates, which is started and healthy.
    pub fn start_from(source: &str) -> Self {
        let mut farm = Self::prepare_from(source, "", &[]);
        farm.agent.bootstrap();
        farm.agent.wait_proved(None);
        farm
    }

    fn prepare_from(source: &str, update: &str, runner: &[&str]) -> Self {
        let (releases, signer) = (test_dir(), Signer::new());
        let directory = releases.path().join("releases");
        std::fs::create_dir(&directory).unwrap();
        let server = Server::start_with(&["--releases", directory.to_str().unwrap()]);
        let agent = Installation::new(&server, runner);
        let keys = releases.path().join("keys");
        std::fs::write(&keys, signer.public_text()).unwrap();
        let before = std::fs::read_to_string(agent.layout.config()).unwrap();
        let keys = keys.display();
        agent.write_config(&format!(
            "{before}update:\n  source: {source}\n  keys_file: {keys}\n{update}"
        ));
        Self { server, agent, signer, releases }
    }

    /// Directory in which the server looks for a release.
    pub fn place(&self, version: &str) -> PathBuf {
        self.releases.path().join("releases").join(version)
    }

    /// A good release of this version, not yet on the server.
    pub fn release(&self, version: &str) -> Release {
        Release::new(
            version,
            archive(&self.agent.layout, &script(version, "exec \"$REAL\" \"$@\"")),
        )
    }

    /// A release whose program does this instead of its work.
    pub fn broken(&self, version: &str, does: &str) -> Release {
        Release::new(version, archive(&self.agent.layout, &script(version, does)))
    }

    /// Puts it on the server.
    pub fn publish(&self, release: &Release) {
        release.write(&self.place(&release.manifest.version), &self.signer);
    }

    /// `russet` as the administrator of the server; what it printed. It must succeed.
    pub fn admin(&self, arguments: &[&str]) -> String {
        let token = self.releases.path().join("token");
        std::fs::write(&token, self.server.admin.token()).unwrap();
        let output = Command::new(russet())
            .args(arguments)
            .env("RUSSET_URL", self.server.url())
            .env("RUSSET_TOKEN_FILE", token)
            .env("NO_COLOR", "1")
            .output()
            .unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(output.status.success(), "{arguments:?}: {text}");
        text
    }

    /// List of runners, as the control plane prints it.
    pub fn runners(&self) -> String {
        self.admin(&["runner", "list", "test"])
    }

    /// `russet agent update`: whether it succeeded, and what it printed.
    pub fn cli(&self, arguments: &[&str]) -> (bool, String) {
        let output = Command::new(russet())
            .args(["agent", "update"])
            .args(arguments)
            .arg("--socket")
            .arg(self.agent.layout.state().join("agent.sock"))
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(text).unwrap())
    }

    /// Asks for the update as an operator does, whatever comes of it. An agent that is just
    /// restarting is asked again.
    pub fn install(&self) {
        wait_for("an agent that takes the order", || {
            let (ok, text) = self.cli(&["install"]);
            (ok || !text.contains("could not reach the agent")).then_some(())
        });
    }

    /// Asks for the update as an operator does who does not wait for what comes of it.
    pub fn ask_install(&self) {
        let socket = self.agent.layout.state().join("agent.sock");
        let mut stream = UnixStream::connect(socket).unwrap();
        let request = "POST /v1/update/install HTTP/1.1\r\nHost: agent\r\nContent-Length: 0\r\n\
                       Connection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = [0; 64];
        let length = stream.read(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
        assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    }

    /// The agent's status, while it answers.
    pub fn status(&self) -> Option<Status> {
        let socket = self.agent.layout.state().join("agent.sock");
        let output = Command::new(russet())
            .args(["agent", "status", "--output", "json", "--socket"])
            .arg(socket)
            .output()
            .unwrap();
        serde_json::from_slice(&output.stdout).ok()
    }

    /// Version of the installed release; `None` for the program under test.
    pub fn installed(&self) -> Option<String> {
        let text = std::fs::read(self.agent.layout.executable()).ok()?;
        let start = text.get(..text.len().min(256))?;
        let text = String::from_utf8_lossy(start);
        text.lines().find_map(|line| line.strip_prefix("# version ").map(str::to_owned))
    }

    /// The agent, as it said to russet-boot.
    pub fn pid(&self) -> Option<Pid> {
        let text = self.agent.boot_file(HEALTH)?;
        text.lines().next()?.strip_prefix("pid ")?.parse().ok().map(Pid::from_raw)
    }

    /// A task runs here, now.
    pub fn claims(&self) {
        let job = self.server.admin.run(&config(&[&run("echo still here")]));
        assert_outcome(&self.server.admin, &job, Outcome::Success);
    }

    /// Waits until this version is in place, has proved itself and is out of probation.
    pub fn wait_installed(&self, version: &str) {
        wait_for(&format!("version {version} in place: {}", self.agent.log()), || {
            (self.installed().as_deref() == Some(version)).then_some(())
        });
        wait_for("the end of its probation", || {
            self.agent.boot_file("probation").is_none().then_some(())
        });
        self.agent.wait_proved(None);
    }

    /// Waits until the agent says that there is no update, and why.
    pub fn wait_refused(&self, why: &str) {
        wait_for(&format!("`{why}` in the status: {}", self.agent.log()), || {
            match self.status()?.update? {
                Update::Failed { why: said } | Update::RolledBack { why: said, .. } => {
                    said.contains(why).then_some(())
                }
                _ => None,
            }
        });
    }
}
