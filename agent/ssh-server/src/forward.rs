//! Forwarding of ports and of the person's SSH agent, each only where the machine's owner allows it by
//! name. X11 never is.
//!
//! Everything is dialled and listened at by this process, which is the slot's user: the kernel lets
//! the person reach no more than their shell does.

use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use russh::server::{ChannelOpenHandle, Handle, Msg};
use russh::{Channel, ChannelMsg, ChannelOpenFailure};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

use crate::gate::Gate;
use crate::session::{Inbox, Output, inbox};

/// Timeout of a connection that a person asks for.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Ports that a connection may listen at.
const MAX_LISTENERS: usize = 16;

/// Connections through forwarded ports and sockets of one connection.
const MAX_FORWARDED: usize = 64;

/// Pause after a failure to accept.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// Destination of a connection that a person asks for.
#[derive(Debug)]
pub(crate) enum Destination {
    Port(String, u16),
    Socket(PathBuf),
}

/// Connects, accepts the channel, and passes bytes until both sides are done.
pub(crate) async fn dial(
    destination: Destination,
    reply: ChannelOpenHandle,
    input: Inbox,
    output: Output,
) {
    let connected = match destination {
        Destination::Port(host, port) => {
            let connecting = TcpStream::connect((host.as_str(), port));
            timeout(CONNECT_TIMEOUT, connecting).await.map(|stream| stream.map(Stream::Port))
        }
        Destination::Socket(path) => {
            let connecting = UnixStream::connect(path);
            timeout(CONNECT_TIMEOUT, connecting).await.map(|stream| stream.map(Stream::Socket))
        }
    };
    match connected {
        Ok(Ok(stream)) => {
            reply.accept().await;
            match stream {
                Stream::Port(stream) => pass_bytes(stream, input, &output).await,
                Stream::Socket(stream) => pass_bytes(stream, input, &output).await,
            }
        }
        _ => reply.reject(ChannelOpenFailure::ConnectFailed).await,
    }
}

#[derive(Debug)]
enum Stream {
    Port(TcpStream),
    Socket(UnixStream),
}

/// Passes bytes both ways; one side that has nothing more to say may still listen.
async fn pass_bytes<S>(stream: S, mut input: Inbox, output: &Output)
where
    S: AsyncRead + AsyncWrite,
{
    let (mut reader, mut writer) = tokio::io::split(stream);
    let up = async {
        while let Some(piece) = input.next().await {
            if writer.write_all(&piece).await.is_err() {
                return;
            }
        }
        // It may have gone first.
        drop(writer.shutdown().await);
    };
    let down = async {
        if output.send_all(&mut reader).await {
            output.end().await;
        }
    };
    tokio::join!(up, down);
    output.close().await;
}

/// Listeners of a connection, which end with it.
#[derive(Debug, Default)]
pub(crate) struct Listeners {
    ports: HashMap<(String, u32), AbortHandle>,
    agent: Option<PathBuf>,
    running: JoinSet<()>,
}

impl Listeners {
    /// Listens at a port of loopback, whatever address is asked for: no other machine is to reach what
    /// a person opens here.
    pub(crate) async fn listen(
        &mut self,
        address: &str,
        port: u32,
        handle: Handle,
        gate: &Arc<Gate>,
    ) -> io::Result<u32> {
        if self.ports.len() >= MAX_LISTENERS {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        let wanted = u16::try_from(port).map_err(|_| io::ErrorKind::InvalidInput)?;
        let listener = TcpListener::bind(("127.0.0.1", wanted)).await?;
        let bound = u32::from(listener.local_addr()?.port());
        let (address, gate) = (address.to_owned(), Arc::clone(gate));
        let key = (address.clone(), bound);
        let open = move |(stream, from): (TcpStream, SocketAddr)| {
            let (handle, address, gate) = (handle.clone(), address.clone(), Arc::clone(&gate));
            async move {
                let (ip, port) = (from.ip().to_string(), u32::from(from.port()));
                let opened = handle.channel_open_forwarded_tcpip(address, bound, ip, port).await;
                serve_opened(opened, stream, handle, &gate).await;
            }
        };
        let accepting = accept_all(move |cx| listener.poll_accept(cx), open);
        self.ports.insert(key, self.running.spawn(accepting));
        Ok(bound)
    }

    /// Ends a listener. Returns false if there is none.
    pub(crate) fn stop(&mut self, address: &str, port: u32) -> bool {
        let listener = self.ports.remove(&(address.to_owned(), port));
        listener.inspect(AbortHandle::abort).is_some()
    }

    /// Returns the socket through which programs reach the person's agent.
    pub(crate) fn agent_socket(
        &mut self,
        directory: &Path,
        name: &str,
        handle: Handle,
        gate: &Arc<Gate>,
    ) -> io::Result<PathBuf> {
        if let Some(path) = &self.agent {
            return Ok(path.clone());
        }
        let path = directory.join(name);
        let listener = UnixListener::bind(&path)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        let gate = Arc::clone(gate);
        let open = move |(stream, _)| {
            let (handle, gate) = (handle.clone(), Arc::clone(&gate));
            async move {
                let opened = handle.channel_open_agent().await;
                serve_opened(opened, stream, handle, &gate).await;
            }
        };
        self.running.spawn(accept_all(move |cx| listener.poll_accept(cx), open));
        self.agent = Some(path.clone());
        Ok(path)
    }
}

impl Drop for Listeners {
    fn drop(&mut self) {
        if let Some(path) = &self.agent {
            // It goes with the task's directories at the latest.
            drop(std::fs::remove_file(path));
        }
    }
}

/// Serves those who connect, up to [`MAX_FORWARDED`] at once, until it is dropped.
async fn accept_all<T, F>(
    mut poll_accept: impl FnMut(&mut Context<'_>) -> Poll<io::Result<T>>,
    serve: impl Fn(T) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let mut people = JoinSet::new();
    loop {
        while people.try_join_next().is_some() {}
        if people.len() >= MAX_FORWARDED {
            people.join_next().await;
        }
        match poll_fn(&mut poll_accept).await {
            Ok(accepted) => drop(people.spawn(serve(accepted))),
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

/// Passes bytes between what connected here and a channel that the client was asked to open.
async fn serve_opened(
    opened: Result<Channel<Msg>, russh::Error>,
    stream: impl AsyncRead + AsyncWrite,
    handle: Handle,
    gate: &Arc<Gate>,
) {
    let Ok(channel) = opened else { return };
    let (mut reader, writer) = channel.split();
    let output = Output::new(writer, handle, Arc::clone(gate));
    let (sender, input) = inbox(gate);
    // Always on the way to the inbox: russh's own queue would hold everything else up.
    let filling = async move {
        let mut sender = Some(sender);
        while let Some(message) = reader.wait().await {
            match message {
                ChannelMsg::Data { data } => {
                    if let Some(sender) = &sender {
                        sender.push(&data);
                    }
                }
                ChannelMsg::Eof => sender = None,
                ChannelMsg::Close => return,
                _ => {}
            }
        }
    };
    tokio::select! {
        () = pass_bytes(stream, input, &output) => {}
        () = filling => {}
    }
}
