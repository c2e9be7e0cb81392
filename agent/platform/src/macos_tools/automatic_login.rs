//! Automatic login: the account that loginwindow logs in when the Mac starts.
//!
//! `sysadminctl -autologin set` takes the password as an argument, which everybody on the Mac can
//! read while it runs. So its two parts are made here: the name in loginwindow's preferences, by
//! defaults(1), and the password in `/etc/kcpassword`. That file is not encrypted: its form is a
//! fixed key of 11 bytes laid over the password (published by Gavin Brock in 2007, unchanged since),
//! so it is root's alone, and whoever has the disk has the password. The account is to have nothing
//! worth that.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use russet_protocol::secret::Secret;
use zeroize::Zeroizing;

use super::preferences;
use crate::command::{CommandError, Tools};
use crate::replace;

const DEFAULTS: &str = "/usr/bin/defaults";

/// loginwindow's preferences, as defaults(1) names them.
const DOMAIN: &str = "/Library/Preferences/com.apple.loginwindow";

const KEY: &str = "autoLoginUser";

/// The file of the password. `/etc` is a link, which is not followed here.
const PASSWORD_FILE: &str = "private/etc/kcpassword";

/// Bytes that are laid over the password, again and again.
const MASK: [u8; 11] = [0x7d, 0x89, 0x52, 0x23, 0xd2, 0xbc, 0xdd, 0xea, 0xa3, 0xb9, 0x1f];

/// The file's length is a multiple of this, with one NUL at least (as System Settings writes it).
const BLOCK: usize = 12;

/// State of automatic login.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AutomaticLogin {
    /// Account that is logged in.
    pub user: Option<String>,
    /// Set if a password is stored, without which loginwindow asks for it.
    pub has_password: bool,
}

/// Reads the state of the Mac whose files are below `root`.
#[must_use]
pub fn read_state(root: &Path) -> AutomaticLogin {
    let file = std::fs::symlink_metadata(root.join(PASSWORD_FILE));
    AutomaticLogin {
        user: preferences::automatic_login(root),
        has_password: file.is_ok_and(|file| file.is_file() && file.size() > 0),
    }
}

/// The reason for which automatic login was not changed.
#[derive(Debug, thiserror::Error)]
pub enum AutomaticLoginError {
    /// The preferences were not written.
    #[error(transparent)]
    Tool(#[from] CommandError),
    /// The password's file was not.
    #[error("could not write {}: {source}", path.display())]
    File {
        /// Path.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
}

/// Turns automatic login on for an account.
///
/// # Errors
///
/// The password or the preferences could not be written.
pub fn turn_on(
    tools: &Tools,
    root: &Path,
    user: &str,
    password: &Secret,
) -> Result<(), AutomaticLoginError> {
    let path = root.join(PASSWORD_FILE);
    let bytes = masked_password(password);
    // Before the name: a name without a password is a login window that asks.
    replace::write(&path, &bytes, 0o600)
        .map_err(|source| AutomaticLoginError::File { path, source })?;
    tools.command(DEFAULTS).args(["write", DOMAIN, KEY, "-string", user]).run_ok()?;
    Ok(())
}

/// Turns automatic login off, and removes the password.
///
/// # Errors
///
/// The preferences or the file could not be changed.
pub fn turn_off(tools: &Tools, root: &Path) -> Result<(), AutomaticLoginError> {
    let path = root.join(PASSWORD_FILE);
    replace::remove_file(&path).map_err(|source| AutomaticLoginError::File { path, source })?;
    if preferences::automatic_login(root).is_some() {
        tools.command(DEFAULTS).args(["delete", DOMAIN, KEY]).run_ok()?;
    }
    Ok(())
}

/// The file's content: the password and NULs up to the next multiple of [`BLOCK`], under the mask.
fn masked_password(password: &Secret) -> Zeroizing<Vec<u8>> {
    let password = password.expose().as_bytes();
    let length = (password.len() / BLOCK + 1) * BLOCK;
    let padded = password.iter().copied().chain(std::iter::repeat(0));
    let masked = padded.zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask);
    let mut bytes = Zeroizing::new(Vec::with_capacity(length));
    bytes.extend(masked.take(length));
    bytes
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::{AutomaticLogin, masked_password, read_state, turn_off, turn_on};
    use crate::command::Tools;
    use crate::command::testing::fake_tool;
    use russet_protocol::secret::Secret;

    /// The first two bytes are those of the public decoder mb4n6/Decrypt-macOS-Autologin.
    #[test]
    fn the_password_is_masked_as_loginwindow_expects_it() {
        let bytes = masked_password(&Secret::new("Aa"));
        assert_eq!(bytes[..2], [0x3c, 0xe8]);
        assert_eq!((bytes[2], bytes.len()), (0x52, 12));
        for (length, wanted) in [(0, 12), (11, 12), (12, 24), (13, 24), (23, 24), (24, 36)] {
            let bytes = masked_password(&Secret::new("x".repeat(length)));
            assert_eq!(bytes.len(), wanted);
            let end = bytes[length] ^ super::MASK[length % 11];
            assert_eq!(end, 0, "a password of {length} bytes has no end");
        }
    }

    #[test]
    fn a_password_is_in_a_file_of_roots_alone_and_in_no_argument() {
        let dir = tempfile::tempdir().unwrap();
        let (root, bin) = (dir.path().join("root"), dir.path().join("bin"));
        std::fs::create_dir_all(root.join("private/etc")).unwrap();
        std::fs::create_dir_all(root.join("Library/Preferences")).unwrap();
        std::fs::create_dir(&bin).unwrap();
        let list = root.join("Library/Preferences/com.apple.loginwindow.plist");
        let script = format!(
            "echo \"$*\" >> \"$0.said\"\n\
             case $1 in write) echo '<plist version=\"1.0\"><dict><key>autoLoginUser</key>\
             <string>ci-gui</string></dict></plist>' > {0} ;; delete) rm {0} ;; esac",
            list.display()
        );
        fake_tool(&bin, "defaults", &script);
        let tools = Tools::below(&bin);
        assert_eq!(read_state(&root), AutomaticLogin::default());
        turn_on(&tools, &root, "ci-gui", &Secret::new("hunter2")).unwrap();
        let on = AutomaticLogin { user: Some("ci-gui".to_owned()), has_password: true };
        assert_eq!(read_state(&root), on);
        let file = root.join("private/etc/kcpassword");
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        turn_off(&tools, &root).unwrap();
        assert_eq!(read_state(&root), AutomaticLogin::default());
        // Once more is no error.
        turn_off(&tools, &root).unwrap();
        let said = std::fs::read_to_string(bin.join("defaults.said")).unwrap();
        assert_eq!(
            said,
            "write /Library/Preferences/com.apple.loginwindow autoLoginUser -string ci-gui\n\
             delete /Library/Preferences/com.apple.loginwindow autoLoginUser\n"
        );
    }
}
