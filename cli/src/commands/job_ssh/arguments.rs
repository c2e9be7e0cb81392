//! Arguments of `ssh` for a task. Pure.
//!
//! Threat: whoever is between could offer a host key of their own. The key that the task made is pinned, in a
//! file that is for this one connection: nothing is asked, nothing is learned, and no file of the person
//! counts.

use std::ffi::OsString;
use std::path::Path;

use russet_protocol::ssh::SshItem;

use crate::commands::quoted_for_shell;

/// Way to a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Straight to the machine.
    Direct { host: String, port: u16 },
    /// Through the control plane, by this command.
    Tunnel(String),
}

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

/// Returns the command that `ssh` runs for a connection through the control plane.
pub(super) fn proxy_command(program: &Path, id: &str, node: u32, note: &Path) -> String {
    let words = [
        program.to_string_lossy().as_ref(),
        "job",
        "ssh",
        "--proxy",
        "--node",
        &node.to_string(),
        "--note",
        note.to_string_lossy().as_ref(),
        id,
    ]
    .map(quoted_for_shell);
    // `ssh` replaces what follows a percent sign.
    words.join(" ").replace('%', "%%")
}

/// Returns the arguments of `ssh`: ours, the host, and those of the person, options or a command.
pub(super) fn ssh_arguments(
    item: &SshItem,
    known_hosts: &Path,
    way: &Way,
    of_person: &[OsString],
) -> Vec<OsString> {
    let alias = host_alias(item);
    let user = item.ready.as_ref().map(|ready| ready.user.clone()).unwrap_or_default();
    // Quoted for the reader of options, which splits at spaces.
    let file =
        format!("UserKnownHostsFile=\"{}\"", known_hosts.display().to_string().replace('%', "%%"));
    let mut options = vec![
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
    ];
    match way {
        Way::Direct { host, port } => {
            options.push(format!("HostName={host}"));
            options.push(format!("Port={port}"));
            options.push("ProxyCommand=none".to_owned());
        }
        Way::Tunnel(command) => options.push(format!("ProxyCommand={command}")),
    }
    let options = options.into_iter().flat_map(|option| [OsString::from("-o"), option.into()]);
    options.chain([OsString::from(alias)]).chain(of_person.iter().cloned()).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use russet_protocol::ssh::{SshItem, SshPhase, SshReady};

    use super::{Way, known_hosts, proxy_command, read_address, ssh_arguments};

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
        let way = Way::Tunnel("russet job ssh --proxy 0199".to_owned());
        let all =
            ssh_arguments(&item(), Path::new("/tmp/a b/known"), &way, &["-v".into(), "id".into()]);
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
    fn a_direct_way_takes_no_proxy_of_the_persons_configuration() {
        let way = Way::Direct { host: "mini.local".to_owned(), port: 2222 };
        let all = ssh_arguments(&item(), Path::new("/k"), &way, &[]);
        for option in ["HostName=mini.local", "Port=2222", "ProxyCommand=none"] {
            assert!(all.iter().any(|word| word == option), "{option}");
        }
        assert_eq!(read_address("[::1]:22"), Some(("::1".to_owned(), 22)));
        for bad in ["mini", ":22", "mini:x", "-oProxyCommand=x:22"] {
            assert_eq!(read_address(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_command_for_the_tunnel_is_words_of_a_shell_and_no_tokens_of_ssh() {
        let command =
            proxy_command(Path::new("/opt/my apps/russet"), "a%h'b", 2, Path::new("/tmp/n"));
        assert_eq!(
            command,
            r"'/opt/my apps/russet' job ssh '--proxy' '--node' 2 '--note' /tmp/n 'a%%h'\''b'"
        );
    }
}
