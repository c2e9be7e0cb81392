//! One connection: who may log in, and what may be asked for.

use std::collections::HashMap;
use std::ffi::OsString;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use russh::keys::Algorithm;
use russh::server::{
    Auth, ChannelOpenHandle, Handle, Handler, Msg, PublicKeyOffer, Session, VerifiedPublicKey,
};
use russh::{Channel, ChannelId, ChannelOpenFailure, Pty, Sig};
use tokio::runtime::Handle as Runtime;
use tokio::sync::watch;

use crate::config::Settings;
use crate::forward::{Destination, Listeners, dial};
use crate::gate::Gate;
use crate::session::{
    Host, InboxSender, Output, Program, Size, TerminalRequest, inbox, on_terminal, start_program,
};
use crate::sftp;

/// Channels of a connection at once.
const MAX_CHANNELS: usize = 32;

/// Variables that a client may set, besides `TERM` by its terminal: its language, and what its
/// terminal can do.
const ACCEPTED_VARIABLES: [&str; 3] = ["LANG", "LANGUAGE", "COLORTERM"];

/// Bytes of a variable that a client sets.
const MAX_VARIABLE_BYTES: usize = 1024;

/// Variables that a client sets on a channel.
const MAX_VARIABLES: usize = 32;

/// A channel with what was asked for, and its program once it runs.
struct Open {
    output: Output,
    variables: Vec<(String, String)>,
    terminal: Option<TerminalRequest>,
    input: Option<InboxSender>,
    program: Option<Program>,
}

impl Open {
    fn new(output: Output) -> Self {
        Self { output, variables: Vec::new(), terminal: None, input: None, program: None }
    }
}

/// Channels of a connection, shared with who tells its person something.
pub(crate) struct Channels {
    open: Mutex<HashMap<ChannelId, Open>>,
    /// Of the connection: whoever tells its person something may be on another thread.
    runtime: Runtime,
}

impl std::fmt::Debug for Channels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Channels({})", self.lock().len())
    }
}

impl Channels {
    /// Of a connection of this runtime.
    pub(crate) fn new() -> Self {
        Self { open: Mutex::default(), runtime: Runtime::current() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ChannelId, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_full(&self) -> bool {
        self.lock().len() >= MAX_CHANNELS
    }

    /// Shows a line on each terminal. Who does not read his gets it when he does.
    pub(crate) fn tell(&self, line: &str) {
        let text = on_terminal(&format!("\n*** {line} ***\n"));
        for open in self.lock().values() {
            if open.program.as_ref().is_some_and(Program::has_terminal) {
                let (output, text) = (open.output.clone(), text.clone());
                self.runtime.spawn(async move { output.send(text).await });
            }
        }
    }

    /// Hangs all programs up.
    pub(crate) fn close(&self) {
        self.lock().clear();
    }
}

/// Answers a client. It ends with its connection.
pub(crate) struct Answers {
    pub(crate) settings: Arc<Settings>,
    pub(crate) host: Arc<dyn Host>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) channels: Arc<Channels>,
    pub(crate) listeners: Listeners,
    /// Number of the connection, unlike that of every other.
    pub(crate) number: u64,
    /// Told the fingerprint of the key once somebody has logged in.
    pub(crate) logged_in: watch::Sender<Option<String>>,
    /// Number of terminals that have been opened, of every connection.
    pub(crate) terminals: watch::Sender<u64>,
}

impl Drop for Answers {
    fn drop(&mut self) {
        self.channels.close();
    }
}

impl Answers {
    /// Returns the fingerprint of a key that may log in under that name.
    fn admit(
        &self,
        user: &str,
        key: &russh::keys::PublicKey,
        algorithm: &Algorithm,
    ) -> Option<String> {
        // SHA-1 (`ssh-rsa`) is not a signature any more.
        if matches!(algorithm, Algorithm::Rsa { hash: None } | Algorithm::Dsa) {
            return None;
        }
        self.settings.keys.find(key).filter(|_| user == self.settings.user)
    }

    fn start(&mut self, id: ChannelId, command: Option<&[u8]>, handle: &Handle) -> bool {
        let mut channels = self.channels.lock();
        let Some(open) = channels.get_mut(&id).filter(|open| open.program.is_none()) else {
            return false;
        };
        let mut variables: Vec<(OsString, OsString)> =
            self.host.environment(open.terminal.is_some());
        let asked = open.variables.drain(..);
        variables.extend(asked.map(|(name, value)| (name.into(), value.into())));
        if let Some(terminal) = &open.terminal {
            variables.push(("TERM".into(), terminal.kind.clone().into()));
        }
        let (sender, input) = inbox(&self.gate);
        let (terminal, output) = (open.terminal.as_ref(), open.output.clone());
        let started = start_program(&*self.host, command, variables, terminal, input, output);
        match started {
            Ok(program) => {
                open.input = Some(sender);
                open.program = Some(program);
                if open.terminal.is_some() {
                    self.terminals.send_modify(|opened| *opened += 1);
                }
                true
            }
            Err(error) => {
                tracing::warn!("a session of SSH has no program: {error}");
                let (handle, text) = (handle.clone(), format!("{error}\r\n"));
                tokio::spawn(async move { handle.extended_data(id, 1, text).await });
                false
            }
        }
    }

    /// Dials for a channel, where ports may be forwarded.
    async fn forward(
        &self,
        channel: Channel<Msg>,
        destination: Destination,
        reply: ChannelOpenHandle,
        handle: Handle,
    ) {
        if !self.settings.forwarding.ports {
            return reply.reject(ChannelOpenFailure::AdministrativelyProhibited).await;
        }
        if self.channels.is_full() {
            return reply.reject(ChannelOpenFailure::ResourceShortage).await;
        }
        let id = channel.id();
        let (_, writer) = channel.split();
        let output = Output::new(writer, handle, Arc::clone(&self.gate));
        let (sender, input) = inbox(&self.gate);
        let dialling = tokio::spawn(dial(destination, reply, input, output.clone()));
        let (input, program) = (Some(sender), Some(Program::internal(dialling)));
        self.channels.lock().insert(id, Open { input, program, ..Open::new(output) });
    }

    /// Makes the socket of the person's agent, and tells the channel's programs.
    fn forward_agent(&mut self, channel: ChannelId, handle: Handle) -> bool {
        let variables = self.host.environment(false);
        let directory = variables.iter().find(|(name, _)| name == "TMPDIR");
        let Some((_, directory)) = directory.filter(|_| self.settings.forwarding.agent) else {
            return false;
        };
        let name = format!(".ssh-agent-{}", self.number);
        let path = self.listeners.agent_socket(directory.as_ref(), &name, handle, &self.gate);
        let mut channels = self.channels.lock();
        match (path, channels.get_mut(&channel)) {
            (Ok(path), Some(open)) => {
                let path = path.to_string_lossy().into_owned();
                open.variables.push(("SSH_AUTH_SOCK".to_owned(), path));
                true
            }
            (Err(error), _) => {
                tracing::warn!("a person's agent cannot be forwarded: {error}");
                false
            }
            _ => false,
        }
    }
}

fn answer(session: &mut Session, id: ChannelId, is_done: bool) -> Result<(), russh::Error> {
    if is_done { session.channel_success(id) } else { session.channel_failure(id) }
}

impl Handler for Answers {
    type Error = russh::Error;

    async fn auth_publickey_offered(
        &mut self,
        user: &str,
        offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, Self::Error> {
        let admitted = self.admit(user, offer.public_key, offer.algorithm);
        Ok(if admitted.is_some() { Auth::Accept } else { Auth::reject() })
    }

    async fn auth_publickey(
        &mut self,
        user: &str,
        key: VerifiedPublicKey<'_>,
    ) -> Result<Auth, Self::Error> {
        let Some(fingerprint) = self.admit(user, key.public_key, key.algorithm) else {
            return Ok(Auth::reject());
        };
        self.logged_in.send_replace(Some(fingerprint));
        Ok(Auth::Accept)
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        if self.channels.is_full() {
            reply.reject(ChannelOpenFailure::ResourceShortage).await;
            return Ok(());
        }
        let id = channel.id();
        // Input is taken from `data` below, without russh's queue.
        let (_, writer) = channel.split();
        let output = Output::new(writer, session.handle(), Arc::clone(&self.gate));
        self.channels.lock().insert(id, Open::new(output));
        reply.accept().await;
        Ok(())
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<Msg>,
        host: &str,
        port: u32,
        _: &str,
        _: u32,
        reply: ChannelOpenHandle,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        match u16::try_from(port) {
            Ok(port) => {
                let destination = Destination::Port(host.to_owned(), port);
                self.forward(channel, destination, reply, session.handle()).await;
            }
            Err(_) => reply.reject(ChannelOpenFailure::ConnectFailed).await,
        }
        Ok(())
    }

    async fn channel_open_direct_streamlocal(
        &mut self,
        channel: Channel<Msg>,
        path: &str,
        reply: ChannelOpenHandle,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let destination = Destination::Socket(path.into());
        self.forward(channel, destination, reply, session.handle()).await;
        Ok(())
    }

    async fn agent_request(
        &mut self,
        channel: ChannelId,
        session: &mut Session,
    ) -> Result<bool, Self::Error> {
        Ok(self.forward_agent(channel, session.handle()))
    }

    async fn tcpip_forward(
        &mut self,
        address: &str,
        port: &mut u32,
        session: &mut Session,
    ) -> Result<bool, Self::Error> {
        if !self.settings.forwarding.ports {
            return Ok(false);
        }
        match self.listeners.listen(address, *port, session.handle(), &self.gate).await {
            Ok(bound) => {
                *port = bound;
                Ok(true)
            }
            Err(error) => {
                tracing::debug!("a port cannot be forwarded: {error}");
                Ok(false)
            }
        }
    }

    async fn cancel_tcpip_forward(
        &mut self,
        address: &str,
        port: u32,
        _: &mut Session,
    ) -> Result<bool, Self::Error> {
        Ok(self.listeners.stop(address, port))
    }

    async fn data(
        &mut self,
        channel: ChannelId,
        data: &[u8],
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        if let Some(input) = self.channels.lock().get(&channel).and_then(|open| open.input.as_ref())
        {
            input.push(data);
        }
        Ok(())
    }

    async fn channel_eof(
        &mut self,
        channel: ChannelId,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        if let Some(open) = self.channels.lock().get_mut(&channel) {
            open.input = None;
        }
        Ok(())
    }

    async fn channel_close(
        &mut self,
        channel: ChannelId,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        self.channels.lock().remove(&channel);
        Ok(())
    }

    async fn pty_request(
        &mut self,
        channel: ChannelId,
        term: &str,
        columns: u32,
        rows: u32,
        width: u32,
        height: u32,
        modes: &[(Pty, u32)],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let size = Size { columns, rows, width, height };
        let is_plain = term.len() <= MAX_VARIABLE_BYTES && !term.contains('\0');
        let is_done = match self.channels.lock().get_mut(&channel) {
            Some(open) if open.program.is_none() && open.terminal.is_none() && is_plain => {
                let (kind, modes) = (term.to_owned(), modes.to_vec());
                open.terminal = Some(TerminalRequest { kind, size, modes });
                true
            }
            _ => false,
        };
        answer(session, channel, is_done)
    }

    async fn env_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        value: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let is_accepted =
            ACCEPTED_VARIABLES.contains(&name) || name.strip_prefix("LC_").is_some_and(is_category);
        let is_plain = value.len() <= MAX_VARIABLE_BYTES && !value.contains('\0');
        let is_done = match self.channels.lock().get_mut(&channel) {
            Some(open) if is_accepted && is_plain && open.variables.len() < MAX_VARIABLES => {
                open.variables.push((name.to_owned(), value.to_owned()));
                true
            }
            _ => false,
        };
        answer(session, channel, is_done)
    }

    async fn shell_request(
        &mut self,
        channel: ChannelId,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let is_done = self.start(channel, None, &session.handle());
        answer(session, channel, is_done)
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        command: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let is_plain = !command.contains(&0);
        let is_done = is_plain && self.start(channel, Some(command), &session.handle());
        answer(session, channel, is_done)
    }

    async fn subsystem_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let mut is_done = false;
        if let Some(open) = self.channels.lock().get_mut(&channel)
            && name == "sftp"
            && open.program.is_none()
        {
            let (sender, input) = inbox(&self.gate);
            open.input = Some(sender);
            open.program = Some(sftp::start_sftp(&*self.host, input, open.output.clone()));
            is_done = true;
        }
        answer(session, channel, is_done)
    }

    async fn window_change_request(
        &mut self,
        channel: ChannelId,
        columns: u32,
        rows: u32,
        width: u32,
        height: u32,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let size = Size { columns, rows, width, height };
        let is_done = match self.channels.lock().get_mut(&channel) {
            Some(Open { program: Some(program), .. }) => program.resize(size),
            Some(Open { terminal: Some(terminal), .. }) => {
                terminal.size = size;
                true
            }
            _ => false,
        };
        answer(session, channel, is_done)
    }

    async fn signal(
        &mut self,
        channel: ChannelId,
        signal: Sig,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let channels = self.channels.lock();
        let program = channels.get(&channel).and_then(|open| open.program.as_ref());
        let is_done = program.is_some_and(|program| program.signal(&signal));
        drop(channels);
        answer(session, channel, is_done)
    }

    /// Threat: whoever controls the job could ask the person's display for what is typed there.
    async fn x11_request(
        &mut self,
        channel: ChannelId,
        _: bool,
        _: &str,
        _: &str,
        _: u32,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_failure(channel)
    }
}

/// Returns true for the rest of a name such as `LC_CTYPE`.
fn is_category(rest: &str) -> bool {
    !rest.is_empty()
        && rest.len() <= 32
        && rest.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
}
