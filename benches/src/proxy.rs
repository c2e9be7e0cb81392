//! A proxy on loopback between agents and a server, which counts the requests that pass.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// End of the first line of a request.
const MARK: &[u8] = b" HTTP/1.1\r\n";

/// Starts the proxy and returns its URL. Every request adds one to `requests`.
pub(crate) async fn count_requests(url: &str, requests: Arc<AtomicU64>) -> Result<String> {
    let target = url.strip_prefix("http://").context("the server is not on http")?.to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(pass_on(stream, target.clone(), Arc::clone(&requests)));
        }
    });
    Ok(format!("http://{address}"))
}

async fn pass_on(client: TcpStream, target: String, requests: Arc<AtomicU64>) -> Result<()> {
    let server = TcpStream::connect(target).await?;
    for stream in [&client, &server] {
        stream.set_nodelay(true)?;
    }
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let back = tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
    let mut buffer = [0; 8192];
    let mut seen = Vec::new();
    loop {
        let count = from_client.read(&mut buffer).await?;
        if count == 0 {
            break;
        }
        seen.extend_from_slice(&buffer[..count]);
        requests.fetch_add(marks_in(&seen), Ordering::Relaxed);
        // A mark that is cut in two is found with what follows.
        seen.drain(..seen.len().saturating_sub(MARK.len() - 1));
        to_server.write_all(&buffer[..count]).await?;
    }
    back.abort();
    Ok(())
}

/// Number of requests that begin in `bytes`, where no body looks like one.
fn marks_in(bytes: &[u8]) -> u64 {
    bytes.windows(MARK.len()).filter(|window| *window == MARK).count() as u64
}

#[cfg(test)]
mod tests {
    use super::marks_in;

    #[test]
    fn requests_are_counted_by_their_first_lines() {
        assert_eq!(marks_in(b"POST /a HTTP/1.1\r\nHost: x\r\n\r\n{}GET /b HTTP/1.1\r\n\r\n"), 2);
        assert_eq!(marks_in(b"HTTP/1.1 200 OK\r\n"), 0);
    }
}
