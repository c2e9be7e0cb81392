//! `russet ssh-key`: one's own public keys, with which one reaches tasks that are rerun with SSH.

use std::path::{Path, PathBuf};

use russet_protocol::ssh::{NewPersonalKey, PersonalKeyItem};

use super::OutputArgs;
use crate::client::ConnectionArgs;
use crate::error::{CliError, Result};
use crate::exit::Exit;
use crate::render::{self, Format, plain, table::Table};

/// The longest file of a public key, in bytes.
const MAX_BYTES: u64 = 64 * 1024;

/// Manage your own public SSH keys, for reruns with SSH
///
/// Deploy keys of projects are another thing: `russet project ssh-key`.
#[derive(clap::Subcommand, Debug)]
pub(crate) enum SshKeyCommand {
    /// Keep a public key: ed25519, ecdsa, of a security key, or rsa of 3072 bits and more
    #[command(after_help = "Examples:
  russet ssh-key add
  russet ssh-key add ~/.ssh/id_ed25519.pub --name laptop")]
    Add {
        /// File of the public key [default: the one that is there as ~/.ssh/id_*.pub]
        file: Option<PathBuf>,
        /// Name of it in lists [default: the comment of the key]
        #[arg(long, default_value = "", hide_default_value = true)]
        name: String,
        #[command(flatten)]
        output: OutputArgs,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// List your public keys
    List {
        #[command(flatten)]
        output: OutputArgs,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// Remove a public key; tasks that it may log in to already stay open to it
    Remove {
        /// Its id, name or fingerprint, as `russet ssh-key list` shows them
        key: String,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
}

/// Runs the command.
pub(crate) async fn main(command: SshKeyCommand) -> Result<Exit> {
    match command {
        SshKeyCommand::Add { file, name, output, connection } => {
            let file = file.map_or_else(find_default, Ok)?;
            let key = read_public_key(&file)?;
            let client = connection.connect()?;
            let added = client.add_own_ssh_key(&NewPersonalKey { key, name }).await?;
            match output.output {
                Format::Json => render::print_json(&added)?,
                Format::Text => render::print_line(format_args!(
                    "Keeps {} ({}).",
                    plain(&added.fingerprint),
                    plain(&added.name)
                ))?,
            }
        }
        SshKeyCommand::List { output, connection } => {
            let items = connection.connect()?.own_ssh_keys().await?;
            match output.output {
                Format::Json => render::print_json(&items)?,
                Format::Text => render::print_text(&keys_table(items))?,
            }
        }
        SshKeyCommand::Remove { key, connection } => {
            let client = connection.connect()?;
            let item = find_key(client.own_ssh_keys().await?, &key)?;
            client.remove_own_ssh_key(item.id.as_str()).await?;
            render::print_line(format_args!("Removed {}.", plain(&item.fingerprint)))?;
        }
    }
    Ok(Exit::Success)
}

/// Finds the key that an id, a name or a fingerprint is of.
fn find_key(items: Vec<PersonalKeyItem>, named: &str) -> Result<PersonalKeyItem> {
    let is_it =
        |item: &PersonalKeyItem| [item.id.as_str(), &item.fingerprint, &item.name].contains(&named);
    let mut found: Vec<PersonalKeyItem> = items.into_iter().filter(is_it).collect();
    match (found.pop(), found.is_empty()) {
        (Some(item), true) => Ok(item),
        (Some(_), false) => {
            let message = format!("several keys have the name `{}`", plain(named));
            Err(CliError::new(Exit::Usage, message).hint("name it by its id or fingerprint"))
        }
        (None, _) => {
            let message = format!("you have no key `{}`", plain(named));
            Err(CliError::new(Exit::ControlPlane, message)
                .hint("`russet ssh-key list` shows those that you have"))
        }
    }
}

fn keys_table(items: Vec<PersonalKeyItem>) -> String {
    let mut table = Table::new(&["ID", "NAME", "TYPE", "FINGERPRINT", "ADDED"]);
    for item in items {
        let kind = item.key.split(' ').next().unwrap_or_default().to_owned();
        table.row([item.id.to_string(), item.name, kind, item.fingerprint, item.created_at]);
    }
    table.render("No keys. `russet ssh-key add` keeps one.")
}

/// Reads the file of a public key. The control plane judges its type and length.
///
/// # Errors
///
/// It cannot be read, or is a private key: that is not sent anywhere.
pub(super) fn read_public_key(file: &Path) -> Result<String> {
    use std::io::Read as _;
    let failed = |error: std::io::Error| {
        CliError::new(Exit::Usage, format!("could not read {}: {error}", file.display()))
    };
    let mut text = String::new();
    let opened = std::fs::File::open(file).map_err(failed)?;
    opened.take(MAX_BYTES).read_to_string(&mut text).map_err(failed)?;
    if text.contains("PRIVATE KEY") {
        let message = format!("{} is a private key, which nobody else may have", file.display());
        let public = format!("{}.pub", file.display());
        return Err(CliError::new(Exit::Usage, message).hint(format!("try {public}")));
    }
    let mut lines =
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    match (lines.next(), lines.next()) {
        (Some(line), None) => Ok(line.to_owned()),
        _ => {
            let message = format!("{} is not a file with one public key", file.display());
            Err(CliError::new(Exit::Usage, message)
                .hint("`ssh-keygen -t ed25519` makes a key; its public part is in the file ending in .pub"))
        }
    }
}

/// Returns the one public key of the user.
fn find_default() -> Result<PathBuf> {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    choose_default(&home.join(".ssh"))
}

fn choose_default(dir: &Path) -> Result<PathBuf> {
    let is_public = |path: &PathBuf| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        name.is_some_and(|name| {
            name.starts_with("id_") && name.ends_with(".pub") && !name.ends_with("-cert.pub")
        })
    };
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(is_public).collect();
    found.sort();
    match found.as_slice() {
        [only] => Ok(only.clone()),
        [] => Err(CliError::new(
            Exit::Usage,
            format!("there is no public key {}/id_*.pub", dir.display()),
        )
        .hint("`ssh-keygen -t ed25519` makes one; or name the file of yours")),
        several => {
            let names: Vec<String> =
                several.iter().map(|path| path.display().to_string()).collect();
            Err(CliError::new(
                Exit::Usage,
                format!("there are several public keys: {}", names.join(", ")),
            )
            .hint("name the one that you mean"))
        }
    }
}

#[cfg(test)]
mod tests {
    use russet_protocol::ssh::PersonalKeyItem;

    use super::{choose_default, find_key, read_public_key};

    #[test]
    fn the_key_of_the_user_is_taken_where_there_is_just_one() {
        let temp = tempfile::tempdir().unwrap();
        let write =
            |name: &str| std::fs::write(temp.path().join(name), "ssh-ed25519 AAAA me\n").unwrap();
        assert!(choose_default(temp.path()).is_err());
        for name in ["id_ed25519", "id_ed25519.pub", "id_ed25519-cert.pub", "known_hosts"] {
            write(name);
        }
        assert!(choose_default(temp.path()).unwrap().ends_with("id_ed25519.pub"));
        write("id_rsa.pub");
        let error = choose_default(temp.path()).unwrap_err();
        assert!(
            error.message().contains("id_ed25519.pub") && error.message().contains("id_rsa.pub")
        );
    }

    #[test]
    fn a_private_key_is_never_sent_and_a_file_with_several_keys_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        let read = |text: &str| {
            let file = temp.path().join("id_x");
            std::fs::write(&file, text).unwrap();
            read_public_key(&file)
        };
        assert_eq!(read("# mine\nssh-ed25519 AAAA me\n").unwrap(), "ssh-ed25519 AAAA me");
        let error = read("-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0\n").unwrap_err();
        assert!(error.message().contains("private key") && !error.message().contains("c2VjcmV0"));
        assert!(error.hint_text().unwrap().contains("id_x.pub"));
        assert!(read("ssh-ed25519 AAAA a\nssh-ed25519 BBBB b\n").is_err() && read("").is_err());
    }

    #[test]
    fn a_key_is_named_by_its_id_its_fingerprint_or_its_name_where_that_is_one() {
        let item = |id: &str, name: &str| PersonalKeyItem {
            id: id.into(),
            name: name.to_owned(),
            key: String::new(),
            fingerprint: format!("SHA256:{id}"),
            created_at: String::new(),
        };
        let items = || vec![item("1", "laptop"), item("2", "desk"), item("3", "desk")];
        for (named, id) in [("2", "2"), ("SHA256:3", "3"), ("laptop", "1")] {
            assert_eq!(find_key(items(), named).unwrap().id.as_str(), id);
        }
        assert!(find_key(items(), "desk").is_err() && find_key(items(), "").is_err());
    }
}
