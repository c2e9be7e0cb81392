//! Files by SFTP (draft-ietf-secsh-filexfer-02, version 3), with the extensions that OpenSSH's clients
//! use (PROTOCOL of OpenSSH).
//!
//! It runs within the task agent, which is the slot's user: the kernel says what may be opened, as
//! for everything that the person's shell does. Every call is made on a thread for such calls, so that
//! a slow disk does not stop anything else.

mod attributes;
mod extensions;
mod files;
mod handler;
mod handles;
mod paths;
mod reply;

use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex};

use crate::session::{Host, Inbox, Output, Program};
use files::Files;

/// Bytes of answers on their way to the client.
const ANSWER_BYTES: usize = 256 * 1024;

/// Bytes of the largest packet that a client may send, as OpenSSH's server has it.
const MAX_PACKET_BYTES: u32 = 256 * 1024;

/// Both directions of a channel, as one stream.
#[derive(Debug)]
struct Requests {
    input: Inbox,
    answers: DuplexStream,
}

impl AsyncRead for Requests {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.input).poll_read(cx, buf)
    }
}

impl AsyncWrite for Requests {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.answers).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.answers).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.answers).poll_shutdown(cx)
    }
}

/// Serves files on a channel.
pub(crate) fn start_sftp(host: &dyn Host, input: Inbox, output: Output) -> Program {
    let variables = host.environment(false);
    let home = variables.into_iter().find(|(name, _)| name == "HOME");
    let files = Files::new(host.directory(), home.map(|(_, home)| PathBuf::from(home)));
    let (answers, outgoing) = duplex(ANSWER_BYTES);
    let task = tokio::spawn(async move {
        let config = russh_sftp::server::Config { max_client_packet_len: MAX_PACKET_BYTES };
        // It lives in a task of its own, until the client's input ends.
        let requests = Requests { input, answers };
        russh_sftp::server::run_with_config(requests, files, config).await;
        if !output.send_all(outgoing).await {
            return;
        }
        output.finish(Some(std::process::ExitStatus::default())).await;
    });
    Program::internal(task)
}
