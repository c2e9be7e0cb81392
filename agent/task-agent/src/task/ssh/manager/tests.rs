//! Times of a hold, as whoever is connected by OpenSSH's client meets them. The clock is turned by hand.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use russet_platform::clock::{Clock, Hand};
use russet_protocol::ids::AllocationId;
use russet_protocol::ssh::{HoldOrders, HoldReport};
use russet_ssh_server::{Connection, Host, HostKey, PersonKeys, Settings, SshServer, Started};
use russet_test_skip::has_tool;
use tempfile::TempDir;
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, ChildStdout};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::{Asked, HoldEnd, Manager};
use crate::hold_request::{HoldReply, HoldRequest};
use crate::mask::Masks;
use crate::task::events::Events;
use crate::task::journal::{Journal, StepOutput};
use crate::task::spool::Spool;
use crate::task::ssh::end_words;
use crate::task::ssh::hold::HoldLimits;
use crate::task::stop::StopSignal;
use crate::task::supervisor::Supervisor;

const MINUTE: Duration = Duration::from_secs(60);
const MOMENT: Duration = Duration::from_millis(1);
const TIMEOUT: Duration = Duration::from_secs(60);

/// Starts programs, and has nothing to tell.
struct TestHost(PathBuf);

impl Host for TestHost {
    fn spawn(&self, command: &mut Command) -> io::Result<Started> {
        let mut child = command.spawn()?;
        let pid = child.id().cast_signed();
        let (sender, exit) = oneshot::channel();
        std::thread::spawn(move || sender.send(child.wait().unwrap()).ok());
        Ok(Started { pid, exit })
    }

    fn environment(&self, _has_terminal: bool) -> Vec<(OsString, OsString)> {
        vec![("PATH".into(), std::env::var_os("PATH").unwrap())]
    }

    fn directory(&self) -> PathBuf {
        self.0.clone()
    }

    fn shell(&self) -> PathBuf {
        "/bin/sh".into()
    }

    fn greeting(&self) -> String {
        String::new()
    }

    fn began(&self, _: &Connection) {}

    fn ended(&self, _: &Connection) {}
}

/// A task that is held.
struct Held {
    dir: TempDir,
    port: u16,
    hand: Hand,
    asked: mpsc::Sender<Asked>,
    reports: watch::Receiver<Option<HoldReport>>,
    /// Reason of the end.
    end: JoinHandle<HoldEnd>,
    _orders: watch::Sender<HoldOrders>,
}

fn make_key(dir: &Path) -> String {
    let path = dir.join("key");
    let mut keygen = Command::new("ssh-keygen");
    let made = keygen.args(["-q", "-N", "", "-t", "ed25519", "-f"]).arg(&path).status();
    assert!(made.unwrap().success());
    std::fs::read_to_string(path.with_extension("pub")).unwrap()
}

fn make_output(dir: &Path, clock: &Clock) -> StepOutput {
    let spool = Arc::new(Spool::create(dir, clock.clone(), None).unwrap());
    let events = Arc::new(Events::open(dir, clock.clone()).unwrap());
    Journal::new(Masks::default(), spool, events).open_output(1).unwrap()
}

/// Makes what watches over a server, its reports, and the hand that turns its clock.
fn make_manager(
    server: SshServer,
    connected: watch::Receiver<u32>,
    clock: &Clock,
) -> (Manager, mpsc::Sender<Asked>, watch::Sender<HoldOrders>, watch::Receiver<Option<HoldReport>>)
{
    let (reports, reported) = watch::channel(None);
    let (given, orders) = watch::channel(HoldOrders::default());
    let (asked, requests) = mpsc::channel(4);
    let stop = StopSignal::new();
    let allocation = AllocationId::from("a".to_owned());
    let supervisor = Supervisor::start(None, allocation, clock.clone(), stop.clone());
    let manager = Manager {
        connected,
        server,
        limits: HoldLimits { idle: 10 * MINUTE, longest: 120 * MINUTE },
        clock: clock.clone(),
        stop,
        supervisor: Arc::new(supervisor),
        asked: requests,
        orders,
        reports,
        asked_here: Duration::ZERO,
        asked_there: Duration::ZERO,
        is_ending: false,
    };
    (manager, asked, given, reported)
}

fn make_server(dir: &Path, keys: &[String]) -> SshServer {
    let keys = PersonKeys::parse(keys).unwrap();
    let settings = Settings::new("slot", keys, HostKey::generate().unwrap());
    SshServer::new(settings, Arc::new(TestHost(dir.to_owned())))
}

impl Held {
    async fn begin() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (clock, hand) = Clock::manual("boot");
        let server = make_server(dir.path(), &[make_key(dir.path())]);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let serving = server.clone();
        tokio::spawn(async move {
            loop {
                let (stream, from) = listener.accept().await.unwrap();
                let server = serving.clone();
                tokio::spawn(async move { server.serve(stream, from.to_string()).await });
            }
        });
        let connected = server.connected();
        let (mut manager, asked, _orders, reports) = make_manager(server, connected, &clock);
        let output = make_output(dir.path(), &clock);
        let end = tokio::spawn(async move {
            let end = manager.hold(&output).await;
            manager.server.end(end_words(end)).await;
            end
        });
        let mut held = Self { dir, port, hand, asked, reports, end, _orders };
        held.reported(|report| report.waiting).await;
        held.hand.next_sleeper().await;
        held
    }

    /// Connects a terminal, and waits until the hold knows of it.
    async fn connect(&mut self) -> Client {
        let mut child = tokio::process::Command::new("sh")
            .args(["-c", "exec \"$@\" 2>&1", "sh", "ssh", "-F", "none", "-tt"])
            .args(["-l", "slot", "-p", &self.port.to_string(), "-i"])
            .arg(self.dir.path().join("key"))
            .args(["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"])
            .args(["-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-o", "BatchMode=yes"])
            .args(["127.0.0.1", "echo ready; exec cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let stdout = child.stdout.take().unwrap();
        self.reported(|report| report.waiting && report.sessions == 1).await;
        let mut client = Client { child, stdout, shown: String::new() };
        client.shows("ready").await;
        client
    }

    async fn reported(&mut self, is_it: impl Fn(&HoldReport) -> bool) {
        let wanted = self.reports.wait_for(|report| report.as_ref().is_some_and(&is_it));
        tokio::time::timeout(TIMEOUT, wanted).await.expect("such a report").unwrap();
    }

    /// Lets time pass until a moment before the end, and then the moment.
    async fn end_after(mut self, time: Duration) -> HoldEnd {
        self.hand.advance(time - MOMENT);
        self.reported(|report| report.remaining_ms == 1).await;
        assert!(!self.end.is_finished());
        self.hand.advance(MOMENT);
        tokio::time::timeout(TIMEOUT, self.end).await.expect("the end").unwrap()
    }
}

/// OpenSSH's client, connected.
struct Client {
    child: Child,
    stdout: ChildStdout,
    shown: String,
}

impl Client {
    /// Waits until a text is on the terminal.
    async fn shows(&mut self, text: &str) {
        let reading = async {
            let mut bytes = [0; 1024];
            while !self.shown.contains(text) {
                let length = self.stdout.read(&mut bytes).await.unwrap();
                assert!(length > 0, "no `{text}` in {}", self.shown);
                self.shown.push_str(&String::from_utf8_lossy(&bytes[..length]));
            }
        };
        assert!(tokio::time::timeout(TIMEOUT, reading).await.is_ok(), "`{text}` is not shown");
    }

    /// Waits for a warning.
    async fn is_warned(&mut self, left: Duration) {
        let left = russet_text::format_duration(left);
        self.shows(&format!("this task ends in {left}; `circleci-agent ssh extend 30m`")).await;
    }

    /// Waits until the client has been told why it ends, and has ended.
    async fn is_ended(mut self, reason: &str) {
        self.shows(reason).await;
        let ended = tokio::time::timeout(TIMEOUT, self.child.wait()).await.expect("its end");
        assert!(!ended.unwrap().success());
    }
}

#[tokio::test]
async fn a_task_that_nobody_connects_to_is_held_for_the_idle_time() {
    if has_tool("ssh-keygen") {
        assert_eq!(Held::begin().await.end_after(10 * MINUTE).await, HoldEnd::Idle);
    }
}

#[tokio::test]
async fn who_stays_connected_is_warned_three_times_and_hung_up_on_at_the_longest_time() {
    if !has_tool("ssh") {
        return;
    }
    let mut held = Held::begin().await;
    let mut client = held.connect().await;
    for (pause, left) in [(105, 15), (10, 5), (4, 1)] {
        held.hand.advance(MINUTE * pause);
        client.is_warned(MINUTE * left).await;
    }
    assert_eq!(held.end_after(MINUTE).await, HoldEnd::Longest);
    client.is_ended("its time is up").await;
}

#[tokio::test]
async fn who_comes_late_is_told_at_once_how_little_time_is_left() {
    if !has_tool("ssh") {
        return;
    }
    let mut held = Held::begin().await;
    let first = held.connect().await;
    held.hand.advance(107 * MINUTE);
    held.reported(|report| report.remaining_ms == 780_000).await;
    drop(first);
    held.reported(|report| report.sessions == 0).await;
    held.connect().await.is_warned(13 * MINUTE).await;
}

#[tokio::test]
async fn more_time_moves_the_end_and_the_warnings() {
    if !has_tool("ssh") {
        return;
    }
    let mut held = Held::begin().await;
    let mut client = held.connect().await;
    held.hand.advance(105 * MINUTE);
    client.is_warned(15 * MINUTE).await;
    let (reply, replied) = oneshot::channel();
    held.asked.send((HoldRequest::Extend(1_800_000), reply)).await.unwrap();
    assert_eq!(replied.await.unwrap(), HoldReply { waiting: true, remaining_ms: 2_700_000 });
    client.shown.clear();
    held.hand.advance(30 * MINUTE);
    client.is_warned(15 * MINUTE).await;
    assert_eq!(held.end_after(15 * MINUTE).await, HoldEnd::Longest);
    client.is_ended("its time is up").await;
}

#[tokio::test]
async fn the_idle_time_begins_anew_when_the_last_one_hangs_up() {
    if !has_tool("ssh") {
        return;
    }
    let mut held = Held::begin().await;
    let client = held.connect().await;
    held.hand.advance(60 * MINUTE);
    drop(client);
    held.reported(|report| report.sessions == 0).await;
    assert_eq!(held.end_after(10 * MINUTE).await, HoldEnd::Idle);
}

/// What happened before the end counts, whichever of the two is seen first. Each time is one chance of
/// two for a hold that looks at its end first.
#[tokio::test]
async fn who_connects_or_asks_for_more_just_before_the_end_is_heard() {
    if !has_tool("ssh-keygen") {
        return;
    }
    for round in 0..20 {
        let dir = tempfile::tempdir().unwrap();
        let (clock, hand) = Clock::manual("boot");
        let (sessions, connected) = watch::channel(0);
        let server = make_server(dir.path(), &[make_key(dir.path())]);
        let (mut manager, asked, _orders, mut reports) = make_manager(server, connected, &clock);
        let output = make_output(dir.path(), &clock);
        let end = tokio::spawn(async move { manager.hold(&output).await });
        drop(reports.wait_for(Option::is_some).await.unwrap());
        hand.next_sleeper().await;
        let (reply, replied) = oneshot::channel();
        if round % 2 == 0 {
            sessions.send_replace(1);
        } else {
            asked.try_send((HoldRequest::Extend(1_800_000), reply)).unwrap();
        }
        hand.advance(10 * MINUTE);
        let is_later = |report: &Option<HoldReport>| {
            report.as_ref().is_some_and(|report| report.remaining_ms >= 1_800_000)
        };
        let later = tokio::time::timeout(TIMEOUT, reports.wait_for(is_later)).await;
        assert!(later.expect("it goes on").is_ok(), "round {round}: it has ended");
        drop(replied);
        end.abort();
    }
}
