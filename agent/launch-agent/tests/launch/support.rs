//! A control plane and a task agent for tests, written from the documented fields only.

use std::collections::VecDeque;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use russet_launch_agent::config::{self, Config};
use russet_launch_agent::launch::{Event, ExitReason, Options, Stop, run};
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc};

/// Nothing here takes this long.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// A call that the control plane got.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) path: String,
    pub(crate) bearer: String,
    pub(crate) prefer: Option<String>,
    pub(crate) body: Value,
}

#[derive(Debug, Default)]
struct Plane {
    calls: Vec<Call>,
    /// Answers to claims, by token; without one it is 204.
    claims: Vec<(String, VecDeque<(u16, Value)>)>,
    /// Answers to other calls, by path; without one it is 200 and `{}`.
    answers: Vec<(String, (u16, Value))>,
    /// Answers 204 at once, as CircleCI's own does.
    ignores_prefer: bool,
    /// Answers nothing but this to every call.
    broken: Option<u16>,
}

/// A control plane.
#[derive(Clone, Debug)]
pub(crate) struct FakePlane {
    pub(crate) url: String,
    plane: Arc<Mutex<Plane>>,
    changed: Arc<Notify>,
}

impl FakePlane {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let plane = Self { url, plane: Arc::default(), changed: Arc::default() };
        let app = axum::Router::new().fallback(answer).with_state(plane.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        plane
    }

    fn edit<T>(&self, change: impl FnOnce(&mut Plane) -> T) -> T {
        let result = change(&mut self.plane.lock().unwrap());
        self.changed.notify_waiters();
        result
    }

    /// The next claim with this token gets this answer.
    pub(crate) fn answer_claim(&self, token: &str, status: u16, body: Value) {
        self.edit(|plane| match plane.claims.iter_mut().find(|(known, _)| known == token) {
            Some((_, answers)) => answers.push_back((status, body)),
            None => plane.claims.push((token.to_owned(), VecDeque::from([(status, body)]))),
        });
    }

    /// The next claim with this token gets a task.
    pub(crate) fn queue(&self, token: &str, task: Value) {
        self.answer_claim(token, 200, task);
    }

    pub(crate) fn answer(&self, path: &str, status: u16, body: Value) {
        self.edit(|plane| plane.answers.insert(0, (path.to_owned(), (status, body))));
    }

    pub(crate) fn ignore_prefer(&self) {
        self.edit(|plane| plane.ignores_prefer = true);
    }

    pub(crate) fn set_broken(&self, status: Option<u16>) {
        self.edit(|plane| plane.broken = status);
    }

    pub(crate) fn calls(&self, path: &str) -> Vec<Call> {
        let calls = &self.plane.lock().unwrap().calls;
        calls.iter().filter(|call| call.path == path).cloned().collect()
    }

    pub(crate) fn claims(&self) -> Vec<Call> {
        self.calls("/api/v3/runner/claim")
    }

    /// Waits until there were so many calls of the path.
    pub(crate) async fn wait_for(&self, path: &str, count: usize) -> Vec<Call> {
        let waiting = async {
            loop {
                let changed = self.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                let calls = self.calls(path);
                if calls.len() >= count {
                    return calls;
                }
                changed.await;
            }
        };
        tokio::time::timeout(LIMIT, waiting)
            .await
            .unwrap_or_else(|_| panic!("no {count} calls of {path}: {:?}", self.plane))
    }
}

async fn answer(State(plane): State<FakePlane>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let header = |name: &str| {
        parts.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
    };
    let bearer = header("authorization").unwrap_or_default();
    let bearer = bearer.strip_prefix("Bearer ").unwrap_or_default().to_owned();
    let prefer = header("prefer");
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap_or_default();
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let waits = prefer.as_deref() != Some("wait=0");
    let call = Call { path: path.clone(), bearer: bearer.clone(), prefer, body };
    let broken = plane.edit(|state| {
        state.calls.push(call);
        state.broken
    });
    if let Some(status) = broken {
        return reply(status, Value::Null);
    }
    if path == "/api/v3/runner/claim" {
        return claim(&plane, &bearer, waits).await;
    }
    let found = plane.edit(|state| {
        state.answers.iter().find(|(known, _)| *known == path).map(|(_, answer)| answer.clone())
    });
    let (status, body) = found.unwrap_or((200, json!({})));
    reply(status, body)
}

async fn claim(plane: &FakePlane, token: &str, waits: bool) -> Response {
    loop {
        let changed = plane.changed.notified();
        tokio::pin!(changed);
        changed.as_mut().enable();
        let (next, at_once) = {
            let mut state = plane.plane.lock().unwrap();
            let at_once = state.ignores_prefer || !waits;
            let next = state
                .claims
                .iter_mut()
                .find(|(known, _)| known == token)
                .and_then(|(_, answers)| answers.pop_front());
            (next, at_once)
        };
        match next {
            Some((status, body)) => return reply(status, body),
            None if at_once => return reply(204, Value::Null),
            None => {}
        }
        if tokio::time::timeout(Duration::from_secs(50), changed).await.is_err() {
            return reply(204, Value::Null);
        }
    }
}

fn reply(status: u16, body: Value) -> Response {
    let status = StatusCode::from_u16(status).unwrap();
    if body.is_null() { status.into_response() } else { (status, axum::Json(body)).into_response() }
}

/// A task as our server hands it out.
pub(crate) fn task(allocation: &str) -> Value {
    json!({
        "task_token": format!("token-of-{allocation}"),
        "allocation": allocation,
        "task_id": format!("id-of-{allocation}"),
        "project": "acme/app",
        "job": "build",
        "from_fork": false,
        "heartbeat_ms": 10_000,
    })
}

/// A task agent that is a shell script: `run` is what it does with a task, with the assignment
/// in `$ASSIGNMENT` (a file) and its spool in `$SPOOL`. It notes its modes in `modes` beside it.
pub(crate) fn script_agent(dir: &Path, run: &str) -> PathBuf {
    let path = dir.join("fake-task-agent");
    let text = format!(
        r#"#!/bin/sh
# A fake `russet task-agent`.
DIR={dir}
ASSIGNMENT=$DIR/assignment.$$
cat > "$ASSIGNMENT"
[ -s "$ASSIGNMENT" ] || {{ rm -f "$ASSIGNMENT"; exit 64; }}
field() {{ sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p" "$ASSIGNMENT" | head -n 1; }}
MODE=$(field mode)
ALLOCATION=$(field allocation)
SPOOL=$(field spool)
echo "$MODE $ALLOCATION" >> "$DIR/modes"
case "$MODE" in
clean) for name in home work tmp spool; do
         where=$(field $name); find "$where" -mindepth 1 -delete; done; exit 0 ;;
flush|unclaim) cp "$ASSIGNMENT" "$DIR/$MODE"; exit 0 ;;
esac
{run}
"#,
        dir = dir.display()
    );
    write_program(&path, &text);
    path
}

/// Writes a program so that it can be started at once: another thread's fork must not hold it
/// open for writing, or starting it fails with `text file busy`.
pub(crate) fn write_program(path: &Path, text: &str) {
    let status = std::process::Command::new("/bin/sh")
        .args(["-c", "printf %s \"$2\" > \"$1\" && chmod 755 \"$1\"", "sh"])
        .arg(path)
        .arg(text)
        .status()
        .unwrap();
    assert!(status.success());
}

/// A launch agent with directories of its own.
pub(crate) struct Bench {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) plane: FakePlane,
}

impl Bench {
    pub(crate) async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        // Where the users of slots have to pass through.
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        Self { dir, plane: FakePlane::start().await }
    }

    /// A configuration with `more` under `runner:`, and the class of the token `class-token`.
    pub(crate) fn config(&self, more: &str) -> Config {
        let auth = if more.contains("classes:") { "" } else { "  auth_token: class-token\n" };
        let text = format!(
            "api:\n  url: {}\n{auth}runner:\n  name: test\n  user_prefix: _rt_none\n  \
             state_directory: {}\n{more}\n",
            self.plane.url,
            self.dir.path().join("state").display()
        );
        let path = self.dir.path().join("config.yaml");
        std::fs::write(&path, &text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        config::load_config(&path, &|_| None).unwrap_or_else(|error| panic!("{error}"))
    }

    pub(crate) fn start(&self, config: Config, exe: &Path) -> Running {
        self.start_with(config, Options::new(exe.to_owned()))
    }

    pub(crate) fn start_with(&self, config: Config, mut options: Options) -> Running {
        let (stop, stops) = mpsc::unbounded_channel();
        let (sender, events) = mpsc::unbounded_channel();
        options.signals = false;
        options.stop = Some(stops);
        options.on_event = Some(sender);
        let running = tokio::spawn(run(config, options));
        Running { running, stop, events }
    }

    /// The modes in which the script agent was started so far.
    pub(crate) fn modes(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.dir.path().join("modes")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

/// A launch agent that runs.
pub(crate) struct Running {
    pub(crate) running: tokio::task::JoinHandle<ExitReason>,
    pub(crate) stop: mpsc::UnboundedSender<Stop>,
    pub(crate) events: mpsc::UnboundedReceiver<Event>,
}

impl Running {
    pub(crate) async fn exit(self) -> ExitReason {
        tokio::time::timeout(LIMIT, self.running).await.expect("it did not end").unwrap()
    }

    pub(crate) async fn drain(self) -> ExitReason {
        self.stop.send(Stop::Drain).unwrap();
        self.exit().await
    }

    /// The next event that fits.
    pub(crate) async fn event(&mut self, fits: impl Fn(&Event) -> bool) -> Event {
        let waiting = async {
            loop {
                let event = self.events.recv().await.expect("the launch agent has ended");
                if fits(&event) {
                    return event;
                }
            }
        };
        tokio::time::timeout(LIMIT, waiting).await.expect("no such event")
    }

    pub(crate) async fn notice(&mut self, part: &str) -> String {
        match self.event(|event| matches!(event, Event::Notice(text) if text.contains(part))).await
        {
            Event::Notice(text) => text,
            _ => unreachable!(),
        }
    }
}

/// Waits until it is so.
pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + LIMIT;
    while !is_so() {
        assert!(tokio::time::Instant::now() < deadline, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The real task agent, as a program.
pub(crate) fn real_agent(dir: &Path) -> PathBuf {
    let path = dir.join("russet");
    let me = std::env::current_exe().unwrap();
    write_program(&path, &format!("#!/bin/sh\n{}=1 exec {} \"$@\"\n", crate::MARKER, me.display()));
    path
}
