//! Handshakes that no client makes: those of a real one with bytes changed, cut and repeated.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::support::{Serving, serve_with, succeed};

/// Handshakes that are tried.
const TRIES: usize = 400;

/// Panics within the server, whichever test they are of.
static PANICS: AtomicUsize = AtomicUsize::new(0);

fn count_panics() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let file = info.location().map_or("", |place| place.file());
        let is_ours = file.contains("russh") || file.contains("ssh-server/src");
        PANICS.fetch_add(usize::from(is_ours), Ordering::Relaxed);
        before(info);
    }));
}

/// Returns what a client sends from its first byte until it has logged in and run a command.
fn record_client(serving: &Serving) -> Vec<u8> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let real = serving.port;
    let recording = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut server = TcpStream::connect(("127.0.0.1", real)).unwrap();
        let (mut back, mut answers) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        std::thread::spawn(move || {
            std::io::copy(&mut answers, &mut back).ok();
            back.shutdown(Shutdown::Write).ok();
        });
        let mut sent = Vec::new();
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = client.read(&mut buffer) {
            sent.extend_from_slice(&buffer[..length]);
            server.write_all(&buffer[..length]).unwrap();
        }
        sent
    });
    let ssh = serving.ssh();
    let own = format!("Port={real}");
    let words: Vec<_> = ssh
        .get_args()
        .map(
            |word| {
                if word == own.as_str() { format!("Port={port}").into() } else { word.to_owned() }
            },
        )
        .collect();
    let mut command = std::process::Command::new("timeout");
    succeed(&command.args(words).args(["127.0.0.1", "true"]).output().unwrap());
    recording.join().unwrap()
}

/// A number below `below`, from a sequence that is the same each time.
fn draw(state: &mut u64, below: usize) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    usize::try_from(*state >> 16).unwrap() % below.max(1)
}

fn spoil(recorded: &[u8], state: &mut u64) -> Vec<u8> {
    let mut bytes = recorded.to_vec();
    for _ in 0..=draw(state, 4) {
        let at = draw(state, bytes.len());
        match draw(state, 4) {
            0 => bytes[at] ^= 1 << draw(state, 8),
            1 => bytes[at] = [0, 0xff, 0x7f, 0x80][draw(state, 4)],
            2 => bytes.truncate(at.max(1)),
            _ => {
                let end = (at + draw(state, 200)).min(bytes.len());
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
        }
    }
    bytes
}

#[test]
fn spoiled_handshakes_end_their_connections_and_nothing_else() {
    count_panics();
    let serving = serve_with(&[("key", &["ed25519"])], |settings| russet_ssh_server::Settings {
        login_timeout: Duration::from_secs(2),
        ..settings
    });
    let recorded = record_client(&serving);
    assert!(recorded.len() > 1500, "{}", recorded.len());
    let mut state = 0x0123_4567_89ab_cdef;
    for _ in 0..TRIES {
        let bytes = spoil(&recorded, &mut state);
        let mut stream = TcpStream::connect(("127.0.0.1", serving.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        // Each may fail as soon as the server has seen enough.
        stream.write_all(&bytes).ok();
        stream.shutdown(Shutdown::Write).ok();
        stream.read_to_end(&mut Vec::new()).ok();
    }
    assert_eq!(PANICS.load(Ordering::Relaxed), 0);
    assert_eq!(serving.host.began.lock().unwrap().len(), 1, "nobody logs in by what others sent");
    assert_eq!(succeed(&serving.run("echo $JOB")), "build\n");
}
