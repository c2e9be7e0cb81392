//! The options about Git remotes of projects.

use russet_control_plane::{GitSettings, ProxyRange};

use crate::commands::values;

/// Git remotes.
#[derive(clap::Args, Debug)]
pub(super) struct GitArgs {
    /// Loopback, link-local or metadata address, or range of them, at which Git remotes of projects may
    /// be; may be repeated [default: none, while all other addresses are allowed]
    #[arg(long, value_name = "ADDRESS[/BITS]")]
    allow_git_to: Vec<ProxyRange>,

    /// Let projects have Git remotes over plain http, where tokens and code can be read on the way
    #[arg(long)]
    allow_git_http: bool,

    /// Let projects have repositories of this machine as `file://` remotes: whoever may connect a project
    /// then reads every repository that this server's user may
    #[arg(long)]
    allow_git_file: bool,

    /// Size that the files of a commit, and the mirror of a project, may have
    #[arg(long, value_name = "SIZE", default_value = "4GB", value_parser = values::parse_size)]
    git_size_limit: u64,
}

impl GitArgs {
    /// Returns the settings that they stand for.
    pub(super) fn into_settings(self) -> GitSettings {
        GitSettings {
            allow_http: self.allow_git_http,
            allow_file: self.allow_git_file,
            allow_to: self.allow_git_to,
            max_bytes: self.git_size_limit,
            ..GitSettings::default()
        }
    }
}
