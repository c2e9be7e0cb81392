//! A registry of orbs that answers as CircleCI's own command line expects: one query over HTTP,
//! `orbVersion`, by reference.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

/// A version of an orb.
#[derive(Clone)]
struct Published {
    name: String,
    version: String,
    source: String,
    /// The token of who may see it; anybody if `None`.
    token: Option<String>,
}

/// Behaviour instead of an answer.
#[derive(Clone)]
pub enum Instead {
    /// An HTTP status and a body.
    Answer(u16, String),
    /// A body without end.
    Endless,
}

#[derive(Default)]
struct State {
    orbs: Vec<Published>,
    /// References that were asked for, each with the header `Authorization`.
    asked: Vec<(String, Option<String>)>,
    /// Set where a floating version is left to who asks.
    is_exact_only: bool,
    instead: Option<Instead>,
}

/// A registry that runs as long as this lives.
pub struct OrbRegistry {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl OrbRegistry {
    /// Starts one without orbs.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                // A client that goes away in between is no failure of a test.
                std::thread::spawn(move || drop(serve(stream, &shared)));
            }
        });
        Self { address, state }
    }

    /// Address for `--orb-registry`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Publishes a version for everybody.
    pub fn publish(&self, name: &str, version: &str, source: &str) {
        self.add(name, version, source, None);
    }

    /// Publishes a version for who has a token.
    pub fn publish_for(&self, token: &str, name: &str, version: &str, source: &str) {
        self.add(name, version, source, Some(token.to_owned()));
    }

    fn add(&self, name: &str, version: &str, source: &str, token: Option<String>) {
        let [name, version, source] = [name, version, source].map(str::to_owned);
        let mut state = self.state();
        state.orbs.retain(|orb| (&orb.name, &orb.version) != (&name, &version));
        // Newest first, as the real one lists them.
        state.orbs.insert(0, Published { name, version, source, token });
    }

    /// Takes a version back.
    pub fn withdraw(&self, name: &str, version: &str) {
        self.state().orbs.retain(|orb| orb.name != name || orb.version != version);
    }

    /// Answers nothing for floating versions but `volatile`.
    pub fn knows_exact_versions_only(&self) {
        self.state().is_exact_only = true;
    }

    /// Does something else from now on; `None` goes back to answering.
    pub fn does_instead(&self, instead: Option<Instead>) {
        self.state().instead = instead;
    }

    /// The references that were asked for, with the header `Authorization` of each.
    pub fn asked(&self) -> Vec<(String, Option<String>)> {
        self.state().asked.clone()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn serve(stream: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let is_right = line.starts_with("POST /graphql-unstable ");
        let (mut length, mut token) = (0, None);
        loop {
            let mut header = String::new();
            reader.read_line(&mut header)?;
            let Some((name, value)) = header.trim_end().split_once(':') else { break };
            match name.to_lowercase().as_str() {
                "content-length" => length = value.trim().parse().unwrap_or(0),
                "authorization" => token = Some(value.trim().to_owned()),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let question: Value = serde_json::from_slice(&body).unwrap_or_default();
        let (status, answer) = if is_right { answer(state, &question, token) } else { not_found() };
        let stream = reader.get_mut();
        let Some(answer) = answer else { return endless(stream) };
        write!(
            stream,
            "HTTP/1.1 {status} Status\r\ncontent-type: application/json\r\nlocation: http://127.0.0.1:1/\r\n\
             content-length: {}\r\n\r\n{answer}",
            answer.len()
        )?;
    }
}

fn not_found() -> (u16, Option<String>) {
    (404, Some("{}".to_owned()))
}

/// Sends until the other side hangs up.
fn endless(stream: &mut TcpStream) -> std::io::Result<()> {
    write!(stream, "HTTP/1.1 200 OK\r\n\r\n")?;
    let chunk = vec![b' '; 1 << 20];
    loop {
        stream.write_all(&chunk)?;
    }
}

/// The status and the body; no body at all for one without end.
fn answer(state: &Mutex<State>, question: &Value, token: Option<String>) -> (u16, Option<String>) {
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    let query = question["query"].as_str().unwrap_or_default();
    let reference = question["variables"]["orbVersionRef"].as_str().unwrap_or_default();
    state.asked.push((reference.to_owned(), token.clone()));
    match &state.instead {
        Some(Instead::Answer(status, body)) => return (*status, Some(body.clone())),
        Some(Instead::Endless) => return (200, None),
        None => {}
    }
    if !query.contains("query($orbVersionRef: String!)")
        || !query.contains("orbVersion(orbVersionRef: $orbVersionRef)")
    {
        let errors = json!({"errors": [{"message": "Cannot query this"}]});
        return (200, Some(errors.to_string()));
    }
    let (name, wanted) = reference.split_once('@').unwrap_or((reference, "volatile"));
    let seen = |orb: &&Published| orb.name == name && (orb.token.is_none() || orb.token == token);
    let all: Vec<&Published> = state.orbs.iter().filter(seen).collect();
    let found = all.iter().filter(|orb| fits(wanted, &orb.version, state.is_exact_only));
    let found = found.max_by_key(|orb| numbers(&orb.version));
    let version = found.map(|orb| {
        let versions: Vec<Value> =
            all.iter().map(|other| json!({ "version": other.version })).collect();
        let mut version = json!({"id": "an id", "version": orb.version, "orb": {"id": "its id"}});
        if query.contains("source") {
            version["source"] = json!(orb.source);
        }
        if query.contains("versions(count:") {
            version["orb"]["versions"] = json!(versions);
        }
        version
    });
    (200, Some(json!({"data": {"orbVersion": version}}).to_string()))
}

fn numbers(version: &str) -> Vec<u64> {
    version.split('.').filter_map(|part| part.parse().ok()).collect()
}

fn fits(wanted: &str, version: &str, is_exact_only: bool) -> bool {
    let is_published = !version.starts_with("dev:");
    wanted == version
        || (wanted == "volatile" && is_published)
        || (!is_exact_only && is_published && version.starts_with(&format!("{wanted}.")))
}
