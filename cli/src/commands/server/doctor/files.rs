//! The data directory, its secrets, and the certificate.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use jiff::Timestamp;
use nix::unistd::{Uid, User};
use russet_control_plane::inspect;
use russet_launch_agent::health::{Check, Level};
use russet_text::error_chain;

use super::{Question, check, judge};

/// Checks the data directory, the secrets in it, and its disk.
pub(super) fn check_data(question: &Question) -> Vec<Check> {
    let name = "data directory";
    let path = &question.data_dir;
    let meta = match std::fs::symlink_metadata(path) {
        Ok(meta) => meta,
        Err(error) => {
            let found = format!("{}: {error}", path.display());
            let hint = "`russet server` makes it at its first start; run this as root, or name \
                        another one with --data-dir";
            return vec![check(name, Level::Bad, found, hint)];
        }
    };
    let owner = meta.uid();
    let shown = User::from_uid(Uid::from_raw(owner)).ok().flatten();
    let shown = shown.map_or_else(|| format!("user {owner}"), |user| user.name);
    let mode = meta.mode() & 0o7777;
    let found = format!("{}, of {shown} ({mode:04o})", path.display());
    let directory = if !meta.is_dir() {
        check(name, Level::Bad, format!("{} is not a directory", path.display()), "name another")
    } else if mode & 0o077 != 0 {
        check(name, Level::Bad, found, &format!("`sudo chmod 700 {}`", path.display()))
    } else if owner == 0 {
        check(name, Level::Warning, found, "let the server run as a user of its own")
    } else {
        check(name, Level::Ok, found, "")
    };
    let key = question.server.secrets_key_file.clone();
    let key = key.unwrap_or_else(|| path.join("secrets.key"));
    vec![
        directory,
        check_secret("admin token", &path.join("admin.token"), owner),
        check_secret("secrets key", &key, owner),
        judge::judge_room(inspect::room_of(path, question.server.disk_reserve)),
    ]
}

fn check_secret(name: &'static str, path: &Path, owner: u32) -> Check {
    let shown = path.display().to_string();
    match std::fs::metadata(path) {
        Ok(meta) => judge::judge_private(name, &shown, (meta.uid(), meta.mode() & 0o7777), owner),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => check(
            name,
            Level::Unknown,
            format!("{shown} can be looked at by its owner and root"),
            "",
        ),
        Err(error) => {
            let hint = "the server makes it at its first start; where variables have values, bring \
                        it back from a backup";
            check(name, Level::Bad, format!("{shown}: {error}"), hint)
        }
    }
}

/// Checks the certificate and its key, where the server has them.
pub(super) fn check_certificate(question: &Question) -> Option<Check> {
    let files = question.server.tls.files()?;
    Some(match inspect::look_at_certificate(&files, question.now_s) {
        Ok(facts) => {
            let expires = Timestamp::from_second(facts.not_after_s).unwrap_or_default();
            judge::judge_certificate(&facts, &expires.to_string(), question.now_s)
        }
        Err(error) => {
            let hint = "bring files that fit; the key has to be private: docs/server.md, \"TLS of \
                        its own\"";
            check("certificate", Level::Bad, error_chain(&error), hint)
        }
    })
}
