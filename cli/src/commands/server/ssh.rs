//! The options about reruns with SSH.

use std::time::Duration;

use russet_control_plane::SshHold;

use crate::commands::values;
use crate::error::{CliError, Result};
use crate::exit::Exit;

/// Reruns with SSH.
#[derive(clap::Args, Debug)]
pub(super) struct SshArgs {
    /// Time for which a task that is rerun with SSH is held after its steps while nobody is connected
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = values::parse_duration)]
    ssh_idle: Duration,

    /// Time for which it is held in all, unless somebody extends it
    #[arg(long, value_name = "TIME", default_value = "2h", value_parser = values::parse_duration)]
    ssh_longest: Duration,

    /// Address at which the other servers of the database reach this one, such as
    /// `http://10.0.0.7:8080`: a person at one of them gets into a task whose agent waits at another
    /// [default: they do not]
    #[arg(long, value_name = "URL")]
    peer_url: Option<String>,
}

impl SshArgs {
    /// Returns the times of a hold.
    pub(super) fn hold(&self) -> SshHold {
        SshHold { idle: self.ssh_idle, longest: self.ssh_longest }
    }

    /// Returns the address for other servers.
    ///
    /// # Errors
    ///
    /// It is not an address of HTTP.
    pub(super) fn peer_url(&self) -> Result<Option<String>> {
        match &self.peer_url {
            Some(url) if !url.starts_with("http://") && !url.starts_with("https://") => {
                let message = format!("--peer-url: `{url}` has to begin with http:// or https://");
                Err(CliError::new(Exit::Usage, message))
            }
            url => Ok(url.clone()),
        }
    }
}
