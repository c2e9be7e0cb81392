//! A client of SSH sends anything before it has logged in: nothing panics, and nobody gets in.
//!
//! The first byte says how the rest is sent: as it is, or as the payloads of packets with a right
//! length and padding, each with two bytes for its own length, which gets behind the framing.
#![no_main]

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, OnceLock};

use libfuzzer_sys::fuzz_target;
use russet_ssh_server::{Connection, Host, HostKey, PersonKeys, Settings, SshServer, Started};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Bytes between the two ends.
const PIPE_BYTES: usize = 256 * 1024;

/// Line with which every client begins.
const VERSION: &[u8] = b"SSH-2.0-client\r\n";

struct Nobody;

impl Host for Nobody {
    fn spawn(&self, _: &mut Command) -> io::Result<Started> {
        panic!("a program starts, and nobody has logged in");
    }

    fn environment(&self, _: bool) -> Vec<(OsString, OsString)> {
        Vec::new()
    }

    fn directory(&self) -> PathBuf {
        "/".into()
    }

    fn shell(&self) -> PathBuf {
        "/bin/false".into()
    }

    fn greeting(&self) -> String {
        String::new()
    }

    fn began(&self, _: &Connection) {
        panic!("somebody has logged in");
    }

    fn ended(&self, _: &Connection) {}
}

/// A server whose one key is nobody's: its private part was never kept.
fn server() -> SshServer {
    static SERVER: OnceLock<SshServer> = OnceLock::new();
    let make = || {
        let person = HostKey::generate().expect("a key").public_line().expect("a line");
        let keys = PersonKeys::parse(&[person]).expect("a public key");
        let settings = Settings::new("slot", keys, HostKey::generate().expect("a key"));
        SshServer::new(settings, Arc::new(Nobody))
    };
    SERVER.get_or_init(make).clone()
}

/// Packets with these payloads (RFC 4253, section 6), before anything is encrypted.
fn packets(mut rest: &[u8]) -> Vec<u8> {
    let mut sent = Vec::new();
    while let [high, low, after @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(after.len());
        let (payload, following) = after.split_at(length);
        let mut padding = 8 - (5 + payload.len()) % 8;
        if padding < 4 {
            padding += 8;
        }
        let whole = u32::try_from(1 + payload.len() + padding).expect("it fits");
        sent.extend_from_slice(&whole.to_be_bytes());
        sent.push(u8::try_from(padding).expect("it fits"));
        sent.extend_from_slice(payload);
        sent.resize(sent.len() + padding, 0);
        rest = following;
    }
    sent
}

async fn talk(bytes: Vec<u8>) {
    let (mut client, near) = tokio::io::duplex(PIPE_BYTES);
    let server = server();
    let serving = server.serve(near, "fuzz".to_owned());
    let talking = async {
        // The server may have seen enough, and hung up.
        let _sent = client.write_all(&bytes).await;
        let _said = client.shutdown().await;
        let _read = client.read_to_end(&mut Vec::new()).await;
    };
    tokio::join!(serving, talking);
}

fuzz_target!(|data: &[u8]| {
    let Some((how, rest)) = data.split_first() else { return };
    let bytes = match how % 2 {
        0 => rest.to_vec(),
        _ => [VERSION, &packets(rest)].concat(),
    };
    // Its end ends what the server has left running.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(talk(bytes));
});
