//! Reasons why a control plane does not start, or ends.

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::tls::TlsError;

/// Reason why a control plane ended that nobody asked to.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A newer version has made the database unusable for this one.
    #[error(
        "a newer version brought the database to a state that servers below schema {needed} cannot \
         use, and this one knows {known}"
    )]
    TooNew {
        /// Lowest schema that a server has to know.
        needed: i64,
        /// Highest that this one does.
        known: i64,
    },
    /// A part of it ended, which is a fault of it.
    #[error("the part that deals with the other servers ended")]
    Broken,
}

/// Reason why a control plane did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory cannot be used.
    #[error("cannot use the data directory {0}")]
    DataDir(PathBuf, #[source] Box<dyn Error + Send + Sync>),
    /// The database cannot be used.
    #[error("cannot use the database {0}")]
    Database(String, #[source] Box<dyn Error + Send + Sync>),
    /// The bucket of the objects cannot be used.
    #[error("cannot use {0} for objects")]
    Objects(String, #[source] Box<dyn Error + Send + Sync>),
    /// The provider of OpenID Connect cannot be used.
    #[error("cannot use the provider of OpenID Connect")]
    Oidc(#[source] Box<dyn Error + Send + Sync>),
    /// Traces cannot be sent.
    #[error("cannot send traces to {0}")]
    Traces(String, #[source] Box<dyn Error + Send + Sync>),
    /// The address cannot be listened on.
    #[error("cannot listen on {0}")]
    Listen(SocketAddr, #[source] std::io::Error),
    /// The certificate or its key cannot be used.
    #[error("cannot set up TLS")]
    Tls(#[from] TlsError),
}
