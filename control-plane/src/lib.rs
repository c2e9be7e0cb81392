//! The control plane: takes pipelines, queues tasks, leases them to runners, keeps what they
//! send.
//!
//! One process on SQLite and a directory. [`Server::start`] opens both, brings the schema up to
//! date and listens; [`Server::run`] serves until it is told to stop. It may be killed at any
//! moment: what it has acknowledged is stored.

mod server;

pub use server::{RunError, Server, Settings, StartError};
