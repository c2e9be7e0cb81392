//! One server for each database: signals of commits do not leave the process, and objects lie in
//! its data directory. A second server on one database would wait for ever for what the first one
//! queued, so it is refused. A session holds an advisory lock for that; it is let go when the
//! session ends, however the server does.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};

use crate::store::OpenError;

/// Key of the lock: "russet" in ASCII.
const KEY: i64 = 0x7275_7373_6574;

/// Time that the session of a server that was killed may take to end.
const PATIENCE: Duration = Duration::from_secs(5);

/// Interval of looks for the end of that session.
const RETRY_INTERVAL: Duration = Duration::from_millis(50);

/// Interval of looks at the session.
const WATCH_INTERVAL: Duration = Duration::from_secs(5);

/// Longest answer to such a look.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Looks after which another server that has the lock is taken for one that stays.
const MAX_REFUSALS: u32 = 6;

/// The database ends the session of a server whose machine is gone, in seconds.
const KEEPALIVE: [(&str, &str); 3] = [
    ("tcp_keepalives_idle", "10"),
    ("tcp_keepalives_interval", "5"),
    ("tcp_keepalives_count", "3"),
];

/// The lock, and the session that holds it.
#[derive(Clone, Debug)]
pub(super) struct SoleServer {
    options: PgConnectOptions,
    session: Arc<Mutex<PgConnection>>,
}

impl SoleServer {
    /// Takes the lock. An error says that another server has it.
    pub(super) async fn take(options: PgConnectOptions) -> Result<Self, OpenError> {
        let options = options.options(KEEPALIVE);
        let until = Instant::now() + PATIENCE;
        loop {
            match lock_session(&options).await? {
                Some(session) => {
                    return Ok(Self { options, session: Arc::new(Mutex::new(session)) });
                }
                None if Instant::now() >= until => return Err(OpenError::InUse),
                None => sleep(RETRY_INTERVAL).await,
            }
        }
    }

    /// Looks after the session: takes the lock anew where the database was restarted. Done when
    /// another server has it.
    pub(super) async fn watch(&self) {
        let mut refusals = 0;
        while refusals < MAX_REFUSALS {
            sleep(WATCH_INTERVAL).await;
            let mut session = self.session.lock().await;
            if matches!(timeout(ANSWER_TIMEOUT, session.ping()).await, Ok(Ok(()))) {
                refusals = 0;
                continue;
            }
            match lock_session(&self.options).await {
                Ok(Some(anew)) => {
                    tracing::info!("connected to the database again");
                    *session = anew;
                    refusals = 0;
                }
                Ok(None) => refusals += 1,
                Err(error) => {
                    let error = russet_text::error_chain(&error);
                    tracing::warn!(error, "the database does not answer; trying again");
                }
            }
        }
    }

    /// Lets the next server have the database at once.
    pub(super) async fn release(&self) {
        let mut session = self.session.lock().await;
        let unlocked =
            sqlx::query("SELECT pg_advisory_unlock($1)").bind(KEY).execute(&mut *session).await;
        if let Err(error) = unlocked {
            tracing::debug!(%error, "the session had ended already");
        }
    }
}

/// Opens a session that holds the lock; none where another one does.
async fn lock_session(options: &PgConnectOptions) -> Result<Option<PgConnection>, sqlx::Error> {
    let mut session = options.connect().await?;
    let is_ours: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)")
        .bind(KEY)
        .fetch_one(&mut session)
        .await?;
    Ok(is_ours.then_some(session))
}
