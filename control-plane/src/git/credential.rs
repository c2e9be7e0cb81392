//! Credentials of a remote, as files of one call that git and ssh read by themselves.
//!
//! Threat: an argument or a variable is seen by other processes. So a token is in a file of git's own
//! `credential-store`, keyed by the host that it is for, and a key in a file that ssh names; both are in a
//! directory of the server's own (0700) that is removed with the call.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use russet_protocol::secret::Secret;
use russet_text::encode_segment;
use zeroize::Zeroizing;

use super::command::GitCall;
use super::remote_url::{RemoteUrl, Transport};

/// Credential of a remote.
#[derive(Clone, Debug, Default)]
pub(crate) enum RemoteCredential {
    /// None: anybody may read the repository.
    #[default]
    None,
    /// User and password of https; hosts take a token for the password.
    Token { user: String, token: Secret },
    /// Private key of ssh, in OpenSSH's format.
    Key(Secret),
}

/// Adds to a call what it needs to reach its remote at the address that was checked. Files go to `dir`.
///
/// # Errors
///
/// A file cannot be written.
pub(super) fn allow_remote(
    call: GitCall,
    (url, address): (&RemoteUrl, Option<IpAddr>),
    (credential, host_keys): (&RemoteCredential, &str),
    dir: &Path,
) -> std::io::Result<GitCall> {
    let call = call.set(&format!("protocol.{}.allow", url.transport.protocol()), "always");
    match url.transport {
        Transport::File => Ok(call),
        Transport::Http | Transport::Https => allow_http(call, (url, address), credential, dir),
        Transport::Ssh => allow_ssh(call, (url, address), (credential, host_keys), dir),
    }
}

fn allow_http(
    mut call: GitCall,
    (url, address): (&RemoteUrl, Option<IpAddr>),
    credential: &RemoteCredential,
    dir: &Path,
) -> std::io::Result<GitCall> {
    if let Some(address) = address {
        // libcurl takes IPv6 addresses in brackets here.
        let address = if address.is_ipv6() { format!("[{address}]") } else { address.to_string() };
        let resolved = format!("{}:{}:{address}", url.host, url.port);
        call = call.set("http.curloptResolve", &resolved);
    }
    if let RemoteCredential::Token { user, token } = credential {
        let (scheme, rest) = url.text.split_once("://").unwrap_or_default();
        let authority = rest.split('/').next().unwrap_or_default();
        let (user, token) = (encode_segment(user), encode_segment(token.expose()));
        let line = Zeroizing::new(format!("{scheme}://{user}:{token}@{authority}\n"));
        let file = dir.join("credentials");
        write_private(&file, line.as_bytes())?;
        call = call.set("credential.helper", &format!("store --file={}", quoted(&file)));
    }
    Ok(call)
}

fn allow_ssh(
    mut call: GitCall,
    (url, address): (&RemoteUrl, Option<IpAddr>),
    (credential, host_keys): (&RemoteCredential, &str),
    dir: &Path,
) -> std::io::Result<GitCall> {
    let known = dir.join("known_hosts");
    write_private(&known, host_keys.as_bytes())?;
    // The key of the first connection is kept, and no other is taken from then on.
    let checking = if host_keys.trim().is_empty() { "accept-new" } else { "yes" };
    let mut command = format!(
        "ssh -F /dev/null -o BatchMode=yes -o IdentitiesOnly=yes -o IdentityAgent=none \
         -o ClearAllForwardings=yes -o ConnectTimeout=30 -o ServerAliveInterval=15 \
         -o GlobalKnownHostsFile=/dev/null -o HashKnownHosts=no -o UpdateHostKeys=no \
         -o StrictHostKeyChecking={checking} -o UserKnownHostsFile={} -o HostKeyAlias={}",
        quoted(&known),
        url.host
    );
    if let Some(address) = address {
        command.push_str(&format!(" -o HostName={address}"));
    }
    let file = dir.join("key");
    match credential {
        RemoteCredential::Key(key) => {
            let text = Zeroizing::new(format!("{}\n", key.expose().trim_end()));
            write_private(&file, text.as_bytes())?;
            command.push_str(&format!(" -i {}", quoted(&file)));
        }
        // Else ssh would take the keys of the server's user.
        RemoteCredential::None | RemoteCredential::Token { .. } => {
            command.push_str(" -o IdentityFile=none");
        }
    }
    call.variables.push(("GIT_SSH_COMMAND", command.into()));
    call.variables.push(("GIT_SSH_VARIANT", "ssh".into()));
    Ok(call)
}

/// Returns the host keys that ssh knows after a call.
pub(super) fn read_host_keys(dir: &Path) -> Option<String> {
    let text = std::fs::read_to_string(dir.join("known_hosts")).ok()?;
    Some(text).filter(|text| !text.trim().is_empty())
}

fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)
}

/// Returns a path as one word of the shell that git runs helpers and ssh with.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use russet_protocol::secret::Secret;

    use super::super::command::GitCall;
    use super::super::remote_url::{AllowedTransports, RemoteUrl};
    use super::{RemoteCredential, allow_remote};

    fn url(text: &str) -> RemoteUrl {
        RemoteUrl::parse(text, AllowedTransports { http: true, file: true }).unwrap()
    }

    #[test]
    fn a_token_is_in_a_private_file_for_its_host_and_nowhere_else() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let credential =
            RemoteCredential::Token { user: "x".into(), token: Secret::new("s3/cret@") };
        let url = url("https://git.example:8443/a/b");
        let call = GitCall::new("fetch", Path::new("/"));
        let address = Some("192.0.2.7".parse().unwrap());
        let call = allow_remote(call, (&url, address), (&credential, ""), dir.path()).unwrap();
        let file = dir.path().join("credentials");
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(text, "https://x:s3%2Fcret%40@git.example:8443\n");
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let all = format!("{:?} {:?}", call.args, call.environment(|_| None));
        assert!(!all.contains("s3") && all.contains("git.example:8443:192.0.2.7"), "{all}");
        assert!(all.contains("protocol.https.allow") && !all.contains("protocol.ssh.allow"));
    }

    #[test]
    fn ssh_takes_one_key_and_the_host_key_that_is_pinned() {
        let dir = tempfile::tempdir().unwrap();
        let credential = RemoteCredential::Key(Secret::new("KEY"));
        let url = url("git@git.example:a/b");
        let call = GitCall::new("fetch", Path::new("/"));
        let call =
            allow_remote(call, (&url, None), (&credential, "git.example ssh-x y\n"), dir.path())
                .unwrap();
        let command = call.variables[0].1.to_str().unwrap();
        for part in [
            "-F /dev/null",
            "StrictHostKeyChecking=yes",
            "HostKeyAlias=git.example",
            "IdentityAgent=none",
        ] {
            assert!(command.contains(part), "{command}");
        }
        assert_eq!(std::fs::read_to_string(dir.path().join("key")).unwrap(), "KEY\n");
    }
}
