//! A task that is held on a clock that the test moves, and people who connect to it with OpenSSH's client.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use russet_platform::clock::{Clock, Hand};
use russet_protocol::ids::AllocationId;
use russet_protocol::ssh::{HoldOrders, HoldReport};
use russet_ssh_server::{Connection, Host, HostKey, PersonKeys, Settings, SshServer, Started};
use tempfile::TempDir;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};

use super::super::control::Asked;
use super::super::end_words;
use super::super::hold::HoldLimits;
use super::super::manager::{HoldEnd, Manager};
use crate::hold_request::{HoldReply, HoldRequest};
use crate::mask::Masks;
use crate::task::events::Events;
use crate::task::journal::{Journal, StepOutput};
use crate::task::spool::Spool;
use crate::task::stop::StopSignal;
use crate::task::supervisor::Supervisor;

const MOMENT: Duration = Duration::from_millis(1);
const LIMITS: HoldLimits =
    HoldLimits { idle: Duration::from_secs(600), longest: Duration::from_secs(7200) };

/// Timeout of anything that is waited for.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A plain shell for whoever comes.
struct ShellHost(PathBuf);

impl Host for ShellHost {
    fn spawn(&self, command: &mut Command) -> io::Result<Started> {
        let mut child = command.spawn()?;
        let pid = child.id().cast_signed();
        let (sender, exit) = oneshot::channel();
        std::thread::spawn(move || sender.send(child.wait().unwrap()).ok());
        Ok(Started { pid, exit })
    }

    fn environment(&self, _: bool) -> Vec<(OsString, OsString)> {
        vec![("PATH".into(), std::env::var_os("PATH").unwrap())]
    }

    fn directory(&self) -> PathBuf {
        self.0.clone()
    }

    fn shell(&self) -> PathBuf {
        "/bin/sh".into()
    }

    fn greeting(&self) -> String {
        "Welcome to the task.\n".to_owned()
    }

    fn began(&self, _: &Connection) {}

    fn ended(&self, _: &Connection) {}
}

/// A task that is held, and the hand that moves its clock.
pub(super) struct Held {
    dir: TempDir,
    pub(super) hand: Hand,
    port: u16,
    pub(super) asked: mpsc::Sender<Asked>,
    reports: watch::Receiver<Option<HoldReport>>,
    pub(super) holding: JoinHandle<HoldEnd>,
    _orders: watch::Sender<HoldOrders>,
    _accepting: JoinSet<()>,
}

/// Returns a server for the key `key` of a directory, whose host is known there.
pub(super) fn make_server(dir: &TempDir) -> SshServer {
    let key = dir.path().join("key");
    let made =
        Command::new("ssh-keygen").args(["-q", "-N", "", "-t", "ed25519", "-f"]).arg(&key).status();
    assert!(made.unwrap().success());
    let line = std::fs::read_to_string(key.with_extension("pub")).unwrap();
    let host_key = HostKey::generate().unwrap();
    let known = format!("task {}\n", host_key.public_line().unwrap());
    std::fs::write(dir.path().join("known_hosts"), known).unwrap();
    let settings = Settings::new("slot", PersonKeys::parse(&[line]).unwrap(), host_key);
    SshServer::new(settings, Arc::new(ShellHost(dir.path().to_owned())))
}

pub(super) fn make_output(dir: &TempDir, clock: &Clock) -> StepOutput {
    let spool = Arc::new(Spool::create(dir.path(), clock.clone(), None).unwrap());
    let events = Arc::new(Events::open(dir.path(), clock.clone()).unwrap());
    Journal::new(Masks::new(&[]).unwrap(), spool, events).open_output(1).unwrap()
}

/// Ends of the channels by which a manager is told, and tells.
pub(super) struct Lines {
    pub(super) asked: mpsc::Sender<Asked>,
    pub(super) orders: watch::Sender<HoldOrders>,
    reports: watch::Receiver<Option<HoldReport>>,
}

pub(super) fn make_manager(server: SshServer, clock: &Clock) -> (Manager, Lines) {
    let stop = StopSignal::new();
    let allocation = AllocationId::from("a".to_owned());
    let supervisor = Arc::new(Supervisor::start(None, allocation, clock.clone(), stop.clone()));
    let (asked, requests) = mpsc::channel(1);
    let (orders, given) = watch::channel(HoldOrders::default());
    let (reports, reported) = watch::channel(None);
    let manager = Manager {
        connected: server.connected(),
        terminals: server.terminals(),
        server,
        limits: LIMITS,
        clock: clock.clone(),
        stop,
        supervisor,
        asked: requests,
        orders: given,
        reports,
        asked_here: Duration::ZERO,
        asked_there: Duration::ZERO,
        is_ending: false,
    };
    (manager, Lines { asked, orders, reports: reported })
}

pub(super) async fn hold() -> Held {
    let dir = tempfile::tempdir().unwrap();
    let (clock, hand) = Clock::manual("boot");
    let server = make_server(&dir);
    let output = make_output(&dir, &clock);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (mut manager, lines) = make_manager(server.clone(), &clock);
    let mut accepting = JoinSet::new();
    accepting.spawn(async move {
        let mut people = JoinSet::new();
        loop {
            let (stream, from) = listener.accept().await.unwrap();
            let server = server.clone();
            people.spawn(async move { server.serve(stream, from.to_string()).await });
        }
    });
    let holding = tokio::spawn(async move {
        let end = manager.hold(&output).await;
        manager.server.end(end_words(end)).await;
        end
    });
    // It has begun.
    hand.next_sleeper().await;
    let Lines { asked, orders, reports } = lines;
    Held { dir, hand, port, asked, reports, holding, _orders: orders, _accepting: accepting }
}

/// A client with a terminal. Its shell goes on for as long as its input is open.
pub(super) struct Person {
    child: Child,
    input: ChildStdin,
    shown: PathBuf,
}

impl Person {
    pub(super) fn count(&self, words: &str) -> usize {
        String::from_utf8_lossy(&std::fs::read(&self.shown).unwrap()).matches(words).count()
    }

    /// Waits until a text is on the terminal that many times.
    pub(super) async fn wait_for(&self, words: &str, times: usize) {
        let shown = || String::from_utf8_lossy(&std::fs::read(&self.shown).unwrap()).into_owned();
        wait_until(shown, |text| text.matches(words).count() >= times).await;
    }

    /// Leaves.
    pub(super) async fn exit(mut self) -> ExitStatus {
        self.input.write_all(b"exit\n").unwrap();
        self.wait_for_end().await
    }

    pub(super) async fn wait_for_end(&mut self) -> ExitStatus {
        wait_until(|| self.child.try_wait().unwrap(), Option::is_some).await.unwrap()
    }
}

/// Waits until something is so, and returns it.
async fn wait_until<T: std::fmt::Debug>(
    mut look: impl FnMut() -> T,
    is_so: impl Fn(&T) -> bool,
) -> T {
    let until = std::time::Instant::now() + TIMEOUT;
    loop {
        let now = look();
        if is_so(&now) {
            return now;
        }
        assert!(std::time::Instant::now() < until, "it stays at {now:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

impl Held {
    pub(super) async fn connect(&mut self, name: &str) -> Person {
        let before = self.reports.borrow().map_or(0, |report| report.sessions);
        let shown = self.dir.path().join(name);
        let file = File::create(&shown).unwrap();
        let known_hosts = self.dir.path().join("known_hosts");
        let mut child = Command::new("ssh")
            .args(["-F", "none", "-tt", "-l", "slot", "-p", &self.port.to_string(), "-i"])
            .arg(self.dir.path().join("key"))
            .args(["-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-o", "BatchMode=yes"])
            .args(["-o", "HostKeyAlias=task", "-o", "StrictHostKeyChecking=yes", "-o"])
            .arg(format!("UserKnownHostsFile={}", known_hosts.display()))
            .arg("127.0.0.1")
            .stdin(Stdio::piped())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let person = Person { child, input, shown };
        self.wait_for_sessions(before + 1).await;
        person.wait_for("Welcome to the task.", 1).await;
        person
    }

    pub(super) async fn wait_for_sessions(&mut self, count: u32) {
        let is_so = |report: &Option<HoldReport>| report.is_some_and(|it| it.sessions == count);
        tokio::time::timeout(TIMEOUT, self.reports.wait_for(is_so)).await.unwrap().unwrap();
    }

    /// Lets all time pass but a moment, after which nothing has happened, and then that moment.
    pub(super) async fn pass(&self, time: Duration) {
        self.hand.advance(time.checked_sub(MOMENT).unwrap());
        assert_eq!(self.hand.next_sleeper().await, MOMENT, "it is looked at when something is due");
        assert!(!self.holding.is_finished());
        self.hand.advance(MOMENT);
    }

    pub(super) async fn ask(&self, request: HoldRequest) -> HoldReply {
        let (reply, replied) = oneshot::channel();
        self.asked.send((request, reply)).await.unwrap();
        replied.await.unwrap()
    }

    pub(super) async fn end(self) -> HoldEnd {
        tokio::time::timeout(TIMEOUT, self.holding).await.unwrap().unwrap()
    }
}
