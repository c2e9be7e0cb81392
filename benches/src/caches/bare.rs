//! The least that stores an archive and gives it back: what the bare tools are measured with when
//! they do as much as a runner.

use std::fs::File;
use std::net::TcpListener;
use std::path::Path;

use anyhow::Result;

/// A program that stores what it is sent, as little as one can be. Its port.
pub(super) fn store(path: &Path) -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let (port, path) = (listener.local_addr()?.port(), path.to_owned());
    std::thread::spawn(move || {
        for sender in listener.incoming().flatten() {
            File::create(&path).and_then(|mut file| std::io::copy(&mut &sender, &mut file)).ok();
        }
    });
    Ok(port)
}

/// One that sends what was stored.
pub(super) fn serve(path: &Path) -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let (port, path) = (listener.local_addr()?.port(), path.to_owned());
    std::thread::spawn(move || {
        for reader in listener.incoming().flatten() {
            File::open(&path).and_then(|mut file| std::io::copy(&mut file, &mut &reader)).ok();
        }
    });
    Ok(port)
}
