//! Messages between the servers of a database: NOTIFY and LISTEN.
//!
//! NOTIFY takes a lock of the whole database until its transaction has ended. So no transaction that
//! does work sends any: one session of each server does, with whatever has come together meanwhile,
//! and its commits wait for no disk.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use sqlx::{ConnectOptions as _, PgConnection, PgPool};
use tokio::time::timeout;

/// Name of the channel.
const CHANNEL: &str = "russet";

/// Sends messages, in one transaction.
const TELL: &str = "SELECT pg_notify($1, message) FROM unnest($2::text[]) AS message";

/// Silence after which the session that listens is asked whether it is still there.
const SILENCE: Duration = Duration::from_secs(30);

/// Longest answer to that, and longest sending of messages.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Sends messages.
#[derive(Debug)]
pub(crate) struct Teller {
    options: PgConnectOptions,
    session: Option<PgConnection>,
}

impl Teller {
    pub(super) fn new(options: PgConnectOptions) -> Self {
        let options = options.options([("synchronous_commit", "off")]);
        Self { options, session: None }
    }

    /// Sends messages to all servers, this one too. After an error they may have been sent or not;
    /// the next ones go through a new session.
    pub(crate) async fn tell(&mut self, messages: &[String]) -> Result<(), sqlx::Error> {
        let mut session = match self.session.take() {
            Some(session) => session,
            None => self.options.connect().await?,
        };
        let sent = sqlx::query(TELL).bind(CHANNEL).bind(messages).execute(&mut session);
        timeout(ANSWER_TIMEOUT, sent).await.map_err(|_| sqlx::Error::PoolTimedOut)??;
        self.session = Some(session);
        Ok(())
    }
}

/// Something that a [`Channel`] hears.
#[derive(Debug)]
pub(crate) enum Heard {
    /// It listens from now on. What was sent before has not been heard.
    Begin,
    Message(String),
}

/// Hears messages.
pub(crate) struct Channel {
    pool: PgPool,
    listener: Option<PgListener>,
}

impl std::fmt::Debug for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Channel").finish_non_exhaustive()
    }
}

impl Channel {
    pub(super) fn new(options: &PgConnectOptions) -> Self {
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .max_lifetime(None)
            .idle_timeout(None)
            .connect_lazy_with(options.clone());
        Self { pool, listener: None }
    }

    /// Returns the next message, after the beginning of each session. An error says that the session
    /// ended, and that messages may have been missed; the next call opens another one.
    pub(crate) async fn hear(&mut self) -> Result<Heard, sqlx::Error> {
        let Some(mut listener) = self.listener.take() else {
            let mut listener = PgListener::connect_with(&self.pool).await?;
            listener.eager_reconnect(false);
            listener.listen(CHANNEL).await?;
            self.listener = Some(listener);
            return Ok(Heard::Begin);
        };
        loop {
            match timeout(SILENCE, listener.try_recv()).await {
                Ok(Ok(Some(message))) => {
                    self.listener = Some(listener);
                    return Ok(Heard::Message(message.payload().to_owned()));
                }
                Ok(Ok(None)) => return Err(sqlx::Error::WorkerCrashed),
                Ok(Err(error)) => return Err(error),
                Err(_) => {
                    let answer = timeout(ANSWER_TIMEOUT, ping(&mut listener)).await;
                    answer.map_err(|_| sqlx::Error::PoolTimedOut)??;
                }
            }
        }
    }
}

async fn ping(listener: &mut PgListener) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT 1").execute(listener).await?;
    Ok(())
}
