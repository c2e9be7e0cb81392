//! Arguments of `ssh` for a task. Pure.
//!
//! Threat: whoever is between could offer a host key of their own. The key that the task made is pinned, in a
//! file that is for this one connection: nothing is asked, nothing is learned, and no file of the person
//! counts.

use std::ffi::OsString;
use std::path::Path;

use russet_protocol::ssh::SshItem;

use super::JobSshArgs;
use crate::commands::quoted_for_shell;

/// Returns the name under which the task's host key is known.
pub(super) fn host_alias(item: &SshItem) -> String {
    format!("russet-{}", item.task)
}

/// Returns the contents of the file of known hosts.
pub(super) fn known_hosts(item: &SshItem) -> Option<String> {
    let ready = item.ready.as_ref()?;
    Some(format!("{} {}\n", host_alias(item), ready.host_key))
}

/// Reads `host:port`, as a machine's owner gives it.
pub(super) fn read_address(text: &str) -> Option<(String, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let port = port.parse().ok()?;
    (!host.is_empty() && !host.starts_with('-')).then(|| (host.to_owned(), port))
}

/// Returns the command that `ssh` runs for a connection.
pub(super) fn proxy_command(program: &Path, args: &JobSshArgs, id: &str, note: &Path) -> String {
    let (program, note) = (program.to_string_lossy(), note.to_string_lossy());
    let node = args.node.to_string();
    let mut words = vec![&*program, "job", "ssh", "--proxy", "--node", &node, "--note", &note];
    if args.tunnel {
        words.push("--tunnel");
    }
    words.push(id);
    let words: Vec<String> = words.into_iter().map(quoted_for_shell).collect();
    // `ssh` replaces what follows a percent sign.
    words.join(" ").replace('%', "%%")
}

/// Returns the arguments of `ssh`: ours, the host, and those of the person, options or a command.
pub(super) fn ssh_arguments(
    item: &SshItem,
    known_hosts: &Path,
    proxy_command: &str,
    of_person: &[OsString],
) -> Vec<OsString> {
    let alias = host_alias(item);
    let user = item.ready.as_ref().map(|ready| ready.user.clone()).unwrap_or_default();
    // Quoted for the reader of options, which splits at spaces.
    let file =
        format!("UserKnownHostsFile=\"{}\"", known_hosts.display().to_string().replace('%', "%%"));
    let options = [
        format!("HostKeyAlias={alias}"),
        file,
        "GlobalKnownHostsFile=/dev/null".to_owned(),
        "StrictHostKeyChecking=yes".to_owned(),
        "UpdateHostKeys=no".to_owned(),
        "CheckHostIP=no".to_owned(),
        "VerifyHostKeyDNS=no".to_owned(),
        // One that is shared would outlive the task.
        "ControlPath=none".to_owned(),
        format!("User={user}"),
        format!("ProxyCommand={proxy_command}"),
    ];
    let options = options.into_iter().flat_map(|option| [OsString::from("-o"), option.into()]);
    options.chain([OsString::from(alias)]).chain(of_person.iter().cloned()).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use russet_protocol::ssh::{SshItem, SshPhase, SshReady};

    use clap::Parser as _;

    use super::super::JobSshArgs;
    use super::{known_hosts, proxy_command, read_address, ssh_arguments};

    fn item() -> SshItem {
        SshItem {
            task: "0199".into(),
            node_index: 0,
            phase: SshPhase::Waiting,
            person: "anna".to_owned(),
            keys: Vec::new(),
            ready: Some(SshReady {
                host_key: "ssh-ed25519 AAAA".to_owned(),
                user: "_ci1".to_owned(),
                address: None,
            }),
            host_fingerprint: None,
            sessions: 0,
            ends_ms: None,
        }
    }

    #[test]
    fn the_host_key_is_pinned_and_the_persons_arguments_come_last() {
        assert_eq!(known_hosts(&item()).unwrap(), "russet-0199 ssh-ed25519 AAAA\n");
        let (known, of_person) = (Path::new("/tmp/a b/known"), ["-v".into(), "id".into()]);
        let all = ssh_arguments(&item(), known, "russet job ssh --proxy 0199", &of_person);
        let all: Vec<&str> = all.iter().map(|word| word.to_str().unwrap()).collect();
        for option in [
            "HostKeyAlias=russet-0199",
            "UserKnownHostsFile=\"/tmp/a b/known\"",
            "StrictHostKeyChecking=yes",
            "User=_ci1",
            "ProxyCommand=russet job ssh --proxy 0199",
        ] {
            assert!(all.windows(2).any(|pair| pair == ["-o", option]), "{option}: {all:?}");
        }
        assert_eq!(all[all.len() - 3..], ["russet-0199", "-v", "id"]);
    }

    #[test]
    fn addresses_are_a_host_and_a_port() {
        assert_eq!(read_address("[::1]:22"), Some(("::1".to_owned(), 22)));
        assert_eq!(read_address("mini.local:2222"), Some(("mini.local".to_owned(), 2222)));
        for bad in ["mini", ":22", "mini:x", "-oProxyCommand=x:22"] {
            assert_eq!(read_address(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_command_for_a_connection_is_words_of_a_shell_and_no_tokens_of_ssh() {
        let command = |options: &[&str]| {
            let words = [&["test", "--node", "2"], options, &["a"]].concat();
            let args = Words::parse_from(words).args;
            proxy_command(Path::new("/opt/my apps/russet"), &args, "a%h'b", Path::new("/tmp/n"))
        };
        assert_eq!(
            command(&[]),
            r"'/opt/my apps/russet' job ssh '--proxy' '--node' 2 '--note' /tmp/n 'a%%h'\''b'"
        );
        assert!(command(&["--tunnel"]).contains(" '--tunnel' 'a%%h"));
    }

    #[derive(clap::Parser)]
    struct Words {
        #[command(flatten)]
        args: JobSshArgs,
    }
}
