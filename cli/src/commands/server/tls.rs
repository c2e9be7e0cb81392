//! The options of the server's own TLS.

use std::path::PathBuf;
use std::time::Duration;

use russet_control_plane::{CertificateLooks, TlsFiles};
use tokio::signal::unix::{SignalKind, signal};

use crate::commands::values;
use crate::error::{CliError, Result};

/// Certificate of a server's own.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct TlsArgs {
    /// Certificate with its chain, in PEM: the server speaks HTTPS. Taken up again when it is
    /// renewed, and at SIGHUP
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,

    /// Private key of the certificate, in PEM; nobody else may read it
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,

    /// Tell browsers to come over HTTPS alone for this time, such as 365d
    /// (Strict-Transport-Security) [default: they are not told]
    #[arg(long, value_name = "TIME", requires = "tls_cert", value_parser = values::parse_duration)]
    tls_hsts: Option<Duration>,

    /// Interval of looks at both files
    #[arg(long, value_name = "TIME", requires = "tls_cert", hide = true, value_parser = values::parse_duration)]
    tls_interval: Option<Duration>,
}

impl TlsArgs {
    /// Returns the files; `None`: plain HTTP.
    pub(super) fn files(&self) -> Option<TlsFiles> {
        let (certificate, key) = self.tls_cert.clone().zip(self.tls_key.clone())?;
        let interval = self.tls_interval.unwrap_or(TlsFiles::DEFAULT_INTERVAL);
        Some(TlsFiles { certificate, key, interval, hsts: self.tls_hsts })
    }
}

/// Has the server look at its certificate at each SIGHUP. Without one, the signal ends the server
/// as it does any program.
pub(super) fn look_at_hangups(looks: Option<CertificateLooks>) -> Result<()> {
    let Some(looks) = looks else { return Ok(()) };
    let mut hangup = signal(SignalKind::hangup())
        .map_err(|error| CliError::local("could not listen for signals", error))?;
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            tracing::info!("SIGHUP: looking at the files of the certificate");
            looks.look_again();
        }
    });
    Ok(())
}
