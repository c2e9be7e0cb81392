//! The one who does something, for the control plane to note.

/// Option with the name of the one who does something.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct PersonArgs {
    /// Your name, which is kept and shown with it [default: the name of the user here]
    #[arg(long = "as", env = "RUSSET_AS", hide_env_values = true, value_name = "NAME")]
    name: Option<String>,
}

impl PersonArgs {
    /// Returns the name.
    pub(crate) fn name(&self) -> String {
        self.name.clone().unwrap_or_else(login_name)
    }
}

/// Returns the name of the user of this process, and the number where it has none.
pub(crate) fn login_name() -> String {
    let id = nix::unistd::getuid();
    nix::unistd::User::from_uid(id)
        .ok()
        .flatten()
        .map_or_else(|| format!("user {id}"), |user| user.name)
}
